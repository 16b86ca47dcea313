/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool of pages of 2176 bytes loses pages as it grows, gives
 * them out twice, or isolates others than it was asked for; or a request waits
 * on though a growth, a returned range or another call's drain left enough; or
 * a pool cannot grow when a watermark asks for pages.
 */
#include <sys/eventfd.h>
#include <sys/uio.h>

#include <weir/fast.h>
#include <weir/request.h>
#include <weir/stat.h>

#include "helpers.h"

#define PAGE UINT64_C(2176)
#define BLOCK 512
#define BLOCKS 4
#define PAGES (BLOCKS * BLOCK)

static struct weir_pool *pool;
static void *pages[PAGES];

static void create(unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.page_size = PAGE;
	opts.capacity = BLOCK * PAGE;
	opts.max_capacity = PAGES * PAGE;
	opts.quiet_cpus = "";
	opts.flags = flags;
	opts.wait_ns = 30000000000u; /* on a busy machine */
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
}

static void destroy(void)
{
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

static void grow(unsigned blocks)
{
	CHECK_MSG(weir_pool_grow(pool, blocks * BLOCK * PAGE) == 0, "%s",
		  weir_last_error());
}

static struct weir_stat stat_now(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	return stat;
}

/* --- pages of any size --------------------------------------------------- */

/* All pages that there are, `nr`, each once. */
static void take_all(unsigned nr)
{
	uint8_t seen[PAGES] = { 0 };

	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, nr, 0), 0);
	CHECK(weir_alloc(pool, 0, 0) == NULL && errno == ENOMEM);
	for (unsigned i = 0; i < nr; i++) {
		const uint64_t index = weir_pool_index(pool, pages[i]);

		CHECK(index < nr && !seen[index]++);
		CHECK(weir_pool_page(pool, index) == pages[i]);
		memset(pages[i], (int)i, PAGE);
	}
}

static void free_all(unsigned nr)
{
	for (unsigned i = 0; i < nr / 2; i++)
		weir_fast_free(pool, pages[i], 0);
	weir_free_bulk(pool, 0, pages + nr / 2, nr - nr / 2);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(stat_now().free, nr);
}

static void has(unsigned nr)
{
	char *base;
	size_t bytes, said;
	struct iovec all;

	CHECK_EQ(weir_pool_range(pool, (void **)&base, &bytes, &said), 0);
	CHECK(bytes == nr * PAGE && said == PAGE);
	CHECK_EQ(weir_pool_iovecs(pool, &all, 1), 1);
	CHECK(all.iov_base == base && all.iov_len == bytes);
	CHECK(weir_pool_contains(pool, base + bytes - 1));
	CHECK(!weir_pool_contains(pool, base + bytes));
	CHECK(weir_pool_index(pool, base + bytes) == WEIR_INDEX_NONE);
	CHECK(weir_pool_page(pool, nr) == NULL);
	CHECK_EQ(stat_now().pages, nr);
	CHECK_EQ(stat_now().max_pages, PAGES);
}

static void grows_by_blocks(unsigned flags)
{
	create(flags);
	CHECK_EQ(weir_pool_grow(pool, 100 * PAGE), -EINVAL);
	CHECK_EQ(weir_pool_grow(pool, UINT64_C(1) << 20), -EINVAL);
	for (unsigned nr = BLOCK; nr <= PAGES; nr += BLOCK) {
		has(nr);
		take_all(nr);
		free_all(nr);
		if (nr < PAGES)
			grow(1);
	}
	CHECK_EQ(weir_pool_grow(pool, BLOCK * PAGE), -ENOSPC);
	destroy();
}

static void given_pages(unsigned flags)
{
	const uint64_t index = BLOCK + 7;
	void *page;

	create(flags);
	CHECK(weir_alloc_at(pool, index, 0, 0) == NULL && errno == EINVAL);
	grow(1);
	page = weir_alloc_at(pool, index, 0, WEIR_ZERO);
	CHECK(page != NULL && page == weir_pool_page(pool, index));
	CHECK(weir_alloc_at(pool, index, 0, 0) == NULL && errno == EBUSY);
	CHECK(weir_alloc_at(pool, index + 1, 1, 0) == NULL && errno == EINVAL);
	CHECK_EQ(weir_range_isolate(pool, BLOCK, BLOCK, NULL), -EAGAIN);
	weir_free(pool, page, 0);
	CHECK_EQ(weir_range_isolate(pool, BLOCK, BLOCK, NULL), 0);
	memset(weir_pool_page(pool, BLOCK), 0xa5, BLOCK * PAGE);
	CHECK_EQ(weir_range_isolate(pool, 2 * BLOCK, BLOCK, NULL), -EINVAL);
	CHECK_EQ(stat_now().isolated, BLOCK);
	take_all(BLOCK);
	free_all(BLOCK);
	CHECK_EQ(weir_range_return(pool, BLOCK, BLOCK), 0);
	take_all(2 * BLOCK);
	free_all(2 * BLOCK);
	destroy();
}

static void refused(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	/* 512 pages are 2^32 bytes and more, and page_size times 1024 of these
	 * is more than 2^64. */
	opts.page_size = (UINT64_C(1) << 23) + 64;
	opts.capacity = opts.page_size * BLOCK;
	opts.max_capacity = opts.capacity * 1024;
	CHECK_EQ(weir_pool_create(&pool, &opts), -EINVAL);
	CHECK_MSG(strstr(weir_last_error(), "max_capacity: ") != NULL &&
			  strstr(weir_last_error(), "2^64 or more") != NULL,
		  "%s", weir_last_error());
}

/* --- requests that wait -------------------------------------------------- */

