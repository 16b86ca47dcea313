/* SPDX-License-Identifier: MIT */
/*
 * load SECONDS NAME...: a program to be watched. It makes a pool of each name;
 * a thread a CPU allocates from the first and frees, another drains it, and the
 * last CPU is quiet; a request for all pages waits in vain. "ready" is printed
 * once all of them were seen to. SIGTERM: it destroys its pools, prints
 * "destroyed" and waits. It ends after so many seconds at the latest, by
 * SIGALRM.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <weir/fast.h>
#include <weir/request.h>
#include <weir/stat.h>

#define CPUS_MAX 4 /* that are loaded */
#define POOLS_MAX 8
#define HELD_MAX 900 /* by a thread; more than a list holds */
#define KEPT 4000    /* so that out is not 0 between two readings */

static struct weir_pool *pools[POOLS_MAX];
static unsigned nr_pools, nr_begun;
static int ended;

static void fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, weir_last_error());
	exit(1);
}

static void nap(long us)
{
	struct timespec pause = { .tv_nsec = us * 1000 };

	nanosleep(&pause, NULL);
}

/* The n-th CPU that this process may use; -1: it has fewer. */
static int allowed_cpu(int n)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return n == 0 ? 0 : -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && n-- == 0)
			return cpu;
	return -1;
}

/* Holds now more, now less. Half of the time it sleeps, for others' sake. */
static void *work(void *cpu_of)
{
	static _Thread_local void *held[HELD_MAX];
	unsigned nr = 0, seed = 1;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(*(int *)cpu_of, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	__atomic_fetch_add(&nr_begun, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&ended, __ATOMIC_RELAXED)) {
		unsigned want;

		seed = seed * 1103515245 + 12345;
		want = (seed >> 16) % HELD_MAX;
		for (int turn = 0; turn < 200; turn++) {
			while (nr < want &&
			       (held[nr] = weir_fast_alloc(pools[0], 0, 0)))
				nr++;
			while (nr > want / 2)
				weir_fast_free(pools[0], held[--nr], 0);
		}
		nap(1000);
	}
	while (nr > 0)
		weir_fast_free(pools[0], held[--nr], 0);
	return NULL;
}

static void *drain(void *unused)
{
	(void)unused;
	__atomic_fetch_add(&nr_begun, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&ended, __ATOMIC_RELAXED)) {
		weir_drain(pools[0], NULL, NULL);
		nap(5000);
	}
	return NULL;
}

/* Whether each of these CPUs made operations, and was drained. */
static int all_moved(const int *cpus, unsigned nr)
{
	struct weir_stat sum = WEIR_STAT_INIT;
	unsigned moved = 0;

	weir_stat_read(pools[0], &sum);
	for (unsigned i = 0; i < nr; i++)
		for (unsigned zone = 0; zone < sum.nr_zones; zone++) {
			struct weir_stat_cpu its = WEIR_STAT_CPU_INIT;

			weir_stat_read_cpu(pools[0], zone, (unsigned)cpus[i],
					   &its);
			if (its.operations && its.drains) {
				moved++;
				break;
			}
		}
	return moved == nr;
}

static void keep(int whether)
{
	static void *kept[KEPT];

	for (unsigned i = 0; i < KEPT; i++)
		if (!whether)
			weir_free(pools[0], kept[i], 0);
		else if (!(kept[i] = weir_alloc(pools[0], 0, 0)))
			fail("weir_alloc");
}

static void let_request_wait(int whether)
{
	static struct weir_request request = WEIR_REQUEST_INIT;
	static void *all[(64 << 20) / 4096];

	request.n = sizeof(all) / sizeof(all[0]);
	request.pages = all;
	request.fd = STDOUT_FILENO;
	if ((whether ? weir_request_submit(pools[0], &request)
		     : weir_request_cancel(pools[0], &request)) != 0)
		fail("a request");
}

static void make_pool(const char *name, const char *quiet)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = 64 << 20;
	opts.name = name;
	opts.quiet_cpus = quiet;
	if (nr_pools == POOLS_MAX || weir_pool_create(&pools[nr_pools], &opts))
		fail(name);
	nr_pools++;
}

int main(int argc, char **argv)
{
	static int cpus[CPUS_MAX];
	pthread_t thread[CPUS_MAX + 1];
	unsigned nr = 0;
	char quiet[16] = "";
	sigset_t term;
	int signal;

	if (argc < 3)
		return fprintf(stderr, "usage: load SECONDS NAME...\n"), 2;
	alarm((unsigned)atoi(argv[1]));
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	while (nr < CPUS_MAX && (cpus[nr] = allowed_cpu((int)nr)) >= 0)
		nr++;
	if (nr > 1)
		snprintf(quiet, sizeof(quiet), "%d", cpus[nr - 1]);
	for (int i = 2; i < argc; i++)
		make_pool(argv[i], quiet);
	keep(1);
	let_request_wait(1);
	for (unsigned i = 0; i <= nr; i++)
		if (pthread_create(&thread[i], NULL, i < nr ? work : drain,
				   i < nr ? &cpus[i] : NULL) != 0)
			fail("pthread_create");
	while (__atomic_load_n(&nr_begun, __ATOMIC_RELAXED) <= nr)
		nap(1000);
	while (!all_moved(cpus, nr))
		nap(1000);
	puts("ready");
	fflush(stdout);
	sigwait(&term, &signal);
	__atomic_store_n(&ended, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i <= nr; i++)
		pthread_join(thread[i], NULL);
	let_request_wait(0);
	keep(0);
	for (unsigned i = 0; i < nr_pools; i++)
		if (weir_pool_destroy(pools[i], 0) != 0)
			fail("weir_pool_destroy");
	puts("destroyed");
	fflush(stdout);
	for (;;)
		pause();
}
