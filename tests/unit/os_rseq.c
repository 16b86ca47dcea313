/* SPDX-License-Identifier: MIT */
/*
 * If this fails, fast paths run on an area the kernel does not watch, or on
 * none although there is one.
 */
#include <string.h>

#include "os/os.h"
#include "os_system.h"

extern char **environ;

#if defined(__x86_64__) || defined(__aarch64__)
#define HAS_SEQUENCES 1
#else
#define HAS_SEQUENCES 0
#endif

int main(int argc, char **argv)
{
	static char off[] = "GLIBC_TUNABLES=glibc.pthread.rseq=0";
	char *without[] = { off, NULL };
	char *again[] = { argv[0], "unregistered", NULL };
	ptrdiff_t offset = 0;
	int status, error = wi_os_rseq_offset(&offset);

	if (argc == 2 && !strcmp(argv[1], "unregistered"))
		return error == -ENOSYS ? 0 : 1;

	if (!HAS_SEQUENCES) {
		CHECK_EQ(error, -ENOTSUP);
		return 0;
	}
	if (error) {
		CHECK_EQ(error, -ENOSYS);
		SKIP("the C library registered no rseq here");
	}
	/* An area may lie on either side of the thread pointer, near it. */
	CHECK(offset > -(1 << 20) && offset < 1 << 20);

	/* The same program, with the registration switched off. */
	fflush(NULL);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		execve("/proc/self/exe", again, without);
		_exit(99);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	return 0;
}
