/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a wrong summary hides pages for good or sends a claim round
 * for ever, or a stopped thread with a ticket, a block or a summary
 * in its hands holds up others.
 */
#include <string.h>

#include "check.h"
#include "zone/layout.h"

#define NR_BLOCKS UINT64_C(1500)
#define NR_PAGES (NR_BLOCKS * WI_BLOCK_PAGES)

static uint64_t seed = 4711;
static uint64_t pages[NR_PAGES];

static struct wi_zone *make(void)
{
	size_t bytes = (wi_zone_bytes(NR_PAGES) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);

	CHECK(memory);
	memset(memory, 0, bytes);
	return wi_zone_init(memory, NR_PAGES);
}

enum lie { ALL_CLEAR, ALL_SET, RANDOM, UPPER_CLEAR, NR_LIES };

/* Overwrites every hint of bits that exist. */
static void spoil(struct wi_tree *tree, enum lie lie)
{
	uint64_t nr = tree->nr_bits;

	for (unsigned level = 0; level < tree->nr_levels; level++) {
		uint64_t nr_words = (nr + 63) / 64;

		for (uint64_t i = 0; i < nr_words; i++) {
			uint64_t *word = wi_tree_word(tree, level, i);
			uint64_t real = UINT64_MAX, bits = *word ^ tree->flip;

			if (i == nr_words - 1 && nr % 64 != 0)
				real = wi_low_mask((unsigned)(nr % 64));
			if (lie == ALL_CLEAR || (lie == UPPER_CLEAR && level))
				bits = 0;
			else if (lie == ALL_SET)
				bits = real;
			else if (lie == RANDOM)
				bits = check_random(&seed) & real;
			*word = bits ^ tree->flip;
		}
		nr = nr_words;
	}
}

static void spoil_all(struct wi_zone *z, unsigned lies)
{
	spoil(&z->partial, (enum lie)(lies % NR_LIES));
	spoil(&z->free, (enum lie)(lies / NR_LIES));
}

static uint64_t claim_all(struct wi_zone *z, unsigned order)
{
	uint64_t nr = 0;
	uint32_t cursor = (uint32_t)check_random(&seed);
	size_t n;

	while ((n = wi_zone_claim(z, order, 64, pages + nr, &cursor)) > 0)
		nr += n;
	return nr;
}

static void release_all(struct wi_zone *z, unsigned order, uint64_t nr)
{
	size_t bad;

	CHECK_EQ(wi_zone_release(z, order, pages, nr, &bad), WI_ZONE_OK);
}

/* With every hint wrong each order still finds all there is. */
static void find_despite(unsigned lies)
{
	static const unsigned orders[] = { 0, 1, 6, 8, 9, 10, 15, 16, 18 };

	for (unsigned o = 0; o < WI_ARRAY_SIZE(orders); o++) {
		struct wi_zone *z = make();
		uint64_t nr;

		spoil_all(z, lies);
		nr = claim_all(z, orders[o]);
		CHECK_EQ(nr, NR_PAGES >> orders[o]);
		spoil_all(z, lies);
		release_all(z, orders[o], nr);
		CHECK_EQ(wi_zone_nr_free(z), NR_PAGES);
		free(z);
	}
}

/* The walk that finds a page mends its hints, on all levels. */
static void mend(void)
{
	struct wi_zone *z = make();
	uint32_t cursor = UINT32_MAX;
	uint64_t page;

	/* Out of the first word, which a search looks at anyway. */
	CHECK_EQ(wi_zone_claim(z, 15, 1, &page, &cursor), 1);
	CHECK_EQ(page, 0);
	spoil(&z->free, ALL_CLEAR);
	CHECK_EQ(wi_tree_next(&z->free, 0), WI_TREE_NONE);
	CHECK_EQ(wi_zone_claim(z, 0, 1, &page, &cursor), 1);
	CHECK_EQ(wi_tree_next(&z->partial, 0), page / WI_BLOCK_PAGES);
	spoil(&z->partial, UPPER_CLEAR);
	CHECK_EQ(wi_tree_next(&z->partial, 0), WI_TREE_NONE);
	cursor = UINT32_MAX;
	CHECK_EQ(wi_zone_claim(z, 0, 1, &page, &cursor), 1);
	CHECK_EQ(wi_tree_next(&z->partial, 0), page / WI_BLOCK_PAGES);
	free(z);
}

/*
 * Somebody took tickets for n pages of a block and stands still before the
 * bits: all other pages can be had, and come back, and nobody goes round.
 */
static void frozen_ticket(unsigned n)
{
	struct wi_zone *z = make();
	uint64_t nr;

	*wi_zone_state(z, 7) += n;
	wi_zone_settle(z, 7, 1);
	nr = claim_all(z, 0);
	CHECK_EQ(nr, NR_PAGES - n);
	CHECK_EQ(wi_block_nr_used(wi_zone_block(z, 7)), 512 - n);
	release_all(z, 0, nr);
	CHECK_EQ(claim_all(z, 9), NR_BLOCKS - 1);
	release_all(z, 9, NR_BLOCKS - 1);
	nr = claim_all(z, 0);
	CHECK_EQ(claim_all(z, 1), 0);
	/* It goes on: its bits are there. */
	wi_block_claim(wi_zone_block(z, 7), n, 7 * 512, pages + nr);
	release_all(z, 0, nr + n);
	CHECK(wi_zone_is_valid(z));
	free(z);
}

/* Somebody swapped half a run of blocks and has not told the summaries. */
static void frozen_run(void)
{
	struct wi_zone *z = make();

	*wi_zone_state(z, 64) = wi_state_head(15);
	for (uint64_t i = 65; i < 100; i++)
		*wi_zone_state(z, i) = wi_state_inner();
	CHECK_EQ(claim_all(z, 15), NR_BLOCKS / 64 - 1);
	CHECK_EQ(claim_all(z, 9), NR_BLOCKS % 64 + 28);
	CHECK_EQ(claim_all(z, 0), 0);
	free(z);
}

/* Somebody gave a page back and stands still before it tells the summaries. */
static void frozen_settle(void)
{
	struct wi_zone *z = make();
	uint64_t nr = claim_all(z, 0), page;
	uint32_t cursor = 0;

	CHECK_EQ(nr, NR_PAGES);
	wi_zone_block(z, 1000)->word[3] &= ~UINT64_C(1);
	*wi_zone_state(z, 1000) -= 1;
	CHECK_EQ(wi_zone_claim(z, 0, 1, &page, &cursor), 1);
	CHECK_EQ(page, 1000 * 512 + 192);
	/* It wakes up. */
	wi_zone_settle(z, 1000, 1);
	CHECK(wi_zone_is_valid(z));
	free(z);
}

int main(void)
{
	for (unsigned lies = 0; lies < NR_LIES * NR_LIES; lies++)
		find_despite(lies);
	mend();
	for (unsigned n = 1; n < 512; n *= 2)
		frozen_ticket(n);
	frozen_run();
	frozen_settle();
	return 0;
}
