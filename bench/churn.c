/* SPDX-License-Identifier: MIT */
/*
 * A pool of which a random half is used, and of that thousands of random pages
 * are freed and as many allocated again (bench_peer_churn): for the pool and
 * for the zone alone. And how many whole blocks are free afterwards, of those
 * that could be if pages could be moved. None can be free in the beginning,
 * when each block is half used. A block becomes free when its user has freed
 * each of its 256 pages, and nothing was put there in between: after t
 * turnovers (1 - e^-t)^256 of those that could be at the very best, which is
 * 0.8 % at 4, 53 % at 6, 99.8 % at 12. Hence the rows of 12 turnovers; and that
 * of a half in whole blocks, which is where a long use leads.
 */
#include <stdlib.h>
#include <string.h>

#include <weir/stat.h>

#include "peer.h"
#include "workers.h"
#include "zone/zone.h"

#define GIB_PAGES UINT64_C(262144)
#define BLOCK_ORDER 9

static void report_blocks(struct bench_result *result, uint64_t gib,
			  uint64_t nr_free)
{
	double possible = (double)(gib * GIB_PAGES / 2 >> BLOCK_ORDER);
	double kept = (double)nr_free * 100 / possible;

	bench_extra(result, "blocks_free", (double)nr_free);
	bench_extra(result, "blocks_possible", possible);
	bench_extra(result, "kept_percent", kept);
	bench_extra(result, "lost_percent", 100 - kept);
}

static bool run_pool(const struct bench_row *row,
		     const struct bench_where *where, unsigned round,
		     struct bench_result *result)
{
	struct weir_stat_zone stat = WEIR_STAT_ZONE_INIT;
	uint64_t nr_free = 0, gib;
	const struct weir_pool *pool;

	if (!bench_peer_churn(row, where, round, result))
		return false;
	pool = bench_churn_context(row);
	gib = row->what & ~(uintptr_t)(BENCH_LONG | BENCH_PACKED);
	for (unsigned zone = 0; weir_stat_read_zone(pool, zone, &stat) == 0;
	     zone++)
		nr_free += stat.free_runs[BLOCK_ORDER];
	report_blocks(result, gib, nr_free);
	return true;
}

/* ---- the zone alone ----------------------------------------------------- */

struct alone {
	struct wi_zone *zone;
	uint32_t cursor;
};

static void *open_zone(const struct bench_where *where, uint64_t pages)
{
	size_t bytes = (wi_zone_bytes(pages) + 63) / 64 * 64;
	struct alone *z = calloc(1, sizeof(*z));
	void *memory = aligned_alloc(64, bytes);

	(void)where;
	if (z == NULL || memory == NULL) {
		bench_cannot("no memory");
		free(z);
		free(memory);
		return NULL;
	}
	memset(memory, 0, bytes);
	z->zone = wi_zone_init(memory, pages);
	return z;
}

static void zone_take(void *context, void **pages)
{
	struct alone *z = context;
	size_t got = 0;

	while (got < BENCH_BULK)
		got += wi_zone_claim(z->zone, 0, BENCH_BULK - got,
				     (uint64_t *)pages + got, &z->cursor);
}

static void zone_give(void *context, void **pages)
{
	struct alone *z = context;
	size_t bad;

	if (wi_zone_release(z->zone, 0, (uint64_t *)pages, BENCH_BULK, &bad) !=
	    WI_ZONE_OK)
		abort();
}

static const struct bench_peer zone_peer = {
	.open = open_zone,
	.take_bulk = zone_take,
	.give_bulk = zone_give,
};

static bool run_zone(const struct bench_row *row,
		     const struct bench_where *where, unsigned round,
		     struct bench_result *result)
{
	const struct alone *z;

	if (!bench_peer_churn(row, where, round, result))
		return false;
	z = bench_churn_context(row);
	report_blocks(result, row->what,
		      wi_zone_nr_free_runs(z->zone, BLOCK_ORDER));
	return true;
}

/* ---- the floor ---------------------------------------------------------- */

#define ACCESSES 65536

/* For each page that changes, one word somewhere in as many bytes as a zone
 * has metadata is changed. */
bool bench_churn_floor(const struct bench_row *row,
		       const struct bench_where *where, unsigned round,
		       struct bench_result *result)
{
	const uint64_t nr =
		wi_zone_bytes(row->what * GIB_PAGES) / sizeof(uint64_t);
	uint64_t *words = calloc(nr, sizeof(*words)),
		 random = 88172645463325252;
	double start = 0;

	(void)where, (void)round;
	if (words == NULL)
		return bench_cannot("no memory");
	memset(words, 1, nr * sizeof(*words));
	for (unsigned i = 0; i < 2 * ACCESSES; i++) {
		if (i == ACCESSES) /* the first ones warm up */
			start = bench_now_ns();
		random ^= random >> 12;
		random ^= random << 25;
		random ^= random >> 27;
		words[(random * UINT64_C(2685821657736338717) >> 32) % nr]++;
	}
	result->ns = (bench_now_ns() - start) / ACCESSES;
	result->operations = ACCESSES;
	BENCH_HIDE(words);
	free(words);
	return true;
}

#define ROWS(variant, gib)                                                     \
	{ "churn", variant, run_pool, gib, &bench_weir_new, 9, 3, variant },   \
	{                                                                      \
		"churn", variant ", zone alone", run_zone, gib, &zone_peer, 9, \
			3, variant                                             \
	}

const struct bench_row bench_churn_rows[] = {
	ROWS("1 GiB", 1),
	ROWS("8 GiB", 8),
	ROWS("64 GiB", 64),
	{ "churn", "1 GiB, 12 turnovers", run_pool, 1 | BENCH_LONG,
	  &bench_weir_new, 15, 5, "1 GiB" },
	{ "churn", "8 GiB, 12 turnovers", run_pool, 8 | BENCH_LONG,
	  &bench_weir_new, 15, 5, "8 GiB" },
	{ "churn", "64 GiB, packed", run_pool, 64 | BENCH_PACKED,
	  &bench_weir_new, 15, 5, "64 GiB" },
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
