/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a token that a back end's put gives to the cache again, which
 * it may, is lost as the cache is drained, switched off or destroyed.
 */
#include <weir/cache.h>

#include "helpers.h"

#define TOKENS 40

static struct weir_cache *cache;
static unsigned nr_home, nr_again;
static uint8_t is_home[2 * TOKENS];

static size_t get(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
	return 0;
}

/* Each token that comes home sends another one, while there are any. */
static void put(void *context, unsigned list, const uint64_t *tokens, size_t n)
{
	(void)context;
	for (size_t i = 0; i < n; i++) {
		CHECK(tokens[i] < 2 * TOKENS && !is_home[tokens[i]]);
		is_home[tokens[i]] = 1;
	}
	nr_home += (unsigned)n;
	for (size_t i = 0; i < n && nr_again > 0; i++)
		weir_cache_put(cache, 1 - list, TOKENS + --nr_again);
}

static void create(unsigned flags, unsigned again)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend = (struct weir_cache_backend){ get, put, NULL };
	opts.nr_lists = 2;
	opts.quiet_cpus = "";
	opts.flags = flags;
	opts.wait_ns = 1; /* which is over when the first drain ends */
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	nr_home = 0;
	nr_again = again;
	memset(is_home, 0, sizeof(is_home));
	for (unsigned i = 0; i < TOKENS; i++)
		weir_cache_put(cache, 0, i);
	CHECK_EQ(nr_home, 0);
}

static void destroy(unsigned again)
{
	int err;

	/* Once after its time, perhaps: nothing is unmapped then. */
	for (unsigned i = 0; (err = weir_cache_destroy(cache)) == -EBUSY; i++)
		CHECK(i < 1000);
	CHECK_EQ(err, 0);
	CHECK_EQ(nr_home, TOKENS + again);
}

int main(void)
{
	static const unsigned agains[] = { 0, 1, TOKENS };

	pin(allowed_cpu(0));
	for (unsigned i = 0; i < 6; i++) {
		unsigned again = agains[i / 2];

		create(i % 2 ? WEIR_POOL_NO_RSEQ : 0, again);
		destroy(again);
		create(i % 2 ? WEIR_POOL_NO_RSEQ : 0, again);
		CHECK_EQ(weir_cache_set_mode(cache, NULL, WEIR_MODE_OFF), 0);
		CHECK_EQ(nr_home, TOKENS + again);
		destroy(again);
		create(i % 2 ? WEIR_POOL_NO_RSEQ : 0, again);
		while (nr_home < TOKENS + again)
			CHECK_EQ(weir_cache_drain(cache, NULL, NULL), 0);
		destroy(again);
	}
	return 0;
}
