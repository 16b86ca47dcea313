/* SPDX-License-Identifier: MIT
 *
 * locked-area: lists without sequences: `busy` is a trylock
 * (docs/design.md, section 4, "Modes of a CPU"; src/percpu/locked.c).
 *
 * Property.  A commit lands only in a set that the CPU has, on the header that its
 * holder loaded; the drainer finds in a slot below the count what was pushed
 * there; a set is used with the limit it was published with.  No drain waits
 * once every holder is gone, and a thread that does not get the area continues at once (P3,
 * also if a holder stops for ever): else invalid end state.
 *
 * Modelled: one CPU, two threads on it that try, push and unlock, and may stand
 * still anywhere (be preempted); a drainer, which may be on that CPU too, and
 * makes NDR drains: the limit of the spare, the snapshot, the exchange, busy,
 * evidence (progress, or not busy), the flush; or a drain to the null set and back;
 * store buffers for all, TSO or with -DPSO stores that pass each other.
 * Left out: dead holders (drain-announce, DEATH).
 *
 * Switches, each removing one rule, with the required verdict:
 *   DRAINER_TICK     the drainer leaves a tick there, which is
 *                    evidence where there are sequences            violation
 *   PLAIN_MARK       the mark waits in the buffer while active is
 *                    loaded (LOCKED-F1)                           violation
 *   EARLY_ACTIVE     active is loaded before the mark (LOCKED-A1) violation
 *   PSO RELAXED_UNLOCK   busy is cleared before the commit lands
 *                    (LOCKED-R2)                                  violation
 *   PSO RELAXED_NAME     the spare is named before its limit lands
 *                    (DRAIN-F1)                                    violation
 *   LOCK_WAITS       a thread that does not get the area waits (one
 *                    holder is stopped)                          hang
 */
#ifndef NDR
#define NDR 2
#endif
#ifndef OPS0
#define OPS0 1
#endif
#ifndef OPS1
#define OPS1 1
#endif
#ifndef STANDS
#define STANDS 0
#endif
#define T 3
#ifndef B
#define B 2
#endif
#define M 7
#define DRAINER 2

#include "../common/stores.h"

#define ACTIVE 0	/* {drain number, set}; set 2 is the null set */
#define BUSY   1
#define SEEN   2
#define HDR(s) (3 + (s))
#define SLOT(s) (5 + (s))
#define SET(a) ((a) & 3)
#define WORD(n, s) (4 * (n) + (s))
#define NIL 2

/* a header: {operations, limit 1 or 2, count 0 or 1} */
#define HW(ops, limit, count) (8 * (ops) + 2 * (limit) + (count))
#define OPS(h) ((h) >> 3)
#define LIMIT(h) (((h) >> 1) & 3)
#define COUNT(h) ((h) & 1)

bool owned[2];		/* the drainer may write this set */
byte limit[2] = 1;	/* ghost: the limit it was published with */
byte pushed[2];		/* ghost: what a commit that landed says is in the slot */
byte gone;		/* holders that are over, or stand still outside */

