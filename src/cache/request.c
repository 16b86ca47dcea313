/* SPDX-License-Identifier: MIT */
/* The queue of requests, and passes through it. */
#include "cache/request.h"

#include <errno.h>

#include "cache/internal.h"
#include "os/rseq.h"

/* How often a pass is repeated. */
#define PASSES_MAX 16

enum state {
	IDLE, /* the caller's: new, or cancelled */
	WAITING,
	TAKEN, /* it has its tokens, and a pass will say so */
	DONE,  /* the caller's */
};

#define UNDER_WAY UINT64_C(0xffff)
#define ENDED (UNDER_WAY + 1)

/* On the stack of the thread that makes it. */
struct wi_pass {
	struct wi_cache *cache;
	struct wi_request *own; /* is being submitted: told by the result */
	bool events_only;
	bool has_own;	  /* the one submitted was taken */
	uint64_t free;	  /* pages that the back end has, at most */
	uint64_t nr_puts; /* of the pass itself */
	struct wi_request *taken, **last;
	/* While it calls back; under the mutex. */
	uint64_t thread;
	struct wi_pass *next;
	bool again; /* a callback asks for another pass */
};

/* --- beginning and end -------------------------------------------------- */

int wi_requests_init(struct wi_requests *requests)
{
	requests->last = &requests->first;
	return wi_os_mutex_init(&requests->mutex);
}

void wi_requests_fini(struct wi_requests *requests)
{
	wi_os_mutex_fini(&requests->mutex);
}

/* --- counts ------------------------------------------------------------- */

/* Relaxed, all: only the holder of the mutex writes; others read counts. */
static void add_to_count(uint64_t *what, uint64_t change)
{
	wi_store_relaxed(what, wi_load_relaxed(what) + change);
}

static void count_waiting(struct wi_cache *cache,
			  const struct wi_request *request, uint64_t change)
{
	add_to_count(&cache->requests.nr_waiting, change);
	add_to_count(&cache->totals->waiting, change);
	if (request->done == NULL)
		add_to_count(&cache->requests.nr_events, change);
}

bool wi_requests_any_waiting(const struct wi_cache *cache)
{
	return wi_load_relaxed(&cache->requests.nr_waiting) !=
	       0; /* see above */
}

/* The pass whose callback this thread is in, if it is in one; under the mutex.
 */
static struct wi_pass *pass_around(const struct wi_cache *cache)
{
	struct wi_pass *pass = cache->requests.calling;

	while (pass != NULL && pass->thread != wi_own_mark())
		pass = pass->next;
	return pass;
}

/* --- claims ------------------------------------------------------------- */

static void begin_claim(struct wi_requests *requests)
{
	/* CACHE-F4 (partner CACHE-A4): counted before anything is claimed. The
	 * fence orders what the back end claims without a release, too. */
	wi_add_full(&requests->holders, 1);
	wi_fence_full(); /* CACHE-F4 */
}

static void end_claim(struct wi_requests *requests)
{
	/* CACHE-F4 (partner CACHE-A4): what goes back is back before. */
	wi_add_full(&requests->holders, ENDED - 1);
}

uint64_t wi_requests_holders(const struct wi_cache *cache)
{
	/* CACHE-A4 (partner CACHE-F4): a search that met a claim of a pass lies
	 * between two reads of which the second shows it. Without it an ENOMEM
	 * passes over what that claim gives back. */
	wi_fence_acquire();
	return wi_load_acquire(&cache->requests.holders);
}

bool wi_requests_held_nothing(const struct wi_cache *cache, uint64_t before)
{
	return (before & UNDER_WAY) == 0 &&
	       wi_requests_holders(cache) == before;
}

/* All that a request wants, or nothing. */
static bool claim_all(struct wi_pass *pass, struct wi_request *request)
{
	struct wi_cache *cache = pass->cache;
	const unsigned nr_zones = wi_percpu_nr_zones(&cache->drain);
	size_t got = 0;

	if (request->n > pass->free / request->weight)
		return false; /* the claim would be in others' way */
	begin_claim(&cache->requests);
	for (unsigned i = 0; i < nr_zones && got < request->n; i++) {
		const unsigned zone = (request->zone + i) % nr_zones;
		size_t more;

		do {
			more = cache->backend.get(cache->backend.ctx, zone,
						  request->kind,
						  request->tokens + got,
						  request->n - got,
						  &cache->requests.cursor);
			got += more;
		} while (more > 0 && got < request->n);
	}
	if (got < request->n)
		pass->nr_puts += wi_cache_give_part_back(cache, request->kind,
							 request->tokens, got);
	else
		pass->free -= request->n * request->weight;
	end_claim(&cache->requests);
	return got == request->n;
}

