/* SPDX-License-Identifier: MIT */
/*
 * Slow paths of the lists, and what happens in a shortage: see cache.h.
 *
 * Longer than 800 lines, of two parts that use each other's static functions:
 * get and put with their refills and flushes, and from "get: in need" on the
 * drains and waiters of a shortage. They are to become files of their own.
 */
#include "cache/cache.h"

#include <errno.h>

#include "base/trace.h"
#include "os/rseq.h"

/* Sequences that are aborted this many times in a row leave for the back end:
 * a debugger that steps through one never finishes it. */
#define TRIES_MAX 64
/* How often a get in need starts over after others took what it found. */
#define ROUNDS_MAX 16
/* Of refills or flushes in a row, after how many they grow no more. */
#define IN_A_ROW_MAX 2

/* --- one CPU's lists, whatever the mode -------------------------------- */

struct weir_lists wi_cache_lists(const struct wi_cache *cache, unsigned zone)
{
	return (struct weir_lists){
		(char *)wi_drain_area(&cache->drain, zone, 0),
		cache->drain.locked ? 0 : cache->drain.nr_cpus,
	};
}

static unsigned cpu_here(const struct wi_cache *cache)
{
	int cpu = wi_os_current_cpu();

	return cpu >= 0 && (unsigned)cpu < cache->drain.nr_cpus ? (unsigned)cpu
								: 0;
}

unsigned wi_cache_zone_here(const struct wi_cache *cache)
{
	return cache->zone_of_cpu == NULL ? 0
					  : cache->zone_of_cpu[cpu_here(cache)];
}

static uint64_t seq_pop(const struct weir_lists *l, unsigned list)
{
#define CASE(k)                                                                \
	case k:                                                                \
		return weir_seq_pop(l, k);
	WEIR_LIST_SWITCH(list, CASE)
#undef CASE
	return WEIR_NONE;
}

static int seq_push(const struct weir_lists *l, unsigned list, uint64_t token)
{
#define CASE(k)                                                                \
	case k:                                                                \
		return weir_seq_push(l, k, token);
	WEIR_LIST_SWITCH(list, CASE)
#undef CASE
	return 0;
}

static unsigned seq_pop_bulk(const struct weir_lists *l, unsigned list,
			     uint64_t *tokens, unsigned n)
{
#define CASE(k)                                                                \
	case k:                                                                \
		return weir_seq_pop_bulk(l, k, tokens, n);
	WEIR_LIST_SWITCH(list, CASE)
#undef CASE
	return 0;
}

static unsigned seq_push_bulk(const struct weir_lists *l, unsigned list,
			      const uint64_t *tokens, unsigned n)
{
#define CASE(k)                                                                \
	case k:                                                                \
		return weir_seq_push_bulk(l, k, tokens, n);
	WEIR_LIST_SWITCH(list, CASE)
#undef CASE
	return 0;
}

static struct wi_area *area_here(struct wi_cache *cache, unsigned zone)
{
	return wi_drain_area(&cache->drain, zone, cpu_here(cache));
}

static size_t pop_locked(struct wi_cache *cache, unsigned zone, unsigned list,
			 uint64_t *tokens, size_t n)
{
	struct wi_area *area = area_here(cache, zone);

	if (!wi_pcplist_trylock(area, weir_thread_burst))
		return 0;
	n = wi_pcplist_pop_locked(area, list, tokens, n);
	wi_pcplist_unlock(area);
	return n;
}

static size_t push_locked(struct wi_cache *cache, unsigned zone, unsigned list,
			  const uint64_t *tokens, size_t n)
{
	struct wi_area *area = area_here(cache, zone);

	if (!wi_pcplist_trylock(area, weir_thread_burst))
		return 0;
	n = wi_pcplist_push_locked(area, list, tokens, n);
	wi_pcplist_unlock(area);
	return n;
}

static void count_abort(struct wi_cache *cache, unsigned zone)
{
	/* Relaxed: a count. */
	wi_add_relaxed(&area_here(cache, zone)->counters.aborts, 1);
}

