/* SPDX-License-Identifier: MIT */
/*
 * Which lists a drain takes: it counts what each keeps, and exchanges all, or
 * the fullest until they have what is wanted. See drain.h.
 */
#include "percpu/internal.h"

#include "percpu/list.h"

/* Tokens of a list that are prefetched: eight to a line. */
#define TOKENS_AHEAD 64

/* CPUs of a request that are asleep, 64 at a time. */
static uint64_t sleeping_cpus(const struct wi_drain_run *run, unsigned word)
{
	const uint64_t *cpus = run->request.cpus;
	const unsigned after = run->drain->nr_cpus - 64 * word;

	return ~run->drain->awake[word] &
	       (cpus == NULL ? ~UINT64_C(0) : cpus[word]) &
	       (after < 64 ? wi_low_mask(after) : ~UINT64_C(0));
}

/* Prefetches the first tokens of a set that will be flushed, while the drainer
 * exchanges and waits. */
static void fetch_tokens(const struct wi_drain *drain, struct wi_area *area,
			 unsigned set)
{
	for (unsigned list = 0; set != WI_SET_NULL && list < drain->nr_lists;
	     list++) {
		size_t n;
		const uint64_t *tokens = wi_area_tokens(area, set, list, &n);

		for (size_t i = 0; i < n && i < TOKENS_AHEAD; i += 8)
			wi_prefetch_read(tokens + i);
	}
}

/* Sleeping areas (I5) hold nothing, and no operation is in flight there. */
static void pass_sleepers(struct wi_drain_run *run)
{
	const struct wi_drain_request *request = &run->request;
	const unsigned last_zone = request->first_zone + request->nr_zones;

	for (unsigned word = 0; word < wi_drain_nr_words(run->drain->nr_cpus);
	     word++) {
		uint64_t cpus = sleeping_cpus(run, word);

		run->outcome.cpus_empty += wi_popcount(cpus);
		for (; cpus != 0 && wi_drain_is_change(request);
		     cpus &= cpus - 1) {
			const unsigned cpu = 64 * word + wi_lowest_bit(cpus);

			for (unsigned zone = request->first_zone;
			     zone < last_zone; zone++)
				wi_unit_change_asleep(run, zone, cpu);
		}
	}
}

void wi_drain_look_at_pending(struct wi_drain_run *run)
{
	WI_FOR_EACH_UNIT(run, zone, cpu)
	{
		struct wi_unit *unit = wi_drain_unit(run->drain, zone, cpu);

		unit->chosen = false;
		if (unit->pending != WI_SET_NULL)
			wi_unit_look(run, zone, cpu);
	}
}

/* Operations of both sets. */
static uint64_t ops_of(const struct wi_drain *drain, struct wi_area *area)
{
	uint64_t ops = 0;

	for (unsigned set = 0; set < 2; set++)
		for (unsigned list = 0; list < drain->nr_lists; list++)
			/* Relaxed: a count for statistics. */
			ops += wi_header_ops(
				wi_load_relaxed(&area->header[set][list]));
	return ops;
}

void wi_drain_survey(struct wi_drain_run *run)
{
	struct wi_drain *drain = run->drain;

	pass_sleepers(run);
	WI_FOR_EACH_UNIT(run, zone, cpu)
	{
		struct wi_unit *unit = wi_drain_unit(drain, zone, cpu);
		struct wi_area *area = wi_drain_area(drain, zone, cpu);

		unit->drained = false;
		unit->count = (uint32_t)wi_unit_pages(drain, area, unit->set);
		if (run->request.idle_only) {
			uint64_t ops = ops_of(drain, area);

			if (ops != unit->idle_ops)
				unit->count = 0;
			unit->idle_ops = ops;
		}
		/* The kernel's membarrier needs no help: as good as in use. */
		if (run->request.may_interrupt && unit->pending != WI_SET_NULL)
			unit->count += (uint32_t)wi_unit_pages(drain, area,
							       unit->pending);
		unit->empty = unit->count == 0 && unit->pending == WI_SET_NULL;
		if (!unit->empty && run->request.want_pages == 0)
			fetch_tokens(drain, area, unit->set);
	}
}

/* Exchanges the fullest units first, until they promise what is still wanted.
 * False if there was none. */
static bool choose_fullest(struct wi_drain_run *run)
{
	uint64_t missing = run->request.want_pages - run->outcome.pages;
	uint64_t promised = 0;
	bool any = false;

	while (promised < missing) {
		unsigned best_zone = 0, best_cpu = 0;
		uint32_t best = 0;

		WI_FOR_EACH_UNIT(run, zone, cpu)
		{
			uint32_t count =
				wi_drain_unit(run->drain, zone, cpu)->count;

			if (count > best) {
				best = count;
				best_zone = zone;
				best_cpu = cpu;
			}
		}
		if (best == 0)
			break;
		wi_unit_take(run, best_zone, best_cpu);
		promised += best;
		any = true;
	}
	return any;
}

static bool choose_all(struct wi_drain_run *run)
{
	bool any = false;

	WI_FOR_EACH_UNIT(run, zone, cpu)
	{
		const struct wi_unit *unit =
			wi_drain_unit(run->drain, zone, cpu);

		if (unit->count > 0 || unit->pending != WI_SET_NULL ||
		    wi_drain_is_change(&run->request)) {
			wi_unit_take(run, zone, cpu);
			any = true;
		}
	}
	return any;
}

bool wi_drain_choose(struct wi_drain_run *run)
{
	if (wi_drain_is_satisfied(run) ||
	    !(run->request.want_pages != 0 ? choose_fullest(run)
					   : choose_all(run)))
		return false;
	wi_percpu_tick_all(run->drain);
	run->looks = run->turn = 0;
	run->wait_start = 0;
	return true;
}
