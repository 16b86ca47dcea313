/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a bulk of which this CPU's list gives or takes a part only
 * loses that part, keeps it when it fails, or is refused for it.
 */
#include <errno.h>

#include <weir/fast.h>
#include <weir/stat.h>

#include "helpers.h"

#define PAGES 256
#define LISTED 8

static struct weir_pool *pool;
static void *page[2 * PAGES];
static bool inlined;

static int alloc_bulk(size_t n, unsigned flags)
{
	return inlined ? weir_fast_alloc_bulk(pool, 0, page, n, flags)
		       : weir_alloc_bulk(pool, 0, page, n, flags);
}

static size_t alloc_upto(size_t n)
{
	return inlined ? weir_fast_alloc_upto(pool, 0, page, n, 0)
		       : weir_alloc_upto(pool, 0, page, n, 0);
}

static void free_bulk(size_t begin, size_t n)
{
	if (inlined)
		weir_fast_free_bulk(pool, 0, page + begin, n);
	else
		weir_free_bulk(pool, 0, page + begin, n);
}

static struct weir_stat stat_now(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	return stat;
}

/* A pool of which LISTED pages are in this CPU's list, and all others in the
 * zone or, without any there, allocated. */
static void create(bool empty_zone)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.list_limit = 2 * LISTED;
	opts.batch = LISTED;
	opts.node = 0;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, PAGES, 0), 0);
	weir_free_bulk(pool, 0, page, PAGES);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, PAGES, 0), 0);
	if (!empty_zone) {
		weir_free_bulk(pool, 0, page + LISTED, PAGES - LISTED);
		CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	}
	weir_free_bulk(pool, 0, page, LISTED);
	CHECK_EQ(stat_now().cached, LISTED);
}

/* Frees the first n, after a look for one that is there twice. */
static void free_first(size_t n)
{
	static bool seen[PAGES];

	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < n; i++) {
		const uint64_t at = weir_pool_index(pool, page[i]);

		CHECK(at < PAGES && !seen[at]);
		seen[at] = true;
	}
	free_bulk(0, n);
}

static void destroy(uint64_t out)
{
	CHECK_EQ(stat_now().out, out);
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), 0);
}

/* From the list alone: neither refill nor zone. */
static void whole(void)
{
	struct weir_stat before, after;

	create(false);
	before = stat_now();
	CHECK_EQ(alloc_bulk(LISTED, 0), 0);
	free_first(LISTED);
	CHECK_EQ(alloc_upto(LISTED), LISTED);
	free_first(LISTED);
	after = stat_now();
	CHECK_EQ(after.operations, before.operations + 4);
	CHECK_EQ(after.refills, before.refills);
	CHECK_EQ(after.direct, before.direct);
	destroy(0);
}

static void part_and_rest(void)
{
	create(false);
	CHECK_EQ(alloc_bulk(100, 0), 0);
	CHECK_EQ(stat_now().out, 100);
	free_first(100);
	destroy(0);
	create(false);
	CHECK_EQ(alloc_upto(200), 200);
	CHECK_EQ(stat_now().out, 200);
	free_first(200);
	destroy(0);
}

/* More than the pool has: refused at once, however much the list holds. */
static void too_many(void)
{
	create(false);
	CHECK_EQ(alloc_bulk(PAGES + 1, 0), -ENOMEM);
	CHECK_EQ(stat_now().out, 0);
	CHECK_EQ(alloc_upto(PAGES + 1), PAGES);
	free_first(PAGES);
	destroy(0);
}

static void part_and_no_rest(void)
{
	create(true);
	CHECK_EQ(alloc_bulk(LISTED + 1, WEIR_NOWAIT), -EAGAIN);
	CHECK_EQ(stat_now().out, PAGES - LISTED);
	CHECK_EQ(alloc_bulk(LISTED + 1, 0), -ENOMEM);
	CHECK_EQ(stat_now().out, PAGES - LISTED);
	destroy(PAGES - LISTED);
	/* Fewer than asked for are no failure, nor worth a drain. */
	create(true);
	errno = 0;
	CHECK_EQ(alloc_upto(LISTED + 1), LISTED);
	CHECK_EQ(errno, 0);
	CHECK_EQ(stat_now().failed_nowait + stat_now().failed_empty, 0);
	CHECK_EQ(stat_now().out, PAGES);
	destroy(PAGES);
}

/* A list that has room for some of them. */
static void free_more_than_fit(void)
{
	create(false);
	CHECK_EQ(alloc_bulk(200, 0), 0);
	free_bulk(0, LISTED);
	free_bulk(LISTED, 2 * LISTED);
	free_bulk(3 * LISTED, 200 - 3 * LISTED);
	destroy(0);
}

static void nothing(void)
{
	create(false);
	CHECK_EQ(alloc_bulk(0, 0), 0);
	CHECK_EQ(alloc_bulk(0, 1u << 31), -EINVAL);
	CHECK_EQ(weir_alloc_bulk(pool, 99, page, 0, 0), -EINVAL);
	CHECK_EQ(alloc_upto(0), 0);
	free_bulk(0, 0);
	destroy(0);
}

int main(void)
{
	pin(allowed_cpu(0));
	for (unsigned i = 0; i < 2; i++) {
		inlined = i == 1;
		whole();
		part_and_rest();
		too_many();
		part_and_no_rest();
		free_more_than_fit();
		nothing();
	}
	return 0;
}
