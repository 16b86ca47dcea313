/* SPDX-License-Identifier: MIT */
/* The public door to a pool's statistics: see weir/stat.h. */
#include <errno.h>

#include <weir/stat.h>

#include "cache/public.h"
#include "cache/report.h"
#include "pool/pool.h"
#include "stat/stat.h"

int weir_stat_read(const struct weir_pool *handle, struct weir_stat *stat)
{
	const struct wi_pool *pool = wi_pool_of(handle);
	struct wi_stat_drains drains;
	uint64_t in;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	if (stat->size != sizeof(*stat))
		return wi_plain_error(-EINVAL);
	wi_stat_drains(&pool->cache, &drains);
	*stat = (struct weir_stat){
		.size = sizeof(*stat),
		.pages = pool->bytes >> pool->page_shift,
		.free = wi_pool_nr_free(pool),
		.drains = drains.drained,
		.drained_pages = drains.pages,
		.by_progress = drains.by[WI_EVIDENCE_PROGRESS],
		.by_not_busy = drains.by[WI_EVIDENCE_NOT_BUSY],
		.by_membarrier = drains.by[WI_EVIDENCE_MEMBARRIER],
		.parked = drains.parked,
		.membarriers = drains.membarriers,
		.membarriers_failed = drains.membarriers_failed,
		.failed_nowait = drains.failures[WI_FAIL_NOWAIT],
		.failed_empty = drains.failures[WI_FAIL_EMPTY],
		.failed_pending = drains.failures[WI_FAIL_PENDING],
		.failed_lost = drains.failures[WI_FAIL_LOST],
		.nr_zones = pool->nr_zones,
		.nr_cpus = pool->cache.drain.nr_cpus,
	};
	for (unsigned zone = 0; zone < stat->nr_zones; zone++)
		for (unsigned cpu = 0; cpu < stat->nr_cpus; cpu++) {
			struct wi_stat_cpu its;

			wi_stat_cpu(&pool->cache, zone, cpu, &its);
			stat->cached += its.cached;
			stat->pending += its.pending;
			stat->refills += its.refills;
			stat->flushes += its.flushes;
			stat->direct += its.direct;
			stat->aborts += its.aborts;
			for (unsigned list = 0; list < WI_POOL_LISTS; list++)
				stat->operations += its.operations[list];
		}
	in = stat->free + stat->cached + stat->pending;
	stat->out = in < stat->pages ? stat->pages - in : 0;
	return 0;
}

int weir_stat_read_zone(const struct weir_pool *handle, unsigned zone,
			struct weir_stat_zone *stat)
{
	const struct wi_pool *pool = wi_pool_of(handle);

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	if (stat->size != sizeof(*stat) || zone >= pool->nr_zones)
		return wi_plain_error(-EINVAL);
	stat->pages = wi_zone_nr_pages(pool->zone[zone]);
	stat->free = wi_zone_nr_free(pool->zone[zone]);
	stat->node = pool->node[zone];
	for (unsigned order = 0; order <= WEIR_ORDER_MAX; order++)
		stat->free_runs[order] =
			wi_zone_nr_free_runs(pool->zone[zone], order);
	return 0;
}

int weir_stat_read_cpu(const struct weir_pool *handle, unsigned zone,
		       unsigned cpu, struct weir_stat_cpu *stat)
{
	const struct wi_pool *pool = wi_pool_of(handle);
	struct wi_stat_cpu its;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	if (stat->size != sizeof(*stat) || zone >= pool->nr_zones ||
	    cpu >= pool->cache.drain.nr_cpus)
		return wi_plain_error(-EINVAL);
	wi_stat_cpu(&pool->cache, zone, cpu, &its);
	*stat = (struct weir_stat_cpu){
		.size = sizeof(*stat),
		.mode = wi_public_mode(&pool->cache.drain.units[cpu]),
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
	for (unsigned list = 0; list < WI_POOL_LISTS; list++) {
		stat->operations += its.operations[list];
		stat->list[list] = (struct weir_stat_list){
			.order = wi_pool_order_of_kind(list),
			.count = its.count[list],
			.high = its.high[list],
			.operations = its.operations[list],
		};
	}
	return 0;
}
