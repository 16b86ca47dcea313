/* SPDX-License-Identifier: MIT */
/*
 * A way to get at the pages that another CPU keeps: weir in its modes, and the
 * other known ways, which are small but complete allocators of their own, all
 * with per-CPU lists in front of one zone of DEMO_PAGES pages.
 *
 * Pages go by number, 0 to DEMO_PAGES - 1.
 */
#ifndef WEIR_TOOL_WAY_H
#define WEIR_TOOL_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#define DEMO_PAGE_SIZE 4096
#define DEMO_PAGES 262144   /* 1 GiB */
#define DEMO_LIST_LIMIT 256 /* pages a list holds at most */
#define DEMO_NONE UINT64_MAX

/* What is known before the first way begins. */
struct demo_machine {
	unsigned nr_cpus; /* highest possible + 1 */
	unsigned owner_cpu, rescuer_cpu;
	int node; /* as in struct weir_pool_opts: one zone in any case */
	bool has_sequences, has_membarrier;
};

/* What a way tells of itself; 0 where it does not apply. */
struct demo_counts {
	uint64_t pending;     /* pages in sets that wait for evidence, now */
	uint64_t membarriers; /* so far */
	uint64_t aborts;      /* of sequences, so far */
};

struct demo_way {
	const char *name;
	enum weir_mode mode; /* of weir's owner CPU */
	bool is_weir;	     /* its promises are at stake */
	bool leaves_pending; /* pages may be pending while the owner makes no
				call */

	/*
	 * All pages in the zone. NULL, and *why in a few words, when this
	 * machine cannot do it. A rescue waits for `wait_ns` at most.
	 */
	void *(*setup)(const struct demo_way *, const struct demo_machine *,
		       uint64_t wait_ns, const char **why);
	/* True if every page was there again. */
	bool (*teardown)(void *pool);

	/* From this CPU's list or the zone, never from other CPUs' lists, and
	 * without waiting; DEMO_NONE. */
	uint64_t (*get)(void *pool);
	void (*put)(void *pool, uint64_t page);
	/* n times get and put, for its cost. */
	void (*pairs)(void *pool, unsigned n);
	/* A page, from whoever keeps it; DEMO_NONE. */
	uint64_t (*rescue)(void *pool);
	/* The owner is back: it is between operations. NULL: nothing to do. */
	void (*tick)(void *pool);
	void (*count)(void *pool, struct demo_counts *); /* or NULL */

	/* For `weir bench`; NULL in weir's. What CPUs keep, to the zone; how
	 * many. */
	uint64_t (*drain)(void *pool);
	/* No thread uses it: is every page there? */
	bool (*is_complete)(void *pool);
	/* The owner's thread begins or ends; NULL: nothing to do. */
	void (*enter)(void *pool);
	void (*leave)(void *pool);
};

/* baseline.c */
extern const struct demo_way baseline_scheduled_work, baseline_spinlock,
	baseline_membarrier, baseline_signal;

#endif
