/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a claim says "empty" while a page is free and the generation
 * stood still, and the pool reports a false ENOMEM.
 *
 * As many pages as threads, in blocks far apart, and each thread away with at
 * most one: so for every claim one page is always free. The summaries are made
 * to show the first 64 blocks only, where nothing is free: every search walks,
 * while pages go and come before it and behind it.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "check.h"
#include "zone/layout.h"

#define NR_THREADS 4
#define NR_PAGES (512 * UINT64_C(1000))
#define NR_TURNS 50000

static struct wi_zone *zone;
static atomic_ulong nr_empty_seen;

static void *work(void *arg)
{
	uint32_t cursor = *(unsigned *)arg;
	unsigned turn = 0;

	while (turn < NR_TURNS) {
		uint64_t generation = wi_zone_generation(zone), page;
		size_t bad;

		if (wi_zone_claim(zone, 0, 1, &page, &cursor) == 0) {
			CHECK_MSG(wi_zone_generation(zone) != generation,
				  "empty, and nothing came back");
			atomic_fetch_add(&nr_empty_seen, 1);
			continue;
		}
		if (turn++ % 16 == 0)
			sched_yield();
		/* Now a walk, now straight to the highest page. */
		cursor = turn % 2 ? UINT32_MAX : NR_PAGES / 512 * 7 / 8;
		CHECK_EQ(wi_zone_release(zone, 0, &page, 1, &bad), WI_ZONE_OK);
	}
	return NULL;
}

int main(void)
{
	size_t bytes = (wi_zone_bytes(NR_PAGES) + 63) / 64 * 64, bad;
	void *memory = aligned_alloc(64, bytes);
	static uint64_t pages[NR_PAGES];
	pthread_t threads[NR_THREADS];
	unsigned ids[NR_THREADS];
	uint32_t cursor = 0;
	uint64_t nr = 0;

	CHECK(memory);
	memset(memory, 0, bytes);
	zone = wi_zone_init(memory, NR_PAGES);
	while (nr < NR_PAGES)
		nr += wi_zone_claim(zone, 0, NR_PAGES - nr, pages + nr,
				    &cursor);
	for (unsigned i = 0; i < NR_THREADS; i++)
		CHECK_EQ(
			wi_zone_release(zone, 0,
					&pages[NR_PAGES / 4 * i + NR_PAGES / 8],
					1, &bad),
			WI_ZONE_OK);
	zone->partial.nr_bits = zone->free.nr_bits = 1;
	for (unsigned i = 0; i < NR_THREADS; i++) {
		ids[i] = i * 20;
		CHECK_EQ(pthread_create(&threads[i], NULL, work, &ids[i]), 0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	zone->partial.nr_bits = zone->free.nr_bits = NR_PAGES / 512;
	CHECK_EQ(wi_zone_nr_free(zone), NR_THREADS);
	CHECK(wi_zone_is_valid(zone));
	printf("%lu searches found nothing and were told to look again\n",
	       atomic_load(&nr_empty_seen));
	free(memory);
	return 0;
}
