/* SPDX-License-Identifier: MIT */
/*
 * weir watch-cpu: drains of other processes' pools that were aimed at the CPUs
 * watched, interval by interval. Only a drain that ends by membarrier may have
 * interrupted its CPU.
 */
#ifndef WEIR_TOOL_WATCH_CPU_POOLS_H
#define WEIR_TOOL_WATCH_CPU_POOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/topology.h" /* lists of CPUs */
#include "watch/watched.h"

/* Of one CPU, in all zones. */
struct watch_drains {
	uint64_t progress, not_busy, membarrier, late;
};

struct watch_pool {
	int pid;
	uint64_t number;
	char name[WATCHED_NAME];
	struct weir_watch *watch;
	struct watch_drains *before, *now; /* of each CPU watched, in order */
	bool listed;			   /* it is still there */
};

struct watch_pools {
	struct watch_pool *pool;
	unsigned nr, capacity;
	const struct wi_cpuset *cpus;
	unsigned nr_cpus;
};

/*
 * Reads the pools of all processes that may be looked into, those that ended
 * since the last time once more. What is not known of (no /proc, no memory,
 * pools that are hidden) is left out.
 */
void watch_pools_read(struct watch_pools *pools);
void watch_pools_free(struct watch_pools *pools);

/* What happened to the CPU of that index in the last interval. */
struct watch_drains watch_pools_moved(const struct watch_pool *pool,
				      unsigned i);

/* The same of all pools. */
struct watch_drains watch_pools_sum(const struct watch_pools *pools,
				    unsigned i);

static inline uint64_t watch_drains_all(const struct watch_drains *d)
{
	return d->progress + d->not_busy + d->membarrier;
}

#endif
