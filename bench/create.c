/* SPDX-License-Identifier: MIT */
/*
 * How long it takes to make a pool: its metadata is untouched zeros, so the
 * size should not matter. The first pool of a process also sees whether the
 * kernel aborts sequences; it has a row of its own and must be made first.
 */
#include <stdio.h>

#include <weir/weir.h>

#include "loop.h"
#include "report.h"

#define GIB (UINT64_C(1) << 30)

static bool create_once(struct bench_series *series, uint64_t capacity)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	double start;
	int err;

	opts.capacity = capacity;
	opts.name = "bench create";
	start = bench_now_ns();
	err = weir_pool_create(&pool, &opts);
	bench_sample(series, bench_now_ns() - start, 1);
	if (err != 0) {
		fprintf(stderr, "weir bench: no pool of %llu GiB: %s\n",
			(unsigned long long)(capacity / GIB),
			weir_last_error());
		return false;
	}
	weir_pool_destroy(pool, 0);
	return true;
}

int bench_create(struct bench_report *report, const struct bench_plan *plan)
{
	struct bench_series *first =
		bench_series(report, "create", "weir", "first of a process", 1);
	struct bench_series *small = bench_series(report, "create", "weir",
						  "1 GiB", plan->creations);
	struct bench_series *large = bench_series(report, "create", "weir",
						  "64 GiB", plan->creations);

	if (!first || !small || !large || !create_once(first, GIB))
		return -1;
	for (unsigned i = 0; i < plan->creations; i++) {
		plan->progress("creations", i, plan->creations);
		if (!create_once(small, GIB) || !create_once(large, 64 * GIB))
			return -1;
	}
	bench_close(first);
	bench_close(small);
	bench_close(large);
	bench_bar(report, "create_64gib", "a pool of 64 GiB", "us",
		  large->median / 1000, 1000);
	return 0;
}
