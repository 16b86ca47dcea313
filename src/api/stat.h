/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of a pool's counters, for the public interfaces: of a pool of this
 * process, or of another process, whose memory is read through a read-only
 * mapping. Nothing is written or locked. The memory is not trusted: constants
 * are those of the view.
 */
#ifndef WI_API_STAT_H
#define WI_API_STAT_H

#include <weir/stat.h>

#include "api/meta.h"
#include "zone/zone.h"

struct wi_view {
	const struct wi_live
		*live;	    /* constants; for another process' pool: a copy */
	const char *memory; /* the base of the offsets in live->layout */
	/* As in struct wi_zone_view. */
	bool (*is_backed)(const void *ctx, const char *at, const char **end);
	const void *ctx;
};

struct wi_stat_cpu {
	uint64_t cached, pending; /* in pages */
	uint64_t refills, flushes, direct, aborts;
	uint64_t by[WI_NR_EVIDENCE],
		late; /* drains; those without evidence in time */
	unsigned count[WEIR_NR_LISTS]; /* in tokens */
	uint64_t operations[WEIR_NR_LISTS];
};

/* One CPU's share in one zone; the constants are those of any drain. */
void wi_stat_cpu(struct wi_area *area, const struct wi_unit *unit,
		 unsigned nr_lists, const uint32_t *weight,
		 struct wi_stat_cpu *stat);

/* As weir_stat_read(), _zone() and _cpu(): 0, or -EINVAL with a reason. */
int wi_view_read(const struct wi_view *view, struct weir_stat *stat);
int wi_view_read_zone(const struct wi_view *view, unsigned zone,
		      struct weir_stat_zone *stat);
int wi_view_read_cpu(const struct wi_view *view, unsigned zone, unsigned cpu,
		     struct weir_stat_cpu *stat);

/* The area and the unit of one CPU for one zone. The area of a CPU that is
 * asleep (src/drain) may be a hole. */
struct wi_area *wi_view_area(const struct wi_view *view, unsigned zone,
			     unsigned cpu);
const struct wi_unit *wi_view_unit(const struct wi_view *view, unsigned zone,
				   unsigned cpu);

#endif
