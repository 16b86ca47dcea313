/* SPDX-License-Identifier: MIT */
/*
 * Threads that are coroutines, on virtual CPUs, with a clock that moves when
 * the scheduler says so. One run is one interleaving: whenever there is more
 * than one way to go on, a choice is asked for; the same choices give the same
 * run.
 *
 * Memory is sequentially consistent here: every access is made at once and in
 * program order. What store buffers do is for the models (models/).
 *
 * A sequence is aborted, as the kernel does it, when its thread is displaced
 * from its CPU by another, moves to another CPU, gets a signal, or is the one
 * that runs on a CPU that membarrier is aimed at.
 */
#ifndef WEIR_INTERLEAVE_SCHED_H
#define WEIR_INTERLEAVE_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#define SCHED_THREADS_MAX 4
#define SCHED_CPUS 2
/* A thread that starts over more often than a run of any scenario needs. */
#define SCHED_STEPS_MAX 20000

/* What may happen to a thread, each once a run at most. */
enum {
	SCHED_MOVES = 1,   /* migrates to the other CPU */
	SCHED_SIGNALS = 2, /* a handler runs within */
	SCHED_FREEZES = 4, /* stands still until the others are done */
	SCHED_DIES = 8,	   /* does not exist any more */
};

enum sched_kind {
	SCHED_RUN,   /* the thread goes on */
	SCHED_CLOCK, /* so it does, as what it waits for takes too long */
	SCHED_MOVE,
	SCHED_SIGNAL,
	SCHED_FREEZE,
	SCHED_DIE,
};

struct sched_way {
	uint8_t thread, kind;
	uint8_t cost; /* 1: somebody is preempted, or an event */
};

#define SCHED_WAYS_MAX 16

/* Which of n ways, n > 1? */
typedef unsigned (*sched_choose)(const struct sched_way *ways, unsigned n);

struct sched_thread_spec {
	void (*run)(unsigned thread);
	void (*handler)(unsigned thread);
	unsigned cpu;
	unsigned may; /* SCHED_... */
};

/* Between runs: no threads, the clock at its beginning. */
void sched_reset(void);
void sched_add(const struct sched_thread_spec *spec);
/* Runs them all to their end. False: something failed, sched_failure() says
 * what. */
bool sched_run(sched_choose choose);
const char *sched_failure(void);
/* Runs a function before or after a run; false as above. */
bool sched_guarded(void (*run)(void));

__attribute__((format(printf, 1, 2), noreturn)) void
sched_fail(const char *format, ...);
#define EXPECT(expr)                                                           \
	do {                                                                   \
		if (!(expr))                                                   \
			sched_fail("%s:%d: %s", __FILE__, __LINE__, #expr);    \
	} while (0)

/* The thread that runs; SCHED_THREADS_MAX: none, this is before or after the
 * run. Then nothing is handed over, and the CPU is what sched_sit_on() said. */
unsigned sched_self(void);
void sched_sit_on(unsigned cpu);
unsigned sched_cpu(void);
uint64_t sched_steps(void); /* points passed in this run */
uint64_t sched_now_ns(void);
uint32_t sched_tid(void);
bool sched_exists(uint32_t tid);

/* Nothing to do until *word is `free` again, or the clock has moved on. */
void sched_wait(const uint32_t *word, uint32_t free);
void sched_sleep(uint64_t ns);
/* Until all threads that do not wait here are done. */
void sched_wait_for_others(void);
bool sched_others_done(void);
/* While set, this thread must not wait: a failure if it does. */
void sched_forbid_waiting(bool forbid);

/* Accesses to these bytes are nobody's business: no points. */
void sched_skip(const void *from, uint64_t bytes);

/* --- sequences --------------------------------------------------------- */

struct sched_sequence {
	bool aborted;
};

void sched_arm(struct sched_sequence *sequence);
void sched_disarm(void);
/* A point within a sequence; true: it was aborted, and is disarmed. */
bool sched_aborted_at(const void *address, const char *what);
/* Aborts what runs on that CPU. */
void sched_membarrier(unsigned cpu);

/* Prints each step. */
extern bool sched_trace;
/* What an address is, for traces; buf has room for 64. (os.c) */
void sched_describe(uintptr_t address, char *buf);

#endif
