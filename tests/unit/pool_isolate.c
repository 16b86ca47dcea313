/* SPDX-License-Identifier: MIT */
/*
 * If this fails, pages of a range that was taken out of use are given out, or
 * are missed in the list of some CPU; or the caller is told that it has a page
 * which somebody else has; or a range does not come back.
 */
#include <sys/mman.h>

#include <weir/fast.h>
#include <weir/stat.h>

#include "api/pool.h"
#include "child.h"
#include "helpers.h"

#define BLOCK UINT64_C(512)
#define BLOCKS 8
#define PAGES (BLOCKS * BLOCK)

static struct weir_pool *pool;
static char *base;
static void *pages[PAGES + 1];

static void make(unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.max_capacity = 2 * opts.capacity;
	opts.flags = flags;
	opts.list_limit = 200;
	opts.name = "ranges";
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
}

static void destroy(void)
{
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

static uint64_t index_of(const void *page)
{
	return weir_pool_index(pool, page);
}

static void has(uint64_t nr_free, uint64_t isolated, uint64_t out)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;

	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.free, nr_free);
	CHECK_EQ(stat.isolated, isolated);
	CHECK_EQ(stat.out, out);
	CHECK_EQ(weir_stat_read_zone(pool, 0, &zone), 0);
	CHECK_EQ(zone.isolated, isolated);
}

/* All that can be had is had, outside of the range. */
static void others_get(uint64_t first, uint64_t nr, uint64_t expected)
{
	size_t n = 0;

	while ((pages[n] = weir_alloc(pool, 0, 0)) != NULL) {
		CHECK(index_of(pages[n]) - first >= nr);
		n++;
	}
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(n, expected);
	weir_free_bulk(pool, 0, pages, n);
}

/* --- pages in lists ------------------------------------------------------ */

/* Leaves pages in this CPU's lists, of orders 0 and 3. */
static void fill_lists(void *unused)
{
	void *some[150], *runs[20];

	(void)unused;
	for (unsigned i = 0; i < 150; i++)
		some[i] = weir_alloc(pool, 0, 0);
	for (unsigned i = 0; i < 20; i++)
		runs[i] = weir_alloc(pool, 3, 0);
	for (unsigned i = 0; i < 150; i++)
		weir_fast_free(pool, some[i], 0);
	for (unsigned i = 0; i < 20; i++)
		weir_fast_free(pool, runs[i], 3);
}

static void from_lists(void)
{
	struct weir_range_result result = WEIR_RANGE_RESULT_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	uint64_t bitmap[PAGES / 64];

	for (unsigned i = 0; allowed_cpu(i) >= 0 && i < 2; i++)
		run_on(allowed_cpu(i), fill_lists, NULL);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK(stat.cached > 0);
	memset(bitmap, 0xff, sizeof(bitmap));
	result.bitmap = bitmap;
	CHECK_MSG(weir_range_isolate(pool, 0, PAGES, &result) == 0, "%s",
		  weir_last_error());
	CHECK(result.bitmap == bitmap);
	CHECK_EQ(result.isolated, PAGES);
	CHECK_EQ(result.out + result.pending, 0);
	for (unsigned i = 0; i < PAGES / 64; i++)
		CHECK_EQ(bitmap[i], 0);
	has(0, PAGES, 0);
	others_get(0, PAGES, 0);
	CHECK_EQ(weir_range_return(pool, 0, PAGES), 0);
	has(PAGES, 0, 0);
}

/* --- pages that are out -------------------------------------------------- */

