/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pointer of another pool passes for one of this, a page index
 * or an offset means another page, or a pool registered by its parts has a
 * hole.
 */
#include <sys/uio.h>
#include <sys/wait.h>

#include <weir/weir.h>

#include "helpers.h"

#define PAGES 1000

static struct weir_pool *pool;
static char *base;
static size_t bytes, page_size;

static void create(uint64_t size, uint64_t page, unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = size;
	opts.page_size = page;
	opts.flags = flags;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_pool_range(pool, (void **)&base, &bytes, &page_size), 0);
}

static void destroy(void)
{
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

static void pointers(uint64_t page)
{
	create(PAGES * page, page, 0);
	CHECK(weir_pool_contains(pool, base));
	CHECK(weir_pool_contains(pool, base + bytes - 1));
	CHECK(!weir_pool_contains(pool, base + bytes));
	CHECK(!weir_pool_contains(pool, base - 1));
	CHECK(!weir_pool_contains(pool, NULL));
	CHECK(!weir_pool_contains(pool, &pool));
	for (uint64_t i = 0; i < PAGES; i++) {
		CHECK(weir_pool_page(pool, i) == base + i * page);
		CHECK_EQ(weir_pool_index(pool, base + i * page), i);
		CHECK_EQ(weir_pool_index(pool, base + (i + 1) * page - 1), i);
	}
	CHECK(weir_pool_page(pool, PAGES) == NULL);
	CHECK(weir_pool_page(pool, UINT64_MAX) == NULL);
	CHECK(weir_pool_page(pool, UINT64_MAX / page + 1) == NULL);
	CHECK(weir_pool_index(pool, base + bytes) == WEIR_INDEX_NONE);
	CHECK(weir_pool_index(pool, base - 1) == WEIR_INDEX_NONE);
	destroy();
}

static void orders(uint64_t page)
{
	create(PAGES * page, page, 0);
	CHECK_EQ(weir_pool_order(pool, 0), 0);
	CHECK_EQ(weir_pool_order(pool, 1), 0);
	for (int order = 0; order <= WEIR_ORDER_MAX; order++) {
		CHECK_EQ(weir_pool_order(pool, page << order), order);
		CHECK_EQ(weir_pool_order(pool, (page << order) - 1), order);
		CHECK_EQ(weir_pool_order(pool, (page << order) + 1),
			 order < WEIR_ORDER_MAX ? order + 1 : -EINVAL);
	}
	CHECK_EQ(strncmp(weir_last_error(), "order", 5), 0);
	CHECK_EQ(weir_pool_order(pool, SIZE_MAX), -EINVAL);
	destroy();
}

static void parts(uint64_t size)
{
	const uint64_t part = UINT64_C(1) << 30;
	const size_t nr = (size + part - 1) / part;
	struct iovec iov[8] = { { NULL, 0 } };
	uint64_t sum = 0;

	create(size, 4096, 0);
	CHECK_EQ(weir_pool_iovecs(pool, NULL, 0), nr);
	CHECK_EQ(weir_pool_iovecs(pool, iov, nr - 1), nr);
	CHECK(iov[nr - 1].iov_base == NULL && iov[nr - 1].iov_len == 0);
	CHECK_EQ(weir_pool_iovecs(pool, iov, 8), nr);
	for (size_t i = 0; i < nr; sum += iov[i++].iov_len) {
		CHECK(iov[i].iov_base == base + sum);
		CHECK(iov[i].iov_len <= part && iov[i].iov_len > 0);
	}
	CHECK_EQ(sum, size);
	CHECK(iov[nr].iov_base == NULL);
	destroy();
}

/* The same pages by offset and by pointer. */
static void offsets(unsigned flags)
{
	static const unsigned orders[] = { 0, 3, 4, 9 };
	static uint64_t offset[PAGES];
	static void *pages[PAGES];

	create((uint64_t)PAGES * 4096, 4096, flags);
	for (unsigned i = 0; i < 4; i++) {
		const unsigned order = orders[i];
		const size_t n = order == 9 ? 1 : 40;

		CHECK_EQ(weir_alloc_offsets(pool, order, offset, n, 0), 0);
		for (size_t k = 0; k < n; k++) {
			CHECK_EQ(offset[k] % (4096u << order), 0);
			CHECK(offset[k] < bytes);
			base[offset[k]] = 1;
			pages[k] = base + offset[k];
		}
		weir_free_bulk(pool, order, pages, n);
		CHECK_EQ(weir_alloc_bulk(pool, order, pages, n, 0), 0);
		for (size_t k = 0; k < n; k++)
			offset[k] = (uint64_t)((char *)pages[k] - base);
		weir_free_offsets(pool, order, offset, n);
	}
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0); /* of other CPUs, perhaps */
	CHECK_EQ(weir_alloc_offsets_upto(pool, 0, offset, PAGES, 0), PAGES);
	CHECK_EQ(weir_alloc_offsets_upto(pool, 0, offset, 1, 0), 0);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(weir_alloc_offsets(pool, 0, offset, 1, 0), -ENOMEM);
	for (uint64_t i = 0; i < PAGES; i++)
		offset[i] = i * 4096;
	weir_free_offsets(pool, 0, offset, PAGES);
	CHECK_EQ(weir_alloc_offsets(pool, 99, offset, 1, 0), -EINVAL);
	destroy();
}

static void in_child(void)
{
	int status;
	pid_t child;

	create((uint64_t)PAGES * 4096, 4096, 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		uint64_t offset = 0;

		CHECK(!weir_pool_contains(pool, base));
		CHECK(weir_pool_index(pool, base) == WEIR_INDEX_NONE);
		CHECK(weir_pool_page(pool, 0) == NULL);
		CHECK_EQ(weir_pool_order(pool, 1), -ESTALE);
		CHECK_EQ(weir_pool_iovecs(pool, NULL, 0), -ESTALE);
		CHECK_EQ(weir_alloc_offsets(pool, 0, &offset, 1, 0), -ESTALE);
		weir_free_offsets(pool, 0, &offset, 1);
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	destroy();
}

int main(void)
{
	static const uint64_t page[] = { 256, 4096, UINT64_C(2) << 20 };

	for (unsigned i = 0; i < 3; i++) {
		pointers(page[i]);
		orders(page[i]);
	}
	parts(4096);
	parts(UINT64_C(1) << 30);
	parts((UINT64_C(3) << 30) + 4096);
	offsets(0);
	offsets(WEIR_POOL_CHECKED);
	offsets(WEIR_POOL_NO_RSEQ);
	in_child();
	return 0;
}
