/* SPDX-License-Identifier: MIT */
/* Batches between this CPU's lists and the back end. */
#include "base/trace.h"
#include "cache/internal.h"
#include "os/rseq.h"

void wi_cache_give_back(struct wi_cache *cache, unsigned zone, unsigned kind,
			const uint64_t *tokens, size_t n)
{
	if (n > 0)
		cache->backend.put(cache->backend.ctx, zone, kind, tokens, n);
}

size_t wi_cache_same_zone(const struct wi_cache *cache, const uint64_t *tokens,
			  size_t n, unsigned *zone)
{
	struct weir_i_bounds bounds;
	size_t same = 1;

	*zone = 0;
	if (wi_percpu_nr_zones(&cache->drain) == 1 || n == 0)
		return n;
	*zone = cache->backend.zone_of(cache->backend.ctx, tokens[0]);
	bounds = wi_percpu_bounds(&cache->drain, *zone);
	while (same < n && tokens[same] - bounds.first < bounds.bound)
		same++;
	return same;
}

/* As wi_cache_give_back(), of what a pop gave: of any zones. */
static void give_back_any(struct wi_cache *cache, unsigned kind,
			  const uint64_t *tokens, size_t n)
{
	for (size_t same; n > 0; tokens += same, n -= same) {
		unsigned zone;

		same = wi_cache_same_zone(cache, tokens, n, &zone);
		wi_cache_give_back(cache, zone, kind, tokens, same);
	}
}

/*
 * A full list gives back all but its newest part: half, or less when flushes
 * follow each other. All is popped, newest first, and the newest part pushed
 * again. (No slot below top is overwritten in place: I4 of percpu/area.h.)
 */
void wi_cache_flush(struct wi_cache *cache, unsigned zone, unsigned list)
{
	uint64_t newer[WEIR_LIST_MAX / 2 + 1], older[WI_CHUNK];
	struct wi_area *area = wi_percpu_area_here(&cache->drain, zone);
	const size_t limit = wi_percpu_limit_here(&cache->drain, zone, list);
	const size_t keep = limit / 2 >> wi_area_count_in_a_row(area, list, -1);
	size_t kept = wi_percpu_pop(&cache->drain, zone, list, newer, keep);
	size_t given = 0, same;
	size_t left = limit - keep;
	unsigned whose;

	while (left > 0) {
		size_t n = wi_percpu_pop(&cache->drain, zone, list, older,
					 wi_min_u64(left, WI_CHUNK));

		if (n == 0)
			break;
		give_back_any(cache, list, older, n);
		given += n;
		left -= n;
	}
	same = wi_cache_same_zone(cache, newer, kept, &whose);
	left = wi_percpu_push(&cache->drain, whose, list, newer, same);
	give_back_any(cache, list, newer + left, kept - left);
	given += kept - left;
	wi_area_count(area, WI_AREA_FLUSH);
	WI_TRACE(flush, &cache->drain, zone, wi_area_cpu(area), list, given);
}

/* Gives back what a list of this CPU has, at most as many as it can hold: other
 * threads may push meanwhile. */
static size_t empty_list(struct wi_cache *cache, unsigned zone, unsigned list)
{
	const size_t limit = wi_percpu_limit_here(&cache->drain, zone, list);
	uint64_t tokens[WI_CHUNK];
	size_t given = 0, n = 1;

	while (n > 0 && given < limit) {
		n = wi_percpu_pop(&cache->drain, zone, list, tokens,
				  wi_min_u64(limit - given, WI_CHUNK));
		give_back_any(cache, list, tokens, n);
		given += n;
	}
	return given;
}

uint64_t wi_cache_empty_here(struct wi_cache *cache)
{
	const unsigned nr_lists = wi_percpu_nr_lists(&cache->drain);
	uint64_t pages = 0;

	wi_rseq_thread_init();
	for (unsigned zone = 0; zone < wi_percpu_nr_zones(&cache->drain);
	     zone++)
		for (unsigned list = 0; list < nr_lists; list++)
			pages += empty_list(cache, zone, list) *
				 wi_percpu_weight(&cache->drain, list);
	/* A set that a drain left pending: this CPU gives the evidence itself,
	 * as no operation may follow. */
	wi_percpu_tick_all(&cache->drain);
	wi_cache_collect_here(cache);
	return pages;
}

size_t wi_cache_batch(const struct wi_cache *cache, unsigned zone,
		      unsigned list)
{
	const size_t limit = wi_percpu_limit_here(&cache->drain, zone, list);

	return wi_max_u64(wi_min_u64(cache->batch[list], limit / 2), 1);
}

/* How many tokens a refill takes, of which it returns n at once; `batch`, if it
 * is the first of a row. */
static size_t refill_size(struct wi_cache *cache, unsigned zone, unsigned list,
			  struct wi_area *area, size_t batch)
{
	const size_t limit = wi_percpu_limit_here(&cache->drain, zone, list);
	const size_t most = wi_min_u64((limit + 1) / 2, WI_REFILL_MAX);
	const size_t more = batch << wi_area_count_in_a_row(area, list, 1);

