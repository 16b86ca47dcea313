/* SPDX-License-Identifier: MIT */
/*
 * Threads that torment an allocator: some work, and are moved from CPU to CPU
 * and interrupted by signals all the time; some drain, or look on. From time to
 * time all of them stand still, outside of calls and bursts, and the program
 * looks whether all is as it should be.
 */
#ifndef WEIR_TESTS_TORTURE_H
#define WEIR_TESTS_TORTURE_H

#include "inject.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define TORTURERS_MAX 32

struct torturer {
	pthread_t thread;
	uint8_t id; /* from 1 */
	bool works; /* is moved and interrupted */
	uint64_t random, handler_random;
	void (*step)(struct torturer *); /* called again and again */
	void *state;			 /* of who wrote step */
	uint64_t ops, signals;		 /* relaxed, its own */
};

static struct {
	bool stop, pausing;
	unsigned parked; /* threads that stand still */
	unsigned nr;
	struct torturer t[TORTURERS_MAX];
	void (*in_handler)(struct torturer *);
	unsigned nr_cpus;
	int cpu[CPU_SETSIZE]; /* that this process may use */
	uint32_t most_pauses;
} torture;

static __thread struct torturer *torture_self;

static inline bool torture_flag(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline uint64_t torture_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void torture_nap(uint64_t ns)
{
	const struct timespec t = { .tv_nsec = (long)ns };

	nanosleep(&t, NULL);
}

/* The calling thread may run on this CPU alone; NULL: on all. */
static inline void torture_pin(const int *cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu != NULL)
		CPU_SET((size_t)*cpu, &set);
	for (unsigned i = 0; cpu == NULL && i < torture.nr_cpus; i++)
		CPU_SET((size_t)torture.cpu[i], &set);
	CHECK_EQ(pthread_setaffinity_np(pthread_self(), sizeof(set), &set), 0);
}

static inline void torture_on_signal(int number)
{
	(void)number;
	if (torture_self == NULL || !torture_self->works)
		return;
	torture_self->signals++;
	torture.in_handler(torture_self);
}

/* Stands still until the pause is over; no handler runs meanwhile. */
static inline void torture_park(void)
{
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	__atomic_add_fetch(&torture.parked, 1, __ATOMIC_ACQ_REL);
	while (torture_flag(&torture.pausing))
		torture_nap(20000);
	__atomic_sub_fetch(&torture.parked, 1, __ATOMIC_ACQ_REL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A step of the thread that moves and interrupts the others. */
static inline void torture_perturb(struct torturer *self)
{
	uint64_t r = check_random(&self->random);
	struct torturer *victim = &torture.t[r % torture.nr];

	if (victim->works) {
		cpu_set_t set;

		CPU_ZERO(&set);
		for (unsigned i = 0; i < torture.nr_cpus; i++)
			if (r >> (8 + i % 8) & 1)
				CPU_SET((size_t)torture.cpu[i], &set);
		if (CPU_COUNT(&set) > 0)
			pthread_setaffinity_np(victim->thread, sizeof(set),
					       &set);
		for (unsigned i = 0; i < (r >> 20 & 3); i++)
			pthread_kill(victim->thread, SIGUSR1);
	}
	inject_at_random(check_random(&self->random), torture.most_pauses);
	torture_nap(r >> 40 & 0xffff);
}

/*
 * Stores that miss the cache: what is stored next stands in line behind them,
 * and is seen late by others unless it is fenced.
 */
static inline void torture_hold_stores_up(uint64_t random)
{
	static uint8_t cold[64 << 20];

	for (unsigned i = 0; i < 24; i++)
		/* Two threads may meet there. */
		__atomic_store_n(&cold[random * (2 * i + 1) % sizeof(cold)], 1,
				 __ATOMIC_RELAXED);
}

/* The calling thread moves to a CPU of that rank. */
static inline void torture_move(uint64_t rank)
{
	torture_pin(&torture.cpu[rank % torture.nr_cpus]);
}

/* Who disturbs comes first, if we may say so: it preempts the others wherever
 * these are. */
static inline void torture_hurry(void)
{
	const struct sched_param param = { .sched_priority = 1 };

	pthread_setschedparam(pthread_self(), SCHED_RR, &param);
}

static inline void *torture_run(void *arg)
{
	struct torturer *self = arg;

	if (self->step == torture_perturb)
		torture_hurry();

	torture_self = self;
	while (!torture_flag(&torture.stop)) {
		if (torture_flag(&torture.pausing))
			torture_park();
		else
			self->step(self);
	}
	return NULL;
}

static inline struct torturer *torture_add(void (*step)(struct torturer *),
					   bool works, void *state)
{
	struct torturer *t = &torture.t[torture.nr++];

	CHECK(torture.nr <= TORTURERS_MAX);
	*t = (struct torturer){
		.id = (uint8_t)torture.nr,
		.works = works,
		.step = step,
		.state = state,
		.random = UINT64_C(0x9e3779b97f4a7c15) * torture.nr ^
			  torture_now_ns(),
	};
	t->handler_random = t->random ^ 0x55aa55aa;
	return t;
}

/* Every thread stands still until torture_resume(). */
static inline void torture_pause(void)
{
	__atomic_store_n(&torture.pausing, true, __ATOMIC_RELEASE);
	while (__atomic_load_n(&torture.parked, __ATOMIC_ACQUIRE) < torture.nr)
		torture_nap(20000);
}

static inline void torture_resume(void)
{
	__atomic_store_n(&torture.pausing, false, __ATOMIC_RELEASE);
	while (__atomic_load_n(&torture.parked, __ATOMIC_ACQUIRE) != 0)
		torture_nap(20000);
}

static inline void torture_init(void (*in_handler)(struct torturer *))
{
	struct sigaction action = { .sa_handler = torture_on_signal,
				    .sa_flags = SA_RESTART };
	cpu_set_t set;

	memset(&torture, 0, sizeof(torture));
	torture.in_handler = in_handler;
	torture.most_pauses = 500;
	sigaction(SIGUSR1, &action, NULL);
	CHECK_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &set))
			torture.cpu[torture.nr_cpus++] = cpu;
}

/* Runs the threads that were added for so long, calling `look` about every
 * 100 ms while all stand still, and once more at the end, after `end` ran in
 * each thread's place. How often it looked. */
static inline unsigned torture_for(double seconds, void (*look)(void))
{
	const uint64_t end = torture_now_ns() + (uint64_t)(seconds * 1e9);
	unsigned looks = 0;

	for (unsigned i = 0; i < torture.nr; i++)
		CHECK_EQ(pthread_create(&torture.t[i].thread, NULL, torture_run,
					&torture.t[i]),
			 0);
	while (torture_now_ns() < end) {
		for (unsigned i = 0; i < 10; i++)
			torture_nap(10000000);
		torture_pause();
		look();
		looks++;
		torture_resume();
	}
	torture_pause();
	__atomic_store_n(&torture.stop, true, __ATOMIC_RELEASE);
	torture_resume();
	for (unsigned i = 0; i < torture.nr; i++)
		pthread_join(torture.t[i].thread, NULL);
	inject_at_random(0, 0);
	return looks;
}

/* How long each variant runs: SECONDS, or the first argument, in all. */
static inline double torture_seconds(int argc, char **argv, double in_all,
				     unsigned variants)
{
	const char *words = argc > 1 ? argv[1] : getenv("SECONDS");

	return (words != NULL ? atof(words) : in_all) / variants;
}

#endif
