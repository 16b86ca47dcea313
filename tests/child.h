/* SPDX-License-Identifier: MIT */
/* A part of a test in a process of its own. */
#ifndef WEIR_TESTS_CHILD_H
#define WEIR_TESTS_CHILD_H

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* fork(), but no handler of fork() runs in the child. */
static inline pid_t fork_without_handlers(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
	return _Fork();
#else
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
#endif
}

/* A child that runs body and ends; its pid. */
static inline pid_t start_child(void (*body)(void *), void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		body(arg);
		fflush(NULL);
		_exit(0);
	}
	return pid;
}

/* Waits for it: its exit status, or 1000 + the signal that ended it. */
static inline int end_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) != pid)
		CHECK_EQ(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 1000 + WTERMSIG(status);
}

#endif
