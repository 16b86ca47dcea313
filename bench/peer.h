/* SPDX-License-Identifier: MIT */
/*
 * Questions that can be asked of anybody who hands out pages. Who is asked
 * defines how to take and give one page, and 32 at once if it can:
 *
 *   uint64_t alloc(void *context);
 *   void free(void *context, uint64_t page);
 *   void get(void *context, void **pages);    32
 *   void put(void *context, void **pages);
 *
 * all of them inline; BENCH_PEER() and BENCH_PEER_BULK() make the loops, the
 * same for all, and peer.c and peer_memory.c ask.
 */
#ifndef WEIR_BENCH_PEER_H
#define WEIR_BENCH_PEER_H

#include "loops.h"

/* 32 pages from, or back to, whoever is asked. */
typedef void bench_move(void *context, void **pages);

struct bench_peer {
	/* What all threads of a row work on, with so many pages to give, and
	 * the same again when it is asked again; NULL after bench_cannot(). */
	void *(*open)(const struct bench_where *where, uint64_t pages);
	/* Called by each thread before it asks for pages; NULL: none. */
	bool (*enter)(void *context);
	bench_loop *const *single, *const *batch, *const *batch_64,
							  *const *bulk;
	bench_loop *change;		   /* of `rand` */
	bench_move *take, *give;	   /* one by one */
	bench_move *take_bulk, *give_bulk; /* all at once; NULL: it cannot */
	void (*give_one)(void *context, void *page);
};

/* Opens for the calling thread, and enters; NULL after bench_cannot(). */
void *bench_peer_context(const struct bench_peer *peer,
			 const struct bench_where *where, uint64_t pages);

/* What `change` works on. */
#define BENCH_HELD 65536
struct bench_held {
	void *context;
	uint64_t random;
	uint64_t pages[BENCH_HELD];
};

