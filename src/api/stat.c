/* SPDX-License-Identifier: MIT */
/*
 * Snapshots. Every word is read once, relaxed: it is somebody's counter or
 * header, and a snapshot promises no more than that the value was there.
 */
#include "api/stat.h"

#include <errno.h>

#include "api/drains.h"
#include "api/sized.h"
#include "os/report.h"

static uint64_t read_word(const uint64_t *word)
{
	return wi_load_relaxed(word); /* see the top */
}

/* --- where things are --------------------------------------------------- */

static const struct wi_totals *totals_of(const struct wi_view *view)
{
	return (const struct wi_totals *)(const void *)(view->memory +
							view->live->layout
								.totals);
}

static size_t nth_unit(const struct wi_view *view, unsigned zone, unsigned cpu)
{
	return (size_t)zone * view->live->nr_cpus + cpu;
}

const struct wi_unit *wi_view_unit(const struct wi_view *view, unsigned zone,
				   unsigned cpu)
{
	const void *units = totals_of(view) + 1;

	return (const struct wi_unit *)units + nth_unit(view, zone, cpu);
}

struct wi_area *wi_view_area(const struct wi_view *view, unsigned zone,
			     unsigned cpu)
{
	const char *areas = view->memory + view->live->layout.areas;

	return (struct wi_area *)(uintptr_t)(areas + nth_unit(view, zone, cpu) *
							     WEIR_AREA_BYTES);
}

static struct wi_zone_view zone_of(const struct wi_view *view, unsigned zone)
{
	const struct wi_live_layout *l = &view->live->layout;

	return (struct wi_zone_view){
		.memory = view->memory + l->zones + zone * l->zone_bytes,
		.nr_pages = wi_live_zone_pages(view->live, zone),
		.is_backed = view->is_backed,
		.ctx = view->ctx,
	};
}

/* --- one CPU ------------------------------------------------------------ */

void wi_stat_cpu(struct wi_area *area, const struct wi_unit *unit,
		 unsigned nr_lists, const uint32_t *weight,
		 struct wi_stat_cpu *stat)
{
	const unsigned set = wi_active_set(read_word(&area->active));

	*stat = (struct wi_stat_cpu){
		.refills = read_word(&area->counters.refills),
		.flushes = read_word(&area->counters.flushes),
		.direct = read_word(&area->counters.direct),
		.aborts = read_word(&area->counters.aborts),
		.late = read_word(&unit->late),
	};
	for (unsigned i = 0; i < WI_NR_EVIDENCE; i++)
		stat->by[i] = read_word(&unit->by[i]);
	for (unsigned list = 0; list < nr_lists; list++) {
		uint64_t header[2] = { read_word(&area->header[0][list]),
				       read_word(&area->header[1][list]) };

		stat->operations[list] = wi_header_ops(header[0]) / 2 +
					 wi_header_ops(header[1]) / 2;
		for (unsigned i = 0; i < 2; i++) {
			unsigned n = wi_header_count(header[i]);

			if (set == WI_SET_0 + i) {
				stat->count[list] = n;
				stat->cached += (uint64_t)n * weight[list];
			} else { /* a spare set is empty */
				stat->pending += (uint64_t)n * weight[list];
			}
		}
	}
}

/* Is there an area to be read? That of a CPU that never had lists is a hole,
 * and so may be that of another, if somebody else's memory says what is not. */
static bool has_area(const struct wi_view *view, unsigned zone, unsigned cpu)
{
	const struct wi_area *area = wi_view_area(view, zone, cpu);
	const char *at = (const char *)&area->active;
	const char *end = (const char *)&area->pad2;

	if (!wi_drain_is_awake(totals_of(view), view->live->nr_cpus,
			       view->live->nr_zones, cpu))
		return false;
	while (view->is_backed != NULL && at < end)
		if (!view->is_backed(view->ctx, at, &at))
			return false;
	return true;
}

static struct wi_stat_cpu cpu_of(const struct wi_view *view, unsigned zone,
				 unsigned cpu)
{
	struct wi_stat_cpu its = { 0 };

	if (has_area(view, zone, cpu))
		wi_stat_cpu(wi_view_area(view, zone, cpu),
			    wi_view_unit(view, zone, cpu), view->live->nr_lists,
			    view->live->weight, &its);
	return its;
}

static void fill_cpu(const struct wi_view *view, unsigned zone, unsigned cpu,
		     struct weir_stat_cpu *stat)
{
	const struct wi_live *live = view->live;
	const struct wi_stat_cpu its = cpu_of(view, zone, cpu);