/* Up to n tokens from this CPU's list; 0 when it is empty (or caching off). */
static size_t list_pop(struct wi_cache *cache, unsigned zone, unsigned list,
		       uint64_t *tokens, size_t n)
{
	const struct weir_lists lists = wi_cache_lists(cache, zone);
	size_t got = 0;

	if (cache->drain.locked)
		return pop_locked(cache, zone, list, tokens, n);
	for (unsigned tries = 0; got < n && tries < TRIES_MAX; tries++) {
		uint64_t token;

		if (n - got > 1)
			got += seq_pop_bulk(&lists, list, tokens + got,
					    (unsigned)(n - got));
		if (got == n)
			break;
		token = seq_pop(&lists, list);
		if (token == WEIR_NONE)
			break;
		if (token == WEIR_AGAIN)
			count_abort(cache, zone);
		else
			tokens[got++] = token;
	}
	return got;
}

/* How many of n tokens this CPU's list took; fewer when it is full. */
static size_t list_push(struct wi_cache *cache, unsigned zone, unsigned list,
			const uint64_t *tokens, size_t n)
{
	const struct weir_lists lists = wi_cache_lists(cache, zone);
	size_t done = 0;

	if (cache->drain.locked)
		return push_locked(cache, zone, list, tokens, n);
	for (unsigned tries = 0; done < n && tries < TRIES_MAX; tries++) {
		int pushed;

		if (n - done > 1)
			done += seq_push_bulk(&lists, list, tokens + done,
					      (unsigned)(n - done));
		if (done == n)
			break;
		pushed = seq_push(&lists, list, tokens[done]);
		if (pushed == 0)
			break;
		if (pushed < 0)
			count_abort(cache, zone);
		else
			done++;
	}
	return done;
}

/* The first slow path on a CPU that was not online as its lists were made gives
 * it some, if nobody drains just now: else the next one does. */
static void wake_here(struct wi_cache *cache)
{
	const unsigned cpu = cpu_here(cache);
	int cancel;

	if (wi_likely(wi_drain_has_woken(&cache->drain, cpu)))
		return;
	cancel = wi_os_cancel_put_off(); /* it would keep the mutex */
	if (wi_drain_trylock(&cache->drain)) {
		wi_drain_wake(&cache->drain, cpu);
		wi_drain_unlock(&cache->drain);
	}
	wi_os_cancel_allow(cancel);
}

/* Has this CPU a list of that kind now? A hint: the null set has none. */
static bool has_list(struct wi_cache *cache, unsigned zone, unsigned kind)
{
	/* Relaxed: a hint. */
	return kind < cache->drain.nr_lists &&
	       wi_active_set(wi_load_relaxed(
		       &area_here(cache, zone)->active)) != WI_SET_NULL;
}

/* An operation that found its list empty, or full, or none, commits nothing:
 * without this a drain could wait for ever for an owner that makes no other.
 * (In locked mode the holder's mark is all the evidence there is to leave.)
 * Not inlined: one copy of the sequence, which tests can step through. */
static __attribute__((noinline)) void tick(struct wi_cache *cache,
					   unsigned zone)
{
	const struct weir_lists lists = wi_cache_lists(cache, zone);

	if (!cache->drain.locked)
		weir_seq_tick(&lists);
}

/*
 * An operation on one zone's area is no evidence for this CPU's areas of other
 * zones, of which a drain may wait for each: those whose active was exchanged
 * since their last tick get one. Also where the CPU is quiet by now: it may be
 * a polling one's set that the drain waits for.
 */
static void tick_others(struct wi_cache *cache, unsigned zone)
{
	for (unsigned i = 0; i < cache->drain.nr_zones; i++) {
		struct wi_area *area = area_here(cache, i);
		/* Relaxed, both: a hint; the tick itself is a sequence. */
		uint64_t active = wi_load_relaxed(&area->active);

		if (i != zone && wi_load_relaxed(&area->seen) != active)
			tick(cache, i);
	}
}

