/* SPDX-License-Identifier: MIT
 *
 * drain-modes: a CPU changes between ordinary, quiet and polling while it
 * works (docs/design.md, section 4, "Modes of a CPU", "Rules of evidence").
 *
 * Property.  The drainer keeps `since`: the modes of all words that `active`
 * held since the last evidence, the newest left out.  Those are the modes in
 * which a sequence in flight may work.  "Not busy" is asked only if that set
 * is {quiet}; membarrier only if it has neither quiet nor polling; progress
 * always.  Then a commit lands only in a set the CPU still has; no membarrier
 * reaches a CPU that has been believed quiet or polling; and a drain whose
 * `since` is {quiet} or {ordinary} ends without any help from the CPU, any
 * other as soon as the CPU completes one operation.
 *
 * Modelled: two threads that push or fail on one CPU, in the mode of the word
 * they loaded; thread 0 inside a burst with -DBURST; NDR exchanges, each to any
 * mode and to the spare or the null set; giving up (parking); membarrier as an
 * abort of the running sequence, and a fence; TSO.
 * Abstracted: one list, counts, no signal handler (drain-announce has it).
 *
 * Switches, each removing one rule, and what must come of it:
 *   BELIEVE_AT_ONCE  evidence goes by the newest word's mode     violation
 *   LAST_ONLY        `since` forgets all but the word just
 *                    replaced, though evidence never came        violation
 *   PLAIN_SWITCH     a mode is stored into the word in place,
 *                    no exchange, no evidence                    violation
 *   ANY_QUIET        "not busy" if the set has quiet at all      violation
 *   MEMBARRIER_NEW   membarrier because the newest is ordinary   violation
 */
#ifndef NDR
#define NDR 3
#endif
#ifndef OPS0
#define OPS0 1
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
#define NIL  2

#define ORDINARY 0
#define QUIET    1
#define POLLING  2
#define BIT(m) (1 << (m))

#define SET(a) ((a) & 3)
#define MODE(a) (((a) >> 2) & 3)
#define NUM(a) ((a) >> 4)
#define WORD(n, m, s) ((n) * 16 + (m) * 4 + (s))

#define MARK(t, s, ops) (1 + (t) + 2 * ((s) + 2 * (ops)))
#define BMARK 200		/* thread 0's */
#define M_SET(m) ((((m) - 1) / 2) & 1)
#define M_OPS(m) (((m) - 1) / 4)

#ifndef MODE0
#define MODE0 ORDINARY
#endif

byte active_ = WORD(0, MODE0, 0);
byte busy;
byte seen = 255;
byte hdr[2];
bool owned[2], parked[2];
bool help;		/* the drainer needs an operation to come */
byte believed = MODE0;	/* the mode since the last evidence */

inline land(k, x, v, o)
{
	if
	:: k == HDR -> assert(!owned[x]); assert(hdr[x] == o); hdr[x] = v
	:: k == SEEN -> seen = v
	fi
}

bool over;		/* the drainer is done: no more help will be wanted */
bool asleep;		/* thread 0 waits until help is wanted */
#define MORE (!done[1] || (!done[0] && !(asleep && !help && !over)))
#define RUNNABLE(t) (!done[t])
#include "../common/cpu.h"

#define CAS_BUSY(o, n) if :: busy == (o) -> busy = (n) :: else fi

