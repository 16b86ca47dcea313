/* SPDX-License-Identifier: MIT */
/* The bare sequences that weir's figures are divided by; see floor.c. */
#ifndef WEIR_BENCH_FLOOR_H
#define WEIR_BENCH_FLOOR_H

#include <stdbool.h>

#include "loop.h"

/* What the loops work on: the context of floor_bare_... and floor_spin_...;
 * the others take NULL. To be given to free(). */
struct floor_lists {
	void *bare, *spin;
};

/* Sets it up for the calling thread on its present CPU. False: no sequences
 * here, or no memory. */
bool floor_init(struct floor_lists *lists);

/* Is everything back where it was? False: a loop lost something. */
bool floor_is_whole(void);

/* The loops. */
BENCH_DECLARE(floor_bare_single);
BENCH_DECLARE(floor_bare_batch);
BENCH_DECLARE(floor_spin_single);
BENCH_DECLARE(floor_spin_batch);
BENCH_DECLARE(floor_thread_single);
BENCH_DECLARE(floor_thread_batch);
BENCH_DECLARE(floor_copy);

#endif
