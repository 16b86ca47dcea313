/* SPDX-License-Identifier: MIT */
/*
 * What this process has: sequences, membarrier, and a mark for each thread.
 *
 * The constructor registers with membarrier before other threads run, when it
 * takes microseconds and interrupts no CPU. A creation before the constructor
 * has run (in a static constructor of a program linked with libweir.a) does the
 * same work then.
 *
 * A thread's mark holds the kernel's number of the thread. A child that has a
 * copy of this memory (fork, _Fork, clone without CLONE_VM) has one thread, the
 * child's first one, which inherits the mark of the thread that made the child:
 * a number that no thread here has, or that another thread gets. Two things go
 * wrong with such a mark. A drainer that finds it in `busy` asks whether that
 * thread exists, is told that it does not, and flushes a set in use. And two
 * threads with one mark each take the other's for their own. So:
 *
 * G1. A process is recognised by a word that a fork wipes, not by a handler
 * that a fork may not run. A thread that finds it zero stores a new generation,
 * from a count in ordinary memory. A child has a copy of the count, so no
 * ancestor had that generation.
 *
 * G2. A thread keeps the generation in which it got its mark. Each slow path
 * compares the two, and gets a new mark where they differ, before it uses the
 * mark. A thread that was created in this process begins with none.
 *
 * G3. The fast path uses the mark without comparing. So a pool (or cache) has a
 * fast path only if it was made in a settled process: one in which the first
 * thread has a mark of this generation, or none. In any other process the pools
 * made there take slow paths for ever. It is settled when fork()'s handler has
 * run, or a slow path of the first thread, such as making that pool. So the
 * only pools without a fast path are those that a second thread of a child of
 * _Fork() or clone() makes before the first thread has called weir.
 *
 * From G2 and G3: a mark in the busy of an area of this process was stored by a
 * thread that got it in this process. So it is its own number, unique among
 * threads that exist, and wi_os_thread_exists() is about its owner. It does not
 * matter which numbers a PID namespace has used before: a child made with
 * CLONE_NEWPID counts from 1 again, and may have a thread with the number of
 * one of its parent's. (models/marks-fork: NO_REFRESH, FAST_ALWAYS;
 * tests/unit/evidence_processes.c.)
 *
 * A signal's handler may fork anywhere in adopt_thread(). The child goes on
 * there with what was read in the parent. The generation is read first; so what
 * is stored for the parent's generation is ignored by G2 and G3, and
 * adopt_thread() looks again. The mark alone is used without comparing: it is
 * replaced by a compare-and-swap, which fails if the handler has got one in the
 * child.
 *
 * Where the kernel does not wipe (wi_os_fork_wipes), the word is wiped by a
 * handler of fork(). In a child made otherwise, creation compares the process'
 * number, and gives the process a new generation: before the child has a pool,
 * no mark matters. Two limits remain: such a child is not recognised if it has
 * its parent's number, in another PID namespace; and the handles of its
 * parent's pools are not wiped (it does not have their memory, and ends by
 * SIGSEGV). (tests/fault/wipe_refused.c)
 *
 * vfork() and clone(CLONE_VM) share the memory and this word. weir.h forbids
 * calls there.
 */
#include "os/rseq.h"

#include <pthread.h>
#include <signal.h>

#include "base/assert.h"
#include "os/os.h"

/* A mark that no busy ever holds: 0 there must not pass for a burst. */
#define NO_THREAD (UINT64_C(1) << WEIR_MARK_BURST_BIT)

/* In memory that a fork wipes; all relaxed but `generation`. */
struct process {
	uint64_t generation; /* 0: weir was not called in this process yet */
	uint64_t settled;    /* the generation in which it is settled (G3) */
	uint32_t pid;	     /* where the kernel does not wipe */
};

const char weir_fast_layout_3 = 1;
__thread uint64_t weir_i_thread_burst
	__attribute__((tls_model("initial-exec"))) = NO_THREAD;
static __thread uint64_t thread_generation
	__attribute__((tls_model("initial-exec"))); /* of that mark */

static struct process *process; /* set once */
static uint64_t nr_generations;

/* --- the process -------------------------------------------------------- */