	return wi_max_u64(wi_min_u64(more, most), batch);
}

/* Usually few: no call, and stored as wide as they will be read. */
static void copy_tokens(uint64_t *to, const uint64_t *from, size_t n)
{
	size_t i;

	for (i = 0; i + 2 <= n; i += 2)
		__builtin_memcpy(to + i, from + i, sizeof(weir_i_pair));
	if (i < n)
		to[i] = from[i];
}

/*
 * Pushes tokens to this CPU's list so that gets of n at once, as this one, find
 * them in their order: n by n, the last ones first. What does not fit goes
 * back. Returns how many fitted.
 */
static size_t stock_list(struct wi_cache *cache, unsigned zone,
			 const struct wi_get *get, const uint64_t *tokens,
			 size_t nr)
{
	uint64_t turned[WI_REFILL_MAX];
	/* It is 1 at least, which clang's analyzer does not know. */
	const size_t n = wi_max_u64(get->n, 1);
	size_t at = 0, pushed;

	for (; n == 1 && nr - at >= 2; at += 2) {
		const weir_i_pair pair = { tokens[nr - at - 1],
					   tokens[nr - at - 2] };

		__builtin_memcpy(turned + at, &pair, sizeof(pair));
	}
	for (size_t end = nr - at, some; end > 0; end -= some) {
		some = wi_min_u64(end, n);
		copy_tokens(turned + at, tokens + end - some, some);
		at += some;
	}
	pushed = wi_percpu_push(&cache->drain, zone, get->kind, turned, nr);
	wi_cache_give_back(cache, zone, get->kind, turned + pushed,
			   nr - pushed);
	return pushed;
}

/*
 * Gets up to n tokens from the back end, and a batch more for this CPU's list
 * if that is due. When the back end has too few the list gets none: other
 * threads would have to drain it.
 */
static size_t refill_list(struct wi_cache *cache, unsigned zone,
			  const struct wi_get *get, size_t got)
{
	uint64_t tokens[WI_REFILL_MAX];
	const size_t n = get->n - got;
	size_t batch = wi_percpu_has_list(&cache->drain, zone, get->kind)
			       ? wi_cache_batch(cache, zone, get->kind)
			       : 1;
	struct wi_area *area = wi_percpu_area_here(&cache->drain, zone);
	size_t have, taken, pushed = 0;

	if (n >= batch) {
		wi_area_count(area, WI_AREA_DIRECT);
		have = cache->backend.get(cache->backend.ctx, zone, get->kind,
					  get->tokens + got, n,
					  wi_area_cursor(area));
		WI_TRACE(direct, &cache->drain, zone, wi_area_cpu(area),
			 get->kind, n, have);
		return have;
	}
	batch = refill_size(cache, zone, get->kind, area, batch);
	have = cache->backend.get(cache->backend.ctx, zone, get->kind, tokens,
				  batch, wi_area_cursor(area));
	taken = wi_min_u64(have, n);
	copy_tokens(get->tokens + got, tokens, taken);
	if (have == batch) {
		pushed = stock_list(cache, zone, get, tokens + taken,
				    have - taken);
	} else {
		wi_cache_give_back(cache, zone, get->kind, tokens + taken,
				   have - taken);
		wi_area_end_row(area, get->kind);
	}
	wi_area_count(area, WI_AREA_REFILL);
	WI_TRACE(refill, &cache->drain, zone, wi_area_cpu(area), get->kind,
		 have, pushed);
	return taken;
}

/* Takes from this CPU's list and from the zone's back end. */
static size_t get_from_zone(struct wi_cache *cache, unsigned zone,
			    const struct wi_get *get, size_t got)
{
	/* Again, after the sequence of the fast path found nothing: it may have
	 * been aborted, its thread may be on another CPU by now, and a bulk
	 * takes what is there instead of all or nothing. */
	if (get->kind < wi_percpu_nr_lists(&cache->drain))
		got += wi_percpu_pop(&cache->drain, zone, get->kind,
				     get->tokens + got, get->n - got);
	if (got < get->n)
		wi_percpu_tick(&cache->drain, zone);
	while (got < get->n) {
		size_t n = refill_list(cache, zone, get, got);

		if (n == 0)
			break;
		got += n;
	}
	return got;
}

/* The zones, the local one first: `here` is read once per call, as the thread
 * may migrate to another node meanwhile. */
size_t wi_cache_get_from_zones(struct wi_cache *cache, const struct wi_get *get,
			       unsigned here, size_t got)
{
	got = get_from_zone(cache, here, get, got);
	if (wi_percpu_nr_zones(&cache->drain) > 1)
		wi_percpu_tick_others(&cache->drain, here);
	if (get->flags & WI_GET_LOCAL)
		return got;
	for (unsigned i = 1;
	     i < wi_percpu_nr_zones(&cache->drain) && got < get->n; i++)
		got = get_from_zone(
			cache, (here + i) % wi_percpu_nr_zones(&cache->drain),
			get, got);
	return got;
}
