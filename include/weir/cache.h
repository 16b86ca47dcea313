/* SPDX-License-Identifier: MIT */
/*
 * weir_cache: the per-CPU lists and remote drains of weir as a building block,
 * in front of any back end the caller brings (DPDK objects, AF_XDP frames,
 * io_uring buffers), or of a store of its own, to cache pointers for example. A
 * list holds 64-bit tokens and does not interpret them; every value but
 * WEIR_CACHE_NONE and WEIR_CACHE_NONE - 1 is allowed.
 *
 * The conventions of weir.h hold here too.
 */
#ifndef WEIR_CACHE_H
#define WEIR_CACHE_H

#include <weir/weir.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_cache;

#define WEIR_CACHE_NONE UINT64_MAX
#define WEIR_CACHE_LISTS_MAX 7

/*
 * Where tokens come from and go to. Both are called by the thread that called
 * weir: get by a thread whose list is empty, with no lock of weir's held; put
 * by a thread whose list is full, or that received more tokens than it needed,
 * with no lock held, and by a thread that drains, with the drain mutex held: it
 * must not drain, nor make an allocation that may wait. For requests
 * (weir/request.h) both are called with the mutex of requests held. Several
 * threads may call them at once. If signal handlers use the cache, they are
 * called in signal handlers too; a back end that takes a mutex makes a cache
 * that signal handlers must not use.
 */
struct weir_cache_backend {
	/* Stores up to n tokens; returns how many, 0 when there are none. */
	size_t (*get)(void *context, unsigned list, uint64_t *tokens, size_t n);
	/* Takes n tokens back; cannot fail. */
	void (*put)(void *context, unsigned list, const uint64_t *tokens,
		    size_t n);
	void *context;
};

/*
 * A store of the cache's own. Where the three fields of `backend` are NULL, the
 * cache keeps the tokens that are in no list of a CPU itself, in a store for
 * each list, which is empty at first: the caller puts tokens before it gets
 * any. `capacity` is how many tokens each store has room for, of which it takes
 * 8.3 bytes each. Tokens that a call is moving into or out of the store need
 * room, too, and a drain moves all that are in lists there. So no more tokens
 * of one list should exist than that, wherever they are; then there is always
 * room. A put, drain or destruction that finds no room ends the process.
 * Tokens leave the store in no particular order (a CPU's list is last in, first
 * out). It is lock-free: a stopped thread holds up no other, and signal
 * handlers may use the cache.
 */

/* Options; begin with WEIR_CACHE_OPTS_INIT. 0 or NULL is the default, but for
 * wait_ns. */
struct weir_cache_opts {
	size_t size;
	struct weir_cache_backend backend; /* all NULL: a store of its own */
	unsigned nr_lists;		   /* 1 to WEIR_CACHE_LISTS_MAX; 1 */
	unsigned flags;			   /* WEIR_POOL_NO_RSEQ, _ADAPT; none */
	/* Tokens each list holds at most, 1 to 511; 256. */
	uint16_t limit[WEIR_CACHE_LISTS_MAX];
	uint32_t batch; /* tokens from back end to list at first, up to four
			 * times as many when refills follow each other; 1
			 * to 64; 64 */
	const char *quiet_cpus;	  /* a cpulist; the CPUs the system isolates */
	const char *polling_cpus; /* a cpulist; none */
	uint64_t wait_ns;	  /* as that of weir_pool_opts; 10 ms */
	uint64_t capacity; /* tokens of each list in a store of its own, 1 to
			    * 2^32, no default; with a back end 0 */
};

#define WEIR_CACHE_OPTS_INIT WEIR_SIZED_WAITING(weir_cache_opts)

/* As weir_pool_opts_init(). */
WEIR_API void weir_cache_opts_init(struct weir_cache_opts *opts, size_t size)
	WEIR_NONNULL(1);

/*
 * Returns 0, -EINVAL (weir_last_error() names the field), -ENOMEM. With a store
 * of its own it writes 0.14 bytes for each token. Threads: yes. Signals: no.
 * Calls and interrupts: as weir_pool_create().
 */
WEIR_API int weir_cache_create(struct weir_cache **cache,
			       const struct weir_cache_opts *opts) WEIR_MUST_USE
	WEIR_NONNULL(1);