proctype holder(byte t; byte nops)
{
	byte n, a, h;

	do
	:: n < nops ->
		n++;
#ifdef EARLY_ACTIVE
		atomic { LOAD(a, t, ACTIVE) };
#endif
		if
#ifdef PLAIN_MARK
		:: atomic { FITS(t) && mem[BUSY] == 0 && EMPTY(t) -> PUT(t, STORE, BUSY, 1 + t, 0) }
#else
		:: atomic { FENCE(t) && mem[BUSY] == 0 -> mem[BUSY] = 1 + t }
#endif
#ifndef LOCK_WAITS
		:: atomic { FENCE(t) && mem[BUSY] != 0 -> goto next }	/* to the zone */
#endif
		fi;
#ifndef EARLY_ACTIVE
		atomic { LOAD(a, t, ACTIVE) };
#endif
		if
		:: SET(a) == NIL ->
			atomic { FITS(t) -> PUT(t, STORE, SEEN, a, 1) };
			goto unlock
		:: else
		fi;
		atomic { LOAD(h, t, HDR(SET(a))) };
		assert(LIMIT(h) == limit[SET(a)] || owned[SET(a)] || SET(mem[ACTIVE]) != SET(a));
		if :: COUNT(h) == 1 -> goto unlock :: else fi;
		if
		:: STANDS && t == 0 -> goto over		/* for ever */
		:: !STANDS || t != 0
		fi;
		atomic { FITS(t) -> PUT(t, STORE, SLOT(SET(a)), 1 + t, 0) };
		atomic { FITS(t) ->
			PUT(t, STORE, HDR(SET(a)), HW(OPS(h) + 1, LIMIT(h), 1), 1) };
unlock:
#ifdef RELAXED_UNLOCK
		atomic { FITS(t) -> PUT(t, STORE, BUSY, 0, 0) };
#else
		atomic { FITS(t) -> PUT(t, STORE, BUSY, 0, 1) };
#endif
next:		atomic { a = 0; h = 0 }
	:: else -> break
	od;
	FENCE(t);
over:	gone++
}

/* A flush must see the end of it: the header is as it was, no store to come. */
#define TO_COME(t, s) ( \
	(sb[t].n > 0 && (sb[t].place[0] == HDR(s) || sb[t].place[0] == SLOT(s))) || \
	(sb[t].n > 1 && (sb[t].place[1] == HDR(s) || sb[t].place[1] == SLOT(s))))

proctype drainer()
{
	byte k, o, n, w, h, h0, s;

	do
	:: k < NDR ->
		k++;
		o = mem[ACTIVE];
		if
		:: SET(o) != NIL && owned[1 - SET(o)] -> s = 1 - SET(o)
		:: SET(o) == NIL && owned[0] -> s = 0
		:: SET(o) != NIL -> s = NIL
		fi;
		n = WORD((o >> 2) + 1, s);
		h0 = 0;
		if
		:: s != NIL ->
			/* its limit changes, for it is a spare */
			atomic { FITS(DRAINER) -> h = mem[HDR(s)]; limit[s] = 3 - LIMIT(h);
				h0 = HW(OPS(h), limit[s], 0);
				PUT(DRAINER, STORE, HDR(s), h0, 0) }
		:: else
		fi;
#ifdef RELAXED_NAME
		atomic { FITS(DRAINER) -> PUT(DRAINER, STORE, ACTIVE, n, 0);
			if :: s != NIL -> owned[s] = 0 :: else fi };
		FENCE(DRAINER);
#else
		atomic { FENCE(DRAINER) -> mem[ACTIVE] = n;
			if :: s != NIL -> owned[s] = 0 :: else fi };
#endif
#ifdef DRAINER_TICK
		mem[SEEN] = n;
#endif
		w = mem[BUSY];
		if
		:: w == 0
		:: mem[BUSY] != w
		:: mem[SEEN] == n
		:: s != NIL && mem[HDR(s)] != h0
		/* a holder that stands still: the set stays pending */
		:: STANDS && gone == 2 -> goto out
		fi;
		if
		:: SET(o) != NIL ->
			/* the flush */
			atomic {
				owned[SET(o)] = 1;
				assert(!TO_COME(0, SET(o)));
				assert(!TO_COME(1, SET(o)));
				h = mem[HDR(SET(o))];
				assert(COUNT(h) == 0 || mem[SLOT(SET(o))] != 0);
				mem[SLOT(SET(o))] = 0;
				mem[HDR(SET(o))] = HW(OPS(h), LIMIT(h), 0) }
		:: else
		fi;
		atomic { o = 0; n = 0; w = 0; h = 0; h0 = 0; s = 0 }
	:: else -> break
	od;
out:	skip
}

init
{
	atomic {
		mem[SEEN] = 255;
		mem[HDR(0)] = HW(0, 1, 0);
		mem[HDR(1)] = HW(0, 1, 0);
		owned[1] = 1;
		run holder(0, OPS0); run holder(1, OPS1); run drainer()
	}
}
