/* SPDX-License-Identifier: MIT */
/*
 * Taking a range out of use: its free pages become the caller's, wherever they
 * were.
 *
 *	1  mark    each block: from now on none of its pages is claimed
 *	2  drain   every CPU: pages of the range in lists go to the zone
 *	3  look    which blocks are vacant, all their pages free
 *
 * 1 before 2: a page that is in a list from the mark on is found. A list that
 * was drained before the mark could be refilled with pages of the range. After
 * the mark only frees bring pages of the range into lists, and a later call
 * finds those. (models/zone-isolate, DRAIN_FIRST, NO_DRAIN)
 *
 * A block is given away whole or not at all: while one of its pages is out,
 * another one that reads as free may be about to be claimed, by a call that had
 * its ticket before the mark.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <weir/weir.h>

#include "api/pool.h"
#include "api/sized.h"
#include "os/report.h"

#define BLOCK 512 /* pages; the zone's */

#define REFUSE(...) return (wi_report(__VA_ARGS__), -EINVAL)

/* --- blocks ------------------------------------------------------------- */

/* A block of the pool: its zone, and its first page there. */
struct block {
	struct wi_zone *zone;
	uint64_t page;
};

static struct block block_at(const struct wi_pool *pool, uint64_t page)
{
	const unsigned zone =
		wi_pool_zone_of(pool, wi_pool_offset_of(pool, page));

	return (struct block){ pool->zone[zone],
			       page - zone * pool->zone_pages };
}

static int check_range(const struct wi_pool *pool, uint64_t first, uint64_t nr)
{
	const uint64_t max = pool->max_pages;

	if (nr == 0 || nr % BLOCK != 0 || first % BLOCK != 0)
		REFUSE("range: %" PRIu64 " pages from %" PRIu64 " on are not "
		       "whole blocks of 512",
		       nr, first);
	if (first >= max || nr > max - first)
		REFUSE("range: %" PRIu64 " pages from %" PRIu64 " on reach "
		       "past the pool",
		       nr, first);
	for (uint64_t page = first; page < first + nr; page += BLOCK)
		if (!wi_pool_has(pool, wi_pool_offset_of(pool, page)))
			REFUSE("range: the pool has no page %" PRIu64 " yet",
			       page);
	return 0;
}

static uint64_t count_isolated(const struct wi_pool *pool, uint64_t first,
			       uint64_t nr)
{
	uint64_t sum = 0;

	for (uint64_t page = first; page < first + nr; page += BLOCK) {
		const struct block block = block_at(pool, page);

		if (wi_zone_is_isolated(block.zone, block.page))
			sum += BLOCK;
	}
	return sum;
}

/* --- the steps ---------------------------------------------------------- */

/* By one thread at a time: of two overlapping ranges one is refused. */
static int mark_range(struct wi_pool *pool, uint64_t first, uint64_t nr)
{
	const uint64_t marked = count_isolated(pool, first, nr);

	if (marked == nr) /* called again */
		return 0;
	if (marked != 0) {
		wi_report("range: a part of it, %" PRIu64 " of %" PRIu64
			  " pages, is isolated already",
			  marked, nr);
		return -EBUSY;
	}
	for (uint64_t page = first; page < first + nr; page += BLOCK) {
		const struct block block = block_at(pool, page);

		wi_zone_isolate(block.zone, block.page);
	}
	return 0;
}

static void drain_pool(struct wi_pool *pool, uint64_t deadline_ns,
		       struct wi_drain_outcome *outcome)
{
	const struct wi_drain_request request = {
		.nr_zones = pool->nr_zones,
		.deadline_ns = deadline_ns,
	};

	/* What it could not get is out, as the caller will see. */
	(void)wi_cache_drain(&pool->cache, &request, outcome, &(bool){ 0 });
}

static unsigned count_set(const uint64_t *words, unsigned n)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < n; i++)
		nr += (unsigned)__builtin_popcountll(words[i]);
	return nr;
}

