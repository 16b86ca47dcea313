/* SPDX-License-Identifier: MIT */
/*
 * The fast path as its users' compilers see it, each function alone.
 * scripts/check-golden counts the instructions of each.
 */
#include <weir/fast.h>

void *golden_alloc(struct weir_pool *pool);
void golden_free(struct weir_pool *pool, void *page);
void *golden_alloc_3(struct weir_pool *pool);
void golden_free_3(struct weir_pool *pool, void *page);
int golden_alloc_bulk(struct weir_pool *pool, void **pages);
void golden_free_bulk(struct weir_pool *pool, void **pages);
void golden_tick(struct weir_pool *pool);
uint64_t golden_token_get(struct weir_cache *cache);
void golden_token_put(struct weir_cache *cache, uint64_t token);
int golden_token_get_bulk(struct weir_cache *cache, uint64_t *tokens);
void golden_token_put_bulk(struct weir_cache *cache, const uint64_t *tokens);

void *golden_alloc(struct weir_pool *pool)
{
	return weir_fast_alloc(pool, 0, 0);
}

void golden_free(struct weir_pool *pool, void *page)
{
	weir_fast_free(pool, page, 0);
}

void *golden_alloc_3(struct weir_pool *pool)
{
	return weir_fast_alloc(pool, 3, 0);
}

void golden_free_3(struct weir_pool *pool, void *page)
{
	weir_fast_free(pool, page, 3);
}

int golden_alloc_bulk(struct weir_pool *pool, void **pages)
{
	return weir_fast_alloc_bulk(pool, 0, pages, 32, 0);
}

void golden_free_bulk(struct weir_pool *pool, void **pages)
{
	weir_fast_free_bulk(pool, 0, pages, 32);
}

void golden_tick(struct weir_pool *pool)
{
	weir_fast_tick(pool);
}

uint64_t golden_token_get(struct weir_cache *cache)
{
	return weir_fast_cache_get(cache, 0, 0);
}

void golden_token_put(struct weir_cache *cache, uint64_t token)
{
	weir_fast_cache_put(cache, 0, token);
}

int golden_token_get_bulk(struct weir_cache *cache, uint64_t *tokens)
{
	return weir_fast_cache_get_bulk(cache, 0, tokens, 32, 0);
}

void golden_token_put_bulk(struct weir_cache *cache, const uint64_t *tokens)
{
	weir_fast_cache_put_bulk(cache, 0, tokens, 32);
}
