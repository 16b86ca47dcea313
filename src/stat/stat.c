/* SPDX-License-Identifier: MIT */
/*
 * Snapshots. Every word is read once, relaxed: it is somebody's counter or
 * header, and a snapshot promises no more than that the value was there.
 */
#include "stat/stat.h"

#include "drain/drain.h"

static uint64_t read_word(const uint64_t *word)
{
	return wi_load_relaxed(word); /* see the top */
}

void wi_stat_cpu(const struct wi_cache *cache, unsigned zone, unsigned cpu,
		 struct wi_stat_cpu *stat)
{
	const struct wi_drain *drain = &cache->drain;
	struct wi_area *area = wi_drain_area(drain, zone, cpu);
	const struct wi_unit *unit =
		&drain->units[(size_t)zone * drain->nr_cpus + cpu];
	const unsigned set = wi_active_set(read_word(&area->active));

	*stat = (struct wi_stat_cpu){
		.pending = read_word(&unit->pending),
		.refills = read_word(&area->counters.refills),
		.flushes = read_word(&area->counters.flushes),
		.direct = read_word(&area->counters.direct),
		.aborts = read_word(&area->counters.aborts),
		.late = read_word(&unit->late),
	};
	for (unsigned i = 0; i < WI_NR_EVIDENCE; i++)
		stat->by[i] = read_word(&unit->by[i]);
	for (unsigned list = 0; list < drain->nr_lists; list++) {
		uint64_t header[2] = { read_word(&area->header[0][list]),
				       read_word(&area->header[1][list]) };

		stat->operations[list] = wi_header_ops(header[0]) / 2 +
					 wi_header_ops(header[1]) / 2;
		stat->high[list] = drain->limits[list];
		if (set == WI_SET_NULL)
			continue;
		stat->count[list] = wi_header_count(header[set - WI_SET_0]);
		stat->cached +=
			(uint64_t)stat->count[list] * drain->weight[list];
	}
}

void wi_stat_drains(const struct wi_cache *cache, struct wi_stat_drains *stat)
{
	const struct wi_drain *drain = &cache->drain;
	const struct wi_drain_outcome *total = &drain->total->drains;

	*stat = (struct wi_stat_drains){
		.drained = read_word(&total->drained),
		.pages = read_word(&total->pages),
		.parked = read_word(&total->nr_pending),
		.membarriers = read_word(&drain->total->membarriers),
		.membarriers_failed = read_word(&total->membarriers_failed),
	};
	for (unsigned i = 0; i < WI_NR_EVIDENCE; i++)
		stat->by[i] = read_word(&total->by[i]);
	for (unsigned i = 0; i < WI_NR_FAILURES; i++)
		stat->failures[i] = read_word(&drain->total->failures[i]);
}
