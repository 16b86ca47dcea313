/* SPDX-License-Identifier: MIT */
/* What is built against an installed weir; the Makefile is the example. */
#include <stdio.h>
#include <weir/stat.h>

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_pool *pool;

	opts.capacity = 1 << 20;
	if (weir_pool_create(&pool, &opts) != 0)
		return fprintf(stderr, "%s\n", weir_last_error()), 1;
	if (weir_stat_read(pool, &stat) != 0)
		return 1;
	printf("weir %s has %lu pages, all of them free\n", WEIR_VERSION,
	       (unsigned long)stat.pages);
	return stat.free != stat.pages || weir_pool_destroy(pool, 0) != 0;
}
