/* SPDX-License-Identifier: MIT */
/* Summary bitmaps; see tree.h for the picture and the rules. */
#include "zone/tree.h"

#include "base/assert.h"

static uint64_t words_of(uint64_t nr_bits)
{
	return wi_div_round_up(nr_bits, 64);
}

/* Words in a level: level 0 has a bit for each, the next one a 64th, ... */
static uint64_t level_words(const struct wi_tree *tree, unsigned level)
{
	return ((tree->nr_bits - 1) >> (6 * (level + 1))) + 1;
}

size_t wi_tree_bytes(uint64_t nr_bits)
{
	size_t bytes = 0;

	do {
		nr_bits = words_of(nr_bits);
		bytes += nr_bits * sizeof(uint64_t);
	} while (nr_bits > 1);
	return bytes;
}

void wi_tree_init(struct wi_tree *tree, uint64_t nr_bits, uint64_t flip,
		  uint64_t offset)
{
	uint64_t nr = nr_bits;

	tree->nr_bits = nr_bits;
	tree->flip = flip;
	do {
		unsigned level = (unsigned)tree->nr_levels++;
		unsigned last = (unsigned)(nr % 64);

		wi_assert(level < WI_TREE_LEVELS);
		tree->level[level] = offset;
		nr = words_of(nr);
		/* Relaxed: no other thread knows the tree yet. */
		if (flip != 0 && last != 0)
			wi_store_relaxed(wi_tree_word(tree, level, nr - 1),
					 ~wi_low_mask(last));
		offset += nr * sizeof(uint64_t);
	} while (nr > 1);
}

static bool has_any(const struct wi_tree *tree, unsigned level, uint64_t word)
{
	/*
	 * ZONE-F3: a full load, after the change of this word (below) or after
	 * the write of the bit above it (ZONE-F4).
	 */
	return (wi_load_full(wi_tree_word(tree, level, word)) ^ tree->flip) !=
	       0;
}

/*
 * Makes the bits of mask those of `bits`; returns whether this changed the
 * word from "none" to "some" or back, in which case the level above is due.
 */
static bool put_word(struct wi_tree *tree, unsigned level, uint64_t word,
		     uint64_t mask, uint64_t bits)
{
	uint64_t *p = wi_tree_word(tree, level, word);
	/*
	 * ZONE-F4, with ZONE-F1 (level 0) or ZONE-F3 (above): the load and the
	 * changes are full, so that they come after the change that they
	 * report, and before it is read again. Without it two threads
	 * could each miss the other's change, and a wrong bit stay.
	 */
	uint64_t old = wi_load_full(p), set, clear;
	bool before, between = false, after;

	bits = (bits ^ tree->flip) & mask;
	set = bits & ~old;
	clear = mask & ~bits & old;
	if (set != 0) {
		old = wi_or_full(p, set); /* ZONE-F4 */
		before = (old ^ tree->flip) != 0;
		after = ((old | set) ^ tree->flip) != 0;
		between = before != after;
	}
	if (clear != 0) {
		old = wi_and_full(p, ~clear); /* ZONE-F4 */
		before = (old ^ tree->flip) != 0;
		after = ((old & ~clear) ^ tree->flip) != 0;
		between |= before != after;
	}
	return between;
}

static void put_bits(struct wi_tree *tree, uint64_t word, uint64_t mask,
		     uint64_t bits, bool all)
{
	bool due = put_word(tree, 0, word, mask, bits) || all;

	for (unsigned level = 1; due && level < tree->nr_levels; level++) {
		uint64_t child = word;
		uint64_t bit = UINT64_C(1) << (child % 64);
		bool any;

		due = all;
		word /= 64;
		do {
			any = has_any(tree, level - 1, child);
			due |= put_word(tree, level, word, bit, any ? bit : 0);
		} while (has_any(tree, level - 1, child) != any);
	}
}

void wi_tree_put(struct wi_tree *tree, uint64_t word, uint64_t mask,
		 uint64_t bits)
{
	put_bits(tree, word, mask, bits, false);
}

void wi_tree_repair(struct wi_tree *tree, uint64_t word, uint64_t mask,
		    uint64_t bits)
{
	put_bits(tree, word, mask, bits, true);
}

uint64_t wi_tree_next(const struct wi_tree *tree, uint64_t from)
{
	unsigned level = 0;
	uint64_t i = from;

	for (;;) {
		uint64_t bits;

		if (i / 64 >= level_words(tree, level))
			return WI_TREE_NONE;
		bits = wi_tree_bits(tree, level, i / 64) &
		       (UINT64_MAX << (i % 64));
		if (bits != 0) {
			i = (i & ~UINT64_C(63)) + wi_lowest_bit(bits);
			if (level == 0)
				return i;
			level--;
			i *= 64;
		} else {
			if (++level == tree->nr_levels)
				return WI_TREE_NONE;
			i = i / 64 + 1;
		}
	}
}

bool wi_tree_is_valid(const struct wi_tree *tree)
{
	uint64_t nr = tree->nr_bits;

	for (unsigned level = 0; level < tree->nr_levels; level++) {
		unsigned last = (unsigned)(nr % 64);

		nr = words_of(nr);
		if (last != 0 && (wi_tree_bits(tree, level, nr - 1) &
				  ~wi_low_mask(last)) != 0)
			return false;
		for (uint64_t i = 0; level + 1 < tree->nr_levels && i < nr;
		     i++) {
			uint64_t above = wi_tree_bits(tree, level + 1, i / 64);

			if ((above >> (i % 64) & 1) !=
			    (wi_tree_bits(tree, level, i) != 0))
				return false;
		}
	}
	return nr == 1;
}
