/* SPDX-License-Identifier: MIT */
/* Threads on chosen CPUs, and events to wait for, for tests of one behaviour.
 */
#ifndef WEIR_TESTS_HELPERS_H
#define WEIR_TESTS_HELPERS_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* For what must not last longer than so: the time now, less all that this
 * thread was ready to run while others had its CPU (as far as the kernel counts
 * it, in schedstat). */
static inline uint64_t own_ns(void)
{
	unsigned long long ran, waited;
	FILE *file = fopen("/proc/thread-self/schedstat", "re");

	if (file == NULL || fscanf(file, "%llu %llu", &ran, &waited) != 2)
		waited = 0;
	if (file != NULL)
		fclose(file);
	return now_ns() - waited;
}

/* The CPU of that rank among those this process may use; -1: so many there
 * are not. */
static inline int allowed_cpu(unsigned rank)
{
	static cpu_set_t allowed; /* before anybody was pinned */

	if (CPU_COUNT(&allowed) == 0)
		sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &allowed) && rank-- == 0)
			return cpu;
	return -1;
}

static inline void need_two_cpus(void)
{
	if (allowed_cpu(1) < 0)
		SKIP("this needs two CPUs");
}

/* The first two of them. */
static inline void two_cpus(int *here, int *there)
{
	need_two_cpus();
	*here = allowed_cpu(0);
	*there = allowed_cpu(1);
}

/* The calling thread runs on that CPU from now on. */
static inline void pin(int cpu)
{
	cpu_set_t set;

	allowed_cpu(0);
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* --- events: numbers that only grow ------------------------------------ */

typedef uint32_t event;

static inline bool happened(const event *e, uint32_t n)
{
	return __atomic_load_n(e, __ATOMIC_ACQUIRE) >= n;
}

static inline void tell(event *e)
{
	__atomic_add_fetch(e, 1, __ATOMIC_ACQ_REL);
}

/* Until it happened n times; the test fails after 30 s. */
static inline void await(const event *e, uint32_t n)
{
	const uint64_t end = now_ns() + 30000000000u;

	while (!happened(e, n)) {
		CHECK_MSG(now_ns() < end, "what should happen does not");
		sched_yield();
	}
}

/* --- threads ----------------------------------------------------------- */

struct runner {
	pthread_t thread;
	pid_t tid; /* when it has ended */
	int cpu;
	void (*run)(void *);
	void *arg;
};

static inline void *runner_main(void *arg)
{
	struct runner *runner = arg;

	runner->tid = (pid_t)syscall(SYS_gettid);
	pin(runner->cpu);
	runner->run(runner->arg);
	return NULL;
}

static inline void start_on(struct runner *runner, int cpu, void (*run)(void *),
			    void *arg)
{
	*runner = (struct runner){ .cpu = cpu, .run = run, .arg = arg };
	CHECK_EQ(pthread_create(&runner->thread, NULL, runner_main, runner), 0);
}

/* The thread has ended when this returns. pthread_join() alone does not say so:
 * the kernel wakes the joining thread early in the exit, and on a busy CPU the
 * thread can be found for milliseconds after that. */
static inline void finish(struct runner *runner)
{
	const struct timespec nap = { .tv_nsec = 100000 };
	const uint64_t end = now_ns() + 30000000000u;

	CHECK_EQ(pthread_join(runner->thread, NULL), 0);
	while (syscall(SYS_tgkill, getpid(), runner->tid, 0) == 0) {
		CHECK_MSG(now_ns() < end, "a thread does not end");
		nanosleep(&nap, NULL);
	}
}

/* Runs a function in a thread on that CPU, to its end. */
static inline void run_on(int cpu, void (*run)(void *), void *arg)
{
	struct runner runner;

	start_on(&runner, cpu, run, arg);
	finish(&runner);
}

#endif
