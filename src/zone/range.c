/* SPDX-License-Identifier: MIT */
/*
 * Ranges of whole blocks that are not there from the beginning.
 *
 * A block that is added comes back like one that was allocated as a whole: its
 * state changes from full to free by an exchange, the summaries follow, and the
 * generation moves. So claims, searches and P2 need no rule of their own for
 * growth. (models/zone-grow: HOLE, PLAIN_STATE, NO_ADVANCE)
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
