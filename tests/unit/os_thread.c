/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a drain waits for a thread that is gone, or does not wait for
 * one that lives.
 */
#include <sys/syscall.h>

#include "os/internal.h"
#include "os/os.h"
#include "os_system.h"

static void *tell_tid(void *arg)
{
	*(uint32_t *)arg = wi_os_tid();
	return NULL;
}

/* pthread_join() may return a moment before the kernel forgets the thread. */
static bool is_gone_soon(uint32_t tid)
{
	for (int i = 0; i < 30000; i++) {
		if (!wi_os_thread_exists(tid))
			return true;
		usleep(1000);
	}
	return false;
}

static void *outlive(void *first)
{
	CHECK(wi_os_thread_exists(wi_os_tid()));
	CHECK(is_gone_soon(*(uint32_t *)first));
	_exit(42);
}

/* The first thread ends before the process does. */
static void end_first(void *arg)
{
	static uint32_t first;
	pthread_t second;

	(void)arg;
	first = wi_os_tid();
	CHECK(wi_os_thread_exists(first));
	CHECK_EQ(pthread_create(&second, NULL, outlive, &first), 0);
	/* By system call: pthread_exit() runs what a sanitizer watches. */
	syscall(SYS_exit, 0);
}

/* A thread may call itself what it likes: the kernel escapes it. */
static void read_states(void)
{
	CHECK(wi_os_state_is_dead("Name:\tx\nUmask:\t0022\nState:\tZ (zo"));
	CHECK(wi_os_state_is_dead("Name:\tx\nState:\tX (dead)\nTgid:\t1"));
	CHECK(!wi_os_state_is_dead("Name:\tx\nState:\tR (running)\n"));
	CHECK(!wi_os_state_is_dead("Name:\t\\nState:\tZ\nState:\tS (sl"));
	CHECK(!wi_os_state_is_dead("Name:\tx\n"));
	CHECK(!wi_os_state_is_dead(""));
}

static void check_cpus(void)
{
	uint64_t words[128];
	int cpu;

	CHECK(wi_os_nr_cpus() >= 1);
	CHECK_EQ(wi_os_affinity(words, 128), 0);
	cpu = wi_os_current_cpu();
	CHECK(cpu >= 0 && cpu < 128 * 64);
	CHECK(words[cpu / 64] >> cpu % 64 & 1);
}

static void check_clock(void)
{
	uint64_t before = wi_os_now_ns();

	wi_os_sleep_ns(2000000);
	CHECK(wi_os_now_ns() - before >= 2000000);
}

int main(void)
{
	uint32_t tid = 0;
	pthread_t thread;

	CHECK_EQ(wi_os_tid(), getpid());
	errno = E2BIG;
	CHECK(wi_os_thread_exists(wi_os_tid()));
	CHECK_EQ(pthread_create(&thread, NULL, tell_tid, &tid), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(tid != wi_os_tid());
	CHECK(is_gone_soon(tid));
	CHECK(!wi_os_thread_exists(1)); /* exists, but not here */
	CHECK_EQ(end_child(start_child(end_first, NULL)), 42);
	read_states();
	check_cpus();
	check_clock();
	return 0;
}