void wi_cache_tick(struct wi_cache *cache)
{
	for (unsigned zone = 0; zone < cache->drain.nr_zones; zone++)
		tick(cache, zone);
}

void *wi_cache_burst_begin(struct wi_cache *cache)
{
	const unsigned zone = wi_cache_zone_here(cache);
	const struct weir_lists lists = wi_cache_lists(cache, zone);
	struct wi_area *area;

	wi_rseq_thread_init();
	area = (struct wi_area *)(void *)weir_seq_burst(&lists);
	/* Moved to another node meanwhile: drop_bursts() would not find it. */
	if (area != NULL && cache->zone_of_cpu != NULL &&
	    cache->zone_of_cpu[area->cpu] != zone) {
		wi_cache_burst_end(area);
		return NULL;
	}
	return area;
}

void wi_cache_burst_end(void *area)
{
	uint64_t mark = weir_thread_burst;

	/* CACHE-R1 (partner GRACE-A2): what was done in the burst is seen by
	 * who sees it ended. A mark another thread replaced stays. */
	if (area != NULL)
		wi_cas_release(&((struct wi_area *)area)->busy, &mark, 0);
}

/* --- put --------------------------------------------------------------- */

static void backend_put(struct wi_cache *cache, unsigned zone, unsigned kind,
			const uint64_t *tokens, size_t n)
{
	if (n > 0)
		cache->backend.put(cache->backend.ctx, zone, kind, tokens, n);
}

/*
 * Refills that follow each other take more each time, and flushes leave less,
 * so that a CPU that only allocates or only frees is seldom in a zone. A drain
 * in between begins anew: what was taken from a list was not used up. Says how
 * many of these (which: 1 refills, -1 flushes) came right before this one.
 */
static unsigned count_in_a_row(struct wi_area *area, unsigned list, int which)
{
	uint32_t *in_a_row = &area->counters.in_a_row[list];
	/* Relaxed, all three: hints, whoever writes them. */
	uint32_t number = (uint32_t)(wi_load_relaxed(&area->active) >> 32) << 8;
	uint32_t old = wi_load_relaxed(in_a_row);
	int before = (int8_t)old * which;

	if (before < 0 || ((old ^ number) & ~UINT32_C(0xff)) != 0)
		before = 0;
	if (before < IN_A_ROW_MAX)
		wi_store_relaxed(in_a_row,
				 number | (uint8_t)((before + 1) * which));
	return (unsigned)before;
}

/*
 * A full list gives back what it has but the newest part: the half, or less
 * when flushes follow each other. All is popped, newest first, and the newest
 * part pushed again. (No slot below top is overwritten in place, pcplist I4.)
 */
static void flush(struct wi_cache *cache, unsigned zone, unsigned list)
{
	uint64_t newer[WEIR_LIST_MAX / 2 + 1], older[WI_CHUNK];
	struct wi_area *area = area_here(cache, zone);
	const size_t limit = cache->drain.limits[list];
	const size_t keep = limit / 2 >> count_in_a_row(area, list, -1);
	size_t kept = list_pop(cache, zone, list, newer, keep);
	size_t given = 0;
	size_t left = limit - keep;

	while (left > 0) {
		size_t n = list_pop(cache, zone, list, older,
				    wi_min_u64(left, WI_CHUNK));

		if (n == 0)
			break;
		backend_put(cache, zone, list, older, n);
		given += n;
		left -= n;
	}
	left = list_push(cache, zone, list, newer, kept);
	backend_put(cache, zone, list, newer + left, kept - left);
	given += kept - left;
	wi_add_relaxed(&area->counters.flushes, 1); /* a count */
	WI_TRACE(flush, &cache->drain, zone, area->cpu, list, given);
}

/* What is left when the list is full goes straight back if it is as much as a
 * batch. */
