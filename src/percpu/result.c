/* SPDX-License-Identifier: MIT */
/*
 * What came of a drain: counted for its caller and for statistics, and kept for
 * threads that wait for the mutex meanwhile and ask for no more. See drain.h.
 */
#include "percpu/internal.h"

#include "base/trace.h"

/* --- counting ---------------------------------------------------------- */

void wi_drain_add_up(const struct wi_drain_run *run)
{
	const struct wi_drain_outcome *outcome = &run->outcome;
	struct wi_drain_outcome *total = &run->drain->total->drains;

	/* Relaxed, all: statistics; only the mutex holder writes. */
	wi_store_relaxed(&total->pages, total->pages + outcome->pages);
	wi_store_relaxed(&total->drained, total->drained + outcome->drained);
	wi_store_relaxed(&total->nr_pending,
			 total->nr_pending + outcome->nr_pending);
	wi_store_relaxed(&total->membarriers_failed,
			 total->membarriers_failed +
				 outcome->membarriers_failed);
	for (unsigned i = 0; i < WI_NR_EVIDENCE; i++)
		wi_store_relaxed(&total->by[i], total->by[i] + outcome->by[i]);
}

/* Of a CPU's units in several zones, the one that is pending speaks first. */
static void count_cpus(struct wi_drain_run *run)
{
	const struct wi_drain_request *request = &run->request;
	const unsigned last_zone = request->first_zone + request->nr_zones;
	const unsigned nr_cpus = run->drain->nr_cpus;

	for (unsigned cpu = wi_drain_next_cpu(run, 0); cpu < nr_cpus;
	     cpu = wi_drain_next_cpu(run, cpu + 1)) {
		bool pending = false, drained = false, empty = true;

		for (unsigned zone = request->first_zone; zone < last_zone;
		     zone++) {
			const struct wi_unit *unit =
				wi_drain_unit(run->drain, zone, cpu);

			pending |= unit->pending != WI_SET_NULL;
			drained |= unit->drained;
			empty &= unit->empty;
		}
		run->outcome.cpus_pending += pending;
		run->outcome.cpus_drained += drained && !pending;
		run->outcome.cpus_empty += empty && !drained && !pending;
	}
}

/* For threads that waited meanwhile; a drain that could stop early covers
 * nothing. */
static void remember_run(struct wi_drain *drain,
			 const struct wi_drain_request *request,
			 const struct wi_drain_outcome *outcome)
{
	if (request->want_pages != 0 || request->idle_only)
		return;
	drain->last = drain->begun;
	drain->last_request = *request;
	drain->last_outcome = *outcome;
	if (request->cpus != NULL) {
		for (unsigned i = 0; i < wi_drain_nr_words(drain->nr_cpus); i++)
			drain->last_cpus[i] = request->cpus[i];
		drain->last_request.cpus = drain->last_cpus;
	}
}

void wi_drain_conclude(struct wi_drain_run *run)
{
	struct wi_drain *drain = run->drain;
	struct wi_drain_outcome *outcome = &run->outcome;

	WI_FOR_EACH_UNIT(run, zone, cpu)
	{
		struct wi_unit *unit = wi_drain_unit(drain, zone, cpu);
		uint64_t pages;

		if (unit->pending == WI_SET_NULL)
			continue;
		/* An operation under way may still commit. */
		pages = wi_unit_pages(drain, wi_drain_area(drain, zone, cpu),
				      unit->pending);
		outcome->pending += pages;
		outcome->nr_pending++;
		wi_drain_count(&unit->late);
		WI_TRACE(late, drain, zone, cpu, pages);
	}
	WI_TRACE(drain_end, drain, drain->begun, outcome->pages,
		 outcome->drained, outcome->pending);
	count_cpus(run);
	wi_drain_add_up(run);
	remember_run(drain, &run->request, outcome);
}

/* --- asking ------------------------------------------------------------ */

uint64_t wi_drain_ask(const struct wi_drain *drain)
{
	/* DRAIN-F2 (partner DRAIN-F3): what the asker saw and did before (a
	 * zone with nothing in it, a page in a list) comes before the count it
	 * reads, so that a drain with a higher one looks after it. */
	wi_fence_full();
	return wi_load_relaxed(&drain->begun); /* ordered by DRAIN-F2 */
}

int wi_drain_lock(struct wi_drain *drain, uint64_t deadline_ns)
{
	return wi_os_mutex_lock(&drain->mutex, deadline_ns);
}

bool wi_drain_trylock(struct wi_drain *drain)
{
	return wi_os_mutex_trylock(&drain->mutex);
}

void wi_drain_unlock(struct wi_drain *drain)
{
	wi_os_mutex_unlock(&drain->mutex);
}

static bool is_subset(const struct wi_drain *drain, const uint64_t *a,
		      const uint64_t *b)
{
	if (b == NULL)
		return true;
	if (a == NULL)
		return false;
	for (unsigned i = 0; i < wi_drain_nr_words(drain->nr_cpus); i++)
		if (a[i] & ~b[i])
			return false;
	return true;
}

bool wi_drain_covered(const struct wi_drain *drain, uint64_t asked,
		      const struct wi_drain_request *request,
		      struct wi_drain_outcome *outcome)
{
	const struct wi_drain_request *last = &drain->last_request;

	if (drain->last <= asked || wi_drain_is_change(request) ||
	    request->may_interrupt || request->idle_only ||
	    last->first_zone > request->first_zone ||
	    last->first_zone + last->nr_zones <
		    request->first_zone + request->nr_zones ||
	    !is_subset(drain, request->cpus, last->cpus))
		return false;
	/* What that drain left pending may have evidence before this one's
	 * deadline. */
	if (drain->last_outcome.nr_pending != 0)
		return false;
	*outcome = drain->last_outcome;
	return true;
}
