/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a user who debugs is told a wrong pool, state or order of a
 * page, or one that a debugger asks about is changed by asking.
 */
#include <weir/fast.h>
#include <weir/stat.h>

#include <sys/wait.h>

#include "helpers.h"

#define BYTES (UINT64_C(1) << 30)

static struct weir_pool *pool;
static int here, there;
static char *base;
static unsigned nr_looks;

static struct weir_pool *create(const char *name, unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *made;
	char polling[16];

	snprintf(polling, sizeof(polling), "%d", here);
	opts.capacity = BYTES;
	opts.name = name;
	opts.node = 0;
	opts.flags = flags;
	opts.quiet_cpus = "";
	opts.polling_cpus = polling;
	CHECK_MSG(weir_pool_create(&made, &opts) == 0, "%s", weir_last_error());
	return made;
}

static void expect(const void *p, enum weir_page_state state, int cpu,
		   int order, uint64_t first, const char *words)
{
	struct weir_stat_page its = WEIR_STAT_PAGE_INIT;
	const uint64_t index = (uint64_t)((const char *)p - base) / 4096;
	const char *said;

	CHECK_MSG(weir_stat_read_page(p, &its) == 0, "%s", weir_last_error());
	CHECK_EQ(its.size, sizeof(its));
	CHECK_EQ((int)its.state, (int)state);
	CHECK_EQ(its.cpu, cpu);
	CHECK_EQ(its.order, order);
	CHECK_EQ(its.index, index);
	CHECK_EQ(its.first, order < 0 ? index : first);
	CHECK_EQ(its.zone, 0);
	CHECK_EQ(strcmp(its.pool, "looked-at"), 0);
	said = weir_describe(p);
	CHECK_MSG(strstr(said, words) != NULL, "no \"%s\" in \"%s\"", words,
		  said);
	CHECK(said == weir_last_error());
	nr_looks += 2;
}

static void expect_nowhere(const void *p)
{
	struct weir_stat_page its = WEIR_STAT_PAGE_INIT;

	CHECK_EQ(weir_stat_read_page(p, &its), -ENOENT);
	CHECK(strstr(weir_last_error(), "in no pool") != NULL);
	CHECK(strstr(weir_describe(p), "in no pool") != NULL);
	nr_looks += 2;
}

static uint64_t index_of(const void *p)
{
	return weir_pool_index(pool, p);
}

static void drain_at_once(void *unused)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	(void)unused;
	opts.wait_ns = 0;
	CHECK_EQ(weir_drain(pool, &opts, NULL), -EAGAIN);
}

/* A run of an order that has a list goes through every state. */
static void every_state(unsigned order)
{
	const int its = (int)order;
	char *run = weir_alloc(pool, order, 0);
	const uint64_t first = index_of(run);
	const uint64_t n = UINT64_C(1) << order;
	char *last = run + (n - 1) * 4096 + 17, words[64];

	CHECK(run != NULL);
	expect(run, WEIR_PAGE_OUT, -1, -1, 0, "(zone 0): allocated");
	expect(last, WEIR_PAGE_OUT, -1, -1, 0, "(zone 0): allocated");
	weir_free(pool, run, order);
	snprintf(words, sizeof(words),
		 "free in a list of CPU %d, in the run of order %u from page "
		 "%" PRIu64,
		 here, order, first);
	expect(run, WEIR_PAGE_CACHED, here, its, first, words);
	expect(last, WEIR_PAGE_CACHED, here, its, first, words);
	/* A polling CPU between two operations. */
	run_on(there, drain_at_once, NULL);
	snprintf(words, sizeof(words), "pending, drained from CPU %d", here);
	expect(run, WEIR_PAGE_PENDING, here, its, first, words);
	expect(last, WEIR_PAGE_PENDING, here, its, first, words);
	weir_tick(pool);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	expect(run, WEIR_PAGE_FREE, -1, -1, 0, "free in its zone");
	expect(last, WEIR_PAGE_FREE, -1, -1, 0, "free in its zone");
}

static void other_orders(void)
{
	char *run = weir_alloc(pool, 5, 0);

	CHECK(run != NULL);
	expect(run + 4096, WEIR_PAGE_OUT, -1, -1, 0, "allocated");
	weir_free(pool, run, 5);
	expect(run + 4096, WEIR_PAGE_FREE, -1, -1, 0, "free in its zone");
}

static void in_a_checked_pool(void)
{
	struct weir_pool *first = pool;
	char *single, *run;

	pool = create("looked-at", WEIR_POOL_CHECKED);
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
	single = weir_alloc(pool, 0, 0);
	run = weir_alloc(pool, 5, 0);
	CHECK(single != NULL && run != NULL);
	expect(single, WEIR_PAGE_OUT, -1, 0, index_of(single),
	       "allocated, in the run of order 0");
	expect(run + 31 * 4096, WEIR_PAGE_OUT, -1, 5, index_of(run),
	       "allocated, in the run of order 5");
	weir_free(pool, single, 0);
	weir_free(pool, run, 5);
	expect(run, WEIR_PAGE_FREE, -1, -1, 0, "free in its zone");
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	expect_nowhere(run);
	pool = first;
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
}

static void in_a_child(void)
{
	void *page = weir_alloc(pool, 0, 0);
	int status;
	pid_t child = fork();

	if (child == 0) {
		expect_nowhere(page);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	weir_free(pool, page, 0);
}

int main(void)
{
	static const unsigned orders[] = { 0, 1, 2, 3, 9 };
	struct weir_stat_page its = WEIR_STAT_PAGE_INIT;

	two_cpus(&here, &there);
	pin(here);
	pool = create("looked-at", 0);
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
	for (unsigned i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		every_state(orders[i]);
	other_orders();
	in_a_checked_pool();
	in_a_child();
	expect_nowhere(NULL);
	expect_nowhere(&its);
	expect_nowhere(base + BYTES);
	its.size = 3;
	CHECK_EQ(weir_stat_read_page(base, &its), -EINVAL);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	printf("figures: %u looks at pages\n", nr_looks);
	return 0;
}
