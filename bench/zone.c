/* SPDX-License-Identifier: MIT */
/*
 * How fast a zone of 1 GiB claims and releases, without lists in front of it,
 * on one CPU and with its metadata touched before; `churn` has the rest.
 */
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "workers.h"
#include "zone/zone.h"

#define NR_PAGES UINT64_C(262144)
#define BATCH 64       /* pages, or runs of 8, at once */
#define BLOCKS_BATCH 8 /* runs of whole blocks */

static struct wi_zone *zone;
static uint64_t pages[NR_PAGES];
static uint64_t random_state = 88172645463325252u;

/* Claims nr runs in batches into pages[]; returns nanoseconds a run. */
static double claim(unsigned order, uint64_t nr, size_t batch)
{
	double start = bench_now_ns();
	uint32_t cursor = 0;
	uint64_t got = 0;

	while (got < nr) {
		size_t n = batch < nr - got ? batch : (size_t)(nr - got);

		n = wi_zone_claim(zone, order, n, pages + got, &cursor);
		if (n == 0)
			abort();
		got += n;
	}
	return (bench_now_ns() - start) / (double)nr;
}

static double release(unsigned order, uint64_t nr, size_t batch)
{
	double start = bench_now_ns();
	size_t bad;

	for (uint64_t i = 0; i < nr; i += batch) {
		size_t n = batch < nr - i ? batch : (size_t)(nr - i);

		if (wi_zone_release(zone, order, pages + i, n, &bad) !=
		    WI_ZONE_OK)
			abort();
	}
	return (bench_now_ns() - start) / (double)nr;
}

static void shuffle(void)
{
	for (uint64_t i = NR_PAGES - 1; i > 0; i--) {
		uint64_t page = pages[i], j;

		random_state ^= random_state >> 12;
		random_state ^= random_state << 25;
		random_state ^= random_state >> 27;
		j = random_state % (i + 1);
		pages[i] = pages[j];
		pages[j] = page;
	}
}

static double runs(unsigned order, size_t batch)
{
	uint64_t nr = NR_PAGES >> order;

	return claim(order, nr, batch) + release(order, nr, batch);
}

enum { CLAIM, RELEASE, CLAIM_HALF, RELEASE_SHUFFLED, EIGHT, HUGE, NR_FIGURES };

static void pass(double figures[NR_FIGURES])
{
	figures[CLAIM] = claim(0, NR_PAGES, BATCH);
	figures[RELEASE] = release(0, NR_PAGES, BATCH);
	claim(0, NR_PAGES, BATCH);
	shuffle();
	release(0, NR_PAGES / 2, BATCH);
	figures[CLAIM_HALF] = claim(0, NR_PAGES / 2, BATCH);
	shuffle();
	figures[RELEASE_SHUFFLED] = release(0, NR_PAGES, BATCH);
	figures[EIGHT] = runs(3, BATCH);
	figures[HUGE] = runs(9, BLOCKS_BATCH);
}

/* All figures come from one pass: a row reads its own of the round's. */
static bool run(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	static double figures[NR_FIGURES];
	static unsigned last = ~0u;

	(void)where;
	if (zone == NULL) {
		size_t bytes = (wi_zone_bytes(NR_PAGES) + 63) / 64 * 64;
		void *memory = aligned_alloc(64, bytes);

		if (memory == NULL)
			return bench_cannot("no memory");
		memset(memory, 0, bytes);
		memset(pages, 1, sizeof(pages));
		zone = wi_zone_init(memory, NR_PAGES);
	}
	if (round != last)
		pass(figures);
	last = round;
	result->ns = figures[row->what];
	result->operations = NR_PAGES;
	return true;
}

#define ROW(variant, figure)                                                   \
	{                                                                      \
		"zone", variant, run, figure, NULL, 31, 9, NULL                \
	}

const struct bench_row bench_zone_rows[] = {
	ROW("claim, in order", CLAIM),
	ROW("release, in order", RELEASE),
	ROW("claim, half-full blocks", CLAIM_HALF),
	ROW("release, shuffled", RELEASE_SHUFFLED),
	ROW("order 3, out and back", EIGHT),
	ROW("2 MiB, out and back", HUGE),
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
