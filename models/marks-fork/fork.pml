/* SPDX-License-Identifier: MIT
 *
 * marks-fork: marks in a child whose first thread has the mark of the thread
 * that made the child (src/os/rseq.c, G1 to G3).
 *
 * Property.  No set is flushed while the first thread is about to commit to it,
 * else violation.
 *
 * Modelled: a child that ran no handler.  Its first thread, number 1, has its
 * parent's mark; a second one, number 2, began without.  Either makes the pool,
 * whose CPU is quiet.  The first one operates on it, by the fast path if the
 * pool has one, as it is, or by slow paths, which compare generations first; in
 * a burst or not.  The second one drains: exchange, read busy, evidence (0, or
 * another, or its own thread's, or that of no thread), flush.
 * With HANDLER the fork was made by a signal's handler while the first thread
 * was in adopt(), which goes on in the child with what it read before; the
 * handler may make the pool before it returns, and another one may operate
 * anywhere.
 * Left out: store buffers (drain-announce), several CPUs, kernels that do not
 * wipe.
 *
 * STALE is the number in the inherited mark: 3, of no thread here, or 2, which
 * the second thread got as well (another PID namespace).
 *
 * Switches, each removing one rule, with the required verdict:
 *   NO_REFRESH   slow paths keep the mark that there is          violation
 *   FAST_ALWAYS  a pool has a fast path in any process           violation
 *   TID_FIRST    adopt() reads the number before the generation  violation
 *   PLAIN_STORE  adopt() stores the mark without comparing       violation
 */
#ifndef STALE
#define STALE 3
#endif
#ifndef OPS
#define OPS 2
#endif

#define PARENT 1	/* generations */
#define CHILD 2

byte generation;	/* on memory that the fork wiped */
byte settled;
byte mark = STALE;	/* of the first thread */
byte mark_generation = PARENT;

bool made, fast;	/* the pool */
byte active_;		/* drain numbers */
byte busy;		/* a mark: the number of its thread */
bool in_burst;		/* busy is a burst's mark */
bool second_ends;

/* ghost: the first thread has passed its last look at active */
bool inside;
byte inside_active;

inline look_at_generation(now)
{
	atomic {
		if :: generation == 0 -> generation = CHILD :: else fi;
		now = generation
	}
}

/* Of the first thread, in the child. */
inline adopt(now)
{
	look_at_generation(now);
	mark = 1;
	mark_generation = now;
	settled = now
}

inline slow_path(now)
{
	look_at_generation(now);
#ifndef NO_REFRESH
	if :: mark_generation != now -> adopt(now) :: else fi
#endif
}

inline make(now)
{
	look_at_generation(now);
	atomic {
		if
		:: !made ->
			made = 1;
#ifdef FAST_ALWAYS
			fast = 1
#else
			fast = (settled == now)
#endif
		:: else
		fi
	}
}

/* One sequence of the first thread, with the mark that it has. */
inline operate(a)
{
	a = active_;
	if
	:: busy == mark && in_burst	/* as it seems, in its own burst */
	:: else ->
		atomic { busy = mark; in_burst = 0 }
	fi;
	atomic {
		if
		:: active_ == a -> inside = 1; inside_active = a
		:: else ->	/* it takes the mark back */
			if :: busy == mark && !in_burst -> busy = 0 :: else fi
		fi
	};
	/* the commit, which outdates the mark */
	atomic {
		if
		:: inside ->
			inside = 0;
			if :: busy == mark && !in_burst -> busy = 0 :: else fi
		:: else
		fi
	};
	a = 0
}

active proctype first()
{
	byte now, a, n;
#ifdef HANDLER
	byte read_generation = PARENT, number, old = mark;

	/* It may have asked for its number before the fork, or after. */
#ifdef TID_FIRST
	number = STALE;
	look_at_generation(read_generation);
#else
	if :: number = STALE :: number = 1 fi;
#endif
	if	/* what else the handler does */
	:: adopt(now); make(now)
	:: skip
	fi;
#ifdef PLAIN_STORE
	mark = number;
#else
	atomic { if :: mark == old -> mark = number :: else fi };
#endif
	if :: fast -> operate(a) :: else fi;
	mark_generation = read_generation;
	if
	:: settled != read_generation && number == 1 -> settled = read_generation
	:: else
	fi;
	if :: fast -> operate(a) :: else fi;
	look_at_generation(now);
	if :: read_generation != now -> adopt(now) :: else fi;
#endif
	if
	:: slow_path(now); make(now)
	:: made
	fi;
	do
	:: n < OPS ->
		if
		:: fast
		:: slow_path(now)	/* in a fast pool, too: a refill */
		fi;
		operate(a);
		n++
	:: else -> break
	od
}

active proctype second()
{
	byte now, w, before;

	/* It may be in a burst on that CPU, from which it was moved. */
	if
	:: make(now)
	:: made
	fi;
	if
	:: atomic { busy == 0 -> busy = 2; in_burst = 1 }
	:: skip
	fi;
	do
	:: before < 2 ->
		atomic { active_++; w = busy };
		if
		:: w == 0
		:: busy != w
		:: atomic { w == 2 -> if :: busy == 2 -> busy = 0; in_burst = 0
				:: else fi }
		:: w > 2	/* there is no such thread */
		fi;
		/* the flush */
		assert(!inside || inside_active == active_);
		before++
	:: else -> break
	od;
	second_ends = 1
}
