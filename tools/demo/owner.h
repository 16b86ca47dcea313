/* SPDX-License-Identifier: MIT */
/*
 * The thread whose CPU keeps the pages, and its oracle.
 *
 * It carries out orders, and between them does what its scene says. Orders go
 * through shared memory that it polls, so that no interrupt is sent to a CPU
 * where the owner runs; one that is asleep is woken by futex.
 *
 * The oracle: each page has a mark that says who has it. Who gets a page finds
 * it free and marks it, who gives one up finds its own mark still there. Two
 * that have one page at once show as a wrong mark to at least one of them,
 * whatever the order of their plain stores.
 */
#ifndef WEIR_TOOL_DEMO_OWNER_H
#define WEIR_TOOL_DEMO_OWNER_H

#include <pthread.h>

#include "base/bits.h" /* WI_CACHE_LINE */
#include "common/way.h"

enum owner_scene {
	OWNER_ALLOCATING, /* a page out and back, again and again */
	OWNER_COMPUTING,  /* without a call */
	OWNER_ASLEEP,
	NR_OWNER_SCENES,
};

enum owner_order {
	OWNER_FILL,    /* put the stock into this CPU's list */
	OWNER_ANSWER,  /* nothing: who answers is running */
	OWNER_TICK,    /* be seen between two operations */
	OWNER_PAUSE,   /* compute from now on */
	OWNER_MEASURE, /* what an operation costs */
	OWNER_ACCOUNT, /* how often it was preempted */
	OWNER_QUIT,
};

enum page_mark {
	PAGE_IN_USE, /* by the program at large: the rescuer */
	PAGE_FREE,
	PAGE_OF_OWNER,
};

#define OWNER_STOCK_MAX 64

struct owner {
	pthread_t thread;
	const struct demo_way *way;
	void *pool;
	enum owner_scene scene;
	unsigned cpu;
	uint32_t tid;

	/* Written by the other side while the owner waits for an order. */
	enum owner_order order;
	uint64_t stock[OWNER_STOCK_MAX];
	unsigned nr_stock;

	uint8_t *marks;	      /* enum page_mark of every page */
	uint64_t faults;      /* wrong marks, both sides */
	uint64_t preemptions; /* by OWNER_ACCOUNT: so far */
	double op_ns;	      /* by OWNER_MEASURE: a get or a put */

	_Alignas(WI_CACHE_LINE) uint32_t ordered; /* number of the last order */
	_Alignas(WI_CACHE_LINE) uint32_t done;
};

/* `owner` has way, pool, scene, cpu and marks. 0 or a negative errno. */
int owner_start(struct owner *owner);

/* Gives an order and waits until it has been carried out. The scene goes on
 * then; an owner that sleeps is asleep again when this returns. */
void owner_do(struct owner *owner, enum owner_order order);

/* Ends the thread. */
void owner_stop(struct owner *owner);

/* A page changes hands. */
void owner_mark(struct owner *owner, uint64_t page, enum page_mark from,
		enum page_mark to);

#endif