void wi_cache_put(struct wi_cache *cache, unsigned zone, unsigned kind,
		  const uint64_t *tokens, size_t n)
{
	size_t done = 0;

	wi_rseq_thread_init();
	wake_here(cache);
	if (has_list(cache, zone, kind)) {
		done = list_push(cache, zone, kind, tokens, n);
		if (done < n && n - done < cache->batch[kind] &&
		    cache->drain.limits[kind] > 1) {
			flush(cache, zone, kind);
			done += list_push(cache, zone, kind, tokens + done,
					  n - done);
		}
	}
	if (done == 0)
		tick(cache, zone);
	if (cache->drain.nr_zones > 1)
		tick_others(cache, zone);
	backend_put(cache, zone, kind, tokens + done, n - done);
}

/* --- get: list and back end -------------------------------------------- */

/* How many a refill takes, of which it hands out n at once. */
static size_t refill_size(struct wi_cache *cache, struct wi_area *area,
			  unsigned list)
{
	const size_t most = (cache->drain.limits[list] + 1) / 2;
	size_t batch = cache->batch[list];

	batch <<= count_in_a_row(area, list, 1);
	batch = wi_min_u64(batch, wi_min_u64(most, WI_REFILL_MAX));
	return wi_max_u64(batch, cache->batch[list]);
}

/* Few, as a rule: no call, and as wide as they will be read. */
static void copy(uint64_t *to, const uint64_t *from, size_t n)
{
	size_t i;

	for (i = 0; i + 2 <= n; i += 2)
		__builtin_memcpy(to + i, from + i, sizeof(weir_pair));
	if (i < n)
		to[i] = from[i];
}

/*
 * Tokens into this CPU's list so that gets of n at once, as this one, find them
 * in their order: by n, the last ones first. What does not fit goes back.
 * Returns how many did.
 */
static size_t stock(struct wi_cache *cache, unsigned zone,
		    const struct wi_get *get, const uint64_t *tokens, size_t nr)
{
	uint64_t turned[WI_REFILL_MAX];
	/* It is 1 at least, which clang's analyzer does not know. */
	const size_t n = wi_max_u64(get->n, 1);
	size_t at = 0, pushed;

	for (; n == 1 && nr - at >= 2; at += 2) {
		const weir_pair pair = { tokens[nr - at - 1],
					 tokens[nr - at - 2] };

		__builtin_memcpy(turned + at, &pair, sizeof(pair));
	}
	for (size_t end = nr - at, some; end > 0; end -= some) {
		some = wi_min_u64(end, n);
		copy(turned + at, tokens + end - some, some);
		at += some;
	}
	pushed = list_push(cache, zone, get->kind, turned, nr);
	backend_put(cache, zone, get->kind, turned + pushed, nr - pushed);
	return pushed;
}

/*
 * Up to n tokens from the back end, and a batch more for this CPU's list if
 * that asks for one. When the back end is short of tokens the list gets none:
 * others would have to drain them.
 */
static size_t refill(struct wi_cache *cache, unsigned zone,
		     const struct wi_get *get, size_t got)
{
	uint64_t tokens[WI_REFILL_MAX];
	const size_t n = get->n - got;
	size_t batch =
		has_list(cache, zone, get->kind) ? cache->batch[get->kind] : 1;
	struct wi_area *area = area_here(cache, zone);
	struct wi_area_counters *counters = &area->counters;
	size_t have, taken, pushed = 0;

	if (n >= batch) {
		wi_add_relaxed(&counters->direct, 1); /* a count */
		have = cache->backend.get(cache->backend.ctx, zone, get->kind,
					  get->tokens + got, n,
					  &counters->cursor);
		WI_TRACE(direct, &cache->drain, zone, area->cpu, get->kind, n,
			 have);
		return have;
	}
	batch = refill_size(cache, area, get->kind);
	have = cache->backend.get(cache->backend.ctx, zone, get->kind, tokens,
				  batch, &counters->cursor);
	taken = wi_min_u64(have, n);
	copy(get->tokens + got, tokens, taken);
	if (have == batch) {
		pushed = stock(cache, zone, get, tokens + taken, have - taken);
	} else {
		backend_put(cache, zone, get->kind, tokens + taken,
			    have - taken);
		/* Relaxed: a hint. */
		wi_store_relaxed(&counters->in_a_row[get->kind], 0);
	}
	wi_add_relaxed(&counters->refills, 1); /* a count */
	WI_TRACE(refill, &cache->drain, zone, area->cpu, get->kind, have,
		 pushed);
	return taken;
}

