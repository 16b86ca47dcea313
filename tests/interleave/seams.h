/* SPDX-License-Identifier: MIT */
/*
 * Included before everything in the build that this folder makes of the
 * library: each atomic access is a point at which another thread may go on,
 * and the sequences are those of include/weir/arch/generic.h.
 */
#ifndef WEIR_INTERLEAVE_SEAMS_H
#define WEIR_INTERLEAVE_SEAMS_H

#include <stdint.h>

/* Another thread may come in between now. (sched.c) */
uintptr_t interleave_point(uintptr_t address, const char *where);
/* Nothing to do until another thread has done something. */
void interleave_relax(void);

#define INTERLEAVE_STRING_(x) #x
#define INTERLEAVE_STRING(x) INTERLEAVE_STRING_(x)
#define INTERLEAVE_HERE __FILE__ ":" INTERLEAVE_STRING(__LINE__)

#define WI_AT(p)                                                               \
	((__typeof__(p))interleave_point((uintptr_t)(p), INTERLEAVE_HERE))
#define WI_RELAX_POINT interleave_relax
#define WI_DRAIN_LOOKS 1

#define WEIR_NO_SEQUENCES 1 /* none of this machine */

#endif
