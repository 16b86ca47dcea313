/* SPDX-License-Identifier: MIT */
/* What several tests of src/os do to the system around them. */
#ifndef WEIR_TESTS_OS_SYSTEM_H
#define WEIR_TESTS_OS_SYSTEM_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "fault/seccomp.h"
#include "os/os.h"

/*
 * From now on the system call fails with this errno when (its second or third
 * argument & mask) == value: the kernel as it was before it knew the value.
 * False where seccomp is not to be had.
 */
static inline bool system_refuse(unsigned nr, unsigned arg, unsigned mask,
				 unsigned value, unsigned error)
{
	unsigned arg_at = (unsigned)offsetof(struct seccomp_data, args) +
			  arg * 8; /* little-endian: the low half */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg_at),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return seccomp_install(code, sizeof(code) / sizeof(code[0]));
}

/* A thread that stays on one CPU and keeps it busy. */
struct system_spinner {
	pthread_t thread;
	int cpu;
	atomic_bool runs, stop;
};

static inline void *system_spin(void *arg)
{
	struct system_spinner *s = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(s->cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		SKIP("CPU %d is not ours", s->cpu);
	atomic_store(&s->runs, true);
	while (!atomic_load(&s->stop))
		;
	return NULL;
}

/* Starts a spinner on CPU 1 and moves the caller to CPU 0. */
static inline void system_spin_begin(struct system_spinner *s)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		SKIP("CPU 0 is not ours");
	s->cpu = 1;
	atomic_init(&s->runs, false);
	atomic_init(&s->stop, false);
	CHECK_EQ(pthread_create(&s->thread, NULL, system_spin, s), 0);
	while (!atomic_load(&s->runs))
		usleep(1000);
}

static inline void system_spin_end(struct system_spinner *s)
{
	atomic_store(&s->stop, true);
	CHECK_EQ(pthread_join(s->thread, NULL), 0);
}

/*
 * Interruptions of CPU 1 by other CPUs: rows CAL and TLB of /proc/interrupts.
 * Skips the test where there are no such rows.
 */
static inline uint64_t system_interrupts_of_cpu1(void)
{
	unsigned long long cpu0, cpu1, sum = 0;
	char line[4096], row[16];
	int rows = 0;
	FILE *file = fopen("/proc/interrupts", "r");

	if (!file)
		SKIP("there is no /proc/interrupts");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %15[^:]: %llu %llu", row, &cpu0, &cpu1) != 3)
			continue;
		if (strcmp(row, "CAL") && strcmp(row, "TLB"))
			continue;
		sum += cpu1;
		rows++;
	}
	fclose(file);
	if (rows != 2)
		SKIP("/proc/interrupts does not count what is needed");
	return sum;
}

/*
 * Does silent() interrupt CPU 1 less, by far, than loud() does? Each is run
 * beside a busy CPU 1. Other programs run there too and interrupt it, so one
 * clear answer in some rounds is enough. A round in which loud() was hardly
 * heard, as the busy thread did not run, is none; with too few rounds the test
 * is skipped.
 */
static inline void system_compare(const char *name, void (*silent)(void),
				  void (*loud)(void))
{
	struct system_spinner spinner;
	uint64_t before, made = 0, control = 0, end;
	unsigned heard = 0;
	bool is_clear = false;

	if (CHECK_HAS_TSAN) /* it maps and unmaps memory of its own */
		return;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP("one CPU: nobody to interrupt");
	system_spin_begin(&spinner);
	end = wi_os_now_ns() + UINT64_C(20000000000);
	while (!is_clear && heard < 20 && wi_os_now_ns() < end) {
		before = system_interrupts_of_cpu1();
		silent();
		made = system_interrupts_of_cpu1() - before;
		before = system_interrupts_of_cpu1();
		loud();
		control = system_interrupts_of_cpu1() - before;
		heard += control >= 100;
		is_clear = control >= 100 && made < control / 4;
	}
	system_spin_end(&spinner);
	printf("%s: %" PRIu64 " interruptions of CPU 1, where the control had "
	       "%" PRIu64 "\n",
	       name, made, control);
	if (!is_clear && heard < 20)
		SKIP("CPU 1 is too busy elsewhere to be interrupted");
	CHECK(is_clear);
}

#endif
