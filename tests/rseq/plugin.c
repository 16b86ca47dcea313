/* SPDX-License-Identifier: MIT */
/* A plugin that is linked with libweir.a, and may be unloaded: see owners.c. */
#include <stddef.h>

#include <weir/weir.h>

/* What weir_set_mode() says to a quiet CPU; 1: no pool. */
WEIR_API int plugin_try_quiet(void);

int plugin_try_quiet(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	void *page;
	int err;

	opts.capacity = 1 << 20;
	opts.quiet_cpus = "";
	if (weir_pool_create(&pool, &opts) != 0)
		return 1;
	err = weir_set_mode(pool, NULL, WEIR_MODE_QUIET);
	page = weir_alloc(pool, 0, 0);
	if (page == NULL)
		return 1;
	weir_free(pool, page, 0);
	return weir_pool_destroy(pool, 0) == 0 ? err : 1;
}