/* --- the queue, under the mutex ----------------------------------------- */

static void append_request(struct wi_request ***last,
			   struct wi_request *request)
{
	request->next = NULL;
	request->link = *last;
	**last = request;
	*last = &request->next;
}

static void put_in_queue(struct wi_cache *cache, struct wi_request *request)
{
	append_request(&cache->requests.last, request);
	/* Relaxed, here and below: read under the mutex, but for DONE. */
	wi_store_relaxed(&request->state, WAITING);
	count_waiting(cache, request, 1);
}

static void remove_from_queue(struct wi_cache *cache,
			      struct wi_request *request, enum state state)
{
	*request->link = request->next;
	if (request->next != NULL)
		request->next->link = request->link;
	else
		cache->requests.last = request->link;
	wi_store_relaxed(&request->state, (uint32_t)state);
	count_waiting(cache, request, UINT64_C(0) - 1);
}

static void take_request(struct wi_pass *pass, struct wi_request *request)
{
	remove_from_queue(pass->cache, request, TAKEN);
	add_to_count(&pass->cache->totals->completed, 1);
	if (request == pass->own)
		pass->has_own = true;
	else
		append_request(&pass->last, request);
}

static void go_through(struct wi_pass *pass)
{
	struct wi_cache *cache = pass->cache;
	struct wi_request *next;

	pass->free = cache->backend.nr_free == NULL
			     ? UINT64_MAX
			     : cache->backend.nr_free(cache->backend.ctx);
	for (struct wi_request *request = cache->requests.first;
	     request != NULL; request = next) {
		next = request->next;
		if (pass->events_only && request->done != NULL)
			continue;
		if (claim_all(pass, request))
			take_request(pass, request);
	}
	add_to_count(&cache->totals->passes, 1);
}

/* --- without it --------------------------------------------------------- */

/* The request is the caller's from here on. */
static void hand_over(struct wi_cache *cache, struct wi_request *request)
{
	if (cache->backend.hand_over != NULL)
		cache->backend.hand_over(cache->backend.ctx, request->kind,
					 request->tokens, request->n);
	/* CACHE-R4 (partner CACHE-A5): the tokens and their pages' contents
	 * with it; and all that a pass reads of the request comes before. */
	wi_store_release(&request->state, DONE);
}

bool wi_request_is_done(const struct wi_request *request)
{
	/* CACHE-A5 (partner CACHE-R4). */
	return wi_load_acquire(&request->state) == DONE;
}

/* Says so to those whose requests were taken. */
static void tell_callers(struct wi_pass *pass)
{
	struct wi_request *next;

	for (struct wi_request *request = pass->taken; request != NULL;
	     request = next) {
		const struct wi_request its = *request;

		next = its.next;
		hand_over(pass->cache, request);
		if (its.done != NULL)
			its.done(its.callers, its.context);
		else
			wi_os_event_add(its.fd);
	}
}

/* --- passes ------------------------------------------------------------- */

static uint64_t backend_generation(const struct wi_cache *cache)
{
	return cache->backend.generation(cache->backend.ctx);
}

/* With the mutex, which it unlocks. */
static void unlock_and_tell(struct wi_pass *pass)
{
	struct wi_requests *requests = &pass->cache->requests;
	const bool calls = pass->taken != NULL && !pass->events_only;
	struct wi_pass **link;

	pass->again = false;
	pass->next = requests->calling;
	if (calls) /* relaxed, as below: for wi_requests_in_callback() */
		wi_store_relaxed(&requests->calling, pass);
	wi_os_mutex_unlock(&requests->mutex);
	tell_callers(pass);
	if (!calls)
		return; /* an allocation that must not wait comes here */
	wi_os_mutex_lock(&requests->mutex, UINT64_MAX);
	for (link = &requests->calling; *link != pass; link = &(*link)->next)
		;
	wi_store_relaxed(link, pass->next);
	wi_os_mutex_unlock(&requests->mutex);
}

/* With the mutex, which it unlocks. False: it is to be repeated. */
static bool pass_and_unlock(struct wi_pass *pass, bool until_quiet)
{
	struct wi_cache *cache = pass->cache;
	const uint64_t before = backend_generation(cache);
	bool is_over;

	pass->nr_puts = 0;
	pass->taken = NULL;
	pass->last = &pass->taken;
	go_through(pass);
	is_over = !until_quiet || !wi_requests_any_waiting(cache) ||
		  backend_generation(cache) == before + pass->nr_puts;
	unlock_and_tell(pass);
	return is_over && !pass->again;
}

/* With the mutex, which it unlocks; repeats get it again. Not in a callback:
 * then the pass around it is repeated. */
