/* SPDX-License-Identifier: MIT
 *
 * drain-evidence: what counts as progress on an ordinary CPU, and the order of
 * its stores (docs/design.md, section 4, "Which evidence suffices", "Rules of
 * evidence").
 *
 * Property.  A commit lands only in a set the CPU still has, on the header it
 * loaded; and the drainer finds in every slot below `count` the token that was
 * pushed there, not what the slot held before.  If the CPU completed an
 * operation through the new `active`, the drain ends without membarrier, even
 * if that operation only found the list empty: else invalid end state.
 *
 * Modelled: two threads that push, pop or fail on one CPU without marks, moved
 * at any instant; NDR drains by progress, or by membarrier with -DMEMBARRIER;
 * token slots with generations; a store buffer, TSO or, with -DPSO, one in which
 * stores that are no releases pass each other (arm64).
 * Abstracted: one list of CAP slots; loads do not pass loads (so the acquire of
 * the drainer's loads is not tested); no pending sets.
 *
 * Switches, each removing one rule, with the required verdict:
 *   PLAIN_COUNTER   a per-CPU counter, bumped after the commit,
 *                   is the evidence                              violation
 *   SEQ_COUNTER     ... bumped inside the sequence, before it    violation
 *   SNAP_LATE       the header's snapshot is taken after the
 *                   exchange: sound, but progress is not seen    hang
 *   SNAP_LATE, -E   ... its safety alone                         pass
 *   NO_SEEN         a failing pop stores no seen                 hang
 *   FAILING_BARRIER membarrier's failure taken for success       violation
 *   OLD_HEADER      a header of the old set changed is evidence  violation
 *   PSO RELAXED_COMMIT  the header is stored without release     violation
 *   PSO RELAXED_SEEN    `seen` is stored without release         violation
 *   EARLY_FLUSH     the old header is loaded before the evidence
 *                   (EVIDENCE-A1; with MEMBARRIER: EVIDENCE-F1)        violation
 */
#ifndef NDR
#define NDR 2
#endif
#ifndef OPS0
#define OPS0 2
#endif
#ifndef OPS1
#define OPS1 1
#endif
#ifndef BUF
#define BUF 3
#endif
#define CAP 2
#define NT 2
#define NC 2

#define HDR   1
#define SEEN  2
#define TOK   3
#define COUNT 4

#define HW(ops, count) ((ops) * 4 + (count))
#define OPS(h) ((h) >> 2)
#define CNT(h) ((h) & 3)
#define SET(a) ((a) & 1)

#ifdef RELAXED_COMMIT
#define REL_HDR 0
#else
#define REL_HDR 1
#endif
#ifdef RELAXED_SEEN
#define REL_SEEN 0
#else
#define REL_SEEN 1
#endif

byte active_;
byte seen = 255;
byte hdr[2];
byte slot[4];		/* CAP slots for each set; no two pushes store the same token */
byte truth[4];		/* what was pushed into a slot by a commit that landed */
byte counter;		/* the plain per-CPU counter of the broken variants */
bool owned[2];
bool progressed;	/* an operation by the newest active has landed */

inline land(k, x, v, o)
{
	if
	:: k == HDR ->
		assert(!owned[x]); assert(hdr[x] == o);
		hdr[x] = v;
		if :: x == SET(active_) -> progressed = 1 :: else fi
	:: k == SEEN ->
		seen = v;
		if :: v == active_ -> progressed = 1 :: else fi
	:: k == TOK -> assert(!owned[x / CAP]); slot[x] = v
	:: k == COUNT -> counter = v
	fi
}

#define MORE (!done[0] || !done[1])
#define RUNNABLE(t) (!done[t])
#include "../common/cpu.h"

