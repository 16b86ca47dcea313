/* SPDX-License-Identifier: MIT */
/*
 * Threads that torment an allocator: some work, and are moved from CPU to CPU,
 * interrupted by signals and timers all the time, and end and are made anew;
 * some drain, or look on. From time to time all of them stand still, outside
 * of calls and bursts, and the program looks whether all is as it should be.
 * (What a process cannot do to itself, outside.h does to it.)
 */
#ifndef WEIR_TESTS_TORTURE_H
#define WEIR_TESTS_TORTURE_H

#include "inject.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include "check.h"
#include "helpers.h"

#define TORTURERS_MAX 32
#define TORTURE_COLD (64u << 20)

/* What other processes see, too. */
struct torture_shared {
	uint64_t seed;
	uint32_t nr;	  /* threads */
	uint32_t pausing; /* they stand still, or soon will */
	struct {
		uint32_t tid;	/* 0: not running */
		uint32_t works; /* is moved, interrupted and stopped */
		uint64_t steps, ops;
	} t[TORTURERS_MAX];
	/* Of all variants; written between them. */
	uint64_t ops, signals, drains, progress, not_busy, membarrier, late,
		aborts, checked, freezes, stops, empty, again, lives;
};

struct torturer {
	pthread_t thread;
	uint8_t id; /* from 1 */
	bool works; /* is moved and interrupted */
	bool in_burst;
	bool tired;    /* wants to end, and be made anew */
	bool gone;     /* has ended */
	uint32_t tid;  /* 0: not running */
	uint32_t last; /* its number when it ran */
	uint64_t random, handler_random;
	void (*step)(struct torturer *); /* called again and again */
	void *state;			 /* of who wrote step */
	/* Relaxed, its own. */
	uint64_t ops, signals, checked, samples, slept, empty, again;
};

static struct torture_shared *shared;

static struct {
	bool stop, pausing;
	unsigned standing; /* threads that stand still */
	unsigned nr;
	struct torturer t[TORTURERS_MAX];
	void (*in_handler)(struct torturer *);
	unsigned nr_cpus;
	int cpu[CPU_SETSIZE]; /* that this process may use */
	uint32_t most_pauses;
	uint64_t lives; /* threads made anew */
	uint8_t *cold;	/* shared, so that a fork need not copy it */
	/* Threads that ended inside a burst, the last ones. */
	uint32_t dead[64], nr_dead;
} torture;

static __thread struct torturer *torture_self;

