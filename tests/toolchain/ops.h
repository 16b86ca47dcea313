/* SPDX-License-Identifier: MIT */
/*
 * The operations of weir/fast.h, once in each kind of code that a compiler
 * treats in a way of its own. C from C89 on, and C++ from C++11 on, without a
 * warning that the cells of the matrix ask for.
 */
#ifndef TOOLCHAIN_OPS_H
#define TOOLCHAIN_OPS_H

#include <weir/cache.h>
#include <weir/fast.h>
#include <weir/stat.h>
#include <weir/watch.h>

#define BULK 12
#define RUN_ORDER 2
#define TOKEN_LIST 1 /* of two */

#ifdef __cplusplus
#define TOOLCHAIN_NULL nullptr
#define TOOLCHAIN_C extern "C"
#else
#define TOOLCHAIN_NULL NULL
#define TOOLCHAIN_C extern
#endif

/* One kind of code: a function for each operation; none waits. */
struct ops {
	const char *kind;
	void *(*get)(struct weir_pool *pool);
	void (*put)(struct weir_pool *pool, void *page);
	void *(*get_run)(struct weir_pool *pool);
	void (*put_run)(struct weir_pool *pool, void *run);
	int (*get_bulk)(struct weir_pool *pool, void **pages);
	void (*put_bulk)(struct weir_pool *pool, void **pages);
	void (*tick)(struct weir_pool *pool);
	uint64_t (*get_token)(struct weir_cache *cache);
	void (*put_token)(struct weir_cache *cache, uint64_t token);
	int (*get_tokens)(struct weir_cache *cache, uint64_t *tokens);
	void (*put_tokens)(struct weir_cache *cache, const uint64_t *tokens);
	void (*tick_tokens)(struct weir_cache *cache);
};

/* Defines the functions of a kind and the struct that names them. `attributes`
 * are those of each function; IN and OUT stand around each operation. */
#define DEFINE_OPS(name, attributes, IN, OUT)                                  \
	attributes static void *name##_get(struct weir_pool *pool)             \
	{                                                                      \
		void *page = TOOLCHAIN_NULL;                                   \
		IN page = weir_fast_alloc(pool, 0, WEIR_NOWAIT);               \
		OUT return page;                                               \
	}                                                                      \
	attributes static void name##_put(struct weir_pool *pool, void *page)  \
	{                                                                      \
		IN weir_fast_free(pool, page, 0);                              \
		OUT                                                            \
	}                                                                      \
	attributes static void *name##_get_run(struct weir_pool *pool)         \
	{                                                                      \
		void *run = TOOLCHAIN_NULL;                                    \
		IN run = weir_fast_alloc(pool, RUN_ORDER, WEIR_NOWAIT);        \
		OUT return run;                                                \
	}                                                                      \
	attributes static void name##_put_run(struct weir_pool *pool,          \
					      void *run)                       \
	{                                                                      \
		IN weir_fast_free(pool, run, RUN_ORDER);                       \
		OUT                                                            \
	}                                                                      \
	attributes static int name##_get_bulk(struct weir_pool *pool,          \
					      void **pages)                    \
	{                                                                      \
		int err = -1;                                                  \
		IN err = weir_fast_alloc_bulk(pool, 0, pages, BULK,            \
					      WEIR_NOWAIT);                    \
		OUT return err;                                                \
	}                                                                      \
	attributes static void name##_put_bulk(struct weir_pool *pool,         \
					       void **pages)                   \
	{                                                                      \
		IN weir_fast_free_bulk(pool, 0, pages, BULK);                  \
		OUT                                                            \
	}                                                                      \
	attributes static void name##_tick(struct weir_pool *pool)             \
	{                                                                      \
		IN weir_fast_tick(pool);                                       \
		OUT                                                            \
	}                                                                      \
	attributes static uint64_t name##_get_token(struct weir_cache *cache)  \
	{                                                                      \
		uint64_t token = WEIR_CACHE_NONE;                              \
		IN token =                                                     \
			weir_fast_cache_get(cache, TOKEN_LIST, WEIR_NOWAIT);   \
		OUT return token;                                              \
	}                                                                      \
	attributes static void name##_put_token(struct weir_cache *cache,      \
						uint64_t token)                \
	{                                                                      \
		IN weir_fast_cache_put(cache, TOKEN_LIST, token);              \
		OUT                                                            \
	}                                                                      \
	attributes static int name##_get_tokens(struct weir_cache *cache,      \
						uint64_t *tokens)              \
	{                                                                      \
		int err = -1;                                                  \
		IN err = weir_fast_cache_get_bulk(cache, TOKEN_LIST, tokens,   \
						  BULK, WEIR_NOWAIT);          \
		OUT return err;                                                \
	}                                                                      \
	attributes static void name##_put_tokens(struct weir_cache *cache,     \
						 const uint64_t *tokens)       \
	{                                                                      \
		IN weir_fast_cache_put_bulk(cache, TOKEN_LIST, tokens, BULK);  \
		OUT                                                            \
	}                                                                      \
	attributes static void name##_tick_tokens(struct weir_cache *cache)    \
	{                                                                      \
		IN weir_fast_cache_tick(cache);                                \
		OUT                                                            \
	}                                                                      \
	static const struct ops name##_ops = {                                 \
		#name,                                                         \
		name##_get,                                                    \
		name##_put,                                                    \
		name##_get_run,                                                \
		name##_put_run,                                                \
		name##_get_bulk,                                               \
		name##_put_bulk,                                               \
		name##_tick,                                                   \
		name##_get_token,                                              \
		name##_put_token,                                              \
		name##_get_tokens,                                             \
		name##_put_tokens,                                             \
		name##_tick_tokens,                                            \
	}

/* How each unit of the program shows its kinds, the last one NULL. */
TOOLCHAIN_C const struct ops *const *second_ops(void);
TOOLCHAIN_C int toolchain_run(void);
TOOLCHAIN_C int toolchain_last(int inlined);
TOOLCHAIN_C volatile int toolchain_one; /* 1, which no compiler knows */

#endif
