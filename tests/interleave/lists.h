/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of token caches and pools: rows (lists.c) whose threads are
 * scripts, one letter a call, and what plays them (play.c).
 *
 *   g G   get one; without waiting, or waiting        p   put the oldest held
 *   B     get up to 3 without waiting                 U   put all held
 *   d     drain                                       w   drain one page
 *   D     drain, however long it takes                m   maintain (pools)
 *   b e   begin a burst, end the last one             t   tick
 *   q o y x   CPU 0 becomes quiet, ordinary, polling, off
 *   a     add a block to the pool (where .grows)
 *   I     isolate the second block, use it, return it (where .two_blocks)
 *   1 2 3     that is the limit of its first list from now on
 *   R K   submit a request for `asks`, with an eventfd or a callback
 *   c     cancel it                                   i   is it done?
 *   M     maintain, and see whether requests were forgotten
 *   A     get a run of two without waiting (pools)
 *   n     let another thread go on
 *   z     wait until the other threads are done
 *   r     start over until they are
 */
#ifndef WEIR_INTERLEAVE_LISTS_H
#define WEIR_INTERLEAVE_LISTS_H

#include <stdbool.h>
#include <stdint.h>

#include "interleave/sched.h"

enum door { CACHE, POOL };

struct list_row {
	const char *modes; /* of each CPU: o q y x, or "l": locked */
	/* "0ms gp": on CPU 0, may move (m), get a signal (s), freeze (f), die
	 * (k); its script. */
	const char *thread[SCHED_THREADS_MAX];
	const char *handler; /* the script of the signal's handler */
	enum door door;
	uint8_t limit, batch; /* 0: 4, 2 */
	uint8_t tokens;	      /* there are in all; 0: 6 */
	uint8_t fill[SCHED_CPUS];
	bool membarrier_fails;
	bool asleep;	  /* CPU 0 was not online */
	bool grows;	  /* the pool has one block of two */
	bool two_blocks;  /* the first is out, the second are the tokens */
	bool never_empty; /* ENOMEM is wrong whenever it comes */
	uint8_t asks;	  /* tokens of a request */
	bool waits;	  /* one waits from the beginning on */
	uint8_t keeps;	  /* then: tokens that stay out */
};

void play_set_up(const void *row);
void play_look(const void *row);

#endif
