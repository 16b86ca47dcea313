/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of what CPUs keep and of what drains did, from the memory of a
 * struct wi_drain of this process or of another. Each word is read once,
 * relaxed; nothing is written or locked, and no word is trusted: constants are
 * those of the view.
 */
#ifndef WI_PERCPU_STAT_H
#define WI_PERCPU_STAT_H

#include "percpu/drain.h"

struct wi_percpu_view {
	const void *memory; /* of wi_percpu_bytes() */
	const char *areas;
	const uint32_t *weight;
	unsigned nr_cpus, nr_zones, nr_lists;
};

struct wi_percpu_view wi_percpu_view_of(const struct wi_drain *drain);

/* Has this CPU lists? If not its areas may be a hole. */
bool wi_percpu_view_is_awake(const struct wi_percpu_view *view, unsigned cpu);

/* The part of an area that snapshots read. */
const char *wi_percpu_view_area(const struct wi_percpu_view *view,
				unsigned zone, unsigned cpu, size_t *bytes);

/* What one CPU, which is awake, keeps for one zone. */
struct wi_percpu_stat {
	uint64_t cached, pending; /* pages */
	uint64_t nr[WI_NR_AREA_EVENTS];
	uint64_t by[WI_NR_EVIDENCE],
		late; /* drains; those without evidence in time */
	unsigned count[WEIR_NR_LISTS]; /* tokens */
	uint64_t operations[WEIR_NR_LISTS];
};

/* The limit of a list, as asked for. */
unsigned wi_percpu_view_limit(const struct wi_percpu_view *view, unsigned zone,
			      unsigned cpu, unsigned list);

void wi_percpu_view_read(const struct wi_percpu_view *view, unsigned zone,
			 unsigned cpu, struct wi_percpu_stat *stat);

/* `mode` is an enum wi_mode, if the memory is sound. */
struct wi_percpu_mode {
	uint8_t mode;
	bool off;
};

/* In force, and asked for. Off is in force when nothing can come back to a list
 * any more. */
void wi_percpu_view_mode(const struct wi_percpu_view *view, unsigned zone,
			 unsigned cpu, struct wi_percpu_mode *mode);
void wi_percpu_view_wanted(const struct wi_percpu_view *view, unsigned zone,
			   unsigned cpu, struct wi_percpu_mode *mode);

/* Looks for a token in the lists for one zone, of all CPUs: in list i for
 * token[i]. Of memory of this process. */
struct wi_percpu_place {
	unsigned cpu, list;
	bool pending; /* not in the set in use */
};
bool wi_percpu_view_find(const struct wi_percpu_view *view, unsigned zone,
			 const uint64_t *token, struct wi_percpu_place *place);

void wi_percpu_view_totals(const struct wi_percpu_view *view,
			   struct wi_percpu_totals *totals);

#endif
