/* SPDX-License-Identifier: MIT */
/*
 * The n-th system call fails: a child's filter hands each of its calls to this
 * process, which lets it pass, or answers in the kernel's stead. Only calls
 * between nth_begin() and nth_end() of the child's first thread are counted.
 */
#ifndef WEIR_TESTS_FAULT_NTH_H
#define WEIR_TESTS_FAULT_NTH_H

#include "trace.h"

/* Calls that no kernel has, for the tracer only. */
#define NTH_BEGIN 0x77000001
#define NTH_END 0x77000002

#define NTH_CALLS_MAX 4096

struct nth_call {
	long nr;
	uint64_t arg[6];
};

struct nth {
	/* Asked for: */
	unsigned fail_at; /* from 0; UINT32_MAX: none */
	int error;
	bool always; /* all of that kind, from there on */
	bool (*answer)(const struct nth_call *, int *error); /* or NULL */
	/* Results: */
	bool counting;
	unsigned nr_calls, nr_failed;
	struct nth_call call[NTH_CALLS_MAX];
};

static inline void nth_begin(void)
{
	(void)syscall(NTH_BEGIN);
}

static inline void nth_end(void)
{
	(void)syscall(NTH_END);
}

/* Decides of one call that was counted. */
static inline bool nth_fails(struct nth *nth, const struct nth_call *call,
			     int *error)
{
	const unsigned n = nth->nr_calls++;

	CHECK(n < NTH_CALLS_MAX);
	nth->call[n] = *call;
	*error = nth->error;
	if (n == nth->fail_at || (nth->always && n > nth->fail_at &&
				  call->nr == nth->call[nth->fail_at].nr)) {
		nth->nr_failed++;
		return true;
	}
	return nth->answer != NULL && nth->answer(call, error);
}

static inline void nth_stopped(void *ctx, pid_t pid)
{
	struct nth *nth = ctx;
	struct user_regs_struct r;
	struct nth_call call;
	int error;

	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, NULL, &r), 0);
	call = (struct nth_call){ (long)r.orig_rax,
				  { r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9 } };
	if (call.nr == NTH_BEGIN || call.nr == NTH_END) {
		nth->counting = call.nr == NTH_BEGIN;
		return;
	}
	if (!nth->counting || !nth_fails(nth, &call, &error))
		return;
	r.orig_rax = (unsigned long long)-1; /* the kernel skips it */
	r.rax = (unsigned long long)(long long)-error;
	CHECK_EQ(ptrace(PTRACE_SETREGS, pid, NULL, &r), 0);
}

/* Runs body in such a child; its exit status, or 1000 + a signal. */
static inline int nth_run(struct nth *nth, void (*body)(void *), void *arg)
{
	const struct tracer tracer = { nth_stopped, nth, .first_only = true };

	nth->counting = false;
	nth->nr_calls = nth->nr_failed = 0;
	return trace_run(&tracer, body, arg);
}

#endif
