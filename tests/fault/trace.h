/* SPDX-License-Identifier: MIT */
/* A child whose system calls stop it, each for its parent to look at. */
#ifndef WEIR_TESTS_FAULT_TRACE_H
#define WEIR_TESTS_FAULT_TRACE_H

#include <sys/ptrace.h>
#include <sys/user.h>

#include "fault.h"
#include "seccomp.h"

#if !defined(__x86_64__)
#error "registers are known of x86-64 only"
#endif

struct tracer {
	/* A thread of the child, of one of its children, or of the program
	 * that these execute, has stopped before a call. */
	void (*at_call)(void *ctx, pid_t tid);
	void *ctx;
	bool first_only; /* the calls of the child's first thread */
};

static inline void trace_child(void (*body)(void *), void *arg)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		SKIP("children cannot be traced here");
	raise(SIGSTOP);
	seccomp_trace_all();
	body(arg);
	_exit(0);
}

/* Runs body in such a child; its exit status, or 1000 + a signal. */
static inline int trace_run(const struct tracer *tracer, void (*body)(void *),
			    void *arg)
{
	const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE |
			     PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			     PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	int status, signal;
	pid_t child, pid;

	fflush(NULL);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		trace_child(body, arg);
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
		if (status >> 16 == PTRACE_EVENT_SECCOMP &&
		    (pid == child || !tracer->first_only))
			tracer->at_call(tracer->ctx, pid);
		if (status >> 16 != 0 || signal == SIGSTOP)
			signal = 0;
		(void)ptrace(PTRACE_CONT, pid, NULL, (void *)(long)signal);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 1000 + WTERMSIG(status);
}

#endif
