/* SPDX-License-Identifier: MIT */
/*
 * If this fails, tests that ask whether a thread exists after finish() fail on
 * a busy machine: a thread can be found for a while after pthread_join().
 *
 * The thread has the lowest priority on a CPU where others wake all the time,
 * so it is preempted anywhere in its exit.
 */
#include "helpers.h"

#define TIMES 40
#define NR_BUSY 3

static bool at_end;

static void be_busy(void *unused)
{
	const struct timespec nap = { .tv_nsec = 20000 };

	(void)unused;
	while (!__atomic_load_n(&at_end, __ATOMIC_RELAXED)) {
		const uint64_t until = now_ns() + 100000;

		while (now_ns() < until)
			;
		nanosleep(&nap, NULL);
	}
}

static void end_slowly(void *unused)
{
	const struct sched_param param = { 0 };

	(void)unused;
	CHECK_EQ(sched_setscheduler(0, SCHED_IDLE, &param), 0);
}

int main(void)
{
	struct runner busy[NR_BUSY], slow;

	need_two_cpus();
	pin(allowed_cpu(0));
	for (unsigned i = 0; i < NR_BUSY; i++)
		start_on(&busy[i], allowed_cpu(1), be_busy, NULL);
	for (unsigned i = 0; i < TIMES; i++) {
		start_on(&slow, allowed_cpu(1), end_slowly, NULL);
		finish(&slow);
		CHECK_EQ(syscall(SYS_tgkill, getpid(), slow.tid, 0), -1);
		CHECK_EQ(errno, ESRCH);
	}
	__atomic_store_n(&at_end, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < NR_BUSY; i++)
		finish(&busy[i]);
	return 0;
}
