/* SPDX-License-Identifier: MIT */
/* Lines on standard error; wi_panic(), which prints one and aborts. */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/os.h"

/*
 * Safe in a signal handler and in a corrupted process: no heap, no stdio, one
 * system call, so that the lines of several threads do not mix. It bypasses the
 * C library's wrapper, which is a cancellation point.
 */
void wi_os_say(const char *what)
{
	static const char head[] = "weir: ", tail[] = "\n";
	struct iovec line[] = {
		{ (void *)head, sizeof(head) - 1 },
		{ (void *)what, strlen(what) },
		{ (void *)tail, sizeof(tail) - 1 },
	};

	(void)syscall(SYS_writev, 2, line, 3);
}

void wi_panic(const char *what)
{
	wi_os_say(what);
	abort();
}
