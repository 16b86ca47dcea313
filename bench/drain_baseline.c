/* SPDX-License-Identifier: MIT */
/*
 * The other known ways to get at the pages of a CPU, those of `weir demo`
 * (tools/baseline.c), as a worker: what their drains take, and what the
 * drained CPU notices of them.
 */
#include <stdlib.h>

#include "common/way.h"
#include "drain.h"
#include "os/os.h"
#include "os/rseq.h"
#include "percpu/evidence.h"
#include "workers.h"

#define WAYS_MAX 4

/* A lone owner whose pages come from a lone zone; one for each way. */
struct baseline {
	const struct demo_way *way;
	void *pool;
};

static void fill(void *context, unsigned n)
{
	const struct baseline *b = context;
	uint64_t pages[BENCH_PAGES_MAX];

	for (unsigned i = 0; i < n; i++)
		pages[i] = b->way->get(b->pool);
	for (unsigned i = 0; i < n; i++)
		if (pages[i] != DEMO_NONE)
			b->way->put(b->pool, pages[i]);
}

static void pairs(void *context, unsigned n)
{
	const struct baseline *b = context;

	b->way->pairs(b->pool, n);
}

static bool drain(void *context, struct bench_drained *drained)
{
	const struct baseline *b = context;

	*drained = (struct bench_drained){ .pages = b->way->drain(b->pool) };
	return true;
}

static bool is_whole(void *context)
{
	const struct baseline *b = context;

	return b->way->is_complete(b->pool);
}

static uint64_t count_aborted(void *context)
{
	const struct baseline *b = context;
	struct demo_counts counts = { 0 };

	b->way->count(b->pool, &counts);
	return counts.aborts;
}

static bool enter(void *context)
{
	const struct baseline *b = context;

	if (b->way->enter)
		b->way->enter(b->pool);
	return true;
}

static void leave(void *context)
{
	const struct baseline *b = context;

	if (b->way->leave)
		b->way->leave(b->pool);
}

static void *make(const struct demo_way *way, const struct bench_where *where)
{
	const struct demo_machine machine = {
		.nr_cpus = wi_os_nr_cpus(),
		.owner_cpu = (unsigned)where->other_cpu,
		.rescuer_cpu = where->cpu,
		.node = -1,
		.has_sequences = wi_rseq_available(),
		.has_membarrier = wi_rseq_has_membarrier(),
	};
	const char *why;
	void *pool = way->setup(way, &machine, 0, &why);

	if (pool == NULL)
		bench_cannot("%s", why);
	return pool;
}

static void *open_baseline(const struct bench_way *way,
			   const struct bench_where *where, unsigned pages)
{
	static struct baseline known[WAYS_MAX];
	struct baseline *b = known;

	(void)pages; /* they take one at a time from the zone */
	while (b->pool && b->way != way->with)
		if (++b == known + WAYS_MAX)
			abort(); /* raise it */
	b->way = way->with;
	if (b->pool == NULL)
		b->pool = make(b->way, where);
	return b->pool ? b : NULL;
}

#define WAY(its)                                                               \
	.open = open_baseline, .enter = enter, .leave = leave, .fill = fill,   \
	.pairs = pairs, .drain = drain, .is_whole = is_whole, .with = &(its)

static const struct bench_way hop = { WAY(baseline_scheduled_work),
				      .aborted = count_aborted };
static const struct bench_way sent = { WAY(baseline_signal),
				       .aborted = count_aborted };
static const struct bench_way membarrier = { WAY(baseline_membarrier),
					     .aborted = count_aborted };
static const struct bench_way spinlock = { WAY(baseline_spinlock) };

static const struct bench_row rows[] = {
	BENCH_DRAIN_ROWS("affinity hop", &hop),
	BENCH_DRAIN_ROWS("signal", &sent),
	BENCH_DRAIN_ROWS("spinlock", &spinlock),
	BENCH_DRAIN_ROWS("membarrier", &membarrier),
	BENCH_DISTURB_ROWS("affinity hop", &hop, 7),
	BENCH_DISTURB_ROWS("signal", &sent, 7),
	BENCH_DISTURB_ROWS("spinlock", &spinlock, 7),
	BENCH_DISTURB_ROWS("membarrier", &membarrier, 7),
};

int bench_baseline_worker(int argc, char **argv)
{
	return bench_worker(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
