/* SPDX-License-Identifier: MIT */
/* What a pool knows of one page: see weir/stat.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/stat.h>

#include "api/pool.h"
#include "api/sized.h"
#include "os/report.h"
#include "percpu/stat.h"

/* The run of an order that has the page begins here. */
static uint64_t first_of_run(const struct wi_pool *pool, unsigned zone,
			     uint64_t page, unsigned order)
{
	const uint64_t zone_first = zone * pool->zone_pages;

	return zone_first + ((page - zone_first) >> order << order);
}

static void set_run(const struct wi_pool *pool, struct weir_stat_page *stat,
		    int order)
{
	stat->order = order;
	stat->first = first_of_run(pool, stat->zone, stat->index,
				   order < 0 ? 0 : (unsigned)order);
}

/* In a list of the set in use, or in a pending one? */
static bool find_in_lists(const struct wi_pool *pool,
			  struct weir_stat_page *stat)
{
	const struct wi_percpu_view lists =
		wi_percpu_view_of(&pool->cache.drain);
	struct wi_percpu_place place;
	uint64_t token[WI_POOL_LISTS];

	for (unsigned list = 0; list < WI_POOL_LISTS; list++)
		token[list] = wi_pool_offset_of(
			pool, first_of_run(pool, stat->zone, stat->index,
					   wi_pool_order_of_kind(list)));
	if (!wi_percpu_view_find(&lists, stat->zone, token, &place))
		return false;
	stat->state = place.pending ? WEIR_PAGE_PENDING : WEIR_PAGE_CACHED;
	stat->cpu = (int)place.cpu;
	set_run(pool, stat, (int)wi_pool_order_of_kind(place.list));
	return true;
}

static void fill_page(const struct wi_pool *pool, const void *p,
		      struct weir_stat_page *stat)
{
	const uint64_t offset = (uintptr_t)p - (uintptr_t)pool->base;
	uint64_t page;

	*stat = (struct weir_stat_page){
		.state = WEIR_PAGE_OUT,
		.cpu = -1,
		.index = wi_pool_page_of(pool, offset),
		.zone = wi_pool_zone_of(pool, offset),
	};
	page = stat->index - stat->zone * pool->zone_pages;
	memcpy(stat->pool, pool->name, sizeof(stat->pool));
	set_run(pool, stat, -1);
	if (wi_zone_is_free(pool->zone[stat->zone], page))
		stat->state = wi_zone_is_isolated(pool->zone[stat->zone], page)
				      ? WEIR_PAGE_ISOLATED
				      : WEIR_PAGE_FREE;
	else if (!find_in_lists(pool, stat) && pool->checks != NULL)
		set_run(pool, stat, wi_pool_checked_order(pool, stat->index));
}

static int read_page(const void *p, struct weir_stat_page *stat)
{
	const struct wi_pool *pool = wi_pool_hold_of(p);

	if (pool == NULL) {
		wi_report("%p: in no pool of this process", p);
		return -ENOENT;
	}
	fill_page(pool, p, stat);
	wi_pool_let_go(pool);
	return 0;
}

int weir_stat_read_page(const void *p, struct weir_stat_page *stat)
{
	struct weir_stat_page ours;

	wi_report_nothing();
	if (wi_sized_check(WI_SIZED_STAT_PAGE, stat) != 0)
		return -EINVAL;
	if (read_page(p, &ours) != 0)
		return -ENOENT;
	wi_sized_out(WI_SIZED_STAT_PAGE, stat, &ours);
	return 0;
}

/* The text is the thread's message, so that it needs no memory of its own. */
const char *weir_describe(const void *p)
{
	struct weir_stat_page s;
	char run[64] = "", where[64];

	if (read_page(p, &s) != 0)
		return weir_last_error();
	switch (s.state) {
	case WEIR_PAGE_FREE:
		snprintf(where, sizeof(where), "free in its zone");
		break;
	case WEIR_PAGE_ISOLATED:
		snprintf(where, sizeof(where), "free in an isolated block");
		break;
	case WEIR_PAGE_CACHED:
		snprintf(where, sizeof(where), "free in a list of CPU %d",
			 s.cpu);
		break;
	case WEIR_PAGE_PENDING:
		snprintf(where, sizeof(where), "pending, drained from CPU %d",
			 s.cpu);
		break;
	default:
		snprintf(where, sizeof(where), "allocated");
	}
	if (s.order >= 0)
		snprintf(run, sizeof(run),
			 ", in the run of order %d from page %" PRIu64, s.order,
			 s.first);
	wi_report("%p: page %" PRIu64 " of pool \"%s\" (zone %u): %s%s", p,
		  s.index, s.pool, s.zone, where, run);
	return weir_last_error();
}
