/* SPDX-License-Identifier: MIT
 *
 * zone-tickets: tickets before bits, runs, whole blocks, summaries as hints
 * (docs/design.md, section 3, "Block", "Zone").
 *
 * Property.  No page is held twice.  A ticket always finds its bit.  When a
 * watcher, who reads the generation, walks to a full block, and reads the same
 * generation, says "empty" (P2), every page was held by a caller at some
 * moment in between, or is inside a call still in progress that holds it or has
 * seen it free; and no call that is over has left a page behind.  When all is
 * quiet, a block with a free page shows in the summary.
 *
 * Modelled: one block of four pages; SINGLES calls that claim a page, one that
 * releases page 3, held at the start, one that claims an aligned pair bit by
 * bit in ascending order (as a run across words is) and rolls back when a bit
 * is lost (PAIR), one that claims the whole block by one compare-and-swap
 * (WHOLE); the watcher.  With GIVE_BACK what was claimed is released again.
 * Every call may stop for ever at any point.
 * Abstracted: the search for a free bit is one step (in the code it may have to
 * look again, as bits move); sequential consistency (all are locked).
 *
 * Switches, each removing one rule, with the required verdict:
 *   BITS_FIRST     one claim sets its bit, then adds to used     violation
 *   TICKET_FIRST   a release subtracts, then clears its bit      violation
 *   BLIND_RUN      a run takes its tickets before it looks       violation
 *   NO_RECHECK     no second look after a summary's clear        violation
 *   BY_SUMMARY     "empty" is concluded from the summary         violation
 *   QUIET_ROLLBACK a roll-back does not change the generation    violation
 *   QUIET_RELEASE  a release does not change the generation      violation
 *   BUMP_FIRST     the generation changes before the page comes
 *                  back                                          violation
 *   WHOLE_BY_BITS  a whole block is claimed because its bits are
 *                  clear, not because used is 0                  violation
 */
#ifndef SINGLES
#define SINGLES 2
#endif
#ifndef PAIR
#define PAIR 1
#endif
#ifndef WHOLE
#define WHOLE 0
#endif
#ifndef GIVE_BACK
#define GIVE_BACK 0
#endif
#define N 4
#define ALL 200

byte used;			/* tickets, or ALL: the state word */
bool taken[N];
bool summary = 1;		/* this block may have a free page */
byte gen;

/* ghosts */
bool held[N];			/* a caller has it */
bool idle[N];			/* not held at any moment since the watcher began */
byte inside;			/* pages inside calls in progress */
byte finished;

#define FULL (used >= N)

inline hold(i)
{
	assert(!held[i]);
	held[i] = 1; idle[i] = 0
}

inline clear_summary()		/* the block has become full, so it seemed */
{
	if
	:: FULL ->
		summary = 0;
#ifndef NO_RECHECK
		if :: !FULL -> summary = 1 :: else fi
#endif
	:: else
	fi
}

inline release(i)		/* of one page */
{
	atomic { held[i] = 0; inside++ };
#ifdef BUMP_FIRST
	gen++;
#endif
#ifdef TICKET_FIRST
	used--;
	taken[i] = 0;
#else
	taken[i] = 0;
	used--;
#endif
	summary = 1;
#if defined(QUIET_RELEASE) || defined(BUMP_FIRST)
	inside--
#else
	atomic { gen++; inside-- }
#endif
}

proctype single(bool starts_held; bool bits_first)
{
	byte i;

	if
	:: starts_held -> i = 3; goto give_back
	:: else
	fi;
	if :: bits_first -> goto set_bit :: else fi;
	if
	:: atomic { !FULL -> used++; inside++ }
	:: atomic { FULL -> goto out }
	fi;
	atomic {
		if
		:: !taken[0] -> i = 0
		:: !taken[1] -> i = 1
		:: !taken[2] -> i = 2
		:: !taken[3] -> i = 3
		:: else -> assert(false)	/* a ticket without a bit */
		fi;
		taken[i] = 1; inside--; hold(i) };
	goto got;
set_bit:	/* the wrong way round */
	atomic {
		if
		:: !FULL && !taken[0] -> i = 0
		:: !FULL && !taken[1] -> i = 1
		:: !FULL && !taken[2] -> i = 2
		:: else -> goto out
		fi;
		taken[i] = 1; inside++ };
	if
	:: atomic { !FULL -> used++; inside--; hold(i) }
	:: atomic { FULL -> taken[i] = 0; inside--; goto out }
	fi;
got:
	clear_summary();
	if :: !GIVE_BACK -> goto out :: else fi;
give_back:
	release(i);
out:	atomic { finished++; i = 0 }
}

