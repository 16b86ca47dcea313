/* SPDX-License-Identifier: MIT */
/*
 * If this fails, one of the small promises of weir.h is broken: errno, zeros,
 * alignment, words for errors.
 */
#include <weir/cache.h>
#include <weir/fast.h>
#include <weir/stat.h>

#include "helpers.h"

static struct weir_pool *pool;

static void create(uint64_t pages, unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = pages * 4096;
	opts.flags = flags;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
}

static void destroy(void)
{
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* Through every way a free can take. */
static void free_keeps_errno(unsigned flags)
{
	static void *page[3000];

	create(3000, flags);
	for (unsigned round = 0; round < 3; round++) {
		CHECK_EQ(weir_alloc_bulk(pool, 0, page, 3000, 0), 0);
		errno = 12345;
		for (unsigned i = 0; i < 1500; i++)
			weir_free(pool, page[i], 0);
		CHECK_EQ(errno, 12345);
		for (unsigned i = 1500; i < 2000; i++)
			weir_fast_free(pool, page[i], 0);
		CHECK_EQ(errno, 12345);
		weir_free_bulk(pool, 0, page + 2000, 1000);
		CHECK_EQ(errno, 12345);
	}
	weir_free(pool, NULL, 0);
	weir_tick(pool);
	CHECK_EQ(errno, 12345);
	/* An allocation that succeeds leaves it alone, too. */
	page[0] = weir_alloc(pool, 0, 0);
	CHECK_EQ(errno, 12345);
	weir_free(pool, page[0], 0);
	destroy();
}

static void zeroed(unsigned flags)
{
	static void *page[64];

	create(64, flags);
	for (unsigned order = 0; order <= 6; order++) {
		size_t n = 64u >> order, bytes = (size_t)4096 << order;

		CHECK_EQ(weir_alloc_bulk(pool, order, page, n, 0), 0);
		for (size_t i = 0; i < n; i++)
			memset(page[i], 0xa5, bytes);
		weir_free_bulk(pool, order, page, n);
		for (size_t i = 0; i < n; i++) {
			char *run = i % 3 == 0
					    ? weir_alloc(pool, order, WEIR_ZERO)
				    : i % 3 == 1 ? weir_fast_alloc(pool, order,
								   WEIR_ZERO)
						 : NULL;

			if (run == NULL)
				CHECK_EQ(weir_alloc_bulk(pool, order,
							 (void **)&run, 1,
							 WEIR_ZERO),
					 0);
			for (size_t at = 0; at < bytes; at++)
				CHECK_EQ(run[at], 0);
			page[i] = run;
		}
		weir_free_bulk(pool, order, page, n);
		/* Runs are split for smaller ones only in the zone. */
		CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	}
	destroy();
}

/* In memory, not only within the pool. */
static void aligned(void)
{
	create(UINT64_C(1) << 19, 0); /* 2 GiB, untouched */
	for (unsigned order = 0; order <= WEIR_ORDER_MAX; order++) {
		void *run[2];

		CHECK_EQ(weir_alloc_bulk(pool, order, run, 2, 0), 0);
		for (unsigned i = 0; i < 2; i++)
			CHECK_EQ((uintptr_t)run[i] % (UINT64_C(4096) << order),
				 0);
		weir_free_bulk(pool, order, run, 2);
		CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	}
	CHECK(weir_alloc(pool, WEIR_ORDER_MAX + 1, 0) == NULL);
	CHECK_EQ(errno, EINVAL);
	CHECK(weir_alloc(pool, 4, 0x40) == NULL);
	CHECK_EQ(errno, EINVAL);
	destroy();
}

static void words(void)
{
	static const int errors[] = { 0,	  EAGAIN, ENOMEM,    EINVAL,
				      EBUSY,	  ESTALE, ETIMEDOUT, EDEADLK,
				      EOPNOTSUPP, EPERM,  EBADF };
	const char *other = weir_strerror(EXDEV);

	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		const char *words = weir_strerror(-errors[i]);

		CHECK(words == weir_strerror(errors[i]));
		CHECK(words != other && strlen(words) > 3);
	}
	CHECK(other != NULL && other == weir_strerror(INT32_MIN + 1));
	CHECK(weir_strerror(INT32_MIN) != NULL);
}

