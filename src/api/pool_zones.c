/* SPDX-License-Identifier: MIT */
/* The back end of a pool's cache: its zones. */
#include "api/pool.h"

/* For errors that are detected late. */
#define HINT "; WEIR_CHECKED=1 in the environment shows it when it happens"

/* Pages of a zone into offsets in the pool, and back. */
static void pages_to_offsets(const struct wi_pool *pool, unsigned zone,
			     uint64_t *tokens, size_t n)
{
	const uint64_t first = zone * pool->zone_bytes;

	for (size_t i = 0; i < n; i++)
		tokens[i] = wi_pool_offset_of(pool, tokens[i]) + first;
}

static void offsets_to_pages(const struct wi_pool *pool, unsigned zone,
			     const uint64_t *tokens, size_t n, uint64_t *pages)
{
	const uint64_t first = zone * pool->zone_pages;

	for (size_t i = 0; i < n; i++)
		pages[i] = wi_pool_page_of(pool, tokens[i]) - first;
}

/*
 * Counts pages that left the zones, after they did, and those that come back,
 * before they do: so never more than are outside. Relaxed, all: counts, one
 * addition for each batch, which is a locked instruction anyway.
 */
static void count_left(const struct wi_pool *pool, uint64_t nr_pages)
{
	struct wi_live_totals *total = wi_pool_totals(pool);
	uint64_t now = wi_add_relaxed(&total->outside, nr_pages) + nr_pages;
	uint64_t peak = wi_load_relaxed(&total->peak);

	while (now > peak && !wi_cas_relaxed(&total->peak, &peak, now))
		;
}

static void count_back(const struct wi_pool *pool, uint64_t nr_pages)
{
	/* Relaxed: see count_left(). */
	wi_add_relaxed(&wi_pool_totals(pool)->outside, -nr_pages);
}

/* A chunk at a time, so that it stays in the first-level cache. */
static size_t zones_get(void *ctx, unsigned zone, unsigned kind,
			uint64_t *tokens, size_t n, uint32_t *cursor)
{
	const struct wi_pool *pool = ctx;
	const unsigned order = wi_pool_order_of_kind(kind);
	size_t got = 0, chunk, more;

	if (order > pool->zone_order[zone])
		return 0; /* no run of it is aligned in the pool */
	do {
		chunk = wi_min_u64(n - got, WI_CHUNK);
		more = wi_zone_claim(pool->zone[zone], order, chunk,
				     tokens + got, cursor);
		pages_to_offsets(pool, zone, tokens + got, more);
		got += more;
	} while (more == chunk && got < n);
	if (got > 0)
		count_left(pool, (uint64_t)got << order);
	return got;
}

bool wi_pool_claim_at(const struct wi_pool *pool, uint64_t offset,
		      unsigned order)
{
	const unsigned zone = wi_pool_zone_of(pool, offset);
	const uint64_t page =
		wi_pool_page_of(pool, offset) - zone * pool->zone_pages;

	if (!wi_zone_claim_at(pool->zone[zone], order, page))
		return false;
	count_left(pool, UINT64_C(1) << order);
	return true;
}

static void zones_put(void *ctx, unsigned zone, unsigned kind,
		      const uint64_t *tokens, size_t n)
{
	const struct wi_pool *pool = ctx;
	const unsigned order = wi_pool_order_of_kind(kind);
	uint64_t pages[WI_CHUNK];

	count_back(pool, (uint64_t)n << order);
	while (n > 0) {
		size_t chunk = wi_min_u64(n, WI_CHUNK), bad;
		enum wi_zone_error error;

		offsets_to_pages(pool, zone, tokens, chunk, pages);
		error = wi_zone_release(pool->zone[zone], order, pages, chunk,
					&bad);
		if (error == WI_ZONE_DOUBLE_FREE)
			wi_pool_die(
				pool, tokens[bad], order,
				"it is free already, or was freed twice" HINT);
		if (error != WI_ZONE_OK)
			wi_pool_die(pool, tokens[bad], order,
				    "it was allocated with another order" HINT);
		tokens += chunk;
		n -= chunk;
	}
}

static uint64_t zones_generation(void *ctx)
{
	const struct wi_pool *pool = ctx;
	uint64_t sum = 0;

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		sum += wi_zone_generation(pool->zone[zone]);
	return sum;
}

static unsigned zones_zone_of(void *ctx, uint64_t token)
{
	return wi_pool_zone_of(ctx, token);
}

static uint64_t zones_nr_free(void *ctx)
{
	return wi_pool_nr_free(ctx);
}

static void zones_hand_over(void *ctx, unsigned kind, uint64_t *tokens,
			    size_t n)
{
	wi_pool_hand_out(ctx, wi_pool_order_of_kind(kind),
			 (void **)(void *)tokens, n, 0);
}

const struct wi_backend wi_pool_backend = {
	.get = zones_get,
	.put = zones_put,
	.generation = zones_generation,
	.zone_of = zones_zone_of,
	.nr_free = zones_nr_free,
	.hand_over = zones_hand_over,
};