proctype owner(byte c; byte t; byte nops)
{
	byte a, h, n, x, d;
	bool pop;

	do
	:: n < nops ->
		n++;
		if :: pop = 1 :: pop = 0 fi;
again:		if
		:: atomic { top[t] == c && on != t -> goto next }
		:: atomic { top[t] == c && on == t -> in[c] = 1; a = active_ }
		fi;
		SEQ(LOOK(h, HDR, SET(a), hdr[SET(a)]));
#ifdef SEQ_COUNTER
		SEQ(LOOK(d, COUNT, 0, counter));
		SEQSTORE(PUT(COUNT, 0, d + 1, 0, 0); d = 0);
#endif
		if
		:: (pop && CNT(h) == 0) || (!pop && CNT(h) == CAP) ->
#ifdef NO_SEEN
			SEQ(in[c] = 0;
			    if :: a == active_ -> progressed = 1 :: else fi);
#else
			SEQSTORE(PUT(SEEN, 0, a, 0, REL_SEEN); in[c] = 0);
#endif
			goto next
		:: else
		fi;
		/* 4. push: store the token.  `truth` is for the drainer to
		 * compare; a slot at or above count is nobody's */
		if
		:: !pop ->
			x = SET(a) * CAP + CNT(h);
			SEQSTORE(PUT(TOK, x, 2 * OPS(h) + t + 1, 0, 0);
				truth[x] = 2 * OPS(h) + t + 1)
		:: else
		fi;
		SEQSTORE(PUT(HDR, SET(a), HW(OPS(h) + 1, (pop -> CNT(h) - 1 : CNT(h) + 1)), h, REL_HDR);
			in[c] = 0);
#ifdef PLAIN_COUNTER
		if
		:: atomic { top[t] == c && on == t && nb < BUF ->
			LOOK(d, COUNT, 0, counter); PUT(COUNT, 0, d + 1, 0, 0) }
		:: atomic { top[t] == c && on != t -> counter = counter + 1 }
		fi;
		d = 0;
#endif
		goto next;
aborted:	goto again;
next:		atomic { a = 0; h = 0; x = 0; pop = 0 }
	:: else -> break
	od;
	LOCKED(finish(t))
}

proctype drainer()
{
	byte k, o, n, h0, ho, c0, i, early;

	do
	:: k < NDR ->
		k++;
		atomic { o = active_; n = o + 1; h0 = hdr[SET(n)];
			c0 = counter; ho = hdr[SET(o)];
			owned[SET(n)] = 0; active_ = n; progressed = 0 };
#ifdef SNAP_LATE
		h0 = hdr[SET(n)];
#endif
#ifdef EARLY_FLUSH
		early = hdr[SET(o)];
#endif
		if
#if defined(PLAIN_COUNTER) || defined(SEQ_COUNTER)
		:: atomic { counter != c0 }
#else
		:: atomic { hdr[SET(n)] != h0 }
		:: atomic { seen == n }
#endif
#ifdef OLD_HEADER
		:: atomic { hdr[SET(o)] != ho }
#endif
#ifdef MEMBARRIER
#ifdef FAILING_BARRIER
		:: skip		/* returned early; nobody was asked */
#else
		:: atomic { nb == 0 -> if :: on != NOBODY -> cut(on) :: else fi }
#endif
#endif
		/* nothing ran since: no hang, the end of the search */
		:: atomic { done[0] && done[1] && nb == 0 && !progressed -> break }
		fi;
		owned[SET(o)] = 1;
		/* 3. flush: read the slots below count */
		h0 = hdr[SET(o)];
#ifdef EARLY_FLUSH
		assert(early == h0);	/* else a token is lost or given twice */
		early = 0;
#endif
		i = 0;
		do
		:: i < CNT(h0) ->
			assert(slot[SET(o) * CAP + i] == truth[SET(o) * CAP + i]);
			i++
		:: else -> break
		od;
		atomic { hdr[SET(o)] = HW(OPS(h0), 0); o = 0; n = 0; h0 = 0; ho = 0; c0 = 0; i = 0 }
	:: else -> break
	od
}

init
{
	atomic {
		top[1] = 1; owned[1] = 1;
		run owner(0, 0, OPS0); run owner(1, 1, OPS1); run drainer()
	}
}