static event in_burst, waits;

/* Holds a drain up for 20 ms. */
static void hold_up(void *unused)
{
	struct weir_burst burst;
	uint64_t end;

	(void)unused;
	weir_burst_begin(pool, &burst);
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	tell(&in_burst);
	await(&waits, 1);
	for (end = now_ns() + 20000000; now_ns() < end;)
		sched_yield();
	weir_burst_end(pool, &burst);
}

/* "For ever" is a time that can be asked for. */
static void for_ever(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_drain_opts drain = WEIR_DRAIN_OPTS_INIT;
	struct runner runner;
	void *page;

	if (allowed_cpu(1) < 0)
		return;
	pin(allowed_cpu(0));
	opts.capacity = 4096 * 64;
	drain.wait_ns = UINT64_MAX;
	for (unsigned i = 0; i < 2; i++) {
		opts.wait_ns = i == 0 ? UINT64_MAX : 1000000;
		in_burst = waits = 0;
		CHECK_EQ(weir_pool_create(&pool, &opts), 0);
		weir_set_mode(pool, NULL, WEIR_MODE_QUIET);
		start_on(&runner, allowed_cpu(1), hold_up, NULL);
		await(&in_burst, 1);
		tell(&waits);
		if (i == 0) {
			CHECK((page = weir_alloc(pool, 6, 0)) != NULL);
			weir_free(pool, page, 6);
		} else {
			CHECK_EQ(weir_drain(pool, &drain, NULL), 0);
		}
		finish(&runner);
		destroy();
	}
}

/* Structs of another size are refused, not written past. */
static void sizes(void)
{
	struct weir_drain_opts opts = { .size = 4 };
	struct weir_drain_result result = { .size = 4, .pages = 77 };
	struct weir_stat stat = { .size = 4, .pages = 77 };
	struct weir_stat_zone zone = { .size = 4 };
	struct weir_stat_cpu cpu = { .size = 4 };

	create(100, 0);
	CHECK_EQ(weir_drain(pool, &opts, NULL), -EINVAL);
	CHECK_EQ(strncmp(weir_last_error(), "size", 4), 0);
	CHECK_EQ(weir_drain(pool, NULL, &result), -EINVAL);
	CHECK_EQ(result.pages, 77);
	CHECK_EQ(weir_maintain(pool, 0, &result), -EINVAL);
	CHECK_EQ(result.pages, 77);
	CHECK_EQ(weir_stat_read(pool, &stat), -EINVAL);
	CHECK_EQ(stat.pages, 77);
	CHECK_EQ(weir_stat_read_zone(pool, 0, &zone), -EINVAL);
	CHECK_EQ(weir_stat_read_cpu(pool, 0, 0, &cpu), -EINVAL);
	opts.size = sizeof(opts);
	opts.cpus = "no list";
	CHECK_EQ(weir_drain(pool, &opts, NULL), -EINVAL);
	CHECK_EQ(strncmp(weir_last_error(), "cpus", 4), 0);
	zone.size = sizeof(zone);
	cpu.size = sizeof(cpu);
	CHECK_EQ(weir_stat_read_zone(pool, 1000, &zone), -EINVAL);
	CHECK_EQ(weir_stat_read_cpu(pool, 1000, 0, &cpu), -EINVAL);
	CHECK_EQ(weir_stat_read_cpu(pool, 0, 1u << 20, &cpu), -EINVAL);
	destroy();
}

int main(void)
{
	static const unsigned flags[] = { 0, WEIR_POOL_CHECKED,
					  WEIR_POOL_NO_RSEQ };

	for (unsigned i = 0; i < 3; i++) {
		free_keeps_errno(flags[i]);
		zeroed(flags[i]);
	}
	aligned();
	words();
	for_ever();
	sizes();
	return 0;
}
