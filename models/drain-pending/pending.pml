/* SPDX-License-Identifier: MIT
 *
 * drain-pending: pending sets, the null set, and the word that `seen` must hold
 * (docs/design.md, section 4, "Rules of evidence").
 *
 * Property.  A commit lands only in a set the CPU still has, on the header it
 * loaded, and never in the null set.  A CPU with a pending set can be asked to
 * drain (it waits for nothing), and once it completes one operation
 * or tick through the newest `active`, the pending set comes free: else invalid
 * end state.
 *
 * Modelled: two threads that push, fail and tick on one CPU, moved at any
 * instant; NDR exchanges, each to the spare, or to the null set when caching is
 * switched off, from there back to the spare, whatever is pending; none while a
 * set is pending and another in use; a drain may give up waiting at once;
 * TSO.  Progress only, as on a polling CPU;
 * with -DQUIET marks too (one mark a thread, withdrawn by its commit).
 * Abstracted: one list; counts (an operation fails when the search says so); a
 * drain number without wrap, unless -DWRAP (modulo 4).
 *
 * With -DSEEN_TOO every operation stores seen before its commit (sound).
 *
 * Switches, each removing one rule, with the required verdict:
 *   SEEN_APART      an operation stores seen = a second load of active,
 *                   not the word it works by                     violation
 *   SEEN_OUTSIDE    seen is stored after the sequence            violation
 *   EARLIER_HEADER  a header of an older set changed: frees all  violation
 *   REUSE_PENDING    active is exchanged although a set is pending:
 *                   that goes back into use                      violation
 *   NO_SEEN         a failing operation stores nothing           hang
 *   WRAP            drain number modulo 4, seen never looked at
 *                   before the exchange                          violation
 *   WRAP SKIP       ... a word equal to `seen` is not published  pass
 */
#ifndef NDR
#define NDR 4
#endif
#ifndef OPS0
#define OPS0 2
#endif
#ifndef OPS1
#define OPS1 1
#endif
#ifndef BUF
#define BUF 2
#endif
#define NT 2
#define NC 2

#define HDR  1
#define SEEN 2
#define NIL  2			/* the null set; 0 and 1 are real ones */
#define SET(a) ((a) & 3)
#define NUM(a) ((a) >> 2)
#define WORD(n, s) ((n) * 4 + (s))
#ifdef WRAP
#define NEXTNUM(a) ((NUM(a) + 1) % 4)
#else
#define NEXTNUM(a) (NUM(a) + 1)
#endif

#define MARK(t, s, ops) (1 + (t) + 2 * ((s) + 2 * (ops)))
#define M_SET(m) ((((m) - 1) / 2) & 1)
#define M_OPS(m) (((m) - 1) / 4)

byte active_, busy;
byte seen = 255;
byte hdr[3];			/* operations of each set's one list */
bool owned[2];			/* evidence has come: the drainer's to write */
bool pending[2];			/* taken away, evidence has not come */
bool last;			/* the drainer made its last exchange */

inline land(k, x, v, o)
{
	if
	:: k == HDR ->
		assert(x != NIL);		/* the null set is never written */
		assert(!owned[x]);
		assert(hdr[x] == o);
		hdr[x] = v
	:: k == SEEN -> seen = v
	fi
}

#define MORE (!done[0] || !done[1])
#define RUNNABLE(t) (!done[t])
#include "../common/cpu.h"

#define CAS_BUSY(o, n) if :: busy == (o) -> busy = (n) :: else fi