static inline bool torture_flag(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline void torture_set(bool *flag, bool value)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

static inline void torture_nap(uint64_t ns)
{
	const struct timespec t = { .tv_nsec = (long)ns };

	nanosleep(&t, NULL);
}

/* --- places ------------------------------------------------------------ */

static inline void torture_set_of(cpu_set_t *set, uint64_t random)
{
	CPU_ZERO(set);
	for (unsigned i = 0; i < torture.nr_cpus; i++)
		if (random >> i % 32 & 1)
			CPU_SET((size_t)torture.cpu[i], set);
}

/* Is it one of this process's CPUs? */
static inline bool torture_may_use(unsigned cpu)
{
	for (unsigned i = 0; i < torture.nr_cpus; i++)
		if (torture.cpu[i] == (int)cpu)
			return true;
	return false;
}

/* The calling thread may run on this CPU alone; NULL: on all. */
static inline void torture_pin(const int *cpu)
{
	cpu_set_t set;

	torture_set_of(&set, cpu == NULL ? UINT64_MAX : 0);
	if (cpu != NULL)
		CPU_SET((size_t)*cpu, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* The calling thread moves to a CPU of that rank. */
static inline void torture_move(uint64_t rank)
{
	torture_pin(&torture.cpu[rank % torture.nr_cpus]);
}

/* Who disturbs comes first, if we may say so: it preempts the others wherever
 * these are. */
static inline void torture_hurry(int priority)
{
	const struct sched_param param = { .sched_priority = priority };

	sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param);
}

/* --- signals ----------------------------------------------------------- */

static inline void torture_on_signal(int number)
{
	(void)number;
	if (torture_self == NULL || !torture_self->works)
		return;
	torture_self->signals++;
	torture.in_handler(torture_self);
}

/* Signals from the clock, so often that many fall into sequences; or none. */
static inline void torture_storm(timer_t timer, uint64_t random)
{
	struct itimerspec every = { { 0, 0 }, { 0, 0 } };

	if (random & 1)
		every.it_interval.tv_nsec =
			30000 + (long)(random >> 8 & 0x3ffff);
	every.it_value = every.it_interval;
	timer_settime(timer, 0, &every, NULL);
}

/* --- promise 3: who need not wait does not ------------------------------ */

/* A moment that some calls, one in 256, are looked at from. */
struct torture_calm {
	long switches; /* -1: not looked at */
	uint64_t signals;
};

static inline long torture_switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static inline struct torture_calm torture_calm(struct torturer *self,
					       uint64_t random)
{
	struct torture_calm calm = { -1, self->signals };

	if ((random >> 56) == 0)
		calm.switches = torture_switches();
	return calm;
}

/* Did the thread go to sleep meanwhile? That is what waiting looks like; now
 * and then it is the debugger's stop, or a page fault's. */
static inline void torture_was_calm(struct torturer *self,
				    struct torture_calm calm)
{
	if (calm.switches < 0 || calm.signals != self->signals)
		return;
	self->samples++;
	self->slept += torture_switches() != calm.switches;
}

/* --- threads ----------------------------------------------------------- */

/* Stands still until the pause is over; no handler runs meanwhile. */
static inline void torture_park(void)
{
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	__atomic_add_fetch(&torture.standing, 1, __ATOMIC_ACQ_REL);
	while (torture_flag(&torture.pausing))
		torture_nap(300000);
	__atomic_sub_fetch(&torture.standing, 1, __ATOMIC_ACQ_REL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A step of the thread that moves and interrupts the others. */
static inline void torture_perturb(struct torturer *self)
{
	uint64_t r = check_random(&self->random);
	struct torturer *victim = &torture.t[r % torture.nr];
	const uint32_t tid = __atomic_load_n(&victim->tid, __ATOMIC_RELAXED);

	if (victim->works && tid != 0) {
		cpu_set_t set;

		torture_set_of(&set, r >> 8);
		if (CPU_COUNT(&set) > 0)
			sched_setaffinity((pid_t)tid, sizeof(set), &set);
		for (unsigned i = 0; i < (r >> 20 & 3); i++)
			syscall(SYS_tgkill, getpid(), (long)tid, SIGUSR1);
	}
	inject_at_random(check_random(&self->random),
			 (r >> 22 & 15) == 0 ? 20 * torture.most_pauses
					     : torture.most_pauses);
	torture_nap(r >> 40 & 0xffff);
}

/*
 * Stores that miss the cache: what is stored next stands in line behind them,
 * and is seen late by others unless it is fenced.
 */
static inline void torture_hold_stores_up(uint64_t random)
{
	for (unsigned i = 0; i < 24; i++)
		/* Two threads may meet there. */
		__atomic_store_n(
			&torture.cold[random * (2 * i + 1) % TORTURE_COLD], 1,
			__ATOMIC_RELAXED);
}

static inline void torture_began(struct torturer *self)
{
	uint32_t tid = (uint32_t)syscall(SYS_gettid);

	torture_self = self;
	self->last = tid;
	__atomic_store_n(&self->tid, tid, __ATOMIC_RELAXED);
	__atomic_store_n(&shared->t[self->id - 1].tid, tid, __ATOMIC_RELEASE);
}

/* It ends inside a burst. */
static inline void torture_note_dead(uint32_t tid)
{
	torture.dead[__atomic_fetch_add(&torture.nr_dead, 1, __ATOMIC_RELAXED) %
		     64] = tid;
}

static inline void torture_ended(struct torturer *self)
{
	if (self->in_burst)
		torture_note_dead(self->last);
	torture_self = NULL;
	__atomic_store_n(&shared->t[self->id - 1].tid, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&self->tid, 0, __ATOMIC_RELAXED);
	torture_set(&self->gone, true);
}

static inline void *torture_run(void *arg)
{
	struct torturer *self = arg;
	struct sigevent notice = { .sigev_notify = SIGEV_THREAD_ID,
				   .sigev_signo = SIGUSR1 };
	timer_t timer;

	if (self->step == torture_perturb)
		torture_hurry(1);
	notice._sigev_un._tid = (int)syscall(SYS_gettid);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &notice, &timer), 0);
	torture_began(self);
	while (!torture_flag(&torture.stop) && !self->tired) {
		if (torture_flag(&torture.pausing)) {
			torture_park();
			continue;
		}
		self->step(self);
		__atomic_add_fetch(&shared->t[self->id - 1].steps, 1,
				   __ATOMIC_RELAXED);
		__atomic_store_n(&shared->t[self->id - 1].ops, self->ops,
				 __ATOMIC_RELAXED);
		if (self->works && self->ops % 1024 == 0)
			torture_storm(timer, check_random(&self->random));
	}
	torture_ended(self);
	timer_delete(timer);
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
		.random = (UINT64_C(0x9e3779b97f4a7c15) * torture.nr ^
			   shared->seed) |
			  1,
	};
	t->handler_random = t->random ^ 0x55aa55aa;
	shared->t[t->id - 1].works = works;
	return t;
}

static inline void torture_start(struct torturer *t)
{
	t->gone = t->tired = t->in_burst = false;
	CHECK_EQ(pthread_create(&t->thread, NULL, torture_run, t), 0);
}

/* Makes anew who has ended; with the number of who was before it, if we may
 * choose. (Not where a burst was left open: then the new one would have it.) */
static inline void torture_revive(void)
{
	for (unsigned i = 0; i < torture.nr; i++) {
		struct torturer *t = &torture.t[i];
		FILE *last;

		if (!torture_flag(&t->gone))
			continue;
		pthread_join(t->thread, NULL);
		torture.lives++;
		last = t->in_burst ? NULL
				   : fopen("/proc/sys/kernel/ns_last_pid", "w");
		if (last != NULL) {
			fprintf(last, "%u", (unsigned)t->last - 1);
			fclose(last);
		}
		torture_start(t);
	}
}

/* Every thread stands still until torture_resume(). */
static inline void torture_pause(void)
{
	torture_set(&torture.pausing, true);
	__atomic_store_n(&shared->pausing, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&torture.standing, __ATOMIC_ACQUIRE) <
	       torture.nr) {
		torture_revive();
		torture_nap(300000);
	}
}

