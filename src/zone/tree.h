/* SPDX-License-Identifier: MIT */
/*
 * A summary: one bit for each block, and above each 64 bits one that says
 * whether any of them is set. Internal to the zone module.
 *
 *	level 1	               |1|0|1|..		top: one word
 *	               ________/   \_______
 *	level 0	|0|0|1|1|..|0|  |0|0|0|..|  ...		a bit a block
 *
 * The stored value is the bit exclusive-or `flip`: a flipped tree in all-zero
 * memory has every bit set. So fresh memory can mean "wholly free" as well as
 * "not partial".
 *
 * Invariants, when no wi_tree_put() is under way:
 *
 *	T1  a level 0 bit has the value that the last wi_tree_put() gave it;
 *	T2  a bit above level 0 is set exactly when one below it is.
 *
 * While one is, or its thread is stopped, bits may be wrong: they are hints.
 *
 * Ordering: a thread that changes a word from "none set" to "some set" or back
 * writes the bit above it and then reads the word again, until the two agree
 * (ZONE-F3 with ZONE-F4). Of two threads that do so at once, the one that
 * writes the bit last sees the final word.
 *
 * Progress: lock-free; a retry means that another thread changed the word.
 */
#ifndef WI_ZONE_TREE_H
#define WI_ZONE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/bits.h"

#define WI_TREE_LEVELS 6 /* 2^36 bits */
#define WI_TREE_NONE UINT64_MAX

/* Written at init only. Offsets are bytes from this struct. */
struct wi_tree {
	uint64_t nr_bits;
	uint64_t flip; /* 0 or all ones */
	uint64_t level[WI_TREE_LEVELS];
	uint64_t nr_levels;
};

/* Bytes of zeroed memory for the words of a tree. */
size_t wi_tree_bytes(uint64_t nr_bits);

/*
 * Makes a tree whose words begin at offset bytes from it, in zeroed memory.
 * Its bits are all clear, or all set if flip is all ones. Touches one word of
 * each level.
 */
void wi_tree_init(struct wi_tree *tree, uint64_t nr_bits, uint64_t flip,
		  uint64_t offset);

/*
 * Sets the bits of mask in one word of level 0 to those of `bits`, and corrects
 * the levels above: as far as they change, or with wi_tree_repair() all of
 * them.
 */
void wi_tree_put(struct wi_tree *tree, uint64_t word, uint64_t mask,
		 uint64_t bits);
void wi_tree_repair(struct wi_tree *tree, uint64_t word, uint64_t mask,
		    uint64_t bits);

/*
 * The first bit set at or after `from`, or WI_TREE_NONE. Above
 * level 0, a bit wrongly set is skipped, and one wrongly clear hides the bits
 * below it.
 */
uint64_t wi_tree_next(const struct wi_tree *tree, uint64_t from);

/* T2, and no bits beyond the last. No other call may run. */
bool wi_tree_is_valid(const struct wi_tree *tree);

static inline uint64_t *wi_tree_word(const struct wi_tree *tree, unsigned level,
				     uint64_t word)
{
	return (uint64_t *)((char *)(uintptr_t)tree + tree->level[level]) +
	       word;
}

/* 64 bits of a level. Relaxed: a hint. */
static inline uint64_t wi_tree_bits(const struct wi_tree *tree, unsigned level,
				    uint64_t word)
{
	return wi_load_relaxed(wi_tree_word(tree, level, word)) ^ tree->flip;
}

#endif
