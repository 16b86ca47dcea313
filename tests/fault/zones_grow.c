/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool of two zones that grows puts pages between its zones,
 * leaves one zone behind, or loses its way among addresses that have no pages
 * yet.
 */
#include <sys/uio.h>

#include <weir/fast.h>

#include "death/death.h"
#include "fault.h"
#include "seccomp.h"

#define MIB (UINT64_C(1) << 20)
#define FIRST (64 * MIB)
#define MOST (257 * 2 * MIB) /* the zones cannot be equal */
#define PAGES_MAX (MOST / 4096)

static struct weir_pool *pool;
static char *base;
static void *pages[PAGES_MAX];

static struct weir_stat_zone zone_of(unsigned zone)
{
	struct weir_stat_zone stat = WEIR_STAT_ZONE_INIT;

	CHECK_EQ(weir_stat_read_zone(pool, zone, &stat), 0);
	return stat;
}

/* Indices and parts name the pages that exist, and no others. */
static void check_addresses(uint64_t bytes)
{
	const struct weir_stat_zone a = zone_of(0), b = zone_of(1);
	struct iovec part[4];
	uint64_t sum = 0, in_parts = 0;
	int nr_parts = weir_pool_iovecs(pool, part, 4);
	size_t range;

	CHECK(nr_parts >= 1 && nr_parts <= 2);
	CHECK_EQ(weir_pool_range(pool, NULL, &range, NULL), 0);
	CHECK_EQ(range, (a.max_pages + b.pages) * 4096);
	for (uint64_t i = 0; i < PAGES_MAX; i++) {
		char *page = base + i * 4096;
		const bool is_there =
			i < a.pages ||
			(i >= a.max_pages && i < a.max_pages + b.pages);
		bool is_part = false;

		for (int k = 0; k < nr_parts; k++)
			is_part |= page - (char *)part[k].iov_base >= 0 &&
				   (size_t)(page - (char *)part[k].iov_base) <
					   part[k].iov_len;
		CHECK(weir_pool_page(pool, i) == (is_there ? page : NULL));
		CHECK_EQ(weir_pool_contains(pool, page + 17), is_there);
		CHECK_EQ(is_part, is_there);
		sum += is_there;
	}
	for (int k = 0; k < nr_parts; k++)
		in_parts += part[k].iov_len;
	CHECK_EQ(sum * 4096, bytes);
	CHECK_EQ(in_parts, bytes);
}

/* Every page is had once, written to, and taken back, in any order. */
static void use_all(uint64_t bytes)
{
	uint64_t n = bytes / 4096, seed = n;

	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, n, 0), 0);
	CHECK(weir_alloc(pool, 0, 0) == NULL && errno == ENOMEM);
	for (uint64_t i = 0; i < n; i++) {
		void **other = &pages[check_random(&seed) % n], *page = *other;

		CHECK(weir_pool_contains(pool, pages[i]));
		*(uint64_t *)pages[i] = i;
		*other = pages[i];
		pages[i] = page;
	}
	weir_fast_free_bulk(pool, 0, pages, n / 2);
	for (uint64_t i = n / 2; i < n; i++)
		weir_fast_free(pool, pages[i], 0);
	check_whole(pool);
}

static void make(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = FIRST;
	opts.max_capacity = MOST;
	opts.name = "two";
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
}

static void free_between_zones(void)
{
	void *some[3];

	make();
	some[1] = base + FIRST;
	some[2] = weir_alloc(pool, 0, 0);
	some[0] = weir_alloc(pool, 0, 0);
	weir_free_bulk(pool, 0, some, 3);
}

/* The last blocks of one zone and the first of the next. */
static void isolate_across(void)
{
	const uint64_t end = zone_of(0).max_pages;
	struct weir_range_result result = WEIR_RANGE_RESULT_INIT;
	uint64_t bitmap[4 * 512 / 64];
	void *page = weir_alloc(pool, 0, 0);

	CHECK_EQ(weir_range_isolate(pool, end - 1024, 2048, &result), 0);
	CHECK_EQ(result.isolated, 2048);
	CHECK_EQ(zone_of(0).isolated, 1024);
	CHECK_EQ(zone_of(1).isolated, 1024);
	CHECK_EQ(weir_range_return(pool, end - 512, 1024), 0);
	CHECK_EQ(weir_range_isolate(pool, end - 1024, 2048, NULL), -EBUSY);
	CHECK_EQ(weir_range_return(pool, end - 1024, 512), 0);
	CHECK_EQ(weir_range_return(pool, end + 512, 512), 0);
	weir_free(pool, page, 0);
	/* All of zone 1 is out. */
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, PAGES_MAX, 0), 0);
	for (uint64_t i = 0; i < PAGES_MAX; i++)
		if (weir_pool_index(pool, pages[i]) < end)
			weir_free(pool, pages[i], 0);
	result.bitmap = bitmap;
	CHECK_EQ(weir_range_isolate(pool, end - 1024, 2048, &result), -EAGAIN);
	CHECK_EQ(result.isolated, 1024);
	CHECK_EQ(result.out, 1024);
	for (unsigned i = 0; i < 4 * 512 / 64; i++)
		CHECK_EQ(bitmap[i], i < 16 ? 0 : UINT64_MAX);
	for (uint64_t i = 0; i < PAGES_MAX; i++)
		if (weir_pool_index(pool, pages[i]) >= end)
			weir_free(pool, pages[i], 0);
	CHECK_EQ(weir_range_isolate(pool, end - 1024, 2048, &result), 0);
	CHECK_EQ(weir_range_return(pool, end - 1024, 2048), 0);
	check_whole(pool);
}

static void two_nodes(void *unused)
{
	static const struct refusal bind = { .nr = SYS_mbind };
	static const unsigned more[] = { 1, 2, 32, 3, 64, 123 };
	uint64_t bytes = FIRST;

	(void)unused;
	if (!fixture_as_sys("sys-two-node"))
		SKIP("a file system of one's own takes root");
	may_use_nodes("0-1");
	seccomp_refuse(&bind, 1);
	must_die("between zones", free_between_zones,
		 (const char *[]){ "pool \"two\": ",
				   "not a page of this pool yet", NULL });
	make();
	for (unsigned i = 0; i <= sizeof(more) / sizeof(more[0]); i++) {
		const struct weir_stat_zone a = zone_of(0), b = zone_of(1);

		CHECK_EQ((a.pages + b.pages) * 4096, bytes);
		CHECK(bytes == MOST ||
		      (a.pages - b.pages + 2048 <= 4096 && b.pages > 0));
		check_addresses(bytes);
		use_all(bytes);
		if (bytes == MOST)
			break;
		CHECK_MSG(weir_pool_grow(pool, more[i] * 2 * MIB) == 0, "%s",
			  weir_last_error());
		bytes += more[i] * 2 * MIB;
	}
	CHECK_EQ(bytes, MOST);
	CHECK_EQ(weir_pool_grow(pool, 2 * MIB), -ENOSPC);
	isolate_across();
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	warm_up();
	in_child(two_nodes, NULL);
	return 0;
}
