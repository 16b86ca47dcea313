/* SPDX-License-Identifier: MIT */
/*
 * More loops in the manner of loop.h: batches of 64, bulks of another size, and
 * what a row does with a loop.
 */
#ifndef WEIR_BENCH_LOOPS_H
#define WEIR_BENCH_LOOPS_H

#include "loop.h"
#include "worker.h"

#define BENCH_BATCH_64 64

/* Defines <name>_places: 64 pops and then 64 pushes; nanoseconds a pair. */
#define BENCH_BATCHES_64(name, pop, push)                                      \
	BENCH_INLINE double name(void *context, uint64_t n)                    \
	{                                                                      \
		uint64_t values[BENCH_BATCH_64];                               \
		double start = bench_now_ns();                                 \
                                                                               \
		for (uint64_t i = 0; i < n; i += BENCH_BATCH_64) {             \
			for (uint64_t j = 0; j < BENCH_BATCH_64; j++) {        \
				BENCH_HIDE(j);                                 \
				values[j] = pop(context);                      \
			}                                                      \
			for (uint64_t j = 0; j < BENCH_BATCH_64; j++) {        \
				BENCH_HIDE(j);                                 \
				push(context, values[j]);                      \
			}                                                      \
		}                                                              \
		return (bench_now_ns() - start) / (double)n;                   \
	}                                                                      \
	BENCH_PLACES_OF(name)

/* As BENCH_BULKS() in loop.h, `size` at once. */
#define BENCH_BULKS_OF(name, size, type, get, put)                             \
	BENCH_INLINE double name(void *context, uint64_t n)                    \
	{                                                                      \
		type values[size];                                             \
		double start = bench_now_ns();                                 \
                                                                               \
		for (uint64_t i = 0; i < n; i += (size)) {                     \
			get(context, values);                                  \
			put(context, values);                                  \
		}                                                              \
		return (bench_now_ns() - start) / (double)n;                   \
	}                                                                      \
	BENCH_PLACES_OF(name)

/* Times about n operations at the placement whose turn it is, after a few that
 * warm up. */
static inline void bench_time_loop(bench_loop *const *places, void *context,
				   unsigned round, uint64_t n,
				   struct bench_result *result)
{
	bench_loop *loop = places[round % BENCH_PLACES];

	loop(context, n / 16);
	result->ns = loop(context, n);
	result->operations = n;
}

#endif
