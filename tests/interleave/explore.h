/* SPDX-License-Identifier: MIT */
/*
 * Ways through the interleavings of a scenario: all of them with at most so
 * many preemptions (iterative context bounding; Musuvathi and Qadeer, PLDI
 * 2007), and random ones (PCT: random priorities and a few points at which
 * they change; Burckhardt and others, ASPLOS 2010). An event, such as a signal
 * or a migration, counts as a preemption.
 */
#ifndef WEIR_INTERLEAVE_EXPLORE_H
#define WEIR_INTERLEAVE_EXPLORE_H

#include <stdbool.h>
#include <stdint.h>

struct scenario {
	const char *name, *group;
	void (*set_up)(const void *row); /* adds the threads */
	void (*look)(const void *row);	 /* when all are done */
	const void *row;
	unsigned bound; /* preemptions in the quick form */
};

struct explore_figures {
	uint64_t schedules, random; /* those seen before are not counted */
	unsigned complete; /* 1: all with that many preemptions were seen */
};

/*
 * Each returns false when a run failed; then it has printed the failure, the
 * schedule that leads there, and its trace.
 */
/* All runs with up to `bound` preemptions, after all with fewer, or what
 * until_ns leaves time for. */
bool explore_all(const struct scenario *scenario, unsigned bound,
		 uint64_t until_ns, struct explore_figures *figures);
bool explore_random(const struct scenario *scenario, uint64_t seed,
		    struct explore_figures *figures);
/* "12:1,40:2": at the 12th choice the way 1, at the 40th 2, else 0. */
bool explore_schedule(const struct scenario *scenario, const char *schedule);

uint64_t explore_now_ns(void); /* CPU time of this process */

#endif
