/* SPDX-License-Identifier: MIT */
/*
 * A token of a weir_cache, and 32 at once, by the calls that its users have,
 * and inlined. Compiled into the weir command, which contains the library, and
 * into the worker that is linked with libweir.so.
 */
#include <weir/fast.h>

#include "loops.h"
#include "workers.h"

#define PAIRS 400000 /* a round: about a millisecond */

#ifndef BENCH_TOKENS_FROM
#define BENCH_TOKENS_FROM ""
#endif

static unsigned short_bulks; /* bulks that did not move all; none should */

BENCH_INLINE uint64_t cache_pop(void *context)
{
	return weir_cache_get(context, 0, 0);
}

BENCH_INLINE void cache_push(void *context, uint64_t token)
{
	weir_cache_put(context, 0, token);
}

BENCH_PAIRS(weir_cache, cache_pop, cache_push)

BENCH_INLINE void cache_get(void *context, uint64_t *tokens)
{
	if (weir_cache_get_bulk(context, 0, tokens, BENCH_BULK, 0) != 0)
		short_bulks++;
}

BENCH_INLINE void cache_put(void *context, uint64_t *tokens)
{
	weir_cache_put_bulk(context, 0, tokens, BENCH_BULK);
}

BENCH_BULKS(weir_cache_bulk, uint64_t, cache_get, cache_put)

/* ---- inlined ---------------------------------------------------------- */

BENCH_INLINE uint64_t fast_pop(void *context)
{
	return weir_fast_cache_get(context, 0, 0);
}

BENCH_INLINE void fast_push(void *context, uint64_t token)
{
	weir_fast_cache_put(context, 0, token);
}

BENCH_PAIRS(weir_fast_cache, fast_pop, fast_push)

BENCH_INLINE void fast_get(void *context, uint64_t *tokens)
{
	if (weir_fast_cache_get_bulk(context, 0, tokens, BENCH_BULK, 0) != 0)
		short_bulks++;
}

BENCH_INLINE void fast_put(void *context, uint64_t *tokens)
{
	weir_fast_cache_put_bulk(context, 0, tokens, BENCH_BULK);
}

BENCH_BULKS(weir_fast_cache_bulk, uint64_t, fast_get, fast_put)

/* ---- the cache -------------------------------------------------------- */

/* A back end for it: 1, 2, 3, ... and nothing kept of what returns. */
static size_t make_tokens(void *context, unsigned list, uint64_t *tokens,
			  size_t n)
{
	(void)context, (void)list;
	for (size_t i = 0; i < n; i++)
		tokens[i] = i + 1;
	return n;
}

static void drop_tokens(void *context, unsigned list, const uint64_t *tokens,
			size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
}

static struct weir_cache *make_cache(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	uint64_t tokens[2 * BENCH_BULK];
	struct weir_cache *cache;

	opts.backend = (struct weir_cache_backend){ .get = make_tokens,
						    .put = drop_tokens };
	opts.quiet_cpus = "";
	if (weir_cache_create(&cache, &opts) != 0)
		return NULL;
	if (weir_cache_get_bulk(cache, 0, tokens, 2 * BENCH_BULK, 0) == 0)
		weir_cache_put_bulk(cache, 0, tokens, 2 * BENCH_BULK);
	return cache;
}

static bool run(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	static struct weir_cache *cache;

	(void)where;
	if (cache == NULL)
		cache = make_cache();
	if (cache == NULL)
		return bench_cannot("no cache: %s", weir_last_error());
	bench_time_loop((bench_loop *const *)row->with, cache, round, PAIRS,
			result);
	if (short_bulks > 0x10000)
		return bench_cannot("bulks did not move all that they should");
	return true;
}

const struct bench_row bench_token_rows[] = {
	{ "pair", "single, tokens" BENCH_TOKENS_FROM, run, 0,
	  weir_cache_single_places, 200, 60, "single" },
	{ "pair", "batch 16, tokens" BENCH_TOKENS_FROM, run, 0,
	  weir_cache_batch_places, 200, 60, "batch 16" },
	{ "pair", "bulk 32, tokens" BENCH_TOKENS_FROM, run, 0,
	  weir_cache_bulk_places, 200, 60, "batch 16" },
	/* Not of the worker that is linked with libweir.so. */
	{ "pair", "single, tokens, inlined", run, 0,
	  weir_fast_cache_single_places, 200, 60, "single" },
	{ "pair", "batch 16, tokens, inlined", run, 0,
	  weir_fast_cache_batch_places, 200, 60, "batch 16" },
	{ "pair", "bulk 32, tokens, inlined", run, 0,
	  weir_fast_cache_bulk_places, 200, 60, "batch 16" },
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
