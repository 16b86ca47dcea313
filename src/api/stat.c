/* SPDX-License-Identifier: MIT */
/*
 * Snapshots. Every word is read once, relaxed: it is another thread's counter
 * or header, and a snapshot promises only that the word had that value.
 */
#include "api/stat.h"

#include <errno.h>

#include "api/drains.h"
#include "api/sized.h"
#include "os/report.h"

static uint64_t read_total(const uint64_t *word)
{
	return wi_load_relaxed(word); /* see the top */
}

/* --- where things are --------------------------------------------------- */

static const struct wi_live_totals *totals_of(const struct wi_view *view)
{
	return (const void *)(view->memory + view->live->layout.totals);
}

struct wi_percpu_view wi_view_percpu(const struct wi_view *view)
{
	const struct wi_live *live = view->live;

	return (struct wi_percpu_view){
		.memory = view->memory + live->layout.percpu,
		.areas = view->memory + live->layout.areas,
		.weight = live->weight,
		.nr_cpus = live->nr_cpus,
		.nr_zones = live->nr_zones,
		.nr_lists = live->nr_lists,
	};
}

/*
 * Pages of a zone that exist, after its free pages were counted.
 *
 * STAT-A2 (partner ZONE-R2): a growth stores what exists, then the states. Who
 * read a state that it changed sees the pages here, so never more are free than
 * exist. (models/zone-grow, READ_FIRST)
 */
static uint64_t present_of(const struct wi_view *view, unsigned zone)
{
	wi_fence_acquire(); /* STAT-A2 */
	return wi_min_u64(read_total(&totals_of(view)->present[zone]),
			  wi_live_zone_pages(view->live, zone));
}

