/* SPDX-License-Identifier: MIT */
/* Snapshots of a cache's counters, for the public doors. Nothing is written,
 * locked or asked of the system. */
#ifndef WI_STAT_STAT_H
#define WI_STAT_STAT_H

#include "cache/cache.h"

struct wi_stat_cpu {
	uint64_t cached, pending; /* in pages */
	uint64_t refills, flushes, direct, aborts;
	uint64_t by[WI_NR_EVIDENCE], late; /* drains; those parked */
	unsigned count[WEIR_NR_LISTS], high[WEIR_NR_LISTS]; /* in tokens */
	uint64_t operations[WEIR_NR_LISTS];
};

struct wi_stat_drains {
	uint64_t drained, pages, parked, membarriers, membarriers_failed;
	uint64_t by[WI_NR_EVIDENCE];
	uint64_t failures[WI_NR_FAILURES];
};

void wi_stat_cpu(const struct wi_cache *cache, unsigned zone, unsigned cpu,
		 struct wi_stat_cpu *stat);
void wi_stat_drains(const struct wi_cache *cache, struct wi_stat_drains *stat);

#endif