/*
 * Gives the tokens in the lists to the back end and unmaps the cache, with a
 * store of its own also the tokens in that; no thread may be using it, except a
 * put of the back end, which may put tokens: they go to the back end too. NULL
 * is ignored. Returns 0; -EBUSY while requests wait (weir/request.h: then
 * nothing was given back either), when evidence of a
 * CPU is missing (a thread was still using it, or a burst was left open;
 * without membarrier also a polling CPU without a further operation), or put
 * gave tokens back to the cache until wait_ns were over; -ETIMEDOUT and
 * -EDEADLK as weir_drain(): nothing was unmapped; -ESTALE in a forked child.
 * Threads: once. Signals: no. Calls: those of weir_cache_drain(), munmap.
 * Interrupts: yes, unmapping does.
 */
WEIR_API int weir_cache_destroy(struct weir_cache *cache);

/*
 * One token, or WEIR_CACHE_NONE with errno ENOMEM: the back end had none, nor
 * had the lists of any CPU; EAGAIN: not now, as weir_alloc(); EINVAL: no such
 * list or flag; ESTALE. `flags`: WEIR_NOWAIT, WEIR_RECLAIM.
 * Threads: yes. Signals: with WEIR_NOWAIT. Calls and interrupts: those of
 * weir_drain() without WEIR_NOWAIT; with it none (gettid once per thread).
 * In addition, here and below, those of the back end.
 */
WEIR_API uint64_t weir_cache_get(struct weir_cache *cache, unsigned list,
				 unsigned flags) WEIR_MUST_USE WEIR_NONNULL(1);

/* Gives a token back. Fatal: a list that does not exist; a value that no token
 * may have; a store of the cache's own without room for it, when the token
 * reaches the store, which may be by another call. Threads: yes. Signals: yes.
 * Calls: none (gettid once per thread). Interrupts: none. Never waits. */
WEIR_API void weir_cache_put(struct weir_cache *cache, unsigned list,
			     uint64_t token) WEIR_NONNULL(1);

/* n tokens, all or none: 0, or a negative errno as weir_cache_get(). */
WEIR_API int weir_cache_get_bulk(struct weir_cache *cache, unsigned list,
				 uint64_t *tokens, size_t n,
				 unsigned flags) WEIR_MUST_USE WEIR_NONNULL(1);

/* The same, waiting up to wait_ns, as weir_alloc_wait() and
 * weir_alloc_bulk_wait(). */
WEIR_API uint64_t weir_cache_get_wait(struct weir_cache *cache, unsigned list,
				      unsigned flags,
				      uint64_t wait_ns) WEIR_MUST_USE
	WEIR_NONNULL(1);
WEIR_API int weir_cache_get_bulk_wait(struct weir_cache *cache, unsigned list,
				      uint64_t *tokens, size_t n,
				      unsigned flags,
				      uint64_t wait_ns) WEIR_MUST_USE
	WEIR_NONNULL(1);

/* Up to n tokens, as many as there are without waiting, or one with waiting.
 * Returns how many; 0 with errno. */
WEIR_API size_t weir_cache_get_upto(struct weir_cache *cache, unsigned list,
				    uint64_t *tokens, size_t n,
				    unsigned flags) WEIR_MUST_USE
	WEIR_NONNULL(1);

WEIR_API void weir_cache_put_bulk(struct weir_cache *cache, unsigned list,
				  const uint64_t *tokens, size_t n)
	WEIR_NONNULL(1);

/* As weir_drain(), weir_flush(), weir_set_mode(), weir_set_limit(),
 * weir_get_mode(), weir_tick(), weir_burst_begin() and _end(); `pages` counts
 * tokens, and so does the result of weir_cache_flush(). */
WEIR_API int weir_cache_drain(struct weir_cache *cache,
			      const struct weir_drain_opts *opts,
			      struct weir_drain_result *result) WEIR_NONNULL(1);
WEIR_API uint64_t weir_cache_flush(struct weir_cache *cache) WEIR_NONNULL(1);
WEIR_API int weir_cache_set_mode(struct weir_cache *cache, const char *cpus,
				 enum weir_mode mode) WEIR_NONNULL(1);
WEIR_API int weir_cache_set_mode_wait(struct weir_cache *cache,
				      const char *cpus, enum weir_mode mode,
				      uint64_t wait_ns) WEIR_NONNULL(1);
WEIR_API int weir_cache_set_limit(struct weir_cache *cache, const char *cpus,
				  unsigned list, unsigned limit)
	WEIR_NONNULL(1);
