/* SPDX-License-Identifier: MIT
 *
 * drain-bursts: drainers that are themselves in bursts (docs/design.md,
 * section 4.1; src/percpu/list.c: wi_percpu_drop_bursts).
 *
 * Property.  No drain has a deadline here.  Two threads, each in a burst on a
 * quiet CPU, find nothing, and both drain: both drains end, else invalid end
 * state.  (The code would give up at the deadline: pages pending, EAGAIN, though
 * no thread is inside an operation.)  A burst that its thread has not ended, nor
 * dropped by draining, is waited for: no set is flushed before it.
 *
 * Modelled: two quiet CPUs, two threads that begin a burst on one of them, may be
 * moved to the other, find nothing and tick, get the mutex at once or drop their
 * bursts and wait for it, and drain both CPUs: exchange both, the drainer's own tick, evidence (seen, busy 0 or another
 * or its own thread's); then the end of the burst.
 * Left out: operations inside a burst and store buffers (drain-announce), what
 * was drained (pool-empty).
 *
 * Switches, each removing one rule, with the required verdict:
 *   NO_DROP    a drainer keeps its burst's mark while it waits for
 *              the mutex                                          hang
 *   DROP_HERE  it drops it on the CPU it is on only               hang
 *   DROP_ALL   it drops whatever mark it finds                    violation
 *   NO_OWN     a thread that got the mutex waits for its own mark hang
 */
byte active_[2];		/* drain numbers */
byte seen[2] = 255;
byte busy[2];			/* 1 + thread: its burst */
bool mutex;

/* ghosts: the CPU of a burst whose mark stands, 2: none; the drain number there
 * when it began */
byte inside[2] = 2, began[2];

#define MARK (1 + t)

inline end_burst(c)
{
	atomic {
		if :: busy[c] == MARK -> busy[c] = 0 :: else fi
	}
}

proctype drainer(byte t; bool stands)
{
	byte cpu, c, w[2];
	byte where = 2;		/* where the burst began */

	/* On either CPU; a mark that is there is replaced: its thread is
	 * preempted, and will announce from now on. */
	if :: cpu = 0 :: cpu = 1 fi;
	atomic {
		where = cpu;
		if
		:: busy[cpu] != 0 -> inside[1 - t] = (inside[1 - t] == cpu -> 2 : inside[1 - t])
		:: else
		fi;
		busy[cpu] = MARK;
		inside[t] = cpu; began[t] = active_[cpu]
	};
	seen[cpu] = active_[cpu];	/* found nothing: a tick */
	/* perhaps moved meanwhile */
	if :: cpu = 1 - cpu :: skip fi;
	if :: stands -> goto end :: else fi;
	/* it is in the drain now, and not in the burst */
	atomic { inside[t] = 2 };
	if
	:: atomic { !mutex -> mutex = 1 }
#ifdef ONE
	:: skip ->	/* a third drainer has it for a moment */
#else
	:: mutex ->
#endif
#ifdef DROP_HERE
		end_burst(cpu);
#elif defined(DROP_ALL)
		busy[0] = 0;
		busy[1] = 0;
#elif !defined(NO_DROP)
		end_burst(0);
		end_burst(1);
#endif
		atomic { !mutex -> mutex = 1 }
	fi;
	atomic { active_[0]++; w[0] = busy[0] };
	atomic { active_[1]++; w[1] = busy[1] };
	seen[cpu] = active_[cpu];	/* its own tick */
	c = 0;
	do
	:: c < 2 ->
		if
		:: seen[c] == active_[c]
		:: w[c] == 0
		:: busy[c] != w[c]
#ifndef NO_OWN
		:: atomic { w[c] == MARK -> end_burst(c) }
#endif
		fi;
		/* the flush: nobody is in a burst begun before the exchange,
		 * unless something has run there since */
		assert(seen[c] == active_[c] || inside[1 - t] != c ||
			began[1 - t] == active_[c]);
		c++
	:: else -> break
	od;
	mutex = 0;
	c = 0; w[0] = 0; w[1] = 0;
end:	/* the end of the burst */
	atomic { inside[t] = (inside[t] == where -> 2 : inside[t]);
		if :: busy[where] == MARK -> busy[where] = 0 :: else fi }
}

init
{
	atomic {
		run drainer(0, 0);
#ifdef ONE
		run drainer(1, 1)
#else
		run drainer(1, 0)
#endif
	}
}
