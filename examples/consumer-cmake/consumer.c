/* SPDX-License-Identifier: MIT */
/* What is built against an installed weir; CMakeLists.txt is the example. */
#include <stdio.h>
#include <weir/fast.h>

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	void *page;

	opts.capacity = 1 << 20;
	if (weir_pool_create(&pool, &opts) != 0)
		return fprintf(stderr, "%s\n", weir_last_error()), 1;
	page = weir_fast_alloc(pool, 0, WEIR_ZERO);
	printf("weir %s gave page %p\n", WEIR_VERSION, page);
	weir_fast_free(pool, page, 0);
	return page == NULL || weir_pool_destroy(pool, 0) != 0;
}
