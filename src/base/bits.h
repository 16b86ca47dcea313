/* SPDX-License-Identifier: MIT */
/* Bit tricks and size arithmetic; freestanding. */
#ifndef WI_BASE_BITS_H
#define WI_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WI_CACHE_LINE 64
#define WI_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define wi_likely(x) __builtin_expect(!!(x), 1)
#define wi_unlikely(x) __builtin_expect(!!(x), 0)
#define WI_COLD __attribute__((noinline, cold))
#define WI_INLINE static inline __attribute__((always_inline))

/* Prefetches a line that will be written, or read, soon. Locked instructions
 * delay every later load, but not these hints. */
#define wi_prefetch_write(p) __builtin_prefetch((p), 1)
#define wi_prefetch_read(p) __builtin_prefetch((p), 0)

static inline uint64_t wi_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t wi_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Index of the lowest set bit; x must not be 0. */
static inline unsigned wi_lowest_bit(uint64_t x)
{
	return (unsigned)__builtin_ctzll(x);
}

/* Index of the highest set bit; x must not be 0. */
static inline unsigned wi_highest_bit(uint64_t x)
{
	return 63u - (unsigned)__builtin_clzll(x);
}

static inline unsigned wi_popcount(uint64_t x)
{
	return (unsigned)__builtin_popcountll(x);
}

static inline bool wi_is_pow2(uint64_t x)
{
	return x != 0 && (x & (x - 1)) == 0;
}

/* x rounded up to a multiple of `to`, a power of two. */
static inline uint64_t wi_round_up(uint64_t x, uint64_t to)
{
	return (x + to - 1) & ~(to - 1);
}

/* The high half of the product. */
static inline uint64_t wi_mul_high(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;

	return (uint64_t)((wide)a * b >> 64);
}

static inline uint64_t wi_div_round_up(uint64_t x, uint64_t by)
{
	return x / by + (x % by != 0);
}

/* The least power of two that is x or more; x is 1 to 2^63. */
static inline uint64_t wi_ceil_pow2(uint64_t x)
{
	return x == 1 ? 1 : UINT64_C(2) << wi_highest_bit(x - 1);
}

/* A mask of the n lowest bits, n from 0 to 64. */
static inline uint64_t wi_low_mask(unsigned n)
{
	return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

#endif
