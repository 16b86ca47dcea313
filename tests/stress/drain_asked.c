/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a thread takes over the result of a drain that looked at a
 * CPU's lists before the thread asked, and says that there is no memory while
 * a list has had its page all the time (DRAIN-F2, DRAIN-F3).
 *
 * One thread drains without a pause, mostly where nothing is. The other puts a
 * page into its CPU's list, asks, waits for the mutex, and looks whether a
 * drain that covers its question missed the page.
 */
#include <weir/fast.h>

#include "helpers.h"
#include "api/pool.h"

static struct weir_pool *pool;
static struct wi_cache *cache;
static event enough;

static struct wi_drain_request everything(void)
{
	return (struct wi_drain_request){
		.nr_zones = wi_percpu_nr_zones(&cache->drain),
		.deadline_ns = now_ns() + 2000000000,
	};
}

static void drain_on(void *nr_drains)
{
	while (!happened(&enough, 1)) {
		struct wi_drain_request request = everything();
		struct wi_drain_outcome outcome;

		CHECK_EQ(wi_cache_drain(cache, &request, &outcome,
					&(bool){ 0 }),
			 0);
		++*(uint64_t *)nr_drains;
	}
}

/* True if a covering drain was there to take over. */
static bool ask(int cpu)
{
	struct wi_drain *drain = &cache->drain;
	struct wi_drain_request request = everything();
	struct wi_drain_outcome outcome = { 0 };
	struct wi_area *area = wi_drain_area(drain, 0, (unsigned)cpu);
	unsigned set;
	uint64_t asked;
	bool covered;

	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	asked = wi_drain_ask(drain);
	CHECK_EQ(wi_drain_lock(drain, request.deadline_ns), 0);
	covered = wi_drain_covered(drain, asked, &request, &outcome);
	set = drain->units[cpu].set;
	CHECK_MSG(!covered || wi_header_count(wi_load_relaxed(
				      wi_area_headers(area, set))) == 0,
		  "drain %" PRIu64 ", begun after %" PRIu64 ", found %" PRIu64
		  " pages and left one",
		  drain->last, asked, outcome.pages);
	wi_drain_unlock(drain);
	return covered;
}

int main(int argc, char **argv)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	const uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t end, nr_drains = 0, nr_asked = 0, nr_covered = 0;
	struct runner drainer;

	need_two_cpus();
	opts.capacity = 4096;
	opts.list_limit = 4;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	cache = &wi_pool_of(pool)->cache;
	pin(allowed_cpu(0));
	start_on(&drainer, allowed_cpu(1), drain_on, &nr_drains);
	end = now_ns() + seconds * 1000000000;
	for (; now_ns() < end; nr_asked++)
		nr_covered += ask(allowed_cpu(0));
	tell(&enough);
	finish(&drainer);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	printf("figures: asked %" PRIu64 " times beside %" PRIu64
	       " drains, took over %" PRIu64 "\n",
	       nr_asked, nr_drains, nr_covered);
	return 0;
}
