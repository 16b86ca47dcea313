/* SPDX-License-Identifier: MIT */
/*
 * How long it takes to drain a CPU that is busy: an owner, pinned there,
 * allocates and frees one page after the other, and this thread takes away
 * what its lists hold. In between the owner takes 50 pages and puts them back,
 * so that there are about 50 each time.
 *
 * Only drains count that gave pages back and name the evidence they rested on.
 * The time is what the caller waits: weir_drain() from call to return, for
 * every CPU; the others' lists are empty. The modes take turns.
 *
 * Beside them stands what no evidence can undercut: the time in which a line
 * goes from this CPU to the owner's and back.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/fast.h>

#include "loop.h"
#include "report.h"

#define PAGES 50 /* in the owner's lists when a drain begins */
#define ROUNDS 10
#define THROWS 1000 /* of the ball, a round */
#define CAPACITY (UINT64_C(64) << 20)
#define PATIENCE_NS 30e9 /* for one round */

enum { ORDINARY, POLLING, QUIET, NR_MODES };

static const struct mode {
	const char *p50, *p99; /* variants of the series */
	const char *bar, *what;
} modes[NR_MODES] = {
	[ORDINARY] = { "ordinary, p50", "ordinary, p99", "drain_ordinary_p50",
		       "drain of a busy ordinary CPU" },
	[POLLING] = { "polling, p50", "polling, p99", "drain_polling_p50",
		      "drain of a busy polling CPU" },
	[QUIET] = { "quiet, p50", "quiet, p99", "drain_quiet_p50",
		    "drain of a busy quiet CPU" },
};

struct owner {
	/* All atomic, relaxed. The pool it works on; NULL: it sends the ball
	 * back whenever that is odd. */
	struct weir_pool *pool;
	bool fill; /* take 50 pages and put them back */
	bool stop;
	bool failed; /* it could not be where it should */
	uint32_t ball __attribute__((aligned(128)));
	unsigned cpu __attribute__((aligned(128)));
	pthread_t thread;
};

struct mode_data {
	struct weir_pool *pool;
	double *ns; /* one a drain */
	unsigned nr;
	uint64_t pages;
	unsigned by_progress, by_not_busy, by_membarrier;
	unsigned unnamed; /* gave nothing back, or by no evidence */
};

static void fill(struct weir_pool *pool)
{
	void *pages[PAGES];

	for (unsigned i = 0; i < PAGES; i++)
		pages[i] = weir_fast_alloc(pool, 0, 0);
	for (unsigned i = 0; i < PAGES; i++)
		if (pages[i] != NULL)
			weir_fast_free(pool, pages[i], 0);
}

static void *work(void *arg)
{
	struct owner *o = arg;

	if (!bench_pin(o->cpu)) {
		__atomic_store_n(&o->failed, true, __ATOMIC_RELAXED);
		return NULL;
	}
	while (!__atomic_load_n(&o->stop, __ATOMIC_RELAXED)) {
		struct weir_pool *pool =
			__atomic_load_n(&o->pool, __ATOMIC_RELAXED);
		void *page;

		if (pool == NULL) {
			uint32_t ball =
				__atomic_load_n(&o->ball, __ATOMIC_RELAXED);

			if (ball & 1)
				__atomic_store_n(&o->ball, ball + 1,
						 __ATOMIC_RELAXED);
			continue;
		}
		if (__atomic_load_n(&o->fill, __ATOMIC_RELAXED)) {
			fill(pool);
			__atomic_store_n(&o->fill, false, __ATOMIC_RELAXED);
		}
		page = weir_fast_alloc(pool, 0, 0);
		if (page != NULL)
			weir_fast_free(pool, page, 0);
	}
	return NULL;
}

/* Waits until the owner's lists hold about 50 pages again. */
static bool await_pages(struct owner *o)
{
	double end = bench_now_ns() + PATIENCE_NS;

	__atomic_store_n(&o->fill, true, __ATOMIC_RELAXED);
	while (__atomic_load_n(&o->fill, __ATOMIC_RELAXED))
		if (bench_now_ns() > end ||
		    __atomic_load_n(&o->failed, __ATOMIC_RELAXED))
			return false;
	/* Let it be at its loop again. */
	for (double until = bench_now_ns() + 1000; bench_now_ns() < until;)
		;
	return true;
}

static bool drain_once(struct mode_data *m, struct owner *o)
{
	struct weir_drain_result result = { .size = sizeof(result) };
	double start, ns;

	if (!await_pages(o))
		return false;
	start = bench_now_ns();
	(void)weir_drain(m->pool, NULL, &result);
	ns = bench_now_ns() - start;
	if (result.pages == 0 ||
	    result.by_progress + result.by_not_busy + result.by_membarrier !=
		    1) {
		m->unnamed++;
		return true;
	}
	m->ns[m->nr++] = ns;
	m->pages += result.pages;
	m->by_progress += result.by_progress;
	m->by_not_busy += result.by_not_busy;
	m->by_membarrier += result.by_membarrier;
	return true;
}

/* The median of many times for the ball to come back. */
static void throw_balls(struct owner *o, struct bench_series *series)
{
	double ns[THROWS];

	__atomic_store_n(&o->pool, NULL, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < THROWS; i++) {
		double start = bench_now_ns();
		uint32_t ball = o->ball + 1;

		__atomic_store_n(&o->ball, ball, __ATOMIC_RELAXED);
		while (__atomic_load_n(&o->ball, __ATOMIC_RELAXED) == ball &&
		       !__atomic_load_n(&o->failed, __ATOMIC_RELAXED))
			;
		ns[i] = bench_now_ns() - start;
	}
	bench_sample(series, bench_quantile(ns, THROWS, 0.5), THROWS);
}

