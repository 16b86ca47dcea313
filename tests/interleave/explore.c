/* SPDX-License-Identifier: MIT */
#include "interleave/explore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "interleave/os.h"

#define CHOICES_MAX 40000

/* One choice of a run. */
struct choice {
	uint8_t taken, n;
	uint8_t cost[SCHED_WAYS_MAX];
	uint32_t spent; /* before it */
};

static struct choice path[CHOICES_MAX];
static unsigned depth;	/* choices made in this run */
static unsigned prefix; /* how many of them were laid down before */
static unsigned spent;

static const struct scenario *running;

static void set_up(void)
{
	interleave_reset_memory();
	running->set_up(running->row);
}

static void look(void)
{
	running->look(running->row);
}

static bool run(const struct scenario *scenario, sched_choose choose)
{
	running = scenario;
	depth = 0;
	spent = 0;
	sched_reset();
	return sched_guarded(set_up) && sched_run(choose) &&
	       sched_guarded(look);
}

static unsigned note(const struct sched_way *ways, unsigned n, unsigned taken)
{
	struct choice *c = &path[depth];

	if (depth == CHOICES_MAX)
		sched_fail("more choices than there is room for");
	c->taken = (uint8_t)taken;
	c->n = (uint8_t)n;
	c->spent = spent;
	for (unsigned i = 0; i < n; i++)
		c->cost[i] = ways[i].cost;
	spent += ways[taken].cost;
	depth++;
	return taken;
}

static unsigned choose_laid_down(const struct sched_way *ways, unsigned n)
{
	if (depth >= prefix)
		return note(ways, n, 0);
	if (path[depth].taken >= n)
		sched_fail("this schedule does not fit: choice %u has %u ways",
			   depth, n);
	return note(ways, n, path[depth].taken);
}

uint64_t explore_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- what failed -------------------------------------------------------- */

static void print_schedule(void)
{
	bool any = false;

	for (unsigned i = 0; i < depth; i++) {
		if (path[i].taken == 0)
			continue;
		printf("%s%u:%u", any ? "," : "", i, path[i].taken);
		any = true;
	}
	printf("%s\n", any ? "" : "0:0");
}

static bool report(const struct scenario *scenario)
{
	bool failed_again;

	printf("%s: %s\n", scenario->name, sched_failure());
	printf("again with: --scenario %s --schedule ", scenario->name);
	print_schedule();
	prefix = depth;
	sched_trace = true;
	failed_again = !run(scenario, choose_laid_down);
	sched_trace = false;
	printf("%s: %s\n", scenario->name,
	       failed_again ? sched_failure()
			    : "the same schedule did not fail again");
	return false;
}

bool explore_schedule(const struct scenario *scenario, const char *schedule)
{
	memset(path, 0, sizeof(path));
	prefix = 0;
	while (*schedule != '\0') {
		char *end;
		unsigned long at = strtoul(schedule, &end, 10), way = 0;

		if (*end == ':')
			way = strtoul(end + 1, &end, 10);
		if (end == schedule || at >= CHOICES_MAX || way > UINT8_MAX)
			break;
		path[at].taken = (uint8_t)way;
		prefix = (unsigned)at + 1;
		schedule = *end == ',' ? end + 1 : end;
	}
	sched_trace = true;
	if (run(scenario, choose_laid_down)) {
		printf("%s: nothing is wrong with this schedule\n",
		       scenario->name);
		return true;
	}
	printf("%s: %s\n", scenario->name, sched_failure());
	return false;
}

/* --- all with a number of preemptions ----------------------------------- */

/* Lays the next path down; false: that was the last one. */
static bool next_path(unsigned bound)
{
	while (depth-- > 0) {
		struct choice *c = &path[depth];

		for (unsigned i = c->taken + 1u; i < c->n; i++) {
			if (c->spent + c->cost[i] > bound)
				continue;
			c->taken = (uint8_t)i;
			prefix = depth + 1;
			return true;
		}
	}
	return false;
}

