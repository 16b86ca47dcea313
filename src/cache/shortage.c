/* SPDX-License-Identifier: MIT */
/*
 * What an allocation does when neither this CPU's list nor the back end has
 * enough: drains, and waiters' places while another thread drains.
 */
#include <errno.h>

#include "base/trace.h"
#include "cache/internal.h"
#include "os/rseq.h"

/* How often a get in shortage starts over after other threads took what it
 * found. */
#define ROUNDS_MAX 16

/* May it be handed a token of any zone? */
static bool may_wait_in_line(const struct wi_need *need)
{
	return need->get != NULL &&
	       need->get->kind < wi_percpu_nr_lists(&need->cache->drain) &&
	       (wi_percpu_nr_zones(&need->cache->drain) == 1 ||
		!(need->get->flags & WI_GET_LOCAL));
}

/* Takes a waiter's place of a list; NULL when all places are taken. */
static struct wi_waiter *waiter_enter(struct wi_cache *cache, unsigned list)
{
	for (unsigned i = 0; i < WI_NR_WAITERS; i++) {
		struct wi_waiter *waiter = &cache->waiters[list][i];
		uint32_t expected = 0;

		/* CACHE-A1 (partner CACHE-R3): the last waiter has left this
		 * place. */
		if (!wi_cas_acquire(&waiter->taken, &expected, 1))
			continue;
		/* Relaxed: only an order among waiters. */
		wi_store_relaxed(&waiter->turn,
				 wi_add_relaxed(&cache->turns, 1));
		/* CACHE-R2 (partner CACHE-A2): the turn before the wait. */
		wi_store_release(&waiter->token, WEIR_NONE);
		return waiter;
	}
	return NULL;
}

/* Leaves the place: returns the token that was handed over, or WEIR_AGAIN. */
static uint64_t waiter_leave(struct wi_waiter *waiter)
{
	uint64_t token;

	if (waiter == NULL)
		return WEIR_AGAIN;
	/* CACHE-A3 (partner CACHE-F1): the content of the page. */
	token = wi_xchg_acq_rel(&waiter->token, WEIR_AGAIN);
	/* CACHE-R3 (partner CACHE-A1): the place is free when all is done. */
	wi_store_release(&waiter->taken, 0);
	return token == WEIR_NONE ? WEIR_AGAIN : token;
}

/* Hands a token to the waiter whose turn is the oldest; false if there is
 * none. */
