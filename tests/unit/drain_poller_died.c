/* SPDX-License-Identifier: MIT */
/*
 * If this fails, what weir(7) says to do when a thread that polled has ended
 * does not bring its CPU's pages back.
 */
#include <weir/stat.h>

#include "helpers.h"

static struct weir_pool *pool;

static void poll_and_end(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < 100; i++)
		weir_free(pool, weir_alloc(pool, 0, 0), 0);
}

static void *tick_there(void *cpu)
{
	pin(*(const int *)cpu);
	weir_tick(pool);
	return NULL;
}

static void tick_from_another_thread(int cpu)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, tick_there, &cpu), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
}

static void drain_from_there(int cpu)
{
	pin(cpu);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	pin(allowed_cpu(0));
}

static void after(void (*recipe)(int cpu))
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct runner runner;
	int err;

	opts.capacity = 1024 * 4096;
	opts.wait_ns = 1000000;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	err = weir_set_mode(pool, NULL, WEIR_MODE_POLLING);
	if (err == -EOPNOTSUPP)
		SKIP("no sequences: no polling CPUs");
	CHECK_EQ(err, 0);
	start_on(&runner, allowed_cpu(1), poll_and_end, NULL);
	finish(&runner);
	CHECK_EQ(weir_drain(pool, NULL, NULL), -EAGAIN);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK(stat.pending > 0);
	recipe(allowed_cpu(1));
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.pending + stat.cached + stat.out, 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	need_two_cpus();
	pin(allowed_cpu(0));
	after(tick_from_another_thread);
	after(drain_from_there);
	return 0;
}
