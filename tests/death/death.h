/* SPDX-License-Identifier: MIT */
/*
 * Deaths: each case runs in a child, which must end by SIGABRT and must have
 * said exactly one line, beginning "weir: " and with all the words expected.
 */
#ifndef WEIR_TESTS_DEATH_H
#define WEIR_TESTS_DEATH_H

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* Runs it in a child; what that said, and how it ended. */
static inline int death_of(void (*run)(void), char *said, size_t len)
{
	const struct rlimit no_core = { 0, 0 };
	int ends[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t child;

	CHECK_EQ(pipe(ends), 0);
	fflush(NULL);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		run();
		_exit(0);
	}
	close(ends[1]);
	while ((got = read(ends[0], said + n, len - 1 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	close(ends[0]);
	CHECK_EQ(waitpid(child, &status, 0), child);
	return status;
}

/* `name` is the case's, for messages; `words` end with NULL. */
static inline void must_die(const char *name, void (*run)(void),
			    const char *const *words)
{
	char said[4096];
	int status = death_of(run, said, sizeof(said));
	const char *end = strchr(said, '\n');

	CHECK_MSG(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
		  "%s: status %#x, said \"%s\"", name, (unsigned)status, said);
	CHECK_MSG(strncmp(said, "weir: ", 6) == 0, "%s: said \"%s\"", name,
		  said);
	CHECK_MSG(end != NULL && end[1] == '\0', "%s: not one line: \"%s\"",
		  name, said);
	for (; *words != NULL; words++)
		CHECK_MSG(strstr(said, *words) != NULL,
			  "%s: no \"%s\" in \"%s\"", name, *words, said);
	printf("%-40s %s", name, said);
}

#endif
