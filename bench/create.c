/* SPDX-License-Identifier: MIT */
/*
 * How long it takes to make a pool: its metadata is untouched zeros, so the
 * size should not matter. The first pool of a process also sees whether the
 * kernel aborts sequences; it has a row of its own, which comes first.
 */
#include <weir/fast.h>

#include "api/pool.h"
#include "loop.h"
#include "workers.h"

#define GIB (UINT64_C(1) << 30)

static bool run(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	double start;
	int err;

	(void)where, (void)round;
	opts.capacity = row->what * GIB;
	opts.name = "bench create";
	start = bench_now_ns();
	err = weir_pool_create(&pool, &opts);
	result->ns = bench_now_ns() - start;
	if (err != 0)
		return bench_cannot("no pool of %u GiB: %s",
				    (unsigned)row->what, weir_last_error());
	bench_extra(result, "metadata_bytes_per_page",
		    (double)wi_pool_of(pool)->meta_bytes /
			    (double)(opts.capacity / 4096));
	weir_pool_destroy(pool, 0);
	return true;
}

const struct bench_row bench_create_rows[] = {
	{ "create", "1 GiB, first of a process", run, 1, NULL, 1, 1, NULL },
	{ "create", "1 GiB", run, 1, NULL, 31, 15, NULL },
	{ "create", "64 GiB", run, 64, NULL, 31, 15, NULL },
	{ "create", "1024 GiB", run, 1024, NULL, 31, 15, NULL },
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
