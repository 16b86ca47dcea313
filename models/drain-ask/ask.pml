/* SPDX-License-Identifier: MIT
 *
 * drain-ask: taking over the result of another thread's drain, with store buffers
 * (docs/design.md, section 5, "Taking over"; src/percpu/result.c).
 *
 * Property.  A thread puts a page into a CPU's list, is moved from there, finds
 * nothing elsewhere and asks.  If it then takes over the result of a drain, that
 * drain found the page, or left it pending, or another thread took it. Otherwise
 * "no memory" is reported while a list had a page all the time.
 *
 * Modelled: one asker, one drainer that makes NDR drains (its number, the
 * survey that skips lists that read empty, the exchange of the others, the
 * flush), the mutex, a buffer for the stores of each.  The asker's page is a
 * plain commit, and leaves its buffer at any time: other lists than the one
 * looked in (another order's) are those of the CPU it is still on.
 * Left out: evidence (drain-*; here it is that the commit has landed), several
 * CPUs, the generation (pool-empty).
 *
 * Switches, each removing one rule, with the required verdict:
 *   NO_ASK_FENCE    the count is read without DRAIN-F2            violation
 *   NO_BEGIN_FENCE  the number is stored without DRAIN-F3: the
 *                   survey's loads pass it                        violation
 *   LAST_EQUAL      a drain of the number that was read suffices   violation
 */
#ifndef NDR
#define NDR 2
#endif
#define T 2
#define B 2
#define M 2
#include "../common/stores.h"

#define ASKER   0
#define DRAINER 1
/* places */
#define COUNT 0		/* in the list's header */
#define BEGUN 1

bool mutex;
byte last;		/* number of the last drain that ended */
byte found;		/* what it found */
byte got;		/* what drains took, ever */

inline drain(t)
{
	/* the mutex is held */
	atomic { FITS(t) -> LOAD(k, t, BEGUN); k++; PUT(t, STORE, BEGUN, k, 0) };
#ifndef NO_BEGIN_FENCE
	FENCE(t);
#endif
	atomic { LOAD(n, t, COUNT) };		/* the survey */
	if
	:: n > 0 ->
		FENCE(t);			/* the exchange */
		EMPTY(ASKER);			/* evidence */
		atomic { n = mem[COUNT]; mem[COUNT] = 0; got = got + n }
	:: else
	fi;
	atomic { last = k; found = n }
}

active proctype asker()
{
	byte asked, k, n;

	atomic { FITS(ASKER) -> PUT(ASKER, STORE, COUNT, 1, 1) };
	/* nothing in this list, nothing in the zone: a page that a drain takes
	 * from now on shows in the generation */
	if :: got > 0 -> goto out :: else fi;
#ifndef NO_ASK_FENCE
	FENCE(ASKER);
#endif
	atomic { LOAD(asked, ASKER, BEGUN) };
	atomic { FENCE(ASKER) && !mutex -> mutex = 1 };
	if
#ifdef LAST_EQUAL
	:: last >= asked && last > 0 ->
#else
	:: last > asked ->
#endif
		assert(found > 0 || got > 0)
	:: else ->
		drain(ASKER);
		assert(found > 0 || got > 0)
	fi;
	atomic { FENCE(ASKER) -> mutex = 0 };
out:	skip
}

active proctype drainer()
{
	byte i, k, n;

	do
	:: i < NDR ->
		i++;
		atomic { FENCE(DRAINER) && !mutex -> mutex = 1 };
		drain(DRAINER);
		atomic { FENCE(DRAINER) -> mutex = 0; n = 0; k = 0 }
	:: else -> break
	od
}
