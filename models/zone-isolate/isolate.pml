/* SPDX-License-Identifier: MIT
 *
 * zone-isolate: a block is taken out of use by a bit of its state word,
 * ISOLATED (docs/design.md, section 3, "Isolation").
 *
 * Property.  After the isolator has read {ISOLATED, count 0}, nobody holds a
 * page of the block or gets one until the bit is cleared.  A release of a page
 * that is held is never refused.  No page is held twice, none is lost.  A page
 * that was free, in the zone or in a list, when the block was marked, and that
 * nobody moved, is free in the zone after the drain that follows.  "Empty" is
 * not concluded when an isolator has returned its pages meanwhile.
 *
 * Modelled: one block of two pages.  Page 1 is held at first and released; page
 * 0 is in a list or in the zone.  A CPU that refills its list, pops and releases
 * at will; a call that claims the whole block and releases it; a call that
 * claims one page and keeps it; the isolator, which marks, drains, looks and
 * unmarks once; the watcher of zone-tickets.
 * Sequential consistency: each step on the state word is a locked one.
 *
 * Switches, each removing one rule, with the required verdict:
 *   XCHG_ZERO      a whole block is released by an exchange to 0    violation
 *   CAS_HEAD       its release compares the head with the bit       violation
 *   BIT_BEFORE     a claim looks at the bit before its ticket's
 *                  compare-and-swap, not in it                      violation
 *   BY_BITS        "all free" is concluded from the bits            violation
 *   DRAIN_FIRST    the drain comes before the mark                  violation
 *   NO_DRAIN       there is no drain                                violation
 *   QUIET_UNMARK   the unmark does not move the generation          violation
 *   PLAIN_UNMARK   the unmark stores what was read before           violation
 */
#define N 2
#define WHOLE 64
#define ISO   128
#ifndef START_IN_LIST
#define START_IN_LIST 1
#endif

byte state;		/* count, WHOLE, ISO */
bool taken[N];
bool inlist[N];
byte gen;

/* ghosts */
bool held[N];		/* a caller has it */
bool idle[N];		/* not moved since the mark, in the zone or a list */
byte inside;
bool owned;		/* the isolator has all of it */
byte finished;

#define COUNT(s) ((s) & 63)
#define CLAIMABLE(s) ((s) < N)

inline hold(i) { assert(!held[i] && !owned && !inlist[i]); held[i] = 1; idle[i] = 0 }

inline claim(i)
{
	i = N;
#ifdef BIT_BEFORE
	if
	:: (state & ISO) == 0
	:: (state & ISO) != 0 -> goto none
	fi;
	if
	:: atomic { COUNT(state) < N -> state++; inside++ }
	:: atomic { COUNT(state) >= N -> goto none }
	fi;
#else
	if
	:: atomic { CLAIMABLE(state) -> state++; inside++ }
	:: atomic { !CLAIMABLE(state) -> goto none }
	fi;
#endif
	atomic {
		if
		:: !taken[0] -> i = 0
		:: !taken[1] -> i = 1
		:: else -> assert(false)
		fi;
		taken[i] = 1; inside--; hold(i) }
}

inline release(i)
{
	atomic { held[i] = 0; inside++; taken[i] = 0 };
	state--;
	atomic { gen++; inside-- }
}

proctype cpu()
{
	byte i, k;

	i = 0;
	if
	:: START_IN_LIST -> goto have
	:: !START_IN_LIST
	fi;
	do
	:: k < 2 ->
		k++;
		claim(i);
		atomic { held[i] = 0; inlist[i] = 1 };
have:		if		/* a pop, or a drain was first */
		:: atomic { inlist[i] -> inlist[i] = 0; held[i] = 1; idle[i] = 0 };
			if
			:: release(i)
			:: atomic { held[i] = 0; inlist[i] = 1 }; break
			fi
		:: atomic { !inlist[i] -> skip }
		:: break	/* it stays in the list */
		fi
	:: break
	od;
none:	atomic { finished++; i = 0; k = 0 }
}

proctype owner()		/* of page 1 */
{
	release(1);
	finished++
}

proctype single()
{
	byte i;

	claim(i);
none:	atomic { finished++; i = 0 }
}

proctype whole()
{
	byte s;

	if
	:: atomic { state == 0 -> state = WHOLE + N; hold(0); hold(1) }
	:: atomic { state != 0 -> goto none }
	fi;
	atomic { held[0] = 0; held[1] = 0; inside = inside + N };
#if defined(XCHG_ZERO)
	state = 0;
#elif defined(CAS_HEAD)
	atomic { assert(state == WHOLE + N); state = 0 };
#else
	atomic { s = state & ISO; state = s; s = 0 };
#endif
	atomic { gen++; inside = inside - N };
none:	finished++
}

inline drain()
{
	if
	:: atomic { inlist[0] -> inlist[0] = 0; inside++ };
		taken[0] = 0; state--; atomic { gen++; inside-- }
	:: atomic { !inlist[0] }
	fi;
	if
	:: atomic { inlist[1] -> inlist[1] = 0; inside++ };
		taken[1] = 0; state--; atomic { gen++; inside-- }
	:: atomic { !inlist[1] }
	fi
}

proctype isolator()
{
	byte s;

#ifdef DRAIN_FIRST
	drain();
#endif
	atomic { state = state | ISO;
		idle[0] = inlist[0] || !taken[0]; idle[1] = inlist[1] || !taken[1];
		if :: inside > 0 -> idle[0] = 0; idle[1] = 0 :: else fi };
#if !defined(DRAIN_FIRST) && !defined(NO_DRAIN)
	drain();
#endif
	assert(state & ISO);	/* only the isolator clears it */
#ifdef BY_BITS
	if
	:: atomic { !taken[0] && !taken[1] && !(state & WHOLE) ->
#else
	if
	:: atomic { state == ISO ->
#endif
		assert(!held[0] && !held[1] && !inlist[0] && !inlist[1]);
		owned = 1 };
		owned = 0
	:: atomic { state != ISO ->
		assert(!(idle[0] && inlist[0]) && !(idle[1] && inlist[1])) }
	fi;
	/* returned */
#ifdef PLAIN_UNMARK
	s = state & 127;
	atomic { state = s; inside++ };
#else
	atomic { state = state & 127; inside++ };
#endif
	atomic {
#ifndef QUIET_UNMARK
		gen++;
#endif
		inside--; finished++; idle[0] = 0; idle[1] = 0; s = 0 }
}

/* Concludes "empty" if the block had nothing and the generation stood still:
 * then no call that has returned brought a page back; an unmark is such a call. */
proctype watcher()
{
	byte g;

	g = gen;
	if :: atomic { CLAIMABLE(state) -> goto out } :: atomic { !CLAIMABLE(state) } fi;
	if
	:: atomic { gen == g -> assert(!CLAIMABLE(state) || inside > 0) }
	:: atomic { gen != g }
	fi;
out:	g = 0
}

init
{
	atomic {
		taken[1] = 1; held[1] = 1; state = 1;
		if
		:: START_IN_LIST -> taken[0] = 1; inlist[0] = 1; state = 2
		:: !START_IN_LIST
		fi;
		run cpu(); run owner(); run single(); run whole(); run isolator(); run watcher() };
	atomic { finished == 5 ->
		assert(state == WHOLE + N || COUNT(state) == taken[0] + taken[1]);
		assert((state & WHOLE) || taken[0] == (held[0] || inlist[0]));
		assert((state & WHOLE) || taken[1] == (held[1] || inlist[1]));
		assert(!(state & ISO)) }
}
