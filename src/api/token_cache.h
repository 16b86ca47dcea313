/* SPDX-License-Identifier: MIT */
/* What the files of the token cache's interface share. */
#ifndef WI_API_TOKEN_CACHE_H
#define WI_API_TOKEN_CACHE_H

#include <weir/fast.h>

#include "api/machine.h"
#include "cache/cache.h"

struct wi_token_cache {
	struct wi_cache cache;
	struct wi_cache_totals totals;
	struct weir_cache_backend backend;
	uint64_t came_back; /* calls of put that returned */
	struct weir_cache *handle;
	char *meta; /* units, areas */
	size_t meta_bytes;
	struct wi_machine machine;
};

/* NULL in a forked child, where the handle is wiped. */
WI_INLINE struct wi_token_cache *wi_token_cache_of(const struct weir_cache *c)
{
	return c->impl;
}

#endif
