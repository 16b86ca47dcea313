/* SPDX-License-Identifier: MIT */
/*
 * How fast a zone claims and releases, without lists in front of it, on one
 * CPU and with its metadata touched before; and how well it keeps whole blocks
 * together under random churn.
 */
#include "zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "zone/zone.h"

#define NR_PAGES UINT64_C(262144)
#define BATCH 64
#define NR_CHURN (NR_PAGES / 2) /* pages exchanged, at random, per round */

struct setup {
	struct wi_zone *zone;
	uint64_t *pages;
	uint64_t random;
	uint32_t cursor;
};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t draw(struct setup *s, uint64_t below)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return (s->random * UINT64_C(2685821657736338717) >> 32) % below;
}

static void fail(const char *what)
{
	fprintf(stderr, "bench zone: %s\n", what);
	exit(1);
}

/* Claims nr runs in batches into pages[]; returns nanoseconds a run. */
static double claim(struct setup *s, unsigned order, uint64_t nr, size_t batch)
{
	double start = now_ns();
	uint64_t got = 0;

	while (got < nr) {
		size_t n = batch < nr - got ? batch : (size_t)(nr - got);

		n = wi_zone_claim(s->zone, order, n, s->pages + got,
				  &s->cursor);
		if (n == 0)
			fail("pages are missing");
		got += n;
	}
	return (now_ns() - start) / (double)nr;
}

static double release(struct setup *s, unsigned order, uint64_t nr,
		      size_t batch)
{
	double start = now_ns();
	size_t bad;

	for (uint64_t i = 0; i < nr; i += batch) {
		size_t n = batch < nr - i ? batch : (size_t)(nr - i);

		if (wi_zone_release(s->zone, order, s->pages + i, n, &bad) !=
		    WI_ZONE_OK)
			fail("a release was refused");
	}
	return (now_ns() - start) / (double)nr;
}

static void shuffle(struct setup *s, uint64_t nr)
{
	for (uint64_t i = nr - 1; i > 0; i--) {
		uint64_t j = draw(s, i + 1), page = s->pages[i];

		s->pages[i] = s->pages[j];
		s->pages[j] = page;
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

static double runs(struct setup *s, unsigned order, size_t batch)
{
	uint64_t nr = NR_PAGES >> order;

	return claim(s, order, nr, batch) + release(s, order, nr, batch);
}

/* Half of the pages are out in pages[]; returns nanoseconds an exchange. */
static double churn(struct setup *s)
{
	const uint64_t nr = NR_PAGES / 2;
	double start = now_ns();

	for (uint64_t i = 0; i < NR_CHURN; i += BATCH) {
		uint64_t batch[BATCH];
		uint64_t *last = s->pages + nr - BATCH;
		size_t bad, got = 0;

		/* 64 random ones change places with the last 64. */
		for (unsigned j = 0; j < BATCH; j++) {
			uint64_t k = draw(s, nr - BATCH);

			batch[j] = s->pages[k];
			s->pages[k] = last[j];
			last[j] = batch[j];
		}
		if (wi_zone_release(s->zone, 0, last, BATCH, &bad) !=
		    WI_ZONE_OK)
			fail("a release was refused");
		while (got < BATCH)
			got += wi_zone_claim(s->zone, 0, BATCH - got,
					     last + got, &s->cursor);
	}
	return (now_ns() - start) / (double)NR_CHURN;
}

enum {
	IN_ORDER_CLAIM,
	IN_ORDER_RELEASE,
	HALF_CLAIM,
	SHUFFLED_RELEASE,
	ORDER_3,
	ORDER_9,
	ORDER_10,
	CHURN,
	NR_FIGURES,
};

static void measure(struct setup *s, double figures[NR_FIGURES])
{
	figures[IN_ORDER_CLAIM] = claim(s, 0, NR_PAGES, BATCH);
	figures[IN_ORDER_RELEASE] = release(s, 0, NR_PAGES, BATCH);
	claim(s, 0, NR_PAGES, BATCH);
	shuffle(s, NR_PAGES);
	release(s, 0, NR_PAGES / 2, BATCH);
	figures[HALF_CLAIM] = claim(s, 0, NR_PAGES / 2, BATCH);
	shuffle(s, NR_PAGES);
	figures[SHUFFLED_RELEASE] = release(s, 0, NR_PAGES, BATCH);
	figures[ORDER_3] = runs(s, 3, BATCH);
	figures[ORDER_9] = runs(s, 9, 8);
	figures[ORDER_10] = runs(s, 10, 8);
}

/* All out in random places, half of it back; then the churn. */
static void measure_churn(struct setup *s, struct bench_zone_result *result,
			  double *values, unsigned rounds)
{
	claim(s, 0, NR_PAGES, BATCH);
	shuffle(s, NR_PAGES);
	release(s, 0, NR_PAGES / 2, BATCH);
	memcpy(s->pages, s->pages + NR_PAGES / 2,
	       sizeof(*s->pages) * (NR_PAGES / 2));
	for (unsigned i = 0; i < rounds; i++)
		values[i] = churn(s);
	result->churn_blocks_free = wi_zone_nr_free_runs(s->zone, 9);
	result->churn_blocks_possible = NR_PAGES / 2 / 512;
	release(s, 0, NR_PAGES / 2, BATCH);
}

void bench_zone(struct bench_zone_result *result, unsigned rounds)
{
	size_t bytes = (wi_zone_bytes(NR_PAGES) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);
	double *values = malloc(sizeof(*values) * rounds * NR_FIGURES);
	double medians[NR_FIGURES];
	struct setup s = { .random = 88172645463325252u };

	s.pages = malloc(sizeof(*s.pages) * NR_PAGES);
	if (!memory || !values || !s.pages || rounds == 0)
		fail("no memory");
	memset(memory, 0, bytes);
	memset(s.pages, 0, sizeof(*s.pages) * NR_PAGES);
	s.zone = wi_zone_init(memory, NR_PAGES);
	for (unsigned i = 0; i < rounds; i++) {
		double figures[NR_FIGURES] = { 0 };

		measure(&s, figures);
		for (unsigned f = 0; f < NR_FIGURES; f++)
			values[f * rounds + i] = figures[f];
	}
	measure_churn(&s, result, values + CHURN * rounds, rounds);
	for (unsigned f = 0; f < NR_FIGURES; f++)
		medians[f] = median(values + f * rounds, rounds);
	result->in_order_claim_ns = medians[IN_ORDER_CLAIM];
	result->in_order_release_ns = medians[IN_ORDER_RELEASE];
	result->half_claim_ns = medians[HALF_CLAIM];
	result->shuffled_release_ns = medians[SHUFFLED_RELEASE];
	result->order3_ns = medians[ORDER_3];
	result->order9_ns = medians[ORDER_9];
	result->order10_ns = medians[ORDER_10];
	result->churn_ns = medians[CHURN];
	free(s.pages);
	free(values);
	free(memory);
}
