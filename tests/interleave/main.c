/* SPDX-License-Identifier: MIT */
/*
 * interleave [SECONDS] [--group G] [--scenario S] [--bound N]
 * interleave --scenario S --seed N | --schedule C
 *
 * Without SECONDS the quick form: every scenario with all schedules up to its
 * bound, and some random ones. With it one preemption more, and random ones
 * for the rest of the time. --seed and --schedule repeat one run of a
 * scenario, and print it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "interleave/scenarios.h"

#define QUICK_RANDOM 400
#define BOUND_MAX 3 /* of any scenario in the quick form */

static struct {
	const char *group, *scenario, *schedule, *seed, *bound;
	double seconds;
	bool list;
} args;

static bool read_args(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], **value = NULL;

		if (strcmp(arg, "--group") == 0)
			value = &args.group;
		else if (strcmp(arg, "--scenario") == 0)
			value = &args.scenario;
		else if (strcmp(arg, "--schedule") == 0)
			value = &args.schedule;
		else if (strcmp(arg, "--seed") == 0)
			value = &args.seed;
		else if (strcmp(arg, "--bound") == 0)
			value = &args.bound;
		if (value != NULL && i + 1 < argc) {
			*value = argv[++i];
		} else if (strcmp(arg, "--list") == 0) {
			args.list = true;
		} else {
			char *end;

			args.seconds = strtod(arg, &end);
			if (value != NULL || *end != '\0' || args.seconds <= 0)
				return false;
		}
	}
	return true;
}

static bool is_chosen(const struct scenario *scenario)
{
	return (args.group == NULL ||
		strcmp(args.group, scenario->group) == 0) &&
	       (args.scenario == NULL ||
		strcmp(args.scenario, scenario->name) == 0);
}

static struct explore_figures sum;
static unsigned nr_chosen, lowest = UINT32_MAX, highest;

static unsigned bound_of(const struct scenario *scenario)
{
	return args.bound != NULL ? (unsigned)atoi(args.bound)
				  : scenario->bound;
}

static void note_bound(unsigned bound)
{
	lowest = bound < lowest ? bound : lowest;
	highest = bound > highest ? bound : highest;
}

static void print_row(const struct scenario *scenario, unsigned bound,
		      uint64_t schedules, uint64_t start)
{
	printf("%-28s %u preemptions %9" PRIu64 " schedules %7.2f s\n",
	       scenario->name, bound, schedules,
	       (double)(explore_now_ns() - start) / 1e9);
	fflush(stdout);
}

/* One part of the quick form: the random runs come after one preemption, so
 * that what is simple is found soon. */
static bool quick(const struct scenario *scenario, unsigned bound)
{
	const uint64_t start = explore_now_ns(), before = sum.schedules;

	if (bound > bound_of(scenario))
		return true;
	if (!explore_all(scenario, bound, UINT64_MAX, &sum))
		return false;
	if (bound == bound_of(scenario)) {
		note_bound(bound);
		print_row(scenario, bound, sum.schedules - before, start);
	}
	for (uint64_t seed = 1; bound == 1 && seed <= QUICK_RANDOM; seed++)
		if (!explore_random(scenario, seed, &sum))
			return false;
	return true;
}

/* Deeper, until a part of its time is over; then random ones. */
static bool deeper(const struct scenario *scenario, double seconds,
		   uint64_t seed)
{
	const uint64_t start = explore_now_ns(), before = sum.schedules;
	const uint64_t share = (uint64_t)(seconds * 1e9);
	unsigned complete = 0;

	for (unsigned bound = 0; bound <= bound_of(scenario) + 1; bound++) {
		if (!explore_all(scenario, bound, start + share * 2 / 3, &sum))
			return false;
		if (!sum.complete)
			break;
		complete = bound;
	}
	note_bound(complete);
	while (explore_now_ns() < start + share)
		if (!explore_random(scenario, seed++, &sum))
			return false;
	print_row(scenario, complete, sum.schedules - before, start);
	return true;
}

/* Every scenario that was chosen. */
static bool explore(void)
{
	const uint64_t seed = (uint64_t)time(NULL) << 20;
	const unsigned last = args.seconds > 0 ? 0 : BOUND_MAX;
	bool fine = true;

	for (unsigned bound = 0; bound <= last; bound++)
		for (unsigned i = 0; i < scenarios_nr() && fine; i++) {
			const struct scenario *scenario = scenarios_get(i);

			if (!is_chosen(scenario))
				continue;
			fine = args.seconds > 0
				       ? deeper(scenario,
						args.seconds / nr_chosen, seed)
				       : quick(scenario, bound);
		}
	if (!fine)
		printf("found after %" PRIu64 " schedules, %" PRIu64
		       " PCT runs\n",
		       sum.schedules, sum.random);
	return fine;
}

/* A run again, or a line of the list. */
static bool one(const struct scenario *scenario)
{
	if (args.schedule != NULL)
		return explore_schedule(scenario, args.schedule);
	if (args.seed != NULL)
		return explore_random(scenario, strtoull(args.seed, NULL, 10),
				      &sum);
	printf("%-12s %s\n", scenario->group, scenario->name);
	return true;
}

int main(int argc, char **argv)
{
	bool fine = true;

	if (!read_args(argc, argv)) {
		fprintf(stderr, "usage: interleave [SECONDS] [--group G] "
				"[--bound N] [--list]\n"
				"       interleave --scenario S "
				"--seed N | --schedule C\n");
		return 2;
	}
	for (unsigned i = 0; i < scenarios_nr(); i++) {
		if (!is_chosen(scenarios_get(i)))
			continue;
		nr_chosen++;
		if (args.list || args.seed != NULL || args.schedule != NULL)
			fine &= one(scenarios_get(i));
	}
	if (nr_chosen == 0) {
		fprintf(stderr, "no such scenario\n");
		return 2;
	}
	if (args.list || args.seed != NULL || args.schedule != NULL)
		return !fine;
	if (!explore())
		return 1;
	printf("figures: %" PRIu64 " schedules of %u scenarios, all with %u to "
	       "%u preemptions, %" PRIu64 " PCT runs\n",
	       sum.schedules, nr_chosen, lowest, highest, sum.random);
	return 0;
}