uint64_t wi_view_pages(const struct wi_view *view)
{
	uint64_t sum = 0;

	for (unsigned zone = 0; zone < view->live->nr_zones; zone++)
		sum += present_of(view, zone);
	return sum;
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

/* Can the area be read? The area of a CPU that never had lists is a hole, and
 * others may be holes too if another process' memory is wrong. */
static bool has_area(const struct wi_view *view,
		     const struct wi_percpu_view *percpu, unsigned zone,
		     unsigned cpu)
{
	size_t bytes;
	const char *at = wi_percpu_view_area(percpu, zone, cpu, &bytes);
	const char *end = at + bytes;

	if (!wi_percpu_view_is_awake(percpu, cpu))
		return false;
	while (view->is_backed != NULL && at < end)
		if (!view->is_backed(view->ctx, at, &at))
			return false;
	return true;
}

static struct wi_percpu_stat cpu_of(const struct wi_view *view,
				    const struct wi_percpu_view *percpu,
				    unsigned zone, unsigned cpu)
{
	struct wi_percpu_stat its = { 0 };

	if (has_area(view, percpu, zone, cpu))
		wi_percpu_view_read(percpu, zone, cpu, &its);
	return its;
}

static void fill_cpu(const struct wi_view *view, unsigned zone, unsigned cpu,
		     struct weir_stat_cpu *stat)
{
	const struct wi_live *live = view->live;
	const struct wi_percpu_view percpu = wi_view_percpu(view);
	const struct wi_percpu_stat its = cpu_of(view, &percpu, zone, cpu);
	struct wi_percpu_mode mode;

	wi_percpu_view_mode(&percpu, zone, cpu, &mode);
	*stat = (struct weir_stat_cpu){
		.mode = wi_public_mode(&mode),
		.cached = its.cached,
		.pending = its.pending,
		.refills = its.nr[WI_AREA_REFILL],
		.flushes = its.nr[WI_AREA_FLUSH],
		.direct = its.nr[WI_AREA_DIRECT],
		.aborts = its.nr[WI_AREA_ABORT],
		.by_progress = its.by[WI_EVIDENCE_PROGRESS],
		.by_not_busy = its.by[WI_EVIDENCE_NOT_BUSY],
		.by_membarrier = its.by[WI_EVIDENCE_MEMBARRIER],
		.late = its.late,
	};
	for (unsigned i = 0; i < WI_NR_EVIDENCE; i++)
		stat->drains += its.by[i];
	for (unsigned list = 0; list < live->nr_lists; list++) {
		stat->operations += its.operations[list];
		stat->list[list] = (struct weir_stat_list){
			.order = wi_lowest_bit(live->weight[list]),
			.count = its.count[list],
			.high = wi_percpu_view_limit(&percpu, zone, cpu, list),
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
	struct wi_zone_counts counts;
	struct wi_zone_view its;

	if (wi_sized_check(WI_SIZED_STAT_ZONE, stat) != 0 ||
	    check_zone(view, zone) != 0)
		return -EINVAL;
	its = zone_of(view, zone);
	counts = wi_zone_view_count(&its);
	ours.free = counts.free;
	ours.isolated = counts.isolated;
	ours.node = view->live->node[zone];
	ours.max_pages = its.nr_pages;
	wi_zone_view_runs(&its, ours.free_runs);
	ours.pages = present_of(view, zone);
	for (unsigned order = wi_live_zone_order(view->live, zone) + 1;
	     order <= WEIR_ORDER_MAX; order++)
		ours.free_runs[order] = 0; /* of no use: not aligned */
	wi_sized_out(WI_SIZED_STAT_ZONE, stat, &ours);
	return 0;
}

static void add_cpus(const struct wi_view *view, struct weir_stat *stat)
{
	const struct wi_percpu_view percpu = wi_view_percpu(view);

	for (unsigned zone = 0; zone < stat->nr_zones; zone++)
		for (unsigned cpu = 0; cpu < stat->nr_cpus; cpu++) {
			struct wi_percpu_stat its =
				cpu_of(view, &percpu, zone, cpu);

			stat->cached += its.cached;
			stat->pending += its.pending;
			stat->refills += its.nr[WI_AREA_REFILL];
			stat->flushes += its.nr[WI_AREA_FLUSH];
			stat->direct += its.nr[WI_AREA_DIRECT];
			stat->aborts += its.nr[WI_AREA_ABORT];
			for (unsigned i = 0; i < view->live->nr_lists; i++)
				stat->operations += its.operations[i];
		}
}

static void fill_stat(const struct wi_view *view, struct weir_stat *stat)
{
	const struct wi_live *live = view->live;
	const struct wi_live_totals *totals = totals_of(view);
	const uint64_t *failures = totals->cache.failures;
	const struct wi_percpu_view percpu = wi_view_percpu(view);
	struct wi_percpu_totals t;
	uint64_t in;

	wi_percpu_view_totals(&percpu, &t);
	*stat = (struct weir_stat){
		.peak = read_total(&totals->peak),
		.drains = t.drains.drained,
		.drained_pages = t.drains.pages,
		.by_progress = t.drains.by[WI_EVIDENCE_PROGRESS],
		.by_not_busy = t.drains.by[WI_EVIDENCE_NOT_BUSY],
		.by_membarrier = t.drains.by[WI_EVIDENCE_MEMBARRIER],
		.late = t.drains.nr_pending,
		.membarriers = t.membarriers,
		.membarriers_failed = t.drains.membarriers_failed,
		.failed_nowait = read_total(&failures[WI_FAIL_NOWAIT]),
		.failed_empty = read_total(&failures[WI_FAIL_EMPTY]),
		.failed_pending = read_total(&failures[WI_FAIL_PENDING]),
		.failed_lost = read_total(&failures[WI_FAIL_LOST]),
		.nr_zones = live->nr_zones,
		.nr_cpus = live->nr_cpus,
		.requests_waiting = read_total(&totals->cache.waiting),
		.requests_completed = read_total(&totals->cache.completed),
		.requests_cancelled = read_total(&totals->cache.cancelled),
		.requests_passes = read_total(&totals->cache.passes),
		.stalls = read_total(&totals->cache.stalls),
		.stall_ns = read_total(&totals->cache.stall_ns),
		.below_low = read_total(&totals->below_low),
		.shrinks = read_total(&totals->shrinks),
		.max_pages = live->bytes / live->page_size,
	};
	for (unsigned zone = 0; zone < stat->nr_zones; zone++) {
		struct wi_zone_view its = zone_of(view, zone);
		struct wi_zone_counts counts = wi_zone_view_count(&its);

		stat->free += counts.free;
		stat->isolated += counts.isolated;
		stat->pages += present_of(view, zone);
	}
	add_cpus(view, stat);
	in = stat->free + stat->cached + stat->pending + stat->isolated;
	stat->out = in < stat->pages ? stat->pages - in : 0;
}

int wi_view_read(const struct wi_view *view, struct weir_stat *stat)
{
	struct weir_stat ours;

	if (wi_sized_check(WI_SIZED_STAT, stat) != 0)
		return -EINVAL;
	fill_stat(view, &ours);
	wi_sized_out(WI_SIZED_STAT, stat, &ours);
	return 0;
}