static bool serve_waiter(struct wi_cache *cache, unsigned list, uint64_t token)
{
	for (;;) {
		struct wi_waiter *first = NULL;
		uint64_t turn = UINT64_MAX;
		uint64_t expected = WEIR_NONE;

		for (unsigned i = 0; i < WI_NR_WAITERS; i++) {
			struct wi_waiter *waiter = &cache->waiters[list][i];
			uint64_t its;

			/* CACHE-A2 (partner CACHE-R2). */
			if (wi_load_acquire(&waiter->token) != WEIR_NONE)
				continue;
			its = wi_load_relaxed(&waiter->turn); /* CACHE-A2 */
			if (its < turn) {
				turn = its;
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

/* Gives away what a drain took: own need, then waiters in order, then the back
 * end. */
static void hand_out_drained(struct wi_need *need,
			     const struct wi_drained *drained)
{
	const struct wi_get *get = need->get;
	const unsigned list = drained->list;
	const uint64_t *tokens = drained->tokens;
	const size_t n = drained->n;
	size_t i = 0;

	if (get != NULL && get->kind == list)
		while (i < n && need->got < get->n)
			get->tokens[need->got++] = tokens[i++];
	while (i < n && serve_waiter(need->cache, list, tokens[i]))
		i++;
	wi_cache_give_back(need->cache, drained->zone, list, tokens + i, n - i);
}

static void run_drain(struct wi_need *need,
		      const struct wi_drain_request *request,
		      struct wi_drain_outcome *outcome)
{
	struct wi_drain_run run;
	struct wi_drained drained;

	wi_drain_begin(&run, &need->cache->drain, request);
	while (wi_drain_next(&run, &drained))
		hand_out_drained(need, &drained);
	*outcome = run.outcome;
}

static int outcome_error(const struct wi_drain_request *request,
			 const struct wi_drain_outcome *outcome)
{
	const bool has_enough = request->want_pages != 0 &&
				outcome->pages >= request->want_pages;

	return outcome->nr_pending != 0 && !has_enough ? -EAGAIN : 0;
}

/* Waits for the current drainer; a token may be handed over meanwhile. */
static int wait_for_drain(struct wi_need *need,
			  const struct wi_drain_request *request,
			  uint64_t *asked)
{
	struct wi_drain *drain = &need->cache->drain;
	struct wi_waiter *waiter = NULL;
	uint64_t token;
	int err;

	*asked = wi_drain_ask(drain);
	wi_percpu_drop_bursts(&need->cache->drain);
	if (may_wait_in_line(need))
		waiter = waiter_enter(need->cache, need->get->kind);
	err = wi_drain_lock(drain, request->deadline_ns);
	token = waiter_leave(waiter);
	if (token < WEIR_AGAIN)
		need->get->tokens[need->got++] = token;
	return err;
}

/* With the mutex, or the error of not getting it: a drain that serves the need
 * first. */
static int lock_and_drain(struct wi_need *need,
			  const struct wi_drain_request *request,
			  struct wi_drain_outcome *outcome, bool *taken_over)
{
	struct wi_drain *drain = &need->cache->drain;
	uint64_t asked = UINT64_MAX; /* it did not wait for any */

	wi_rseq_thread_init(); /* for wi_percpu_drop_bursts() */
	*taken_over = false;
	if (!wi_drain_trylock(drain)) {
		int err = -ETIMEDOUT;

		if (request->deadline_ns != WI_NO_WAIT)
			err = wait_for_drain(need, request, &asked);
		if (err != 0)
			return err;
	}
	if (need->get != NULL && wi_get_is_enough(need->get, need->got))
		*outcome = (struct wi_drain_outcome){ 0 };
	else if (wi_drain_covered(drain, asked, request, outcome))
		*taken_over = true;
	else
		run_drain(need, request, outcome);
	wi_drain_unlock(drain);
	return outcome_error(request, outcome);
}

/* Cancellation is put off: a cancelled thread would keep the mutex, or a place
 * in the line. */
static int drain_for(struct wi_need *need,
		     const struct wi_drain_request *request,
		     struct wi_drain_outcome *outcome, bool *taken_over)
{
	int cancel = wi_os_cancel_put_off();
	int err = lock_and_drain(need, request, outcome, taken_over);

	wi_os_cancel_allow(cancel);
	return err;
}

int wi_cache_drain(struct wi_cache *cache,
		   const struct wi_drain_request *request,
		   struct wi_drain_outcome *outcome, bool *taken_over)
{
	struct wi_need need = { .cache = cache };

	return drain_for(&need, request, outcome, taken_over);
}

void wi_cache_count_failure(struct wi_cache *cache, enum wi_failure why,
			    unsigned kind, size_t n, size_t got)
{
	wi_add_relaxed(&cache->totals->failures[why], 1); /* a count */
	WI_TRACE(exhausted, &cache->drain, why, kind, n, got);
}

size_t wi_cache_fail(const struct wi_need *need, enum wi_failure why,
		     int *error)
{
	wi_cache_count_failure(need->cache, why, need->get->kind, need->get->n,
			       need->got);
	if (need->get->shortage != NULL)
		*need->get->shortage =
			(struct wi_shortage){ why, need->pending };
	*error = why == WI_FAIL_EMPTY ? ENOMEM : EAGAIN;
	return need->got;
}

/* One drain in a shortage: first of the local zone, for what is missing; then a
 * full drain of every zone that may serve the need. */
static int drain_in_need(struct wi_need *need, bool last_word,
			 uint64_t deadline, struct wi_drain_outcome *outcome)
{
	struct wi_cache *cache = need->cache;
	const bool all = last_word && !(need->get->flags & WI_GET_LOCAL);
	struct wi_drain_request request = {
		.first_zone = all ? 0 : need->here,
		.nr_zones = all ? wi_percpu_nr_zones(&cache->drain) : 1,
		.deadline_ns = deadline,
	};
	bool taken_over;
	int err;

	if (!last_word && need->get->kind < wi_percpu_nr_lists(&cache->drain))
		request.want_pages =
			(need->get->n - need->part) *
			wi_percpu_weight(&cache->drain, need->get->kind);
	err = drain_for(need, &request, outcome, &taken_over);
	need->pending = outcome->pending;
	return err;
}

uint64_t wi_cache_give_part_back(struct wi_cache *cache, unsigned kind,
				 const uint64_t *tokens, size_t n)
{
	uint64_t nr_puts = 0;

	for (size_t same; n > 0; tokens += same, n -= same, nr_puts++) {
		unsigned zone;

		same = wi_cache_same_zone(cache, tokens,
					  wi_min_u64(n, WI_BATCH_MAX), &zone);
		wi_cache_give_back(cache, zone, kind, tokens, same);
	}
	return nr_puts;
}

/*
 * Returns what an all-or-none get has so far. Otherwise two of them could each
 * hold part of what the other needs, and both fail.
 */
static uint64_t give_part_back(struct wi_need *need)
{
	uint64_t nr_puts;

	need->part = need->got;
	if (need->get->flags & WI_GET_SOME)
		return 0;
	nr_puts = wi_cache_give_part_back(need->cache, need->get->kind,
					  need->get->tokens, need->got);
	need->got = 0;
	return nr_puts;
}

/* Did a round that began with these counts, and whose search found too little,
 * miss nothing? */
static bool missed_nothing(const struct wi_cache *cache, uint64_t generation,
			   uint64_t holders)
{
	return cache->backend.generation(cache->backend.ctx) == generation &&
	       wi_requests_held_nothing(cache, holders);
}

/*
 * Neither this CPU's list nor the zones had enough: takes tokens from the lists
 * of other CPUs. Each round: the zones again, a drain of the local zone for
 * what is missing, then (everything) a full drain.
 */
static size_t drain_until_enough(struct wi_need need, uint64_t start,
				 int *error)
{
	struct wi_cache *cache = need.cache;
	const struct wi_get *get = need.get;
	const uint64_t deadline =
		wi_after_ns(start, get->wait_ns == WEIR_WAIT_DEFAULT
					   ? cache->wait_ns
					   : get->wait_ns);
	struct wi_drain_outcome outcome = { 0 };

	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		uint64_t before = cache->backend.generation(cache->backend.ctx);
		const uint64_t holders = wi_requests_holders(cache);
		int err;

		for (unsigned last_word = 0; last_word <= 1; last_word++) {
			need.got = wi_cache_get_from_zones(cache, get,
							   need.here, need.got);
			if (wi_get_is_enough(get, need.got))
				return need.got;
			before += give_part_back(&need);
			err = drain_in_need(&need, last_word, deadline,
					    &outcome);
			if (wi_get_is_enough(get, need.got))
				return need.got;
			if (err == -ETIMEDOUT || err == -EDEADLK)
				return wi_cache_fail(&need, WI_FAIL_LOST,
						     error);
		}
		need.got = wi_cache_get_from_zones(cache, get, need.here,
						   need.got);
		if (wi_get_is_enough(get, need.got))
			return need.got;
		before += give_part_back(&need);
		if (outcome.nr_pending == 0 &&
		    missed_nothing(cache, before, holders))
			return wi_cache_fail(&need, WI_FAIL_EMPTY, error);
		if (wi_os_now_ns() >= deadline)
			break;
	}
	return wi_cache_fail(
		&need, outcome.nr_pending != 0 ? WI_FAIL_PENDING : WI_FAIL_LOST,
		error);
}

/* What it drained and does not need may be enough for a request. */
size_t wi_cache_get_in_need(struct wi_need need, int *error)
{
	const uint64_t start = wi_os_now_ns();
	const size_t got = drain_until_enough(need, start, error);

	/* Relaxed, both: for statistics. */
	wi_add_relaxed(&need.cache->totals->stalls, 1);
	wi_add_relaxed(&need.cache->totals->stall_ns, wi_os_now_ns() - start);
	wi_requests_pass_events(need.cache);
	return got;
}

/* Collects pending sets of this CPU, which is between operations now. */
static void collect_pending(struct wi_cache *cache, unsigned zone, unsigned cpu)
{
	struct wi_need need = { .cache = cache };
	struct wi_drain_run run;
	struct wi_drained drained;
	int cancel = wi_os_cancel_put_off(); /* it would keep the mutex */

	if (wi_drain_trylock(&cache->drain)) {
		wi_drain_begin_collect(&run, &cache->drain, zone, cpu);
		while (wi_drain_next(&run, &drained))
			hand_out_drained(&need, &drained);
		wi_drain_unlock(&cache->drain);
	}
	wi_os_cancel_allow(cancel);
}

void wi_cache_collect_here(struct wi_cache *cache)
{
	const unsigned cpu = wi_percpu_cpu_here(&cache->drain);

	for (unsigned zone = 0; zone < wi_percpu_nr_zones(&cache->drain);
	     zone++)
		if (wi_drain_is_pending(&cache->drain, zone, cpu))
			collect_pending(cache, zone, cpu);
}
