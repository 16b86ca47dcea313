/* SPDX-License-Identifier: MIT */
/*
 * What this process has: sequences, membarrier, and a number for each thread.
 *
 * The constructor registers with membarrier before other threads run, when it
 * takes microseconds and interrupts nobody.
 */
#include "grace/grace.h"

#include <pthread.h>
#include <signal.h>

#include "os/os.h"

/* A mark that no busy ever holds: 0 there must not pass for a burst. */
#define NO_THREAD (UINT64_C(1) << WEIR_MARK_BURST_BIT)

const char weir_fast_layout_1 = 1;
__thread uint64_t weir_thread_burst __attribute__((tls_model("initial-exec"))) =
	NO_THREAD;

static bool has_sequences;
static bool has_membarrier;

/* The thread that lives on in a forked child has another number there. */
static void forget_thread(void)
{
	weir_thread_burst = NO_THREAD;
}

__attribute__((constructor)) static void runtime_init(void)
{
#ifdef WEIR_HAVE_SEQUENCES
	ptrdiff_t offset;

	has_sequences = wi_os_rseq_offset(&offset) == 0;
#endif
	if (has_sequences)
		has_membarrier = wi_os_membarrier_register() == 0;
	pthread_atfork(NULL, NULL, forget_thread);
}

bool wi_grace_has_sequences(void)
{
	return has_sequences;
}

bool wi_grace_has_membarrier(void)
{
	return has_membarrier;
}

void wi_grace_thread_init(void)
{
	if (weir_thread_burst == NO_THREAD)
		weir_thread_burst = wi_burst_mark(wi_thread_mark(wi_os_tid()));
}

#ifdef WEIR_HAVE_SEQUENCES

/* A sequence that does nothing but last: true if it was aborted. */
static bool linger(void)
{
	uint32_t turns = 10000;
	bool aborted = false;

	/* clang-format off */
	__asm__ __volatile__(
		WEIR_X86_DESCRIPTOR(3, 1f, 2f, 4f)
		"	leaq 3b(%%rip), %%rax\n"
		"	movq %%rax, " WEIR_X86_RSEQ_CS "\n"
		"1:	pause\n"
		"	decl %[turns]\n"
		"	jnz 1b\n"
		"2:\n"
		"7:\n"
		WEIR_X86_DISARM
		WEIR_X86_COLD
		WEIR_X86_SIGNATURE
		"4:	movb $1, %b[aborted]\n"
		"	jmp 7b\n"
		WEIR_X86_HOT
		: [turns] "+&r"(turns), [aborted] "+&q"(aborted)
		: [rseq] "r"(__rseq_offset)
		: "rax", "memory", "cc");
	/* clang-format on */
	return aborted;
}

/* Each lasts a few tenths of a millisecond, as long as some disturbances. */
#define TRIES 50

struct disturber {
	uint32_t cpu;  /* where the sequence runs; ~0: the end */
	uint32_t done; /* membarriers aimed there */
};

static void *disturb(void *arg)
{
	struct disturber *d = arg;
	uint32_t cpu;

	/* Relaxed: a CPU number, or the end; pthread_join orders the rest. It
	 * sleeps in between, for it may be on the CPU that it disturbs. */
	while ((cpu = wi_load_relaxed(&d->cpu)) != UINT32_MAX) {
		if (wi_os_membarrier_cpu(cpu) == 0)
			wi_add_relaxed(&d->done, 1); /* a count */
		wi_os_sleep_ns(10000);
	}
	return NULL;
}

bool wi_grace_sequences_abort(void)
{
	struct disturber d = { .cpu = (uint32_t)wi_os_current_cpu() };
	pthread_t thread;
	sigset_t all, before;
	bool aborted = false;
	int err;

	if (!has_sequences)
		return false;
	/* No signal of the program's may land on that thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, disturb, &d);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err != 0)
		return true; /* nothing is known: as before the check */
	for (unsigned tries = 0; tries < TRIES && !aborted; tries++) {
		wi_store_relaxed(&d.cpu, (uint32_t)wi_os_current_cpu());
		aborted = linger();
	}
	wi_store_relaxed(&d.cpu, UINT32_MAX);
	pthread_join(thread, NULL);
	/* Hardly disturbed: nothing is known. */
	return aborted || d.done < TRIES;
}

#else

bool wi_grace_sequences_abort(void)
{
	return false;
}

#endif
