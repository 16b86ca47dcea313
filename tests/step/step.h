/* SPDX-License-Identifier: MIT */
/*
 * A tracer stops a thread at every instruction of every restartable sequence
 * that the program, a plugin and the shared library have, as they are shipped;
 * lets others act meanwhile; lets it go on; and sees whether all is in order.
 *
 *   sequences.c  finds the sequences of the loaded objects, and disassembles
 *   tracer.c     stops, lets go, writes breakpoints
 *   tracee.c     the traced process: the owner, and two helpers
 *   inlined.c    weir/fast.h, compiled into the program and into a plugin
 *   step.c       which cases there are; runs them
 *
 * A thread that is stopped has been preempted: where it stands within a
 * sequence, the kernel aborts that as it goes on. To stop a thread without an
 * abort, as a processor does that is slow, the tracer clears rseq_cs
 * meanwhile; others on its CPU must do nothing then.
 */
#ifndef WEIR_TESTS_STEP_H
#define WEIR_TESTS_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weir/cache.h>
#include <weir/fast.h>

#include "check.h"

/* --- what the owner does ----------------------------------------------- */

/* One, a bulk, a bulk of one; one without waiting. */
enum op {
	GET,
	PUT,
	GET_BULK,
	PUT_BULK,
	GET_ONE,
	PUT_ONE,
	GET_NOWAIT,
	TICK,
	BURST,
	DRAIN,
	COLLECT, /* a get that finds its CPU's set pending */
	NR_OPS
};
/* Pages, by calls into the library or inlined here or in the plugin; tokens of
 * a weir_cache by the same; pages of a checked pool, of one that checks whole
 * pages. */
enum way {
	CALLS,
	INLINED,
	PLUGIN,
	TOKENS,
	TOKENS_INLINED,
	TOKENS_PLUGIN,
	CHECKED,
	WHOLE,
	NR_WAYS
};

static inline bool of_tokens(enum way way)
{
	return way >= TOKENS && way <= TOKENS_PLUGIN;
}

enum mode { ORDINARY, QUIET, POLLING, IN_BURST, OFF, NR_MODES };
enum fill { EMPTY, PART, FULL, NR_FILLS };

struct scenario {
	enum op op;
	enum way way;
	unsigned list;
	enum mode mode;
	enum fill fill;
	unsigned set; /* which of the two is in use; OFF: ordinary or quiet */
};

#define BULK 11 /* things at once: a whole round of the copy, and some */
#define NR_THINGS 1024

/* fast.h, compiled here and there. */
struct inlined {
	void *(*get)(struct weir_pool *pool, unsigned list);
	void (*put)(struct weir_pool *pool, unsigned list, void *page);
	int (*get_bulk)(struct weir_pool *pool, unsigned list, void **pages);
	void (*put_bulk)(struct weir_pool *pool, unsigned list, void **pages);
	void (*tick)(struct weir_pool *pool);
	uint64_t (*get_token)(struct weir_cache *cache, unsigned list);
	void (*put_token)(struct weir_cache *cache, unsigned list,
			  uint64_t token);
	int (*get_tokens)(struct weir_cache *cache, unsigned list,
			  uint64_t *tokens);
	void (*put_tokens)(struct weir_cache *cache, unsigned list,
			   const uint64_t *tokens);
	void (*tick_tokens)(struct weir_cache *cache);
};
extern const struct inlined inlined_here;
WEIR_API extern const struct inlined inlined_plugin;

/* --- what others do meanwhile ------------------------------------------ */

enum act {
	NOTHING,
	DRAIN_ALL,
	DRAIN_SOME,  /* with a want */
	OFF_AND_ON,  /* active names the same set as before, by a new word */
	OTHER_MODE,  /* which stays */
	THERE_BACK,  /* to another mode and back, while a set is pending */
	TAKE_ALL,    /* allocations in shortage */
	TAKE_NOWAIT, /* all there is without waiting */
	/* From here on acts that preempt the owner. */
	SAME_CPU,   /* an operation of another thread there */
	SAME_BULK,  /* a bulk operation there, and a drain */
	SAME_BURST, /* a burst there */
	TWO_DRAINS, /* and an operation there in between */
	HANDLER,    /* a signal handler of the owner operates */
	HANDLER_BURST,
	MIGRATE,
	MIGRATE_DRAIN,
	MIGRATE_ZONE, /* to a CPU whose lists are for other tokens */
	NR_ACTS,
	CHECK_ZONE, /* after that: its lists got none */
	CHECK_UP,   /* after a case: gives all back */
	SETTLE_UP,  /* and sees that all is there */
};
#define FIRST_PREEMPTING SAME_CPU

struct helper {
	uint32_t asked, done; /* futexes */
	enum act act;
	uint64_t slowest_ns; /* of what must never wait */
};

/* Shared by tracer and tracee. */
struct shared {
	struct scenario now;
	enum order { PREPARE, OPERATE, SETTLE } order; /* to the owner */
	bool done;				       /* with it */
	enum act in_handler;
	struct helper far, near; /* on the other CPU, on the owner's */
	uint32_t ready;
	pid_t owner;
	uint64_t rseq;	      /* its address */
	uint64_t membarriers; /* of the pools, ever */
	bool modes;	      /* are there others than the ordinary one */
};

extern struct shared *shared;
extern int cpu_owner, cpu_other;

/* Bodies of a process of its own: one that serves the cases; one that makes
 * its first pool, and ends. */
void tracee_main(void);
void tracee_create(void);

/* --- the sequences ----------------------------------------------------- */

struct insn {
	uint64_t at;
	unsigned seq;
	bool region;	    /* it aborts there */
	unsigned preempted; /* cases that stopped here and were aborted */
	unsigned paused;    /* or went on */
	unsigned in_mode;   /* quick form: bits, what was done here */
};

struct seq {
	const char *object;
	uint64_t base;
	uint64_t start, end, abort;
};

struct text {
	uint64_t at;
	size_t bytes;
	uint8_t *clean, *traps; /* traps: a breakpoint at each insn */
};

#define MAX_SEQS 1024
#define MAX_INSNS 32768
extern struct seq seqs[MAX_SEQS];
extern struct insn insns[MAX_INSNS];
extern struct text texts[8];
extern unsigned nr_seqs, nr_insns, nr_texts;

void sequences_find(void);
struct insn *insn_at(uint64_t at);

/* --- the tracer -------------------------------------------------------- */

struct trace {
	pid_t process, thread;
	int memory; /* /proc/PID/mem */
};

/* A child that runs `body`, its thread shared->owner traced and stopped where
 * it is ready for orders. */
void trace_begin(struct trace *t, void (*body)(void));
void trace_end(struct trace *t);
/* Lets it go on, with a signal or 0, to the next stop: where, or DONE with what
 * it was ordered, or ENDED with status 0. */
#define DONE 0
#define ENDED 1
uint64_t trace_go(struct trace *t, int signal);
void trace_write(struct trace *t, uint64_t at, const void *bytes, size_t n);
void trace_set_ip(struct trace *t, uint64_t at);
void trace_set_traps(struct trace *t, bool all);
void trace_trap(struct trace *t, uint64_t at, bool set);
uint64_t trace_rseq_cs(struct trace *t, uint64_t value); /* the one before */
/* Asks a helper, and waits for it. */
void trace_ask(struct trace *t, struct helper *helper, enum act act);

void futex_wait(const uint32_t *word, uint32_t value);
void futex_wake(const uint32_t *word);

#endif
