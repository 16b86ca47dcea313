/* SPDX-License-Identifier: MIT
 *
 * One CPU as restartable sequences see it.  Included by the drain-* models.
 *
 * Modelled
 *   - CPU 0, the one that is drained.  At most one thread is on it (`on`);
 *     every other thread is "elsewhere", which stands for both preempted and
 *     running on some other CPU: the search may let it move or not.
 *   - The kernel moves threads off and onto CPU 0 at any instant, without a
 *     bound.  Being moved, and a signal, abort the sequence (`ab`).
 *   - A signal handler is a second context of its thread: `top[t]` names the
 *     context that executes.  Its arrival aborts the interrupted sequence.
 *   - CPU 0's store buffer, TSO: stores land in order, the CPU reads its own
 *     first, locked instructions wait until it is empty, and so does a switch
 *     to another thread (the kernel's switch is a full fence).
 *     With -DPSO a store may also land before an older one to another place,
 *     unless it is a release: what arm64 allows, as far as stores go.
 *
 * Not modelled: loads that pass loads (the drainer's and the owner's loads
 * stand for acquire loads), and the kernel's own work for rseq.
 *
 * The including model defines before: NT threads, NC contexts, BUF, MORE (the
 * kernel may still move threads), RUNNABLE(t) (may be put on CPU 0), and after:
 * inline land(k, x, v, o), what a store does when it reaches memory.
 */
#define NOBODY 255

byte on = NOBODY; /* the thread on CPU 0 */
byte top[NT];	  /* the context of each thread that executes */
bool in[NC];	  /* the context is inside a sequence on CPU 0 */
bool ab[NC];	  /* ... which has been aborted */
bool done[NT];

/* the store buffer: what, where, value, value the sequence had loaded */
byte nb, bk[BUF], bx[BUF], bv[BUF], bo[BUF];
#ifdef PSO
bool brel[BUF];
#define REL(r) brel[nb] = (r);
#else
#define REL(r)
#endif

#define EMPTY(t) (on != (t) || nb == 0)

/* Steps of context `c` of thread `t` (locals of every proctype using them).
 * STEP: outside a sequence.  LOCKED: a locked instruction.  SEQ, SEQLOCKED,
 * SEQSTORE: inside a sequence; they leave by label `aborted` once it is cut. */
#define STEP(a)                                                                \
	atomic                                                                 \
	{                                                                      \
		top[t] == c->a                                                 \
	}
#define LOCKED(a)                                                              \
	atomic                                                                 \
	{                                                                      \
		top[t] == c &&EMPTY(t)->a                                      \
	}
#define CUT                                                                    \
	atomic                                                                 \
	{                                                                      \
		top[t] == c &&ab[c]->ab[c] = 0;                                \
		in[c] = 0;                                                     \
		goto aborted                                                   \
	}
#define SEQ(a)                                                                 \
	if                                                                     \
		::atomic                                                       \
		{                                                              \
			top[t] == c && !ab[c]->a                               \
		}                                                              \
	::CUT fi
#define SEQLOCKED(a)                                                           \
	if                                                                     \
		::atomic                                                       \
		{                                                              \
			top[t] == c && !ab[c] && nb == 0->a                    \
		}                                                              \
	::CUT fi
#define SEQSTORE(a)                                                            \
	if                                                                     \
		::atomic                                                       \
		{                                                              \
			top[t] == c && !ab[c] && nb < BUF->a                   \
		}                                                              \
	::CUT fi
/* Put a store of `v` to place `x` of kind `k` into the buffer. */
#define PUT(k, x, v, o, r)                                                     \
	bk[nb] = (k);                                                          \
	bx[nb] = (x);                                                          \
	bv[nb] = (v);                                                          \
	bo[nb] = (o);                                                          \
	REL(r) nb++
/* d = what CPU 0 reads at place `x` of kind `k`, `mem` being in memory. */
#define LOOK(d, k, x, mem)                                                     \
	d = (mem);                                                             \
	if                                                                     \
		::nb > 0 && bk[0] == (k) && bx[0] == (x)->d = bv[0] ::else fi; \
	if                                                                     \
		::nb > 1 && bk[1] == (k) && bx[1] == (x)->d = bv[1] ::else fi; \
	LOOK3(d, k, x)
#if BUF > 2
#define LOOK3(d, k, x)                                                         \
	if                                                                     \
	::nb > 2 && bk[2] == (k) && bx[2] == (x)->d = bv[2] ::else fi
#else
#define LOOK3(d, k, x) skip
#endif

inline cut(t) /* preemption, a signal, an IPI of membarrier */
{
	if
		::in[top[t]]->ab[top[t]] = 1 ::else fi
}

inline finish(t) /* the thread ends; a switch away drains the buffer */
{
	done[t] = 1;
	if
		::on == t->on = NOBODY ::else fi
}

active proctype kernel()
{
	byte i;
end:
	do
		::atomic
		{
			MORE &&on != NOBODY &&nb == 0->cut(on);
			on = NOBODY
		}
	::atomic
	{
		MORE &&on == NOBODY->if ::RUNNABLE(0)->on = 0
#if NT > 1
							    ::RUNNABLE(1)
								    ->on =
			1
#endif
#if NT > 2
			::RUNNABLE(2)
				->on = 2
#endif
			::else fi
	}
	od
}

#ifdef PSO
#define SHIFT(i)                                                               \
	bk[i] = bk[i + 1];                                                     \
	bx[i] = bx[i + 1];                                                     \
	bv[i] = bv[i + 1];                                                     \
	bo[i] = bo[i + 1];                                                     \
	brel[i] = brel[i + 1]
#else
#define SHIFT(i)                                                               \
	bk[i] = bk[i + 1];                                                     \
	bx[i] = bx[i + 1];                                                     \
	bv[i] = bv[i + 1];                                                     \
	bo[i] = bo[i + 1]
#endif
#if BUF > 2
#define SHIFT1 SHIFT(1)
#else
#define SHIFT1 skip
#endif
#define DROPLAST                                                               \
	nb--;                                                                  \
	bk[nb] = 0;                                                            \
	bx[nb] = 0;                                                            \
	bv[nb] = 0;                                                            \
	bo[nb] = 0

#define SAME(i, j) (bk[i] == bk[j] && bx[i] == bx[j])

active proctype store_buffer()
{
end:
	do
		::atomic
		{
			nb > 0->land(bk[0], bx[0], bv[0], bo[0]);
			SHIFT(0);
			SHIFT1;
			DROPLAST
		}
#ifdef PSO
	::atomic
	{
		nb > 1 && !brel[1] &&
			!SAME(0, 1)->land(bk[1], bx[1], bv[1], bo[1]);
		SHIFT1;
		DROPLAST
	}
#if BUF > 2
	::atomic
	{
		nb > 2 && !brel[2] && !SAME(0, 2) &&
			!SAME(1, 2)->land(bk[2], bx[2], bv[2], bo[2]);
		DROPLAST
	}
#endif
#endif
	od
}
