/* SPDX-License-Identifier: MIT */
/*
 * The n-th system call fails: a child's filter hands each of its calls to this
 * process, which lets it pass, or answers in the kernel's stead. Only calls
 * between nth_begin() and nth_end() of the child's first thread are counted.
 */
#ifndef WEIR_TESTS_FAULT_NTH_H
#define WEIR_TESTS_FAULT_NTH_H

#include <sys/ptrace.h>
#include <sys/user.h>

#include "fault.h"
#include "seccomp.h"

#if !defined(__x86_64__)
#error "registers are known of x86-64 only"
#endif

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
	/* Told: */
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

static inline void nth_stopped(struct nth *nth, pid_t pid, bool *counting)
{
	struct user_regs_struct r;
	struct nth_call call;
	int error;

	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, NULL, &r), 0);
	call = (struct nth_call){ (long)r.orig_rax,
				  { r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9 } };
	if (call.nr == NTH_BEGIN || call.nr == NTH_END) {
		*counting = call.nr == NTH_BEGIN;
		return;
	}
	if (!*counting || !nth_fails(nth, &call, &error))
		return;
	r.orig_rax = (unsigned long long)-1; /* the kernel skips it */
	r.rax = (unsigned long long)(long long)-error;
	CHECK_EQ(ptrace(PTRACE_SETREGS, pid, NULL, &r), 0);
}

static inline void nth_child(void (*body)(void *), void *arg)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		SKIP("children cannot be traced here");
	raise(SIGSTOP);
	seccomp_trace_all();
	body(arg);
	_exit(0);
}

/* Runs body in such a child; its exit status, or 1000 + a signal. */
static inline int nth_run(struct nth *nth, void (*body)(void *), void *arg)
{
	const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE |
			     PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL;
	bool counting = false;
	int status, signal;
	pid_t child, pid;

	nth->nr_calls = nth->nr_failed = 0;
	fflush(NULL);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		nth_child(body, arg);
	CHECK_EQ(waitpid(child, &status, 0), child);
	if (!WIFSTOPPED(status)) /* it says why */
		exit(WEXITSTATUS(status));
	CHECK_EQ(ptrace(PTRACE_SETOPTIONS, child, NULL, options), 0);
	CHECK_EQ(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
	for (;;) {
		pid = waitpid(-1, &status, __WALL);
		CHECK(pid > 0);
		if (!WIFSTOPPED(status)) {
			if (pid == child)
				break;
			continue;
		}
		signal = WSTOPSIG(status);
		if (status >> 16 == PTRACE_EVENT_SECCOMP && pid == child)
			nth_stopped(nth, pid, &counting);
		if (status >> 16 != 0 || signal == SIGSTOP)
			signal = 0;
		(void)ptrace(PTRACE_CONT, pid, NULL, (void *)(long)signal);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 1000 + WTERMSIG(status);
}

#endif
