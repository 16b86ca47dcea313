/* SPDX-License-Identifier: MIT */
/* weir, asked what everybody is asked; its pairs are in pair.c. */
#include <weir/fast.h>

#include "peer.h"
#include "workers.h"

BENCH_INLINE uint64_t weir_pop(void *context)
{
	return (uint64_t)(uintptr_t)weir_fast_alloc(context, 0, 0);
}

BENCH_INLINE void weir_push(void *context, uint64_t page)
{
	weir_fast_free(context, (void *)(uintptr_t)page, 0);
}

BENCH_INLINE void weir_get(void *context, void **pages)
{
	weir_fast_alloc_bulk(context, 0, pages, BENCH_BULK, 0);
}

BENCH_INLINE void weir_put(void *context, void **pages)
{
	weir_fast_free_bulk(context, 0, pages, BENCH_BULK);
}

BENCH_PEER(weir, weir_pop, weir_push)
BENCH_PEER_BULK(weir, weir_get, weir_put)

static void *open_pool(const struct bench_where *where, uint64_t pages)
{
	static struct weir_pool *pools[4];
	static uint64_t sizes[4];
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	unsigned i;

	(void)where;
	for (i = 0; i < 3 && sizes[i] != 0; i++)
		if (sizes[i] == pages)
			return pools[i];
	opts.capacity = pages * 4096;
	opts.quiet_cpus = "";
	opts.polling_cpus = "";
	opts.name = "bench";
	if (weir_pool_create(&pools[i], &opts) != 0) {
		bench_cannot("no pool: %s", weir_last_error());
		return NULL;
	}
	sizes[i] = pages;
	return pools[i];
}

static const struct bench_peer peer = {
	.open = open_pool,
	BENCH_PEER_CODE(weir),
	BENCH_PEER_BULK_CODE(weir),
};

const struct bench_row bench_peer_rows[] = {
	BENCH_PEER_ROWS(&peer),
	BENCH_PEER_BULK_ROWS(&peer),
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
