/* SPDX-License-Identifier: MIT */
/*
 * Task: take pages back from a CPU that polls, while it polls. The loop calls
 * weir_fast_tick() once per turn, and does nothing else for drains: no fence,
 * no lock, and no drain ever sends its CPU an interrupt.
 *
 * With a single CPU the loop yields to the drainer once per turn.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/fast.h>

#define DRAINS 1000
#define ENOUGH_NS 500000000 /* where much else is going on */

static struct weir_pool *pool;
static size_t here = CPU_SETSIZE, there; /* CPUs of the drainer, the poller */
static atomic_int stop;
static atomic_ulong turns;

static void must(const char *what, int error)
{
	if (error != 0) {
		fprintf(stderr, "%s: %s\n", what, weir_strerror(error));
		exit(1);
	}
}

static void pin(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *poll_loop(void *unused)
{
	pin(there);
	for (unsigned long turn = 0; !atomic_load(&stop); turn++) {
		/* Now and then a packet comes in, and is dealt with. A poll
		 * loop must not wait for memory: WEIR_NOWAIT. */
		if (turn % 16 == 0) {
			void *page = weir_fast_alloc(pool, 0, WEIR_NOWAIT);

			if (page != NULL)
				*(unsigned long *)page = turn;
			weir_fast_free(pool, page, 0);
		}
		weir_fast_tick(pool);
		atomic_store_explicit(&turns, turn, memory_order_relaxed);
		if (here == there)
			sched_yield();
	}
	return unused;
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_drain_opts drain = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;
	unsigned long n, late = 0, ns = 0, pages = 0, by[3] = { 0 };
	char cpu_list[16];
	cpu_set_t allowed;
	pthread_t poller;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed)) {
			here = here == CPU_SETSIZE ? cpu : here;
			there = cpu;
		}
	snprintf(cpu_list, sizeof(cpu_list), "%zu", there);
	opts.capacity = 16 << 20;
	opts.polling_cpus = drain.cpus = cpu_list;
	must("a pool", weir_pool_create(&pool, &opts));
	must("a thread", pthread_create(&poller, NULL, poll_loop, NULL));
	pin(here);

	while (atomic_load(&turns) == 0)
		sched_yield();
	for (n = 0; n < DRAINS && ns < ENOUGH_NS; n++) {
		if (here == there)
			sched_yield();
		late += weir_drain(pool, &drain, &r) != 0;
		pages += r.pages;
		ns += r.ns;
		by[0] += r.by_progress;
		by[1] += r.by_not_busy;
		by[2] += r.by_membarrier;
	}
	atomic_store(&stop, 1);
	pthread_join(poller, NULL);
	printf("CPU %zu polled %lu turns; %lu drains took %lu pages from it, "
	       "%.1f us each\n",
	       there, atomic_load(&turns), n, pages, (double)ns / n / 1000);
	printf("evidence: progress %lu, not busy %lu, membarrier %lu; "
	       "too late %lu\n",
	       by[0], by[1], by[2], late);

	/* Nobody polls there any more. What that CPU still keeps comes back
	 * when something runs there once: this drain does. */
	pin(there);
	weir_drain(pool, NULL, NULL);
	must("the end", weir_pool_destroy(pool, 0));
	return pages == 0 || by[2] != 0;
}