static inline void torture_resume(void)
{
	torture_set(&torture.pausing, false);
	while (__atomic_load_n(&torture.standing, __ATOMIC_ACQUIRE) != 0)
		torture_nap(300000);
	__atomic_store_n(&shared->pausing, 0, __ATOMIC_RELEASE);
}

/* Did this thread end inside a burst? */
static inline bool torture_is_dead(uint32_t tid)
{
	for (unsigned i = 0; i < 64; i++)
		if (torture.dead[i] == tid)
			return true;
	return false;
}

static inline void torture_init(void (*in_handler)(struct torturer *))
{
	struct sigaction action = { .sa_handler = torture_on_signal,
				    .sa_flags = SA_RESTART };

	memset(&torture, 0, sizeof(torture));
	memset(shared->t, 0, sizeof(shared->t));
	torture.in_handler = in_handler;
	torture.most_pauses = 500;
	torture.cold = mmap(NULL, TORTURE_COLD, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(torture.cold != MAP_FAILED);
	sigaction(SIGUSR1, &action, NULL);
	while (allowed_cpu(torture.nr_cpus) >= 0) {
		torture.cpu[torture.nr_cpus] = allowed_cpu(torture.nr_cpus);
		torture.nr_cpus++;
	}
}

/* Adds up what this variant's threads did. */
static inline void torture_add_up(void)
{
	uint64_t samples = 0, slept = 0;

	for (unsigned i = 0; i < torture.nr; i++) {
		const struct torturer *t = &torture.t[i];

		shared->ops += t->ops;
		shared->signals += t->signals;
		shared->checked += t->checked;
		shared->empty += t->empty;
		shared->again += t->again;
		samples += t->samples;
		slept += t->slept;
	}
	shared->lives += torture.lives;
	CHECK_MSG(slept * 20 <= samples + 2000,
		  "%" PRIu64 " of %" PRIu64 " frees and allocations that must "
		  "not wait went to sleep",
		  slept, samples);
}

/* Runs the threads that were added for so long, calling `look` about every
 * 100 ms while all stand still. How often it looked. */
static inline unsigned torture_for(double seconds, void (*look)(void))
{
	const uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
	unsigned looks = 0;

	__atomic_store_n(&shared->nr, torture.nr, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < torture.nr; i++)
		torture_start(&torture.t[i]);
	while (now_ns() < end) {
		for (unsigned i = 0; i < 10; i++) {
			torture_nap(10000000);
			torture_revive();
		}
		torture_pause();
		look();
		looks++;
		torture_resume();
	}
	torture_pause();
	torture_set(&torture.stop, true);
	torture_resume();
	for (unsigned i = 0; i < torture.nr; i++)
		pthread_join(torture.t[i].thread, NULL);
	__atomic_store_n(&shared->nr, 0, __ATOMIC_RELEASE);
	inject_at_random(0, 0);
	torture_add_up();
	return looks;
}

#endif
