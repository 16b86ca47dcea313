/* SPDX-License-Identifier: MIT */
/* Operations on this CPU's lists: see list.h. */
#include "percpu/list.h"

#include "os/rseq.h"

/* After this many aborts in a row an operation goes to the back end: under a
 * debugger that steps, a sequence never completes. */
#define TRIES_MAX 64
/* After this many refills or flushes in a row they no longer grow. */
#define IN_A_ROW_MAX 2

struct weir_i_lists wi_percpu_lists(const struct wi_drain *drain, unsigned rank)
{
	return (struct weir_i_lists){
		drain->areas + (size_t)rank * drain->nr_cpus * WEIR_AREA_BYTES,
		drain->locked ? 0 : drain->nr_cpus,
	};
}

unsigned wi_percpu_cpu_here(const struct wi_drain *drain)
{
	int cpu = wi_os_current_cpu();

	return cpu >= 0 && (unsigned)cpu < drain->nr_cpus ? (unsigned)cpu : 0;
}

unsigned wi_percpu_zone_here(const struct wi_drain *drain)
{
	return wi_drain_home(drain, wi_percpu_cpu_here(drain));
}

/* The rank of a zone on this CPU: a guess, as the thread may be moved to a CPU
 * at home elsewhere. A push compares the bounds; what a pop gives may be of any
 * zone. */
static unsigned rank_here(const struct wi_drain *drain, unsigned zone)
{
	const unsigned home = wi_percpu_zone_here(drain);

	return zone >= home ? zone - home : zone + drain->nr_zones - home;
}

static uint64_t seq_pop(const struct weir_i_lists *l, unsigned list)
{
#define CASE(k)                                                                \
	case k:                                                                \
		return weir_i_pop(l, k);
	WEIR_I_LIST_SWITCH(list, CASE)
#undef CASE
	return WEIR_NONE;
}

static int seq_push(const struct weir_i_lists *l, unsigned list, uint64_t token)
{
#define CASE(k)                                                                \
	case k:                                                                \
		return weir_i_push(l, k, token, token);
	WEIR_I_LIST_SWITCH(list, CASE)
#undef CASE
	return 0;
}

static unsigned seq_pop_bulk(const struct weir_i_lists *l, unsigned list,
			     uint64_t *tokens, unsigned n)
{
#define CASE(k)                                                                \
	case k:                                                                \
		return weir_i_pop_bulk(l, k, tokens, n);
	WEIR_I_LIST_SWITCH(list, CASE)
#undef CASE
	return 0;
}

static unsigned seq_push_bulk(const struct weir_i_lists *l, unsigned list,
			      const uint64_t *tokens, unsigned n,
			      uint64_t first)
{
#define CASE(k)                                                                \
	case k:                                                                \
		return weir_i_push_bulk(l, k, tokens, n, first);
	WEIR_I_LIST_SWITCH(list, CASE)
#undef CASE
	return 0;
}

struct wi_area *wi_percpu_area_here(const struct wi_drain *drain, unsigned zone)
{
	return wi_drain_area(drain, zone, wi_percpu_cpu_here(drain));
}

static size_t pop_locked(struct wi_drain *drain, unsigned zone, unsigned list,
			 uint64_t *tokens, size_t n)
{
	struct wi_area *area = wi_percpu_area_here(drain, zone);

	if (!wi_area_trylock(area, weir_i_thread_burst))
		return 0;
	n = wi_area_pop_locked(area, list, tokens, n);
	wi_area_unlock(area);
	return n;
}

static size_t push_locked(struct wi_drain *drain, unsigned zone, unsigned list,
			  const uint64_t *tokens, size_t n)
{
	struct wi_area *area = wi_percpu_area_here(drain, zone);

	if (!wi_area_trylock(area, weir_i_thread_burst))
		return 0;
	n = wi_area_push_locked(area, list, tokens, n);
	wi_area_unlock(area);
	return n;
}

static void count_abort(struct wi_drain *drain, unsigned zone)
{
	wi_area_count(wi_percpu_area_here(drain, zone), WI_AREA_ABORT);
}

size_t wi_percpu_pop(struct wi_drain *drain, unsigned zone, unsigned list,
		     uint64_t *tokens, size_t n)
{
	const struct weir_i_lists lists =
		wi_percpu_lists(drain, rank_here(drain, zone));
	size_t got = 0;

	if (drain->locked)
		return pop_locked(drain, zone, list, tokens, n);
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
			count_abort(drain, zone);
		else
			tokens[got++] = token;
	}
	return got;
}

size_t wi_percpu_push(struct wi_drain *drain, unsigned zone, unsigned list,
		      const uint64_t *tokens, size_t n)
{
	const struct weir_i_bounds *bounds = drain->bounds;
	const uint64_t first = bounds == NULL ? 0 : bounds[zone].first;
	unsigned rank = rank_here(drain, zone);
	size_t done = 0;

	if (drain->locked)
		return push_locked(drain, zone, list, tokens, n);
	for (unsigned tries = 0; done < n && tries < TRIES_MAX; tries++) {
		const struct weir_i_lists lists = wi_percpu_lists(drain, rank);
		const unsigned before = rank;
		int pushed;

		if (n - done > 1)
			done += seq_push_bulk(&lists, list, tokens + done,
					      (unsigned)(n - done), first);
		if (done == n)
			break;
		pushed = seq_push(&lists, list, tokens[done]);
		if (pushed == 0) {
			/* Full; or the bounds refused, after a move. */
			rank = rank_here(drain, zone);
			if (rank == before)
				break;
			continue;
		}
		if (pushed < 0)
			count_abort(drain, zone);
		else
			done++;
	}
	return done;
}

