/* SPDX-License-Identifier: MIT
 *
 * cache-waiters: the places of threads that wait for the drain mutex, and the
 * tokens handed to them (src/cache/shortage.c: waiter_enter, waiter_leave, serve_waiter).
 *
 * Property.  A token handed over is got by exactly one waiter; none is lost or
 * got twice.  A token does not go to one waiter while another, whose turn is
 * older, has been waiting since before the look at the places began.  (Except if
 * another waiter took its place between the look and the hand-over: then the new
 * one gets the token.)
 *
 * Modelled: PLACES places, two waiters that enter and leave NW times, at any
 * moment (a mutex that was got, or the deadline); a drainer that serves NTOK
 * tokens, scan by scan; stores of the waiters in buffers, TSO or with -DPSO ones
 * that pass each other.
 * Left out: what a token stands for (block-contents).
 *
 * Switches, each removing one rule, with the required verdict:
 *   PLAIN_LEAVE     it leaves by a store, without looking          violation
 *   PLAIN_SERVE     a token is handed over by a store             violation
 *   PSO RELAXED_NONE  the place waits before its turn is set
 *                   (CACHE-R2)                                    violation
 *   EARLY_TURN      the turn is read before the place is seen
 *                   to wait (CACHE-A2)                            violation
 *   EARLY_TAKEN     the place is free before it has been left
 *                   (CACHE-R3)                                    violation
 *   SHARED_PLACE    a place is taken by looking, then storing     violation
 */
#ifndef PLACES
#define PLACES 2
#endif
#ifndef NW
#define NW 1
#endif
#ifndef NTOK
#define NTOK 2
#endif
#define T 2
#define B 2
#define M 6
#include "../common/stores.h"

#define TAKEN(i)  (3 * (i))
#define TURN(i) (3 * (i) + 1)
#define TOKEN(i)  (3 * (i) + 2)
/* in a token's place; else the token, 1 or 2 */
#define AGAIN 0
#define NONE  200

byte turns = 1;
byte got[3];		/* how often each token was got, or went to the zone */
byte over;

/* ghosts: the turn of who stands in a place; the same once it waits there, 0:
 * nobody does */
byte mine[PLACES], since[PLACES];

proctype waiter(byte t)
{
	byte n, i, x;

	do
	:: n < NW ->
		n++;
		i = 0;
		do
		:: i == PLACES -> goto next	/* the line is full */
		:: i < PLACES ->
#ifdef SHARED_PLACE
			if
			:: atomic { mem[TAKEN(i)] != 0 -> i++ }
			:: mem[TAKEN(i)] == 0 ->
				atomic { FITS(t) -> PUT(t, STORE, TAKEN(i), 1, 0) };
				break
			fi
#else
			if
			:: atomic { FENCE(t) && mem[TAKEN(i)] == 0 -> mem[TAKEN(i)] = 1; break }
			:: atomic { FENCE(t) && mem[TAKEN(i)] != 0 -> i++ }
			fi
#endif
		od;
		atomic { x = turns; turns++; mine[i] = x };
		atomic { FITS(t) -> PUT(t, STORE, TURN(i), x, 0) };
#ifdef RELAXED_NONE
		atomic { FITS(t) -> PUT(t, STORE, TOKEN(i), NONE, 0) };
#else
		atomic { FITS(t) -> PUT(t, STORE, TOKEN(i), NONE, 1) };
#endif
		/* the mutex: a locked instruction */
		atomic { FENCE(t) ->
			if :: mem[TOKEN(i)] == NONE -> since[i] = x :: else fi;
			x = 0 };
#ifdef EARLY_TAKEN
		mem[TAKEN(i)] = 0;
#endif
#ifdef PLAIN_LEAVE
		atomic { x = mem[TOKEN(i)]; since[i] = 0 };
		atomic { FITS(t) -> PUT(t, STORE, TOKEN(i), AGAIN, 0) };
#else
		/* an exchange */
		atomic { FENCE(t) -> x = mem[TOKEN(i)]; mem[TOKEN(i)] = AGAIN; since[i] = 0 };
#endif
#ifndef EARLY_TAKEN
		atomic { FITS(t) -> PUT(t, STORE, TAKEN(i), 0, 1) };
#endif
		atomic {
			if
			:: x != NONE && x != AGAIN -> got[x]++
			:: else
			fi;
			x = 0; i = 0 };
next:		skip
	:: else -> break
	od;
	atomic { FENCE(t) -> over++ }
}

proctype drainer()
{
	byte k, i, first, turn, its, early, picked, who;
	byte before[PLACES];	/* ghost: who waited as the scan began */

	do
	:: k < NTOK ->
		k++;
scan:		atomic {
			before[0] = since[0];
#if PLACES > 1
			before[1] = since[1];
#endif
			first = PLACES; turn = 255; i = 0 };
		do
		:: i < PLACES ->
#ifdef EARLY_TURN
			early = mem[TURN(i)];
#endif
			if
			:: atomic { mem[TOKEN(i)] == NONE -> who = mine[i] };
#ifdef EARLY_TURN
				its = early;
#else
				its = mem[TURN(i)];
#endif
				if :: its < turn -> turn = its; first = i; picked = who :: else fi;
				who = 0
			:: mem[TOKEN(i)] != NONE
			fi;
			i++
		:: else -> break
		od;
		if
		:: first == PLACES -> got[k]++		/* to the zone */
		:: else ->
			if
#ifdef PLAIN_SERVE
			:: atomic { true ->
#else
			:: atomic { mem[TOKEN(first)] == NONE ->
#endif
				mem[TOKEN(first)] = k;
#if PLACES > 1
				/* in turn, if the other has waited all the while */
				assert(mine[first] != picked || before[1 - first] == 0 ||
					since[1 - first] != before[1 - first] ||
					mine[first] < before[1 - first]);
#endif
				since[first] = 0 }
#ifndef PLAIN_SERVE
			:: atomic { mem[TOKEN(first)] != NONE -> goto scan }
#endif
			fi
		fi;
		atomic { its = 0; early = 0; first = 0; turn = 0; picked = 0 }
	:: else -> break
	od;
	over++
}

init
{
	atomic { run waiter(0); run waiter(1); run drainer() };
	/* all have left: each token is with exactly one */
	atomic { over == 3 -> assert(got[1] == 1); assert(NTOK < 2 || got[2] == 1) }
}
