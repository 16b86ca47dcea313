/* SPDX-License-Identifier: MIT */
/*
 * 512 pages in one cache line.
 *
 *	word     0        1                 7
 *	     +--------+--------+-- ... --+--------+
 *	     |0     63|64   127|         |448  511|	bit 1: used, 0: free
 *	     +--------+--------+-- ... --+--------+
 *
 * This file works on the bits of one block and does not count them: the zone
 * does. A claim of pages must hold tickets for them:
 *
 *	I1  bits set + tickets held <= used count <= 512,
 *
 * so a ticket holder always finds a clear bit (zone/zone.c, "ticket before
 * bits"). All-zero memory is a block with every page free.
 *
 * Ordering: a claim that finds a bit clear happens after the release that
 * cleared it (BLOCK-R1 and BLOCK-R2 with BLOCK-A1, A2, A3), page contents
 * included. Every write to a word is a read-modify-write, so a release stays
 * visible to later claims, whatever other bits changed in between.
 *
 * Progress: lock-free; a function retries only when another thread changed the
 * same word.
 *
 * Concurrency: any function may run beside any other, on the same block.
 *
 * Sources: LLFree (Wrenger et al., USENIX ATC 2023) keeps 512 bits a block
 * likewise and claims them one by one; here one instruction moves up to 64.
 */
#ifndef WI_ZONE_BLOCK_H
#define WI_ZONE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"

#define WI_BLOCK_ORDER 9
#define WI_BLOCK_PAGES 512
#define WI_BLOCK_WORD_ORDER 6 /* a word holds 2^6 pages */
#define WI_BLOCK_WORDS 8

/* Written by claims and releases from any CPU. */
struct wi_block {
	uint64_t word[WI_BLOCK_WORDS];
};

_Static_assert(sizeof(struct wi_block) == WI_CACHE_LINE,
	       "a block's bits are one cache line");

/* What a claim of runs wants, and where its results go. */
struct wi_block_want {
	uint64_t base;	 /* number of the block's first page */
	uint64_t *pages; /* receives the first page of each run */
	size_t nr_runs;
	unsigned order; /* 1 to 8 */
	bool undone;	/* out: set if bits were set for a while, and cleared */
};

/*
 * Claims nr pages, for which the caller holds tickets (I1), into pages[].
 * Ascending, except for those taken after another claim took a bit first.
 */
void wi_block_claim(struct wi_block *block, size_t nr, uint64_t base,
		    uint64_t *pages);

/* Free aligned runs of 2^order pages, order 0 to 8. Inexact while others run.
 */
size_t wi_block_nr_runs(const struct wi_block *block, unsigned order);

/*
 * Claims up to want->nr_runs aligned runs, ascending; returns how many. The
 * caller holds tickets for all their pages.
 */
size_t wi_block_claim_runs(struct wi_block *block, struct wi_block_want *want);

/*
 * Claims the nr_words whole words from first on, in ascending order: all, or
 * none when one of them has a bit set; then *undone is set if some had been
 * claimed and were given back.
 */
bool wi_block_claim_words(struct wi_block *block, unsigned first,
			  unsigned nr_words, bool *undone);

/*
 * Claims the run of 2^order pages, order 0 to 8, that begins at `page`, for
 * which the caller holds tickets: all of it, or none when a bit is set.
 */
bool wi_block_claim_at(struct wi_block *block, unsigned page, unsigned order);

/* Are all its pages free? Inexact while others run. */
bool wi_block_is_free(const struct wi_block *block, unsigned page,
		      unsigned order);

/*
 * Clears the bits of mask in one word. False, and nothing done, if one of them
 * is not set.
 */
bool wi_block_release(struct wi_block *block, unsigned word, uint64_t mask);

/*
 * Clears whole words, in ascending order; false, with the words unchanged, if a
 * bit is not set. (Calls wi_panic() if another claim took one of the words in
 * between: then pages have two owners.)
 */
bool wi_block_release_words(struct wi_block *block, unsigned first,
			    unsigned nr_words);

bool wi_block_is_used(const struct wi_block *block, unsigned page);
unsigned wi_block_nr_used(const struct wi_block *block);

/*
 * The first bits of those aligned runs of 2^order set bits that lie in `set`,
 * order 0 to 6.
 */
static inline uint64_t wi_word_runs(uint64_t set, unsigned order)
{
	static const uint64_t firsts[] = {
		UINT64_MAX,
		UINT64_C(0x5555555555555555),
		UINT64_C(0x1111111111111111),
		UINT64_C(0x0101010101010101),
		UINT64_C(0x0001000100010001),
		UINT64_C(0x0000000100000001),
		1,
	};

	for (unsigned i = 0; i < order; i++)
		set &= set >> (1u << i);
	return set & firsts[order];
}

#endif