proctype owner(byte c; byte t; byte nops)
{
	byte a, h, n, m;
	bool fails, mine;

	do
	:: n < nops + (t == 0) ->
		n++;
		/* thread 0's last operation waits until one is needed */
		if
		:: n > nops ->
			LOCKED(asleep = 1; if :: on == t -> on = NOBODY :: else fi);
			if :: help :: over -> break fi
		:: else
		fi;
#ifdef BURST
		/* begin: only on a quiet CPU is there anything to announce */
		if
		:: t == 0 && n == 1 ->
			if
			:: atomic { top[t] == c && (on != t || MODE(active_) != QUIET) }
			:: atomic { top[t] == c && on == t && nb == 0 && MODE(active_) == QUIET ->
				busy = BMARK; mine = 1 }
			fi
		:: else
		fi;
#endif
		if :: fails = 0 :: fails = 1 fi;
again:		if
		:: atomic { top[t] == c && on != t && n <= nops -> goto next }
		:: atomic { top[t] == c && on == t -> in[c] = 1; a = active_ }
		fi;
		if
		:: fails || SET(a) == NIL ->
			SEQSTORE(PUT(SEEN, 0, a, 0, 1); in[c] = 0);
			goto next
		:: else
		fi;
		SEQ(LOOK(h, HDR, SET(a), hdr[SET(a)]));
		if
		:: MODE(a) == QUIET && !(t == 0 && busy == BMARK) ->
			SEQLOCKED(m = MARK(t, SET(a), h); busy = m);
			if
			:: atomic { top[t] == c && !ab[c] && active_ == a }
			:: atomic { top[t] == c && !ab[c] && active_ != a ->
				in[c] = 0; goto aborted }
			:: CUT
			fi
		:: else
		fi;
		SEQSTORE(PUT(HDR, SET(a), h + 1, h, 1); in[c] = 0);
		goto next;
aborted:
		if :: m != 0 -> LOCKED(CAS_BUSY(m, 0)) :: else fi;
		m = 0;
		goto again;
next:		atomic { a = 0; h = 0; m = 0; fails = 0 };
#ifdef BURST
		if :: mine && n == nops -> LOCKED(CAS_BUSY(BMARK, 0); mine = 0) :: else fi
#endif
	:: else -> break
	od;
	LOCKED(finish(t))
}

#define NOT_BUSY(w) ((w) == 0 || ((w) != BMARK && \
	(!parked[M_SET(w)] || hdr[M_SET(w)] != M_OPS(w))))

#ifdef BELIEVE_AT_ONCE
#define MAY_ASK_BUSY (MODE(active_) == QUIET)
#elif defined(ANY_QUIET)
#define MAY_ASK_BUSY (since & BIT(QUIET))
#else
#define MAY_ASK_BUSY (since == BIT(QUIET))
#endif
#ifdef MEMBARRIER_NEW
#define MAY_INTERRUPT (MODE(active_) == ORDINARY)
#else
#define MAY_INTERRUPT (since == BIT(ORDINARY))
#endif
#define PROGRESS (seen == active_ || (SET(active_) != NIL && hdr[SET(active_)] != snap))

proctype drainer()
{
	byte k, s, m, w, snap, since;

	do
	:: k < NDR ->
		k++;
		/* the mode to come, and the set */
		if :: m = ORDINARY :: m = QUIET :: m = POLLING fi;
#ifdef PLAIN_SWITCH
		if
		:: atomic { m != MODE(active_) ->
			active_ = WORD(NUM(active_), m, SET(active_)); believed = m }
		:: m == MODE(active_)
		fi;
#endif
		atomic {
			if
			:: owned[0] -> s = 0
			:: owned[1] -> s = 1
			:: s = NIL	/* switched off, or both are parked */
			fi };
		atomic {
#ifdef LAST_ONLY
			since = BIT(MODE(active_));
#else
			since = since | BIT(MODE(active_));
#endif
			if :: SET(active_) != NIL -> parked[SET(active_)] = 1 :: else fi;
			if :: s != NIL -> snap = hdr[s]; owned[s] = 0 :: else fi;
			active_ = WORD(NUM(active_) + 1, m, s) };
		w = busy;
		if
		:: k == NDR && since != BIT(QUIET) && since != BIT(ORDINARY) -> help = 1
		:: else
		fi;
		if
		:: atomic { PROGRESS -> skip }
		:: atomic { MAY_ASK_BUSY && (NOT_BUSY(w) || busy != w) -> skip }
		:: atomic { MAY_INTERRUPT && nb == 0 ->
			assert(believed == ORDINARY);
			if :: on != NOBODY -> cut(on) :: else fi }
		:: atomic { k < NDR -> goto park }
		fi;
		atomic {
			if :: parked[0] -> parked[0] = 0; owned[0] = 1 :: else fi;
			if :: parked[1] -> parked[1] = 0; owned[1] = 1 :: else fi;
			believed = MODE(active_);
			since = 0 };
park:		atomic { w = 0; s = 0; m = 0 }
	:: else -> break
	od;
	over = 1
}

init
{
	atomic {
		top[1] = 1; owned[1] = 1;
		run owner(0, 0, OPS0); run owner(1, 1, OPS1); run drainer()
	}
}