proctype pair()
{
	byte i;
	bool seen;

#ifndef BLIND_RUN
	/* look first */
	if
	:: atomic { !taken[0] && !taken[1] -> i = 0 }
	:: atomic { !taken[2] && !taken[3] -> i = 2 }
	:: atomic { (taken[0] || taken[1]) && (taken[2] || taken[3]) -> goto out }
	fi;
#endif
	if
#ifdef BLIND_RUN
	:: atomic { used + 2 <= N -> used = used + 2 }
#else
	:: atomic { used + 2 <= N -> used = used + 2; inside = inside + 2 }
#endif
	:: atomic { used + 2 > N -> goto out }
	fi;
#ifdef BLIND_RUN
	if
	:: atomic { !taken[0] && !taken[1] -> i = 0; inside = inside + 2 }
	:: atomic { !taken[2] && !taken[3] -> i = 2; inside = inside + 2 }
	:: atomic { (taken[0] || taken[1]) && (taken[2] || taken[3]) ->
		used = used - 2; gen++; summary = 1; goto out }
	fi;
#endif
	/* ascending order; a lost bit: roll back */
	if
	:: atomic { !taken[i] -> taken[i] = 1 }
	:: atomic { taken[i] -> goto undo }
	fi;
	if
	:: atomic { !taken[i + 1] -> taken[i + 1] = 1; inside = inside - 2;
		hold(i); hold(i + 1) }
	:: atomic { taken[i + 1] -> skip };
		taken[i] = 0;
		goto undo
	fi;
	clear_summary();
	if :: !GIVE_BACK -> goto out :: else fi;
	release(i);
	release(i + 1);
	goto out;
undo:
	used = used - 2;
	summary = 1;
	atomic {
#ifndef QUIET_ROLLBACK
		gen++;
#endif
		inside = inside - 2 };
out:	finished++
}

proctype whole()
{
	if
#ifdef WHOLE_BY_BITS
	:: atomic { !taken[0] && !taken[1] && !taken[2] && !taken[3] && used != ALL ->
#else
	:: atomic { used == 0 ->
#endif
		used = ALL; hold(0); hold(1); hold(2); hold(3) }
	:: atomic { used != 0 -> goto out }
	fi;
	clear_summary();
	if :: !GIVE_BACK -> goto out :: else fi;
	atomic { held[0] = 0; held[1] = 0; held[2] = 0; held[3] = 0;
		inside = inside + N };
#ifdef BUMP_FIRST
	gen++;
#endif
	used = 0;
	summary = 1;
#if defined(QUIET_RELEASE) || defined(BUMP_FIRST)
	inside = inside - N;
#else
	atomic { gen++; inside = inside - N };
#endif
out:	finished++
}

proctype watcher()
{
	byte g;

	atomic { g = gen; idle[0] = !held[0]; idle[1] = !held[1];
		idle[2] = !held[2]; idle[3] = !held[3] };
#ifdef BY_SUMMARY
	if :: atomic { summary -> goto out } :: atomic { !summary } fi;
#else
	if :: atomic { !FULL -> goto out } :: atomic { FULL } fi;
#endif
	/* the drain would be here: no lists in this model */
	if
	:: atomic { gen == g ->		/* empty, says the watcher */
		assert(idle[0] + idle[1] + idle[2] + idle[3] <= inside);
		/* and no call that is over has brought a page back */
		assert(FULL || inside > 0) }
	:: atomic { gen != g }
	fi;
out:	atomic { idle[0] = 0; idle[1] = 0; idle[2] = 0; idle[3] = 0 }
}

init
{
	atomic {
		held[3] = 1; taken[3] = 1; used = 1;
		run single(1, 0);
#if SINGLES > 0
#ifdef BITS_FIRST
		run single(0, 1);
#else
		run single(0, 0);
#endif
#endif
#if SINGLES > 1
		run single(0, 0);
#endif
#if PAIR
		run pair();
#endif
#if WHOLE
		run whole();
#endif
		run watcher()
	};
	atomic { finished == 1 + SINGLES + PAIR + WHOLE ->
		assert(used == ALL || used == held[0] + held[1] + held[2] + held[3]);
		assert(used == ALL || (taken[0] == held[0] && taken[1] == held[1] &&
			taken[2] == held[2] && taken[3] == held[3]));
		assert(summary || FULL) }
}
