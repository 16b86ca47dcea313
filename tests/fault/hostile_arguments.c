/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an argument that makes no sense is taken for one that does,
 * or a number too large overflows, waits, or disturbs CPUs for nothing.
 */
#include <limits.h>

#include <weir/cache.h>
#include <weir/fast.h>

#include "fault.h"

#define PAGES 1536
#define NR(array) (sizeof(array) / sizeof((array)[0]))

static struct weir_pool *pool;
static void *pages[PAGES + 1];
static unsigned calls;

static const unsigned orders[] = { 19, 20,  31,	 32,	  63,
				   64, 255, 256, INT_MAX, UINT_MAX };
static const unsigned flags[] = { 0x10, 0x20, 0x80000000, UINT_MAX, 0x11 };
static const size_t counts[] = {
	PAGES + 1,	 (size_t)1 << 32, ((size_t)1 << 32) + 1,
	(size_t)1 << 61, SIZE_MAX / 8,	  SIZE_MAX - 1,
	SIZE_MAX
};

static uint64_t drains(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	return stat.drains;
}

/* One allocation in each of the ways there are: all fail so. */
static void fails(unsigned order, unsigned flag, size_t n, int error)
{
	errno = 0;
	CHECK(n != 1 || weir_alloc(pool, order, flag) == NULL);
	CHECK(n != 1 || errno == error);
	errno = 0;
	CHECK(n != 1 || weir_fast_alloc(pool, order, flag) == NULL);
	CHECK(n != 1 || errno == error);
	CHECK_EQ(weir_alloc_bulk(pool, order, pages, n, flag), -error);
	CHECK_EQ(weir_fast_alloc_bulk(pool, order, pages, n, flag), -error);
	calls += 4;
}

static void orders_and_flags(void)
{
	for (unsigned i = 0; i < NR(orders); i++) {
		fails(orders[i], 0, 1, EINVAL);
		fails(orders[i], WEIR_NOWAIT, 1, EINVAL);
		fails(orders[i], 0, SIZE_MAX, EINVAL);
		errno = 0;
		CHECK_EQ(weir_alloc_upto(pool, orders[i], pages, 5, 0), 0);
		CHECK_EQ(errno, EINVAL);
	}
	for (unsigned i = 0; i < NR(flags); i++) {
		fails(0, flags[i], 1, EINVAL);
		fails(3, flags[i], 2, EINVAL);
		errno = 0;
		CHECK_EQ(weir_alloc_upto(pool, 0, pages, 5, flags[i]), 0);
		CHECK_EQ(errno, EINVAL);
	}
	/* Runs larger than the pool. */
	for (unsigned order = 11; order <= WEIR_ORDER_MAX; order++) {
		fails(order, 0, 1, ENOMEM);
		CHECK_EQ(weir_alloc_upto(pool, order, pages, SIZE_MAX, 0), 0);
		CHECK_EQ(errno, ENOMEM);
	}
}

/* What cannot be there is not looked for on other CPUs. */
static void many(void)
{
	const uint64_t before = drains();

	for (unsigned i = 0; i < NR(counts); i++)
		for (unsigned order = 0; order <= 9; order++)
			fails(order, 0, counts[i], ENOMEM);
	CHECK_EQ(drains(), before);
	for (unsigned order = 0; order <= 9; order++)
		fails(order, 0, (PAGES >> order) + 1, ENOMEM);
	CHECK_EQ(drains(), before);
	check_whole(pool);
}

/* As many as there are, into an array as large as the pool. */
static void up_to(void)
{
	for (unsigned i = 0; i < NR(counts); i++)
		for (unsigned order = 0; order <= 9; order++) {
			size_t n = 0, more;

			/* In several steps, as it never waits for the last. */
			while ((more = weir_alloc_upto(pool, order, pages + n,
						       counts[i], 0)) > 0) {
				n += more;
				CHECK(n <= (size_t)PAGES >> order);
			}
			CHECK_EQ(errno, ENOMEM);
			CHECK_MSG(n == (size_t)PAGES >> order, "order %u: %zu",
				  order, n);
			for (size_t k = 0; k < n; k++)
				CHECK_EQ((uintptr_t)pages[k] %
						 (UINT64_C(4096) << order),
					 0);
			weir_fast_free_bulk(pool, order, pages, n);
			check_whole(pool);
			calls++;
		}
}

