/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an operation on a polling CPU is not taken for evidence that
 * the CPU is between operations, and a drain waits for one that never comes.
 */
#include <weir/fast.h>
#include <weir/stat.h>

#include "helpers.h"

#define LONG_NS 5000000000u /* never waited out if all is well */

static struct weir_pool *pool;
static int here, there;
static char there_list[16];

static void *page[128];

/* One turn of a loop that makes these operations alone. */
struct loop {
	const char *what;
	void (*turn)(unsigned arg);
	unsigned arg;
	uint64_t capacity;
};

static void pair(unsigned order)
{
	weir_free(pool, weir_alloc(pool, order, 0), order);
}

static void pair_inlined(unsigned order)
{
	weir_fast_free(pool, weir_fast_alloc(pool, order, WEIR_NOWAIT), order);
}

static void bulk(unsigned order)
{
	CHECK_EQ(weir_alloc_bulk(pool, order, page, 128, 0), 0);
	weir_free_bulk(pool, order, page, 128);
}

/* The zone has it, and nothing is allocated there. */
static void *borrowed[4];
static unsigned nr_borrowed;

static void free_only(unsigned order)
{
	if (nr_borrowed > 0)
		weir_free(pool, borrowed[--nr_borrowed], order);
}

static void fail(unsigned order)
{
	CHECK(weir_alloc(pool, order, WEIR_NOWAIT) == NULL);
}

static const struct loop loops[] = {
	{ "pairs of order 0", pair, 0, 64 << 20 },
	{ "pairs of order 3", pair, 3, 64 << 20 },
	{ "pairs of order 4", pair, 4, 64 << 20 },
	{ "pairs of order 8", pair, 8, 64 << 20 },
	{ "pairs of order 9", pair, 9, 64 << 20 },
	{ "pairs of order 10", pair, 10, 64 << 20 },
	{ "inlined pairs of order 4", pair_inlined, 4, 64 << 20 },
	{ "bulks of order 0", bulk, 0, 64 << 20 },
	{ "bulks of order 4", bulk, 4, 64 << 20 },
	{ "pairs that a list has no room for", pair, 9, 8 << 20 },
	{ "what the pool has not", fail, 12, 8 << 20 },
};

static const struct loop *now;
static event started, over;

static void owner(void *unused)
{
	(void)unused;
	pair(0); /* a batch into the list */
	tell(&started);
	while (!happened(&over, 1))
		now->turn(now->arg);
}

static bool create(uint64_t capacity)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = capacity;
	opts.quiet_cpus = "";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	return weir_set_mode(pool, there_list, WEIR_MODE_POLLING) == 0;
}

static int drain_there(uint64_t wait_ns)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	opts.cpus = there_list;
	opts.wait_ns = wait_ns;
	return weir_drain(pool, &opts, NULL);
}

static void see(const struct loop *loop)
{
	struct runner runner;
	int err;

	create(loop->capacity);
	now = loop;
	started = over = 0;
	start_on(&runner, there, owner, NULL);
	await(&started, 1);
	err = drain_there(LONG_NS);
	CHECK_MSG(err == 0, "%s: %d", loop->what, err);
	tell(&over);
	finish(&runner);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

static void owner_frees(void *unused)
{
	(void)unused;
	pair(0);
	tell(&started);
	await(&over, 1);
	free_only(9);
}

/* Its list holds none at most: a free is the only operation. */
static void see_free(void)
{
	struct runner runner;

	create(8 << 20);
	started = over = 0;
	borrowed[0] = weir_alloc(pool, 9, 0);
	CHECK(borrowed[0] != NULL);
	nr_borrowed = 1;
	start_on(&runner, there, owner_frees, NULL);
	await(&started, 1);
	CHECK_EQ(drain_there(1000000), -EAGAIN);
	tell(&over);
	CHECK_EQ(drain_there(LONG_NS), 0);
	finish(&runner);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	two_cpus(&here, &there);
	snprintf(there_list, sizeof(there_list), "%d", there);
	pin(here);
	if (!create(1 << 20))
		SKIP("without sequences there are no polling CPUs");
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	for (unsigned i = 0; i < sizeof(loops) / sizeof(loops[0]); i++)
		see(&loops[i]);
	see_free();
	return 0;
}