static void some_out(void)
{
	struct weir_range_result result = WEIR_RANGE_RESULT_INIT;
	struct weir_stat_page page = WEIR_STAT_PAGE_INIT;
	uint64_t bitmap[2 * BLOCK / 64];
	void *one = weir_alloc(pool, 0, 0), *run = weir_alloc(pool, 4, 0);
	const uint64_t first = index_of(one) / BLOCK * BLOCK;
	const uint64_t range = first == PAGES - BLOCK ? first - BLOCK : first;

	CHECK_EQ(index_of(run) / BLOCK, first / BLOCK);
	result.bitmap = bitmap;
	for (unsigned again = 0; again < 2; again++) {
		CHECK_EQ(weir_range_isolate(pool, range, 2 * BLOCK, &result),
			 -EAGAIN);
		CHECK(strstr(weir_last_error(), "17 of 1024 pages are out") !=
		      NULL);
		CHECK_EQ(result.isolated, BLOCK);
		CHECK_EQ(result.out, 17);
		for (uint64_t i = 0; i < 2 * BLOCK; i++)
			CHECK_EQ(bitmap[i / 64] >> i % 64 & 1,
				 range + i == index_of(one) ||
					 range + i - index_of(run) < 16);
	}
	has(PAGES - 2 * BLOCK, 2 * BLOCK - 17, 17);
	others_get(range, 2 * BLOCK, PAGES - 2 * BLOCK);
	/* It comes back into a list; the next call takes it from there. */
	weir_fast_free(pool, one, 0);
	CHECK_EQ(weir_range_isolate(pool, range, 2 * BLOCK, NULL), -EAGAIN);
	CHECK_EQ(weir_stat_read_page(one, &page), 0);
	CHECK_EQ(page.state, WEIR_PAGE_ISOLATED);
	CHECK(strstr(weir_describe(one), "free in an isolated block") != NULL);
	weir_free(pool, run, 4);
	CHECK_EQ(weir_range_isolate(pool, range, 2 * BLOCK, &result), 0);
	CHECK_EQ(result.out, 0);
	CHECK_EQ(weir_range_return(pool, range, BLOCK), 0);
	CHECK_EQ(weir_range_return(pool, range + BLOCK, BLOCK), 0);
	has(PAGES, 0, 0);
}

/* Undone while pages are out: they are as they were. */
static void undone(void)
{
	void *run = weir_alloc(pool, 10, 0);
	const uint64_t first = index_of(run);
	struct weir_range_result result = WEIR_RANGE_RESULT_INIT;

	CHECK_EQ(weir_range_isolate(pool, first + BLOCK, BLOCK, &result),
		 -EAGAIN);
	CHECK_EQ(result.out, BLOCK);
	CHECK_EQ(weir_range_return(pool, first + BLOCK, BLOCK), 0);
	memset(run, 1, 1024 * 4096);
	weir_free(pool, run, 10);
	has(PAGES, 0, 0);
}

/* --- what the caller may do ---------------------------------------------- */

static void given_back(void)
{
	static unsigned char there[2 * BLOCK];
	char *run = weir_alloc(pool, 10, 0);
	const uint64_t first = index_of(run);

	memset(run, 5, 1024 * 4096);
	weir_free(pool, run, 10);
	CHECK_EQ(weir_range_isolate(pool, first, 2 * BLOCK, NULL), 0);
	CHECK_EQ(madvise(run, 1024 * 4096, MADV_DONTNEED), 0);
	CHECK_EQ(mincore(run, 1024 * 4096, there), 0);
	for (unsigned i = 0; i < 2 * BLOCK; i++)
		CHECK_EQ(there[i] & 1, 0);
	memset(run + 4096, 7, 4096); /* also of a checked pool */
	CHECK_EQ(weir_range_return(pool, first, 2 * BLOCK), 0);
	others_get(PAGES, 1, PAGES);
	has(PAGES, 0, 0);
}

/* A pool does not go while a part of it is somebody's. */
static void destroyed(void)
{
	CHECK_EQ(weir_range_isolate(pool, 0, BLOCK, NULL), 0);
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_LIST), -EBUSY);
	CHECK(strstr(weir_last_error(), "512 are isolated") != NULL);
	CHECK_EQ(weir_range_return(pool, 0, BLOCK), 0);
	destroy();
}