/* What this CPU's list and the zone's back end have. */
static size_t get_from_zone(struct wi_cache *cache, unsigned zone,
			    const struct wi_get *get, size_t got)
{
	if (get->kind < cache->drain.nr_lists)
		got += list_pop(cache, zone, get->kind, get->tokens + got,
				get->n - got);
	if (got < get->n)
		tick(cache, zone);
	while (got < get->n) {
		size_t n = refill(cache, zone, get, got);

		if (n == 0)
			break;
		got += n;
	}
	return got;
}

/* The zones, the local one first: `here` is read once a call, as its thread may
 * be moved to another node meanwhile. */
static size_t get_from_zones(struct wi_cache *cache, const struct wi_get *get,
			     unsigned here, size_t got)
{
	got = get_from_zone(cache, here, get, got);
	if (cache->drain.nr_zones > 1)
		tick_others(cache, here);
	if (get->flags & WI_GET_LOCAL)
		return got;
	for (unsigned i = 1; i < cache->drain.nr_zones && got < get->n; i++)
		got = get_from_zone(cache, (here + i) % cache->drain.nr_zones,
				    get, got);
	return got;
}

static bool is_enough(const struct wi_get *get, size_t got)
{
	return got == get->n || ((get->flags & WI_GET_SOME) && got > 0);
}

/* --- get: in need ------------------------------------------------------ */

/* What the sink of a drain gives tokens to, before the back end. */
struct need {
	struct wi_cache *cache;
	const struct wi_get *get; /* NULL: a drain for its own sake */
	unsigned here;		  /* the local zone of the get */
	size_t got;
	size_t part;	  /* what it had, and gave back before it drains */
	uint64_t pending; /* pages that the last drain had no evidence for */
};

/* May a token of whatever zone be handed to it? */
static bool may_wait_in_line(const struct need *need)
{
	return need->get != NULL &&
	       need->get->kind < need->cache->drain.nr_lists &&
	       (need->cache->drain.nr_zones == 1 ||
		!(need->get->flags & WI_GET_LOCAL));
}

/* Waits in line for a token of a list; NULL when the line is full. */
static struct wi_waiter *waiter_enter(struct wi_cache *cache, unsigned list)
{
	for (unsigned i = 0; i < WI_NR_WAITERS; i++) {
		struct wi_waiter *waiter = &cache->waiters[list][i];
		uint32_t expected = 0;

		/* CACHE-A1 (partner CACHE-R3): the last one in this place is
		 * gone. */
		if (!wi_cas_acquire(&waiter->taken, &expected, 1))
			continue;
		/* Relaxed: only an order among waiters. */
		wi_store_relaxed(&waiter->ticket,
				 wi_add_relaxed(&cache->tickets, 1));
		/* CACHE-R2 (partner CACHE-A2): the ticket before the wait. */
		wi_store_release(&waiter->token, WEIR_NONE);
		return waiter;
	}
	return NULL;
}

/* Leaves the line: the token that was handed over, or WEIR_AGAIN. */
static uint64_t waiter_leave(struct wi_waiter *waiter)
{
	uint64_t token;

	if (waiter == NULL)
		return WEIR_AGAIN;
	/* CACHE-A3 (partner CACHE-F1): what the token stands for. */
	token = wi_xchg_acq_rel(&waiter->token, WEIR_AGAIN);
	/* CACHE-R3 (partner CACHE-A1): the place is free when all is done. */
	wi_store_release(&waiter->taken, 0);
	return token == WEIR_NONE ? WEIR_AGAIN : token;
}