/* Nothing asked for is done, also in shortage, on each list, and inlined. */
static void none(void)
{
	volatile size_t zero = 0;

	for (int full = 0; full <= 1; full++) {
		size_t n = full ? weir_alloc_upto(pool, 0, pages, PAGES, 0) : 0;

		CHECK_EQ(weir_alloc_bulk(pool, 0, NULL, 0, 0), 0);
		CHECK_EQ(weir_fast_alloc_bulk(pool, 0, NULL, zero, 0), 0);
		CHECK_EQ(weir_fast_alloc_bulk(pool, 9, NULL, zero, 0), 0);
		CHECK_EQ(weir_fast_alloc_bulk(pool, 5, NULL, zero, 0), 0);
		errno = 77;
		CHECK_EQ(weir_alloc_upto(pool, 0, NULL, 0, 0), 0);
		CHECK_EQ(errno, 77);
		weir_free_bulk(pool, 0, NULL, 0);
		weir_fast_free_bulk(pool, 0, NULL, zero);
		weir_fast_free_bulk(pool, 9, NULL, zero);
		weir_free(pool, NULL, 0);
		weir_free(pool, NULL, UINT_MAX);
		weir_fast_free(pool, NULL, 0);
		weir_free_bulk(pool, 0, pages, n);
		check_whole(pool);
		calls += 11;
	}
}

static void numbers_elsewhere(void)
{
	struct weir_drain_opts drain = WEIR_DRAIN_OPTS_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	const uint64_t start = now_ns();

	drain.want_pages = drain.wait_ns = UINT64_MAX;
	CHECK_EQ(weir_drain(pool, &drain, NULL), 0);
	CHECK_EQ(weir_maintain(pool, UINT64_MAX, NULL), 0);
	CHECK_EQ(weir_get_mode(pool, UINT_MAX), -EINVAL);
	CHECK_EQ(weir_set_mode(pool, NULL, (enum weir_mode) - 1), -EINVAL);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(weir_get_mode(pool, stat.nr_cpus), -EINVAL);
	CHECK_EQ(weir_stat_read_zone(pool, stat.nr_zones, &zone), -EINVAL);
	CHECK_EQ(weir_stat_read_zone(pool, UINT_MAX, &zone), -EINVAL);
	CHECK_EQ(weir_stat_read_cpu(pool, 0, stat.nr_cpus, &cpu), -EINVAL);
	CHECK_EQ(weir_stat_read_cpu(pool, UINT_MAX, 0, &cpu), -EINVAL);
	CHECK_EQ(weir_stat_read_cpu(pool, 0, UINT_MAX, &cpu), -EINVAL);
	for (unsigned bit = 2; bit < 32; bit++)
		CHECK_EQ(weir_pool_destroy(pool, 1u << bit), -EINVAL);
	for (int error = -200; error < 200; error++)
		CHECK(strlen(weir_strerror(error)) > 0);
	CHECK(strlen(weir_strerror(INT_MIN)) > 0);
	CHECK(strlen(weir_strerror(INT_MAX)) > 0);
	CHECK(now_ns() - start < 10000000000u);
	calls += 441;
}

/* --- tokens ------------------------------------------------------------ */

static size_t no_token(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
	return 0;
}

static void count_tokens(void *context, unsigned list, const uint64_t *tokens,
			 size_t n)
{
	(void)list, (void)tokens;
	*(size_t *)context += n;
}

static void tokens(unsigned flag)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	size_t came_back = 0;
	struct weir_cache *cache;
	uint64_t token[4];

	opts.backend.get = no_token;
	opts.backend.put = count_tokens;
	opts.backend.context = &came_back;
	opts.nr_lists = 3;
	opts.flags = flag;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	for (unsigned list = 3; list < 12; list++) {
		CHECK(weir_cache_get(cache, list, 0) == WEIR_CACHE_NONE);
		CHECK_EQ(errno, EINVAL);
		CHECK_EQ(weir_cache_get_bulk(cache, list, token, 2, 0),
			 -EINVAL);
		CHECK_EQ(weir_cache_get_upto(cache, list, token, 2, 0), 0);
	}
	CHECK(weir_cache_get(cache, UINT_MAX, 0) == WEIR_CACHE_NONE);
	CHECK(weir_cache_get(cache, 0, 2) == WEIR_CACHE_NONE);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(weir_cache_get_bulk(cache, 0, token, 0, 0), 0);
	weir_cache_put_bulk(cache, 0, NULL, 0);
	weir_cache_put(cache, 0, 7);
	weir_cache_put(cache, 0, WEIR_CACHE_NONE - 2);
	/* All or none: the two that there are go back. */
	CHECK_EQ(weir_cache_get_bulk(cache, 0, token, 4, 0), -ENOMEM);
	CHECK_EQ(weir_cache_get_upto(cache, 0, token, 4, 0) + came_back, 2);
	CHECK_EQ(weir_cache_destroy(cache), 0);
	calls += 35;
}

static void all(unsigned flag)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.flags = flag;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	orders_and_flags();
	many();
	up_to();
	none();
	numbers_elsewhere();
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	all(0);
	all(WEIR_POOL_CHECKED);
	all(WEIR_POOL_NO_RSEQ);
	tokens(0);
	tokens(WEIR_POOL_NO_RSEQ);
	printf("figures: %u calls with arguments that make no sense, all "
	       "answered\n",
	       calls);
	return 0;
}
