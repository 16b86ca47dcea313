/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a burst costs what it should save, or a thread that ended
 * inside of one holds its CPU's pages for ever, or two that drain wait for each
 * other.
 */
#include <weir/fast.h>
#include <weir/stat.h>

#include "helpers.h"
#include "api/pool.h"

static struct weir_pool *pool;
static int here, there;

static uint64_t busy(int cpu)
{
	return wi_load_acquire(
		&wi_drain_area(&wi_pool_of(pool)->cache.drain, 0, (unsigned)cpu)
			 ->busy);
}

static void operate(void)
{
	weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
	weir_free(pool, weir_alloc(pool, 1, 0), 1);
}

/* A burst may lose its mark when another thread runs here: try again. */
static void nested(void)
{
	struct weir_burst outer, inner;
	unsigned kept = 0;

	for (unsigned i = 0; i < 100; i++) {
		const uint64_t mark = weir_i_thread_burst;

		weir_burst_begin(pool, &outer);
		operate();
		weir_burst_begin(pool, &inner);
		operate();
		weir_burst_end(pool, &inner);
		operate();
		kept += busy(here) == mark;
		weir_burst_end(pool, &outer);
		CHECK(busy(here) != mark);
	}
	CHECK_MSG(kept >= 50, "only %u of 100 kept their mark", kept);
}

/* An end without a mark, and one elsewhere, do no harm. */
static void moved(void)
{
	const uint64_t other = UINT64_C(0x1ff) << WEIR_MARK_LIST_SHIFT;
	struct weir_burst burst;

	weir_burst_begin(pool, &burst);
	pin(there);
	operate();
	weir_burst_end(pool, &burst);
	CHECK(busy(here) != weir_i_thread_burst);
	pin(here);
	weir_burst_begin(pool, &burst);
	wi_xchg_full(&wi_drain_area(&wi_pool_of(pool)->cache.drain, 0,
				    (unsigned)here)
			      ->busy,
		     other);
	weir_burst_end(pool, &burst);
	CHECK_EQ(busy(here), other);
}

static void end_inside(void *unused)
{
	struct weir_burst burst;

	(void)unused;
	weir_burst_begin(pool, &burst);
	operate();
}

static void orphan(void)
{
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;

	run_on(there, end_inside, NULL);
	CHECK(wi_mark_is_burst(busy(there)));
	CHECK_EQ(weir_drain(pool, NULL, &r), 0);
	CHECK(r.pages > 0);
	CHECK_EQ(r.pending, 0);
	/* Its mark may stand; the next drain sees through it, too. */
	run_on(there, end_inside, NULL);
	CHECK_EQ(weir_drain(pool, NULL, &r), 0);
}

/* --- two that drain, each in a burst ----------------------------------- */

static event in_burst;

static void drain_all(void)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;

	opts.wait_ns = 5000000000;
	CHECK_EQ(weir_drain(pool, &opts, &r), 0);
	CHECK_EQ(r.pending, 0);
}

/* Drains when somebody waits for this very burst. */
static void drain_in_burst(void *unused)
{
	struct weir_burst burst;

	(void)unused;
	weir_burst_begin(pool, &burst);
	operate();
	tell(&in_burst);
	while (!wi_drain_is_pending(&wi_pool_of(pool)->cache.drain, 0,
				    (unsigned)there))
		sched_yield();
	drain_all();
	weir_burst_end(pool, &burst);
}

/* A thread that waits for a drainer is in no burst: else each waits for the
 * other. */
static void drainers(void)
{
	struct weir_burst burst;
	struct runner runner;

	start_on(&runner, there, drain_in_burst, NULL);
	await(&in_burst, 1);
	weir_burst_begin(pool, &burst);
	operate();
	drain_all();
	CHECK(busy(here) != weir_i_thread_burst);
	weir_burst_end(pool, &burst);
	finish(&runner);
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	two_cpus(&here, &there);
	pin(here);
	opts.capacity = 1024 * 4096;
	opts.quiet_cpus = "";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	operate();
	end_inside(NULL);
	CHECK_EQ(busy(here), 0); /* an ordinary CPU marks nothing */
	if (weir_set_mode(pool, NULL, WEIR_MODE_QUIET) != 0)
		SKIP("without sequences there are no bursts");
	operate();
	nested();
	moved();
	orphan();
	drainers();
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
	return 0;
}
