/* SPDX-License-Identifier: MIT
 *
 * cache-flush: a full list gives back its older half, and limits change
 * (docs/design.md, section 3, "Rules for writing to an area").
 *
 * Property.  Every token is in exactly one place: a list, a thread's hands, or
 * the back end.  A commit replaces the very header that its sequence loaded.
 *
 * Modelled: a list of two or four tokens (CAP) in each of two sets, slot by slot;
 * two threads that push and pop on the CPU, moved (and so aborted) at any
 * instant; a full list popped whole in one sequence, its newer half pushed back
 * in a second one if there is room, the rest to the back end; a drain that
 * exchanges and flushes; a change of the limit by the drainer meanwhile.
 * Abstracted: evidence is an oracle (no sequence with the old set is in
 * flight), stores land in order at once: the drain-* models are about those.
 *
 * Switches, each removing one rule, with the required verdict:
 *   IN_PLACE      the newer half is moved down within the array
 *                 before the commit                             violation
 *   LIMIT_STORE   the limit of the active set is changed by load
 *                 and store                                     violation
 *   LIMIT_CAS     ... by compare-and-swap: the owner's commit
 *                 undoes it                                     violation
 *   NO_EVIDENCE   the flush follows the exchange at once        violation
 */
#ifndef NDR
#define NDR 1
#endif
#ifndef OPS0
#define OPS0 2
#endif
#ifndef OPS1
#define OPS1 1
#endif
#define BUF 2			/* the store buffer stays empty */
#ifndef CAP
#define CAP 2			/* 2 or 4 */
#endif
#define HALF (CAP / 2)
#define NT 2
#define NC 2
#define NTOK (CAP + 2)

/* where a token is */
#define IN_LIST 100
#define BACKEND 101		/* else: the number of the thread */

/* header: {high, count} */
#define HW(high, count) ((high) * 8 + (count))
#define CNT(h) ((h) & 7)
#define HIGH(h) ((h) >> 3)
#define SLOT(s, i) slot[(s) * CAP + (i)]

byte active_;			/* the set */
byte using[NT];			/* the set that a thread's sequence loaded */
byte hdr[2];
byte slot[2 * CAP];
byte where[NTOK];

inline land(k, x, v, o) { skip }

#define MORE (!done[0] || !done[1])
#define RUNNABLE(t) (!done[t])
#include "../common/cpu.h"

#define IN_FLIGHT(s) ((in[0] && !ab[0] && using[0] == (s)) || \
	(in[1] && !ab[1] && using[1] == (s)))

inline take(tok, who) { assert(where[tok] == IN_LIST); where[tok] = who }
inline give(tok, who) { assert(where[tok] == who); where[tok] = IN_LIST }
#if CAP == 4
#define EACH_OLD(f, b) f(copy[0], b); f(copy[1], b)
#define EACH_NEW(f, b) f(copy[2], b); f(copy[3], b)
#else
#define EACH_OLD(f, b) f(copy[0], b)
#define EACH_NEW(f, b) f(copy[1], b)
#endif
#define CLEAR(x, b) x = (b)
inline back_end(tok, who) { assert(where[tok] == who); where[tok] = BACKEND }
inline commit(h_new)
{
	assert(hdr[s] == h);
	hdr[s] = h_new;
	in[c] = 0
}

#define ARM(elsewhere) \
	if \
	:: atomic { top[t] == c && on != t -> elsewhere } \
	:: atomic { top[t] == c && on == t -> \
		in[c] = 1; s = active_; using[t] = s; h = hdr[s] } \
	fi

