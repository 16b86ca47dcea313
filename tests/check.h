/* SPDX-License-Identifier: MIT */
/*
 * What every test program uses: CHECK() ends the program with status 1 and
 * says what was false and which values stood on either side; SKIP() ends it
 * with status 77, which CTest reports as skipped, with the reason.
 */
#ifndef WEIR_TESTS_CHECK_H
#define WEIR_TESTS_CHECK_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Is this program built with a sanitizer? */
#if defined(__has_feature)
#define CHECK_FEATURE(f) __has_feature(f)
#else
#define CHECK_FEATURE(f) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || CHECK_FEATURE(address_sanitizer)
#define CHECK_HAS_ASAN 1
#else
#define CHECK_HAS_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || CHECK_FEATURE(thread_sanitizer)
#define CHECK_HAS_TSAN 1
#else
#define CHECK_HAS_TSAN 0
#endif

#define CHECK(expr)                                                            \
	do {                                                                   \
		if (!(expr))                                                   \
			check_fail(__FILE__, __LINE__, "%s", #expr);           \
	} while (0)

/* As CHECK, with words of one's own: printf's arguments. */
#define CHECK_MSG(expr, ...)                                                   \
	do {                                                                   \
		if (!(expr))                                                   \
			check_fail(__FILE__, __LINE__, __VA_ARGS__);           \
	} while (0)

/* Two integers that must be equal; both are printed when they are not. */
#define CHECK_EQ(a, b)                                                         \
	do {                                                                   \
		long long check_a_ = (long long)(a),                           \
			  check_b_ = (long long)(b);                           \
		if (check_a_ != check_b_)                                      \
			check_fail(__FILE__, __LINE__,                         \
				   "%s is %lld, %s is %lld", #a, check_a_, #b, \
				   check_b_);                                  \
	} while (0)

#define SKIP(...)                                                              \
	do {                                                                   \
		printf("skipped: " __VA_ARGS__);                               \
		printf("\n");                                                  \
		exit(77);                                                      \
	} while (0)

__attribute__((format(printf, 3, 4), noreturn)) static inline void
check_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

/* A small repeatable random source (xorshift64*; Vigna, 2016). */
static inline uint64_t check_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

#endif
