/* SPDX-License-Identifier: MIT */
/*
 * weir: a page allocator for programs in which some CPUs must not be
 * disturbed.
 *
 * Every CPU keeps lists of free pages, so that most allocations and frees
 * touch nothing shared; any thread can take back what another CPU keeps
 * (weir_drain, or an allocation that drains) without interrupting that CPU.
 *
 * Conventions. A function that returns int returns 0 or a negative errno
 * value, unless its comment says more. A function that returns a pointer
 * returns NULL with errno set. Sizes are in bytes, times in nanoseconds. CPU
 * sets are cpulist strings such as "2-7,9"; the empty string is the empty set.
 * Errors of the caller that would corrupt memory (a double free, a pointer from
 * elsewhere) end the process with one line on standard error that names the
 * pool, the pointer and the reason. Nothing else is printed, except what
 * WEIR_DESTROY_LIST asks for.
 *
 * Option and result structs begin with their size, which their initialiser
 * sets: WEIR_..._INIT, or for other languages weir_..._init(). Later versions
 * add fields at the end, and a program may run with an older or a later library
 * than it was compiled for. Options that the program's header lacks have their
 * default; options that the library lacks must be 0, else -EINVAL. Of a result,
 * the library stores the fields that the program's header has, and sets those
 * to 0 that it does not know itself. A size below 16 or above 4096, or not a
 * multiple of 8, is -EINVAL.
 *
 * Each function documents four things: whether several threads may call it at
 * once (threads), whether a signal handler may call it (signals), which system
 * calls it may make (calls), and whether it may interrupt another CPU
 * (interrupts). Where it says gettid, once per thread, the same call also makes
 * rseq(2) if the C library does not. The first operation on a CPU that was not
 * online as the pool was made may also make a futex call, which wakes a thread
 * and does not wait. Functions for signal handlers take at most 8 KiB of their
 * stack, the others 40 KiB.
 *
 * Cancellation. No function is a cancellation point. A thread that is cancelled
 * asynchronously in one may leak pages, or the pool it was making. The
 * functions that signal handlers must not call defer cancellation while they
 * hold what other threads wait for; it takes effect when they return. A signal
 * handler may leave by longjmp() only out of functions that signal handlers may
 * call (pages may leak): out of another one the drain mutex would stay locked,
 * and all later drains would time out.
 *
 * Children. In a child made by fork(), _Fork(), or clone() without CLONE_VM
 * every call on a pool of the parent fails with ESTALE, or does nothing; the
 * child makes pools of its own. Where the kernel refuses MADV_WIPEONFORK (`weir
 * doctor` shows it) that holds in a child of fork() only; any other child must
 * not touch its parent's pools. A child that a signal handler makes inside a
 * function of weir must not return from the handler: the parent's pools are not
 * mapped there, and it would end by SIGSEGV. In the handler it may use weir,
 * and leave by siglongjmp(), exec or _exit(). In a child of _Fork() or clone(),
 * a pool that is made before the first thread has called weir, and by another
 * thread, has no fast path. No function may be called in a vfork child, or by
 * another process that shares the memory without being a thread.
 */
#ifndef WEIR_H
#define WEIR_H

#include <stddef.h>
#include <stdint.h>

#include <weir/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What compilers are told of the functions. Allocations are not `malloc`: a
 * page is also reached through the memory that weir_pool_range() returns, a
 * region or a file of the caller's, and what lies in it stays.
 */
#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#define WEIR_MUST_USE __attribute__((warn_unused_result))
#define WEIR_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define WEIR_RETURNS_NONNULL __attribute__((returns_nonnull))
#else
#define WEIR_API
#define WEIR_MUST_USE
#define WEIR_NONNULL(...)
#define WEIR_RETURNS_NONNULL
#endif

/*
 * How long a call may wait, in nanoseconds, where it says `wait_ns`: for the
 * drains of others, and for evidence that a CPU is done with its lists. 0: not
 * at all; it takes what has evidence at once and leaves the rest pending.
 */
#define WEIR_WAIT_FOREVER UINT64_MAX
#define WEIR_WAIT_DEFAULT (UINT64_MAX - 1) /* the pool's; its own: 10 ms */

/* An option or result struct with its size set and everything else zero. (C++
 * has no designated initialiser before C++20, and warns of a short list.) */
#ifdef __cplusplus
#if __cplusplus >= 201402L
#define WEIR_CONSTEXPR constexpr
#else
#define WEIR_CONSTEXPR inline
#endif
extern "C++" {
template <typename Struct> WEIR_CONSTEXPR Struct weir_sized()
{
	Struct result = Struct();

	result.size = sizeof(Struct);
	return result;
}
template <typename Struct> WEIR_CONSTEXPR Struct weir_sized_waiting()
{
	Struct result = weir_sized<Struct>();

	result.wait_ns = WEIR_WAIT_DEFAULT;
	return result;
}
}
#define WEIR_SIZED(name) weir_sized<struct name>()
#define WEIR_SIZED_WAITING(name) weir_sized_waiting<struct name>()
#else
#define WEIR_SIZED(name)                                                       \
	{                                                                      \
		.size = sizeof(struct name)                                    \
	}
