/* SPDX-License-Identifier: MIT */
/*
 * request: gets of n tokens, all or none, for which no thread waits.
 *
 *	submit --> waiting --pass--> taken --hand over--> done
 *	              |                                     |
 *	            cancel                       callback, or eventfd
 *
 * Requests wait in a queue, the oldest first. A pass goes through it once and
 * claims from the back end what each of them wants. Passes are made by
 * submissions, drains, maintenance and what else makes tokens free (growths of
 * a pool), and for requests with an eventfd by gets that have drained. Drained
 * tokens go to gets in shortage first. Frees, and gets without waiting, do
 * nothing for requests.
 *
 * Rules (models/cache-requests; docs/design.md has the reasons)
 *   Q1  A request keeps nothing between passes: what a claim lacks of n goes
 *	 back at once. What cannot be met is passed over.
 *   Q2  `holders` counts the claims of passes, under way and ended. ENOMEM is
 *	 said only if none was under way at the beginning of the round and none
 *	 began since: what a claim holds and will give back is nobody's.
 *   Q3  Maintenance repeats a pass during which something came back. A claim
 *	 may miss tokens that another claim gives up, and the generation moves
 *	 when it has.
 *   Q4  A request leaves the queue under the mutex, and so does one that is
 *	 cancelled. Callbacks are called, and eventfds written, without it; what
 *	 is needed of the request is read before it reads as done.
 *   Q5  Passes of a cache do not nest. One that a callback asks for is made by
 *	 the pass that called it.
 *
 * Mutexes: that of requests is held while the back end's get and put are called
 * for a claim, and never together with the drain mutex.
 */
#ifndef WI_CACHE_REQUEST_H
#define WI_CACHE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/request.h>

#include "os/os.h"

struct wi_cache;

/* Lies in the caller's struct. */
struct wi_request {
	/* Under the mutex; of one that is taken, whose pass it is. */
	struct wi_request *next, **link;
	/* Constant from its submission on. */
	struct wi_cache *cache;
	struct weir_request *callers;
	void (*done)(struct weir_request *request, void *context);
	void *context;
	uint64_t *tokens;
	size_t n;
	uint64_t weight; /* pages of a token; 1, if they are not counted */
	unsigned kind;
	unsigned zone; /* claimed from first */
	int fd;	       /* if `done` is NULL */
	uint32_t state;
};

struct wi_requests {
	struct wi_os_mutex mutex;
	struct wi_request *first, **last; /* under the mutex */
	struct wi_pass *calling; /* those that call back; under the mutex */
	uint32_t cursor;	 /* a claim's hint; under the mutex */
	/* Its holder writes, relaxed; others look whether there are any. */
	uint64_t nr_waiting;
	uint64_t nr_events; /* of these, those with an eventfd */
	uint64_t holders;   /* {ended:48 | under way:16} */
};

/* 0 or a negative errno from the mutex. */
int wi_requests_init(struct wi_requests *requests);
void wi_requests_fini(struct wi_requests *requests);

/*
 * All but link, next and state are set, and it does not wait. 1: it has its
 * tokens, and nothing else will come; 0: it waits; -EDEADLK: from the back end,
 * which a pass called.
 */
int wi_request_submit(struct wi_cache *cache, struct wi_request *request);

/* 0: it will not be completed; -EALREADY: it was; -EINVAL: it waits in another
 * cache; -EDEADLK as above. */
int wi_request_cancel(struct wi_cache *cache, struct wi_request *request);

/* Was it submitted, and is not the caller's again? */
bool wi_request_is_waiting(const struct wi_request *request);

/* Is it the caller's again, with its tokens? */
bool wi_request_is_done(const struct wi_request *request);

/* Does any request wait? */
bool wi_requests_any_waiting(const struct wi_cache *cache);

/* Is this thread in a callback of a request of this cache? */
bool wi_requests_in_callback(struct wi_cache *cache);

/* One pass. 0; -ETIMEDOUT or -EDEADLK: it did not get the mutex. */
int wi_requests_pass(struct wi_cache *cache, uint64_t deadline_ns);

/* Passes until one during which nothing came back. 0, or as above, or -EAGAIN
 * after 16. */
int wi_requests_serve(struct wi_cache *cache, uint64_t deadline_ns);

/* A pass for requests with an eventfd, if there are any and nobody else has the
 * mutex. */
void wi_requests_pass_events(struct wi_cache *cache);

/* Read before a search and after it: was no claim of a pass under way in
 * between (Q2)? */
uint64_t wi_requests_holders(const struct wi_cache *cache);
bool wi_requests_held_nothing(const struct wi_cache *cache, uint64_t before);

#endif