bool explore_all(const struct scenario *scenario, unsigned bound,
		 uint64_t until_ns, struct explore_figures *figures)
{
	unsigned turn = 0;

	prefix = 0;
	figures->complete = 0;
	do {
		if (!run(scenario, choose_laid_down))
			return report(scenario);
		figures->schedules += spent == bound; /* else seen before */
		if (++turn % 256 == 0 && explore_now_ns() > until_ns)
			return true;
	} while (next_path(bound));
	figures->complete = 1;
	return true;
}

/* --- PCT ---------------------------------------------------------------- */

#define CHANGES_MAX 5
#define EVENTS_MAX 3

static struct {
	uint64_t random;
	int32_t priority[SCHED_THREADS_MAX], lowest;
	unsigned last; /* the thread chosen last */
	unsigned change[CHANGES_MAX], event[EVENTS_MAX];
} pct;

static uint32_t random_below(uint32_t n)
{
	uint64_t x = pct.random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	pct.random = x;
	return (uint32_t)((x * UINT64_C(2685821657736338717)) >> 33) % n;
}

static unsigned best_way(const struct sched_way *ways, unsigned n)
{
	unsigned best = n;

	for (unsigned i = 0; i < n; i++)
		if (ways[i].kind == SCHED_RUN &&
		    (best == n || pct.priority[ways[i].thread] >
					  pct.priority[ways[best].thread]))
			best = i;
	return best;
}

/* Any way but a plain one, if there is one. */
static unsigned event_way(const struct sched_way *ways, unsigned n)
{
	unsigned events[SCHED_WAYS_MAX], nr = 0;

	for (unsigned i = 0; i < n; i++)
		if (ways[i].kind != SCHED_RUN)
			events[nr++] = i;
	return nr == 0 ? n : events[random_below(nr)];
}

static unsigned choose_pct(const struct sched_way *ways, unsigned n)
{
	unsigned best, event;

	if (ways[0].thread !=
	    pct.last) /* a thread that waits lets the others go on */
		pct.priority[pct.last] = --pct.lowest;
	for (unsigned i = 0; i < CHANGES_MAX; i++) {
		best = best_way(ways, n);
		if (pct.change[i] == depth && best < n)
			pct.priority[ways[best].thread] = --pct.lowest;
	}
	for (unsigned i = 0; i < EVENTS_MAX; i++) {
		event = event_way(ways, n);
		if (pct.event[i] == depth && event < n)
			return note(ways, n, event);
	}
	best = best_way(ways, n);
	if (best == n) /* all wait */
		return note(ways, n, random_below(n));
	pct.last = ways[best].thread;
	return note(ways, n, best);
}

static const struct scenario *measured;
static unsigned measured_depth;

/* How many choices a run has about. */
static bool measure(const struct scenario *scenario)
{
	if (measured == scenario)
		return true;
	prefix = 0;
	if (!run(scenario, choose_laid_down))
		return false;
	measured = scenario;
	measured_depth = depth;
	return true;
}

bool explore_random(const struct scenario *scenario, uint64_t seed,
		    struct explore_figures *figures)
{
	unsigned length, nr_changes, nr_events;

	if (!measure(scenario))
		return report(scenario);
	length = measured_depth + measured_depth / 4 + 2;
	memset(&pct, 0, sizeof(pct));
	pct.random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (unsigned i = 0; i < 4; i++)
		random_below(2);
	for (unsigned i = 0; i < SCHED_THREADS_MAX; i++)
		pct.priority[i] = (int32_t)random_below(1000);
	nr_changes = random_below(CHANGES_MAX + 1);
	nr_events = random_below(EVENTS_MAX + 1);
	for (unsigned i = 0; i < CHANGES_MAX; i++)
		pct.change[i] =
			i < nr_changes ? random_below(length) : UINT32_MAX;
	for (unsigned i = 0; i < EVENTS_MAX; i++)
		pct.event[i] =
			i < nr_events ? random_below(length) : UINT32_MAX;
	figures->random++;
	if (run(scenario, choose_pct))
		return true;
	printf("%s: seed %" PRIu64 "\n", scenario->name, seed);
	return report(scenario);
}
