/* SPDX-License-Identifier: MIT */
/* What a pool of a given size would keep out of reach, and the size that has
 * enough beside it. */
#include "size/size.h"

#include <inttypes.h>
#include <unistd.h>

#include <weir/weir.h>

#include "api/pool.h" /* the sizes of what a pool allocates */
#include "common/tool.h"

/* Each round makes a larger pool; as a rule five do. */
#define ROUNDS_MAX 100
#define BLOCK 512 /* pages */
#define CAPACITY_MAX (UINT64_C(1) << 46)

/* What one CPU's set of lists may hold, and what a thread that is stopped
 * within a call may have in its hands, pages. */
struct keeps {
	uint64_t set, call;
};

static void read_limits(const struct size_question *q, const struct wi_pool *p,
			struct size_answer *a, struct keeps *keeps)
{
	*keeps = (struct keeps){ 0, 0 };
	a->nr_limits = 0;
	for (unsigned list = 0; list < WI_POOL_LISTS; list++) {
		const uint64_t limit =
			wi_percpu_first_limit(&p->cache.drain, list);
		const uint64_t weight = wi_percpu_weight(&p->cache.drain, list);
		uint64_t half = limit / 2;
		uint64_t hands = p->cache.batch[list];

		if (!wi_cpuset_test(&q->orders, wi_pool_order_of_kind(list)))
			continue;
		/* A full list is taken out by halves, the older one in parts
		 * of WI_CHUNK (wi_cache_flush() in refill.c). */
		half += wi_min_u64(limit - half, WI_CHUNK);
		hands = wi_max_u64(hands, half);
		keeps->set += limit * weight;
		keeps->call = wi_max_u64(keeps->call, hands * weight);
		a->limit[a->nr_limits++] =
			(struct size_limit){ wi_pool_order_of_kind(list),
					     (unsigned)limit };
	}
	keeps->set *= p->nr_zones; /* a CPU has lists for each */
}

static void read_modes(const struct size_question *q,
		       const struct wi_pool *pool, struct size_answer *a)
{
	a->nr_cpus = wi_cpuset_count(&q->cpus);
	a->nr_quiet = a->nr_polling = 0;
	for (unsigned cpu = wi_cpuset_next(&q->cpus, 0); cpu < WI_CPUS_MAX;
	     cpu = wi_cpuset_next(&q->cpus, cpu + 1)) {
		int mode = weir_get_mode(pool->handle, cpu);

		a->nr_quiet += mode == WEIR_MODE_QUIET;
		a->nr_polling += mode == WEIR_MODE_POLLING;
	}
	a->nr_online = wi_cpuset_count(&pool->machine.topology.online);
	a->nr_possible = pool->machine.topology.nr_cpus;
	a->locked = pool->machine.locked;
}

/*
 * The lines of the sum. What a set of lists keeps is out of reach:
 *
 *   in use, of another CPU        until it is drained
 *   taken by a drain              until there is evidence: quiet and polling
 *                                 CPUs may be late with it, and who must not
 *                                 wait misses what an ordinary one's is worth
 *                                 while the drain runs
 *   the second set                taken as well, which needs late evidence
 *
 * A CPU's own list in use is in its reach, and so is, for who may wait, all
 * that is its own.
 */
