/* SPDX-License-Identifier: MIT */
/*
 * Growth: addresses that a pool reserved get pages, beside threads that
 * allocate, free and drain.
 *
 *	zone  | blocks that exist ........| absent blocks .............|
 *	      ^ first                     ^ first + bound    all it may get ^
 *
 * The order of the steps, for each zone:
 *
 *	1  the memory is backed, where it must be
 *	2  what exists: the zone's bound, the numbers of runs, `present`
 *	3  the bound in the areas of all CPUs
 *	4  the states of the blocks, absent to free: exchanges
 *	5  summaries, then the generation
 *
 * A free of a page that was just added may run on any CPU, and must not be
 * refused as a page that does not exist. It passes, although it reads what was
 * written in 2 and 3 by plain loads: who frees a page has it from the thread
 * that claimed it, by a hand-over that orders, and that thread's claim read a
 * state of 4 (ZONE-A1 and ZONE-A2 with ZONE-R2). So the free comes after 2 and
 * 3. A CPU on which the inlined push still finds the old bound (a CPU that was
 * asleep, say) takes the slow path, which compares with 2.
 *
 * Rules, each with its case in models/zone-grow:
 *   - 2 before 4; else a free is refused, and more pages are free than exist.
 *     Statistics read in the other order, states first (STAT-A2).
 *   - The drain mutex is held in 2 and 3: a CPU that wakes up meanwhile sets up
 *     its area under it, with the old bound or after 3.
 *   - 5 after 4; else a search that found nothing is not repeated: a false
 *     ENOMEM.
 *   - One growth at a time.
 */
#include <errno.h>
#include <inttypes.h>

#include <weir/weir.h>

#include "api/pool.h"
#include "os/report.h"

void wi_pool_share_out(const struct wi_pool *pool, uint64_t bytes,
		       uint64_t *more)
{
	uint64_t room[WI_NODES_MAX];

	for (unsigned zone = 0; zone < pool->nr_zones; zone++) {
		room[zone] = wi_pool_offset_of(pool,
					       wi_pool_zone_pages(pool, zone)) -
			     wi_pool_present_bytes(pool, zone);
		more[zone] = 0;
	}
	/* Even shares; what has no room there goes to the first that have. */
	for (unsigned i = 0; i < 2 * pool->nr_zones; i++) {
		const unsigned zone = i % pool->nr_zones;
		const unsigned parts =
			i < pool->nr_zones ? pool->nr_zones - zone : 1;
		uint64_t share = wi_div_round_up(bytes, parts);

		share = wi_div_round_up(share, pool->grow_bytes) *
			pool->grow_bytes;
		share = wi_min_u64(share, wi_min_u64(bytes, room[zone]));
		more[zone] += share;
		room[zone] -= share;
		bytes -= share;
	}
}

uint64_t wi_pool_max_runs(const struct wi_pool *pool, unsigned order)
{
	uint64_t runs = 0;

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		if (order <= pool->zone_order[zone])
			runs += wi_pool_zone_pages(pool, zone) >> order;
	return runs;
}

void wi_pool_count_pages(struct wi_pool *pool, unsigned zone, uint64_t before)
{
	const uint64_t now = wi_pool_present_pages(pool, zone);

	/* Relaxed, both: one thread at a time writes; read as hints, or in an
	 * order of the reader's (STAT-A2). */
	for (unsigned order = 0; order <= pool->zone_order[zone]; order++)
		wi_store_relaxed(&pool->nr_runs[order],
				 pool->nr_runs[order] + (now >> order) -
					 (before >> order));
	wi_store_relaxed(&wi_pool_totals(pool)->present[zone], now);
}

/* Steps 2 and 3, with the drain mutex. */
static void raise_bound(struct wi_pool *pool, unsigned zone, uint64_t more)
{
	const uint64_t before = wi_pool_present_pages(pool, zone);

	/* Relaxed: ordered by the exchange of step 4 (ZONE-R2). */
	wi_store_relaxed(&pool->bounds[zone].bound,
			 wi_pool_present_bytes(pool, zone) + more);
	wi_pool_count_pages(pool, zone, before);
	wi_drain_raise_bound(&pool->cache.drain, zone);
}

static int raise_bounds(struct wi_pool *pool, const uint64_t *more,
			uint64_t deadline_ns)
{
	struct wi_drain *drain = &pool->cache.drain;
	int err = 0;

	wi_rseq_thread_init(); /* for wi_percpu_drop_bursts() */
	if (!wi_drain_trylock(drain)) {
		wi_percpu_drop_bursts(drain);
		err = wi_drain_lock(drain, deadline_ns);
	}
	if (err != 0)
		return err;
	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		if (more[zone] > 0)
			raise_bound(pool, zone, more[zone]);
	wi_drain_unlock(drain);
	return 0;
}

/* Steps 4 and 5. */
static void add_blocks(struct wi_pool *pool, const uint64_t *more)
{
	for (unsigned zone = 0; zone < pool->nr_zones; zone++) {
		const uint64_t end = wi_pool_present_bytes(pool, zone);

		if (more[zone] > 0)
			wi_zone_add(pool->zone[zone],
				    (end - more[zone]) / pool->page_size,
				    more[zone] / pool->page_size);
	}
}

/* By the one thread that grows it. */
static int grow_locked(struct wi_pool *pool, uint64_t bytes,
		       uint64_t deadline_ns)
{
	const uint64_t now = wi_pool_offset_of(pool, wi_pool_nr_pages(pool));
	uint64_t more[WI_NODES_MAX];
	int err;

	if (bytes > pool->bytes - now) {
		wi_report("bytes: %" PRIu64 " more, but the pool has %" PRIu64
			  " of max_capacity %" PRIu64,
			  bytes, now, pool->bytes);
		return -ENOSPC;
	}
	wi_pool_share_out(pool, bytes, more);
	err = wi_pool_back_more(pool, more);
	if (err == 0)
		err = raise_bounds(pool, more, deadline_ns);
	if (err == 0)
		add_blocks(pool, more);
	return err;
}

static int grow_pool(struct wi_pool *pool, uint64_t bytes)
{
	uint64_t deadline_ns;
	int err;

	wi_report_nothing();
	if (pool->grow_bytes == 0) {
		wi_report("max_capacity: the pool was made without");
		return -ENOSPC;
	}
	if (bytes == 0 || bytes % pool->grow_bytes != 0) {
		wi_report("bytes: %" PRIu64 " is not a multiple of %" PRIu64
			  ", at least one",
			  bytes, pool->grow_bytes);
		return -EINVAL;
	}
	deadline_ns = wi_after_ns(wi_os_now_ns(), pool->cache.wait_ns);
	err = wi_os_mutex_lock(&pool->growing, deadline_ns);
	if (err != 0)
		return err;
	err = grow_locked(pool, bytes, deadline_ns);
	wi_os_mutex_unlock(&pool->growing);
	return err;
}

int weir_pool_grow(struct weir_pool *handle, uint64_t bytes)
{
	struct wi_pool *pool = wi_pool_of(handle);
	int cancel, err;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	cancel = wi_os_cancel_put_off(); /* it would keep the mutexes */
	err = grow_pool(pool, bytes);
	wi_os_cancel_allow(cancel);
	if (err == 0) /* what it added is free */
		wi_pool_serve_requests(pool);
	return err;
}
