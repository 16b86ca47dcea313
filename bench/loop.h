/* SPDX-License-Identifier: MIT */
/*
 * The loops in which a pop and a push are timed, the same ones for the floors
 * and for weir. Like floor.c this page does not change: figures are compared
 * over the years.
 *
 * The same code runs up to a quarter faster or slower by where it is placed.
 * So each loop exists four times, 16 bytes further on each time, and rounds
 * take turns: a median over rounds is one over placements.
 */
#ifndef WEIR_BENCH_LOOP_H
#define WEIR_BENCH_LOOP_H

#include <stdint.h>
#include <time.h>

#define BENCH_INLINE static inline __attribute__((always_inline))
#define BENCH_BATCH 16
#define BENCH_BULK 32
#define BENCH_PLACES 4

/* The compiler knows nothing of x from here on, so it unrolls no loop that x
 * counts. (clang would unroll batches, and such a bare pair runs 2.5 times
 * slower.) */
#define BENCH_HIDE(x) __asm__ __volatile__("" : "+r"(x))

/* Runs about n operations on what is timed; returns nanoseconds for each. */
typedef double bench_loop(void *context, uint64_t n);

BENCH_INLINE double bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

#define BENCH_PLACE(name, place)                                               \
	static __attribute__((noinline, aligned(64))) double name##_##place(   \
		void *context, uint64_t n)                                     \
	{                                                                      \
		__asm__ __volatile__(".skip 16 * " #place " + 1, 0x90");       \
		return name(context, n);                                       \
	}
#define BENCH_PLACES_OF(name)                                                  \
	BENCH_PLACE(name, 0)                                                   \
	BENCH_PLACE(name, 1)                                                   \
	BENCH_PLACE(name, 2)                                                   \
	BENCH_PLACE(name, 3)                                                   \
	bench_loop *const name##_places[BENCH_PLACES] = { name##_0, name##_1,  \
							  name##_2,            \
							  name##_3 };
#define BENCH_DECLARE(name) extern bench_loop *const name##_places[BENCH_PLACES]

/*
 * Defines <name>_single_places, one pop and its push in turn, and
 * <name>_batch_places, 16 pops and then 16 pushes; nanoseconds a pair.
 *   uint64_t pop(void *context);  void push(void *context, uint64_t value);
 */
#define BENCH_PAIRS(name, pop, push)                                           \
	BENCH_INLINE double name##_single(void *context, uint64_t n)           \
	{                                                                      \
		double start = bench_now_ns();                                 \
                                                                               \
		for (uint64_t i = 0; i < n; i++)                               \
			push(context, pop(context));                           \
		return (bench_now_ns() - start) / (double)n;                   \
	}                                                                      \
	BENCH_INLINE double name##_batch(void *context, uint64_t n)            \
	{                                                                      \
		uint64_t values[BENCH_BATCH];                                  \
		double start = bench_now_ns();                                 \
                                                                               \
		for (uint64_t i = 0; i < n; i += BENCH_BATCH) {                \
			for (uint64_t j = 0; j < BENCH_BATCH; j++) {           \
				BENCH_HIDE(j);                                 \
				values[j] = pop(context);                      \
			}                                                      \
			for (uint64_t j = 0; j < BENCH_BATCH; j++) {           \
				BENCH_HIDE(j);                                 \
				push(context, values[j]);                      \
			}                                                      \
		}                                                              \
		return (bench_now_ns() - start) / (double)n;                   \
	}                                                                      \
	BENCH_PLACES_OF(name##_single)                                         \
	BENCH_PLACES_OF(name##_batch)

/*
 * Defines <name>_places, 32 out and 32 back at once; nanoseconds for one of
 * them.
 *   void get(void *context, T *values);  void put(void *context, T *values);
 */
#define BENCH_BULKS(name, type, get, put)                                      \
	BENCH_INLINE double name(void *context, uint64_t n)                    \
	{                                                                      \
		type values[BENCH_BULK];                                       \
		double start = bench_now_ns();                                 \
                                                                               \
		for (uint64_t i = 0; i < n; i += BENCH_BULK) {                 \
			get(context, values);                                  \
			put(context, values);                                  \
		}                                                              \
		return (bench_now_ns() - start) / (double)n;                   \
	}                                                                      \
	BENCH_PLACES_OF(name)

#endif
