/* SPDX-License-Identifier: MIT */
/* refuse COMMAND [ARGUMENT...]: runs it where the kernel refuses rseq, as old
 * ones and some sandboxes do. */
#include <errno.h>
#include <stdio.h>

#include "fault/seccomp.h"

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	seccomp_refuse_one(SYS_rseq, ENOSYS);
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
