/* SPDX-License-Identifier: MIT */
/* 512 pages in one cache line; see block.h for the picture and the rules. */
#include "zone/block.h"

#include "base/assert.h"
#include "base/atomic.h"

#define EACH_BYTE(x) (UINT64_C(0x0101010101010101) * (x))

/*
 * Byte i of the result: how many bits are set in bytes 0 to i of x. Computed
 * by arithmetic: not every x86-64 has the instruction, and the function that
 * compilers call instead is slower and not available in a kernel.
 */
static uint64_t count_by_byte(uint64_t x)
{
	x -= x >> 1 & EACH_BYTE(0x55);
	x = (x & EACH_BYTE(0x33)) + (x >> 2 & EACH_BYTE(0x33));
	x = (x + (x >> 4)) & EACH_BYTE(0x0f);
	return EACH_BYTE(x);
}

static unsigned count_bits(uint64_t x)
{
	return (unsigned)(count_by_byte(x) >> 56);
}

/* The n lowest set bits of x, or all if there are fewer. */
static uint64_t lowest_bits(uint64_t x, size_t n)
{
	uint64_t rest = x, sums, low;
	unsigned nr_bytes;

	if (n >= 64)
		return x;
	if (x == UINT64_MAX)
		return wi_low_mask((unsigned)n);
	if (n > 4) {
		/* Bytes of which all bits are wanted: those whose sum is at
		 * most n. */
		sums = count_by_byte(x);
		low = ((EACH_BYTE(n) | EACH_BYTE(0x80)) - sums) >> 7 &
		      EACH_BYTE(1);
		nr_bytes = (unsigned)(EACH_BYTE(low) >> 56);
		if (nr_bytes == 8)
			return x;
		if (nr_bytes > 0)
			n -= sums >> (8 * nr_bytes - 8) & 0xff;
		rest &= UINT64_MAX << (8 * nr_bytes);
	}
	for (; n > 0 && rest != 0; n--)
		rest &= rest - 1;
	return x & ~rest;
}

/* Writes n consecutive numbers, four at a time: this loop is a large part of
 * the cost of claiming a whole word. */
static size_t emit_range(uint64_t first, size_t n, uint64_t *pages)
{
	size_t i = 0;

	for (; i + 4 <= n; i += 4) {
		pages[i] = first + i;
		pages[i + 1] = first + i + 1;
		pages[i + 2] = first + i + 2;
		pages[i + 3] = first + i + 3;
	}
	for (; i < n; i++)
		pages[i] = first + i;
	return n;
}

/* Writes base + the index of each set bit to pages[]; returns how many. */
static size_t emit_pages(uint64_t set, uint64_t base, uint64_t *pages)
{
	uint64_t above = set + (set & (0 - set));
	size_t n = 0;

	if (set != 0 && (set & above) == 0) /* all in a row */
		return emit_range(base + wi_lowest_bit(set),
				  wi_highest_bit(set) - wi_lowest_bit(set) + 1,
				  pages);
	while (set != 0) {
		pages[n++] = base + wi_lowest_bit(set);
		set &= set - 1;
	}
	return n;
}

void wi_block_claim(struct wi_block *block, size_t nr, uint64_t base,
		    uint64_t *pages)
{
	for (unsigned i = 0; nr > 0; i = (i + 1) % WI_BLOCK_WORDS) {
		uint64_t *word = &block->word[i];
		/* Relaxed: a guess; the fetch-or shows what was taken. */
		uint64_t mask = ~wi_load_relaxed(word);
		size_t n;

		if (mask == 0)
			continue;
		mask = lowest_bits(mask, nr);
		/*
		 * BLOCK-A1, with BLOCK-R1 and BLOCK-R2: a bit found clear makes
		 * everything its last owner did visible. Without it, this
		 * owner's writes to the page could be overwritten by the
		 * last one's.
		 */
		mask &= ~wi_or_acquire(word, mask);
		n = emit_pages(mask, base + i * UINT64_C(64), pages);
		pages += n;
		nr -= n;
	}
}

static bool words_are_free(const struct wi_block *block, unsigned first,
			   unsigned nr_words)
{
	/* Relaxed: a hint; the claim verifies it. */
	for (unsigned i = first; i < first + nr_words; i++)
		if (wi_load_relaxed(&block->word[i]) != 0)
			return false;
	return true;
}

size_t wi_block_nr_runs(const struct wi_block *block, unsigned order)
{
	size_t nr = 0;

	if (order < WI_BLOCK_WORD_ORDER) {
		/* Relaxed: a look. */
		for (unsigned i = 0; i < WI_BLOCK_WORDS; i++)
			nr += count_bits(wi_word_runs(
				~wi_load_relaxed(&block->word[i]), order));
	} else {
		unsigned step = 1u << (order - WI_BLOCK_WORD_ORDER);

		for (unsigned i = 0; i < WI_BLOCK_WORDS; i += step)
			nr += words_are_free(block, i, step);
	}
	return nr;
}

/* Undoes a claim of words that met a word in use. */
static void undo_words(struct wi_block *block, unsigned first, unsigned nr)
{
	while (nr-- > 0) {
		/*
		 * BLOCK-R2, with BLOCK-A1, BLOCK-A2 and BLOCK-A3: passes on
		 * what BLOCK-A3 made visible here; this thread wrote nothing to
		 * these pages. Without it an earlier owner and a later one
		 * would not be ordered.
		 */
		if (wi_and_release(&block->word[first + nr], 0) != UINT64_MAX)
			wi_panic("block: bits changed under their claim");
	}
}

