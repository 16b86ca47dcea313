/* SPDX-License-Identifier: MIT
 *
 * pool-empty: no false empty (docs/design.md, promise P2 and section 5).
 *
 * Property.  When a call that may wait says ENOMEM, then (1) every page was
 * held by a caller at some moment since its last round began; (2) it relies on
 * a full drain that began after it asked and left nothing pending, and no release
 * into the zone was completed during that drain; and when a drain found pages,
 * (3) the drainer's own call got one; (4) no page handed to a waiter is lost.
 *
 * Modelled: two pages, the lists of two CPUs, a zone with its generation; two
 * calls that may wait (zone, then a drain of their own or another's); two
 * users, one on each CPU, that take and free pages without waiting; drains
 * under a mutex: exchange all CPUs, then evidence and flush CPU by CPU, the
 * drainer's need first, then queued waiters in order, the rest to the zone; a
 * drain may stop when its own need is met (and so is not complete) or leave pages
 * pending (LATE 1); a waiter's deadline (DEADLINE 1); ROUNDS rounds, then EAGAIN.
 * Abstracted: zone claims are one step (zone-tickets has the rest), evidence is
 * an oracle (drain-*), lists have no limit; a user's free may go to the zone.
 *
 * Switches, each removing one rule, with the required verdict:
 *   NO_GENERATION   the generation is not compared               violation
 *   LATE_GENERATION it is first read when the drain is over      violation
 *   QUIET_FLUSH     a drain's own releases do not change it      violation
 *   ZONE_FIRST      drained pages all go to the zone, from where
 *                   the drainer takes its own                    violation
 *   TAKE_OLDER      the result of a drain that began before the
 *                   call asked is taken over                     violation
 *   IGNORE_PENDING  a drain that left pages pending counts             violation
 *   TAKE_PARTIAL    a drain that stopped early counts            violation
 *   PLAIN_LEAVE     a waiter leaves the queue without looking
 *                   whether it was served                        violation
 *   INSTANT         (no rule) a stronger claim, not promised: at
 *                   one instant of the call no page was free     violation
 *   INSTANT STILL   ... if ENOMEM needs lists on which nothing
 *                   happened from exchange to the drain's end    pass
 * LISTS_ONLY: users free to their lists only.
 */
#ifndef LATE
#define LATE 0
#endif
#ifndef DEADLINE
#define DEADLINE 0
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef STEPS
#define STEPS 2			/* operations of each user */
#endif
#ifndef WAITERS
#define WAITERS 2
#endif
#define P 2

/* where a page is */
#define ZONE 0
#define LIST 1			/* 1, 2: the list in use of CPU 1, 2 */
#define OLD 3			/* 3, 4: taken away by a drain, or pending */
#define HELD 10			/* + 0, 1: the calls that wait; 2, 3: users */
#define IS_HELD(p) (place[p] >= HELD)

/* a waiter's slot in the queue */
#define OUT 0
#define WAITING 1
#define SERVED 2

byte place[P];
byte gen;
bool mutex;
byte begun, ended;		/* numbers of drains */
bool res_whole, res_pending;	/* the result of drain `ended` */
byte ops[2];			/* operations on each CPU's list */
byte slot[2], gift[2];

/* ghosts */
bool idle0[P], idle1[P];	/* never held since that call's round began */
bool instant[2];		/* no page was free at some moment since */
byte back;			/* completed releases into the zone */
byte back_begun, back_ended;	/* ... at the two ends of drain `ended` */
byte back_now;

inline now_held(p, who)
{
	place[p] = HELD + (who);
	idle0[p] = 0; idle1[p] = 0;
	if
	:: IS_HELD(0) && IS_HELD(1) -> instant[0] = 1; instant[1] = 1
	:: else
	fi
}

inline begin_round(w)
{
	if
	:: w == 0 -> idle0[0] = !IS_HELD(0); idle0[1] = !IS_HELD(1)
	:: w == 1 -> idle1[0] = !IS_HELD(0); idle1[1] = !IS_HELD(1)
	fi;
	instant[w] = (IS_HELD(0) && IS_HELD(1))
}

#define SOME(where) (place[0] == (where) || place[1] == (where))
#define ANY(where, p) \
	if \
	:: place[0] == (where) -> p = 0 \
	:: place[1] == (where) -> p = 1 \
	:: else -> p = P \
	fi

/* A user of CPU i (1 or 2): pops or claims, frees to its list or the zone. */
proctype user(byte i)
{
	byte n, p;

	do
	:: n < STEPS ->
		n++;
		if
		:: atomic { SOME(HELD + 1 + i) -> ANY(HELD + 1 + i, p); place[p] = LIST + i - 1;
			ops[i - 1]++; p = 0 }
#ifndef LISTS_ONLY
		:: atomic { SOME(HELD + 1 + i) -> ANY(HELD + 1 + i, p); place[p] = ZONE; p = 0 };
			atomic { gen++; back++ }
#endif
		:: atomic { SOME(LIST + i - 1) -> ANY(LIST + i - 1, p); now_held(p, 1 + i);
			ops[i - 1]++; p = 0 }
		:: atomic { SOME(ZONE) -> ANY(ZONE, p); now_held(p, 1 + i); p = 0 }
		:: skip
		fi
	:: else -> break
	od
}

