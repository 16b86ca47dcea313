/* SPDX-License-Identifier: MIT
 *
 * cache-requests: requests for several runs that no thread waits for
 * (docs/design.md, section 5, Requests).
 *
 * Property.  (1) A request is completed once or cancelled once, and cancel says
 * which; no page is lost; its struct is not touched once it is the caller's
 * again.  (2) A request that waits when weir_maintain() begins, and for which
 * enough pages stay free for the whole of it is completed when that returns 0; a
 * page does not count that a call hides which is still under way then.
 * (3) Nobody says ENOMEM while a page was in no caller's hands all the time.
 * (4) A callback may submit.
 *
 * Modelled: two pages, each in the zone, in the list of a quiet CPU, or out. Two
 * requests for N0 and N1 of them: the older has a callback, the younger an
 * eventfd whose loop takes its struct back as soon as that reads as done.
 * Maintain: pass, complete drain, passes until one is quiet, PASSES of them at
 * most. Others: the owner of the quiet CPU, OPS operations; S, an allocation
 * that has drained, and passes for eventfds alone if nobody else does; cancel of
 * the older one; J, an allocation of one page that judges; H, a claim that hides
 * a free page for a moment (tickets it gives back); X, another holder of pages
 * that it gives back, at the same time as a pass.
 * Left out: evidence, waiters' places, pending sets, nested passes;
 * sequential consistency (all is under a mutex, or locked).
 *
 * Switches, each removing one rule, with the required verdict:
 *   ONE_PASS        maintain passes before it drains only        violation
 *   IDLE_DRAIN      its drain leaves out a CPU that works        violation
 *   TRY_SERVE       it passes only if nobody else does           violation
 *   HINT_IN_MAINTAIN  it passes only if the generation moved
 *                   since the last pass that failed              violation
 *   NO_REPEAT       it does not repeat a pass during which
 *                   something came back                          violation
 *   STOP_AT_HEAD    what cannot be met stops the younger ones    violation
 *   HIDDEN          who judges does not look at `holders`        violation
 *   PARITY          `holders` counts beginnings and ends in one  violation
 *   KEEP_PART       a request keeps a part between passes        violation
 *   CANCEL_PLAIN    cancel looks without the mutex               violation
 *   PUBLISH_EARLY   a request reads as done before its last read violation
 *   TOUCH_AFTER     the next one is read from the struct after
 *                   the callback                                 violation
 *   CALLBACK_LOCKED callbacks are called with the mutex held     hang
 */
#ifndef N0
#define N0 2
#endif
#ifndef N1
#define N1 1
#endif
#ifndef OPS
#define OPS 1
#endif
#ifndef PASSES
#define PASSES 2
#endif
#define P 2
/* who takes part: 1 J, 2 cancel, 4 S, 8 H, 16 X */
#ifndef WHO
#define WHO 5
#endif
#define NEED(r) ((r) == 0 -> N0 : N1)

#define WAITING 0
#define TAKEN 1			/* off the queue, has its pages */
#define DONE 2			/* reads as done */
#define CANCELLED 3

byte zone, list, own, unseen;	/* unseen: free, but not to be found */
byte gen, failed_at = 255;
byte ended, holding;		/* `holders` */
bool lock, mutex;		/* of requests; of drains */
byte st[2], part[2];

/* ghosts */
byte stay, jmin, hf;		/* hf: in the hands of who will give them back */
byte hiding;			/* pages that a call under way hides */
bool judging, maintaining;
bool gone[2];			/* the struct is its caller's again */
byte told[2];
byte kept;			/* pages of completed requests */
bool cancelled;
byte over;

#define FREE (zone + list + hf)
inline leaves(n)		/* n pages go to a caller, or into its hands */
{
	if :: maintaining -> stay = (stay > n -> stay - n : 0) :: else fi;
	if :: judging && FREE < jmin -> jmin = FREE :: else fi
}

#ifdef PARITY
inline enter() { ended++ }
inline leave() { ended++ }
#define HELD_NOW (ended % 2 == 1)
#else
inline enter() { holding++ }
inline leave() { atomic { ended++; holding-- } }
#define HELD_NOW (holding > 0)
#endif

