/* SPDX-License-Identifier: MIT */
/* The program in C++. TOOLCHAIN_PLUGIN: without main, for host.c. */
#include "shared.hh"

#define static_cast_ul(x) (static_cast<unsigned long>(x))
#include "body.h"

volatile int toolchain_one = 1;

namespace
{

/* A pool made by a static constructor. */
struct Early {
	weir_pool *pool;
	Early() : pool(make_pool())
	{
	}
} early;

int thrown_get_bulk(weir_pool *pool, void **pages)
{
	try {
		refuse();
	} catch (...) {
		return weir_fast_alloc_bulk(pool, 0, pages, BULK, WEIR_NOWAIT);
	}
	return -1;
}

void thrown_put_bulk(weir_pool *pool, void **pages)
{
	struct Bulk {
		weir_pool *pool;
		void **pages;
		~Bulk()
		{
			weir_fast_free_bulk(pool, 0, pages, BULK);
		}
	};

	try {
		Bulk bulk = { pool, pages };
		refuse();
	} catch (...) {
	}
}

uint64_t thrown_get_token(weir_cache *cache)
{
	try {
		refuse();
	} catch (...) {
		return weir_fast_cache_get(cache, TOKEN_LIST, WEIR_NOWAIT);
	}
	return WEIR_CACHE_NONE;
}

void thrown_put_token(weir_cache *cache, uint64_t token)
{
	struct Token {
		weir_cache *cache;
		uint64_t token;
		~Token()
		{
			weir_fast_cache_put(cache, TOKEN_LIST, token);
		}
	};

	try {
		Token owned = { cache, token };
		refuse();
	} catch (...) {
	}
}

int thrown_get_tokens(weir_cache *cache, uint64_t *tokens)
{
	try {
		refuse();
	} catch (...) {
		return weir_fast_cache_get_bulk(cache, TOKEN_LIST, tokens, BULK,
						WEIR_NOWAIT);
	}
	return -1;
}

void thrown_put_tokens(weir_cache *cache, const uint64_t *tokens)
{
	try {
		refuse();
	} catch (...) {
		weir_fast_cache_put_bulk(cache, TOKEN_LIST, tokens, BULK);
	}
}

const ops template_ops = {
	"template",
	Pages<0>::get,
	Pages<0>::put,
	Pages<RUN_ORDER>::get,
	Pages<RUN_ORDER>::put,
	Pages<0>::get_bulk,
	Pages<0>::put_bulk,
	shared_tick,
	Tokens<TOKEN_LIST>::get,
	Tokens<TOKEN_LIST>::put,
	Tokens<TOKEN_LIST>::get_bulk,
	Tokens<TOKEN_LIST>::put_bulk,
	shared_tick_tokens,
};

const ops thrown_ops = {
	"thrown",
	get_in_handler<0>,
	put_in_cleanup<0>,
	get_in_handler<RUN_ORDER>,
	put_in_cleanup<RUN_ORDER>,
	thrown_get_bulk,
	thrown_put_bulk,
	shared_tick,
	thrown_get_token,
	thrown_put_token,
	thrown_get_tokens,
	thrown_put_tokens,
	shared_tick_tokens,
};

const ops lambda_ops = {
	"lambda",
	[](weir_pool *pool) { return weir_fast_alloc(pool, 0, WEIR_NOWAIT); },
	[](weir_pool *pool, void *page) { weir_fast_free(pool, page, 0); },
	[](weir_pool *pool) {
		return weir_fast_alloc(pool, RUN_ORDER, WEIR_NOWAIT);
	},
	[](weir_pool *pool, void *run) {
		weir_fast_free(pool, run, RUN_ORDER);
	},
	[](weir_pool *pool, void **pages) {
		return weir_fast_alloc_bulk(pool, 0, pages, BULK, WEIR_NOWAIT);
	},
	[](weir_pool *pool, void **pages) {
		weir_fast_free_bulk(pool, 0, pages, BULK);
	},
	[](weir_pool *pool) { weir_fast_tick(pool); },
	[](weir_cache *cache) {
		return weir_fast_cache_get(cache, TOKEN_LIST, WEIR_NOWAIT);
	},
	[](weir_cache *cache, uint64_t token) {
		weir_fast_cache_put(cache, TOKEN_LIST, token);
	},
	[](weir_cache *cache, uint64_t *tokens) {
		return weir_fast_cache_get_bulk(cache, TOKEN_LIST, tokens, BULK,
						WEIR_NOWAIT);
	},
	[](weir_cache *cache, const uint64_t *tokens) {
		weir_fast_cache_put_bulk(cache, TOKEN_LIST, tokens, BULK);
	},
	[](weir_cache *cache) { weir_fast_cache_tick(cache); },
};

} // namespace

int toolchain_run()
{
	static const ops *const cxx[] = { &template_ops, &thrown_ops,
					  &lambda_ops, nullptr };

	return run(cxx, &early.pool);
}

int toolchain_last(int inlined)
{
	return run_last(inlined);
}

#ifndef TOOLCHAIN_PLUGIN
int main()
{
	return toolchain_run();
}
#endif