static void grown(void)
{
	CHECK_EQ(weir_range_isolate(pool, PAGES, BLOCK, NULL), -EINVAL);
	CHECK_EQ(weir_range_isolate(pool, 0, BLOCK, NULL), 0);
	CHECK_EQ(weir_pool_grow(pool, BLOCK * 4096), 0);
	CHECK_EQ(weir_range_isolate(pool, PAGES, BLOCK, NULL), 0);
	has(PAGES - BLOCK, 2 * BLOCK, 0);
	CHECK_EQ(weir_range_return(pool, 0, BLOCK), 0);
	CHECK_EQ(weir_range_return(pool, PAGES, BLOCK), 0);
	has(PAGES + BLOCK, 0, 0);
}

/* Another thread drains all the time: the range is marked, and had later. */
static void drain_busy(void *unused)
{
	void *page = weir_alloc(pool, 0, 0);
	const uint64_t first = index_of(page) / BLOCK * BLOCK;

	(void)unused;
	weir_free(pool, page, 0);
	CHECK_EQ(weir_range_isolate(pool, first, BLOCK, NULL), -EAGAIN);
	CHECK_EQ(weir_range_isolate(pool, first, BLOCK, NULL), -EAGAIN);
	CHECK_EQ(weir_range_return(pool, first, BLOCK), 0);
}

static void beside_a_drain(void)
{
	struct wi_drain *drain = &wi_pool_of(pool)->cache.drain;

	CHECK_EQ(wi_drain_lock(drain, UINT64_MAX), 0);
	run_on(allowed_cpu(0), drain_busy, NULL);
	wi_drain_unlock(drain);
	has(PAGES, 0, 0);
}

/* --- what is refused ----------------------------------------------------- */

static void stale(void *arg)
{
	(void)arg;
	CHECK_EQ(weir_range_isolate(pool, 0, BLOCK, NULL), -ESTALE);
	CHECK_EQ(weir_range_return(pool, 0, BLOCK), -ESTALE);
}

static void wrong_calls(void)
{
	static const uint64_t wrong[][2] = {
		{ 0, 0 },	  { 0, 100 },		{ 8, BLOCK },
		{ PAGES, BLOCK }, { 0, PAGES + BLOCK }, { 3 * PAGES, BLOCK },
		{ 0, -BLOCK },	  { -BLOCK, BLOCK },	{ -BLOCK, 2 * BLOCK }
	};
	struct weir_range_result result = { .size = 5 };

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK_EQ(weir_range_isolate(pool, wrong[i][0], wrong[i][1],
					    NULL),
			 -EINVAL);
		CHECK_EQ(strncmp(weir_last_error(), "range", 5), 0);
		CHECK_EQ(weir_range_return(pool, wrong[i][0], wrong[i][1]),
			 -EINVAL);
		CHECK_EQ(strncmp(weir_last_error(), "range", 5), 0);
	}
	CHECK_EQ(weir_range_isolate(pool, 0, BLOCK, &result), -EINVAL);
	CHECK(strstr(weir_last_error(), "WEIR_RANGE_RESULT_INIT") != NULL);
	CHECK_EQ(weir_range_return(pool, 0, BLOCK), -EINVAL);
	has(PAGES, 0, 0);
	CHECK_EQ(weir_range_isolate(pool, BLOCK, BLOCK, NULL), 0);
	CHECK_EQ(weir_range_isolate(pool, 0, 2 * BLOCK, NULL), -EBUSY);
	CHECK_EQ(weir_range_return(pool, 0, 2 * BLOCK), -EINVAL);
	has(PAGES - BLOCK, BLOCK, 0);
	CHECK_EQ(end_child(start_child(stale, NULL)), 0);
	CHECK_EQ(weir_range_return(pool, BLOCK, BLOCK), 0);
}

int main(void)
{
	static const unsigned flags[] = { 0, WEIR_POOL_CHECKED,
					  WEIR_POOL_NO_RSEQ };

	for (unsigned i = 0; i < 3; i++) {
		make(flags[i]);
		from_lists();
		some_out();
		undone();
		given_back();
		beside_a_drain();
		wrong_calls();
		grown();
		destroyed();
	}
	return 0;
}