#define WEIR_SIZED_WAITING(name)                                               \
	{                                                                      \
		.size = sizeof(struct name), .wait_ns = WEIR_WAIT_DEFAULT      \
	}
#endif

struct weir_pool;

/* The largest order: a run of 2^18 pages, 1 GiB of 4 KiB pages. */
#define WEIR_ORDER_MAX 18

/* Instead of the kernel's number of a NUMA node: no particular node. */
#define WEIR_NODE_ANY (-1)

/* Where a pool's pages come from. */
enum weir_backing {
	WEIR_BACKING_ANON,    /* anonymous memory, small pages */
	WEIR_BACKING_THP,     /* anonymous memory, transparent huge pages */
	WEIR_BACKING_HUGETLB, /* pages of hugetlbfs: reserved beforehand, and
			       * backed at creation where a cgroup may limit
			       * them */
	WEIR_BACKING_MEMFD,   /* the caller's memfd, from fd_offset on */
	WEIR_BACKING_REGION,  /* the caller's memory, from region on */
};

/* What a CPU's operations pay and how its lists are drained. */
enum weir_mode {
	/* Operations pay nothing; a drain watches for progress, then may send
	 * one interrupt (membarrier) if a thread of this process runs there. */
	WEIR_MODE_ORDINARY,
	/* Never interrupted. Operations outside a burst announce themselves, by
	 * a fence each. */
	WEIR_MODE_QUIET,
	/* Never interrupted. Operations pay nothing; a drain waits for the
	 * next operation or weir_tick() there. For poll loops. */
	WEIR_MODE_POLLING,
	/* No lists: every operation goes to the zone. */
	WEIR_MODE_OFF,
};

/* Flags of struct weir_pool_opts. */
/* Detect a double free, a wrong order and writes after a free: weir_free(). */
#define WEIR_POOL_CHECKED 0x1u
/* The next two leave out the lists of CPUs that are not online. */
#define WEIR_POOL_PREFAULT 0x2u /* back the pages at creation */
#define WEIR_POOL_LOCK 0x4u    /* mlock pages and metadata (implies prefault) */
#define WEIR_POOL_NO_RSEQ 0x8u /* locked mode, as on machines without rseq */
#define WEIR_POOL_HIDDEN 0x10u /* cannot be watched from outside */
/* weir_maintain() lets the limits of lists follow demand: a CPU that often
 * finds a list empty or full gets more, an idle one less, and the sum stays. */
#define WEIR_POOL_ADAPT 0x20u

/*
 * Options of a pool; begin with WEIR_POOL_OPTS_INIT and set what matters.
 * A field that is 0 or NULL has the default that its comment names; only in
 * `node` and `wait_ns` 0 is a value, and the initialiser sets the default.
 */
struct weir_pool_opts {
	size_t size;	    /* of this struct: WEIR_POOL_OPTS_INIT sets it */
	uint64_t capacity;  /* bytes; no default. A multiple of page_size, if
			     * that is a power of two; else what is left behind
			     * the last page is not used, and capacity times
			     * page_size must be less than 2^64 */
	uint64_t page_size; /* bytes, a multiple of 64, 2^6 to 2^30; 4096. With
			     * one that is no power of two the pool has order 0
			     * only: single pages */
	enum weir_backing backing; /* WEIR_BACKING_ANON */
	unsigned flags;		   /* WEIR_POOL_...; none */
	int fd;	  /* of a memfd; used with WEIR_BACKING_MEMFD only */
	int node; /* the kernel's number of the NUMA node that all pages come
		   * from; WEIR_NODE_ANY, which the initialiser sets: every
		   * node that has CPUs and whose memory this process may use,
		   * in a zone each (where binding memory is refused: the node
		   * of the CPU that touches it first). For a region it is only
		   * shown in statistics. */
	uint64_t fd_offset; /* bytes, a multiple of the kernel's page */
	void *region;	    /* aligned to `alignment` and to the kernel's page;
			     * weir cannot see whether it is mapped, or
			     * another pool's; stays locked after its pool */
	const char *quiet_cpus;	  /* a cpulist; the CPUs the system isolates */
	const char *polling_cpus; /* a cpulist; none */
	int32_t list_limit;	  /* runs a list holds at most, 1 to 511; -1: no
				   * lists; as many as make up 1/8 of the zone's
				   * pages divided by the CPUs online, at most 511 */
	uint32_t batch;	  /* pages moved from zone to list at first, up to four
			   * times as many when refills follow each other; 1
			   * to 64; 64 */
	uint64_t wait_ns; /* of calls that say WEIR_WAIT_DEFAULT, or nothing;
			   * 10 ms, which is WEIR_WAIT_DEFAULT here. 0: none */
	const char *name; /* for messages, to 31 bytes; "pool" */
	uint64_t alignment; /* bytes, a power of two that divides page_size; the
			     * largest one. The address of every page is a
			     * multiple of it: so of page_size, if that is a
			     * power of two, and of 128, if it is 2176. A
			     * smaller one is for regions aligned to no more */
	uint64_t max_capacity; /* bytes that weir_pool_grow() can make it, for
				* which addresses are reserved; if it is more
				* than capacity, both are multiples of what a
				* growth is a multiple of; capacity */
};

