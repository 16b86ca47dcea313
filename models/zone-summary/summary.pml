/* SPDX-License-Identifier: MIT
 *
 * zone-summary: summaries of two levels, with store buffers (docs/design.md,
 * section 3, "hints"; src/zone/zone.c: judge_word, wi_zone_settle; tree.c: put_bits).
 *
 * Property (Z4, T1, T2).  When every call has returned, each bit of level 0 agrees
 * with its block's state, and the bit above says whether one is set.
 *
 * Modelled: two blocks in one word of level 0, one bit of level 1 above; two
 * threads, OPS0 and OPS1 calls, each a release into a block or a claim from one
 * (a state is a count of free pages, 0 or more; a block of none is full), which then
 * settle as the code does: write the bit, and if the word changed between none
 * and some the bit above, look at the word again, look at the state again.
 * Every change is a read-modify-write.  A full one waits for the thread's
 * buffer; one that is not (the switches) stays in the buffer for a while, and
 * loads pass it, as on arm64.  The answer that the code derives from its result
 * ("did the class change?") is then assumed to be yes: more work, never less.
 * Left out: the other summary (its bits are written the same way).
 *
 * Switches, each removing one rule, with the required verdict:
 *   RELAXED_STATE    the change of the state is not full (ZONE-F1)  violation
 *   RELAXED_SUMMARY  nor that of level 0 (ZONE-F2, ZONE-F4)         violation
 *   RELAXED_ABOVE    nor that of level 1 (ZONE-F3, ZONE-F4)         violation
 *   NO_RECHECK       the state is not read again                    violation
 *   NO_LOOK_AGAIN    the word below is not read again               violation
 */
#ifndef OPS0
#define OPS0 1
#endif
#ifndef OPS1
#define OPS1 1
#endif
#define T 2
#ifndef B
#define B 2
#endif
#define M 4
#include "../common/stores.h"

#define STATE(b) (b)
#define LEVEL0 2
#define LEVEL1 3

byte over;

#ifdef RELAXED_STATE
#define CHANGE_STATE(k, x) atomic { FITS(t) -> PUT(t, k, x, 1, 0) }
#else
#define CHANGE_STATE(k, x) atomic { FENCE(t) -> CHANGE(mem[x], k, 1) }
#endif
#ifdef RELAXED_SUMMARY
#define CHANGE0(k, v) atomic { FITS(t) -> PUT(t, k, LEVEL0, v, 0); due = 1 }
#else
/* full; due: none became some, or some none */
#define CHANGE0(k, v) \
	atomic { FENCE(t) -> old = mem[LEVEL0]; CHANGE(mem[LEVEL0], k, v); \
		due = ((old != 0) != (mem[LEVEL0] != 0)); old = 0 }
#endif
#ifdef RELAXED_ABOVE
#define CHANGE1(k) atomic { FITS(t) -> PUT(t, k, LEVEL1, 1, 0) }
#else
#define CHANGE1(k) atomic { FENCE(t) -> CHANGE(mem[LEVEL1], k, 1) }
#endif

proctype thread(byte t; byte nops)
{
	byte n, b, old, any, now, written;
	bool due;

	do
	:: n < nops ->
		n++;
		if :: b = 0 :: b = 1 fi;
		if
		:: CHANGE_STATE(ADD, STATE(b))		/* a release */
		:: atomic { FENCE(t) && mem[STATE(b)] > 0 -> mem[STATE(b)]-- }
		:: atomic { FENCE(t) && mem[STATE(b)] == 0 -> goto next }
		fi;
		/* settle */
		atomic { LOAD(now, t, STATE(b)); now = (now > 0 -> 1 : 0) };
again:		atomic { written = now; due = 0; LOAD(old, t, LEVEL0) };
		if
		:: written == 1 && !((old >> b) & 1) -> old = 0; CHANGE0(OR, 1 << b)
		:: written == 0 && ((old >> b) & 1) -> old = 0; CHANGE0(ANDN, 1 << b)
		:: else -> old = 0
		fi;
		if
		:: due ->
			atomic { due = 0; LOAD(any, t, LEVEL0); any = (any != 0 -> 1 : 0) };
above:			atomic { LOAD(old, t, LEVEL1) };
			if
			:: any == 1 && old == 0 -> CHANGE1(OR)
			:: any == 0 && old == 1 -> CHANGE1(ANDN)
			:: else
			fi;
#ifndef NO_LOOK_AGAIN
			atomic { old = any; LOAD(any, t, LEVEL0); any = (any != 0 -> 1 : 0) };
			if :: old != any -> old = 0; goto above :: else fi;
#endif
			atomic { old = 0; any = 0 }
		:: else
		fi;
#ifndef NO_RECHECK
		atomic { LOAD(now, t, STATE(b)); now = (now > 0 -> 1 : 0) };
		if :: now != written -> goto again :: else fi;
#endif
next:		atomic { now = 0; written = 0; b = 0; old = 0; any = 0 }
	:: else -> break
	od;
	atomic { FENCE(t) -> over++ }
}

init
{
	atomic {
		/* all of the block's page are out, or one is free */
		if :: mem[STATE(0)] = 0 :: mem[STATE(0)] = 1; mem[LEVEL0] = 1; mem[LEVEL1] = 1 fi;
		run thread(0, OPS0); run thread(1, OPS1)
	};
	atomic { over == 2 ->
		assert((mem[LEVEL0] & 1) == (mem[STATE(0)] > 0 -> 1 : 0));
		assert((mem[LEVEL0] >> 1) == (mem[STATE(1)] > 0 -> 1 : 0));
		assert(mem[LEVEL1] == (mem[LEVEL0] != 0 -> 1 : 0)) }
}
