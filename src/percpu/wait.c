/* SPDX-License-Identifier: MIT */
/*
 * Waiting for evidence: watching for progress, membarrier for ordinary CPUs,
 * and until the deadline for the others. See drain.h.
 */
#include "percpu/internal.h"

#include "base/trace.h"
#include "os/rseq.h"
#include "percpu/list.h"

/* How long to watch for progress before a membarrier: half of what a membarrier
 * of a busy CPU costs, which gives an owner in its slow path or with cache
 * misses time to make progress. And how often a drainer that waits for a quiet
 * or polling CPU looks, and asks whether the thread that it waits for still
 * exists. */
#define PROGRESS_NS 5000
#define SPIN_NS 20000
#define SLEEP_NS 50000
/* Looks for evidence before a drainer reads the clock; only for speed. (In the
 * interleavings it looks once, as they would otherwise hardly see a set that
 * stays pending.) */
#ifndef WI_DRAIN_LOOKS
#define WI_DRAIN_LOOKS 16
#endif

/* It is evidence in every mode but the locked one. In quiet and polling mode it
 * is an interrupt that weir promised not to cause. */
static bool awaits_membarrier(const struct wi_drain_run *run,
			      const struct wi_unit *unit)
{
	return unit->chosen && !unit->tried && !wi_unit_is_taken(unit) &&
	       (unit->in_flight == WI_MODE_ORDINARY ||
		(run->request.may_interrupt && !run->drain->locked));
}

/* One membarrier is evidence for all zones of its CPU. */
static void settle_zones(struct wi_drain_run *run, unsigned cpu)
{
	const struct wi_drain_request *request = &run->request;
	const unsigned last_zone = request->first_zone + request->nr_zones;

	for (unsigned zone = request->first_zone; zone < last_zone; zone++) {
		if (!awaits_membarrier(run,
				       wi_drain_unit(run->drain, zone, cpu)))
			continue;
		/* For all that ran there before (EVIDENCE-F1). */
		WI_TSAN_SEES(&wi_drain_area(run->drain, zone, cpu)->cpu);
		wi_unit_settle(run, zone, cpu, WI_EVIDENCE_MEMBARRIER);
	}
}

/* Ordinary CPUs: watch for progress, then use membarrier. */
static void membarrier_chosen(struct wi_drain_run *run)
{
	struct wi_drain *drain = run->drain;
	uint64_t until = 0;

	if (!wi_rseq_has_membarrier())
		return;
	WI_FOR_EACH_UNIT(run, zone, cpu)
	{
		struct wi_unit *unit = wi_drain_unit(drain, zone, cpu);
		int err;

		if (!awaits_membarrier(run, unit))
			continue;
		if (until == 0)
			until = wi_os_now_ns() + PROGRESS_NS;
		do {
			if (wi_unit_look(run, zone, cpu))
				break;
			wi_cpu_relax();
		} while (wi_os_now_ns() < until);
		if (!awaits_membarrier(run, unit))
			continue;
		wi_drain_count(&drain->total->membarriers);
		err = wi_evidence_membarrier(cpu);
		WI_TRACE(membarrier, drain, cpu, err);
		if (err == 0) {
			settle_zones(run, cpu);
		} else {
			unit->tried = true;
			run->outcome.membarriers_failed++;
		}
	}
}

/* One look at each chosen unit; how many are without evidence. */
static unsigned look_at_chosen(struct wi_drain_run *run, bool ask_for_orphans)
{
	unsigned left = 0;

	if (run->has_changed)
		wi_percpu_tick_all(run->drain);
	run->has_changed = false;
	WI_FOR_EACH_UNIT(run, zone, cpu)
	{
		struct wi_unit *unit = wi_drain_unit(run->drain, zone, cpu);

		if (!unit->chosen || wi_unit_is_taken(unit))
			continue;
		if (!wi_unit_look(run, zone, cpu) && ask_for_orphans &&
		    wi_unit_is_orphan(unit))
			wi_unit_settle(run, zone, cpu, WI_EVIDENCE_NOT_BUSY);
		left += !wi_unit_is_taken(unit);
	}
	return left;
}

bool wi_drain_wait(struct wi_drain_run *run)
{
	const uint64_t deadline = run->request.deadline_ns;
	uint64_t now;

	/* Reading the clock takes as long as evidence takes to arrive. */
	for (; run->looks < WI_DRAIN_LOOKS; wi_cpu_relax()) {
		unsigned left = look_at_chosen(run, false);

		run->looks += left;
		if (left == 0 || run->nr_taken > 0)
			return run->nr_taken == 0;
	}
	if (run->wait_start == 0)
		run->wait_start = wi_os_now_ns();
	for (;; run->turn++) {
		unsigned left;

		membarrier_chosen(run);
		left = look_at_chosen(run, run->turn % 64 == 63);
		if (wi_drain_is_satisfied(run))
			return true;
		if (left == 0 || run->nr_taken > 0)
			return run->nr_taken == 0;
		now = wi_os_now_ns();
		if (now >= deadline) {
			look_at_chosen(run, deadline != WI_NO_WAIT);
			return true;
		}
		if (now - run->wait_start < SPIN_NS)
			wi_cpu_relax();
		else
			wi_os_sleep_ns(wi_min_u64(SLEEP_NS, deadline - now));
	}
}
