/* SPDX-License-Identifier: MIT */
/*
 * Questions that can be asked of anybody who hands out pages. A worker defines
 * alloc and free (and get and put for 32 at once) and names its loops by these
 * macros; the code is the same for all.
 *
 *   uint64_t alloc(void *context);             void free(void *context,
 * uint64_t page); void get(void *context, void **pages);     void put(void
 * *context, void **pages);
 */
#ifndef WEIR_BENCH_PEER_H
#define WEIR_BENCH_PEER_H

#include "loops.h"

#define BENCH_PEER_PAIRS 400000 /* a round: a millisecond, or a few */

/* The loops of `pair`. */
#define BENCH_PEER(name, alloc, free)                                          \
	BENCH_PAIRS(name, alloc, free)                                         \
	BENCH_BATCHES_64(name##_64, alloc, free)

/* Their rows, run by `run`. */
#define BENCH_PEER_ROWS(name, run)                                             \
	BENCH_PEER_ROW("single", name##_single_places, run, "single"),         \
		BENCH_PEER_ROW("batch 16", name##_batch_places, run,           \
			       "batch 16"),                                    \
		BENCH_PEER_ROW("batch 64", name##_64_places, run, "batch 16")

#define BENCH_PEER_ROW(variant, places, run, floor)                            \
	{                                                                      \
		"pair", variant, run, 0, places, 60, 20, floor                 \
	}

#endif
