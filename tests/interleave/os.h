/* SPDX-License-Identifier: MIT */
/* What a scenario says of the virtual machine, and hears from it. */
#ifndef WEIR_INTERLEAVE_OS_H
#define WEIR_INTERLEAVE_OS_H

#include <stdbool.h>
#include <stdint.h>

#include "interleave/sched.h"

struct interleave_machine {
	uint8_t mode[SCHED_CPUS]; /* enum wi_mode */
	bool membarrier_fails;
	bool asleep;			/* CPU 0 was not online */
	bool no_interrupts[SCHED_CPUS]; /* a membarrier there is a failure */
	void *mutex;			/* the last one made */
	/* Called as that one was locked, and as it is about to be unlocked. */
	void (*locked_mutex)(void);
	void (*unlocking_mutex)(void);
	void (*event)(int fd); /* an eventfd was written */
	/* Called as a mutex that is not the last one made is unlocked. */
	void (*unlocking_other)(void);
};

extern struct interleave_machine interleave_machine;

void interleave_reset_memory(void);

#endif