/* A drained page: the drainer's need, then the waiters in order, the zone. */
inline hand_out(p)
{
	atomic {
		if
#ifdef ZONE_FIRST
		:: place[p] = ZONE; gen++
#else
		:: !mine -> now_held(p, w); mine = 1
		:: mine && slot[1 - w] == WAITING ->
			now_held(p, 1 - w); slot[1 - w] = SERVED; gift[1 - w] = p
		:: mine && slot[1 - w] != WAITING -> place[p] = ZONE;
#ifndef QUIET_FLUSH
			gen++
#else
			skip
#endif
#endif
		fi;
		found = 1 }
}

proctype waiter(byte w)
{
	byte g, p, n, asked, cpu;
#ifdef STILL
	byte snap[2];
#endif
	bool mine, found, whole, pending;

	do
	:: n < ROUNDS ->
		n++;
		atomic { begin_round(w); g = gen };
		atomic { ANY(ZONE, p);
			if
			:: p < P -> now_held(p, w); mine = 1; goto out
			:: else -> p = 0
			fi };
		/* ask */
		atomic { asked = begun; slot[w] = WAITING };
		if
		:: atomic { !mutex && slot[w] == WAITING -> mutex = 1; slot[w] = OUT };
			goto drain
		:: atomic { slot[w] == SERVED -> slot[w] = OUT; mine = 1; goto out }
#ifdef TAKE_OLDER
		:: atomic { ended >= asked && ended > 0 && slot[w] == WAITING ->
#else
		:: atomic { ended > asked && slot[w] == WAITING ->
#endif
			slot[w] = OUT; whole = res_whole; pending = res_pending }
#if DEADLINE
#ifdef PLAIN_LEAVE
		:: atomic { mutex -> slot[w] = OUT; goto out }
#else
		:: atomic { mutex && slot[w] == WAITING -> slot[w] = OUT; goto out }
#endif
#endif
		fi;
		goto judge;
drain:
		atomic { begun++; back_now = back };
		found = 0; whole = 1; pending = 0;
		/* exchange all CPUs first */
		cpu = 0;
		do
		:: cpu < 2 ->
			atomic {
				if :: place[0] == LIST + cpu -> place[0] = OLD + cpu :: else fi;
				if :: place[1] == LIST + cpu -> place[1] = OLD + cpu :: else fi;
#ifdef STILL
				snap[cpu] = ops[cpu];
#endif
				cpu++ }
		:: else -> break
		od;
		/* evidence, flush */
		cpu = 0;
		do
		:: cpu < 2 ->
			if
			:: true
#if LATE
			:: (place[0] == OLD + cpu || place[1] == OLD + cpu) ->
				pending = 1; goto next_cpu
#endif
			:: mine ->
				/* its own need is met: it may stop.  What was
				 * exchanged already stays for the next drain */
				whole = 0; goto drained
			fi;
			if :: place[0] == OLD + cpu -> hand_out(0) :: else fi;
			if :: place[1] == OLD + cpu -> hand_out(1) :: else fi;
next_cpu:		cpu++
		:: else -> break
		od;
drained:
#ifdef STILL
		if :: ops[0] != snap[0] -> whole = 0 :: else fi;
		if :: ops[1] != snap[1] -> whole = 0 :: else fi;
#endif
#ifdef ZONE_FIRST
		atomic { ANY(ZONE, p);
			if
			:: p < P -> now_held(p, w); mine = 1
			:: else -> p = 0
			fi };
#endif
		assert(!found || mine);		/* (3) */
		atomic { ended = begun; res_whole = whole; res_pending = pending;
			back_begun = back_now; back_ended = back; mutex = 0 };
		if :: mine -> goto out :: else fi;
judge:
#ifdef LATE_GENERATION
		g = gen;
#endif
		if
#ifndef IGNORE_PENDING
		:: pending -> goto out		/* EAGAIN */
#endif
#ifndef TAKE_PARTIAL
		:: !pending && !whole
#endif
#ifdef IGNORE_PENDING
		:: whole ->
#elif defined(TAKE_PARTIAL)
		:: !pending ->
#else
		:: !pending && whole ->
#endif
			if
#ifdef NO_GENERATION
			:: atomic { true ->
#else
			:: atomic { gen == g ->
#endif
				/* ENOMEM */
				if
				:: w == 0 -> assert(!idle0[0] && !idle0[1])
				:: w == 1 -> assert(!idle1[0] && !idle1[1])
				fi;
				assert(back_begun == back_ended);
#ifdef INSTANT
				assert(instant[w]);
#endif
				goto out }
#ifndef NO_GENERATION
			:: atomic { gen != g }
#endif
			fi
		fi
	:: else -> break		/* EAGAIN */
	od;
out:	/* (4) nothing given is left behind */
	atomic {
		assert(slot[w] == OUT);
		assert(mine || (place[0] != HELD + w && place[1] != HELD + w)) }
}

init
{
	atomic {
		/* page 0 and page 1: in a list or in hand */
		if
		:: place[0] = LIST :: place[0] = LIST + 1 :: place[0] = HELD + 2
		fi;
		if
		:: place[1] = LIST :: place[1] = LIST + 1
		:: place[1] = HELD + 2 :: place[1] = HELD + 3
		fi;
		run user(1); run user(2);
		run waiter(0);
#if WAITERS > 1
		run waiter(1)
#endif
	}
}
