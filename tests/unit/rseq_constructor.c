/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool that a static constructor makes before the library's
 * own constructor has run (libweir.a) is in locked mode for good, or its
 * threads have no marks.
 */
#include <weir/cache.h>
#include <weir/fast.h>

#include "helpers.h"

#include "percpu/evidence.h"

static struct weir_pool *early;
static struct weir_cache *early_cache;
static int error = 1, cache_error = 1;

static size_t no_tokens(void *context, unsigned list, uint64_t *tokens,
			size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
	return 0;
}

static void drop_tokens(void *context, unsigned list, const uint64_t *tokens,
			size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
}

static struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

/* Those with a number run before those without, as the library's own. */
__attribute__((constructor(101))) static void before_the_library(void)
{
	struct weir_cache_opts cache_opts = WEIR_CACHE_OPTS_INIT;

	opts.capacity = 1 << 20;
	error = weir_pool_create(&early, &opts);
	cache_opts.backend.get = no_tokens;
	cache_opts.backend.put = drop_tokens;
	cache_error = weir_cache_create(&early_cache, &cache_opts);
}

static bool has_sequences(struct weir_pool *pool)
{
	return weir_set_mode(pool, "", WEIR_MODE_POLLING) == 0;
}

static void drain(void *result)
{
	*(int *)result = weir_drain(early, NULL, NULL);
}

/* Marks are as they should be: a burst is waited for. */
static void in_burst(void)
{
	struct weir_burst burst;
	void *page;
	int drained;

	CHECK_EQ(weir_set_mode(early, NULL, WEIR_MODE_QUIET), 0);
	pin(allowed_cpu(0));
	page = weir_fast_alloc(early, 0, 0);
	weir_burst_begin(early, &burst);
	weir_fast_free(early, page, 0);
	run_on(allowed_cpu(1), drain, &drained);
	CHECK_EQ(drained, -EAGAIN);
	weir_burst_end(early, &burst);
	run_on(allowed_cpu(1), drain, &drained);
	CHECK_EQ(drained, 0);
}

int main(void)
{
	struct weir_pool *late;

	CHECK_MSG(error == 0, "weir_pool_create() before main: %d", error);
	CHECK_MSG(cache_error == 0, "weir_cache_create() before main: %d",
		  cache_error);
	CHECK_EQ(weir_pool_create(&late, &opts), 0);
	CHECK_EQ(has_sequences(early), has_sequences(late));
	CHECK_EQ(weir_cache_set_mode(early_cache, "", WEIR_MODE_POLLING) == 0,
		 has_sequences(late));
	CHECK_EQ(weir_set_mode(early, "", WEIR_MODE_ORDINARY),
		 weir_set_mode(late, "", WEIR_MODE_ORDINARY));
	CHECK_EQ(early->lists.nr_cpus, late->lists.nr_cpus);
	if (has_sequences(late) && allowed_cpu(1) >= 0)
		in_burst();
	CHECK_EQ(weir_cache_destroy(early_cache), 0);
	CHECK_EQ(weir_pool_destroy(early, 0), 0);
	CHECK_EQ(weir_pool_destroy(late, 0), 0);
	return 0;
}
