/* SPDX-License-Identifier: MIT
 *
 * drain-announce: announcing on a quiet CPU (docs/design.md, section 4.1).
 *
 * Property.  A commit lands only while its set belongs to the CPU, and on the
 * very header that its sequence loaded.  Once every thread is outside its
 * operations and bursts, a further drain gets evidence: no mark survives.  A
 * violated assertion is a page given twice or lost; an invalid end state is a
 * drain that hangs (in the code the set would stay pending for ever).
 *
 * Modelled: one drained CPU; two threads that push and pop, fail (and store
 * `seen`), are moved at any instant without a bound, are in bursts or not; a
 * signal handler on thread 0 that operates, bursts, or itself drains; a drainer
 * that makes NDR full drains and, all threads being done, a last one; TSO
 * (common/cpu.h); a thread that exits inside its burst, and one that is born
 * with its tid.
 * Abstracted: an operation elsewhere is one step; tokens are a count (with
 * -DTOKENS their stores too); modes and pending sets (drain-modes, drain-pending);
 * `operations` and the drain number do not wrap.
 *
 * Sizes: OPS0, OPS1, OPSH operations of thread 0, thread 1 and the handler;
 * NDR drains; NL lists; BURST bit mask of {thread 0, thread 1, handler} that
 * operate inside a burst; HANDLER 1: a handler operates; CAP, COUNT0.
 *
 * Switches, each removing one rule, with the required verdict:
 *   NO_DRAIN_NUMBER  active and seen name only the set            violation
 *   NO_REREAD        active is not loaded again after the mark    violation
 *   PLAIN_MARK       the mark is stored, not exchanged            violation
 *   SHARED_MARK      the mark does not name its thread            violation
 *   NO_ABORT_CLEAR   an aborted sequence leaves its mark          hang
 *   NO_MOVED_CLEAR   a start-over, and the slow exit after it, too hang
 *   RESET_OPS        a flush resets `operations`                  hang
 *   PLAIN_CLEAR      a finished operation stores 0 into busy      violation
 *   CAS_CLEAR        ... compares and swaps it to 0               pass (slow)
 *   BURST_ANY        any burst mark in busy is taken as its own violation
 *   END_PLAIN        a burst ends by a plain store                violation
 *   NO_DEAD_RULE     a dead thread's mark still protects      hang
 *   DEAD_EARLY       tgkill asked before the exchange (REUSE)     violation
 *   NO_OWN_RULE      a drainer's own mark still protects      hang
 *   OWN_CPU_EARLY    "I run there", asked before the exchange     violation
 *   BUSY_EARLY       busy read before the exchange                violation
 *   PLAIN_BURST      a burst's mark is stored, not exchanged
 *                    (ARCH-F2)                                  violation
 *   END_RELAXED      a burst's end waits for no store (CACHE-R1) violation
 *   RELAXED_CLEAR    nor an abort's clear, with PSO TOKENS and a
 *                    signal (ARCH-R2, EVIDENCE-A2)                 violation
 * DEATH 1: thread 0 exits inside its burst.  REUSE 1: thread 1 then gets the
 * same tid and lives on: a mark that is never cleared (a known limit: hang).
 * DRAINER 1: thread 0's handler is the drainer.
 */
#ifndef OPS0
#define OPS0 1
#endif
#ifndef OPS1
#define OPS1 1
#endif
#ifndef OPSH
#define OPSH 1
#endif
#ifndef NDR
#define NDR 2
#endif
#ifndef NL
#define NL 1
#endif
#ifndef CAP
#define CAP 2
#endif
#ifndef COUNT0
#define COUNT0 1
#endif
#ifndef BURST
#define BURST 0
#endif
#ifndef HANDLER
#define HANDLER 0
#endif
#ifndef DRAINER
#define DRAINER 0
#endif
#ifndef BUF
#define BUF 2
#endif

#define NT 3		/* thread 2 is the drainer, unless a handler is */
#define NC 4		/* 0, 1: the threads.  2: thread 0's handler.  3: drainer */

/* what a store goes to */
#define HDR  1
#define BUSY 2
#define SEEN 3
#define TOK  4

