/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a token cache is wrong about its options, its back end is
 * called in an undocumented way, or tokens are changed on their way.
 */
#include <weir/cache.h>

#include "helpers.h"

#define TOKENS 1000

static struct weir_cache *cache;

/* A back end: a stack for each list, called by one thread at a time here. */
static uint64_t stack[2][TOKENS];
static size_t height[2];
static unsigned nr_gets, nr_puts;

static size_t get(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	size_t got = 0;

	CHECK(context == stack && list < 2);
	nr_gets++;
	while (got < n && height[list] > 0)
		tokens[got++] = stack[list][--height[list]];
	return got;
}

static void put(void *context, unsigned list, const uint64_t *tokens, size_t n)
{
	CHECK(context == stack && list < 2 && n > 0);
	nr_puts++;
	for (size_t i = 0; i < n; i++) {
		CHECK(height[list] < TOKENS);
		stack[list][height[list]++] = tokens[i];
	}
}

static struct weir_cache_opts good(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend = (struct weir_cache_backend){ get, put, stack };
	opts.nr_lists = 2;
	opts.quiet_cpus = "";
	return opts;
}

static void must_refuse(const struct weir_cache_opts *opts, const char *field)
{
	CHECK_MSG(weir_cache_create(&cache, opts) == -EINVAL, "%s", field);
	CHECK_MSG(strncmp(weir_last_error(), field, strlen(field)) == 0,
		  "%s: \"%s\"", field, weir_last_error());
}

static void options(void)
{
	struct weir_cache_opts opts = good();

	must_refuse(NULL, "opts");
	opts.size--;
	must_refuse(&opts, "size");
	opts = good();
	opts.backend.get = NULL;
	must_refuse(&opts, "backend");
	opts = good();
	opts.nr_lists = 8;
	must_refuse(&opts, "nr_lists");
	opts = good();
	opts.limit[1] = 512;
	must_refuse(&opts, "limit");
	opts = good();
	opts.batch = 65;
	must_refuse(&opts, "batch");
	opts = good();
	opts.flags = WEIR_POOL_CHECKED;
	must_refuse(&opts, "flags");
	opts = good();
	opts.quiet_cpus = "x";
	must_refuse(&opts, "quiet_cpus");
	opts = good();
	opts.polling_cpus = "0-";
	must_refuse(&opts, "polling_cpus");
}

/* All values that the interface allows. */
static uint64_t value(unsigned list, uint64_t i)
{
	return i == 0	? WEIR_CACHE_NONE - 2
	       : i == 1 ? 0
			: (i << 40) ^ (UINT64_C(0x8000000000000001) * list);
}

static void fill_up(void)
{
	for (unsigned list = 0; list < 2; list++)
		for (height[list] = 0; height[list] < TOKENS; height[list]++)
			stack[list][height[list]] = value(list, height[list]);
}

/* Every token of a list, once. */
static void check_all(unsigned list, const uint64_t *tokens)
{
	for (uint64_t i = 0; i < TOKENS; i++) {
		unsigned found = 0;

		for (unsigned k = 0; k < TOKENS; k++)
			found += tokens[k] == value(list, i);
		CHECK_EQ(found, 1);
	}
}

