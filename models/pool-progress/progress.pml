/* SPDX-License-Identifier: MIT
 *
 * pool-progress: P3, one thread stops for ever, at any point.
 *
 * Property.  All others end: a free and a NOWAIT allocation without ever waiting,
 * an allocation that may wait by its deadline at the latest, which comes only
 * after nothing else can run.  Else invalid end state; and a search for a
 * ticket's bit looks at no more bits than there are, twice: else violation.
 *
 * Modelled: one quiet CPU's list of one page (a sequence is one step, or it is
 * aborted: its thread is stopped with its mark in busy), a zone of two pages,
 * ticket before bits, the drain mutex, a drain that waits for the mark; three
 * threads: one frees, one allocates NOWAIT, one may wait; each may be the one
 * that is stopped.
 * Left out: what is found (pool-empty), locked mode (locked-area, LOCK_WAITS),
 * several exchanges.
 *
 * Switches, each removing one rule, with the required verdict:
 *   FREE_LOCKS     a free to a full list takes the drain mutex       hang
 *   NOWAIT_DRAINS  a NOWAIT allocation drains                        hang
 *   NO_DEADLINE    a wait has no deadline                            hang
 *   ZONE_LOCK      the zone is under a lock                          hang
 *   BITS_FIRST     a call waits for a bit that no ticket covers  violation
 */
#define FREE   0
#define NOWAIT 1
#define WAIT   2

byte frozen = 255;
byte over;
bool mutex, zlock, late;
byte busy;			/* 1 + thread: its mark */
byte active_, list = 1;
byte used = 1;
bool bit0 = 1, bit1;

#define STEP(a) atomic { frozen != t -> a }
#define RUNS (frozen != t)

active proctype fate()
{
	/* somebody stands still, or nobody does */
	if
	:: frozen = FREE :: frozen = NOWAIT :: frozen = WAIT
	:: frozen = 254
	fi;
	/* the deadline: nothing else can be done */
	timeout -> late = 1
}

#ifdef ZONE_LOCK
#define ZLOCK atomic { RUNS && !zlock -> zlock = 1 }
#define ZUNLOCK STEP(zlock = 0)
#else
#define ZLOCK skip
#define ZUNLOCK skip
#endif

/* Claims a page from the zone: got says whether there was one. */
inline claim()
{
	ZLOCK;
#ifdef BITS_FIRST
	STEP(got = 1);
#else
	STEP(if :: used < 2 -> used++; got = 1 :: else fi);
#endif
	looks = 0;
	do
	:: got ->
		atomic { RUNS -> looks++; assert(looks <= 4);
			if :: !bit0 -> bit0 = 1; break :: else fi };
		atomic { RUNS -> looks++; assert(looks <= 4);
			if :: !bit1 -> bit1 = 1; break :: else fi }
	:: !got -> break
	od;
	looks = 0;
	ZUNLOCK
}

/* A sequence on the CPU: all in one, or cut after its mark.  pop or push. */
inline sequence(want)
{
	atomic { RUNS -> busy = 1 + t };
	if
	:: atomic { RUNS -> got = 0;
		if
		:: want == 1 && list > 0 -> list--; got = 1
		:: want == 0 && list < 1 -> list++; got = 1
		:: else
		fi;
		if :: busy == 1 + t -> busy = 0 :: else fi }
	:: atomic { RUNS -> if :: busy == 1 + t -> busy = 0 :: else fi; got = 0 }
	fi
}

proctype thread(byte t)
{
	byte looks;
	bool got;

	if
	:: t == FREE ->
		sequence(0);
		if
		:: !got ->
#ifdef FREE_LOCKS
			atomic { RUNS && !mutex -> mutex = 1 };
#endif
			ZLOCK;
			STEP(bit0 = 0);
			STEP(used--);
			ZUNLOCK;
#ifdef FREE_LOCKS
			STEP(mutex = 0);
#endif
		:: else
		fi
	:: else ->
		sequence(1);
		if :: got -> goto out :: else fi;
		claim();
		if :: got -> goto out :: else fi;
#ifndef NOWAIT_DRAINS
		if :: t == NOWAIT -> goto out :: else fi;
#endif
		if
		:: atomic { RUNS && !mutex -> mutex = 1 }
#ifndef NO_DEADLINE
		:: RUNS && late && t == WAIT -> goto out
#endif
		fi;
		STEP(active_++; looks = busy);
		if
		:: RUNS && (looks == 0 || busy != looks) ->
			STEP(if :: list > 0 -> list--; got = 1 :: else fi)
#ifndef NO_DEADLINE
		:: RUNS && late && t == WAIT -> skip		/* pending */
#endif
		fi;
		STEP(mutex = 0; looks = 0)
	fi;
out:	over++
}

init
{
	atomic { run thread(FREE); run thread(NOWAIT); run thread(WAIT) };
	/* all but the one that stands still, which may have ended before */
	over == 3 || (over == 2 && frozen < 3);
	/* it is left where it stands */
	frozen = 255
}
