/* SPDX-License-Identifier: MIT */
/* weir, asked what everybody is asked; its pairs are in pair.c. */
#include <stdlib.h>

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

static struct weir_pool *make_pool(uint64_t pages, enum weir_backing backing)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = pages * 4096;
	opts.backing = backing;
	opts.quiet_cpus = "";
	opts.polling_cpus = "";
	opts.name = "bench";
	if (weir_pool_create(&pool, &opts) == 0)
		return pool;
	bench_cannot("no pool: %s", weir_last_error());
	return NULL;
}

/* One of each size. */
static void *open_pool(const struct bench_where *where, uint64_t pages)
{
	static struct weir_pool *pools[4];
	static uint64_t sizes[4];
	unsigned i;

	(void)where;
	for (i = 0; i < 4 && sizes[i] != 0; i++)
		if (sizes[i] == pages)
			return pools[i];
	if (i == 4)
		abort(); /* raise it */
	pools[i] = make_pool(pages, WEIR_BACKING_ANON);
	if (pools[i])
		sizes[i] = pages;
	return pools[i];
}

static void *open_new(const struct bench_where *where, uint64_t pages)
{
	(void)where;
	return make_pool(pages, WEIR_BACKING_ANON);
}

static void *open_huge(const struct bench_where *where, uint64_t pages)
{
	(void)where;
	return make_pool(pages, WEIR_BACKING_THP);
}

const struct bench_peer bench_weir_peer = {
	.open = open_pool,
	BENCH_PEER_CODE(weir),
	BENCH_PEER_BULK_CODE(weir),
};

const struct bench_peer bench_weir_new = {
	.open = open_new,
	BENCH_PEER_BULK_CODE(weir),
};

const struct bench_peer bench_weir_huge = {
	.open = open_huge,
	BENCH_PEER_BULK_CODE(weir),
};

const struct bench_row bench_peer_rows[] = {
	BENCH_PEER_ROWS(&bench_weir_peer),
	BENCH_PEER_BULK_ROWS(&bench_weir_peer),
	{ "empty", "8192 pages", bench_peer_empty, 0, &bench_weir_peer, 15, 5,
	  NULL },
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