static void *asked[PAGES];
static unsigned nr_done;

static void on_done(struct weir_request *request, void *context)
{
	CHECK(context == request);
	nr_done++;
}

static void ask(struct weir_request *request, size_t n)
{
	*request = (struct weir_request)WEIR_REQUEST_INIT;
	request->n = n;
	request->pages = asked;
	request->done = on_done;
	request->context = request;
	nr_done = 0;
}

/* For more than there is. */
static void met_by_a_growth(void)
{
	struct weir_request request;

	create(0);
	ask(&request, PAGES + 1);
	CHECK_EQ(weir_request_submit(pool, &request), -ENOMEM);
	ask(&request, BLOCK + 400);
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, 200, 0), 0);
	CHECK_EQ(weir_request_submit(pool, &request), 0);
	grow(1);
	CHECK_EQ(nr_done, 0); /* 824 are free */
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(nr_done, 0);
	grow(1);
	CHECK_EQ(nr_done, 1);
	CHECK(weir_request_is_done(&request));
	weir_free_bulk(pool, 0, asked, request.n);
	weir_free_bulk(pool, 0, pages, 200);
	destroy();
}

/* Free pages of isolated blocks meet no request. */
static void met_by_a_returned_range(void)
{
	struct weir_request request;

	create(0);
	grow(1);
	CHECK_EQ(weir_range_isolate(pool, 0, BLOCK, NULL), 0);
	ask(&request, BLOCK + 1);
	CHECK_EQ(weir_request_submit(pool, &request), 0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(nr_done, 0);
	CHECK_EQ(weir_range_return(pool, 0, BLOCK), 0);
	CHECK_EQ(nr_done, 1);
	weir_free_bulk(pool, 0, asked, request.n);
	destroy();
}

/* Some of the pages that there are, all of which were allocated, are in this
 * CPU's list; the second block is isolated. */
static void leave_in_list(unsigned nr)
{
	create(0);
	grow(1);
	CHECK_EQ(weir_range_isolate(pool, BLOCK, BLOCK, NULL), 0);
	CHECK_EQ(weir_set_limit(pool, NULL, 0, 2 * nr), 0);
	take_all(BLOCK);
	for (unsigned i = 0; i < nr; i++)
		weir_free(pool, pages[i], 0);
	CHECK_EQ(stat_now().free, 0);
}

static void met_by_the_drain_of_an_isolation(void)
{
	struct weir_request request;

	leave_in_list(50);
	ask(&request, 50);
	CHECK_EQ(weir_request_submit(pool, &request), 0);
	CHECK_EQ(weir_range_isolate(pool, BLOCK, BLOCK, NULL), 0);
	CHECK_EQ(nr_done, 1);
	weir_free_bulk(pool, 0, asked, request.n);
	weir_free_bulk(pool, 0, pages + 50, BLOCK - 50);
	CHECK_EQ(weir_range_return(pool, BLOCK, BLOCK), 0);
	destroy();
}

/* Only requests with an eventfd: an allocation calls nobody back. */
static void met_by_the_drain_of_another(void)
{
	const int fd = eventfd(0, EFD_CLOEXEC);
	struct weir_request request;
	uint64_t index;

	CHECK(fd >= 0);
	leave_in_list(50);
	index = weir_pool_index(pool, pages[0]);
	ask(&request, 20);
	request.done = NULL;
	request.fd = fd;
	CHECK_EQ(weir_request_submit(pool, &request), 0);
	CHECK(weir_alloc_at(pool, index, 0, WEIR_NOWAIT) == NULL);
	CHECK(!weir_request_is_done(&request));
	CHECK(weir_alloc_at(pool, index, 0, 0) == pages[0]);
	CHECK(weir_request_is_done(&request));
	weir_free_bulk(pool, 0, asked, request.n);
	weir_free(pool, pages[0], 0);
	weir_free_bulk(pool, 0, pages + 50, BLOCK - 50);
	CHECK_EQ(weir_range_return(pool, BLOCK, BLOCK), 0);
	close(fd);
	destroy();
}

/* --- watermarks ---------------------------------------------------------- */

static void grow_by_what_is_wanted(struct weir_pool *its, uint64_t wanted,
				   void *context)
{
	CHECK(its == pool && wanted == 400 - 62);
	++*(unsigned *)context;
	grow(1);
}

static void grown_by_a_watermark(void)
{
	struct weir_watermarks marks = WEIR_WATERMARKS_INIT;
	unsigned asked_for = 0;

	create(0);
	marks.low = 100;
	marks.high = BLOCK + 1;
	CHECK_EQ(weir_set_watermarks(pool, &marks), -EINVAL);
	marks.high = 400;
	marks.shrink = grow_by_what_is_wanted;
	marks.context = &asked_for;
	CHECK_EQ(weir_set_watermarks(pool, &marks), 0);
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, 450, 0), 0);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(asked_for, 1);
	CHECK_EQ(stat_now().pages, 2 * BLOCK);
	marks.high = BLOCK + 1;
	CHECK_EQ(weir_set_watermarks(pool, &marks), 0);
	weir_free_bulk(pool, 0, pages, 450);
	destroy();
}

int main(void)
{
	pin(allowed_cpu(0));
	grows_by_blocks(0);
	grows_by_blocks(WEIR_POOL_CHECKED);
	grows_by_blocks(WEIR_POOL_NO_RSEQ);
	given_pages(0);
	given_pages(WEIR_POOL_CHECKED);
	refused();
	met_by_a_growth();
	met_by_a_returned_range();
	met_by_the_drain_of_an_isolation();
	met_by_the_drain_of_another();
	grown_by_a_watermark();
	return 0;
}
