/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a given page or run cannot be had though it is free, in a zone
 * or in whatever list; or is had though it is out; or a refusal does not say
 * why.
 */
#include <weir/fast.h>
#include <weir/stat.h>

#include "api/pool.h"
#include "child.h"
#include "helpers.h"

#define PAGES 4096

static struct weir_pool *pool;
static char *base;

static void make(unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = UINT64_C(4096) * PAGES;
	opts.max_capacity = 2 * opts.capacity;
	opts.flags = flags;
	opts.list_limit = 64;
	opts.name = "given";
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
}

static void refused(uint64_t index, unsigned order, unsigned flags, int error,
		    const char *why)
{
	errno = 0;
	CHECK(weir_alloc_at(pool, index, order, flags) == NULL);
	CHECK_EQ(errno, error);
	CHECK_MSG(strstr(weir_last_error(), why) != NULL, "\"%s\"",
		  weir_last_error());
}

static void *had(uint64_t index, unsigned order, unsigned flags)
{
	char *page = weir_alloc_at(pool, index, order, flags);

	CHECK_MSG(page == base + index * 4096, "%s", weir_last_error());
	memset(page, 0xa5, 4096u << order);
	return page;
}

static void from_zone(void)
{
	static const unsigned orders[] = { 0, 1, 5, 6, 8, 9, 11 };

	for (unsigned i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		const unsigned order = orders[i];
		const uint64_t n = UINT64_C(1) << order;
		char *page = had(PAGES - n, order, WEIR_NOWAIT);

		refused(PAGES - n, order, WEIR_NOWAIT, EAGAIN, "in the zone");
		refused(PAGES - 1, 0, 0, EBUSY, "not all pages");
		weir_free(pool, page, order);
		CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	}
	CHECK(*(char *)weir_alloc_at(pool, 5, 0, WEIR_ZERO) == 0);
	weir_free(pool, base + 5 * 4096, 0);
}

/* --- pages in the list of another CPU ------------------------------------- */

static uint64_t listed[2]; /* a page, and one of a run of order 3 */

static void put_in_lists(void *unused)
{
	struct weir_stat_page stat = WEIR_STAT_PAGE_INIT;
	void *page = weir_alloc(pool, 0, 0), *run = weir_alloc(pool, 3, 0);

	(void)unused;
	listed[0] = weir_pool_index(pool, page);
	listed[1] = weir_pool_index(pool, run) + 5;
	weir_free(pool, page, 0);
	weir_free(pool, run, 3);
	CHECK_EQ(weir_stat_read_page(page, &stat), 0);
	CHECK_EQ(stat.state, WEIR_PAGE_CACHED);
}

static void from_lists(void)
{
	void *pages[2];

	run_on(allowed_cpu(allowed_cpu(1) >= 0), put_in_lists, NULL);
	for (unsigned i = 0; i < 2; i++) {
		if (i == 0) /* the drain for the first brings both */
			refused(listed[i], 0, WEIR_NOWAIT, EAGAIN,
				"in the zone");
		pages[i] = had(listed[i], 0, 0);
	}
	weir_free_bulk(pool, 0, pages, 2);
}

/* --- what is refused ------------------------------------------------------ */

static void at_busy_drain(void *unused)
{
	(void)unused;
	refused(0, 0, 0, EAGAIN, "not all pages");
	weir_free(pool, had(1, 0, 0), 0);
}

static void wrong_calls(void)
{
	void *page = had(0, 0, 0);
	struct wi_drain *drain = &wi_pool_of(pool)->cache.drain;

	refused(0, WEIR_ORDER_MAX + 1, 0, EINVAL, "order");
	refused(0, 0, WEIR_THISNODE, EINVAL, "flags");
	refused(1, 1, 0, EINVAL, "index: at page 1 the pool has no run");
	refused(PAGES, 0, 0, EINVAL, "index");
	refused(PAGES - 512, 10, 0, EINVAL, "index");
	refused(0, 13, 0, EINVAL, "index");
	refused(UINT64_MAX, 0, 0, EINVAL, "index");
	refused(UINT64_MAX / 4096 + 1, 0, 0, EINVAL, "index");
	/* A drain takes longer than the pool's wait_ns. */
	CHECK_EQ(wi_drain_lock(drain, UINT64_MAX), 0);
	run_on(allowed_cpu(0), at_busy_drain, NULL);
	wi_drain_unlock(drain);
	weir_free(pool, page, 0);
	/* Isolated, it has an owner. */
	CHECK_EQ(weir_range_isolate(pool, 1024, 512, NULL), 0);
	refused(1030, 0, 0, EBUSY, "not all pages");
	CHECK_EQ(weir_range_return(pool, 1024, 512), 0);
	weir_free(pool, had(1030, 0, 0), 0);
	/* It comes with a growth. */
	CHECK_EQ(weir_pool_grow(pool, 512 * 4096), 0);
	weir_free(pool, had(PAGES, 9, 0), 9);
	refused(PAGES + 512, 0, 0, EINVAL, "index");
}

static void stale(void *unused)
{
	(void)unused;
	CHECK(weir_alloc_at(pool, 0, 0, WEIR_NOWAIT) == NULL);
	CHECK_EQ(errno, ESTALE);
}

int main(void)
{
	static const unsigned flags[] = { 0, WEIR_POOL_CHECKED,
					  WEIR_POOL_NO_RSEQ };

	for (unsigned i = 0; i < 3; i++) {
		struct weir_stat stat = WEIR_STAT_INIT;

		make(flags[i]);
		from_zone();
		from_lists();
		wrong_calls();
		CHECK_EQ(end_child(start_child(stale, NULL)), 0);
		CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
		CHECK_EQ(weir_stat_read(pool, &stat), 0);
		CHECK_EQ(stat.free, PAGES + 512);
		CHECK(stat.peak >= 2048);
		CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s",
			  weir_last_error());
	}
	return 0;
}
