/* SPDX-License-Identifier: MIT */
/*
 * Annotations for ThreadSanitizer, which cannot see into the sequences; in
 * other builds no code.
 *
 * A sequence acquires what earlier ones on its CPU released, as they are
 * serial, and releases to the words that a drainer acquires as evidence: the
 * headers, busy and seen (ARCH-R1, ARCH-R2, ARCH-F1). The release has to come
 * before the commit, when the CPU is not known for certain: the sequence
 * compares, and is aborted where the guess was wrong. None of this covers what
 * a thread does with a page outside of its call: such races are still detected.
 */
#ifndef WEIR_FAST_H
#error "include <weir/fast.h>"
#endif

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIR_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WEIR_TSAN 1
#endif

#ifdef WEIR_TSAN
#include <sanitizer/tsan_interface.h>

/* Before a sequence: the area that it will find, if the thread stays here. */
WEIR_I_INLINE char *weir_tsan_begin(const struct weir_i_lists *l)
{
	const char *rseq =
		(char *)__builtin_thread_pointer() + weir_i_rseq_offset;
	const uint32_t cpu = *(const volatile uint32_t *)(rseq + 4);
	char *area;

	if (cpu >= l->nr_cpus)
		return 0;
	area = l->areas + (uint64_t)cpu * WEIR_AREA_BYTES;
	__tsan_acquire(area + WEIR_AREA_CPU);
	for (unsigned list = 0; list < WEIR_NR_LISTS; list++) {
		__tsan_release(area + WEIR_AREA_SET0 + 8 * list);
		__tsan_release(area + WEIR_AREA_SET1 + 8 * list);
	}
	__tsan_release(area + WEIR_AREA_BUSY);
	__tsan_release(area + WEIR_AREA_SEEN);
	__tsan_release(area + WEIR_AREA_CPU);
	return area;
}

WEIR_I_INLINE void weir_tsan_end(char *area)
{
	if (area != 0)
		__tsan_acquire(area + WEIR_AREA_CPU);
}

#define WEIR_TSAN_BEGIN(l) char *const guess = weir_tsan_begin(l)
#define WEIR_TSAN_END() weir_tsan_end(guess)
#define WEIR_TSAN_INPUT , [guess] "m"(guess)
#define WEIR_TSAN_COMPARE(area, abort)                                         \
	WEIR_X86_EITHER("cmpq %[guess], " area, "cmp %[guess], r10")           \
	"	jne " abort "\n"
#else
#define WEIR_TSAN_BEGIN(l) (void)0
#define WEIR_TSAN_END() (void)0
#define WEIR_TSAN_INPUT
#define WEIR_TSAN_COMPARE(area, abort)
#endif
