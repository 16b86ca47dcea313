/* SPDX-License-Identifier: MIT */
/*
 * The trace points of a program, by the kernel's own means: the notes in the
 * file say where they are and where their arguments lie, and uprobes of
 * tracefs stop there. In an instance of its own, so that nobody else's
 * tracing is touched.
 */
#ifndef WEIR_TESTS_VM_UPROBES_H
#define WEIR_TESTS_VM_UPROBES_H

#include <stddef.h>
#include <stdint.h>

#define UPROBES_ARGS 8

struct uprobes_hit {
	char name[24]; /* of the trace point */
	unsigned nr_args;
	int64_t arg[UPROBES_ARGS];
};

/* How many places were found and stopped at in that file, of the provider
 * "weir"; 0: it has no notes. Skips the test where the kernel refuses. */
unsigned uprobes_attach(const char *file);

/* Calls each() for every hit until now, and for none of them again. */
void uprobes_read(void (*each)(const struct uprobes_hit *, void *), void *ctx);

/* Takes all that was made away again. */
void uprobes_detach(void);

#endif