/* Gives this process a generation in place of `old`. */
static WI_COLD void new_generation(uint64_t old)
{
	uint64_t now = wi_add_relaxed(&nr_generations, 1) + 1;

	/* The first of all: no thread has a mark. */
	if (now == 1)
		wi_store_relaxed(&process->settled, 1);
	wi_store_relaxed(&process->pid, (uint32_t)wi_os_pid());
	/* RSEQ-R1 (partner RSEQ-A1): the count before the generation. A
	 * thread that has this generation and forks gives the child that count,
	 * or a higher one; otherwise two processes could have one generation.
	 */
	wi_cas_release(&process->generation, &old, now);
}

static uint64_t generation_now(void)
{
	uint64_t now;

	/* RSEQ-A1 (partner RSEQ-R1). */
	while ((now = wi_load_acquire(&process->generation)) == 0)
		new_generation(0);
	return now;
}

/* Gets this thread a mark of this process. */
static WI_COLD void adopt_thread(void)
{
	uint64_t now;

	do {
		uint64_t old = wi_load_relaxed(&weir_i_thread_burst);
		uint32_t tid;

		now = generation_now(); /* first, see above */
		wi_os_rseq_register();
		tid = wi_os_tid();
		/* Relaxed, all: only this thread and its signal handlers use
		 * its mark. A thread that reads `settled` passes on a pool, not
		 * a mark. */
		wi_cas_relaxed(&weir_i_thread_burst, &old,
			       wi_burst_mark(wi_thread_mark(tid)));
		wi_store_relaxed(&thread_generation, now);
		if (wi_load_relaxed(&process->settled) != now &&
		    tid == (uint32_t)wi_os_pid())
			wi_store_relaxed(&process->settled, now);
	} while (generation_now() != now);
}

void wi_rseq_thread_init(void)
{
	if (wi_unlikely(thread_generation != generation_now()))
		adopt_thread();
}

bool wi_rseq_is_settled(void)
{
	uint64_t now = generation_now();

	/* Relaxed: it changes in a child, which has one thread then. */
	if (!wi_os_fork_wipes() &&
	    wi_load_relaxed(&process->pid) != (uint32_t)wi_os_pid())
		new_generation(now);
	wi_rseq_thread_init();
	/* Relaxed: what matters is the first thread's own order. */
	return wi_load_relaxed(&process->settled) == generation_now();
}

/* --- what it has -------------------------------------------------------- */

enum { KNOWN = 1, SEQUENCES = 2, MEMBARRIER = 4 };

/* Properties of the machine. Relaxed: a byte each; the first thread determines
 * them, or several do. */
static uint8_t facts, owner;

static WI_COLD uint8_t ask_kernel(void)
{
	uint8_t found = KNOWN;

	wi_store_relaxed(&owner, (uint8_t)wi_os_rseq_find());
#ifdef WEIR_HAVE_SEQUENCES
	if (owner != WI_RSEQ_NONE)
		found |= SEQUENCES;
#endif
	if (found & SEQUENCES && wi_os_membarrier_register() == 0)
		found |= MEMBARRIER;
	wi_store_relaxed(&facts, found);
	return found;
}

static bool has_fact(uint8_t what)
{
	uint8_t found = wi_load_relaxed(&facts);

	return (found != 0 ? found : ask_kernel()) & what;
}

bool wi_rseq_available(void)
{
	return has_fact(SEQUENCES);
}

bool wi_rseq_has_membarrier(void)
{
	return has_fact(MEMBARRIER);
}

enum wi_rseq_owner wi_rseq_owner(void)
{
	(void)has_fact(KNOWN);
	return (enum wi_rseq_owner)wi_load_relaxed(&owner);
}

/* --- the beginning ------------------------------------------------------ */

int wi_rseq_begin(void)
{
	struct process *none = NULL;
	void *memory;
	int err;

	(void)has_fact(KNOWN);
	if (wi_load_relaxed(&process) != NULL) /* as below */
		return 0;
	err = wi_os_map_wiped(&memory, sizeof(*process));
	if (err != 0)
		return err;
	/* Relaxed: it is all zeros for other threads. The first thread in a
	 * child of fork() is settled at once. */
	if (!wi_cas_relaxed(&process, &none, memory)) {
		wi_os_unmap_wiped(memory, sizeof(*process));
		return 0;
	}
	(void)generation_now();
	return -pthread_atfork(NULL, NULL, wi_rseq_thread_init);
}

