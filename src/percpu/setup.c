/* SPDX-License-Identifier: MIT */
/*
 * Beginning and end: the memory of the drains, and setting up the areas of a
 * CPU. See drain.h.
 */
#include "percpu/internal.h"

size_t wi_percpu_bytes(unsigned nr_cpus, unsigned nr_zones)
{
	return sizeof(struct wi_percpu_totals) +
	       (size_t)nr_cpus * nr_zones * sizeof(struct wi_unit) +
	       2 * wi_round_up(nr_cpus, 64) / 8 + nr_cpus;
}

bool wi_drain_has_woken(const struct wi_drain *drain, unsigned cpu)
{
	return wi_load_relaxed(&drain->awake[cpu / 64]) >> cpu % 64 & 1;
}

bool wi_drain_is_pending(const struct wi_drain *drain, unsigned zone,
			 unsigned cpu)
{
	/* Relaxed: a hint; a thread that acts on it takes the mutex. */
	return wi_load_relaxed(&wi_drain_unit(drain, zone, cpu)->pending) !=
	       WI_SET_NULL;
}

void wi_drain_wake(struct wi_drain *drain, unsigned cpu)
{
	uint64_t *word = &drain->awake[cpu / 64];

	if (wi_drain_has_woken(drain, cpu))
		return;
	for (unsigned zone = 0; zone < drain->nr_zones; zone++) {
		struct wi_area *area = wi_drain_area(drain, zone, cpu);

		area->cpu = cpu;
		wi_area_init(area, wi_drain_unit(drain, zone, cpu)->limit,
			     drain->bounds == NULL ? WI_BOUNDS_ANY
						   : drain->bounds[zone]);
	}
	/* Relaxed: the next drainer takes the mutex. Before the exchanges
	 * (DRAIN-F1): a thread with a burst looks for it there. */
	wi_store_relaxed(word, *word | UINT64_C(1) << cpu % 64);
	for (unsigned zone = 0; zone < drain->nr_zones; zone++)
		wi_unit_exchange(drain, wi_drain_unit(drain, zone, cpu),
				 wi_drain_area(drain, zone, cpu), zone);
}

void wi_drain_raise_bound(struct wi_drain *drain, unsigned zone)
{
	const struct weir_i_bounds bounds = wi_percpu_bounds(drain, zone);

	/* Relaxed: a push that compares with the old bound takes the slow path.
	 * (Not without the mutex: a CPU that wakes meanwhile could store the
	 * old bound last. models/zone-grow, WAKE_UNLOCKED) */
	for (unsigned cpu = 0; cpu < drain->nr_cpus; cpu++)
		if (wi_drain_has_woken(drain, cpu))
			wi_store_relaxed(
				&wi_drain_area(drain, zone, cpu)->bounds.bound,
				bounds.bound);
}

int wi_percpu_init(struct wi_drain *drain,
		   const struct wi_percpu_config *config)
{
	const size_t nr_units = (size_t)config->nr_cpus * config->nr_zones;
	uint8_t *homes;

	drain->areas = config->areas;
	drain->nr_cpus = config->nr_cpus;
	drain->nr_zones = config->nr_zones;
	drain->nr_lists = config->nr_lists;
	drain->locked = config->locked;
	drain->zone_of_cpu = config->zone_of_cpu;
	drain->bounds = config->bounds;
	for (unsigned list = 0; list < config->nr_lists; list++) {
		drain->limits[list] = config->limits[list];
		drain->weight[list] = config->weight[list];
	}
	drain->total = config->memory;
	drain->units = (struct wi_unit *)(drain->total + 1);
	drain->last_cpus = (uint64_t *)(drain->units + nr_units);
	drain->awake = drain->last_cpus + wi_drain_nr_words(drain->nr_cpus);
	/* So that the pages of both are backed, for watchers from outside. */
	wi_store_relaxed(&drain->last_cpus[0], 0);
	wi_store_relaxed(&drain->awake[wi_drain_nr_words(drain->nr_cpus) - 1],
			 0);
	homes = (uint8_t *)(drain->awake + wi_drain_nr_words(drain->nr_cpus));
	for (unsigned cpu = 0; cpu < drain->nr_cpus; cpu++) {
		/* Written even if 0, for the same reason. */
		wi_store_relaxed(&homes[cpu],
				 (uint8_t)wi_drain_home(drain, cpu));
		for (unsigned zone = 0; zone < drain->nr_zones; zone++)
			wi_unit_init(drain, wi_drain_unit(drain, zone, cpu),
				     config->modes[cpu]);
		if (config->online == NULL ||
		    (config->online[cpu / 64] >> cpu % 64 & 1))
			wi_drain_wake(drain, cpu);
	}
	return wi_os_mutex_init(&drain->mutex);
}

void wi_percpu_fini(struct wi_drain *drain)
{
	wi_os_mutex_fini(&drain->mutex);
}
