/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a call that was told how long it may wait waits as long as its
 * pool says, which here is for ever; or a poller that wants what its neighbours
 * can give at once does not get it.
 */
#include <weir/cache.h>
#include <weir/stat.h>

#include "api/pool.h"
#include "helpers.h"

#define PAGES 256
#define WAIT_NS 2000000

static struct weir_pool *pool;
static struct weir_cache *cache;
static int here, there;
static event filled, go_on, ticked, done;
static char there_list[16];

static void create(enum weir_mode mode, unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.wait_ns = WEIR_WAIT_FOREVER;
	opts.list_limit = PAGES;
	opts.flags = flags;
	opts.quiet_cpus = mode == WEIR_MODE_QUIET ? there_list : "";
	opts.polling_cpus = mode == WEIR_MODE_POLLING ? there_list : "";
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
}

/* Every page in the list of that CPU. */
static void fill(void *unused)
{
	static void *pages[PAGES];

	(void)unused;
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, PAGES, 0), 0);
	weir_free_bulk(pool, 0, pages, PAGES);
}

static uint64_t in_lists(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	return stat.cached + stat.pending;
}

/* A neighbour that is between operations gives at once what it has. */
static void neighbour_gives(enum weir_mode mode, unsigned flags)
{
	void *pages[2];

	create(mode, flags);
	if (weir_get_mode(pool, (unsigned)there) != (int)mode) {
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
		return; /* no sequences, or no membarrier */
	}
	run_on(there, fill, NULL);
	pin(here);
	while (in_lists() < PAGES) { /* the rest into our list */
		pages[0] = weir_alloc(pool, 0, WEIR_NOWAIT);
		CHECK(pages[0] != NULL);
		weir_free(pool, pages[0], 0);
	}
	CHECK_EQ(weir_alloc_upto(pool, 3, pages, 1, WEIR_NOWAIT), 0);
	CHECK_EQ(errno, EAGAIN);
	CHECK(weir_alloc(pool, 3, WEIR_NOWAIT | WEIR_RECLAIM) == NULL);
	pages[0] = weir_alloc(pool, 3, WEIR_RECLAIM);
	CHECK_MSG(pages[0] != NULL, "mode %d: %s", (int)mode,
		  weir_last_error());
	weir_free(pool, pages[0], 3);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- a neighbour that gives no evidence --------------------------------- */

static void poll_and_stop(void *unused)
{
	fill(unused);
	weir_cache_put(cache, 0, 7);
	tell(&filled);
	await(&go_on, 1);
	weir_tick(pool);
	weir_cache_tick(cache);
	tell(&ticked);
	await(&done, 1);
}

static size_t get_none(void *ctx, unsigned list, uint64_t *tokens, size_t n)
{
	(void)ctx, (void)list, (void)tokens, (void)n;
	return 0;
}

static void take_back(void *ctx, unsigned list, const uint64_t *tokens,
		      size_t n)
{
	(void)ctx, (void)list, (void)tokens, (void)n;
}

static void create_cache(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend.get = get_none;
	opts.backend.put = take_back;
	opts.quiet_cpus = "";
	opts.polling_cpus = there_list;
	opts.wait_ns = WEIR_WAIT_FOREVER;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
}

static void gets_that_wait(uint64_t wait_ns)
{
	uint64_t token;
	void *page;

	errno = 0;
	CHECK(weir_alloc_wait(pool, 0, 0, wait_ns) == NULL);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(weir_alloc_bulk_wait(pool, 0, &page, 1, 0, wait_ns), -EAGAIN);
	CHECK(weir_cache_get_wait(cache, 0, 0, wait_ns) == WEIR_CACHE_NONE);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(weir_cache_get_bulk_wait(cache, 0, &token, 1, 0, wait_ns),
		 -EAGAIN);
}

static void drains_that_wait(uint64_t wait_ns)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;

	opts.wait_ns = wait_ns;
	CHECK_EQ(weir_drain(pool, &opts, &result), -EAGAIN);
	CHECK_EQ(result.pending, PAGES);
	CHECK_EQ(result.by_membarrier + result.membarriers_failed, 0);
	CHECK_EQ(weir_cache_drain(cache, &opts, &result), -EAGAIN);
	CHECK_EQ(result.pending, 1);
	CHECK_EQ(weir_maintain_wait(pool, 1, wait_ns, &result), -EAGAIN);
	CHECK_EQ(weir_set_mode_wait(pool, there_list, WEIR_MODE_QUIET, wait_ns),
		 -EAGAIN);
	CHECK_EQ(weir_cache_set_mode_wait(cache, there_list, WEIR_MODE_QUIET,
					  wait_ns),
		 -EAGAIN);
	/* Taken back: it would want evidence of its own. */
	weir_set_mode_wait(pool, there_list, WEIR_MODE_POLLING, 0);
	weir_cache_set_mode_wait(cache, there_list, WEIR_MODE_POLLING, 0);
}