static void add_up(const struct size_question *q, struct size_answer *a,
		   const struct keeps *keeps)
{
	const unsigned cpus = a->nr_cpus;
	const unsigned late = a->locked ? cpus : a->nr_quiet + a->nr_polling;
	const unsigned late_others = late - (late == cpus);
	unsigned lists = cpus - 1, taken = cpus, second = late > 0;

	if (q->need == SIZE_UNDRAINED)
		taken = second = 0;
	if (q->need == SIZE_WAIT) {
		lists = taken = late_others;
		second = 0;
	}
	const struct size_term term[SIZE_TERMS] = {
		{ "in_use", "in use at once", 1, q->in_use, 0 },
		{ "burst", "in use for a short time beside them", 1, q->burst,
		  0 },
		{ "lists",
		  q->need == SIZE_WAIT
			  ? "in lists of other CPUs that may be late with "
			    "evidence (quiet, polling)"
			  : "in lists of other CPUs",
		  lists, keeps->set, 0 },
		{ "taken",
		  q->need == SIZE_WAIT
			  ? "in sets of lists that a drain took from those "
			    "CPUs and still waits for"
			  : "in sets of lists that a drain took and has not "
			    "yet given back",
		  taken, keeps->set, 0 },
		{ "second",
		  "in the second set of the allocating CPU, if that is quiet "
		  "or "
		  "polling and a drain took both",
		  second, keeps->set, 0 },
		{ "calls",
		  "in the hands of threads that share or change CPUs and are "
		  "stopped within a call",
		  q->threads, keeps->call, 0 },
		{ "reserve", "kept free as a reserve", 1, q->reserve, 0 },
	};

	a->sum = 0;
	for (unsigned i = 0; i < SIZE_TERMS; i++) {
		a->term[i] = term[i];
		a->term[i].pages = term[i].count * term[i].each;
		a->sum += a->term[i].pages;
	}
}

static uint64_t in_kernel_pages(uint64_t bytes)
{
	return wi_round_up(bytes, (uint64_t)sysconf(_SC_PAGESIZE));
}

/* What weir_pool_create() mapped beside the pages: the lists and bits, the
 * checks, the pool itself and its handle, each in whole pages of the kernel. */
static void read_memory(const struct wi_pool *pool, struct size_answer *a)
{
	a->nr_zones = pool->nr_zones;
	a->areas = wi_percpu_areas_bytes(a->nr_possible, a->nr_zones);
	a->bits = 0;
	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		a->bits += wi_zone_bytes(wi_zone_nr_pages(pool->zone[zone]));
	a->metadata = in_kernel_pages(pool->bytes) - pool->bytes +
		      in_kernel_pages(pool->meta_bytes) +
		      in_kernel_pages(pool->checks ? pool->max_pages : 0) +
		      in_kernel_pages(sizeof(*pool)) +
		      in_kernel_pages(sizeof(*pool->handle));
}

/* What can grow does so by blocks. */
static uint64_t in_blocks(uint64_t pages)
{
	return wi_round_up(pages, BLOCK);
}

/* Makes a pool of a->pages and asks it. */
static int ask(const struct size_question *q, struct size_answer *a)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *handle;
	const struct wi_pool *pool;
	struct keeps keeps;

	if (q->max != 0)
		a->pages = in_blocks(a->pages);
	a->capacity = opts.capacity = a->pages * q->page_size;
	if (q->max != 0)
		opts.max_capacity =
			wi_max_u64(a->pages, in_blocks(q->max)) * q->page_size;
	opts.page_size = q->page_size;
	opts.quiet_cpus = q->quiet;
	opts.polling_cpus = q->polling;
	opts.list_limit = q->list_limit;
	opts.flags = q->checked ? WEIR_POOL_CHECKED : 0;
	if (weir_pool_create(&handle, &opts) != 0)
		return tool_error("a pool of %" PRIu64 " pages cannot be made "
				  "here: %s",
				  a->pages, weir_last_error());
	pool = wi_pool_of(handle);
	a->growth = pool->bytes - a->capacity;
	read_limits(q, pool, a, &keeps);
	read_modes(q, pool, a);
	read_memory(pool, a);
	weir_pool_destroy(handle, 0);
	add_up(q, a, &keeps);
	return TOOL_OK;
}

int size_answer(const struct size_question *q, struct size_answer *a)
{
	a->pages = q->in_use + q->burst + q->reserve;
	/* A larger pool may keep more in its lists, so it is asked again. */
	if (a->pages > CAPACITY_MAX / q->page_size)
		return tool_error("%" PRIu64 " pages of %" PRIu64 " bytes are "
				  "more than a pool may have, 2^46 bytes",
				  a->pages, q->page_size);
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		if (a->pages > CAPACITY_MAX / q->page_size)
			break;
		if (ask(q, a) != TOOL_OK)
			return TOOL_FAILED;
		if (a->sum <= a->pages)
			return TOOL_OK;
		a->pages = a->sum;
	}
	return tool_error("no pool that can be made has enough: its lists "
			  "grow with it. Give fewer --orders, or a "
			  "--list-limit");
}
