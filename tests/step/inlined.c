/* SPDX-License-Identifier: MIT */
/* weir/fast.h, in the program and in a plugin: INLINED_NAME tells which. */
#include "step.h"

#ifndef INLINED_NAME
#define INLINED_NAME inlined_here
#endif

#define EACH_ORDER(case_of)                                                    \
	case_of(0, 0) case_of(1, 1) case_of(2, 2) case_of(3, 3) case_of(4, 9)

static void *get(struct weir_pool *pool, unsigned list)
{
#define CASE(n, order)                                                         \
	case n:                                                                \
		return weir_fast_alloc(pool, order, WEIR_NOWAIT);
	switch (list) {
		EACH_ORDER(CASE)
	}
#undef CASE
	return NULL;
}

static void put(struct weir_pool *pool, unsigned list, void *page)
{
#define CASE(n, order)                                                         \
	case n:                                                                \
		weir_fast_free(pool, page, order);                             \
		break;
	switch (list) {
		EACH_ORDER(CASE)
	}
#undef CASE
}

static int get_bulk(struct weir_pool *pool, unsigned list, void **pages)
{
#define CASE(n, order)                                                         \
	case n:                                                                \
		return weir_fast_alloc_bulk(pool, order, pages, BULK,          \
					    WEIR_NOWAIT);
	switch (list) {
		EACH_ORDER(CASE)
	}
#undef CASE
	return -1;
}

static void put_bulk(struct weir_pool *pool, unsigned list, void **pages)
{
#define CASE(n, order)                                                         \
	case n:                                                                \
		weir_fast_free_bulk(pool, order, pages, BULK);                 \
		break;
	switch (list) {
		EACH_ORDER(CASE)
	}
#undef CASE
}

static void tick(struct weir_pool *pool)
{
	weir_fast_tick(pool);
}

#define EACH_LIST(case_of)                                                     \
	case_of(0) case_of(1) case_of(2) case_of(3) case_of(4) case_of(5)      \
		case_of(6)

static uint64_t get_token(struct weir_cache *cache, unsigned list)
{
#define CASE(n)                                                                \
	case n:                                                                \
		return weir_fast_cache_get(cache, n, WEIR_NOWAIT);
	switch (list) {
		EACH_LIST(CASE)
	}
#undef CASE
	return WEIR_CACHE_NONE;
}

static void put_token(struct weir_cache *cache, unsigned list, uint64_t token)
{
#define CASE(n)                                                                \
	case n:                                                                \
		weir_fast_cache_put(cache, n, token);                          \
		break;
	switch (list) {
		EACH_LIST(CASE)
	}
#undef CASE
}

static int get_tokens(struct weir_cache *cache, unsigned list, uint64_t *tokens)
{
#define CASE(n)                                                                \
	case n:                                                                \
		return weir_fast_cache_get_bulk(cache, n, tokens, BULK,        \
						WEIR_NOWAIT);
	switch (list) {
		EACH_LIST(CASE)
	}
#undef CASE
	return -1;
}

static void put_tokens(struct weir_cache *cache, unsigned list,
		       const uint64_t *tokens)
{
#define CASE(n)                                                                \
	case n:                                                                \
		weir_fast_cache_put_bulk(cache, n, tokens, BULK);              \
		break;
	switch (list) {
		EACH_LIST(CASE)
	}
#undef CASE
}

static void tick_tokens(struct weir_cache *cache)
{
	weir_fast_cache_tick(cache);
}

const struct inlined INLINED_NAME = { get,	  put,	      get_bulk,
				      put_bulk,	  tick,	      get_token,
				      put_token,  get_tokens, put_tokens,
				      tick_tokens };
