/* SPDX-License-Identifier: MIT
 *
 * pool-known: an entry of the table of pools (src/api/pool_known.c), which a
 * message reads, while the pool is destroyed and another one takes the entry.
 *
 * Property.  A reader that holds the entry of pool 1 reads pool 1 throughout, and
 * no pool that is unmapped.  Destroying waits, but not for ever.
 *
 * Modelled: two readers of pool 1; pool 1 is destroyed at any time; pool 2 looks
 * for an entry at any time, and is destroyed if it got one.  Each access is a full
 * barrier in the code, so a step here.
 *
 * Switches, each removing one rule, and what must come of it:
 *   NO_LOOK        a holder does not look at the state after it has
 *                  marked the entry                                 violation
 *   NO_WAIT        a pool is unmapped without waiting for holders   violation
 *   NO_SECOND_LOOK a creator looks for holders before it claims the
 *                  entry, not after                                 violation
 *   NO_NUMBER      a holder does not compare the number again       violation
 *   NO_LET_GO      a holder that found the entry outdated keeps its
 *                  mark                                             hang
 */
mtype = { LIVE, GONE, CLAIMED };
mtype state = LIVE;
byte number = 1;
byte holders;
bool mapped[3];

inline destroy(n)
{
	state = GONE;
#ifndef NO_WAIT
	(holders == 0);
#endif
	mapped[n] = false
}

proctype destroyer()
{
	destroy(1)
}

proctype creator()
{
	bool claimed;

	mapped[2] = true;
	if
	:: holders == 0 ->
		atomic {
			if
			:: state == GONE -> state = CLAIMED; claimed = true
			:: else
			fi
		}
	:: else
	fi;
	if
#ifndef NO_SECOND_LOOK
	:: claimed && holders != 0 -> state = GONE	/* another entry, then */
	:: claimed && holders == 0 ->
#else
	:: claimed ->
#endif
		number = 2;
		state = LIVE;
		destroy(2)
	:: !claimed
	fi
}

proctype reader()
{
	bool found;

	if
	:: number == 1 ->
		holders++;
#ifdef NO_LOOK
		found = true;
#else
		found = (state == LIVE);
#endif
#ifndef NO_NUMBER
		found = found && number == 1;
#endif
		if
		:: found ->
			assert(number == 1);
			assert(mapped[number]);
			assert(number == 1 && mapped[number]);
			holders--
		:: else ->
#ifndef NO_LET_GO
			holders--
#endif
		fi
	:: else
	fi
}

init
{
	mapped[1] = true;
	atomic {
		run destroyer();
		run creator();
		run reader();
		run reader()
	}
}