/* Vacant blocks are the caller's; of the others, the pages that are out. */
static void look_at_range(const struct wi_pool *pool, uint64_t first,
			  uint64_t nr, struct weir_range_result *found)
{
	uint64_t *bits = found->bitmap;

	for (uint64_t page = first; page < first + nr; page += BLOCK) {
		const struct block block = block_at(pool, page);
		uint64_t out[BLOCK / 64] = { 0 };

		if (wi_zone_is_vacant(block.zone, block.page)) {
			found->isolated += BLOCK;
			if (pool->checks != NULL)
				wi_pool_check_hand_over(pool, page, BLOCK);
		} else {
			wi_zone_read_used(block.zone, block.page, out);
			found->out += count_set(out, BLOCK / 64);
		}
		if (bits != NULL)
			memcpy(bits + (page - first) / 64, out, sizeof(out));
	}
}

/* --- the interface ------------------------------------------------------ */

static int isolate_range(struct wi_pool *pool, uint64_t first, uint64_t nr,
			 struct weir_range_result *found)
{
	const uint64_t deadline_ns =
		wi_after_ns(wi_os_now_ns(), pool->cache.wait_ns);
	struct wi_drain_outcome outcome = { 0 };
	int err;

	/* Not beside a growth: pages have an address before their block has a
	 * state that can be marked. */
	wi_os_mutex_lock(&pool->growing, UINT64_MAX);
	err = check_range(pool, first, nr);
	if (err == 0)
		err = mark_range(pool, first, nr);
	wi_os_mutex_unlock(&pool->growing);
	if (err != 0)
		return err;
	drain_pool(pool, deadline_ns, &outcome);
	look_at_range(pool, first, nr, found);
	found->pending = outcome.pending;
	if (found->isolated == nr)
		return 0;
	wi_report("range: %" PRIu64 " of %" PRIu64 " pages are out, in blocks "
		  "of %" PRIu64 "; %" PRIu64 " pages of the pool are pending",
		  found->out, nr, nr - found->isolated, found->pending);
	return -EAGAIN;
}

/* The caller's bitmap, in a struct of any version. */
static void read_result(struct weir_range_result *ours,
			const struct weir_range_result *theirs)
{
	*ours = (struct weir_range_result){ 0 };
	memcpy(&ours->bitmap,
	       (const char *)theirs +
		       offsetof(struct weir_range_result, bitmap),
	       sizeof(ours->bitmap));
}

int weir_range_isolate(struct weir_pool *handle, uint64_t first, uint64_t nr,
		       struct weir_range_result *result)
{
	struct wi_pool *pool = wi_pool_of(handle);
	struct weir_range_result found = { 0 };
	int cancel, err;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	if (result != NULL &&
	    wi_sized_check(WI_SIZED_RANGE_RESULT, result) != 0)
		return -EINVAL;
	if (result != NULL)
		read_result(&found, result);
	cancel = wi_os_cancel_put_off(); /* it would keep the mutex */
	err = isolate_range(pool, first, nr, &found);
	wi_os_cancel_allow(cancel);
	if (result != NULL)
		wi_sized_out(WI_SIZED_RANGE_RESULT, result, &found);
	if (err == 0 || err == -EAGAIN) /* its drain brought other pages */
		wi_pool_serve_requests(pool);
	return err;
}

static int return_range(struct wi_pool *pool, uint64_t first, uint64_t nr)
{
	int err = check_range(pool, first, nr);

	if (err != 0)
		return err;
	if (count_isolated(pool, first, nr) != nr)
		REFUSE("range: not all of the %" PRIu64 " pages from %" PRIu64
		       " on are isolated",
		       nr, first);
	for (uint64_t page = first; page < first + nr; page += BLOCK) {
		const struct block block = block_at(pool, page);

		wi_zone_return(block.zone, block.page);
	}
	return 0;
}

int weir_range_return(struct weir_pool *handle, uint64_t first, uint64_t nr)
{
	struct wi_pool *pool = wi_pool_of(handle);
	int cancel, err;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	cancel = wi_os_cancel_put_off(); /* it would keep the mutex */
	wi_os_mutex_lock(&pool->growing, UINT64_MAX);
	err = return_range(pool, first, nr);
	wi_os_mutex_unlock(&pool->growing);
	wi_os_cancel_allow(cancel);
	if (err == 0)
		wi_pool_serve_requests(pool);
	return err;
}