proctype owner(byte c; byte t; byte nops; byte tok)
{
	byte n, s, h, i, have;
	byte copy[CAP];
	bool back;		/* about to push the newer half back */

	do
	:: n < nops ->
		n++;
again:		if
		:: back -> ARM(goto overflow)
		:: !back -> ARM(goto next)
		fi;
		if
		:: back -> goto push_back
		:: !back && tok == 255 && CNT(h) > 0 -> goto pop
		:: !back && tok != 255 && CNT(h) < HIGH(h) -> goto push
		:: !back && tok != 255 && CNT(h) == HIGH(h) && HIGH(h) == CAP -> goto overfull
		:: else -> SEQ(in[c] = 0); goto next
		fi;
pop:
		SEQ(i = SLOT(s, CNT(h) - 1));
		SEQ(commit(HW(HIGH(h), CNT(h) - 1)); take(i, t); tok = i);
		goto next;
push:
		SEQ(SLOT(s, CNT(h)) = tok);
		SEQ(commit(HW(HIGH(h), CNT(h) + 1)); give(tok, t); tok = 255);
		goto next;
overfull:
		/* the list is full: pop all of it in one sequence */
		i = 0;
#ifdef IN_PLACE
		do
		:: i < HALF ->
			SEQ(copy[i] = SLOT(s, i));
			SEQ(SLOT(s, i) = SLOT(s, i + HALF));
			i++
		:: else -> break
		od;
		SEQ(commit(HW(HIGH(h), HALF));
		    EACH_OLD(take, BACKEND));
		goto retry;
#else
		do
		:: i < CAP -> SEQ(copy[i] = SLOT(s, i)); i++
		:: else -> break
		od;
		SEQ(commit(HW(HIGH(h), 0));
		    EACH_OLD(take, t); EACH_NEW(take, t));
		STEP(EACH_OLD(back_end, t));
		back = 1;
		goto again;
#endif
push_back:
		/* the newer half, if there is still room for it */
		i = 0;
		if
		:: CNT(h) + HALF <= HIGH(h) ->
			do
			:: i < HALF -> SEQ(SLOT(s, CNT(h) + i) = copy[HALF + i]); i++
			:: else -> break
			od;
			SEQ(commit(HW(HIGH(h), CNT(h) + HALF)); EACH_NEW(give, t))
		:: else ->
			SEQ(in[c] = 0);
overflow:		STEP(EACH_NEW(back_end, t))
		fi;
		back = 0;
retry:
aborted:	atomic {
			i = 0; s = 0; h = 0; using[t] = 0;
			if :: !back -> EACH_OLD(CLEAR, 0); EACH_NEW(CLEAR, 0) :: else fi };
		goto again;
next:		atomic {
			s = 0; h = 0; i = 0; using[t] = 0; EACH_OLD(CLEAR, 0);
			EACH_NEW(CLEAR, 0) }
	:: else -> break
	od;
	LOCKED(finish(t))
}

proctype drainer()
{
	byte k, o, i, h;

	do
	:: k < NDR ->
		k++;
#ifdef LIMIT_STORE
		o = active_; h = hdr[o];
		hdr[o] = HW(CAP - 1, CNT(h));
#endif
#ifdef LIMIT_CAS
		o = active_;
		do
		:: h = hdr[o];
			if
			:: atomic { hdr[o] == h -> hdr[o] = HW(CAP - 1, CNT(h)); break }
			:: atomic { hdr[o] != h }
			fi
		od;
#endif
		/* the limit of the spare is the drainer's to change */
		atomic { o = active_; h = 0 };
		if
		:: hdr[1 - o] = HW(CAP, 0)
		:: hdr[1 - o] = HW(CAP - 1, 0)
		fi;
		active_ = 1 - o;
#ifndef NO_EVIDENCE
		!IN_FLIGHT(o);
#endif
		h = hdr[o];
		i = 0;
		do
		:: i < CNT(h) -> atomic { take(SLOT(o, i), BACKEND) }; i++
		:: else -> break
		od;
		atomic { assert(hdr[o] == h); hdr[o] = 0; i = 0; h = 0; o = 0 }
	:: else -> break
	od
}

init
{
	byte n;

	atomic {
		top[1] = 1;
		hdr[0] = HW(CAP, CAP);
		do
		:: where[n] = (n < CAP -> IN_LIST : n - CAP); slot[n] = n;
			n++;
			if :: n == NTOK -> break :: else fi
		od;
		run owner(0, 0, OPS0, CAP); run owner(1, 1, OPS1, CAP + 1); run drainer()
	}
}