#define BENCH_PEER(name, alloc, free)                                          \
	BENCH_PAIRS(name, alloc, free)                                         \
	BENCH_BATCHES_64(name##_64, alloc, free)                               \
	static double name##_change(void *context, uint64_t n)                 \
	{                                                                      \
		struct bench_held *held = context;                             \
		double start = bench_now_ns();                                 \
                                                                               \
		for (uint64_t i = 0; i < n; i++) {                             \
			uint64_t *page;                                        \
                                                                               \
			held->random ^= held->random >> 12;                    \
			held->random ^= held->random << 25;                    \
			held->random ^= held->random >> 27;                    \
			page = &held->pages[held->random % BENCH_HELD];        \
			free(held->context, *page);                            \
			*page = alloc(held->context);                          \
		}                                                              \
		return (bench_now_ns() - start) / (double)n;                   \
	}                                                                      \
	static void name##_take(void *context, void **pages)                   \
	{                                                                      \
		for (unsigned i = 0; i < BENCH_BULK; i++)                      \
			pages[i] = (void *)(uintptr_t)alloc(context);          \
	}                                                                      \
	static void name##_give(void *context, void **pages)                   \
	{                                                                      \
		for (unsigned i = 0; i < BENCH_BULK; i++)                      \
			free(context, (uint64_t)(uintptr_t)pages[i]);          \
	}                                                                      \
	static void name##_give_one(void *context, void *page)                 \
	{                                                                      \
		free(context, (uint64_t)(uintptr_t)page);                      \
	}

#define BENCH_PEER_BULK(name, get, put)                                        \
	BENCH_BULKS(name##_bulk, void *, get, put)                             \
	static void name##_take_bulk(void *context, void **pages)              \
	{                                                                      \
		get(context, pages);                                           \
	}                                                                      \
	static void name##_give_bulk(void *context, void **pages)              \
	{                                                                      \
		put(context, pages);                                           \
	}

#define BENCH_PEER_CODE(name)                                                  \
	.single = name##_single_places, .batch = name##_batch_places,          \
	.batch_64 = name##_64_places, .change = name##_change,                 \
	.take = name##_take, .give = name##_give, .give_one = name##_give_one
#define BENCH_PEER_BULK_CODE(name)                                             \
	.bulk = name##_bulk_places, .take_bulk = name##_take_bulk,             \
	.give_bulk = name##_give_bulk

typedef bool bench_run(const struct bench_row *row,
		       const struct bench_where *where, unsigned round,
		       struct bench_result *result);

bench_run bench_peer_pair;   /* what: enum bench_peer_shape */
bench_run bench_peer_return; /* what: in bulk? */
bench_run bench_peer_cross;  /* the same */
bench_run bench_peer_rand;
bench_run bench_peer_scale; /* what: threads */
bench_run bench_peer_churn; /* what: GiB and flags; needs bulk moves */
bench_run bench_peer_empty;
bench_run bench_peer_touch; /* what: enum bench_peer_touch_what */

/* What the pages of a row of bench_peer_churn() come from. */
void *bench_churn_context(const struct bench_row *row);

enum bench_peer_shape { BENCH_SINGLE, BENCH_16, BENCH_64, BENCH_32_AT_ONCE };

/* Added to the GiB of `churn`: not a random half anew for each round, but one
 * that has been changed long since; or the half that was taken first, in whole
 * blocks. */
#define BENCH_LONG 0x10000u
#define BENCH_PACKED 0x20000u

enum bench_peer_touch_what {
	BENCH_COLD,
	BENCH_WARM,
	BENCH_HUGE = 2, /* added to one of them */
};

/* Rows of everybody; those of `pair`, which weir has more of, apart. */
#define BENCH_PEER_PAIR_ROWS(peer)                                             \
	{ "pair", "single", bench_peer_pair, BENCH_SINGLE, peer,               \
	  60,	  15,	    "single" },                                        \
		{ "pair", "batch 16", bench_peer_pair, BENCH_16, peer,         \
		  60,	  15,	      "batch 16" },                            \
	{                                                                      \
		"pair", "batch 64", bench_peer_pair, BENCH_64, peer, 60, 15,   \
			"batch 16"                                             \
	}
#define BENCH_PEER_ROWS(peer)                                                      \
	{ "bulk", "262 144 pages", bench_peer_return, 0, peer, 9, 3, NULL },       \
		{ "cross", "single", bench_peer_cross,	     0, peer,              \
		  15,	   5,	     "a line there and back" },                    \
		{ "rand", "65 536 pages", bench_peer_rand, 0, peer, 15, 5, NULL }, \
		{ "scale", "1 thread", bench_peer_scale, 1, peer, 7, 3, NULL },    \
		{ "scale", "2 threads", bench_peer_scale, 2, peer, 7, 3, NULL },   \
	{                                                                          \
		"scale", "4 threads", bench_peer_scale, 4, peer, 7, 3, NULL        \
	}
#define BENCH_PEER_BULK_ROWS(peer)                                             \
	{ "bulk", "262 144 pages, bulk 32", bench_peer_return, 1, peer, 9, 3,  \
	  NULL },                                                              \
	{                                                                      \
		"cross", "bulk 32", bench_peer_cross, 1, peer, 15, 5,          \
			"a line there and back"                                \
	}
#define BENCH_PEER_TOUCH_ROWS(peer)                                            \
	{ "touch", "4 KiB pages, cold", bench_peer_touch, BENCH_COLD, peer, 5, \
	  1,	   "4 KiB pages, cold" },                                      \
	{                                                                      \
		"touch", "4 KiB pages, warm", bench_peer_touch, BENCH_WARM,    \
			peer, 5, 1, "4 KiB pages, warm"                        \
	}
#define BENCH_PEER_BULK_PAIR_ROWS(peer)                                        \
	{                                                                      \
		"pair", "bulk 32", bench_peer_pair, BENCH_32_AT_ONCE, peer,    \
			60, 15, "bulk 32, memcpy"                              \
	}

#endif
