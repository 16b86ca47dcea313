/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an operation that was interrupted half-way leaves its mark,
 * for which drains wait, or leaves half of an operation. A thread is caught
 * where its mark stands and its commit is still to come.
 */
#include "inject.h"

#include "helpers.h"

#include <weir/fast.h>
#include <weir/stat.h>

#include "api/pool.h"
#include "os/rseq.h"

static struct weir_pool *pool;
static int here, there;
static event moved, may_go, in_handler, leave_handler, left_handler, rounds;
static uint32_t tid;

static struct wi_area *area_there(void)
{
	return wi_drain_area(&wi_pool_of(pool)->cache.drain, 0,
			     (unsigned)there);
}

/* Operations that last, until it is told to go. */
static void linger(void *unused)
{
	void *page;

	(void)unused;
	wi_rseq_thread_init();
	__atomic_store_n(&tid, wi_os_tid(), __ATOMIC_RELEASE);
	while (!happened(&may_go, 1)) {
		page = weir_fast_alloc(pool, 0, WEIR_NOWAIT);
		weir_fast_free(pool, page, 0);
		tell(&rounds);
	}
	tell(&moved);
	await(&may_go, 2);
}

static bool is_marked(void)
{
	uint64_t mark = wi_load_acquire(&area_there()->busy);
	const uint64_t *header;

	if (mark == 0 || wi_mark_is_burst(mark) ||
	    wi_mark_thread(mark) != __atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		return false;
	header = wi_area_headers(area_there(), wi_mark_set(mark));
	return (uint32_t)wi_header_ops(wi_load_acquire(
		       &header[wi_mark_list(mark)])) == (uint32_t)mark;
}

static void catch_it(void)
{
	const uint64_t end = now_ns() + 20000000000u;

	while (!is_marked())
		CHECK_MSG(now_ns() < end, "never saw a mark");
}

static int drain(uint64_t wait_ns)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	opts.wait_ns = wait_ns;
	return weir_drain(pool, &opts, NULL);
}

static void begin(struct runner *runner)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	moved = may_go = rounds = 0;
	in_handler = leave_handler = left_handler = 0;
	opts.capacity = 1024 * 4096;
	opts.quiet_cpus = "";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	if (weir_set_mode(pool, NULL, WEIR_MODE_QUIET) != 0)
		SKIP("without sequences nothing is aborted");
	inject[2] = 20000; /* most of the time a mark stands */
	start_on(runner, there, linger, NULL);
	catch_it();
}

static void end(struct runner *runner)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	inject[2] = 0;
	tell(&may_go);
	await(&moved, 1);
	/* It stands still now, elsewhere perhaps. */
	CHECK(!is_marked());
	CHECK_EQ(drain(2000000000), 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.out, 0);
	CHECK_EQ(stat.free, 1024);
	tell(&may_go);
	finish(runner);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* Moved to another CPU: the mark must be taken back on the one it left. */
static void migrated(void)
{
	struct runner runner;
	cpu_set_t set;

	begin(&runner);
	CPU_ZERO(&set);
	CPU_SET((size_t)here, &set);
	for (unsigned i = 0; i < 20; i++) {
		catch_it();
		pthread_setaffinity_np(runner.thread, sizeof(set), &set);
		for (uint64_t until = now_ns() + 20000000000u; is_marked();)
			CHECK_MSG(now_ns() < until, "the mark stays");
		CPU_CLR((size_t)here, &set);
		CPU_SET((size_t)there, &set);
		pthread_setaffinity_np(runner.thread, sizeof(set), &set);
		CPU_CLR((size_t)there, &set);
		CPU_SET((size_t)here, &set);
	}
	end(&runner);
}

/* A drain in between: active has moved, the operation must start over. */
static void drained(void)
{
	struct runner runner;

	begin(&runner);
	for (unsigned i = 0; i < 200; i++) {
		catch_it();
		CHECK_EQ(drain(2000000000), 0);
	}
	end(&runner);
}

static void on_signal(int number)
{
	void *page;

	(void)number;
	tell(&in_handler);
	/* The mark it interrupted stands meanwhile. */
	await(&leave_handler, in_handler);
	page = weir_fast_alloc(pool, 0, WEIR_NOWAIT);
	weir_fast_free(pool, page, 0);
	tell(&left_handler);
}

/*
 * Interrupted by a handler that is stopped, which the aborted sequence's
 * mark outlives: drains must wait for it, and get what they wait for after.
 */
static void interrupted(void)
{
	struct runner runner;
	unsigned caught = 0;

	begin(&runner);
	signal(SIGUSR1, on_signal);
	for (uint32_t i = 1; i <= 40; i++) {
		catch_it();
		pthread_kill(runner.thread, SIGUSR1);
		await(&in_handler, i);
		if (is_marked() && drain(1000000) == -EAGAIN)
			caught++;
		tell(&leave_handler);
		/* The next mark to be seen is not the handler's. */
		await(&left_handler, i);
	}
	CHECK_MSG(caught > 0, "never interrupted with its mark standing");
	end(&runner);
}

static void move(struct runner *runner, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	pthread_setaffinity_np(runner->thread, sizeof(set), &set);
}

/* It was moved before it could take its mark back, and another thread's stands
 * there by then: that one's is not its to clear. */
static void not_its_own(void)
{
	struct runner runner;
	unsigned caught = 0;

	begin(&runner);
	wi_rseq_thread_init();
	for (uint32_t i = 1; i <= 40; i++) {
		const uint64_t mark = weir_i_thread_burst;
		uint32_t before;

		catch_it();
		pthread_kill(runner.thread, SIGUSR1);
		await(&in_handler, i);
		before = __atomic_load_n(&rounds, __ATOMIC_ACQUIRE);
		if (!is_marked()) {
			tell(&leave_handler);
			continue;
		}
		caught++;
		move(&runner, here);
		wi_xchg_full(&area_there()->busy, mark);
		tell(&leave_handler);
		await(&rounds, before + 2);
		CHECK_EQ(wi_xchg_full(&area_there()->busy, 0), mark);
		move(&runner, there);
	}
	CHECK_MSG(caught > 0, "never moved with its mark standing");
	end(&runner);
}

int main(void)
{
	two_cpus(&here, &there);
	pin(here);
#ifndef WEIR_HAVE_SEQUENCES
	SKIP("no sequences in this build");
#endif
	migrated();
	drained();
#ifdef WEIR_TSAN
	/* It lets handlers run between operations only. */
	printf("the rest needs handlers within operations\n");
	return 0;
#endif
	interrupted();
	not_its_own();
	return 0;
}
