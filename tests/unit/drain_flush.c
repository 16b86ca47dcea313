/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a thread that went to sleep after weir_flush() left pages in
 * the lists of its CPU, or a drain waits for evidence from a CPU whose poll
 * loop has ended.
 */
#include <weir/cache.h>
#include <weir/stat.h>

#include "helpers.h"

#define PAGES 8192
#define NR_TOKENS 256

static struct weir_pool *pool;
static int here, there;
static char there_list[16];
static uint64_t given;

static struct weir_stat stat_now(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	return stat;
}

static void create(unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "";
	opts.flags = flags;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
}

/* Lists of every order get a batch. */
static void fill(void *unused)
{
	static const unsigned orders[] = { 0, 1, 2, 3, 9 };

	(void)unused;
	for (unsigned i = 0; i < 5; i++)
		weir_free(pool, weir_alloc(pool, orders[i], 0), orders[i]);
}

static void flush(void *unused)
{
	(void)unused;
	given = weir_flush(pool);
}

/* Everything in the lists comes back, and nothing is left for a second one. */
static void see_mode(enum weir_mode mode, unsigned flags)
{
	uint64_t kept;

	create(flags);
	CHECK_EQ(weir_set_mode(pool, there_list, mode), 0);
	run_on(there, fill, NULL);
	kept = stat_now().cached;
	CHECK_MSG(mode == WEIR_MODE_OFF ? kept == 0 : kept > 512,
		  "mode %d: %" PRIu64 " pages in lists", (int)mode, kept);
	run_on(here, flush, NULL); /* of its own CPU, which has none */
	CHECK_EQ(given, 0);
	CHECK_EQ(stat_now().cached, kept);
	run_on(there, flush, NULL);
	CHECK_EQ(given, kept);
	CHECK_EQ(stat_now().cached, 0);
	CHECK_EQ(stat_now().free, PAGES);
	run_on(there, flush, NULL);
	CHECK_EQ(given, 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

static int drain_at_once(struct weir_drain_result *result)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	opts.wait_ns = 0;
	return weir_drain(pool, &opts, result);
}

static event filled, drained, flushed, looked;

/* A poll loop that ends: with pages in its lists, which a drain then leaves
 * pending; it flushes after that. */
static void poller(void *unused)
{
	fill(unused);
	tell(&filled);
	await(&drained, 1);
	flush(unused);
	tell(&flushed);
	await(&looked, 1);
}

static void see_pending(void)
{
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	struct runner runner;

	create(0);
	if (weir_set_mode(pool, there_list, WEIR_MODE_POLLING) != 0)
		SKIP("no modes without sequences");
	start_on(&runner, there, poller, NULL);
	await(&filled, 1);
	CHECK_EQ(drain_at_once(&result), -EAGAIN);
	CHECK(result.pending > 512);
	tell(&drained);
	await(&flushed, 1);
	CHECK_EQ(stat_now().pending, 0);
	CHECK_EQ(stat_now().free, PAGES);
	CHECK_EQ(drain_at_once(&result), 0);
	CHECK_EQ(result.pages, 0);
	tell(&looked);
	finish(&runner);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- a token cache ----------------------------------------------------- */

static uint64_t token[NR_TOKENS];
static size_t nr_tokens;
static struct weir_cache *cache;

static size_t take(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	size_t got = 0;

	(void)context, (void)list;
	while (got < n && nr_tokens > 0)
		tokens[got++] = token[--nr_tokens];
	return got;
}

static void take_back(void *context, unsigned list, const uint64_t *tokens,
		      size_t n)
{
	(void)context, (void)list;
	for (size_t i = 0; i < n; i++)
		token[nr_tokens++] = tokens[i];
}

static void use_cache(void *unused)
{
	(void)unused;
	weir_cache_put(cache, 0, weir_cache_get(cache, 0, 0));
	CHECK(nr_tokens < NR_TOKENS);
	given = NR_TOKENS - nr_tokens;
	CHECK_EQ(weir_cache_flush(cache), given);
	CHECK_EQ(nr_tokens, NR_TOKENS);
}

static void see_cache(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend = (struct weir_cache_backend){ take, take_back, NULL };
	opts.quiet_cpus = there_list;
	while (nr_tokens < NR_TOKENS) {
		token[nr_tokens] = nr_tokens;
		nr_tokens++;
	}
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	run_on(there, use_cache, NULL);
	CHECK_EQ(weir_cache_destroy(cache), 0);
}

int main(void)
{
	two_cpus(&here, &there);
	pin(here); /* a drainer is evidence for the CPU that it is on */
	snprintf(there_list, sizeof(there_list), "%d", there);
	see_mode(WEIR_MODE_ORDINARY, WEIR_POOL_NO_RSEQ);
	see_mode(WEIR_MODE_OFF, WEIR_POOL_NO_RSEQ);
	see_mode(WEIR_MODE_ORDINARY, WEIR_POOL_CHECKED);
	see_cache();
	create(0);
	if (weir_set_mode(pool, there_list, WEIR_MODE_QUIET) != 0)
		SKIP("no modes without sequences");
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	see_mode(WEIR_MODE_ORDINARY, 0);
	see_mode(WEIR_MODE_QUIET, 0);
	see_mode(WEIR_MODE_POLLING, 0);
	see_mode(WEIR_MODE_OFF, 0);
	see_pending();
	return 0;
}
