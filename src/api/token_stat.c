/* SPDX-License-Identifier: MIT */
/* Statistics of a token cache: relaxed reads, as in stat.c. */
#include <errno.h>

#include "api/drains.h"
#include "api/sized.h"
#include "api/token_cache.h"
#include "os/report.h"
#include "percpu/stat.h"

/* What a CPU keeps; nothing, and none of its memory read, if it is asleep. */
static struct wi_percpu_stat read_cpu(const struct wi_percpu_view *view,
				      unsigned cpu)
{
	struct wi_percpu_stat its = { 0 };

	if (wi_percpu_view_is_awake(view, cpu))
		wi_percpu_view_read(view, 0, cpu, &its);
	return its;
}

static uint64_t load_total(const uint64_t *word)
{
	return wi_load_relaxed(word); /* see the top */
}

static uint64_t read_failures(const struct wi_token_cache *impl,
			      enum wi_failure why)
{
	return load_total(&impl->totals.failures[why]);
}

static void add_all_cpus(const struct wi_drain *drain,
			 struct weir_cache_stat *stat)
{
	const struct wi_percpu_view view = wi_percpu_view_of(drain);

	for (unsigned cpu = 0; cpu < stat->nr_cpus; cpu++) {
		const struct wi_percpu_stat its = read_cpu(&view, cpu);

		stat->cached += its.cached;
		stat->pending += its.pending;
		stat->refills += its.nr[WI_AREA_REFILL];
		stat->flushes += its.nr[WI_AREA_FLUSH];
		stat->direct += its.nr[WI_AREA_DIRECT];
		stat->aborts += its.nr[WI_AREA_ABORT];
		for (unsigned list = 0; list < stat->nr_lists; list++)
			stat->operations += its.operations[list];
	}
}

static void fill_cache_stat(const struct wi_token_cache *impl,
			    struct weir_cache_stat *stat)
{
	const struct wi_drain *drain = &impl->cache.drain;
	const struct wi_percpu_view view = wi_percpu_view_of(drain);
	struct wi_percpu_totals t;

	wi_percpu_view_totals(&view, &t);
	*stat = (struct weir_cache_stat){
		.drains = t.drains.drained,
		.drained_tokens = t.drains.pages,
		.by_progress = t.drains.by[WI_EVIDENCE_PROGRESS],
		.by_not_busy = t.drains.by[WI_EVIDENCE_NOT_BUSY],
		.by_membarrier = t.drains.by[WI_EVIDENCE_MEMBARRIER],
		.late = t.drains.nr_pending,
		.membarriers = t.membarriers,
		.membarriers_failed = t.drains.membarriers_failed,
		.failed_nowait = read_failures(impl, WI_FAIL_NOWAIT),
		.failed_empty = read_failures(impl, WI_FAIL_EMPTY),
		.failed_pending = read_failures(impl, WI_FAIL_PENDING),
		.failed_lost = read_failures(impl, WI_FAIL_LOST),
		.nr_lists = wi_percpu_nr_lists(drain),
		.nr_cpus = wi_percpu_nr_cpus(drain),
		.requests_waiting = load_total(&impl->totals.waiting),
		.requests_completed = load_total(&impl->totals.completed),
		.requests_cancelled = load_total(&impl->totals.cancelled),
		.requests_passes = load_total(&impl->totals.passes),
		.stalls = load_total(&impl->totals.stalls),
		.stall_ns = load_total(&impl->totals.stall_ns),
	};
	add_all_cpus(drain, stat);
	for (unsigned list = 0; impl->stores != NULL && list < stat->nr_lists;
	     list++)
		stat->stored[list] = wi_token_store_count(&impl->store[list]);
}

int weir_cache_stat_read(const struct weir_cache *cache,
			 struct weir_cache_stat *stat)
{
	struct weir_cache_stat ours;

	if (cache->impl == NULL)
		return wi_plain_error(-ESTALE);
	if (wi_sized_check(WI_SIZED_CACHE_STAT, stat) != 0)
		return -EINVAL;
	fill_cache_stat(cache->impl, &ours);
	wi_sized_out(WI_SIZED_CACHE_STAT, stat, &ours);
	return 0;
}

static void fill_cache_cpu(const struct wi_drain *drain, unsigned cpu,
			   struct weir_cache_stat_cpu *stat)
{
	const struct wi_percpu_view view = wi_percpu_view_of(drain);
	const struct wi_percpu_stat its = read_cpu(&view, cpu);
	struct wi_percpu_mode mode;

	wi_percpu_view_mode(&view, 0, cpu, &mode);
	*stat = (struct weir_cache_stat_cpu){
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
	for (unsigned list = 0; list < wi_percpu_nr_lists(drain); list++) {
		stat->operations += its.operations[list];
		stat->list[list] = (struct weir_cache_stat_list){
			.count = its.count[list],
			.high = wi_percpu_view_limit(&view, 0, cpu, list),
			.operations = its.operations[list],
		};
	}
}

int weir_cache_stat_read_cpu(const struct weir_cache *cache, unsigned cpu,
			     struct weir_cache_stat_cpu *stat)
{
	const struct wi_token_cache *impl = cache->impl;
	struct weir_cache_stat_cpu ours;

	if (impl == NULL)
		return wi_plain_error(-ESTALE);
	if (wi_sized_check(WI_SIZED_CACHE_STAT_CPU, stat) != 0)
		return -EINVAL;
	if (cpu >= wi_percpu_nr_cpus(&impl->cache.drain)) {
		wi_report_cpu(cpu, wi_percpu_nr_cpus(&impl->cache.drain) - 1);
		return -EINVAL;
	}
	fill_cache_cpu(&impl->cache.drain, cpu, &ours);
	wi_sized_out(WI_SIZED_CACHE_STAT_CPU, stat, &ours);
	return 0;
}

int weir_cache_get_mode(const struct weir_cache *cache, unsigned cpu)
{
	const struct wi_token_cache *impl = cache->impl;

	if (impl == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	if (cpu >= wi_percpu_nr_cpus(&impl->cache.drain)) {
		wi_report_cpu(cpu, wi_percpu_nr_cpus(&impl->cache.drain) - 1);
		return -EINVAL;
	}
	return wi_public_mode_of_cpu(&impl->cache, cpu);
}
