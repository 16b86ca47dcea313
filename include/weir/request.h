/* SPDX-License-Identifier: MIT */
/*
 * Requests: allocations for which no thread waits. A request that cannot be met
 * at once stays with the pool, and is completed by a callback or an eventfd
 * when all its runs were handed over. For event loops, which must neither block
 * nor spin on an empty pool.
 *
 * Who completes requests: weir_maintain() and weir_drain(), submissions,
 * weir_pool_grow() and weir_range_...(), and for requests with an eventfd
 * allocations that had to drain. A free does not: it makes no system call and
 * tells nobody. So somebody must call
 * weir_maintain() while requests wait, and its interval is how long a request
 * may wait longer than it needs to: the program's loop by a timer, another
 * thread, or the one that weir_maintain_start() makes.
 *
 * The conventions of weir.h hold here too.
 */
#ifndef WEIR_REQUEST_H
#define WEIR_REQUEST_H

#include <weir/cache.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A request; begin with WEIR_REQUEST_INIT. From its submission on all of it,
 * and what it points to, is the library's, until it is the caller's again: when
 * its callback begins, when weir_request_is_done() returns 1, when it was
 * cancelled, or when a submission returned other than 0. Then it may be
 * submitted again.
 */
struct weir_request {
	size_t size;	  /* set by WEIR_REQUEST_INIT */
	size_t n;	  /* runs or tokens, 1 or more: all or none */
	void **pages;	  /* of a pool: where n of them are stored */
	uint64_t *tokens; /* of a token cache: where n of them are stored */
	/* Called when the request is completed, or NULL; may free `request`,
	 * and must return (no longjmp, no exception). */
	void (*done)(struct weir_request *request, void *context);
	void *context;
	unsigned order; /* of a pool's runs; 0 */
	unsigned list;	/* of a token cache; 0 */
	/* An eventfd(2), which several requests may share: each adds 1 to its
	 * count when it is completed. -1, which the initialiser sets: none.
	 * Either this or `done` is set. */
	int fd;
	uint64_t internal[16]; /* the library's; all zeros before the first
				* submission */
};

#ifdef __cplusplus
extern "C++" {
WEIR_CONSTEXPR weir_request weir_sized_request()
{
	weir_request result = weir_sized<weir_request>();

	result.fd = -1;
	return result;
}
}
#define WEIR_REQUEST_INIT weir_sized_request()
#else
#define WEIR_REQUEST_INIT                                                      \
	{                                                                      \
		.size = sizeof(struct weir_request), .fd = -1                  \
	}
#endif

/* As weir_pool_opts_init(). */
WEIR_API void weir_request_init(struct weir_request *request, size_t size)
	WEIR_NONNULL(1);

/*
 * Submits a request for n runs of a pool. Their content is undefined, and they
 * come from any node, that of the calling CPU first. Older requests are served
 * first, but one that cannot be met is passed over, so a large one may wait for
 * ever beside small ones. Allocations do not queue behind requests. It takes
 * what the zones have, not what lists have: try an allocation before.
 * It may complete other requests, and so call their callbacks. In a callback of
 * the same pool it always returns 0, and the request may be completed when that
 * callback has returned.
 * Returns 1: completed, nothing else will come; 0: it waits; -ENOMEM: the pool
 * cannot have so many runs, also when it has grown; -EBUSY: it waits already;
 * -EINVAL (weir_last_error() says why); -EDEADLK: from a back end that a pass
 * called; -ESTALE in a forked child. Threads: yes, a struct each. Signals: no.
 * Calls: futex, write for eventfds of other requests. Interrupts: none. Waits
 * for other submissions and passes, which do not wait, but not for drains.
 */
WEIR_API int weir_request_submit(struct weir_pool *pool,
				 struct weir_request *request) WEIR_MUST_USE
	WEIR_NONNULL(1, 2);

/*
 * Takes a request back. Returns 0: it will not be completed (nor will one that
 * was never submitted); -EALREADY: it was completed, or is being completed: its
 * callback was called or will be, or its eventfd written; -EINVAL: it waits in
 * another pool; -EDEADLK; -ESTALE.
 * Threads: yes, as long as the struct exists. Signals: no. Calls: futex.
 * Interrupts: none. Waits as weir_request_submit().
 */
WEIR_API int weir_request_cancel(struct weir_pool *pool,
				 struct weir_request *request)
	WEIR_NONNULL(1, 2);

/*
 * 1: the request was completed, and is the caller's again; 0: it was not, or
 * its struct is still in use. A loop whose eventfd has a count looks by this
 * which of its requests it is about. The eventfd may be written after this
 * returns 1, so close it when as many were read as were completed.
 * Threads: yes. Signals: yes. Calls: none. Interrupts: none.
 */
WEIR_API int weir_request_is_done(const struct weir_request *request)
	WEIR_NONNULL(1);

/* As weir_request_submit() and weir_request_cancel(), for n tokens of a list.
 * -ENOMEM is not returned: only the back end knows how many there are. Its get
 * and put are called with a mutex held, and must not submit or cancel. */
WEIR_API int
weir_cache_request_submit(struct weir_cache *cache,
			  struct weir_request *request) WEIR_MUST_USE
	WEIR_NONNULL(1, 2);
WEIR_API int weir_cache_request_cancel(struct weir_cache *cache,
				       struct weir_request *request)
	WEIR_NONNULL(1, 2);

/* Options of a maintenance thread; begin with WEIR_MAINTAIN_OPTS_INIT. */
struct weir_maintain_opts {
	size_t size;
	uint64_t interval_ns;	/* between two calls; 0: 10 ms */
	uint64_t reserve_pages; /* as weir_maintain(); 0 */
};

#define WEIR_MAINTAIN_OPTS_INIT WEIR_SIZED(weir_maintain_opts)

/* As weir_pool_opts_init(). */
WEIR_API void weir_maintain_opts_init(struct weir_maintain_opts *opts,
				      size_t size) WEIR_NONNULL(1);

/*
 * Starts a thread that calls weir_maintain() again and again, on those CPUs of
 * the calling thread's affinity that are neither quiet nor polling now. It
 * blocks all signals; callbacks of requests that it completes are called there.
 * `opts` may be NULL. weir_pool_destroy() ends it, also when it then returns
 * -EBUSY because pages are allocated. A forked child does not have it.
 * Returns 0; -EBUSY: there is one; -ENODEV: there is no such CPU; -EINVAL;
 * -EAGAIN, -ENOMEM or -EPERM: the system refused a thread; -ESTALE.
 * Threads: one at a time, of this and of weir_maintain_stop(). Signals: no.
 * Calls: clone, mmap, sched_getaffinity. Interrupts: none.
 */
WEIR_API int weir_maintain_start(struct weir_pool *pool,
				 const struct weir_maintain_opts *opts)
	WEIR_NONNULL(1);

/*
 * Ends the thread, and waits until it has ended. Returns 0, also when there is
 * none; -EDEADLK: from a callback; -ESTALE.
 * Threads: one at a time. Signals: no. Calls: futex. Interrupts: none.
 */
WEIR_API int weir_maintain_stop(struct weir_pool *pool) WEIR_NONNULL(1);

/* The same of a token cache: weir_cache_maintain(), weir_cache_destroy(). It
 * has no reserve: reserve_pages other than 0 is -EINVAL. */
WEIR_API int weir_cache_maintain_start(struct weir_cache *cache,
				       const struct weir_maintain_opts *opts)
	WEIR_NONNULL(1);
WEIR_API int weir_cache_maintain_stop(struct weir_cache *cache) WEIR_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
