/* SPDX-License-Identifier: MIT */
/*
 * The layout of a zone in memory, and its state words. Internal to the zone
 * module (and its tests); zone.c explains the protocol.
 *
 *	+---------+----------------+---------------+---------+--------+
 *	| struct  | bits: a line   | states: a     | partial | wholly |
 *	| wi_zone | for each block | word for each | tree    | free   |
 *	+---------+----------------+---------------+---------+--------+
 *
 * A state word:
 *
 *	 31  18    17     16      12   11      10    9          0
 *	+------+--------+----------+-------+-------+------------+
 *	|  0   |ISOLATED| order of | INNER | WHOLE | used count |
 *	|      |        | the run  |       |       | 0 to 512   |
 *	+------+--------+----------+-------+-------+------------+
 *
 * A word without any flag is the count, and a block has free pages for claims
 * only if its word is less than 512.
 *
 * A block in a run of whole blocks has WHOLE set and count 512, so that a
 * claim need look only at the count; the first of the run names its order,
 * the others are INNER. A block that does not exist yet is INNER without a run.
 * ISOLATED comes in addition to what the rest says.
 */
#ifndef WI_ZONE_LAYOUT_H
#define WI_ZONE_LAYOUT_H

#include "base/atomic.h"
#include "base/bits.h"
#include "zone/block.h"
#include "zone/tree.h"
#include "zone/zone.h"

#define STATE_COUNT UINT32_C(0x3ff)
#define STATE_WHOLE UINT32_C(0x400)
#define STATE_INNER UINT32_C(0x800)
#define STATE_ORDER_SHIFT 12
#define STATE_ISOLATED UINT32_C(0x20000)

_Static_assert(WI_BLOCK_PAGES <= STATE_COUNT, "the count holds a full block");

struct wi_zone {
	/* Written at init, read by all. Offsets are bytes from this struct. */
	uint64_t nr_pages;
	uint64_t nr_blocks;
	uint64_t blocks;
	uint64_t states;
	struct wi_tree partial; /* some pages used, some free */
	struct wi_tree free;	/* no page used */

	/* Written by every call that gives pages back; a line of its own. */
	_Alignas(WI_CACHE_LINE) uint64_t generation;
};

_Static_assert(sizeof(struct wi_zone) % WI_CACHE_LINE == 0,
	       "the blocks behind it are aligned");

enum wi_fill { WI_FREE, WI_PARTIAL, WI_FULL };

/* wi_zone_block: the bits; wi_zone_state: the state word. */
static inline struct wi_block *wi_zone_block(const struct wi_zone *zone,
					     uint64_t block)
{
	return (struct wi_block *)((char *)(uintptr_t)zone + zone->blocks) +
	       block;
}

static inline uint32_t *wi_zone_state(const struct wi_zone *zone,
				      uint64_t block)
{
	return (uint32_t *)((char *)(uintptr_t)zone + zone->states) + block;
}

static inline uint32_t wi_state_head(unsigned order)
{
	return (uint32_t)order << STATE_ORDER_SHIFT | STATE_WHOLE |
	       WI_BLOCK_PAGES;
}

static inline uint32_t wi_state_inner(void)
{
	return STATE_INNER | STATE_WHOLE | WI_BLOCK_PAGES;
}

/* Of a block that does not exist yet: full for claims, and no run to release.
 */
static inline uint32_t wi_state_absent(void)
{
	return wi_state_inner();
}

/* Pages in the block for which a ticket can be had. */
static inline unsigned wi_state_nr_free(uint32_t state)
{
	return state < WI_BLOCK_PAGES ? WI_BLOCK_PAGES - state : 0;
}

/* Its free pages that belong to whoever isolated it. */
static inline unsigned wi_state_nr_isolated(uint32_t state)
{
	return state & STATE_ISOLATED ? wi_state_nr_free(state & STATE_COUNT)
				      : 0;
}

static inline enum wi_fill wi_state_fill(uint32_t state)
{
	if (state == 0)
		return WI_FREE;
	return state < WI_BLOCK_PAGES ? WI_PARTIAL : WI_FULL;
}

/* Updates the summaries from the states of nr blocks; of those in the mask of
 * one summary word; of one block. */
void wi_zone_settle(struct wi_zone *zone, uint64_t first, uint64_t nr);
void wi_zone_settle_word(struct wi_zone *zone, uint64_t word, uint64_t mask);
static inline void wi_zone_settle_one(struct wi_zone *zone, uint64_t block)
{
	wi_zone_settle_word(zone, block / 64, UINT64_C(1) << (block % 64));
}
/* The same for one block, on every level: also what a stopped thread has left
 * undone. */
void wi_zone_repair(struct wi_zone *zone, uint64_t block);

/* Returns tickets of one block whose bits are clear. */
void wi_zone_put_tickets(struct wi_zone *zone, uint64_t block, unsigned nr);
/* Makes a claimed run of blocks from first on free again. */
void wi_zone_put_blocks(struct wi_zone *zone, uint64_t first, uint64_t nr);
/* Call after anything came back. */
void wi_zone_advance(struct wi_zone *zone);

#endif