static struct weir_pool *make_pool(const struct bench_plan *plan, unsigned mode)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = CAPACITY;
	opts.batch = PAGES;
	opts.quiet_cpus = mode == QUIET ? plan->owner_cpus : "";
	opts.polling_cpus = mode == POLLING ? plan->owner_cpus : "";
	opts.name = "bench drain";
	if (weir_pool_create(&pool, &opts) != 0) {
		fprintf(stderr, "weir bench: no pool: %s\n", weir_last_error());
		return NULL;
	}
	return pool;
}

/* One round of a mode: its drains, and their p50 and p99 as samples. */
static bool drain_round(struct mode_data *m, struct owner *o,
			const struct bench_plan *plan,
			struct bench_series *const *series)
{
	unsigned from = m->nr, wanted = (plan->drains + ROUNDS - 1) / ROUNDS;
	double *sorted;

	__atomic_store_n(&o->pool, m->pool, __ATOMIC_RELAXED);
	while (m->nr - from < wanted) {
		if (!drain_once(m, o) || m->unnamed > 10 * plan->drains) {
			fputs("weir bench: the busy CPU does not take its "
			      "pages up again, or drains give nothing back\n",
			      stderr);
			return false;
		}
	}
	sorted = malloc(sizeof(*sorted) * wanted);
	if (sorted == NULL)
		return false;
	memcpy(sorted, m->ns + from, sizeof(*sorted) * wanted);
	bench_sample(series[0], bench_quantile(sorted, wanted, 0.5), wanted);
	bench_sample(series[1], bench_quantile(sorted, wanted, 0.99), wanted);
	free(sorted);
	return true;
}

static bool drain_rounds(struct mode_data *data, struct owner *o,
			 const struct bench_plan *plan,
			 struct bench_series *ball,
			 struct bench_series *series[NR_MODES][2])
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		plan->progress("drains", round, ROUNDS);
		throw_balls(o, ball);
		for (unsigned i = 0; i < NR_MODES; i++)
			if (!drain_round(&data[i], o, plan, series[i]))
				return false;
	}
	bench_close(ball);
	return true;
}

/* The medians are those of all drains, min and max those of the rounds. */
static void finish(struct bench_report *report, struct mode_data *data,
		   struct bench_series *series[NR_MODES][2])
{
	size_t len = strlen(report->note);

	for (unsigned i = 0; i < NR_MODES; i++) {
		struct mode_data *m = &data[i];

		bench_close(series[i][0]);
		bench_close(series[i][1]);
		series[i][0]->median = bench_quantile(m->ns, m->nr, 0.5);
		series[i][1]->median = bench_quantile(m->ns, m->nr, 0.99);
		bench_bar(report, modes[i].bar, modes[i].what, "ns",
			  series[i][0]->median, 600);
		len += (size_t)snprintf(
			report->note + len, sizeof(report->note) - len,
			"%s%-8.*s  %5.1f pages a drain; by progress %u, not "
			"busy %u, membarrier %u",
			len ? "\n" : "", (int)strcspn(modes[i].p50, ","),
			modes[i].p50, (double)m->pages / m->nr, m->by_progress,
			m->by_not_busy, m->by_membarrier);
		if (len >= sizeof(report->note))
			len = sizeof(report->note) - 1;
	}
}

static bool prepare(struct bench_report *report, const struct bench_plan *plan,
		    struct mode_data *data,
		    struct bench_series *series[NR_MODES][2])
{
	for (unsigned i = 0; i < NR_MODES; i++) {
		data[i].pool = make_pool(plan, i);
		data[i].ns = calloc(plan->drains + ROUNDS, sizeof(double));
		series[i][0] = bench_series(report, "drain", "weir",
					    modes[i].p50, ROUNDS);
		series[i][1] = bench_series(report, "drain", "weir",
					    modes[i].p99, ROUNDS);
		if (!data[i].pool || !data[i].ns || !series[i][0] ||
		    !series[i][1])
			return false;
	}
	return true;
}

int bench_drains(struct bench_report *report, const struct bench_plan *plan)
{
	struct mode_data data[NR_MODES];
	struct bench_series *series[NR_MODES][2], *ball;
	struct owner owner = { .cpu = (unsigned)plan->owner_cpu };
	bool done = false;

	if (plan->owner_cpu < 0) {
		fputs("weir bench: drains need a second CPU; this process may "
		      "use one only\n",
		      stderr);
		return 0;
	}
	memset(data, 0, sizeof(data));
	ball = bench_series(report, "drain", "floor", "a line there and back",
			    ROUNDS);
	if (ball && prepare(report, plan, data, series)) {
		owner.pool = data[0].pool;
		if (pthread_create(&owner.thread, NULL, work, &owner) == 0) {
			done = drain_rounds(data, &owner, plan, ball, series);
			__atomic_store_n(&owner.stop, true, __ATOMIC_RELAXED);
			pthread_join(owner.thread, NULL);
		}
	}
	if (done)
		finish(report, data, series);
	for (unsigned i = 0; i < NR_MODES; i++) {
		if (data[i].pool)
			weir_pool_destroy(data[i].pool, WEIR_DESTROY_FORCE);
		free(data[i].ns);
	}
	return done ? 0 : -1;
}