/* All requests once, the oldest first; those with a callback only `all`. */
inline pass(all)
{
	atomic { g = gen; mine = 0; f = zone; r = (all -> 0 : 1) };
	do
	:: r < 2 ->
		if
		:: atomic { st[r] == WAITING && NEED(r) - part[r] <= f ->
			n = NEED(r) - part[r] };
			enter();
			if
			:: atomic { zone >= n -> zone = zone - n; x = n; leaves(n) }
			:: atomic { zone < n -> x = zone; zone = 0; hf = hf + x }
			fi;
			if
			:: atomic { x == n ->
				assert(!gone[r]);
#ifdef PUBLISH_EARLY
				st[r] = DONE;
#else
				st[r] = TAKEN;
#endif
				kept = kept + NEED(r);
#ifdef KEEP_PART
				hf = hf - part[r];
#endif
				part[r] = 0; served[r] = 1; f = f - n;
				x = 0; n = 0 }
			:: atomic { x != n ->
#ifdef KEEP_PART
				part[r] = part[r] + x
#else
				zone = zone + x; hf = hf - x
#endif
				};
				atomic { gen = gen + (x > 0 -> 1 : 0);
					mine = mine + (x > 0 -> 1 : 0);
					failed_at = gen; x = 0; n = 0 };
#ifdef STOP_AT_HEAD
				leave();
				break
#endif
			fi;
			leave()
		:: atomic { st[r] == WAITING && NEED(r) - part[r] > f ->
			failed_at = gen };
#ifdef STOP_AT_HEAD
			break
#endif
		:: atomic { st[r] != WAITING }
		fi;
		r++
	:: else -> break
	od;
	atomic { r = 0; f = 0 }
}

inline unlock_and_tell()
{
#ifndef CALLBACK_LOCKED
	lock = 0;
#endif
	r = 0;
	do
	:: r < 2 ->
		if
		:: served[r] ->
			/* its callback or eventfd, and the next, are read */
			assert(!gone[r]);
			if
			:: atomic { r == 0 -> st[0] = DONE; told[0]++; gone[0] = 1 };
				/* it submits another */
				atomic { !lock -> lock = 1 };
				lock = 0
			:: atomic { r == 1 -> st[1] = DONE };
				told[1]++
			fi;
#ifdef TOUCH_AFTER
			assert(!gone[r]);
#endif
			served[r] = 0
		:: else
		fi;
		r++
	:: else -> break
	od;
#ifdef CALLBACK_LOCKED
	lock = 0;
#endif
	r = 0
}

proctype maintain()
{
	byte r, n, x, g, h, f, mine, round, hid;
	bool served[2], was[2];

	atomic { was[0] = (st[0] == WAITING); was[1] = (st[1] == WAITING);
		maintaining = 1; stay = zone + list + unseen };
#ifdef HINT_IN_MAINTAIN
	if :: gen == failed_at -> goto drain :: gen != failed_at fi;
#endif
#ifdef TRY_SERVE
	if :: atomic { !lock -> lock = 1 } :: atomic { lock -> goto drain } fi;
#else
	atomic { !lock -> lock = 1 };
#endif
	pass(1);
	unlock_and_tell();
drain:
	atomic { !mutex -> mutex = 1 };
#ifdef IDLE_DRAIN
	if :: goto drained :: skip fi;
#endif
	atomic { h = list; list = 0; if :: judging && FREE < jmin -> jmin = FREE :: else fi };
	zone = zone + h;
	atomic { gen = gen + (h > 0 -> 1 : 0); h = 0 };
drained:
	mutex = 0;
#ifdef ONE_PASS
	goto out;
#endif
again:
#ifdef HINT_IN_MAINTAIN
	if :: gen == failed_at -> goto out :: gen != failed_at fi;
#endif
#ifdef TRY_SERVE
	if :: atomic { !lock -> lock = 1 } :: atomic { lock -> goto out } fi;
#else
	atomic { !lock -> lock = 1 };
#endif
	pass(1);
	unlock_and_tell();
#ifndef NO_REPEAT
	if
	:: atomic { gen != g + mine && round < PASSES -> round++ }; goto again
	:: atomic { gen != g + mine && round == PASSES -> stay = 0 } /* EAGAIN */
	:: atomic { gen == g + mine -> hid = hiding }
	fi;
#else
	hid = hiding;
#endif
out:	atomic {
		assert(!was[0] || st[0] != WAITING || stay < N0 + hid);
		assert(!was[1] || st[1] != WAITING || stay < N1 + hid);
		maintaining = 0; stay = 0; was[0] = 0; was[1] = 0;
		g = 0; mine = 0; round = 0; hid = 0; over++ }
}

