/* SPDX-License-Identifier: MIT */
/*
 * What a pool did and holds. Reading disturbs no CPU: no lock, no system call,
 * no message; at most one cache miss for each line read. The numbers of one
 * read are from different moments.
 */
#ifndef WEIR_STAT_H
#define WEIR_STAT_H

#include <weir/weir.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_STAT_LISTS 5

struct weir_stat {
	size_t size;	  /* set by the caller, WEIR_STAT_INIT */
	uint64_t pages;	  /* in the pool now */
	uint64_t free;	  /* in zones */
	uint64_t cached;  /* in lists of CPUs */
	uint64_t pending; /* taken by drains, evidence missing */
	uint64_t out;	  /* the rest: allocated, or inside a call */
	uint64_t peak; /* most pages outside the zones at once since creation:
			* allocated, in lists, pending or inside a call. So at
			* least the most ever allocated (but for pages inside a
			* call then), and more by no more than what the lists
			* and pending sets held at that moment */
	uint64_t operations; /* on lists, single or bulk */
	uint64_t refills;    /* from a zone into a list */
	uint64_t flushes;    /* a full list gave half or more back */
	uint64_t direct;     /* allocations that bypassed the lists */
	uint64_t aborts; /* sequences started over, as far as slow paths saw */
	uint64_t drains; /* CPUs drained */
	uint64_t drained_pages;
	uint64_t by_progress, by_not_busy,
		by_membarrier; /* CPUs, by evidence */
	uint64_t late;	       /* CPUs whose evidence did not come in time */
	uint64_t membarriers, membarriers_failed;
	uint64_t failed_nowait;	 /* WEIR_NOWAIT and nothing in list and zones:
				  * EAGAIN */
	uint64_t failed_empty;	 /* ENOMEM */
	uint64_t failed_pending; /* pages pending at the deadline: EAGAIN */
	uint64_t failed_lost;	 /* taken by other threads until the deadline:
				  * EAGAIN */
	unsigned nr_zones, nr_cpus;
	/* Requests (weir/request.h): they wait now; completed and cancelled
	 * since creation; passes through all that wait */
	uint64_t requests_waiting, requests_completed, requests_cancelled,
		requests_passes;
	/* Allocations that found too little in lists and zones and drained, and
	 * the nanoseconds that these took in all */
	uint64_t stalls, stall_ns;
	/* weir_maintain() that found fewer pages free than the low watermark,
	 * and asked the program for pages (weir_set_watermarks()) */
	uint64_t below_low, shrinks;
	uint64_t max_pages; /* that the pool can grow to */
	uint64_t isolated;  /* free, in blocks that weir_range_isolate() took */
};

struct weir_stat_zone {
	size_t size;
	uint64_t pages, free;
	int node; /* the kernel's number of its node; WEIR_NODE_ANY */
	uint64_t free_runs[WEIR_ORDER_MAX + 1]; /* aligned, by order */
	uint64_t max_pages;			/* that it can grow to */
	uint64_t isolated;			/* as above */
};

struct weir_stat_list {
	unsigned order;
	unsigned count, high; /* runs it holds, and may hold */
	uint64_t operations;  /* modulo 2^38 in each of its two sets */
};

struct weir_stat_cpu {
	size_t size;
	/* In force. Lists of a polling CPU for another zone than its own are
	 * quiet. */
	enum weir_mode mode;
	uint64_t cached, pending, operations, refills, flushes, direct, aborts;
	uint64_t drains;
	uint64_t by_progress, by_not_busy, by_membarrier; /* of them */
	uint64_t late; /* drains whose evidence did not come in time */
	struct weir_stat_list list[WEIR_STAT_LISTS];
};

enum weir_page_state {
	WEIR_PAGE_OUT,	    /* allocated, or inside a call */
	WEIR_PAGE_CACHED,   /* in a list of a CPU */
	WEIR_PAGE_PENDING,  /* taken by a drain, evidence missing */
	WEIR_PAGE_FREE,	    /* in its zone */
	WEIR_PAGE_ISOLATED, /* the same, in an isolated block */
};

/* One page, for debugging. */
struct weir_stat_page {
	size_t size;
	enum weir_page_state state;
	int cpu;	/* whose list has it, or had it (pending); else -1 */
	uint64_t index; /* of the page in its pool, from 0 */
	uint64_t first; /* of the first page of its run */
	int order;	/* of its run in a list, or allocated in a checked pool;
			 * -1: not known */
	unsigned zone;
	char pool[32]; /* its name */
};

#define WEIR_STAT_INIT WEIR_SIZED(weir_stat)
#define WEIR_STAT_ZONE_INIT WEIR_SIZED(weir_stat_zone)
#define WEIR_STAT_CPU_INIT WEIR_SIZED(weir_stat_cpu)
#define WEIR_STAT_PAGE_INIT WEIR_SIZED(weir_stat_page)

/* As weir_pool_opts_init(). */
WEIR_API void weir_stat_init(struct weir_stat *stat, size_t size)
	WEIR_NONNULL(1);
WEIR_API void weir_stat_zone_init(struct weir_stat_zone *stat, size_t size)
	WEIR_NONNULL(1);
WEIR_API void weir_stat_cpu_init(struct weir_stat_cpu *stat, size_t size)
	WEIR_NONNULL(1);
WEIR_API void weir_stat_page_init(struct weir_stat_page *stat, size_t size)
	WEIR_NONNULL(1);

/*
 * Fill *stat, whose size the caller has set. weir_stat_read() sums over the
 * pool; the others read one zone, or one CPU's lists in one zone. Return 0,
 * -EINVAL (no such zone or CPU, or no such size), -ESTALE.
 * Threads: yes. Signals: yes. Calls: none. Interrupts: none.
 */
WEIR_API int weir_stat_read(const struct weir_pool *pool,
			    struct weir_stat *stat) WEIR_NONNULL(1, 2);
WEIR_API int weir_stat_read_zone(const struct weir_pool *pool, unsigned zone,
				 struct weir_stat_zone *stat)
	WEIR_NONNULL(1, 3);
WEIR_API int weir_stat_read_cpu(const struct weir_pool *pool, unsigned zone,
				unsigned cpu, struct weir_stat_cpu *stat)
	WEIR_NONNULL(1, 4);

/*
 * What is known of the page that `p` points into, in whichever pool of this
 * process. Every list of its zone is searched, so it is for debugging; other
 * threads go on meanwhile, and a page that moves may be found nowhere
 * (WEIR_PAGE_OUT). Returns 0, -ENOENT (in no pool; of more than 256 pools at
 * once, some are not known), -EINVAL (no such size).
 * Threads: yes; weir_pool_destroy() waits for it. Signals: no. Calls: none.
 * Interrupts: none.
 */
WEIR_API int weir_stat_read_page(const void *p, struct weir_stat_page *stat)
	WEIR_NONNULL(2);

/*
 * The same in words, for a debugger ("print weir_describe(page)") or a log. The
 * text takes the place of this thread's weir_last_error(), and lasts as long.
 * Threads, signals, calls, interrupts: as above; it may allocate memory.
 */
WEIR_API const char *weir_describe(const void *p);

#ifdef __cplusplus
}
#endif

#endif
