/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a block hands out a page that is used, the wrong number of
 * pages, a run that is not aligned or not free, or changes other bits.
 */
#include <stdbool.h>
#include <string.h>

#include "base/bits.h"
#include "zone/block.h"
#include "check.h"

#define BASE UINT64_C(5120)

static uint64_t seed = 20240607;

static unsigned below(unsigned n)
{
	return (unsigned)((check_random(&seed) >> 32) % n);
}

/* Random bits; density 0 to 8 eighths, with full and empty words among them. */
static void fill(struct wi_block *b, unsigned density)
{
	memset(b, 0, sizeof(*b));
	for (unsigned i = 0; i < WI_BLOCK_PAGES; i++)
		if (below(8) < density)
			b->word[i / 64] |= UINT64_C(1) << (i % 64);
	for (unsigned i = 0; i < WI_BLOCK_WORDS; i++) {
		unsigned x = below(6);

		if (x == 0)
			b->word[i] = 0;
		else if (x == 1)
			b->word[i] = UINT64_MAX;
	}
}

static bool is_free_run(const struct wi_block *b, unsigned first, unsigned nr)
{
	for (unsigned i = first; i < first + nr; i++)
		if (b->word[i / 64] >> (i % 64) & 1)
			return false;
	return true;
}

static void set_run(struct wi_block *b, unsigned first, unsigned nr)
{
	for (unsigned i = first; i < first + nr; i++)
		b->word[i / 64] |= UINT64_C(1) << (i % 64);
}

static unsigned naive_nr_runs(const struct wi_block *b, unsigned order)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < WI_BLOCK_PAGES; i += 1u << order)
		nr += is_free_run(b, i, 1u << order);
	return nr;
}

/* The n lowest free runs, and nothing else, are claimed; order 0: pages. */
static void check_claim(const struct wi_block *before, unsigned order, size_t n)
{
	struct wi_block b = *before, expected = *before;
	uint64_t pages[WI_BLOCK_PAGES];
	size_t i = 0, got = n;
	struct wi_block_want want = { BASE, pages, n, order, false };

	if (order == 0)
		wi_block_claim(&b, n, BASE, pages);
	else
		got = wi_block_claim_runs(&b, &want);
	for (unsigned p = 0; p < WI_BLOCK_PAGES && i < n; p += 1u << order) {
		if (!is_free_run(before, p, 1u << order))
			continue;
		CHECK(i < got);
		CHECK_EQ(pages[i++], BASE + p);
		set_run(&expected, p, 1u << order);
	}
	CHECK_EQ(i, got);
	CHECK(memcmp(&b, &expected, sizeof(b)) == 0);
	CHECK(!want.undone);
}

static void claims(void)
{
	for (unsigned turn = 0; turn < 900; turn++) {
		struct wi_block b;

		fill(&b, turn % 9);
		for (unsigned order = 0; order <= 8; order++) {
			unsigned nr = naive_nr_runs(&b, order);

			CHECK_EQ(wi_block_nr_runs(&b, order), nr);
			check_claim(&b, order, below(nr + 1));
			check_claim(&b, order, nr);
			if (order > 0)
				check_claim(&b, order, nr + 3);
		}
		CHECK_EQ(wi_block_nr_used(&b), 512 - naive_nr_runs(&b, 0));
	}
}

/* Every number of pages from one word, around every bit. */
static void few_pages(void)
{
	for (unsigned n = 0; n <= 64; n++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			struct wi_block b = { { 0 } };

			b.word[0] = UINT64_C(1) << bit;
			check_claim(&b, 0, n);
			b.word[0] = ~wi_low_mask(bit);
			check_claim(&b, 0, n);
			b.word[0] = check_random(&seed);
			check_claim(&b, 0, n);
		}
	}
}

/* A run of words that meets a used one leaves no trace but `undone`. */
static void words_undone(void)
{
	for (unsigned nr = 1; nr <= 4; nr *= 2) {
		for (unsigned used = 0; used < nr; used++) {
			struct wi_block b = { { 0 } }, was;
			bool undone = false;

			b.word[4 + used] = UINT64_C(1) << 63;
			was = b;
			CHECK(!wi_block_claim_words(&b, 4, nr, &undone));
			CHECK_EQ(undone, used > 0);
			CHECK(memcmp(&b, &was, sizeof(b)) == 0);
		}
	}
}

static void releases(void)
{
	for (unsigned turn = 0; turn < 2000; turn++) {
		struct wi_block b, was;
		unsigned word = below(8), nr = 1u << below(3);
		uint64_t mask = check_random(&seed) & check_random(&seed);
		bool fits, full = true;

		fill(&b, turn % 9);
		was = b;
		fits = (b.word[word] & mask) == mask;
		CHECK_EQ(wi_block_release(&b, word, mask), fits);
		if (fits)
			was.word[word] &= ~mask;
		CHECK(memcmp(&b, &was, sizeof(b)) == 0);
		word -= word % nr;
		for (unsigned i = word; i < word + nr; i++)
			full = full && b.word[i] == UINT64_MAX;
		CHECK_EQ(wi_block_release_words(&b, word, nr), full);
		for (unsigned i = word; full && i < word + nr; i++)
			was.word[i] = 0;
		CHECK(memcmp(&b, &was, sizeof(b)) == 0);
	}
}

int main(void)
{
	claims();
	few_pages();
	words_undone();
	releases();
	return 0;
}