static void out_and_back(unsigned flags)
{
	static uint64_t tokens[TOKENS + 1];
	struct weir_cache_opts opts = good();
	struct weir_burst burst;
	unsigned before;

	opts.flags = flags;
	opts.limit[1] = 7;
	fill_up();
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	for (unsigned list = 0; list < 2; list++) {
		for (unsigned i = 0; i < TOKENS; i++) {
			tokens[i] = weir_cache_get(cache, list, 0);
			CHECK(tokens[i] != WEIR_CACHE_NONE);
		}
		check_all(list, tokens);
		CHECK_EQ(weir_cache_get(cache, list, WEIR_NOWAIT),
			 WEIR_CACHE_NONE);
		CHECK_EQ(errno, EAGAIN);
		CHECK_EQ(weir_cache_get(cache, list, 0), WEIR_CACHE_NONE);
		CHECK_EQ(errno, ENOMEM);
		for (unsigned i = 0; i < TOKENS; i++)
			weir_cache_put(cache, list, tokens[i]);
		CHECK(height[list] < TOKENS); /* the list keeps some */

		CHECK_EQ(weir_cache_get_bulk(cache, list, tokens, TOKENS + 1,
					     0),
			 -ENOMEM);
		CHECK_EQ(weir_cache_get_bulk(cache, list, tokens, TOKENS, 0),
			 0);
		check_all(list, tokens);
		weir_cache_put_bulk(cache, list, tokens, TOKENS - 5);
		CHECK_EQ(weir_cache_get_upto(cache, list, tokens, TOKENS, 0),
			 TOKENS - 5);
		weir_cache_burst_begin(cache, &burst);
		weir_cache_put_bulk(cache, list, tokens, TOKENS);
		weir_cache_burst_end(cache, &burst);
		weir_cache_tick(cache);
		CHECK_EQ(weir_cache_drain(cache, NULL, NULL), 0);
		CHECK_EQ(height[list], TOKENS);
	}
	/* The list serves most: the back end is asked for batches. */
	before = nr_gets + nr_puts;
	for (unsigned i = 0; i < 1000; i++)
		weir_cache_put(cache, 0, weir_cache_get(cache, 0, 0));
	CHECK_MSG(nr_gets + nr_puts - before <= 10, "%u calls of the back end",
		  nr_gets + nr_puts - before);
	CHECK_EQ(weir_cache_get(cache, 2, 0), WEIR_CACHE_NONE);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(weir_cache_get(cache, 0, 0x80), WEIR_CACHE_NONE);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(weir_cache_get_bulk(cache, 2, tokens, 0, 0), -EINVAL);
	CHECK_EQ(weir_cache_get_bulk(cache, 0, tokens, 0, 0x80), -EINVAL);
	CHECK_EQ(weir_cache_get_bulk(cache, 0, tokens, 0, 0), 0);
	/* The end gives all back. */
	CHECK_EQ(weir_cache_destroy(cache), 0);
	CHECK_EQ(height[0] + height[1], 2 * TOKENS);
	check_all(0, stack[0]);
	check_all(1, stack[1]);
}

/* --- a polling CPU whose loop has ended -------------------------------- */

static void keep_some(void *unused)
{
	(void)unused;
	weir_cache_put(cache, 0, weir_cache_get(cache, 0, 0));
}

static void left_polling(void)
{
	struct weir_cache_opts opts = good();

	fill_up();
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	if (weir_cache_set_mode(cache, NULL, WEIR_MODE_POLLING) == 0)
		for (unsigned i = 0; allowed_cpu(i) >= 0; i++)
			run_on(allowed_cpu(i), keep_some, NULL);
	CHECK_EQ(weir_cache_destroy(cache), 0);
	CHECK_EQ(height[0], TOKENS);
}

/* --- a back end that breaks the rule ----------------------------------- */

static int inner;

static void draining_put(void *context, unsigned list, const uint64_t *tokens,
			 size_t n)
{
	put(context, list, tokens, n);
	inner = weir_cache_drain(cache, NULL, NULL);
}

static void drain_in_drain(void)
{
	struct weir_cache_opts opts = good();

	fill_up();
	opts.backend.put = draining_put;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	keep_some(NULL);
	inner = 0;
	CHECK_EQ(weir_cache_drain(cache, NULL, NULL), 0);
	CHECK_EQ(inner, -EDEADLK);
	CHECK_EQ(weir_cache_destroy(cache), 0);
}

int main(void)
{
	options();
	out_and_back(0);
	out_and_back(WEIR_POOL_NO_RSEQ);
	left_polling();
	drain_in_drain();
	return 0;
}
