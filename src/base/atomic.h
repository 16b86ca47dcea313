/* SPDX-License-Identifier: MIT */
/*
 * Atomic accesses whose names carry their memory order.
 *
 * Every shared word of the library is read and written through these, so the
 * order of an access is visible where it is made. There is no default order. An
 * acquire, a release or a full fence has a label in the comment beside it
 * (docs/ordering.md lists them with their partners); a relaxed access has a
 * clause that says why it suffices.
 *
 * "full" means sequentially consistent: on x86-64 the read-modify-write forms
 * are one locked instruction, which is a full fence.
 */
#ifndef WI_BASE_ATOMIC_H
#define WI_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

/* A place where another thread may run; a test build switches threads here
 * (tests/interleave). */
#ifndef WI_AT
#define WI_AT(p) (p)
#endif

#define wi_load_relaxed(p) __atomic_load_n(WI_AT(p), __ATOMIC_RELAXED)
#define wi_load_acquire(p) __atomic_load_n(WI_AT(p), __ATOMIC_ACQUIRE)
#define wi_load_full(p) __atomic_load_n(WI_AT(p), __ATOMIC_SEQ_CST)

#define wi_store_relaxed(p, v) __atomic_store_n(WI_AT(p), (v), __ATOMIC_RELAXED)
#define wi_store_release(p, v) __atomic_store_n(WI_AT(p), (v), __ATOMIC_RELEASE)

#define wi_xchg_relaxed(p, v)                                                  \
	__atomic_exchange_n(WI_AT(p), (v), __ATOMIC_RELAXED)
#define wi_xchg_full(p, v) __atomic_exchange_n(WI_AT(p), (v), __ATOMIC_SEQ_CST)
#define wi_xchg_acq_rel(p, v)                                                  \
	__atomic_exchange_n(WI_AT(p), (v), __ATOMIC_ACQ_REL)

#define wi_add_relaxed(p, v) __atomic_fetch_add(WI_AT(p), (v), __ATOMIC_RELAXED)
#define wi_add_full(p, v) __atomic_fetch_add(WI_AT(p), (v), __ATOMIC_SEQ_CST)
#define wi_sub_full(p, v) __atomic_fetch_sub(WI_AT(p), (v), __ATOMIC_SEQ_CST)
#define wi_or_relaxed(p, v) __atomic_fetch_or(WI_AT(p), (v), __ATOMIC_RELAXED)
#define wi_or_acquire(p, v) __atomic_fetch_or(WI_AT(p), (v), __ATOMIC_ACQUIRE)
#define wi_or_full(p, v) __atomic_fetch_or(WI_AT(p), (v), __ATOMIC_SEQ_CST)
#define wi_and_release(p, v) __atomic_fetch_and(WI_AT(p), (v), __ATOMIC_RELEASE)
#define wi_and_full(p, v) __atomic_fetch_and(WI_AT(p), (v), __ATOMIC_SEQ_CST)

#define wi_fence_full() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define wi_fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)

/*
 * Compare-and-swap: true when *p was *expected and is now desired; else
 * *expected holds what was found. A failure orders nothing (relaxed) except in
 * the full form.
 */
#define wi_cas_relaxed(p, expected, desired)                                   \
	__atomic_compare_exchange_n(WI_AT(p), (expected), (desired), false,    \
				    __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define wi_cas_acquire(p, expected, desired)                                   \
	__atomic_compare_exchange_n(WI_AT(p), (expected), (desired), false,    \
				    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define wi_cas_release(p, expected, desired)                                   \
	__atomic_compare_exchange_n(WI_AT(p), (expected), (desired), false,    \
				    __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define wi_cas_full(p, expected, desired)                                      \
	__atomic_compare_exchange_n(WI_AT(p), (expected), (desired), false,    \
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

/* ThreadSanitizer does not know that this orders what released *p before. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WI_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WI_TSAN 1
#endif
#ifdef WI_TSAN
void __tsan_acquire(void *);
#define WI_TSAN_SEES(p) __tsan_acquire(p)
#else
#define WI_TSAN_SEES(p) (void)(p)
#endif

/* A hint to the CPU inside a loop that polls another CPU's word. */
static inline void wi_cpu_relax(void)
{
#if defined(WI_RELAX_POINT)
	WI_RELAX_POINT();
#elif defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield" ::: "memory");
#endif
}

#endif