#ifdef __cplusplus
extern "C++" {
WEIR_CONSTEXPR weir_pool_opts weir_sized_pool_opts()
{
	weir_pool_opts result = weir_sized<weir_pool_opts>();

	result.node = WEIR_NODE_ANY;
	result.wait_ns = WEIR_WAIT_DEFAULT;
	return result;
}
}
#define WEIR_POOL_OPTS_INIT weir_sized_pool_opts()
#else
#define WEIR_POOL_OPTS_INIT                                                    \
	{                                                                      \
		.size = sizeof(struct weir_pool_opts), .node = WEIR_NODE_ANY,  \
		.wait_ns = WEIR_WAIT_DEFAULT                                   \
	}
#endif

/*
 * What the initialiser macros do, for languages that have no use of them: sets
 * `size` bytes at *opts to the defaults. `size` is that of the struct as the
 * caller declares it.
 * Threads: yes. Signals: yes. Calls: none. Interrupts: none.
 */
WEIR_API void weir_pool_opts_init(struct weir_pool_opts *opts, size_t size)
	WEIR_NONNULL(1);

/* Flags of allocations. */
#define WEIR_NOWAIT 0x1u   /* lists and zones only; fails with EAGAIN */
#define WEIR_ZERO 0x2u	   /* the pages are filled with zeros */
#define WEIR_THISNODE 0x4u /* this node's zone only, if there are several */
#define WEIR_RECLAIM                                                           \
	0x8u /* lists, zones, and what other CPUs can give at                  \
	      * once; WEIR_NOWAIT overrides it */

/* Flags of weir_pool_destroy(). */
#define WEIR_DESTROY_FORCE 0x1u /* although pages are allocated */
#define WEIR_DESTROY_LIST 0x2u	/* print the first allocated pages */

/*
 * Makes a pool. `*pool` is set on success. Memory that is never used stays
 * unbacked unless the options ask otherwise.
 * Returns 0; -EINVAL for an option (weir_last_error() names the field and
 * why); -ENOMEM when address space, huge pages or locked memory do not suffice
 * (weir_last_error() names the limit, and the size needed in all); -EPERM when
 * locking memory, or binding it to `node`, is not permitted at all; -EOPNOTSUPP
 * for a backing the kernel lacks; or the error of a system call. After an error
 * nothing is left of the pool, and weir_last_error() has a message.
 * Threads: yes. Signals: no. Calls: mmap, madvise, mbind, mlock, sysfs reads;
 * without WEIR_POOL_HIDDEN memfd_create, whose descriptor stays open.
 * The first creation in a process that has one thread, on a CPU that is not
 * quiet, checks the sequences with a second thread, which takes a millisecond
 * (more on a busy machine) and interrupts this CPU. Interrupts: otherwise none
 * (a creation that fails may, as it unmaps what it had).
 */
WEIR_API int weir_pool_create(struct weir_pool **pool,
			      const struct weir_pool_opts *opts) WEIR_MUST_USE
	WEIR_NONNULL(1);

/*
 * Unmaps a pool; no thread may be using it. NULL is ignored. `flags`:
 * WEIR_DESTROY_... Ends its maintenance thread.
 * Returns 0; -EBUSY while requests wait (weir/request.h), or while pages are
 * allocated or isolated, unless forced (weir_last_error() says how many;
 * WEIR_DESTROY_LIST prints the first of them on standard error);
 * -EINVAL for unknown flags; -EDEADLK in a callback of a request; -ESTALE in a
 * forked child.
 * Threads: once. Signals: no. Calls: those of weir_drain(), munmap, close.
 * Interrupts: yes, unmapping reaches every CPU that runs the process.
 */
WEIR_API int weir_pool_destroy(struct weir_pool *pool, unsigned flags);

/*
 * Adds `bytes` of memory to a pool that was made with a max_capacity, while
 * other threads use it: a multiple of 512 pages, or of the larger power of two
 * of pages that is whole pages of the kernel or huge pages of its backing. In a
 * pool of several zones each gets a part. The memory is backed as it is used,
 * or before it is added if the pool has WEIR_POOL_PREFAULT or WEIR_POOL_LOCK,
 * and for huge pages that were reserved; a memfd must reach to its end, and a
 * region must be mapped. Lists keep their limits. Requests that can be met then
 * are completed, as by weir_drain().
 * Returns 0; -EINVAL for `bytes` or a memfd that is too short; -ENOSPC for more
 * than max_capacity; -ENOMEM when the memory cannot be backed or locked, -EPERM
 * when it may not be locked; -ETIMEDOUT when other growths and drains took all
 * of the pool's wait_ns; -ESTALE. After an error the pool is as it was, and
 * weir_last_error() has a message (not for -ETIMEDOUT and -ESTALE).
 * Threads: yes. Signals: no. Calls: futex, madvise, mlock, write to eventfds of
 * requests, gettid once per thread; after an error munlock, and sysfs reads.
 * Interrupts: none (a growth that fails may, as it gives back what it had).
 */
