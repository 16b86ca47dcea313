/* SPDX-License-Identifier: MIT */
/* Snapshots: see stat.h. */
#include "percpu/stat.h"

static uint64_t read_shared(const uint64_t *word)
{
	return wi_load_relaxed(word); /* see stat.h */
}

struct wi_percpu_view wi_percpu_view_of(const struct wi_drain *drain)
{
	return (struct wi_percpu_view){
		.memory = drain->total,
		.areas = drain->areas,
		.weight = drain->weight,
		.nr_cpus = drain->nr_cpus,
		.nr_zones = drain->nr_zones,
		.nr_lists = drain->nr_lists,
	};
}

static const struct wi_unit *view_units(const struct wi_percpu_view *view)
{
	const struct wi_percpu_totals *totals = view->memory;

	return (const void *)(totals + 1);
}

/* The two bitmaps that follow the units; the homes follow them. */
static const uint64_t *view_bitmaps(const struct wi_percpu_view *view)
{
	return (const void *)(view_units(view) +
			      (size_t)view->nr_zones * view->nr_cpus);
}

static size_t view_nth_unit(const struct wi_percpu_view *view, unsigned zone,
			    unsigned cpu)
{
	const uint8_t *homes =
		(const void *)(view_bitmaps(view) +
			       2 * (size_t)((view->nr_cpus + 63) / 64));
	/* Relaxed: constant; another's memory may say anything at any time. */
	const unsigned home = wi_load_relaxed(&homes[cpu]) % view->nr_zones;

	return wi_nth_unit(view->nr_cpus, view->nr_zones, home, zone, cpu);
}

static const struct wi_unit *view_unit(const struct wi_percpu_view *view,
				       unsigned zone, unsigned cpu)
{
	return view_units(view) + view_nth_unit(view, zone, cpu);
}

static const struct wi_area *view_area(const struct wi_percpu_view *view,
				       unsigned zone, unsigned cpu)
{
	return (const void *)(view->areas +
			      view_nth_unit(view, zone, cpu) * WEIR_AREA_BYTES);
}

bool wi_percpu_view_is_awake(const struct wi_percpu_view *view, unsigned cpu)
{
	/* The second of the two. */
	const uint64_t *awake = view_bitmaps(view) + (view->nr_cpus + 63) / 64;

	return read_shared(&awake[cpu / 64]) >> cpu % 64 & 1;
}

const char *wi_percpu_view_area(const struct wi_percpu_view *view,
				unsigned zone, unsigned cpu, size_t *bytes)
{
	*bytes = offsetof(struct wi_area, pad2) -
		 offsetof(struct wi_area, active);
	return (const char *)&view_area(view, zone, cpu)->active;
}

void wi_percpu_view_read(const struct wi_percpu_view *view, unsigned zone,
			 unsigned cpu, struct wi_percpu_stat *stat)
{
	const struct wi_area *area = view_area(view, zone, cpu);
	const struct wi_unit *unit = view_unit(view, zone, cpu);
	const unsigned set = wi_active_set(read_shared(&area->active));

	*stat = (struct wi_percpu_stat){ .late = read_shared(&unit->late) };
	for (unsigned i = 0; i < WI_NR_AREA_EVENTS; i++)
		stat->nr[i] = read_shared(&area->counters.nr[i]);
	for (unsigned i = 0; i < WI_NR_EVIDENCE; i++)
		stat->by[i] = read_shared(&unit->by[i]);
	for (unsigned list = 0; list < view->nr_lists; list++) {
		const uint64_t weight = view->weight[list];
		uint64_t header[2] = { read_shared(&area->header[0][list]),
				       read_shared(&area->header[1][list]) };

		stat->operations[list] = wi_header_ops(header[0]) / 2 +
					 wi_header_ops(header[1]) / 2;
		for (unsigned i = 0; i < 2; i++) {
			unsigned n = wi_header_count(header[i]);

			if (set == WI_SET_0 + i) {
				stat->count[list] = n;
				stat->cached += n * weight;
			} else { /* a spare set is empty */
				stat->pending += n * weight;
			}
		}
	}
}

unsigned wi_percpu_view_limit(const struct wi_percpu_view *view, unsigned zone,
			      unsigned cpu, unsigned list)
{
	/* Relaxed: for statistics; of another process it may be anything. */
	const unsigned limit =
		wi_load_relaxed(&view_unit(view, zone, cpu)->limit[list]);

	return limit < WEIR_LIST_MAX ? limit : WEIR_LIST_MAX;
}

static bool is_in_list(const struct wi_area *area, unsigned set, unsigned list,
		       uint64_t token)
{
	const unsigned n =
		wi_header_count(read_shared(&area->header[set][list]));

	for (unsigned i = 0; i < n; i++)
		if (read_shared(&area->token[set][list][i]) == token)
			return true;
	return false;
}

bool wi_percpu_view_find(const struct wi_percpu_view *view, unsigned zone,
			 const uint64_t *token, struct wi_percpu_place *place)
{
	for (unsigned cpu = 0; cpu < view->nr_cpus; cpu++) {
		const struct wi_area *area = view_area(view, zone, cpu);

		if (!wi_percpu_view_is_awake(view, cpu))
			continue;
		for (unsigned i = 0; i < 2 * view->nr_lists; i++) {
			const unsigned set = i % 2, list = i / 2;

			if (!is_in_list(area, set, list, token[list]))
				continue;
			*place = (struct wi_percpu_place){
				.cpu = cpu,
				.list = list,
				.pending = wi_active_set(read_shared(
						   &area->active)) !=
					   WI_SET_0 + set,
			};
			return true;
		}
	}
	return false;
}

void wi_percpu_view_mode(const struct wi_percpu_view *view, unsigned zone,
			 unsigned cpu, struct wi_percpu_mode *mode)
{
	const struct wi_unit *unit = view_unit(view, zone, cpu);

	/* Relaxed, all, also below: bytes that the holder of the drain mutex
	 * stores. Read as a number: it may be of another process, and store
	 * what it likes. */
	*mode = (struct wi_percpu_mode){
		.mode = wi_load_relaxed(&unit->in_force),
		.off = wi_load_relaxed((const uint8_t *)&unit->off) != 0 &&
		       wi_load_relaxed(&unit->pending) == WI_SET_NULL,
	};
}

void wi_percpu_view_wanted(const struct wi_percpu_view *view, unsigned zone,
			   unsigned cpu, struct wi_percpu_mode *mode)
{
	const struct wi_unit *unit = view_unit(view, zone, cpu);

	/* Relaxed, both: see above. */
	*mode = (struct wi_percpu_mode){
		.mode = wi_load_relaxed(&unit->wanted),
		.off = wi_load_relaxed((const uint8_t *)&unit->wanted_off) != 0,
	};
}

void wi_percpu_view_totals(const struct wi_percpu_view *view,
			   struct wi_percpu_totals *totals)
{
	const struct wi_percpu_totals *t = view->memory;

	*totals = (struct wi_percpu_totals){
		.drains = {
			.pages = read_shared(&t->drains.pages),
			.drained = read_shared(&t->drains.drained),
			.nr_pending = read_shared(&t->drains.nr_pending),
			.membarriers_failed =
				read_shared(&t->drains.membarriers_failed),
		},
		.membarriers = read_shared(&t->membarriers),
	};
	for (unsigned i = 0; i < WI_NR_EVIDENCE; i++)
		totals->drains.by[i] = read_shared(&t->drains.by[i]);
}