/* Hands a token to the waiter who came first; false if there is none. */
static bool serve(struct wi_cache *cache, unsigned list, uint64_t token)
{
	for (;;) {
		struct wi_waiter *first = NULL;
		uint64_t ticket = UINT64_MAX;
		uint64_t expected = WEIR_NONE;

		for (unsigned i = 0; i < WI_NR_WAITERS; i++) {
			struct wi_waiter *waiter = &cache->waiters[list][i];
			uint64_t its;

			/* CACHE-A2 (partner CACHE-R2). */
			if (wi_load_acquire(&waiter->token) != WEIR_NONE)
				continue;
			its = wi_load_relaxed(&waiter->ticket); /* CACHE-A2 */
			if (its < ticket) {
				ticket = its;
				first = waiter;
			}
		}
		if (first == NULL)
			return false;
		/* CACHE-F1 (partner CACHE-A3): the page's content with it. */
		if (wi_cas_full(&first->token, &expected, token))
			return true;
	}
}

/* The sink of drains: own need, then waiters in order, then the back end. */
static void sink(void *ctx, unsigned zone, unsigned list,
		 const uint64_t *tokens, size_t n)
{
	struct need *need = ctx;
	const struct wi_get *get = need->get;
	size_t i = 0;

	if (get != NULL && get->kind == list)
		while (i < n && need->got < get->n)
			get->tokens[need->got++] = tokens[i++];
	while (i < n && serve(need->cache, list, tokens[i]))
		i++;
	backend_put(need->cache, zone, list, tokens + i, n - i);
}

static int outcome_error(const struct wi_drain_request *request,
			 const struct wi_drain_outcome *outcome)
{
	const bool has_enough = request->want_pages != 0 &&
				outcome->pages >= request->want_pages;

	return outcome->nr_pending != 0 && !has_enough ? -EAGAIN : 0;
}

/*
 * Who drains now may wait for a burst of this thread, which is about to wait
 * for that drain: bursts end here, wherever they began. They go on with a
 * fence an operation. (Locked mode has no bursts. Who gets the mutex at once
 * keeps them: a drainer does not wait for itself, GRACE-R1.)
 */
static void drop_bursts(struct wi_cache *cache)
{
	const unsigned nr_cpus = cache->drain.locked ? 0 : cache->drain.nr_cpus;

	for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
		struct wi_area *area =
			wi_drain_area(&cache->drain,
				      cache->zone_of_cpu == NULL
					      ? 0
					      : cache->zone_of_cpu[cpu],
				      cpu);

		if (!wi_drain_has_woken(&cache->drain, cpu))
			continue;
		/* Relaxed: nobody else sets this thread's mark. */
		if (wi_load_relaxed(&area->busy) == weir_thread_burst)
			wi_cache_burst_end(area);
	}
}

/* Waits for who drains now; a token may be handed over meanwhile. */
static int wait_for_drain(struct need *need,
			  const struct wi_drain_request *request,
			  uint64_t *asked)
{
	struct wi_drain *drain = &need->cache->drain;
	struct wi_waiter *waiter = NULL;
	uint64_t token;
	int err;

	*asked = wi_drain_ask(drain);
	drop_bursts(need->cache);
	if (may_wait_in_line(need))
		waiter = waiter_enter(need->cache, need->get->kind);
	err = wi_drain_lock(drain, request->deadline_ns);
	token = waiter_leave(waiter);
	if (token < WEIR_AGAIN)
		need->get->tokens[need->got++] = token;
	return err;
}

/* A drain that serves the need first. To be called with cancellation put off: a
 * cancelled thread would keep the mutex, or a place in the line. */
static int drain_holding(struct need *need, struct wi_drain_request *request,
			 struct wi_drain_outcome *outcome, bool *taken_over)
{
	struct wi_drain *drain = &need->cache->drain;
	uint64_t asked = UINT64_MAX; /* it did not wait for any */