WEIR_API int weir_pool_grow(struct weir_pool *pool,
			    uint64_t bytes) WEIR_MUST_USE WEIR_NONNULL(1);

/*
 * The memory of a pool, to be registered with a device: first byte, bytes,
 * bytes of a page. Each result may be NULL. The bytes are those up to the last
 * page that exists now; in a pool of several zones that can grow, addresses
 * between zones may have no pages yet: weir_pool_iovecs() leaves them out.
 * Returns 0, or -ESTALE in a forked child.
 * Threads: yes. Signals: yes. Calls: none. Interrupts: none.
 */
WEIR_API int weir_pool_range(const struct weir_pool *pool, void **base,
			     size_t *bytes, size_t *page_size) WEIR_NONNULL(1);

/*
 * The memory of a pool in parts of as many pages as 1 GiB has, the last one
 * smaller, as io_uring takes buffers (<sys/uio.h>, io_uring_register(2)).
 * Stores the first `n` of them in `iovecs`, which may be NULL if n is 0. (In a
 * pool of several zones that can grow, the last part of each zone may be
 * smaller.)
 * Returns how many parts there are, 1 to 131135, or -ESTALE in a forked child.
 * Threads: yes. Signals: yes. Calls: none. Interrupts: none.
 */
struct iovec;
WEIR_API int weir_pool_iovecs(const struct weir_pool *pool,
			      struct iovec *iovecs, size_t n) WEIR_NONNULL(1);

/*
 * Addresses. weir_pool_contains() returns 1 if `p` points into the pool, else
 * 0. weir_pool_index() returns the index, from 0, of the page that `p` points
 * into, or WEIR_INDEX_NONE; weir_pool_page() the first byte of the page with
 * that index, or NULL if the pool has none. Pages that a growth may still add
 * are not in the pool. Whether a page is allocated makes no difference. In a
 * forked child no pointer is one of its parent's pool.
 * Threads: yes. Signals: yes. Calls: none. Interrupts: none.
 */
#define WEIR_INDEX_NONE UINT64_MAX
WEIR_API int weir_pool_contains(const struct weir_pool *pool, const void *p)
	WEIR_NONNULL(1);
WEIR_API uint64_t weir_pool_index(const struct weir_pool *pool, const void *p)
	WEIR_NONNULL(1);
WEIR_API void *weir_pool_page(const struct weir_pool *pool, uint64_t index)
	WEIR_NONNULL(1);

/*
 * The smallest order whose runs have that many bytes; of 0 bytes it is 0.
 * Returns it, -EINVAL if a run of the pool's largest order is smaller, or
 * -ESTALE.
 * Threads: yes. Signals: yes. Calls: none. Interrupts: none.
 */
WEIR_API int weir_pool_order(const struct weir_pool *pool, size_t bytes)
	WEIR_NONNULL(1);

/*
 * Allocates a run of 2^order pages, aligned to its size in the pool; in memory,
 * too, as far as the pool's first byte is: a region's as the caller aligned it,
 * any other's to the largest run in it (above 1 GiB: where the address space
 * has such a place). A page whose size is no power of two begins at a multiple
 * of that size in the pool, and is aligned in memory as the option `alignment`
 * says. `order`: 0 to WEIR_ORDER_MAX, or 0 only if page_size is no power of
 * two; `flags`: WEIR_NOWAIT,
 * WEIR_ZERO (without it the content is undefined), WEIR_THISNODE, WEIR_RECLAIM.
 * Returns the first page, or NULL with errno ENOMEM: there is none (after a
 * full drain that found none; orders above 0: no free run; or without a drain,
 * when the pool never had so many pages); EAGAIN: not now (WEIR_NOWAIT; pages
 * pending on a quiet or polling CPU; or other threads took what was found until
 * the deadline); EINVAL: order or flags; ESTALE: forked child.
 * Threads: yes. Signals: with WEIR_NOWAIT. Calls: with WEIR_NOWAIT none (gettid
 * once per thread), else those of weir_drain(). Interrupts: with WEIR_NOWAIT
 * none; else those of the drains it makes, which may be several. Waits for
 * drains only, never for a page that another thread may free.
 */
WEIR_API void *weir_alloc(struct weir_pool *pool, unsigned order,
			  unsigned flags) WEIR_MUST_USE WEIR_NONNULL(1);

