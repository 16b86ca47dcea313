/* SPDX-License-Identifier: MIT */
/*
 * Limits that follow demand. Each CPU has a share of what the lists of all CPUs
 * may hold: at first as much as any other, EVEN parts. A CPU whose slow paths
 * were never needed since the last look has its share halved; what becomes free
 * goes to CPUs that needed them often, the busiest first, which at most double
 * theirs. So the sum of all shares never grows, and neither does what can be
 * stranded in lists.
 *
 *   visits of its zones since the last look     its share
 *   none                                        half, 1 part at least
 *   some                                        EVEN parts, if it had fewer
 *   BUSY or more                                up to twice as many
 *
 * The counters are those of the statistics: nothing is counted for this.
 */
#include "percpu/internal.h"

#define EVEN WI_EVEN_SHARE
#define BUSY 16

static uint64_t visits_of(const struct wi_drain *drain, unsigned cpu)
{
	uint64_t visits = 0;

	for (unsigned zone = 0; zone < drain->nr_zones; zone++) {
		const struct wi_area *area = wi_drain_area(drain, zone, cpu);

		/* Relaxed, both: counts for statistics. */
		visits += wi_load_relaxed(&area->counters.nr[WI_AREA_REFILL]) +
			  wi_load_relaxed(&area->counters.nr[WI_AREA_FLUSH]);
	}
	return visits;
}

/* The unit that has a CPU's share: that of its home zone. */
static struct wi_unit *unit_of(const struct wi_drain *drain, unsigned cpu)
{
	return wi_drain_unit(drain, wi_drain_home(drain, cpu), cpu);
}

/* for each CPU that has lists */
#define EACH_CPU(drain, cpu)                                                   \
	for (unsigned cpu = 0; cpu < (drain)->nr_cpus; cpu++)                  \
		if (wi_drain_has_woken(drain, cpu))

/* Notes the visits since the last look; how many parts nobody has, after idle
 * CPUs gave up half of theirs. */
static unsigned take_from_idle(struct wi_drain *drain)
{
	unsigned all = 0, held = 0;

	EACH_CPU(drain, cpu)
	{
		struct wi_unit *unit = unit_of(drain, cpu);
		const uint64_t visits = visits_of(drain, cpu);

		unit->visits_now =
			(uint32_t)wi_min_u64(visits - unit->visits, UINT32_MAX);
		unit->visits = visits;
		if (unit->visits_now == 0 && unit->share > 1)
			unit->share /= 2;
		all += EVEN;
		held += unit->share;
	}
	return all - held;
}

/* CPUs in use have their even share again; CPUs with more pay for it, if what
 * is free is too little. What is left of that. */
static unsigned restore_even(struct wi_drain *drain, unsigned free)
{
	unsigned due = 0;

	EACH_CPU(drain, cpu)
	{
		const struct wi_unit *unit = unit_of(drain, cpu);

		if (unit->visits_now > 0 && unit->share < EVEN)
			due += EVEN - unit->share;
	}
	EACH_CPU(drain, cpu)
	{
		struct wi_unit *unit = unit_of(drain, cpu);

		if (due > free && unit->share > EVEN) {
			free += unit->share - EVEN;
			unit->share = EVEN;
		}
	}
	EACH_CPU(drain, cpu)
	{
		struct wi_unit *unit = unit_of(drain, cpu);

		if (unit->visits_now > 0 && unit->share < EVEN) {
			free -= EVEN - unit->share;
			unit->share = EVEN;
		}
	}
	return free;
}

/* Of the busy CPUs that have got nothing in this look, the busiest; or NULL. */
static struct wi_unit *find_busiest(const struct wi_drain *drain)
{
	struct wi_unit *best = NULL;

	EACH_CPU(drain, cpu)
	{
		struct wi_unit *unit = unit_of(drain, cpu);

		if (unit->visits_now >= BUSY &&
		    (best == NULL || unit->visits_now > best->visits_now))
			best = unit;
	}
	return best;
}

static void give_to_busy(struct wi_drain *drain, unsigned free)
{
	/* With more, no list of single pages could hold more. */
	const unsigned most = EVEN * WEIR_LIST_MAX /
			      (unsigned)wi_max_u64(drain->limits[0], 1);
	struct wi_unit *unit;

	while (free > 0 && (unit = find_busiest(drain)) != NULL) {
		unsigned more = (unsigned)wi_min_u64(free, unit->share);

		if (unit->share + more > most)
			more = most > unit->share ? most - unit->share : 0;
		unit->share = (uint16_t)(unit->share + more);
		unit->visits_now = 0;
		free -= more;
	}
}

/* The limits of a CPU by its share; true if one of them changed. */
static bool apply_share(struct wi_drain *drain, unsigned cpu)
{
	const unsigned share = unit_of(drain, cpu)->share;
	bool changed = false;

	for (unsigned list = 0; list < drain->nr_lists; list++) {
		const unsigned even = drain->limits[list];
		uint64_t limit = wi_max_u64(even * share / EVEN, 1);

		limit = wi_min_u64(limit, wi_max_u64(even, WEIR_LIST_MAX));
		for (unsigned zone = 0; zone < drain->nr_zones; zone++)
			changed |= wi_unit_note_limit(wi_drain_unit(drain, zone,
								    cpu),
						      list, (uint16_t)limit);
	}
	return changed;
}

bool wi_drain_share(struct wi_drain *drain, uint64_t *changed)
{
	unsigned free = take_from_idle(drain);
	bool any = false;

	free = restore_even(drain, free);
	give_to_busy(drain, free);
	for (unsigned word = 0; word < wi_drain_nr_words(drain->nr_cpus);
	     word++)
		changed[word] = 0;
	EACH_CPU(drain, cpu)
	{
		if (!apply_share(drain, cpu))
			continue;
		changed[cpu / 64] |= UINT64_C(1) << cpu % 64;
		any = true;
	}
	return any;
}
