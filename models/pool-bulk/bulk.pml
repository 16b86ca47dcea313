/* SPDX-License-Identifier: MIT
 *
 * pool-bulk: two bulk allocations, all or none, against each other
 * (docs/design.md, section 5).
 *
 * Property.  P pages in all, which no other thread holds; two calls want N0 and N1, each
 * of which could be served alone.  They do not both fail with ENOMEM: at most
 * one of them may.  (Both may give up with EAGAIN after their rounds.)  No
 * page is lost.  A single call that wants more than there is fails with ENOMEM.
 *
 * Modelled: where pages are (the zone, two lists, the two calls), the steps of a
 * round: the generation; list and zone; the part goes back; a drain, whose pages go
 * to its own need first; the zone; the part goes back; the judgement.
 * Left out: waiters' places (cache-waiters), pending sets and taking over
 * (pool-empty), drains for a part only (a full drain does more).
 *
 * Switches, each removing one rule, with the required verdict:
 *   KEEP_PART      a call keeps its part over drains               violation
 *   KEEP_LAST      ... gives it back before drains, keeps it until
 *                  it has judged                                   violation
 *   NOT_OWN        what it gave back itself counts as coming back: a
 *                  single call for too much never fails            violation
 */
#ifndef P
#define P 4
#endif
#ifndef N0
#define N0 3
#endif
#ifndef N1
#define N1 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

byte zone, list[2], gen;
bool mutex;
byte has[2];			/* pages each call holds */
byte said[2];			/* 1: served, 2: EAGAIN, 3: ENOMEM */

#define LACKS (n - has[t])
inline take(from)
{
	atomic {
		x = (from < LACKS -> from : LACKS);
		from = from - x; has[t] = has[t] + x; x = 0
	}
}
#define ENOUGH (has[t] == n)

inline give_back()
{
	atomic {
		if
		:: has[t] > 0 ->
			zone = zone + has[t]; has[t] = 0; gen++;
#ifndef NOT_OWN
			before++
#endif
		:: else
		fi
	}
}

proctype bulk(byte t; byte n)
{
	byte before, x, k, c;

	do
	:: k < ROUNDS ->
		k++;
		before = gen;
		take(list[t]);
		take(zone);
		if :: ENOUGH -> said[t] = 1; goto out :: else fi;
#ifndef KEEP_PART
		give_back();
#endif
		atomic { !mutex -> mutex = 1 };
		/* both lists: its own need, the rest to the zone */
		c = 0;
		do
		:: c < 2 ->
			atomic {
				x = (list[c] < LACKS -> list[c] : LACKS);
				list[c] = list[c] - x; has[t] = has[t] + x;
				if
				:: list[c] > 0 -> zone = zone + list[c]; list[c] = 0; gen++
				:: else
				fi;
				x = 0; c++ }
		:: else -> break
		od;
		mutex = 0;
		take(zone);
		if :: ENOUGH -> said[t] = 1; goto out :: else fi;
#if !defined(KEEP_PART) && !defined(KEEP_LAST)
		give_back();
#endif
		if :: gen == before -> said[t] = 3; goto out :: gen != before fi
	:: else -> said[t] = 2; break
	od;
out:	/* a call that failed gives its part back; one that did not keeps it */
	if
	:: said[t] != 1 -> atomic { zone = zone + has[t]; has[t] = 0; gen++ }
	:: else
	fi;
	atomic { before = 0; c = 0; k = 0 }
}

init
{
	atomic {
		if
		:: list[0] = P / 2; list[1] = P - P / 2
		:: zone = P
		:: list[0] = P - 1; zone = 1
		fi;
		run bulk(0, N0);
#if N1 > 0
		run bulk(1, N1)
#else
		said[1] = 2
#endif
	};
	atomic { said[0] > 0 && said[1] > 0 && !mutex && _nr_pr == 1 ->
		assert(zone + list[0] + list[1] + has[0] + has[1] == P);
#if N1 > 0
		assert(said[0] != 3 || said[1] != 3)
#else
		assert(said[0] == (N0 <= P -> 1 : 3))
#endif
	}
}