/*
 * weir_alloc() that waits up to wait_ns: 0 to WEIR_WAIT_FOREVER, or
 * WEIR_WAIT_DEFAULT. WEIR_RECLAIM is a wait_ns of 0: for pollers that want
 * their neighbours' pages but no wait. It drains as weir_drain() does with a
 * wait_ns of 0, unless another thread drains, and fails with EAGAIN if pages
 * are pending or another drains; it does not sleep.
 * Threads: yes. Signals: with WEIR_NOWAIT. Calls: with a wait_ns of 0
 * membarrier (ordinary CPUs), futex to wake others, write to eventfds of
 * requests, once a thread gettid; else as weir_alloc(). Interrupts: as
 * weir_alloc(); quiet and polling CPUs: none.
 */
WEIR_API void *weir_alloc_wait(struct weir_pool *pool, unsigned order,
			       unsigned flags, uint64_t wait_ns) WEIR_MUST_USE
	WEIR_NONNULL(1);

/*
 * Allocates a given run: that of 2^order pages whose first has this index
 * (weir_pool_index()), which is aligned in the pool as every run of that order
 * is. For a page that is broken, a range that a device wants, or memory beside
 * other memory. `flags`: WEIR_NOWAIT, WEIR_ZERO.
 * Returns the first page, or NULL with errno EBUSY: not all of the run is free,
 * also after drains of all CPUs, which left nothing pending; EAGAIN: not now
 * (with WEIR_NOWAIT: not all of it is in the zone; else pages are pending, or
 * other drains took all of the pool's wait_ns); EINVAL: no such run, order or
 * flags; ESTALE.
 * Threads: yes. Signals: with WEIR_NOWAIT. Calls, interrupts: as weir_alloc().
 */
WEIR_API void *weir_alloc_at(struct weir_pool *pool, uint64_t index,
			     unsigned order, unsigned flags) WEIR_MUST_USE
	WEIR_NONNULL(1);

/*
 * Frees a run: `page` and `order` as they were allocated. NULL is ignored.
 * Keeps errno. Errors are fatal when they are detected. In every pool, at once:
 * a pointer from elsewhere, or one that is not the first byte of a page, or not
 * aligned to its order; an order that the pool does not have. In a checked
 * pool, at once: a double free and a wrong order; and a write after the free,
 * when the page is allocated again or the pool destroyed, if it changes one of
 * two lines: the first 64 bytes, and 64 that differ from page to page. In other
 * pools: a double free when the page reaches its zone (by the flush of a full
 * list or a drain), which may be after it was allocated twice; a wrong order
 * there only if one of the two is 9 or more, or if a page of the run is free. A
 * wrong order below 9 is otherwise NOT detected: a larger one frees pages that
 * are in use, a smaller one leaks the rest of the run. The environment variable
 * WEIR_CHECKED, set to something else than 0, makes every pool of a process a
 * checked one; set to 2, it also makes checked pools detect a write to any of a
 * page's first 64 KiB, which is slower, and name the call that freed the page
 * (neither where the program has more rights than its user). Threads: yes.
 * Signals: yes. Calls: none (gettid once per thread). Interrupts: none. Never
 * waits.
 */
WEIR_API void weir_free(struct weir_pool *pool, void *page, unsigned order)
	WEIR_NONNULL(1);

/*
 * Allocates `n` runs into `pages`, all or none. They need not be adjacent.
 * Returns 0, or -ENOMEM, -EAGAIN, -EINVAL, -ESTALE as weir_alloc().
 * The rest as weir_alloc().
 */
WEIR_API int weir_alloc_bulk(struct weir_pool *pool, unsigned order,
			     void **pages, size_t n,
			     unsigned flags) WEIR_MUST_USE WEIR_NONNULL(1);

/* weir_alloc_bulk() that waits up to wait_ns, as weir_alloc_wait(). */
WEIR_API int weir_alloc_bulk_wait(struct weir_pool *pool, unsigned order,
				  void **pages, size_t n, unsigned flags,
				  uint64_t wait_ns) WEIR_MUST_USE
	WEIR_NONNULL(1);

/*
 * Allocates up to `n` runs into `pages`, as many as there are: those in lists
 * and zones first, and only if there are none at all does it wait for one.
 * Returns how many; 0 with errno as weir_alloc().
 * The rest as weir_alloc().
 */
WEIR_API size_t weir_alloc_upto(struct weir_pool *pool, unsigned order,
				void **pages, size_t n,
				unsigned flags) WEIR_MUST_USE WEIR_NONNULL(1);

/* Frees `n` runs of one order. The rest as weir_free(). */
WEIR_API void weir_free_bulk(struct weir_pool *pool, unsigned order,
			     void *const *pages, size_t n) WEIR_NONNULL(1);

/*
 * The three above for those whose descriptors hold offsets, as those of AF_XDP
 * do: an offset is the bytes from the pool's first byte to the run. Otherwise
 * as weir_alloc_bulk(), weir_alloc_upto() and weir_free_bulk(); an offset that
 * is no run of the pool is as fatal as such a pointer.
 */
