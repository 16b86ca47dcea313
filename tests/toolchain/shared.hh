/* SPDX-License-Identifier: MIT */
/*
 * What C++ has in headers: a template and inline functions, of which each
 * object contains a copy and the linker keeps one; and code that runs while an
 * exception is thrown.
 */
#ifndef TOOLCHAIN_SHARED_HH
#define TOOLCHAIN_SHARED_HH

#include "ops.h"

#define NOINLINE __attribute__((noinline))

template <unsigned Order> struct Pages {
	NOINLINE static void *get(weir_pool *pool)
	{
		return weir_fast_alloc(pool, Order, WEIR_NOWAIT);
	}
	NOINLINE static void put(weir_pool *pool, void *page)
	{
		weir_fast_free(pool, page, Order);
	}
	__attribute__((cold)) NOINLINE static int get_bulk(weir_pool *pool,
							   void **pages)
	{
		return weir_fast_alloc_bulk(pool, Order, pages, BULK,
					    WEIR_NOWAIT);
	}
	__attribute__((cold)) NOINLINE static void put_bulk(weir_pool *pool,
							    void **pages)
	{
		weir_fast_free_bulk(pool, Order, pages, BULK);
	}
};

NOINLINE inline void shared_tick(weir_pool *pool)
{
	weir_fast_tick(pool);
}

template <unsigned List> struct Tokens {
	NOINLINE static uint64_t get(weir_cache *cache)
	{
		return weir_fast_cache_get(cache, List, WEIR_NOWAIT);
	}
	NOINLINE static void put(weir_cache *cache, uint64_t token)
	{
		weir_fast_cache_put(cache, List, token);
	}
	__attribute__((cold)) NOINLINE static int get_bulk(weir_cache *cache,
							   uint64_t *tokens)
	{
		return weir_fast_cache_get_bulk(cache, List, tokens, BULK,
						WEIR_NOWAIT);
	}
	__attribute__((cold)) NOINLINE static void
	put_bulk(weir_cache *cache, const uint64_t *tokens)
	{
		weir_fast_cache_put_bulk(cache, List, tokens, BULK);
	}
};

NOINLINE inline void shared_tick_tokens(weir_cache *cache)
{
	weir_fast_cache_tick(cache);
}

/* Gives a page back when it goes out of scope. */
template <unsigned Order> class Owner
{
      public:
	Owner(weir_pool *pool, void *page) : pool_(pool), page_(page)
	{
	}
	Owner(const Owner &) = delete;
	Owner &operator=(const Owner &) = delete;
	~Owner()
	{
		weir_fast_free(pool_, page_, Order);
	}

      private:
	weir_pool *pool_;
	void *page_;
};

struct Refused {
	int number;
};

NOINLINE inline void refuse()
{
	if (toolchain_one != 0)
		throw Refused{ 7 };
}

/* In a handler. */
template <unsigned Order> NOINLINE void *get_in_handler(weir_pool *pool)
{
	try {
		refuse();
	} catch (const Refused &refused) {
		return refused.number == 7
			       ? weir_fast_alloc(pool, Order, WEIR_NOWAIT)
			       : nullptr;
	}
	return nullptr;
}

/* In a clean-up, past an operation that is inlined as well. */
template <unsigned Order>
NOINLINE void put_in_cleanup_inner(weir_pool *pool, void *page)
{
	Owner<Order> owner(pool, page);
	weir_fast_tick(pool);
	refuse();
	weir_fast_tick(pool);
}

template <unsigned Order>
NOINLINE void put_in_cleanup(weir_pool *pool, void *page)
{
	int caught = 0;

	try {
		put_in_cleanup_inner<Order>(pool, page);
	} catch (const Refused &refused) {
		caught = refused.number;
	}
	if (caught != 7)
		__builtin_abort();
}

#endif
