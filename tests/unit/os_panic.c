/* SPDX-License-Identifier: MIT */
/* If this fails, a caller's mistake ends in silence or in a crash elsewhere. */
#include <signal.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "os_system.h"

int main(void)
{
	struct rlimit none = { 0, 0 };
	char line[128] = "";
	int pipe_fd[2], status;
	pid_t pid;

	CHECK_EQ(pipe(pipe_fd), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &none);
		dup2(pipe_fd[1], 2);
		wi_panic("the sky fell");
	}
	close(pipe_fd[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CHECK(read(pipe_fd[0], line, sizeof(line) - 1) > 0);
	CHECK_MSG(!strcmp(line, "weir: the sky fell\n"), "it said \"%s\"",
		  line);
	return 0;
}
