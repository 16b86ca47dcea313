/* SPDX-License-Identifier: MIT */
/* What the files of the token cache's interface share. */
#ifndef WI_API_TOKEN_CACHE_H
#define WI_API_TOKEN_CACHE_H

#include <weir/fast.h>

#include "api/machine.h"
#include "api/maintain.h"
#include "api/token_store.h"
#include "cache/cache.h"

struct wi_token_cache {
	struct wi_cache cache;
	struct wi_cache_totals totals;
	struct weir_cache_backend backend; /* or: */
	struct wi_token_store store[WEIR_CACHE_LISTS_MAX];
	char *stores; /* their memory; NULL: the caller has a back end */
	size_t stores_bytes;
	uint64_t came_back; /* calls of put that returned */
	struct weir_cache *handle;
	char *meta; /* units, areas */
	size_t meta_bytes;
	struct wi_maintainer maintainer;
	struct wi_machine machine;
};

/* Its own stores, empty: 0, or an error with a reason (token_backend.c). */
int wi_token_stores_make(struct wi_token_cache *impl, unsigned nr_lists,
			 uint64_t capacity);

/* What lies behind its lists: the caller's back end, or its stores. */
struct wi_backend wi_token_backend(struct wi_token_cache *impl);

/* NULL in a forked child, where the handle is wiped. */
WI_INLINE struct wi_token_cache *wi_token_cache_of(const struct weir_cache *c)
{
	return c->impl;
}

#endif
