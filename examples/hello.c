/* SPDX-License-Identifier: MIT */
/*
 * Task: the least a program needs: a pool, a page allocated and freed, and a
 * drain. This is the example that README.md shows.
 */
#include <stdio.h>
#include <weir/fast.h> /* weir/weir.h, and its functions inlined */

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_drain_result drained = WEIR_DRAIN_RESULT_INIT;
	struct weir_pool *pool;

	opts.capacity = 64 << 20; /* 16384 pages of 4 KiB */
	if (weir_pool_create(&pool, &opts) != 0)
		return fprintf(stderr, "%s\n", weir_last_error()), 1;
	void *page = weir_fast_alloc(pool, 0, 0); /* from this CPU's list */
	weir_fast_free(pool, page, 0);
	weir_drain(pool, NULL, &drained); /* every CPU, from any thread */
	printf("%lu pages came back\n", (unsigned long)drained.pages);
	return weir_pool_destroy(pool, 0) != 0;
}