bool wi_block_claim_words(struct wi_block *block, unsigned first,
			  unsigned nr_words, bool *undone)
{
	for (unsigned i = 0; i < nr_words; i++) {
		uint64_t none = 0;

		/*
		 * BLOCK-A3, with BLOCK-R1 and BLOCK-R2: as BLOCK-A1, for all
		 * 64 pages of the word.
		 */
		if (!wi_cas_acquire(&block->word[first + i], &none,
				    UINT64_MAX)) {
			undo_words(block, first, i);
			*undone |= i > 0;
			return false;
		}
	}
	return true;
}

static size_t claim_word_runs(struct wi_block *block,
			      struct wi_block_want *want)
{
	uint64_t run = wi_low_mask(1u << want->order);
	size_t got = 0;

	for (unsigned i = 0; i < WI_BLOCK_WORDS && got < want->nr_runs; i++) {
		uint64_t *word = &block->word[i];
		/* Relaxed: the compare-and-swap verifies it. */
		uint64_t old = wi_load_relaxed(word);
		uint64_t firsts;

		do {
			firsts = lowest_bits(wi_word_runs(~old, want->order),
					     want->nr_runs - got);
			if (firsts == 0)
				break;
			/*
			 * BLOCK-A2, with BLOCK-R1 and BLOCK-R2: as BLOCK-A1.
			 * A compare-and-swap, so that no bit of a run is ever
			 * set without the others. (first * run: the runs do
			 * not overlap, so the product is their union.)
			 */
		} while (!wi_cas_acquire(word, &old, old | firsts * run));
		got += emit_pages(firsts, want->base + i * UINT64_C(64),
				  want->pages + got);
	}
	return got;
}

size_t wi_block_claim_runs(struct wi_block *block, struct wi_block_want *want)
{
	size_t got = 0;
	unsigned step;

	if (want->order < WI_BLOCK_WORD_ORDER)
		return claim_word_runs(block, want);
	step = 1u << (want->order - WI_BLOCK_WORD_ORDER);
	for (unsigned i = 0; i < WI_BLOCK_WORDS && got < want->nr_runs;
	     i += step) {
		if (words_are_free(block, i, step) &&
		    wi_block_claim_words(block, i, step, &want->undone))
			want->pages[got++] = want->base + i * UINT64_C(64);
	}
	return got;
}

static uint64_t mask_of_run(unsigned page, unsigned order)
{
	return wi_low_mask(1u << order) << page % 64;
}

bool wi_block_is_free(const struct wi_block *block, unsigned page,
		      unsigned order)
{
	if (order >= WI_BLOCK_WORD_ORDER)
		return words_are_free(block, page / 64,
				      1u << (order - WI_BLOCK_WORD_ORDER));
	/* Relaxed: a hint; the claim verifies it. */
	return (wi_load_relaxed(&block->word[page / 64]) &
		mask_of_run(page, order)) == 0;
}

bool wi_block_claim_at(struct wi_block *block, unsigned page, unsigned order)
{
	uint64_t *word = &block->word[page / 64];
	/* Relaxed: the compare-and-swap verifies it. */
	uint64_t old = wi_load_relaxed(word), run;
	bool undone = false;

	if (order >= WI_BLOCK_WORD_ORDER)
		return wi_block_claim_words(block, page / 64,
					    1u << (order - WI_BLOCK_WORD_ORDER),
					    &undone);
	run = mask_of_run(page, order);
	do {
		if ((old & run) != 0)
			return false;
		/* BLOCK-A2, with BLOCK-R1 and BLOCK-R2: as in
		 * claim_word_runs(). */
	} while (!wi_cas_acquire(word, &old, old | run));
	return true;
}

bool wi_block_release(struct wi_block *block, unsigned word, uint64_t mask)
{
	uint64_t *p = &block->word[word];
	/* Relaxed: the compare-and-swap verifies what follows from it. */
	uint64_t old = wi_load_relaxed(p);

	do {
		if (wi_unlikely((old & mask) != mask))
			return false;
		/*
		 * BLOCK-R1, with BLOCK-A1, BLOCK-A2 and BLOCK-A3: everything
		 * this owner did to the pages is visible to the next. Without
		 * it, a late write of this owner could reach a page of the
		 * next. (A fetch-and would clear without testing; on x86-64
		 * it compiles to the same loop.)
		 */
	} while (!wi_cas_release(p, &old, old & ~mask));
	return true;
}

/* Sets the words again that a refused release had cleared. */
static void undo_release(struct wi_block *block, unsigned first, unsigned nr)
{
	/* Relaxed: the pages keep their owner, so nothing is handed over. */
	for (unsigned i = first; i < first + nr; i++)
		if (wi_or_relaxed(&block->word[i], UINT64_MAX) != 0)
			wi_panic("double free: a page was claimed meanwhile");
}

bool wi_block_release_words(struct wi_block *block, unsigned first,
			    unsigned nr_words)
{
	for (unsigned i = 0; i < nr_words; i++) {
		if (!wi_block_release(block, first + i, UINT64_MAX)) {
			undo_release(block, first, i);
			return false;
		}
	}
	return true;
}

bool wi_block_is_used(const struct wi_block *block, unsigned page)
{
	/* Relaxed: the answer may be outdated when it is returned. */
	return wi_load_relaxed(&block->word[page / 64]) >> (page % 64) & 1;
}

unsigned wi_block_nr_used(const struct wi_block *block)
{
	unsigned nr = 0;

	/* Relaxed: likewise. */
	for (unsigned i = 0; i < WI_BLOCK_WORDS; i++)
		nr += count_bits(wi_load_relaxed(&block->word[i]));
	return nr;
}
