/* SPDX-License-Identifier: MIT */
/*
 * Ranges of whole blocks that come later, or are taken out of use for a time.
 *
 * A block that is added comes back like one that was allocated as a whole: its
 * state changes from full to free by an exchange, the summaries follow, and the
 * generation moves. So claims, searches and P2 need no rule of their own for
 * growth. (models/zone-grow: HOLE, PLAIN_STATE, NO_ADVANCE)
 *
 * An isolated block has a bit in its state that makes it full for claims,
 * whatever its count. So its free pages need not be claimed, which could never
 * end: those that come back would be claimed by others first. Tickets that were
 * taken before the bit was set are given up like any others, and until then the
 * count is not 0; therefore the state word says whether a block is vacant, and
 * not its bits. (models/zone-isolate, BIT_BEFORE, BY_BITS)
 */
#include "zone/layout.h"

#include "base/assert.h"

void wi_zone_leave_out(struct wi_zone *zone, uint64_t first)
{
	const uint64_t from = first / WI_BLOCK_PAGES;

	wi_assert(first % WI_BLOCK_PAGES == 0 &&
		  zone->nr_pages % WI_BLOCK_PAGES == 0);
	/* Relaxed: no other thread knows the zone yet. */
	for (uint64_t block = from; block < zone->nr_blocks; block++)
		wi_store_relaxed(wi_zone_state(zone, block), wi_state_absent());
	wi_zone_settle(zone, from, zone->nr_blocks - from);
}

void wi_zone_add(struct wi_zone *zone, uint64_t first, uint64_t nr)
{
	const uint64_t block = first / WI_BLOCK_PAGES;

	/* Relaxed: nobody else changes it (Z6). */
	wi_assert(first % WI_BLOCK_PAGES == 0 && nr % WI_BLOCK_PAGES == 0 &&
		  wi_load_relaxed(wi_zone_state(zone, block)) ==
			  wi_state_absent());
	wi_zone_put_blocks(zone, block, nr / WI_BLOCK_PAGES);
	wi_zone_advance(zone);
}

/* --- isolation ---------------------------------------------------------- */

void wi_zone_isolate(struct wi_zone *zone, uint64_t page)
{
	const uint64_t block = page / WI_BLOCK_PAGES;

	/* ZONE-F1: full, as the fill changes for claims. */
	wi_or_full(wi_zone_state(zone, block), STATE_ISOLATED);
	wi_zone_settle_one(zone, block);
}

bool wi_zone_is_vacant(const struct wi_zone *zone, uint64_t page)
{
	/*
	 * ZONE-A4, with ZONE-R1 and ZONE-R2: what earlier owners did to the
	 * pages is visible, and over. Without it their writes could reach pages
	 * that the caller gave to somebody else.
	 */
	return wi_load_acquire(wi_zone_state(zone, page / WI_BLOCK_PAGES)) ==
	       STATE_ISOLATED;
}

void wi_zone_return(struct wi_zone *zone, uint64_t page)
{
	const uint64_t block = page / WI_BLOCK_PAGES;

	/*
	 * ZONE-R4, with ZONE-A1 and ZONE-A2: what the caller did to the pages
	 * is visible to whoever claims them. Full, as the fill changes
	 * (ZONE-F1). Atomic: releases change the count meanwhile. (models/
	 * zone-isolate, PLAIN_UNMARK, QUIET_UNMARK)
	 */
	wi_and_full(wi_zone_state(zone, block), ~STATE_ISOLATED);
	wi_zone_settle_one(zone, block);
	wi_zone_advance(zone);
}

bool wi_zone_is_isolated(const struct wi_zone *zone, uint64_t page)
{
	/* Relaxed, here and below: outdated when it is returned, unless the
	 * caller is the one that isolates. */
	return wi_load_relaxed(wi_zone_state(zone, page / WI_BLOCK_PAGES)) &
	       STATE_ISOLATED;
}

void wi_zone_read_used(const struct wi_zone *zone, uint64_t page,
		       uint64_t *used)
{
	const uint64_t block = page / WI_BLOCK_PAGES;
	const struct wi_block *bits = wi_zone_block(zone, block);
	const bool is_whole =
		wi_load_relaxed(wi_zone_state(zone, block)) & STATE_WHOLE;
	uint64_t any = 0;

	for (unsigned i = 0; i < WI_BLOCK_WORDS; i++) {
		used[i] =
			is_whole ? UINT64_MAX : wi_load_relaxed(&bits->word[i]);
		any |= used[i];
	}
	/* A call holds tickets, or is about to return them: any page may be
	 * the one. */
	for (unsigned i = 0; any == 0 && i < WI_BLOCK_WORDS; i++)
		used[i] = UINT64_MAX;
}