	wi_rseq_thread_init(); /* for drop_bursts() */
	*taken_over = false;
	request->ctx = need;
	if (!wi_drain_trylock(drain)) {
		int err = wait_for_drain(need, request, &asked);

		if (err != 0)
			return err;
	}
	if (need->get != NULL && is_enough(need->get, need->got)) {
		*outcome = (struct wi_drain_outcome){ 0 };
	} else if (wi_drain_covered(drain, asked, request, outcome)) {
		*taken_over = true;
	} else {
		wi_drain_run(drain, request, outcome);
	}
	wi_drain_unlock(drain);
	return outcome_error(request, outcome);
}

static int drain_for(struct need *need, struct wi_drain_request *request,
		     struct wi_drain_outcome *outcome, bool *taken_over)
{
	int cancel = wi_os_cancel_put_off();
	int err = drain_holding(need, request, outcome, taken_over);

	wi_os_cancel_allow(cancel);
	return err;
}

int wi_cache_drain(struct wi_cache *cache, struct wi_drain_request *request,
		   struct wi_drain_outcome *outcome, bool *taken_over)
{
	struct need need = { .cache = cache };

	return drain_for(&need, request, outcome, taken_over);
}

static size_t fail(const struct need *need, enum wi_failure why, int *error)
{
	struct wi_cache *cache = need->cache;

	wi_add_relaxed(&cache->drain.total->failures[why], 1); /* a count */
	WI_TRACE(exhausted, &cache->drain, why, need->get->kind, need->get->n,
		 need->got);
	if (need->get->shortage != NULL)
		*need->get->shortage =
			(struct wi_shortage){ why, need->pending };
	*error = why == WI_FAIL_EMPTY ? ENOMEM : EAGAIN;
	return need->got;
}

/* One drain in need: first of the local zone, for what is missing; then, as
 * the last word, everything of every zone that may serve the need. */
static int drain_in_need(struct need *need, bool last_word, uint64_t deadline,
			 struct wi_drain_outcome *outcome)
{
	struct wi_cache *cache = need->cache;
	const bool all = last_word && !(need->get->flags & WI_GET_LOCAL);
	struct wi_drain_request request = {
		.first_zone = all ? 0 : need->here,
		.nr_zones = all ? cache->drain.nr_zones : 1,
		.deadline_ns = deadline,
	};
	bool taken_over;
	int err;

	if (!last_word && need->get->kind < cache->drain.nr_lists)
		request.want_pages = (need->get->n - need->part) *
				     cache->drain.weight[need->get->kind];
	err = drain_for(need, &request, outcome, &taken_over);
	need->pending = outcome->pending;
	return err;
}

/*
 * Gives back what a get of all or none has so far: of two that keep a part
 * each, neither would find the rest, and both would say that there is none.
 * Returns what this adds to the generation.
 */
static uint64_t give_part_back(struct need *need)
{
	const struct wi_backend *backend = &need->cache->backend;
	const uint64_t *tokens = need->get->tokens;
	uint64_t nr_puts = 0;

	need->part = need->got;
	if (need->get->flags & WI_GET_SOME)
		return 0;
	for (size_t i = 0, n; i < need->got; i += n, nr_puts++) {
		unsigned zone = 0;

		n = wi_min_u64(need->got - i, WI_BATCH_MAX);
		if (backend->zone_of != NULL) {
			zone = backend->zone_of(backend->ctx, tokens[i]);
			for (size_t j = 1; j < n; j++)
				if (backend->zone_of(backend->ctx,
						     tokens[i + j]) != zone)
					n = j;
		}
		backend_put(need->cache, zone, need->get->kind, tokens + i, n);
	}
	need->got = 0;
	return nr_puts;
}

/*
 * Nothing in this CPU's lists nor in the zones: what other CPUs keep is taken
 * back. Each round: the zones again, a drain of the local zone for what is
 * missing, then (everything) a full drain.
 */
