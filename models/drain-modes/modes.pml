/* SPDX-License-Identifier: MIT
 *
 * drain-modes: a CPU changes between ordinary, quiet and polling while it
 * works (docs/design.md, section 4, "Modes of a CPU", "Rules of evidence").
 *
 * Property.  The drainer keeps `since`: the mode of the words that `active`
 * held since the last evidence and that named the set now pending.  That is the
 * mode in which a sequence in flight may work.  "Not busy" is asked only if it
 * is quiet; membarrier only if it is ordinary; progress always.  Then a commit
 * lands only in a set the CPU still has; no membarrier reaches a CPU that has
 * been believed quiet or polling; and a drain ends without any help from the
 * CPU, unless `since` is polling: then as soon as the CPU completes one
 * operation.
 *
 * While a set is pending, active is not exchanged (unless it names the null
 * set): a mode that is asked for meanwhile is noted, and exchanged for when
 * evidence has come.  A quiet CPU is first drained in its own mode.
 *
 * Modelled: two threads that push or fail on one CPU, in the mode of the word
 * they loaded; thread 0 inside a burst with -DBURST; NDR requests, each for any
 * mode, by an exchange to the spare or the null set; giving up (sets stay pending);
 * membarrier as an abort of the running sequence, and a fence; TSO.
 * Abstracted: one list, counts, no signal handler (drain-announce has it).
 *
 * Switches, each removing one rule, with the required verdict:
 *   BELIEVE_AT_ONCE  evidence goes by the newest word's mode     violation
 *   LAST_ONLY        `since` is the mode of the word replaced,
 *                    though that named the null set              violation
 *   PLAIN_SWITCH     a mode is stored into the word in place,
 *                    no exchange, no evidence                    violation
 *   MIX              active is exchanged whenever there is a
 *                    spare, or else the null set: two modes may
 *                    be in flight, and two sets pending           hang
 *   MIX ANY_QUIET    ... "not busy" if quiet is among them       violation
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
bool owned[2], pending[2];
byte help;		/* operations to come that the drainer needed: polling */
byte helped;		/* ... of which so many have begun */
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
#define MORE (!done[1] || (!done[0] && !(asleep && help == helped && !over)))
#define RUNNABLE(t) (!done[t])
#include "../common/cpu.h"

#define CAS_BUSY(o, n) if :: busy == (o) -> busy = (n) :: else fi

proctype owner(byte c; byte t; byte nops)
{
	byte a, h, n, m;
	bool fails, mine;

	do
	:: n < nops + (t == 0 -> 2 : 0) ->
		n++;
		/* thread 0's last operations wait until one is needed: two if a
		 * change from polling was asked for while a set was pending */
		if
		:: n > nops ->
			LOCKED(asleep = 1; if :: on == t -> on = NOBODY :: else fi);
			if
			:: atomic { help > helped -> helped++; asleep = 0 }
			:: over && help == helped -> break
			fi
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
	(!pending[M_SET(w)] || hdr[M_SET(w)] != M_OPS(w))))

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

#define IS_PENDING (pending[0] || pending[1])
#ifdef MIX
#define MAY_EXCHANGE true
#else
#define MAY_EXCHANGE (SET(active_) == NIL || !IS_PENDING)
#endif

/* active becomes a word of mode `n` that names set `s` */
inline exchange(n)
{
#ifdef LAST_ONLY
	since = BIT(MODE(active_));
#else
	if :: SET(active_) != NIL -> since = since | BIT(MODE(active_)) :: else fi;
#endif
	if :: SET(active_) != NIL -> pending[SET(active_)] = 1 :: else fi;
	if :: s != NIL -> snap = hdr[s]; owned[s] = 0 :: else fi;
	active_ = WORD(NUM(active_) + 1, n, s)
}

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
		if
		:: atomic { MAY_EXCHANGE ->
			if
			:: owned[0] -> s = 0
			:: owned[1] -> s = 1
			:: s = NIL	/* switched off (MIX: no spare) */
			fi;
			if
#ifndef MIX
			:: MODE(active_) == QUIET && SET(active_) != NIL ->
				exchange(QUIET)
#endif
			:: else -> exchange(m)
			fi }
		:: atomic { !MAY_EXCHANGE -> skip }
		fi;
look:		w = busy;
		if
		:: k == NDR && (since & BIT(POLLING)) -> help++
		:: else
		fi;
		if
		:: atomic { !IS_PENDING -> skip }
		:: atomic { IS_PENDING && PROGRESS -> skip }
		:: atomic { IS_PENDING && MAY_ASK_BUSY && (NOT_BUSY(w) || busy != w) -> skip }
		:: atomic { IS_PENDING && MAY_INTERRUPT && nb == 0 ->
			assert(believed == ORDINARY);
			if :: on != NOBODY -> cut(on) :: else fi }
		:: atomic { IS_PENDING && k < NDR -> goto late }
		fi;
		atomic {
			if :: pending[0] -> pending[0] = 0; owned[0] = 1 :: else fi;
			if :: pending[1] -> pending[1] = 0; owned[1] = 1 :: else fi;
			believed = MODE(active_);
			since = 0;
			w = 0;
			if
			:: m != MODE(active_) ->
				if :: owned[0] -> s = 0 :: owned[1] -> s = 1 fi;
				exchange(m);
				goto look
			:: else
			fi };
late:		atomic { w = 0; s = 0; m = 0 }
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