WEIR_API int weir_cache_set_limit_wait(struct weir_cache *cache,
				       const char *cpus, unsigned list,
				       unsigned limit, uint64_t wait_ns)
	WEIR_NONNULL(1);
WEIR_API int weir_cache_get_mode(const struct weir_cache *cache, unsigned cpu)
	WEIR_NONNULL(1);
WEIR_API void weir_cache_tick(struct weir_cache *cache) WEIR_NONNULL(1);
WEIR_API void weir_cache_burst_begin(struct weir_cache *cache,
				     struct weir_burst *burst)
	WEIR_NONNULL(1, 2);
WEIR_API void weir_cache_burst_end(struct weir_cache *cache,
				   struct weir_burst *burst) WEIR_NONNULL(1, 2);

/* As weir_maintain(), without a reserve: collects pending tokens, and drains
 * the CPUs that made no operation since the last call. */
WEIR_API int weir_cache_maintain(struct weir_cache *cache,
				 struct weir_drain_result *result)
	WEIR_NONNULL(1);
WEIR_API int weir_cache_maintain_wait(struct weir_cache *cache,
				      uint64_t wait_ns,
				      struct weir_drain_result *result)
	WEIR_NONNULL(1);

/* What a cache did and holds; fields as those of struct weir_stat. */
struct weir_cache_stat {
	size_t size;	  /* set by the caller, WEIR_CACHE_STAT_INIT */
	uint64_t cached;  /* tokens in lists of CPUs */
	uint64_t pending; /* in sets that wait for evidence */
	uint64_t operations;
	uint64_t refills, flushes; /* calls of the back end's get and put */
	uint64_t direct; /* gets that the back end served past the lists */
	uint64_t aborts;
	uint64_t drains; /* CPUs drained */
	uint64_t drained_tokens;
	uint64_t by_progress, by_not_busy, by_membarrier; /* evidence */
	uint64_t late; /* CPUs whose evidence did not come in time */
	uint64_t membarriers, membarriers_failed;
	uint64_t failed_nowait, failed_empty, failed_pending, failed_lost;
	unsigned nr_lists, nr_cpus;
	/* Tokens of each list in the store of the cache's own, but for those
	 * that calls are moving; 0 with a back end. */
	uint64_t stored[WEIR_CACHE_LISTS_MAX];
	/* Requests (weir/request.h): they wait now; completed and cancelled
	 * since creation; passes through all that wait */
	uint64_t requests_waiting, requests_completed, requests_cancelled,
		requests_passes;
	uint64_t stalls, stall_ns; /* as those of struct weir_stat */
};

struct weir_cache_stat_list {
	unsigned count, high; /* tokens it holds, and may hold */
	uint64_t operations;
};

struct weir_cache_stat_cpu {
	size_t size;
	enum weir_mode mode;
	uint64_t cached, pending, operations, refills, flushes, direct, aborts;
	uint64_t drains, by_progress, by_not_busy, by_membarrier, late;
	struct weir_cache_stat_list list[WEIR_CACHE_LISTS_MAX];
};

#define WEIR_CACHE_STAT_INIT WEIR_SIZED(weir_cache_stat)
#define WEIR_CACHE_STAT_CPU_INIT WEIR_SIZED(weir_cache_stat_cpu)

/* As weir_pool_opts_init(). */
WEIR_API void weir_cache_stat_init(struct weir_cache_stat *stat, size_t size)
	WEIR_NONNULL(1);
WEIR_API void weir_cache_stat_cpu_init(struct weir_cache_stat_cpu *stat,
				       size_t size) WEIR_NONNULL(1);

/*
 * Fill *stat, whose size the caller has set: sums over the cache, or of one
 * CPU's lists. Return 0, -EINVAL (no such CPU, or no such size), -ESTALE.
 * Threads: yes. Signals: yes. Calls: none. Interrupts: none.
 */
WEIR_API int weir_cache_stat_read(const struct weir_cache *cache,
				  struct weir_cache_stat *stat)
	WEIR_NONNULL(1, 2);
WEIR_API int weir_cache_stat_read_cpu(const struct weir_cache *cache,
				      unsigned cpu,
				      struct weir_cache_stat_cpu *stat)
	WEIR_NONNULL(1, 3);

#ifdef __cplusplus
}
#endif

#endif