static size_t get_in_need(struct need need, int *error)
{
	struct wi_cache *cache = need.cache;
	const struct wi_get *get = need.get;
	const uint64_t deadline = wi_after_ns(wi_os_now_ns(), cache->wait_ns);
	struct wi_drain_outcome outcome = { 0 };

	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		uint64_t before = cache->backend.generation(cache->backend.ctx);
		int err;

		for (unsigned last_word = 0; last_word <= 1; last_word++) {
			need.got =
				get_from_zones(cache, get, need.here, need.got);
			if (is_enough(get, need.got))
				return need.got;
			before += give_part_back(&need);
			err = drain_in_need(&need, last_word, deadline,
					    &outcome);
			if (is_enough(get, need.got))
				return need.got;
			if (err == -ETIMEDOUT || err == -EDEADLK)
				return fail(&need, WI_FAIL_LOST, error);
		}
		need.got = get_from_zones(cache, get, need.here, need.got);
		if (is_enough(get, need.got))
			return need.got;
		before += give_part_back(&need);
		if (outcome.nr_pending == 0 &&
		    cache->backend.generation(cache->backend.ctx) == before)
			return fail(&need, WI_FAIL_EMPTY, error);
		if (wi_os_now_ns() >= deadline)
			break;
	}
	return fail(&need,
		    outcome.nr_pending != 0 ? WI_FAIL_PENDING : WI_FAIL_LOST,
		    error);
}

/* Parked sets of this CPU, which has just been seen between operations. */
static void collect(struct wi_cache *cache, unsigned zone, unsigned cpu)
{
	struct need need = { .cache = cache };
	int cancel = wi_os_cancel_put_off(); /* it would keep the mutex */

	if (wi_drain_trylock(&cache->drain)) {
		wi_drain_collect(&cache->drain, zone, cpu, &need);
		wi_drain_unlock(&cache->drain);
	}
	wi_os_cancel_allow(cancel);
}

static void collect_here(struct wi_cache *cache)
{
	const unsigned cpu = cpu_here(cache);

	for (unsigned zone = 0; zone < cache->drain.nr_zones; zone++)
		if (wi_drain_is_pending(&cache->drain, zone, cpu))
			collect(cache, zone, cpu);
}

size_t wi_cache_get(struct wi_cache *cache, const struct wi_get *get,
		    int *error)
{
	struct need need = {
		.cache = cache,
		.get = get,
		.here = wi_cache_zone_here(cache),
	};

	wi_rseq_thread_init();
	wake_here(cache);
	if (!(get->flags & WI_GET_NOWAIT))
		collect_here(cache);
	need.got = get_from_zones(cache, get, need.here, 0);
	if (is_enough(get, need.got))
		return need.got;
	if (get->flags & WI_GET_NOWAIT)
		return fail(&need, WI_FAIL_NOWAIT, error);
	return get_in_need(need, error);
}

/* --- beginning and end ------------------------------------------------- */

int wi_cache_init(struct wi_cache *cache, const struct wi_cache_config *config)
{
	struct wi_drain *drain = &cache->drain;

	wi_assert(config->nr_zones == 1 || config->backend.zone_of != NULL);
	drain->areas = config->areas;
	drain->nr_cpus = config->nr_cpus;
	drain->nr_zones = config->nr_zones;
	drain->nr_lists = config->nr_lists;
	drain->locked = config->locked;
	drain->sink = sink;
	cache->backend = config->backend;
	cache->zone_of_cpu = config->zone_of_cpu;
	cache->wait_ns = config->wait_ns;
	for (unsigned list = 0; list < config->nr_lists; list++) {
		uint64_t batch = config->batch / config->weight[list];

		drain->limits[list] = config->limits[list];
		drain->weight[list] = config->weight[list];
		batch = wi_max_u64(batch, 4);
		batch = wi_min_u64(batch, config->limits[list] / 2);
		batch = wi_min_u64(batch, WI_BATCH_MAX);
		cache->batch[list] = (uint16_t)wi_max_u64(batch, 1);
		for (unsigned i = 0; i < WI_NR_WAITERS; i++)
			cache->waiters[list][i].token = WEIR_AGAIN;
	}
	return wi_drain_init(drain, config->memory, config->modes,
			     config->online);
}

void wi_cache_fini(struct wi_cache *cache)
{
	wi_drain_fini(&cache->drain);
}
