/* SPDX-License-Identifier: MIT */
/*
 * What the targets share. What libFuzzer calls, a check that it understands,
 * and a machine of the fuzzer's own: four CPUs on one or two nodes, and a
 * clock that moves only when it is read, so that waiting costs nothing and a
 * run depends on its bytes alone.
 *
 * The functions of src/os that tell of the machine are replaced by the linker
 * (--wrap). In locked mode the CPU is whatever number we say; sequences are on
 * the true CPU, and moving is sched_setaffinity().
 */
#ifndef WEIR_FUZZ_FUZZ_H
#define WEIR_FUZZ_FUZZ_H

#include "bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_CPUS 4 /* numbers 0 to 3, or more where our CPUs have higher */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* abort(), which libFuzzer catches, and a line that says why. */
#define MUST(expr)                                                             \
	do {                                                                   \
		if (!(expr))                                                   \
			must_fail(__FILE__, __LINE__, #expr);                  \
	} while (0)

_Noreturn static inline void must_fail(const char *file, int line,
				       const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

struct fuzz_machine {
	bool numbered; /* the CPU is `cpu`; else the true one */
	unsigned cpu;
	unsigned nr_nodes;     /* 1 or 2 */
	bool membarrier_fails; /* and says so */
	/* Instead of the machine's files; as wi_os_read_file(). */
	int (*read_file)(const char *path, char *buf, size_t len);
};

extern struct fuzz_machine fuzz_machine;

/* One node, true CPUs, the first of those allowed. */
void fuzz_machine_reset(void);

/* To the CPU of that rank: one of four, or in truth one of two. */
void fuzz_machine_move(unsigned rank);

/* Where the next operation takes place, and the node of a CPU. */
unsigned fuzz_machine_cpu(void);
unsigned fuzz_machine_node(unsigned cpu);

#endif
