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

const ops template_ops = {
	"template",
	Pages<0>::get,
	Pages<0>::put,
	Pages<RUN_ORDER>::get,
	Pages<RUN_ORDER>::put,
	Pages<0>::get_bulk,
	Pages<0>::put_bulk,
	shared_tick,
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
