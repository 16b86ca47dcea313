/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a limit that is set while a pool is in use does not come into
 * force, comes for another CPU or order, or loses pages: it was written to a
 * list that its owner could still change.
 */
#include <weir/cache.h>
#include <weir/fast.h>
#include <weir/stat.h>

#include "helpers.h"
#include "oracle.h"

#define PAGES 16384
#define DEFAULT 100

static struct weir_pool *pool;
static struct oracle oracle;
static char *base;
static int here, there;
static char there_list[16];

static void create(unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	void *start;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "";
	opts.list_limit = DEFAULT;
	opts.flags = flags;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_range(pool, &start, NULL, NULL), 0);
	base = start;
}

/* What a list of the other CPU holds, or may hold. */
static struct weir_stat_list list_there(unsigned list)
{
	struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;

	CHECK_EQ(weir_stat_read_cpu(pool, 0, (unsigned)there, &stat), 0);
	return stat.list[list];
}

/* As many as its list takes. */
static void fill(void *unused)
{
	void *pages[512];

	(void)unused;
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, 512, 0), 0);
	for (unsigned i = 0; i < 512; i++)
		weir_free(pool, pages[i], 0);
}

static void see_limit(unsigned limit)
{
	CHECK_EQ(list_there(0).high, limit);
	run_on(there, fill, NULL);
	CHECK(list_there(0).count <= limit);
	CHECK(list_there(0).count >= (limit + 1) / 8);
}

static void see_mode(enum weir_mode mode, unsigned flags)
{
	static const unsigned limits[] = { 8, 400, 1, 2, 511, DEFAULT };
	struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;

	create(flags);
	if (weir_set_mode(pool, there_list, mode) != 0)
		SKIP("no modes without sequences");
	see_limit(DEFAULT);
	for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		run_on(there, fill, NULL); /* for a polling CPU, evidence */
		if (mode == WEIR_MODE_POLLING) {
			CHECK_EQ(weir_set_limit(pool, there_list, 0, limits[i]),
				 -EAGAIN);
			run_on(there, fill, NULL);
			CHECK_EQ(weir_drain(pool, NULL, NULL), -EAGAIN);
			run_on(there, fill, NULL);
		} else {
			CHECK_EQ(weir_set_limit(pool, there_list, 0, limits[i]),
				 0);
		}
		see_limit(limits[i]);
		CHECK_EQ(list_there(1).high, DEFAULT);
		CHECK_EQ(weir_stat_read_cpu(pool, 0, (unsigned)here, &stat), 0);
		CHECK_EQ(stat.list[0].high, DEFAULT);
	}
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* The limit waits for the evidence, as a mode does; the last one counts. */
static event in_burst, go_on, gone;

static void owner(void *unused)
{
	struct weir_burst burst;

	fill(unused);
	weir_burst_begin(pool, &burst);
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	tell(&in_burst);
	await(&go_on, 1);
	weir_burst_end(pool, &burst);
	tell(&gone);
}

static void see_pending(void)
{
	struct runner runner;

	create(0);
	CHECK_EQ(weir_set_mode(pool, there_list, WEIR_MODE_QUIET), 0);
	start_on(&runner, there, owner, NULL);
	await(&in_burst, 1);
	CHECK_EQ(weir_set_limit_wait(pool, there_list, 0, 50, 0), -EAGAIN);
	CHECK_EQ(weir_set_limit_wait(pool, there_list, 0, 300, 0), -EAGAIN);
	tell(&go_on);
	await(&gone, 1);
	finish(&runner);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	see_limit(300);
	/* A CPU without lists gets it with its next ones. */
	CHECK_EQ(weir_set_mode(pool, there_list, WEIR_MODE_OFF), 0);
	CHECK_EQ(weir_set_limit(pool, there_list, 0, 20), 0);
	CHECK_EQ(weir_set_mode(pool, there_list, WEIR_MODE_QUIET), 0);
	see_limit(20);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

static void see_errors(void)
{
	create(0);
	CHECK_EQ(weir_set_limit(pool, NULL, 4, 10), -EINVAL);
	CHECK(strstr(weir_last_error(), "order: 4 has no lists") != NULL);
	CHECK_EQ(weir_set_limit(pool, NULL, 0, 0), -EINVAL);
	CHECK_EQ(weir_set_limit(pool, NULL, 0, 512), -EINVAL);
	CHECK(strstr(weir_last_error(), "limit: 512") != NULL);
	CHECK_EQ(weir_set_limit(pool, "9-", 0, 10), -EINVAL);
	CHECK(strstr(weir_last_error(), "cpus") != NULL);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- beside its owner ---------------------------------------------------- */

static event over;

static void use(void *unused)
{
	void *page[300];
	unsigned got = 0, seed = 1;

	(void)unused;
	while (!happened(&over, 1)) {
		unsigned wanted;

		seed = seed * 1103515245 + 12345;
		wanted = (seed >> 16) % 300;
		while (got < wanted) {
			page[got] = weir_fast_alloc(pool, 0, 0);
			CHECK(page[got] != NULL);
			oracle_take(&oracle,
				    (uint64_t)((char *)page[got++] - base) /
					    4096,
				    1, 1);
		}
		while (got > wanted) {
			oracle_give(&oracle,
				    (uint64_t)((char *)page[--got] - base) /
					    4096,
				    1, 1);
			weir_fast_free(pool, page[got], 0);
		}
	}
	while (got > 0) {
		oracle_give(&oracle,
			    (uint64_t)((char *)page[--got] - base) / 4096, 1,
			    1);
		weir_fast_free(pool, page[got], 0);
	}
}

static void see_use(enum weir_mode mode, unsigned flags)
{
	const uint64_t end = now_ns() + 200000000;
	struct runner runner;
	unsigned seed = 7, in_force = 0;

	create(flags);
	CHECK_EQ(weir_set_mode(pool, there_list, mode), 0);
	oracle_init(&oracle, "page", PAGES);
	over = 0;
	start_on(&runner, there, use, NULL);
	while (now_ns() < end) {
		int err;

		seed = seed * 1103515245 + 12345;
		err = weir_set_limit(pool, there_list, 0,
				     1 + (seed >> 16) % WEIR_LIST_MAX);
		CHECK(err == 0 || err == -EAGAIN);
		in_force += err == 0;
	}
	tell(&over);
	finish(&runner);
	CHECK(in_force > 0);
	CHECK_EQ(oracle_out(&oracle), 0);
	oracle_fini(&oracle);
	/* It would refuse if a page were missing. */
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	two_cpus(&here, &there);
	pin(here);
	snprintf(there_list, sizeof(there_list), "%d", there);
	see_errors();
	see_mode(WEIR_MODE_ORDINARY, WEIR_POOL_NO_RSEQ);
	see_use(WEIR_MODE_ORDINARY, WEIR_POOL_NO_RSEQ);
	see_mode(WEIR_MODE_ORDINARY, 0);
	see_mode(WEIR_MODE_QUIET, 0);
	see_mode(WEIR_MODE_POLLING, 0);
	see_pending();
	see_use(WEIR_MODE_ORDINARY, 0);
	see_use(WEIR_MODE_QUIET, 0);
	see_use(WEIR_MODE_POLLING, WEIR_POOL_CHECKED);
	return 0;
}