static void neighbour_stands_still(void)
{
	struct weir_drain_opts at_once = WEIR_DRAIN_OPTS_INIT;
	struct runner runner;
	void *page;

	create(WEIR_MODE_POLLING, 0);
	create_cache();
	if (weir_get_mode(pool, (unsigned)there) == WEIR_MODE_POLLING) {
		start_on(&runner, there, poll_and_stop, NULL);
		pin(here);
		await(&filled, 1);
		gets_that_wait(0);
		drains_that_wait(0);
		CHECK(weir_alloc(pool, 0, WEIR_RECLAIM) == NULL);
		CHECK_EQ(errno, EAGAIN);
		gets_that_wait(WAIT_NS);
		drains_that_wait(WAIT_NS);
		/* It goes on: what was pending is taken at once. */
		tell(&go_on);
		await(&ticked, 1);
		page = weir_alloc(pool, 0, WEIR_RECLAIM);
		CHECK(page != NULL);
		weir_free(pool, page, 0);
		at_once.wait_ns = 0;
		at_once.cpus = there_list;
		CHECK_EQ(weir_cache_drain(cache, &at_once, NULL), 0);
		tell(&done);
		finish(&runner);
	}
	CHECK_EQ(weir_cache_destroy(cache), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- while another drains ------------------------------------------------ */

static void hold_the_mutex(void *unused)
{
	struct wi_drain *drain = &wi_pool_of(pool)->cache.drain;

	(void)unused;
	CHECK(wi_drain_trylock(drain));
	tell(&filled);
	await(&go_on, 1);
	wi_drain_unlock(drain);
}

static void another_drains(void)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct runner runner;

	filled = go_on = 0;
	create(WEIR_MODE_QUIET, 0);
	run_on(there, fill, NULL);
	start_on(&runner, there, hold_the_mutex, NULL);
	pin(here);
	await(&filled, 1);
	opts.wait_ns = 0;
	CHECK_EQ(weir_drain(pool, &opts, NULL), -ETIMEDOUT);
	CHECK(weir_alloc(pool, 3, WEIR_RECLAIM) == NULL);
	CHECK_EQ(errno, EAGAIN);
	CHECK(strstr(weir_last_error(), "others drained") != NULL);
	CHECK(weir_alloc_wait(pool, 3, 0, WAIT_NS) == NULL);
	CHECK_EQ(errno, EAGAIN);
	tell(&go_on);
	finish(&runner);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	need_two_cpus();
	two_cpus(&here, &there);
	snprintf(there_list, sizeof(there_list), "%d", there);
	neighbour_gives(WEIR_MODE_QUIET, 0);
	neighbour_gives(WEIR_MODE_ORDINARY, 0);
	neighbour_gives(WEIR_MODE_ORDINARY, WEIR_POOL_NO_RSEQ);
	neighbour_stands_still();
	another_drains();
	return 0;
}