__attribute__((constructor)) static void runtime_init(void)
{
	(void)wi_rseq_begin(); /* the next creation tries again */
}

/* --- are sequences aborted? --------------------------------------------- */

#ifdef WEIR_HAVE_SEQUENCES

/* A sequence that only takes time: true if it was aborted. */
static bool linger_in_sequence(void)
{
	uint32_t turns = 4000;
	uint32_t aborted = 0;

	/* clang-format off */
	__asm__ __volatile__(
		WEIR_X86_BEGIN
		WEIR_X86_DESCRIPTOR("cs", "begin", "end", "abort")
		WEIR_X86_ARM("cs")
		WEIR_X86_L("begin") ":\n"
		"	pause\n"
		"	decl " WEIR_X86_REG(turns) "\n"
		"	jnz " WEIR_X86_L("begin") "\n"
		WEIR_X86_L("end") ":\n"
		WEIR_X86_L("done") ":\n"
		WEIR_X86_DISARM
		WEIR_X86_COLD
		WEIR_X86_SIGNATURE
		WEIR_X86_L("abort") ":\n"
		"	movl $1, " WEIR_X86_REG(aborted) "\n"
		"	jmp " WEIR_X86_L("done") "\n"
		WEIR_X86_HOT
		WEIR_X86_END
		: [turns] "+&r"(turns), [aborted] "+&r"(aborted)
		: [rseq] "r"(weir_i_rseq_offset)
		: "rax", "memory", "cc");
	/* clang-format on */
	return aborted != 0;
}

/* Each takes a tenth of a millisecond or more, as long as some disturbances. */
#define TRIES 50
/* So many that were disturbed and not aborted are a proof. One alone is none:
 * the thread may have been preempted between `turn` and the sequence. */
#define PROOF 8

struct disturber {
	uint32_t cpu;  /* where the sequence runs */
	uint32_t turn; /* of the sequence that runs; 0: none; ~0: the end */
	uint32_t disturbed; /* the last turn within which a membarrier fell */
};

static void *disturb_sequences(void *arg)
{
	struct disturber *d = arg;
	uint32_t turn;

	/* Relaxed, all: membarrier() orders the looks before and after it. It
	 * sleeps in between, for it may be on the CPU that it disturbs. */
	while ((turn = wi_load_relaxed(&d->turn)) != UINT32_MAX) {
		if (turn != 0 &&
		    wi_os_membarrier_cpu(wi_load_relaxed(&d->cpu)) == 0 &&
		    wi_load_relaxed(&d->turn) == turn)
			wi_store_relaxed(&d->disturbed, turn);
		wi_os_sleep_ns(10000);
	}
	return NULL;
}

bool wi_rseq_aborts(void)
{
	struct disturber d = { 0 };
	pthread_t thread;
	sigset_t all, before;
	unsigned nr_disturbed = 0;
	bool aborted = false;
	int err;

	if (!has_fact(SEQUENCES))
		return false;
	/* That thread must not receive signals of the program. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, disturb_sequences, &d);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err != 0)
		return true; /* unknown: as before the check */
	for (uint32_t turn = 1;
	     turn <= TRIES && nr_disturbed < PROOF && !aborted; turn++) {
		/* Relaxed, all: a turn that is seen too long is one of many. */
		wi_store_relaxed(&d.cpu, (uint32_t)wi_os_current_cpu());
		wi_store_relaxed(&d.turn, turn);
		aborted = linger_in_sequence();
		wi_store_relaxed(&d.turn, 0);
		nr_disturbed += wi_load_relaxed(&d.disturbed) == turn;
	}
	wi_store_relaxed(&d.turn, UINT32_MAX);
	pthread_join(thread, NULL);
	/* Hardly disturbed: unknown. */
	return aborted || nr_disturbed < PROOF;
}

#else

bool wi_rseq_aborts(void)
{
	return false;
}

#endif
