/* SPDX-License-Identifier: MIT
 *
 * store-tickets: the token cache's own store (src/api/token_store.h): tickets
 * for vacant and for filled slots, and the slots themselves.
 *
 * Property.  As many tokens exist as the store has slots.  A put always finds
 * room.  Every token that a get returns was put before, and is nobody else's.
 * Who has a ticket finds a slot, although thread 0 may stop for ever at any
 * point.
 *
 * Modelled: N slots and N threads, each with one token at first, and OPS calls
 * of each, puts and gets in any order.  A search begins at any slot and looks
 * at one after the other.  When it has passed all in vain it starts over as
 * soon as there is a slot of its kind; there must be one.
 * Abstracted: a slot changes from one kind to none in one step (in the code a
 * claim and a release of a zone: models/zone-tickets); sequential consistency
 * (all are locked).
 *
 * Switches, each removing one rule, with the required verdict:
 *   ONE_SCAN      a search that has passed all slots in vain says "no
 *                 room"                                          violation
 *   LATE_TOKEN    a slot is released before its token is stored  violation
 *   EARLY_SLOT    a slot is released before its token is loaded  violation
 *   EARLY_TICKET  a ticket is given before its slot is released  hang
 */
#ifndef OPS
#define OPS 3
#endif
#define N 3
#define VACANT 0
#define FILLED 1
#define OWNED  2

byte kind[N];			/* all vacant */
byte token[N];
byte room = N, stored;

byte held;			/* ghost: a bit for each token that a thread has */

#ifdef ONE_SCAN
#define FOUND_NONE(k) assert(k == FILLED)
#else
#define FOUND_NONE(k) skip
#endif

/* Thread 0 may stop here. */
#define STEP								\
	if								\
	:: t == 0 -> goto stopped					\
	:: skip								\
	fi

/* i = a slot of that kind; the caller has a ticket for one */
inline claim(k)
{
	if :: i = 0 :: i = 1 :: i = 2 fi;
	left = N;
	do
	:: atomic { left > 0 && kind[i] == k -> kind[i] = OWNED; break }
	:: atomic { left > 0 && kind[i] != k -> i = (i + 1) % N; left-- }
	:: left == 0 ->
		FOUND_NONE(k);
		(kind[0] == k || kind[1] == k || kind[2] == k);
		left = N
	od
}

inline put()
{
	/* the lowest that it has */
	v = (mine & 1 -> 1 : (mine & 2 -> 2 : 4));
	atomic { mine = mine - v; held = held - v };
	atomic { assert(room > 0); room-- };
	STEP;
	claim(VACANT);
	STEP;
#ifdef LATE_TOKEN
	kind[i] = FILLED;
	token[i] = v;
#else
	token[i] = v;
#ifdef EARLY_TICKET
	stored++;
	STEP;
#endif
	kind[i] = FILLED;
#endif
	STEP;
#ifndef EARLY_TICKET
	stored++;
#endif
	v = 0
}

inline get()
{
	STEP;
	claim(FILLED);
	STEP;
#ifdef EARLY_SLOT
	kind[i] = VACANT;
	v = token[i];
#else
	v = token[i];
	kind[i] = VACANT;
#endif
	STEP;
	room++;
	atomic { assert(v != 0 && !(held & v)); held = held | v; mine = mine | v };
	v = 0
}

proctype thread(byte t)
{
	byte mine = 1 << t, i, left, v, n;

	do
	:: n < OPS && mine != 0 -> n++; put()
	:: atomic { n < OPS && stored > 0 -> stored--; n++ }; get()
	:: n == OPS || mine == 0 -> break
	od;
stopped:
	skip
}

init
{
	atomic {
		held = 7;
		run thread(0); run thread(1); run thread(2)
	}
}