proctype owner(byte c; byte t; byte nops)
{
	byte a, a2, h, n, m;
	bool fails;

	do
	:: n < nops + (t == 0) ->
		n++;
		/* thread 0's last operation comes after the last exchange */
		if :: n > nops -> last :: else fi;
		if :: fails = 0 :: fails = 1 fi;
again:		if
		:: atomic { top[t] == c && on != t && n <= nops -> goto next }
		:: atomic { top[t] == c && on == t -> in[c] = 1; a = active_ }
		fi;
		if
		:: fails || SET(a) == NIL ->
#ifdef NO_SEEN
			SEQ(in[c] = 0);
#elif defined(SEEN_OUTSIDE)
			SEQ(in[c] = 0);
			STEP(a2 = active_);
			if
			:: atomic { top[t] == c && on == t && nb < BUF -> PUT(SEEN, 0, a2, 0, 1) }
			:: atomic { top[t] == c && on != t -> seen = a2 }
			fi;
#else
			SEQSTORE(PUT(SEEN, 0, a, 0, 1); in[c] = 0);
#endif
			goto next
		:: else
		fi;
		SEQ(LOOK(h, HDR, SET(a), hdr[SET(a)]));
#ifdef QUIET
		SEQLOCKED(m = MARK(t, SET(a), h); busy = m);
		if
		:: atomic { top[t] == c && !ab[c] && active_ == a }
		:: atomic { top[t] == c && !ab[c] && active_ != a ->
			in[c] = 0; goto aborted }
		:: CUT
		fi;
#endif
#ifdef SEEN_APART
		SEQ(a2 = active_);
		SEQSTORE(PUT(SEEN, 0, a2, 0, 1));
#else
#ifdef SEEN_TOO
		/* allowed, though no operation needs it: seen, then the commit */
		SEQSTORE(PUT(SEEN, 0, a, 0, 1));
#endif
#endif
		SEQSTORE(PUT(HDR, SET(a), h + 1, h, 1); in[c] = 0);
		goto next;
aborted:
#ifdef QUIET
		if :: m != 0 -> LOCKED(CAS_BUSY(m, 0)) :: else fi;
		m = 0;
#endif
		goto again;
next:		atomic { a = 0; a2 = 0; h = 0; m = 0 }
	:: else -> break
	od;
	LOCKED(finish(t))
}

#define SPARE(s) (owned[s])
#define MAY_EXCHANGE (SET(active_) == NIL || (!pending[0] && !pending[1]))
#ifdef QUIET
#define IDLE(w) (NOT_BUSY(w) || busy != w)
#else
#define IDLE(w) false
#endif
#define NOT_BUSY(w) ((w) == 0 || !pending[M_SET(w)] || hdr[M_SET(w)] != M_OPS(w))

/* Evidence after the last exchange. */
#define SEEN_IT (seen == active_)
#ifdef EARLIER_HEADER
#define MOVED_ON ((snap[0] != 255 && hdr[0] != snap[0]) || \
	(snap[1] != 255 && hdr[1] != snap[1]))
#else
#define MOVED_ON (SET(active_) != NIL && hdr[SET(active_)] != snap[SET(active_)])
#endif

proctype drainer()
{
	byte k, s, w;
	byte snap[2] = 255;

	do
	:: k < NDR ->
		k++;
		/* where to: the spare, or the null set if the caller switches
		 * caching off; nowhere while a set is pending and another in use */
		atomic {
			if
#ifdef REUSE_PENDING
			:: SET(active_) != NIL -> s = 1 - SET(active_)
#else
			:: MAY_EXCHANGE && SPARE(0) -> s = 0
			:: MAY_EXCHANGE && SPARE(1) -> s = 1
			:: MAY_EXCHANGE && SET(active_) != NIL -> s = NIL
			:: !MAY_EXCHANGE -> goto wait
#endif
			fi };
		/* 1. snapshot and exchange; what was active is pending until
		 * evidence comes */
		atomic {
			if :: SET(active_) != NIL -> pending[SET(active_)] = 1 :: else fi;
			if :: s != NIL -> snap[s] = hdr[s]; owned[s] = 0; pending[s] = 0 :: else fi;
#ifdef SKIP
			if
			:: seen == WORD(NEXTNUM(active_), s) -> active_ = WORD((NUM(active_) + 2) % 4, s)
			:: else -> active_ = WORD(NEXTNUM(active_), s)
			fi
#else
			active_ = WORD(NEXTNUM(active_), s)
#endif
			};
wait:		if :: k == NDR -> last = 1 :: else fi;
#ifdef QUIET
		w = busy;
#endif
		/* 2. evidence frees every pending set; or give up.  The last
		 * time there is no giving up. */
		if
		:: atomic { SEEN_IT || MOVED_ON || IDLE(w) ->
			if :: pending[0] -> pending[0] = 0; owned[0] = 1 :: else fi;
			if :: pending[1] -> pending[1] = 0; owned[1] = 1 :: else fi;
			snap[0] = (SET(active_) == 0 -> snap[0] : 255);
			snap[1] = (SET(active_) == 1 -> snap[1] : 255) }
		:: k < NDR -> skip
		fi;
		w = 0
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
