/* SPDX-License-Identifier: MIT */
/* What play.c and asks.c share: a row that is played, and where its tokens are.
 */
#ifndef WEIR_INTERLEAVE_PLAY_H
#define WEIR_INTERLEAVE_PLAY_H

#include <weir/fast.h>
#include <weir/request.h>

#include "cache/cache.h"
#include "interleave/lists.h"

#define TOKENS_MAX 16
#define BURSTS_MAX 4
#define EVENTS_MAX 64
#define PAGE 4096
#define PAGES 512			    /* of a pool, at first */
#define PLACES_MAX (TOKENS_MAX + 2 * PAGES) /* a growth adds so many tokens */

/* Where a token is: with the back end, with weir, with a thread. */
enum { BACK, IN, HELD };

extern struct play {
	const struct list_row *row;
	struct weir_cache *cache;
	struct weir_pool *pool;
	struct wi_cache *lists; /* within either */
	unsigned nr_tokens;
	uint64_t first; /* token 0's number in the pool */

	uint8_t place[PLACES_MAX]; /* BACK, IN, HELD + thread */
	uint64_t back[TOKENS_MAX];
	unsigned nr_back;

	struct {
		uint64_t token[TOKENS_MAX];
		unsigned n;
		struct weir_burst burst[BURSTS_MAX];
		unsigned nr_bursts;
	} held[SCHED_THREADS_MAX];

	/* Of a thread that isolates nothing: its last call ended before the
	 * block was marked; it has ended. */
	bool before_mark[SCHED_THREADS_MAX], done[SCHED_THREADS_MAX];

	/* For P2: full drains that left nothing, and puts to the back end
	 * by calls that returned; in steps. */
	struct span {
		uint64_t begin, end;
	} drains[EVENTS_MAX], puts[EVENTS_MAX];
	unsigned nr_drains, nr_puts;
	uint64_t locked_at, begun_before;
	uint64_t last_put[SCHED_THREADS_MAX]; /* by the call under way */

	/* A request of each thread; the last one's waits from the beginning. */
	struct asked {
		struct weir_request request;
		union {
			void *page[TOKENS_MAX];
			uint64_t token[TOKENS_MAX];
		} to;
		bool waits, told;
	} asked[SCHED_THREADS_MAX];
	/* For "no request is forgotten". */
	bool in_call[SCHED_THREADS_MAX];
	bool maintaining, alone, alone_at_unlock;
	bool stays[PLACES_MAX]; /* nobody had it since maintain began */
} w;

/* The number of a token, from 0, and of a page. */
unsigned play_index_of(uint64_t token);
uint64_t play_token_of(const void *page);

/* A token was given to a thread. */
void play_hold(unsigned t, uint64_t token);

/* Its calls. */
void play_get(unsigned t, unsigned flags);
void play_put(unsigned t, unsigned n);

/* --- asks.c ------------------------------------------------------------- */

void asks_submit(unsigned t, bool calls_back);
void asks_cancel(unsigned t);

/* As a loop that does not wait for the eventfd. */
void asks_look(unsigned t);

/* Maintains, and fails if a request was forgotten. */
void asks_maintain(void);

/* A request that cannot be met, as a thread has all tokens, most of which are
 * given back then, the lowest first. */
void asks_let_one_wait(void);

/* From now on events are listened to. */
void asks_listen(void);

/* Who still waits gives up; the others were told once. */
void asks_end(void);

#endif