unsigned wi_area_count_in_a_row(struct wi_area *area, unsigned list, int which)
{
	uint32_t *in_a_row = &area->counters.in_a_row[list];
	/* Relaxed, all three: hints, which any thread may write. */
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

void wi_area_end_row(struct wi_area *area, unsigned list)
{
	/* Relaxed: a hint. */
	wi_store_relaxed(&area->counters.in_a_row[list], 0);
}

void wi_percpu_wake_here(struct wi_drain *drain)
{
	const unsigned cpu = wi_percpu_cpu_here(drain);
	int cancel;

	if (wi_likely(wi_drain_has_woken(drain, cpu)))
		return;
	cancel = wi_os_cancel_put_off(); /* it would keep the mutex */
	if (wi_drain_trylock(drain)) {
		wi_drain_wake(drain, cpu);
		wi_drain_unlock(drain);
	}
	wi_os_cancel_allow(cancel);
}

bool wi_percpu_has_list(const struct wi_drain *drain, unsigned zone,
			unsigned list)
{
	/* Relaxed: a hint. */
	return list < drain->nr_lists &&
	       wi_active_set(wi_load_relaxed(
		       &wi_percpu_area_here(drain, zone)->active)) !=
		       WI_SET_NULL;
}

unsigned wi_percpu_limit_here(const struct wi_drain *drain, unsigned zone,
			      unsigned list)
{
	struct wi_area *area = wi_percpu_area_here(drain, zone);
	/* Relaxed, both: hints. */
	const unsigned set = wi_active_set(wi_load_relaxed(&area->active));
	const uint64_t header =
		wi_load_relaxed(&wi_area_headers(area, set)[list]);

	return set == WI_SET_NULL
		       ? wi_percpu_first_limit(drain, list)
		       : wi_header_count(header) + wi_header_room(header);
}

/* Not inlined: the library's one copy of the sequence, which tests can step
 * through. In locked mode, in which the lists have no CPUs, it leaves at once:
 * the holder's mark is the only evidence. */
static __attribute__((noinline)) void tick_rank(const struct wi_drain *drain,
						unsigned rank)
{
	const struct weir_i_lists lists = wi_percpu_lists(drain, rank);

	weir_i_tick(&lists);
}

void wi_percpu_tick(const struct wi_drain *drain, unsigned zone)
{
	tick_rank(drain, rank_here(drain, zone));
}

void wi_percpu_tick_others(const struct wi_drain *drain, unsigned zone)
{
	for (unsigned i = 0; i < drain->nr_zones; i++) {
		struct wi_area *area = wi_percpu_area_here(drain, i);
		/* Relaxed, both: a hint; the tick itself is a sequence. */
		uint64_t active = wi_load_relaxed(&area->active);

		if (i != zone && wi_load_relaxed(&area->seen) != active)
			wi_percpu_tick(drain, i);
	}
}

void wi_percpu_tick_all(const struct wi_drain *drain)
{
	for (unsigned rank = 0; rank < drain->nr_zones; rank++)
		tick_rank(drain, rank);
}

/* A burst that was aborted rather than refused: this CPU is quiet, and in no
 * burst of this thread. */
static bool may_begin_burst(struct wi_drain *drain)
{
	const struct wi_area *area =
		wi_percpu_area_here(drain, wi_percpu_zone_here(drain));

	/* Relaxed, both: a hint; the sequence looks again. */
	return wi_active_is_quiet(wi_load_relaxed(&area->active)) &&
	       wi_load_relaxed(&area->busy) != weir_i_thread_burst;
}

void *wi_percpu_burst_begin(struct wi_drain *drain)
{
	const struct weir_i_lists lists = wi_percpu_lists(drain, 0);
	void *area;
	unsigned tries = TRIES_MAX;

	wi_rseq_thread_init();
	do {
		area = weir_i_burst(&lists);
	} while (area == NULL && lists.nr_cpus != 0 && may_begin_burst(drain) &&
		 --tries > 0);
	return area;
}

void wi_percpu_burst_end(void *area)
{
	uint64_t mark = weir_i_thread_burst;

	/* CACHE-R1 (partner EVIDENCE-A2): a thread that sees the burst ended
	 * sees what was done in it. The mark of another thread that replaced
	 * this one stays. */
	if (area != NULL)
		wi_cas_release(&((struct wi_area *)area)->busy, &mark, 0);
}

void wi_percpu_drop_bursts(struct wi_drain *drain)
{
	const unsigned nr_cpus = drain->locked ? 0 : drain->nr_cpus;

	for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
		struct wi_area *area =
			wi_drain_area(drain, wi_drain_home(drain, cpu), cpu);

		if (!wi_drain_has_woken(drain, cpu))
			continue;
		/* Relaxed: no other thread sets this thread's mark. */
		if (wi_load_relaxed(&area->busy) == weir_i_thread_burst)
			wi_percpu_burst_end(area);
	}
}
