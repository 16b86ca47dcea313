/* SPDX-License-Identifier: MIT */
/*
 * cache: per-CPU lists of tokens in front of a back end, with remote drains.
 * Both public interfaces (token cache, page pool) are built on it.
 *
 *      get                                  put
 *       |                                    |
 *   list of this CPU --empty--> refill   list of this CPU --full--> flush
 *       |                         |          |                        |
 *       |                     back end <-----------(part of the list)-+
 *       |                         |empty
 *       |                      NOWAIT: EAGAIN
 *       |                      else: shortage
 *       v                         v
 *     token   <--- shortage.c: drain this node, try the zones again, drain
 *                  every CPU, try again
 *
 * A kind is what a back end is asked for: a list, or an order without one.
 * Those below nr_lists have lists, the others go to the back end directly. A
 * zone is one of several back ends of the same kinds (a NUMA node's); there are
 * lists for each zone.
 *
 * P2, no false empty (docs/design.md has P1 to P5). A get that may wait returns
 * ENOMEM only if all of these hold:
 *   - the back end's generation, a count of everything that came back to it,
 *     is the same before and after the last search;
 *   - a full drain took place between these two reads and left nothing pending;
 *   - no claim of a request was under way between them (request.h, Q2);
 *   - every token that it found was handed to a get in shortage: its own first,
 *     then waiters in the order of their turns.
 * Otherwise, after a bounded number of rounds or at the deadline, EAGAIN.
 *
 * Progress: put, and get with `nowait`, wait for no other thread and make no
 * system call but gettid, once per thread. Other gets wait for the drain mutex
 * and for evidence until their deadline at most.
 */
#ifndef WI_CACHE_CACHE_H
#define WI_CACHE_CACHE_H

#include "cache/request.h"
#include "percpu/list.h"

#define WI_BATCH_MAX 64 /* of the first of several refills */
#define WI_REFILL_MAX 256
#define WI_CHUNK 128 /* copied at a time: signal handlers have 8 KiB */
#define WI_NR_WAITERS 16

struct wi_backend {
	/* Gets up to n tokens of a kind; returns how many. *cursor is the
	 * CPU's hint. */
	size_t (*get)(void *ctx, unsigned zone, unsigned kind, uint64_t *tokens,
		      size_t n, uint32_t *cursor);
	/* Takes n tokens back; never fails, never waits. Up to WI_BATCH_MAX of
	 * them count as one in the generation. */
	void (*put)(void *ctx, unsigned zone, unsigned kind,
		    const uint64_t *tokens, size_t n);
	/* Counts everything that came back. */
	uint64_t (*generation)(void *ctx);
	/* The zone of a token; NULL: there is one. */
	unsigned (*zone_of)(void *ctx, uint64_t token);
	/* How many pages it has at most, summed up from counts that change
	 * meanwhile; NULL: it does not know. */
	uint64_t (*nr_free)(void *ctx);
	/* Makes of the tokens of a request, in place, what its caller gets;
	 * NULL: they are that. */
	void (*hand_over)(void *ctx, unsigned kind, uint64_t *tokens, size_t n);
	void *ctx;
};

/* The place of a get in shortage. A thread that drains stores a token here; the
 * get looks whenever it has, or gives up, the drain mutex. */
struct wi_waiter {
	uint64_t token; /* WEIR_NONE: not yet; WEIR_AGAIN: nobody waits */
	uint64_t turn;	/* the lowest is served first */
	uint32_t taken; /* a get has this place */
};

struct wi_cache {
	struct wi_drain drain; /* its constants are the cache's too */
	struct wi_backend backend;
	struct wi_cache_totals *totals;
	uint16_t batch[WEIR_NR_LISTS]; /* at most: wi_cache_batch() */
	uint64_t wait_ns;
	bool adapts; /* limits follow demand, in maintenance */

	uint64_t turns;
	struct wi_waiter waiters[WEIR_NR_LISTS][WI_NR_WAITERS];
	struct wi_requests requests;
};

