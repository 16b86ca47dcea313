/* SPDX-License-Identifier: MIT */
/*
 * A token cache with a store of its own, asked what everybody is asked where
 * tokens pass through what lies behind the lists: all out and back, and from
 * one CPU to the other.
 */
#include <stdlib.h>

#include <weir/fast.h>

#include "peer.h"
#include "workers.h"

BENCH_INLINE uint64_t store_pop(void *context)
{
	return weir_fast_cache_get(context, 0, 0);
}

BENCH_INLINE void store_push(void *context, uint64_t token)
{
	weir_fast_cache_put(context, 0, token);
}

BENCH_INLINE void store_get(void *context, void **tokens)
{
	if (weir_fast_cache_get_bulk(context, 0, (uint64_t *)(void *)tokens,
				     BENCH_BULK, 0) != 0)
		abort();
}

BENCH_INLINE void store_put(void *context, void **tokens)
{
	weir_fast_cache_put_bulk(context, 0, (const uint64_t *)(void *)tokens,
				 BENCH_BULK);
}

BENCH_PEER(store, store_pop, store_push)
BENCH_PEER_BULK(store, store_get, store_put)

static void *open_cache(const struct bench_where *where, uint64_t tokens)
{
	static struct weir_cache *caches[4];
	static uint64_t sizes[4];
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	unsigned i;

	(void)where;
	for (i = 0; i < 4 && sizes[i] != 0; i++)
		if (sizes[i] == tokens)
			return caches[i];
	if (i == 4)
		abort(); /* raise it */
	opts.capacity = tokens;
	opts.limit[0] = 511;
	opts.quiet_cpus = "";
	if (weir_cache_create(&caches[i], &opts) != 0) {
		bench_cannot("no cache: %s", weir_last_error());
		return NULL;
	}
	sizes[i] = tokens;
	for (uint64_t token = 0; token < tokens; token++)
		weir_cache_put(caches[i], 0, token);
	return caches[i];
}

static const struct bench_peer store = {
	.open = open_cache,
	BENCH_PEER_CODE(store),
	BENCH_PEER_BULK_CODE(store),
};

const struct bench_row bench_store_rows[] = {
	{ "bulk", "262 144 tokens, own store", bench_peer_return, 0, &store, 9,
	  3, NULL },
	{ "bulk", "262 144 tokens, own store, bulk 32", bench_peer_return, 1,
	  &store, 9, 3, NULL },
	{ "cross", "single, tokens, own store", bench_peer_cross, 0, &store, 15,
	  5, "a line there and back" },
	{ "cross", "bulk 32, tokens, own store", bench_peer_cross, 1, &store,
	  15, 5, "a line there and back" },
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
