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
#include "percpu/stat.h"
#include "zone/zone.h"

struct wi_view {
	const struct wi_live
		*live;	    /* constants; for another process' pool: a copy */
	const char *memory; /* the base of the offsets in live->layout */
	/* As in struct wi_zone_view. */
	bool (*is_backed)(const void *ctx, const char *at, const char **end);
	const void *ctx;
};

/* As weir_stat_read(), _zone() and _cpu(): 0, or -EINVAL with a reason. */
int wi_view_read(const struct wi_view *view, struct weir_stat *stat);
int wi_view_read_zone(const struct wi_view *view, unsigned zone,
		      struct weir_stat_zone *stat);
int wi_view_read_cpu(const struct wi_view *view, unsigned zone, unsigned cpu,
		     struct weir_stat_cpu *stat);

/* The pages that exist now, of all zones. */
uint64_t wi_view_pages(const struct wi_view *view);

/* The view's part that src/percpu reads. */
struct wi_percpu_view wi_view_percpu(const struct wi_view *view);

#endif