#define HW(ops, count) ((ops) * 4 + (count))
#define OPS(h) ((h) >> 2)
#define COUNT(h) ((h) & 3)

#ifdef NO_DRAIN_NUMBER
#define SET(a) (a)
#define NEXT(a) (1 - (a))
#else
#define SET(a) ((a) & 1)	/* {drain number, set}: sets alternate here */
#define NEXT(a) ((a) + 1)
#endif
#define HX(s, l) ((s) * NL + (l))

#ifdef REUSE
#define TID(t) 0
#else
#define TID(t) (t)
#endif
#ifdef SHARED_MARK
#define WHO(t) 0
#else
#define WHO(t) TID(t)
#endif
/* a mark: thread, header (set and list), its operations; a burst's mark */
#define MARK(t, x, ops) (1 + WHO(t) + 2 * ((x) + 2 * NL * (ops)))
#define BMARK(t) (200 + TID(t))
#define IS_BURST(m) ((m) >= 200)
#ifdef BURST_ANY
#define IS_MY_BURST(m, t) IS_BURST(m)
#else
#define IS_MY_BURST(m, t) ((m) == BMARK(t))
#endif
#define M_TID(m) (IS_BURST(m) -> (m) - 200 : ((m) - 1) & 1)
#define M_HX(m) ((((m) - 1) / 2) % (2 * NL))
#define M_OPS(m) (((m) - 1) / (4 * NL))

byte active_;		/* "active" is a keyword of Promela */
byte busy;
byte seen = 255;
byte hdr[2 * NL];
bool owned[2];		/* the drainer may write this set: spare, or flushed */
bool waiting;		/* the drainer waits */
bool born;		/* thread 1 exists (matters with REUSE) */

inline land(k, x, v, o)
{
	if
	:: k == HDR ->
		assert(!owned[x / NL]);		/* the set is the CPU's own */
		assert(hdr[x] == o);		/* nothing came between */
		hdr[x] = v
	:: k == BUSY -> busy = v
	:: k == SEEN -> seen = v
	:: k == TOK -> assert(!owned[x / NL])
	fi
}

/* Moves are of use while somebody can still operate. */
#define MORE (!done[1] || (!done[0] && !(DRAINER && top[0] == 2 && waiting)))
#ifdef REUSE
#define RUNNABLE(t) (!done[t] && ((t) != 1 || born))
#else
#define RUNNABLE(t) (!done[t])
#endif

#include "../common/cpu.h"

#define CAS_BUSY(o, n) if :: busy == (o) -> busy = (n) :: else fi