static int make_passes(struct wi_pass *pass, uint64_t deadline_ns,
		       bool until_quiet)
{
	struct wi_requests *requests = &pass->cache->requests;
	struct wi_pass *around = pass_around(pass->cache);
	struct wi_request *own = pass->own;
	int err = 0;

	if (around != NULL) {
		around->again = true;
		wi_os_mutex_unlock(&requests->mutex);
		return 0;
	}
	for (unsigned i = 1; !pass_and_unlock(pass, until_quiet); i++) {
		if (i == PASSES_MAX)
			err = -EAGAIN;
		else
			err = wi_os_mutex_lock(&requests->mutex, deadline_ns);
		if (err != 0)
			break;
		pass->own = NULL; /* from now on it is told as others are */
	}
	if (pass->has_own)
		hand_over(pass->cache, own);
	return err;
}

static struct wi_pass new_pass(struct wi_cache *cache)
{
	wi_rseq_thread_init();
	return (struct wi_pass){ .cache = cache, .thread = wi_own_mark() };
}

/* Cancellation is put off: a cancelled thread would keep the mutex, or what was
 * taken. */
static int lock_and_pass(struct wi_cache *cache, uint64_t deadline_ns,
			 bool until_quiet)
{
	struct wi_pass pass = new_pass(cache);
	int cancel = wi_os_cancel_put_off();
	int err = wi_os_mutex_lock(&cache->requests.mutex, deadline_ns);

	if (err == 0)
		err = make_passes(&pass, deadline_ns, until_quiet);
	wi_os_cancel_allow(cancel);
	return err;
}

bool wi_requests_in_callback(struct wi_cache *cache)
{
	bool is_in = false;
	int cancel;

	/* Relaxed: this thread itself would have stored its pass. */
	if (wi_load_relaxed(&cache->requests.calling) == NULL)
		return false;
	cancel = wi_os_cancel_put_off();
	wi_rseq_thread_init();
	if (wi_os_mutex_lock(&cache->requests.mutex, UINT64_MAX) == 0) {
		is_in = pass_around(cache) != NULL;
		wi_os_mutex_unlock(&cache->requests.mutex);
	}
	wi_os_cancel_allow(cancel);
	return is_in;
}

int wi_requests_pass(struct wi_cache *cache, uint64_t deadline_ns)
{
	return wi_requests_any_waiting(cache)
		       ? lock_and_pass(cache, deadline_ns, false)
		       : 0;
}

int wi_requests_serve(struct wi_cache *cache, uint64_t deadline_ns)
{
	return lock_and_pass(cache, deadline_ns, true);
}

void wi_requests_pass_events(struct wi_cache *cache)
{
	struct wi_pass pass;
	int cancel;

	/* Relaxed: a request that is not seen yet waits for the next pass. */
	if (wi_load_relaxed(&cache->requests.nr_events) == 0)
		return;
	pass = new_pass(cache);
	pass.events_only = true;
	cancel = wi_os_cancel_put_off();
	if (wi_os_mutex_trylock(&cache->requests.mutex))
		make_passes(&pass, WI_NO_WAIT, false);
	wi_os_cancel_allow(cancel);
}

/* --- submitting and cancelling ------------------------------------------ */

bool wi_request_is_waiting(const struct wi_request *request)
{
	/* Relaxed: only the caller submits it. */
	const uint32_t state = wi_load_relaxed(&request->state);

	return state == WAITING || state == TAKEN;
}

int wi_request_submit(struct wi_cache *cache, struct wi_request *request)
{
	struct wi_pass pass = new_pass(cache);
	int cancel = wi_os_cancel_put_off();
	int err = wi_os_mutex_lock(&cache->requests.mutex, UINT64_MAX);

	pass.own = request;
	if (err == 0) {
		put_in_queue(cache, request);
		make_passes(&pass, UINT64_MAX, false);
	}
	wi_os_cancel_allow(cancel);
	return err != 0 ? err : pass.has_own;
}

int wi_request_cancel(struct wi_cache *cache, struct wi_request *request)
{
	int cancel = wi_os_cancel_put_off();
	int err = wi_os_mutex_lock(&cache->requests.mutex, UINT64_MAX);

	if (err != 0) {
		wi_os_cancel_allow(cancel);
		return err;
	}
	/* Relaxed: under the mutex. DONE is not undone. */
	switch (wi_load_relaxed(&request->state)) {
	case IDLE:
		break;
	case WAITING:
		if (request->cache != cache) {
			err = -EINVAL;
			break;
		}
		remove_from_queue(cache, request, IDLE);
		add_to_count(&cache->totals->cancelled, 1);
		break;
	default:
		err = -EALREADY;
	}
	wi_os_mutex_unlock(&cache->requests.mutex);
	wi_os_cancel_allow(cancel);
	return err;
}
