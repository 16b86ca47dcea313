/* SPDX-License-Identifier: MIT */
/*
 * The threads of an isolated CPU whose pages are drained from afar, and what
 * they do meanwhile: the scene. None makes a system call but those that sleep.
 *
 * BURST_HELD: two threads, of which one only computes; the other, which is the
 * process's first thread, keeps a burst and makes turns when asked. So the mark
 * on the CPU is of the first thread, for which drains ask in a way of its own,
 * and the CPU has two runnable threads, which is when the kernel may send it a
 * reschedule interrupt.
 *
 * A turn takes up to eight pages and gives them back, so that after it at
 * least one page is in the CPU's list. (The first refill of a list brings more
 * pages than are asked for.)
 */
#ifndef WEIR_VM_OWNER_H
#define WEIR_VM_OWNER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

enum scene {
	ALLOCATING, /* turn after turn */
	RARELY,	    /* computes; a turn now and then */
	COMPUTING,  /* computes without a call; see `helped` */
	ASLEEP,	    /* a turn, then it sleeps, woken by its CPU's own timer */
	TOGETHER,   /* two threads, both turn after turn */
	IN_BURSTS,  /* a turn is a burst */
	BURST_HELD, /* a burst that ends with the next turn, see below */
	NR_SCENES,
};

extern const char *const scene_name[NR_SCENES];

struct owner {
	struct weir_pool *pool;
	unsigned cpu;
	enum scene scene;
	/* COMPUTING: a second thread, else asleep, makes the turns. Without
	 * it there are those asked for; the first ends with a tick. */
	bool helped;

	pthread_t thread[2];
	unsigned nr_threads;
	uint32_t tid; /* of who makes the turns */
	struct weir_burst burst;
	uint32_t first; /* BURST_HELD: 1 it may begin, 2 it has ended */
	void *held;	/* by asked turns */
	_Alignas(64) uint32_t turns;
	_Alignas(64) uint32_t asked; /* turns, COMPUTING without help */
	bool end;
};

/* `owner` has pool, cpu, scene and helped. Returns after the first turn. */
void owner_start(struct owner *owner);

/* BURST_HELD: what the process's first thread does, from owner_start() to
 * owner_stop(), which another thread calls. */
void owner_be_first(struct owner *owner);

/* Waits until a whole turn was made after this call, and if it is made by who
 * sleeps, until it sleeps again. The test fails after a minute. */
void owner_await_turn(struct owner *owner);

/* COMPUTING without help, BURST_HELD: a turn, now. */
void owner_ask_turn(struct owner *owner);

void owner_stop(struct owner *owner);

#endif
