/* SPDX-License-Identifier: MIT */
/*
 * System calls that fail: a filter written by hand that the kernel asks before
 * each call. A filter stays for good, in the thread that installed it and in
 * what it starts, also over exec: so it is installed in a child.
 */
#ifndef WEIR_TESTS_FAULT_SECCOMP_H
#define WEIR_TESTS_FAULT_SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

struct refusal {
	long nr;
	int error; /* 0: the call seems to succeed, and does nothing */
	/* 1 + the argument (0 to 5) whose low half must equal `value`; 0: the
	 * call fails whatever its arguments are. */
	unsigned arg;
	uint32_t value;
};

#define REFUSALS_MAX 16

static inline bool seccomp_install(struct sock_filter *code, unsigned n)
{
	struct sock_fprog program = { (unsigned short)n, code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* From now on these calls of this thread fail. Ends with status 77 where the
 * kernel has no filters. */
static inline void seccomp_refuse(const struct refusal *refusals, unsigned n)
{
	struct sock_filter code[REFUSALS_MAX * 6 + 1];
	unsigned at = 0;

	CHECK(n <= REFUSALS_MAX);
	for (unsigned i = 0; i < n; i++) {
		const struct refusal *r = &refusals[i];
		const unsigned arg = r->arg == 0 ? 0 : r->arg - 1;

		code[at++] = (struct sock_filter)BPF_STMT(
			BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, nr));
		code[at++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						     (uint32_t)r->nr, 0,
						     r->arg == 0 ? 1 : 3);
		if (r->arg != 0) { /* little-endian: the low half */
			code[at++] = (struct sock_filter)BPF_STMT(
				BPF_LD | BPF_W | BPF_ABS,
				offsetof(struct seccomp_data, args) + 8 * arg);
			code[at++] = (struct sock_filter)BPF_JUMP(
				BPF_JMP | BPF_JEQ | BPF_K, r->value, 0, 1);
		}
		code[at++] = (struct sock_filter)BPF_STMT(
			BPF_RET | BPF_K,
			SECCOMP_RET_ERRNO | (unsigned)r->error);
	}
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						  SECCOMP_RET_ALLOW);
	if (!seccomp_install(code, at))
		SKIP("this kernel has no seccomp filters");
}

static inline void seccomp_refuse_one(long nr, int error)
{
	const struct refusal refusal = { .nr = nr, .error = error };

	seccomp_refuse(&refusal, 1);
}

/* From now on a tracer decides of each call of this thread and its children. */
static inline void seccomp_trace_all(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
	};

	if (!seccomp_install(code, 1))
		SKIP("this kernel has no seccomp filters");
}

/* From now on any call but these two kinds of exit kills the process. */
static inline void seccomp_only_exit(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	if (!seccomp_install(code, sizeof(code) / sizeof(code[0])))
		SKIP("this kernel has no seccomp filters");
}

#endif
