/* SPDX-License-Identifier: MIT */
/* Work on a pool that passes each of the library's trace points, and what the
 * pool's statistics say afterwards. */
#ifndef WEIR_TESTS_VM_TRACE_LOAD_H
#define WEIR_TESTS_VM_TRACE_LOAD_H

#include <weir/stat.h>
#include <weir/weir.h>

#define TRACE_LOAD_CPUS 64

struct trace_load {
	struct weir_stat stat;
	uint64_t refills[TRACE_LOAD_CPUS], flushes[TRACE_LOAD_CPUS],
		direct[TRACE_LOAD_CPUS];
};

/* On a pool of one zone and `bytes`, from CPU `here`, with a second one. Ends
 * the program if a place is not passed. */
void trace_load_run(struct weir_pool *pool, size_t bytes, int here, int there);

/* What the pool counted. */
void trace_load_read(struct weir_pool *pool, struct trace_load *load);

#endif
