/* SPDX-License-Identifier: MIT */
/*
 * Trace points. weir-trace(7) lists them with their arguments.
 *
 * WI_TRACE(name, pool, ...) marks a place on a slow path to which a tracer may
 * attach. The first argument identifies the pool or cache: it is the address of
 * its struct wi_drain.
 *
 * A host may define WI_TRACE before this. Where the build found <sys/sdt.h>,
 * which needs no C library, it is a probe of provider "weir": a nop, and a note
 * in the file that says where it is and which registers hold what. There is no
 * semaphore, so nothing is tested. Elsewhere it is nothing. Arguments are
 * values that are at hand, since they are computed whether or not a tracer is
 * attached.
 */
#ifndef WI_BASE_TRACE_H
#define WI_BASE_TRACE_H

#ifndef WI_TRACE
#ifdef WI_TRACE_SDT
#define SDT_USE_VARIADIC
#include <sys/sdt.h>
#ifdef __clang__ /* its macros are expanded here, and end in empty "..." */
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif
#define WI_TRACE(name, ...) STAP_PROBEV(weir, name, __VA_ARGS__)
#else
static inline void wi_trace_nothing(const void *pool, ...)
{
	(void)pool;
}
#define WI_TRACE(name, ...) wi_trace_nothing(__VA_ARGS__)
#endif
#endif

#endif
