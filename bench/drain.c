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
 * goes from this CPU to the owner's and back (line.c).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/fast.h>

#include "loop.h"
#include "report.h"
#include "workers.h"

#define PAGES 50 /* in the owner's lists when a drain begins */
#define CAPACITY (UINT64_C(64) << 20)
#define PATIENCE_NS 30e9 /* for one round */

enum { ORDINARY, POLLING, QUIET, NR_MODES };

struct owner {
	/* All atomic, relaxed. The pool it works on; NULL: none yet. */
	struct weir_pool *pool;
	bool fill;   /* take 50 pages and put them back */
	bool failed; /* it could not be where it should */
	unsigned cpu __attribute__((aligned(128)));
	pthread_t thread;
};

struct round {
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
	for (;;) {
		struct weir_pool *pool =
			__atomic_load_n(&o->pool, __ATOMIC_RELAXED);
		void *page;

		if (pool == NULL)
			continue;
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

static bool drain_once(struct round *r, struct owner *o)
{
	struct weir_drain_result result = { .size = sizeof(result) };
	double start, ns;

	if (!await_pages(o))
		return false;
	start = bench_now_ns();
	(void)weir_drain(o->pool, NULL, &result);
	ns = bench_now_ns() - start;
	if (result.pages == 0 ||
	    result.by_progress + result.by_not_busy + result.by_membarrier !=
		    1) {
		r->unnamed++;
		return true;
	}
	r->ns[r->nr++] = ns;
	r->pages += result.pages;
	r->by_progress += result.by_progress;
	r->by_not_busy += result.by_not_busy;
	r->by_membarrier += result.by_membarrier;
	return true;
}

static struct weir_pool *make_pool(const struct bench_where *where,
				   uintptr_t mode)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = CAPACITY;
	opts.batch = PAGES;
	opts.quiet_cpus = mode == QUIET ? where->other_cpus : "";
	opts.polling_cpus = mode == POLLING ? where->other_cpus : "";
	opts.name = "bench drain";
	return weir_pool_create(&pool, &opts) == 0 ? pool : NULL;
}

/* The owner works on that pool from now on; false: there is no owner. */
static bool employ(struct owner *o, const struct bench_where *where,
		   struct weir_pool *pool)
{
	if (o->thread == 0) {
		o->cpu = (unsigned)where->other_cpu;
		if (pthread_create(&o->thread, NULL, work, o) != 0)
			return false;
	}
	__atomic_store_n(&o->pool, pool, __ATOMIC_RELAXED);
	return true;
}

static bool run(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	static struct owner owner; /* until the process ends */
	static struct weir_pool *pools[NR_MODES];
	const unsigned wanted = where->quick ? 300 : 1200;
	double ns[1200];
	struct round r = { .ns = ns };

	(void)round;
	if (where->other_cpu < 0)
		return bench_cannot("drains need a second CPU");
	if (pools[row->what] == NULL)
		pools[row->what] = make_pool(where, row->what);
	if (pools[row->what] == NULL)
		return bench_cannot("no pool: %s", weir_last_error());
	if (!employ(&owner, where, pools[row->what]))
		return bench_cannot("no thread");
	while (r.nr < wanted)
		if (!drain_once(&r, &owner) || r.unnamed > 10 * wanted)
			return bench_cannot("the busy CPU does not take its "
					    "pages up again, or drains give "
					    "nothing back");
	result->operations = wanted;
	result->ns = bench_quantile(ns, wanted, 0.5);
	bench_extra(result, "p99_ns", bench_quantile(ns, wanted, 0.99));
	bench_extra(result, "pages", (double)r.pages / wanted);
	bench_extra(result, "by_progress", r.by_progress);
	bench_extra(result, "by_not_busy", r.by_not_busy);
	bench_extra(result, "by_membarrier", r.by_membarrier);
	return true;
}

#define ROW(variant, what)                                                     \
	{                                                                      \
		"drain", variant, run, what, NULL, 15, 7,                      \
			"a line there and back"                                \
	}

const struct bench_row bench_drain_rows[] = {
	ROW("50 pages, ordinary", ORDINARY),
	ROW("50 pages, polling", POLLING),
	ROW("50 pages, quiet", QUIET),
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
