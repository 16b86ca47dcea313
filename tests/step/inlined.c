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

const struct inlined INLINED_NAME = { get, put, get_bulk, put_bulk, tick };