WEIR_API int weir_alloc_offsets(struct weir_pool *pool, unsigned order,
				uint64_t *offsets, size_t n,
				unsigned flags) WEIR_MUST_USE WEIR_NONNULL(1);
WEIR_API size_t weir_alloc_offsets_upto(struct weir_pool *pool, unsigned order,
					uint64_t *offsets, size_t n,
					unsigned flags) WEIR_MUST_USE
	WEIR_NONNULL(1);
WEIR_API void weir_free_offsets(struct weir_pool *pool, unsigned order,
				const uint64_t *offsets, size_t n)
	WEIR_NONNULL(1);

/*
 * A burst: between its begin and end, operations of this thread on the quiet
 * CPU where it began need no announcement of their own. A drain of that CPU
 * waits for the end, so keep it short. Bursts may nest. On other CPUs, and when
 * the thread is migrated meanwhile, a burst has no effect; in a pool of several
 * zones it covers the pages of the CPU's own node. The struct is storage of the
 * caller's; its content is internal.
 * Threads: yes, a struct each. Signals: yes. Calls: once per thread gettid.
 * Interrupts: none.
 */
struct weir_burst {
	void *area;
};
WEIR_API void weir_burst_begin(struct weir_pool *pool, struct weir_burst *burst)
	WEIR_NONNULL(1, 2);
WEIR_API void weir_burst_end(struct weir_pool *pool, struct weir_burst *burst)
	WEIR_NONNULL(1, 2);

/*
 * Leaves evidence that this CPU is between operations. Call it once per turn of
 * a poll loop on a polling CPU that may go without an operation for long.
 * Threads: yes. Signals: yes. Calls: none. Interrupts: none.
 */
WEIR_API void weir_tick(struct weir_pool *pool) WEIR_NONNULL(1);

/*
 * Flag of struct weir_drain_opts: use membarrier for the CPUs that `cpus` names
 * (NULL is -EINVAL), also in quiet and polling mode. For CPUs whose thread has
 * ended or stopped polling, and whose pages stay pending. Interrupts such a CPU
 * once if a thread of this process runs there, else not at all. No effect in
 * locked mode and without membarrier.
 */
#define WEIR_DRAIN_INTERRUPT 0x1u

/* Options of weir_drain(); begin with WEIR_DRAIN_OPTS_INIT. */
struct weir_drain_opts {
	size_t size;
	unsigned flags;	     /* WEIR_DRAIN_...; none */
	const char *cpus;    /* a cpulist; NULL: every CPU */
	uint64_t want_pages; /* stop when this many were drained; 0: all */
	uint64_t wait_ns;    /* WEIR_WAIT_DEFAULT; 0: take what has evidence */
};

#define WEIR_DRAIN_OPTS_INIT WEIR_SIZED_WAITING(weir_drain_opts)

/* As weir_pool_opts_init(). */
WEIR_API void weir_drain_opts_init(struct weir_drain_opts *opts, size_t size)
	WEIR_NONNULL(1);

/* What a drain did. Evidence: how it was known that a CPU was done with a set
 * of its lists. A CPU counts once, whatever the number of zones, and as pending
 * if it is so in any. */
struct weir_drain_result {
	size_t size;	  /* set by the caller, WEIR_DRAIN_RESULT_INIT */
	uint64_t pages;	  /* given back */
	uint64_t pending; /* pages in sets without evidence yet */
	uint64_t ns;	  /* how long it took */
	uint32_t cpus_drained;
	uint32_t cpus_skipped; /* their lists read empty, or (in
				* weir_maintain()) they were not idle */
	uint32_t cpus_pending;
	uint32_t by_progress; /* sets: a later operation or tick was seen */
	uint32_t by_not_busy; /* nothing was announced */
	uint32_t by_membarrier;
	uint32_t membarriers_failed;
	uint32_t taken_over; /* 1: another thread's drain covered this one */
};

#define WEIR_DRAIN_RESULT_INIT WEIR_SIZED(weir_drain_result)

/* As weir_pool_opts_init(). */
WEIR_API void weir_drain_result_init(struct weir_drain_result *result,
				     size_t size) WEIR_NONNULL(1);

/*
 * Takes back the pages in the lists of CPUs. `opts` and `result` may be NULL.
 * Returns 0 when every CPU asked for was drained or empty, or want_pages were
 * drained; -EAGAIN when pages are pending at the deadline (a later drain or
 * weir_maintain() collects them, or an allocation on their CPU that may wait
 * and finds its list empty); -EINVAL (weir_last_error() says why); -ETIMEDOUT
 * when other drains took all of wait_ns (if that is 0: when another thread
 * drains); -EDEADLK from inside a drain; -ESTALE.
 * Threads: yes. Signals: no.
 * Calls: futex, membarrier (ordinary CPUs), nanosleep, to ask for a thread
 * tgkill with signal 0 and a read of /proc/self/task, write to eventfds of
 * requests, gettid once per thread.
 * Interrupts: at most one on each ordinary CPU on which a thread of this
 * process runs and makes no progress (two where an earlier one failed and the
 * mode changes; with want_pages in a pool of several zones one per zone); quiet
 * and polling CPUs: none, but with WEIR_DRAIN_INTERRUPT as ordinary ones.
 */
