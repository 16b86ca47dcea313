/* SPDX-License-Identifier: MIT */
/* A program for a debugger: serve() uses lists of a quiet CPU. */
#include <weir/fast.h>

__attribute__((noinline)) static void serve(struct weir_pool *pool)
{
	void *page;

	page = weir_fast_alloc(pool, 0, 0);
	weir_fast_free(pool, page, 0);
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = 1 << 20;
	if (weir_pool_create(&pool, &opts) != 0)
		return 1;
	if (weir_set_mode(pool, NULL, WEIR_MODE_QUIET) != 0)
		return 77;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	serve(pool);
	return weir_pool_destroy(pool, 0) != 0;
}
