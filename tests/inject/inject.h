/* SPDX-License-Identifier: MIT */
/*
 * Delays inside the sequences that this program inlines: include before
 * anything of weir. inject[n] is how many pauses a sequence makes at point n:
 * 0 between its load of the header and its mark, 1 after it loaded active, 2
 * between its mark and its second look at active, 3 before its commit, 4 on the
 * way from the first sequence to the second. A program changes them as it likes
 * while others run. tests.cmake puts them into the sequences.
 */
#ifndef WEIR_TESTS_INJECT_H
#define WEIR_TESTS_INJECT_H

#include <stdint.h>

#if defined(__x86_64__)
__attribute__((used)) uint32_t inject[5];

#define WEIR_INJECT(n)                                                         \
	"	movl inject+4*" #n "(%%rip), %%r11d\n"                         \
	"	testl %%r11d, %%r11d\n"                                              \
	"	jz 7" #n "1f\n"                                                \
	"7" #n "0:	pause\n"                                                    \
	"	decl %%r11d\n"                                                       \
	"	jnz 7" #n "0b\n"                                               \
	"7" #n "1:\n"

#include <weir/fast.h>

#if defined(WEIR_HAVE_SEQUENCES) && !defined(WEIR_X86_INJECTED)
#error "a sequence without delays: see weir_inject() in tests/inject"
#endif
#else
static uint32_t inject[5];
#endif

/* Mostly none; else up to `most` pauses at each point. */
static inline void inject_at_random(uint64_t random, uint32_t most)
{
	for (unsigned n = 0; n < 5; n++) {
		uint32_t r = (uint32_t)(random >> (12 * n)) & 0xffff;

		__atomic_store_n(&inject[n], r & 1 ? r % (most + 1) : 0,
				 __ATOMIC_RELAXED);
	}
}

#endif