WEIR_API int weir_drain(struct weir_pool *pool,
			const struct weir_drain_opts *opts,
			struct weir_drain_result *result) WEIR_NONNULL(1);

/*
 * Housekeeping, called by a thread of the program's, or by the one that
 * weir_maintain_start() makes: collects pending sets, drains CPUs that made no
 * operation since the last call, and keeps `reserve_pages` free in the zones if
 * draining can, and the watermarks (below). While requests wait
 * (weir/request.h) it completes what can be met, and drains all CPUs if that is
 * not enough; a request for which enough stays free all the time is completed
 * when it returns 0. `result` may be NULL. Returns 0 when nothing is pending
 * any more, whether or not the reserve was reached; -EAGAIN when pages are
 * pending, even if it was reached, or when a request waits and pages came back
 * to a zone in each of 16 looks; -EDEADLK also in a callback of a request. The
 * rest as weir_drain().
 */
WEIR_API int weir_maintain(struct weir_pool *pool, uint64_t reserve_pages,
			   struct weir_drain_result *result) WEIR_NONNULL(1);

/* weir_maintain() whose drains wait up to wait_ns each. */
WEIR_API int weir_maintain_wait(struct weir_pool *pool, uint64_t reserve_pages,
				uint64_t wait_ns,
				struct weir_drain_result *result)
	WEIR_NONNULL(1);

/* What weir_range_isolate() found. */
struct weir_range_result {
	size_t size;	   /* set by the caller, WEIR_RANGE_RESULT_INIT */
	uint64_t *bitmap;  /* set by the caller, or NULL: receives a bit for
			    * each page of the range, nr / 64 words: 1 if it is
			    * out */
	uint64_t isolated; /* pages, in whole blocks, that are the caller's */
	uint64_t out;	   /* pages that are out, in the other blocks */
	uint64_t pending;  /* pages of the pool that its drain left pending */
};

#define WEIR_RANGE_RESULT_INIT WEIR_SIZED(weir_range_result)

/* As weir_pool_opts_init(). */
WEIR_API void weir_range_result_init(struct weir_range_result *result,
				     size_t size) WEIR_NONNULL(1);

/*
 * Takes the `nr` pages from index `first` on out of use, for memory that is to
 * be removed, given back to the kernel, or is broken; both are multiples of
 * 512, and all pages exist. Nobody can allocate them any more; those that are
 * free, in a zone or in any CPU's lists, become the caller's, a block of 512 at
 * a time as soon as all of it is free, until weir_range_return(). The caller
 * may do with these what the backing permits, madvise(MADV_DONTNEED) too.
 * `result` may be NULL. Of several callers each has ranges of its own.
 * Returns 0 when the whole range is the caller's; -EAGAIN when pages of it are
 * out: allocated, pending, or freed into a list meanwhile (`result` shows
 * which; they stay in the range as they are freed, so call again to take what
 * came back, or weir_range_return() to undo it); -EBUSY when a part of it is
 * isolated already, but not all; -EINVAL; -ESTALE. After -EBUSY and -EINVAL
 * nothing has changed.
 * Threads: yes. Signals: no. Calls: those of weir_drain(), which it makes of
 * all CPUs, for the pool's wait_ns. Interrupts: those of weir_drain().
 */
WEIR_API int weir_range_isolate(struct weir_pool *pool, uint64_t first,
				uint64_t nr,
				struct weir_range_result *result) WEIR_MUST_USE
	WEIR_NONNULL(1);

/*
 * Returns pages that weir_range_isolate() took out of use, the whole range or
 * whole blocks of it, whether or not it got all of them. Their content need not
 * be what it was. Requests are completed, as by weir_drain().
 * Returns 0, or -EINVAL when not all are isolated, and nothing has changed;
 * -ESTALE.
 * Threads: yes. Signals: no. Calls: futex, write to eventfds of requests.
 * Interrupts: none.
 */
WEIR_API int weir_range_return(struct weir_pool *pool, uint64_t first,
			       uint64_t nr) WEIR_NONNULL(1);

/*
 * Watermarks; begin with WEIR_WATERMARKS_INIT. weir_maintain() that finds fewer
 * than `low` pages free in the zones drains CPUs until `high` are, and if that
 * is not enough calls `shrink` once, with how many pages are missing: the
 * program frees what it can spare, as caches do. It is called in the thread
 * that maintains, unless that is on a quiet or polling CPU, by one thread at a
 * time, without a lock that allocations and frees could want. In it
 * weir_set_watermarks(), weir_maintain_stop() and weir_pool_destroy() of this
 * pool fail with EDEADLK. It returns (it must not leave by longjmp() or an
 * exception).
 */