	*stat = (struct weir_stat_cpu){
		.mode = wi_public_mode(wi_view_unit(view, zone, cpu)),
		.cached = its.cached,
		.pending = its.pending,
		.refills = its.refills,
		.flushes = its.flushes,
		.direct = its.direct,
		.aborts = its.aborts,
		.by_progress = its.by[WI_EVIDENCE_PROGRESS],
		.by_not_busy = its.by[WI_EVIDENCE_NOT_BUSY],
		.by_membarrier = its.by[WI_EVIDENCE_MEMBARRIER],
		.parked = its.late,
	};
	for (unsigned i = 0; i < WI_NR_EVIDENCE; i++)
		stat->drains += its.by[i];
	for (unsigned list = 0; list < live->nr_lists; list++) {
		stat->operations += its.operations[list];
		stat->list[list] = (struct weir_stat_list){
			.order = wi_lowest_bit(live->weight[list]),
			.count = its.count[list],
			.high = live->limits[list],
			.operations = its.operations[list],
		};
	}
}

static int check_zone(const struct wi_view *view, unsigned zone)
{
	if (zone < view->live->nr_zones)
		return 0;
	wi_report_zone(zone, view->live->nr_zones - 1);
	return -EINVAL;
}

int wi_view_read_cpu(const struct wi_view *view, unsigned zone, unsigned cpu,
		     struct weir_stat_cpu *stat)
{
	struct weir_stat_cpu ours;

	if (wi_sized_check(WI_SIZED_STAT_CPU, stat) != 0 ||
	    check_zone(view, zone) != 0)
		return -EINVAL;
	if (cpu >= view->live->nr_cpus) {
		wi_report_cpu(cpu, view->live->nr_cpus - 1);
		return -EINVAL;
	}
	fill_cpu(view, zone, cpu, &ours);
	wi_sized_out(WI_SIZED_STAT_CPU, stat, &ours);
	return 0;
}

/* --- zones, and the whole ------------------------------------------------ */

int wi_view_read_zone(const struct wi_view *view, unsigned zone,
		      struct weir_stat_zone *stat)
{
	struct weir_stat_zone ours = { 0 };
	struct wi_zone_view its;

	if (wi_sized_check(WI_SIZED_STAT_ZONE, stat) != 0 ||
	    check_zone(view, zone) != 0)
		return -EINVAL;
	its = zone_of(view, zone);
	ours.pages = its.nr_pages;
	ours.free = wi_zone_view_nr_free(&its);
	ours.node = view->live->node[zone];
	wi_zone_view_runs(&its, ours.free_runs);
	for (unsigned order = wi_live_zone_order(view->live, zone) + 1;
	     order <= WEIR_ORDER_MAX; order++)
		ours.free_runs[order] = 0; /* of no use: not aligned */
	wi_sized_out(WI_SIZED_STAT_ZONE, stat, &ours);
	return 0;
}

static void add_cpus(const struct wi_view *view, struct weir_stat *stat)
{
	for (unsigned zone = 0; zone < stat->nr_zones; zone++)
		for (unsigned cpu = 0; cpu < stat->nr_cpus; cpu++) {
			struct wi_stat_cpu its = cpu_of(view, zone, cpu);

			stat->cached += its.cached;
			stat->pending += its.pending;
			stat->refills += its.refills;
			stat->flushes += its.flushes;
			stat->direct += its.direct;
			stat->aborts += its.aborts;
			for (unsigned i = 0; i < view->live->nr_lists; i++)
				stat->operations += its.operations[i];
		}
}

static void fill(const struct wi_view *view, struct weir_stat *stat)
{
	const struct wi_live *live = view->live;
	const struct wi_totals *t = totals_of(view);
	uint64_t in;

	*stat = (struct weir_stat){
		.pages = live->bytes / live->page_size,
		.peak = read_word(&t->peak),
		.drains = read_word(&t->drains.drained),
		.drained_pages = read_word(&t->drains.pages),
		.by_progress = read_word(&t->drains.by[WI_EVIDENCE_PROGRESS]),
		.by_not_busy = read_word(&t->drains.by[WI_EVIDENCE_NOT_BUSY]),
		.by_membarrier =
			read_word(&t->drains.by[WI_EVIDENCE_MEMBARRIER]),
		.parked = read_word(&t->drains.nr_pending),
		.membarriers = read_word(&t->membarriers),
		.membarriers_failed = read_word(&t->drains.membarriers_failed),
		.failed_nowait = read_word(&t->failures[WI_FAIL_NOWAIT]),
		.failed_empty = read_word(&t->failures[WI_FAIL_EMPTY]),
		.failed_pending = read_word(&t->failures[WI_FAIL_PENDING]),
		.failed_lost = read_word(&t->failures[WI_FAIL_LOST]),
		.nr_zones = live->nr_zones,
		.nr_cpus = live->nr_cpus,
	};
	for (unsigned zone = 0; zone < stat->nr_zones; zone++) {
		struct wi_zone_view its = zone_of(view, zone);

		stat->free += wi_zone_view_nr_free(&its);
	}
	add_cpus(view, stat);
	in = stat->free + stat->cached + stat->pending;
	stat->out = in < stat->pages ? stat->pages - in : 0;
}

int wi_view_read(const struct wi_view *view, struct weir_stat *stat)
{
	struct weir_stat ours;

	if (wi_sized_check(WI_SIZED_STAT, stat) != 0)
		return -EINVAL;
	fill(view, &ours);
	wi_sized_out(WI_SIZED_STAT, stat, &ours);
	return 0;
}
