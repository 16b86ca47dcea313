/* SPDX-License-Identifier: MIT */
/*
 * Assertions, and how the library ends the process for a fault of its own.
 * (For a fault of the caller's: wi_fatal(), os/report.h.)
 *
 * wi_panic() ends the process with one line; the host supplies it (src/os for
 * user space). WI_DEBUG chooses what is asserted: 0 nothing, 1 what is cheap,
 * 2 internal consistency, 3 whole structures. A disabled assertion still
 * compiles its expression.
 */
#ifndef WI_BASE_ASSERT_H
#define WI_BASE_ASSERT_H

#include <stdbool.h>

#ifndef WI_DEBUG
#define WI_DEBUG 0
#endif

/* Prints "weir: <what>" on standard error and aborts. */
_Noreturn void wi_panic(const char *what);

#define WI_STRING_(x) #x
#define WI_STRING(x) WI_STRING_(x)

#define wi_assert_level(level, expr)                                           \
	do {                                                                   \
		if (WI_DEBUG >= (level) && !(expr))                            \
			wi_panic("assertion failed: " #expr " (" __FILE__      \
				 ":" WI_STRING(__LINE__) ")");                 \
	} while (0)

#define wi_assert(expr) wi_assert_level(1, expr)
#define wi_assert_internal(expr) wi_assert_level(2, expr)
#define wi_assert_whole(expr) wi_assert_level(3, expr)

#endif