proctype owner(byte c; byte t; byte nops)
{
	byte a, h, x, m, n, b, l;
	bool pop, mine;

#ifdef REUSE
	if :: t == 1 -> atomic { done[0] -> born = 1 } :: else fi;
#endif
	if
	:: c == 2 ->	/* a signal: the sequence beneath is aborted first */
		if
		:: atomic { top[0] == 0 && !done[0] -> cut(0); top[0] = 2 }
		:: atomic { done[0] -> goto out }
		fi
	:: else
	fi;

#if BURST
	/* A burst begins by a sequence of one exchange. */
	if
	:: (BURST >> c) & 1 ->
		if
		:: atomic { top[t] == c && on != t -> mine = 0 }
#ifdef PLAIN_BURST
		:: atomic { top[t] == c && on == t && nb < BUF && busy != BMARK(t) ->
			PUT(BUSY, 0, BMARK(t), 0, 0); mine = 1 }
#endif
		:: atomic { top[t] == c && on == t && nb == 0 ->
			if
			:: busy == BMARK(t) -> mine = 0
			:: else -> busy = BMARK(t); mine = 1
			fi }
		fi
	:: else
	fi;
#endif

	do
	:: n < nops ->
		n++;
		if :: pop = 1 :: pop = 0 fi;
#if NL > 1
		if :: l = 0 :: l = 1 fi;
#endif
again:		/* 1. arm; load active, load the header */
		if
		:: atomic { top[t] == c && on != t -> goto next }
		:: atomic { top[t] == c && on == t ->
			in[c] = 1; a = active_; x = HX(SET(a), l) }
		fi;
		SEQ(LOOK(h, HDR, x, hdr[x]));
		/* 2. empty or full: store seen, leave */
		if
		:: (pop && COUNT(h) == 0) || (!pop && COUNT(h) == CAP) ->
			SEQSTORE(PUT(SEEN, 0, a, 0, 1); in[c] = 0);
			goto next
		:: else
		fi;
		/* 3. announce, unless busy is this thread's burst mark */
#if BURST
		SEQ(LOOK(b, BUSY, 0, busy);
			m = (IS_MY_BURST(b, t) -> 0 : MARK(t, x, OPS(h))); b = 0);
#else
		SEQ(m = MARK(t, x, OPS(h)));
#endif
		if
		:: m != 0 ->
#ifdef PLAIN_MARK
			SEQSTORE(PUT(BUSY, 0, m, 0, 0));
#else
			SEQLOCKED(busy = m);
#endif
#ifndef NO_REREAD
			if
			:: atomic { top[t] == c && !ab[c] && active_ == a }
			:: atomic { top[t] == c && !ab[c] && active_ != a ->
				in[c] = 0;
#ifdef NO_MOVED_CLEAR
				m = 0;
#endif
				goto aborted }
			:: CUT
			fi
#endif
		:: else
		fi;
#ifdef TOKENS
		if :: !pop -> SEQSTORE(PUT(TOK, x, 0, 0, 0)) :: else fi;
#endif
		/* 5. commit, which withdraws the mark */
		SEQSTORE(PUT(HDR, x, HW(OPS(h) + 1, (pop -> COUNT(h) - 1 : COUNT(h) + 1)), h, 1);
			in[c] = 0);
#ifdef PLAIN_CLEAR
		if
		:: atomic { top[t] == c && on == t && nb < BUF -> PUT(BUSY, 0, 0, 0, 0) }
		:: atomic { top[t] == c && on != t -> busy = 0 }
		fi;
#endif
#ifdef CAS_CLEAR
		if :: m != 0 -> LOCKED(CAS_BUSY(m, 0)) :: else fi;
#endif
		goto next;
aborted:
#ifdef RELAXED_CLEAR
		if :: m != 0 -> STEP(CAS_BUSY(m, 0)) :: else fi;
#elif !defined(NO_ABORT_CLEAR)
		if :: m != 0 -> LOCKED(CAS_BUSY(m, 0)) :: else fi;
#endif
		m = 0;
		goto again;
next:		atomic { a = 0; h = 0; x = 0; m = 0 }
	:: else -> break
	od;

#if BURST
	if
#ifdef DEATH
	:: mine && c == 0
	:: mine && c != 0 ->
#else
	:: mine ->
#endif
#ifdef END_PLAIN
		if
		:: atomic { top[t] == c && on == t && nb < BUF -> PUT(BUSY, 0, 0, 0, 0) }
		:: atomic { top[t] == c && on != t -> busy = 0 }
		fi
#elif defined(END_RELAXED)
		STEP(CAS_BUSY(BMARK(t), 0))
#else
		LOCKED(CAS_BUSY(BMARK(t), 0))
#endif
	:: else
	fi;
#endif
	if
	:: c == 2 -> STEP(top[0] = 0)
	:: else -> LOCKED(finish(t))
	fi;
out:	skip
}

/* Reading w in busy after the exchange, can a sequence with the old active
 * still commit?  A mark protects the header it names while that has not moved. */
#define NOT_BUSY(w) ((w) == 0 || (!IS_BURST(w) && \
	(M_HX(w) / NL != SET(o) || OPS(hdr[M_HX(w)]) != M_OPS(w))))
#if NL > 1
#define MOVED_ON (hdr[HX(SET(n), 0)] != h0 || hdr[HX(SET(n), 1)] != h1)
#else
#define MOVED_ON (hdr[SET(n)] != h0)
#endif
/* tgkill answers ESRCH.  Only DEATH's thread 0 dies: the others, their work
 * done, live on outside operations. */