proctype alloc_slow()		/* S */
{
	byte r, n, x, g, f, mine;
	bool served[2];

	if :: atomic { !lock -> lock = 1 } :: atomic { lock -> goto out } fi;
	pass(0);
	unlock_and_tell();
out:	atomic { g = 0; mine = 0; over++ }
}

proctype cancel()
{
#ifdef CANCEL_PLAIN
	if
	:: st[0] == WAITING -> atomic { st[0] = CANCELLED; gone[0] = 1; cancelled = 1 }
	:: st[0] != WAITING
	fi;
#else
	atomic { !lock -> lock = 1 };
	if
	:: atomic { st[0] == WAITING -> st[0] = CANCELLED; gone[0] = 1; cancelled = 1;
		zone = zone + part[0]; hf = hf - part[0]; part[0] = 0 }
	:: atomic { st[0] != WAITING -> skip }
	fi;
	lock = 0;
#endif
	over++
}

proctype judge()
{
	byte before, s;
	bool held;

	atomic { judging = 1; jmin = FREE };
	before = gen;
	atomic { s = ended; held = HELD_NOW };
	if :: atomic { zone > 0 -> goto out } :: atomic { zone == 0 } fi;
	atomic { !mutex -> mutex = 1 };
	if :: atomic { list > 0 -> mutex = 0; goto out } :: atomic { list == 0 -> mutex = 0 } fi;
	if :: atomic { zone > 0 -> goto out } :: atomic { zone == 0 } fi;
	if
	:: atomic { gen == before ->
		if
#ifdef HIDDEN
		:: assert(jmin == 0)
#else
		:: !held && !HELD_NOW && ended == s -> assert(jmin == 0)
		:: else		/* EAGAIN, or another round */
#endif
		fi }
	:: atomic { gen != before }
	fi;
out:	atomic { judging = 0; jmin = 0; over++; before = 0; s = 0; held = 0 }
}

/* A claim takes tickets, finds no run for them, and gives them back. */
proctype hide()
{
	if
	:: atomic { zone > 0 -> zone--; unseen++; hiding++;
		if :: judging && FREE < jmin -> jmin = FREE :: else fi };
		atomic { zone++; unseen-- };
		atomic { gen++; hiding-- }
	:: skip
	fi;
	over++
}

/* Who holds pages that it will give back, and says so as a pass does. */
proctype hold()
{
	enter();
	if
	:: atomic { zone > 0 -> zone--; hf++;
		if :: maintaining -> stay = (stay > 1 -> stay - 1 : 0) :: else fi };
		atomic { zone++; hf-- };
		gen++
	:: skip
	fi;
	leave();
	over++
}

/* The loop whose eventfd it is. */
proctype loop()
{
end:	atomic { st[1] == DONE -> gone[1] = 1 }
}

proctype owner()
{
	byte k;

	do
	:: k < OPS ->
		if
		:: atomic { list > 0 -> list--; own++; leaves(1) }
		:: atomic { own > 0 -> own--; list++ }
		:: atomic { zone > 0 -> zone--; own++; leaves(1) }
		:: atomic { zone > 0 -> zone--; leaves(1) }; list++
		:: atomic { list > 0 -> list--; leaves(1) }; zone++; gen++
		:: skip
		fi;
		k++
	:: else -> break
	od;
	atomic { k = 0; over++ }
}

#define ABSENT(bit) ((WHO & bit) -> 0 : 1)
init
{
	atomic {
		if
		:: zone = 1; list = 1
		:: list = 2
		:: zone = 2
		:: list = 1; own = 1
		:: zone = 1; own = 1
		fi;
		over = ABSENT(1) + ABSENT(2) + ABSENT(4) + ABSENT(8) + ABSENT(16);
		run maintain(); run owner(); run loop();
#if WHO & 1
		run judge();
#endif
#if WHO & 2
		run cancel();
#endif
#if WHO & 4
		run alloc_slow();
#endif
#if WHO & 8
		run hide();
#endif
#if WHO & 16
		run hold();
#endif
		skip
	};
	atomic { over == 7 ->
		assert(zone + list + own + kept + hf == P);
		assert(told[0] == (st[0] == DONE)); assert(told[1] == (st[1] == DONE));
		assert(!cancelled || told[0] == 0) }
}
