/* SPDX-License-Identifier: MIT
 *
 * zone-grow: a block is added to a pool in use (docs/design.md, section 3,
 * "Growth"), with store buffers.
 *
 * Property.  A free of a page that was claimed is never refused as a page that
 * does not exist.  No page is claimed before its block was added, none is held
 * twice.  Statistics never show more free pages than exist.  "Empty" is not
 * concluded when a growth that has returned added a block meanwhile.  When all
 * is quiet, the area of each CPU that is awake has the new bound.
 *
 * Modelled: one block of one page, absent at first (its state word reads full);
 * the grower, which writes what exists (PRESENT), the bound in the area (BOUND),
 * the state, the generation; CPU A, which claims the page and hands it over to
 * CPU B; B, which frees it: inlined if its area's bound admits the page, else by
 * the slow path, which compares with PRESENT; a reader of statistics in another
 * process; the watcher of zone-tickets.  With WAKE, instead of B, a CPU that was
 * asleep sets up its area from PRESENT.  Store buffers: TSO, or with PSO stores
 * that pass each other.
 * Left out: bits; summaries (an added block is a block that comes back:
 * zone-summary); evidence.
 *
 * Switches, each removing one rule, with the required verdict:
 *   BOUND_LATE      the block is free before the areas' bounds
 *                   are written                                  pass: some
 *                   frees take the slow path
 *   PLAIN_STATE     (with PSO) the state is stored, not exchanged  violation
 *   PRESENT_LATE    what exists is written after the block is free violation
 *   NO_READER       (no rule: there is no reader of statistics)
 *   READ_FIRST      a reader reads what exists before the states   violation
 *   NO_ADVANCE      a growth does not move the generation          violation
 *   TWO_GROWERS     two growths at once                            violation
 *   HOLE            the state of an absent block was not written   violation
 *   WAKE_UNLOCKED   (with WAKE) a growth writes the areas' bounds
 *                   without the drain mutex                        violation
 */
#define T 3
#define B 3
#define M 6
#include "../common/stores.h"

#define GROWER 0
#define CPU_A  1
#define CPU_B  2
/* places */
#define STATE   0	/* used count: 1 full, 0 free */
#define BOUND   1	/* of B's area: pages below it may be freed inline */
#define PRESENT 2	/* pages that exist */
#define GEN     3
#define AWAKE   4	/* B's area is set up */
#define MUTEX   5	/* the drain mutex */

byte page_at;		/* 0: the zone, 1: held by A, 2: handed over, 3: by B */
byte holders;
byte over;		/* threads that wrote BOUND and are done */

/* ghosts */
bool added;		/* a growth has made the block free */
bool grown;		/* a growth has returned */
byte inside;		/* pages inside a growth */

inline store(t, x, v, rel) { atomic { FITS(t) -> PUT(t, STORE, x, v, rel) } }

/* An acquire, and a release which later stores may pass. */
inline lock() { atomic { mem[MUTEX] == 0 -> mem[MUTEX] = 1 } }
inline unlock(t) { store(t, MUTEX, 0, 1) }

/* In all areas that are set up. */
inline raise_bound(t)
{
#ifndef WAKE_UNLOCKED
	lock();
#endif
	atomic { LOAD(p, t, AWAKE) };
	if
	:: p == 1 -> store(t, BOUND, 1, 0)
	:: p == 0
	fi;
#ifndef WAKE_UNLOCKED
	unlock(t)
#endif
}

inline grow(t)
{
	byte p;
	atomic { LOAD(p, t, PRESENT) };
	if
	:: p == 1 -> goto done
	:: p == 0
	fi;
#if !defined(PRESENT_LATE)
	store(t, PRESENT, 1, 0);
#endif
#if !defined(BOUND_LATE)
	raise_bound(t);
#endif
#ifdef PLAIN_STATE
	atomic { FITS(t) -> PUT(t, STORE, STATE, 0, 0); added = 1 };
#else
	atomic { FENCE(t) -> mem[STATE] = 0; added = 1; inside++ };
#endif
#ifdef BOUND_LATE
	raise_bound(t);
#endif
#ifdef PRESENT_LATE
	store(t, PRESENT, 1, 0);
#endif
	atomic { FENCE(t) ->
#ifndef NO_ADVANCE
		mem[GEN]++;
#endif
#ifndef PLAIN_STATE
		inside--;
#endif
		grown = 1 };
done:	skip
}

proctype grower()
{
	grow(GROWER);
	atomic { EMPTY(GROWER) -> over++ }
}

proctype cpu_a()
{
#ifdef TWO_GROWERS
	if
	:: skip; goto claim
	:: skip
	fi;
	grow(CPU_A);
claim:
#endif
	do
	:: atomic { FENCE(CPU_A) && mem[STATE] == 0 && holders < 2 ->
		mem[STATE] = 1; assert(added); holders++;
		assert(holders == 1); page_at = 1 };
		/* Any hand-over that orders. */
		atomic { EMPTY(CPU_A) -> page_at = 2 }
	:: break
	od
}

proctype cpu_b()
{
	byte b;

	do
	:: atomic { page_at == 2 -> page_at = 3 };
		atomic { LOAD(b, CPU_B, BOUND) };
		if
		:: skip ->	/* refused by the bound, or a full list */
			atomic { LOAD(b, CPU_B, PRESENT) };
			assert(b == 1)	/* else the free is refused */
		:: b == 1
		fi;
		atomic { FENCE(CPU_B) -> page_at = 0; holders--; mem[STATE] = 0; mem[GEN]++; b = 0 };
		break
	:: break
	od
}

/* The first slow path on a CPU that was asleep. */
proctype waker()
{
	byte p;

	lock();
	atomic { LOAD(p, CPU_B, PRESENT) };
	store(CPU_B, BOUND, p, 0);
	store(CPU_B, AWAKE, 1, 0);
	unlock(CPU_B);
	atomic { EMPTY(CPU_B) -> over++ }
}

proctype reader()
{
	byte f, p;

#ifdef READ_FIRST
	p = mem[PRESENT];
	f = 1 - mem[STATE];
#else
	f = 1 - mem[STATE];
	p = mem[PRESENT];
#endif
	assert(f <= p)
}

proctype watcher()
{
	byte g;

	g = mem[GEN];
	if :: atomic { mem[STATE] == 0 -> goto out } :: atomic { mem[STATE] != 0 } fi;
	if
	:: atomic { mem[GEN] == g -> assert(mem[STATE] != 0 || inside > 0 || !grown) }
	:: atomic { mem[GEN] != g }
	fi;
out:	skip
}

init
{
	atomic {
#ifndef HOLE
		mem[STATE] = 1;
#endif
		run grower(); run cpu_a(); run watcher();
#ifdef WAKE
		run waker();
#else
		mem[AWAKE] = 1; run cpu_b();
#endif
#ifndef NO_READER
		run reader();
#endif
		skip
	};
#ifdef WAKE
	atomic { over == 2 -> assert(mem[BOUND] == 1) }
#endif
}