#ifdef REUSE
#define GONE(m) ((m) != 0 && done[0] && !born)
#else
#define GONE(m) ((m) != 0 && M_TID(m) == 0 && done[0])
#endif

proctype drainer(byte c; byte t)
{
	byte k, o, n, h0, h1, w, w0, a;
	bool here, gone;

	if
	:: c == 2 ->
		if
		:: atomic { top[0] == 0 && !done[0] -> cut(0); top[0] = 2 }
		:: atomic { done[0] -> goto out }
		fi
	:: else
	fi;
	do
	:: k < NDR + (1 - DRAINER) ->
		k++;
		if :: k > NDR -> (done[0] && done[1]) :: else fi;
#ifdef OWN_CPU_EARLY
		STEP(here = (on == t));
#endif
#ifdef DEAD_EARLY
		atomic { w0 = busy; gone = (w0 != 0 && done[0] && !born) };
#endif
#ifdef BUSY_EARLY
		STEP(w = busy);
#endif
		/* 1. snapshot the spare's headers, exchange active for it */
		atomic { top[t] == c && EMPTY(t) ->
			o = active_; n = NEXT(o);
			h0 = hdr[HX(SET(n), 0)];
#if NL > 1
			h1 = hdr[HX(SET(n), 1)];
#endif
			owned[SET(n)] = 0; active_ = n };
#ifdef OWN_SEEN
		/* the drainer's own sequence, on whatever CPU it is */
		if
		:: atomic { top[t] == c && on == t -> in[c] = 1; a = active_ };
			SEQSTORE(PUT(SEEN, 0, a, 0, 1); in[c] = 0)
		:: atomic { top[t] == c && on != t }
		fi;
aborted:	a = 0;
#endif
		/* 2. evidence */
#ifndef BUSY_EARLY
		STEP(w = busy; waiting = 1);
#endif
		if
		:: atomic { top[t] == c && NOT_BUSY(w) }
		:: atomic { top[t] == c && busy != w }
		:: atomic { top[t] == c && MOVED_ON }
#ifndef NO_DRAIN_NUMBER
		:: atomic { top[t] == c && seen == n }
#endif
#ifndef NO_OWN_RULE
		:: atomic { top[t] == c && EMPTY(t) && w != 0 && M_TID(w) == t ->
			CAS_BUSY(w, 0) }
#endif
#ifdef DEAD_EARLY
		:: atomic { gone && w == w0 }
#elif defined(DEATH) && !defined(NO_DEAD_RULE)
		:: atomic { GONE(w) }
#endif
#ifdef OWN_CPU_EARLY
		:: here
#endif
		fi;
		atomic { w = 0; h0 = 0; h1 = 0; waiting = 0; here = 0;
			gone = 0; w0 = 0; owned[SET(o)] = 1 };
		/* 3. flush: the count goes, operations stay */
		atomic {
			hdr[HX(SET(o), 0)] = HW(OPS(hdr[HX(SET(o), 0)]), 0);
#if NL > 1
			hdr[HX(SET(o), 1)] = HW(OPS(hdr[HX(SET(o), 1)]), 0);
#endif
#ifdef RESET_OPS
			hdr[HX(SET(o), 0)] = 0;
#if NL > 1
			hdr[HX(SET(o), 1)] = 0;
#endif
#endif
			o = 0; n = 0 }
	:: else -> break
	od;
	if
	:: c == 2 -> STEP(top[0] = 0)
	:: else -> LOCKED(finish(t))
	fi;
out:	skip
}

init
{
	atomic {
		top[1] = 1; top[2] = 3;
		owned[1] = 1; hdr[0] = HW(0, COUNT0);
#if NL > 1
		hdr[1] = HW(0, COUNT0);
#endif
#if !defined(OWN_SEEN) && !defined(OWN_CPU_EARLY)
		done[2] = 1;	/* never on this CPU */
#endif
		run owner(0, 0, OPS0);
		run owner(1, 1, OPS1);
#if HANDLER
		run owner(2, 0, OPSH);
#endif
#if DRAINER
		run drainer(2, 0);
		done[2] = 1
#else
		run drainer(3, 2)
#endif
	}
}