/* Why a get failed. */
enum wi_failure {
	WI_FAIL_NOWAIT,
	WI_FAIL_EMPTY,
	WI_FAIL_PENDING,
	WI_FAIL_LOST,
	WI_NR_FAILURES
};

/* Since creation, unless it says otherwise; relaxed, read by anyone. Any thread
 * counts failures. */
struct wi_cache_totals {
	uint64_t failures[WI_NR_FAILURES];
	uint64_t stalls, stall_ns; /* gets in shortage, and their time */
	/* Requests that wait now, and the rest since creation; the holder of
	 * their mutex writes. */
	uint64_t waiting, completed, cancelled, passes;
};

struct wi_cache_config {
	struct wi_percpu_config percpu;
	struct wi_cache_totals *totals; /* zeroed */
	uint32_t batch;			/* of tokens of weight 1 */
	uint64_t wait_ns;
	bool adapts;
	struct wi_backend backend;
};

/* 0 or a negative errno. The cache lies in zeroed memory. */
int wi_cache_init(struct wi_cache *cache, const struct wi_cache_config *);
void wi_cache_fini(struct wi_cache *cache);

/* wait_ns after `now`; UINT64_MAX, which means no deadline, if that
 * overflows; WI_NO_WAIT if wait_ns is 0. */
static inline uint64_t wi_after_ns(uint64_t now, uint64_t wait_ns)
{
	if (wait_ns == 0)
		return WI_NO_WAIT;
	return wait_ns < UINT64_MAX - now ? now + wait_ns : UINT64_MAX;
}

/* What the caller may report of a get that fell short. */
struct wi_shortage {
	enum wi_failure why;
	uint64_t pending; /* pages without evidence, when it last drained */
};

enum { WI_GET_NOWAIT = 1, WI_GET_LOCAL = 2, WI_GET_SOME = 4 };

struct wi_get {
	unsigned kind;
	unsigned flags; /* NOWAIT; LOCAL: this CPU's zone only; SOME: one will
			 * do, but as many as there are without waiting */
	uint64_t *tokens;
	size_t n;
	size_t have;	  /* of the tokens, the first ones are there already */
	uint64_t wait_ns; /* in a shortage; 0: takes what has evidence at once;
			   * WEIR_WAIT_DEFAULT: the cache's */
	struct wi_shortage *shortage; /* set where it fails; may be NULL */
};

/* Returns how many; if fewer than n (or, with SOME, 0), *error is ENOMEM or
 * EAGAIN, positive, and the caller gives them back. */
size_t wi_cache_get(struct wi_cache *cache, const struct wi_get *get,
		    int *error);

/* Counts and traces a get of n tokens that fell short; it has got. */
void wi_cache_count_failure(struct wi_cache *cache, enum wi_failure why,
			    unsigned kind, size_t n, size_t got);

/* Gives tokens of one zone back. Never fails, never waits, keeps errno. */
void wi_cache_put(struct wi_cache *cache, unsigned zone, unsigned kind,
		  const uint64_t *tokens, size_t n);

/* Gives back what the lists of this CPU have, and what is pending there unless
 * another thread drains. Returns the pages from lists. Never waits; not for
 * signal handlers. */
uint64_t wi_cache_empty_here(struct wi_cache *cache);

/* Shares what lists may hold among CPUs anew, by demand (adapt.c). 0, or as
 * wi_cache_drain(); *outcome is set where limits changed. */
int wi_cache_adapt(struct wi_cache *cache, uint64_t deadline_ns,
		   struct wi_drain_outcome *outcome);

/* The deadline of the request is set by the caller. 0, -EAGAIN (pending),
 * -ETIMEDOUT or -EDEADLK (the mutex). *taken_over: the result is
 * another drain's. */
int wi_cache_drain(struct wi_cache *cache,
		   const struct wi_drain_request *request,
		   struct wi_drain_outcome *outcome, bool *taken_over);

#endif