struct weir_watermarks {
	size_t size;
	uint64_t low, high; /* pages; 1 <= low <= high <= those of the pool */
	void (*shrink)(struct weir_pool *pool, uint64_t wanted, void *context);
	void *context;
};

#define WEIR_WATERMARKS_INIT WEIR_SIZED(weir_watermarks)

/* As weir_pool_opts_init(). */
WEIR_API void weir_watermarks_init(struct weir_watermarks *marks, size_t size)
	WEIR_NONNULL(1);

/*
 * Sets the watermarks of a pool; NULL: none. When it returns, the `shrink` of
 * before is not running and will not be called again.
 * Returns 0; -EINVAL (weir_last_error() says why); -EDEADLK in `shrink`;
 * -ESTALE.
 * Threads: yes. Signals: no. Calls: futex. Interrupts: none. Waits for a
 * weir_maintain() that restores `high`.
 */
WEIR_API int weir_set_watermarks(struct weir_pool *pool,
				 const struct weir_watermarks *marks)
	WEIR_NONNULL(1);

/*
 * Gives back to the zones what the lists of the calling thread's CPU hold, and
 * the pages that are pending there, unless another thread drains. For a thread
 * that is about to sleep or to leave its poll loop: its CPU then keeps no
 * pages, and no later drain waits for evidence of it. Operations of other
 * threads on that CPU fill its lists again.
 * Returns how many pages were in its lists; 0 in a forked child.
 * Threads: yes. Signals: no. Calls: futex to wake others, gettid once per
 * thread. Interrupts: none. Never waits.
 */
WEIR_API uint64_t weir_flush(struct weir_pool *pool) WEIR_NONNULL(1);

/*
 * Changes the mode of CPUs. `cpus`: a cpulist, NULL for every CPU. Their lists
 * are drained.
 * Returns 0 when the mode is in force; -EAGAIN when evidence from the old mode
 * is pending (the mode comes into force when a later drain finds it: call again
 * to see; another mode set meanwhile replaces it. From WEIR_MODE_POLLING two
 * operations or ticks may be needed); -EINVAL; -EOPNOTSUPP in locked mode,
 * which has WEIR_MODE_ORDINARY (its own) and WEIR_MODE_OFF only, and for
 * WEIR_MODE_ORDINARY without membarrier; else as weir_drain(). The rest as
 * weir_drain().
 */
WEIR_API int weir_set_mode(struct weir_pool *pool, const char *cpus,
			   enum weir_mode mode) WEIR_NONNULL(1);

/* weir_set_mode() that waits up to wait_ns. */
WEIR_API int weir_set_mode_wait(struct weir_pool *pool, const char *cpus,
				enum weir_mode mode, uint64_t wait_ns)
	WEIR_NONNULL(1);

/*
 * Changes how many runs of an order the lists of CPUs hold at most. `cpus`: a
 * cpulist, NULL for every CPU; `order`: one with lists (0 to 3, 9); `limit`: 1
 * to 511 runs. Their lists, of all orders, are drained. weir_stat_read_cpu()
 * tells the limits (`high`).
 * Returns 0 when the limit is in force; -EAGAIN when evidence for what was
 * drained is pending (it comes into force when a later drain finds that;
 * another limit set meanwhile replaces it); -EINVAL; else as weir_drain(). The
 * rest as weir_drain().
 */
WEIR_API int weir_set_limit(struct weir_pool *pool, const char *cpus,
			    unsigned order, unsigned limit) WEIR_NONNULL(1);

/* weir_set_limit() that waits up to wait_ns. */
WEIR_API int weir_set_limit_wait(struct weir_pool *pool, const char *cpus,
				 unsigned order, unsigned limit,
				 uint64_t wait_ns) WEIR_NONNULL(1);

/*
 * The mode that is in force on a CPU, or -EINVAL for one that cannot exist,
 * -ESTALE.
 * Threads: yes. Signals: yes. Calls: none. Interrupts: none.
 */
WEIR_API int weir_get_mode(const struct weir_pool *pool, unsigned cpu)
	WEIR_NONNULL(1);

/*
 * What a negative errno value (or its absolute value) of weir means, in one
 * sentence that also says what to do. Never NULL.
 * Threads: yes. Signals: yes.
 */
WEIR_API const char *weir_strerror(int error) WEIR_RETURNS_NONNULL;

/*
 * Why this thread's last failed call failed: the option's field and what was
 * wrong with it; for an allocation or a get the reason of its EAGAIN or ENOMEM,
 * and the state of the pool now (pages free, the largest free run, pages in
 * lists, pending, allocated); for a drain what is pending. "" if there is
 * nothing to add to the error value. Valid until the thread's next call.
 * Failing calls store numbers only; the text is made, and the pool read as by
 * weir_stat_read(), when this is called.
 * Threads: yes. Signals: no. Calls: malloc, once per thread. Interrupts: none.
 */
WEIR_API const char *weir_last_error(void) WEIR_RETURNS_NONNULL;

#ifdef __cplusplus
}
#endif

#endif
