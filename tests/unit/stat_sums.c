/* SPDX-License-Identifier: MIT */
/*
 * If this fails, the statistics of a pool at rest do not add up, or a reader
 * who trusts them draws a wrong conclusion.
 */
#include <weir/stat.h>

#include "helpers.h"

#define PAGES 5000 /* 9 blocks, and 392 pages */

static struct weir_pool *pool;
static struct weir_stat sum;
static struct weir_stat_zone zone;

static void read_all(void)
{
	struct weir_stat of_cpus = { 0 };
	uint64_t zones_free = 0, zones_pages = 0;

	sum = (struct weir_stat)WEIR_STAT_INIT;
	CHECK_EQ(weir_stat_read(pool, &sum), 0);
	CHECK_EQ(sum.pages, PAGES);
	CHECK_EQ(sum.free + sum.cached + sum.pending + sum.out, PAGES);
	CHECK(sum.pages - sum.free <= sum.peak && sum.peak <= PAGES);
	for (unsigned z = 0; z < sum.nr_zones; z++) {
		zone = (struct weir_stat_zone)WEIR_STAT_ZONE_INIT;
		CHECK_EQ(weir_stat_read_zone(pool, z, &zone), 0);
		CHECK(zone.free_runs[0] == zone.free);
		zones_free += zone.free;
		zones_pages += zone.pages;
		for (unsigned cpu = 0; cpu < sum.nr_cpus; cpu++) {
			struct weir_stat_cpu its = WEIR_STAT_CPU_INIT;
			uint64_t cached = 0, operations = 0;

			CHECK_EQ(weir_stat_read_cpu(pool, z, cpu, &its), 0);
			for (unsigned i = 0; i < WEIR_STAT_LISTS; i++) {
				cached += (uint64_t)its.list[i].count
					  << its.list[i].order;
				operations += its.list[i].operations;
				CHECK(its.list[i].count <= its.list[i].high);
			}
			CHECK_EQ(cached, its.cached);
			CHECK_EQ(operations, its.operations);
			of_cpus.cached += its.cached;
			of_cpus.pending += its.pending;
			of_cpus.operations += its.operations;
			of_cpus.refills += its.refills;
			of_cpus.flushes += its.flushes;
			of_cpus.direct += its.direct;
			CHECK_EQ(its.drains, its.by_progress + its.by_not_busy +
						     its.by_membarrier);
			of_cpus.by_progress += its.by_progress;
			of_cpus.by_not_busy += its.by_not_busy;
			of_cpus.by_membarrier += its.by_membarrier;
			of_cpus.late += its.late;
		}
	}
	CHECK_EQ(zones_free, sum.free);
	CHECK_EQ(zones_pages, PAGES);
	CHECK_EQ(of_cpus.cached, sum.cached);
	CHECK_EQ(of_cpus.pending, sum.pending);
	CHECK_EQ(of_cpus.operations, sum.operations);
	CHECK_EQ(of_cpus.refills, sum.refills);
	CHECK_EQ(of_cpus.flushes, sum.flushes);
	CHECK_EQ(of_cpus.direct, sum.direct);
	CHECK_EQ(of_cpus.by_progress, sum.by_progress);
	CHECK_EQ(of_cpus.by_not_busy, sum.by_not_busy);
	CHECK_EQ(of_cpus.by_membarrier, sum.by_membarrier);
	CHECK_EQ(of_cpus.late, sum.late);
}

/* Without lists the peak is what was allocated at once, whoever did it. */
static void *take_and_keep(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < 100; i++)
		CHECK(weir_alloc(pool, i % 8, 0) != NULL);
	return NULL;
}

static void exact_peak(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	const uint64_t each = 12 * 255 + 1 + 2 + 4 + 8;
	pthread_t thread[2];
	void *run;

	opts.capacity = 8192 * 4096;
	opts.list_limit = -1;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, take_and_keep, NULL),
			 0);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	sum = (struct weir_stat)WEIR_STAT_INIT;
	CHECK_EQ(weir_stat_read(pool, &sum), 0);
	CHECK_EQ(sum.out, 2 * each);
	CHECK_EQ(sum.peak, 2 * each);
	run = weir_alloc(pool, 10, 0);
	weir_free(pool, run, 10);
	run = weir_alloc(pool, 4, 0);
	weir_free(pool, run, 4);
	CHECK_EQ(weir_stat_read(pool, &sum), 0);
	CHECK_EQ(sum.out, 2 * each);
	CHECK_EQ(sum.peak, 2 * each + 1024);
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), 0);
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	static void *page[PAGES];
	uint64_t operations;

	pin(allowed_cpu(0));
	opts.capacity = PAGES * 4096;
	opts.list_limit = 100;
	opts.batch = 32;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	read_all();
	CHECK_EQ(sum.free, PAGES);
	CHECK_EQ(sum.operations, 0);
	CHECK_EQ(sum.peak, 0);
	if (sum.nr_zones == 1) {
		CHECK_EQ(zone.free_runs[1], PAGES / 2);
		CHECK_EQ(zone.free_runs[9], PAGES / 512);
		CHECK_EQ(zone.free_runs[13], 0);
		CHECK_EQ(zone.node, -1);
	}

	/* The first one brings a batch. */
	page[0] = weir_alloc(pool, 0, 0);
	read_all();
	CHECK_EQ(sum.out, 1);
	CHECK_EQ(sum.refills, 1);
	CHECK_EQ(sum.cached, 31);
	CHECK_EQ(sum.peak, 32);
	operations = sum.operations;
	weir_free(pool, page[0], 0);
	page[0] = weir_alloc(pool, 0, 0);
	read_all();
	CHECK_EQ(sum.operations, operations + 2);
	weir_free(pool, page[0], 0);

	/* Orders without a list pass them by. */
	page[0] = weir_alloc(pool, 5, 0);
	read_all();
	CHECK_EQ(sum.out, 32);
	CHECK_EQ(sum.direct, 1);
	weir_free(pool, page[0], 5);

	/* Full lists are flushed. */
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, 1000, 0), 0);
	for (unsigned i = 0; i < 1000; i++)
		weir_free(pool, page[i], 0);
	read_all();
	CHECK_EQ(sum.out, 0);
	CHECK(sum.flushes >= 1000 / 100);

	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	read_all();
	CHECK_EQ(sum.free, PAGES);
	CHECK_EQ(sum.drains, 1);
	CHECK_EQ(sum.by_progress + sum.by_not_busy + sum.by_membarrier, 1);

	/* Failures, by reason. */
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, PAGES, 0), 0);
	read_all();
	CHECK_EQ(sum.out, PAGES);
	CHECK(weir_alloc(pool, 0, WEIR_NOWAIT) == NULL);
	CHECK(weir_alloc(pool, 0, 0) == NULL);
	read_all();
	CHECK_EQ(sum.peak, PAGES);
	CHECK_EQ(sum.failed_nowait, 1);
	CHECK_EQ(sum.failed_empty, 1);
	CHECK_EQ(sum.failed_pending + sum.failed_lost, 0);
	weir_free_bulk(pool, 0, page, PAGES);
	read_all();
	CHECK_EQ(sum.out, 0);
	CHECK_EQ(sum.peak, PAGES);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	exact_peak();
	return 0;
}
