/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an inlined operation of a token cache loses or doubles a
 * token, keeps a part of a bulk, or does what the call refuses.
 */
#include <sys/wait.h>

#include <weir/fast.h>

#include "helpers.h"

#define TOKENS 600
#define BULK 33 /* odd: the last one is checked alone */
#define LIST 1	/* of three */

static struct weir_cache *cache;
static uint64_t stack[TOKENS];
static size_t height;

static size_t get(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	size_t got = 0;

	(void)context;
	while (list == LIST && got < n && height > 0)
		tokens[got++] = stack[--height];
	return got;
}

static void put(void *context, unsigned list, const uint64_t *tokens, size_t n)
{
	(void)context;
	CHECK(list == LIST && n <= TOKENS - height);
	memcpy(stack + height, tokens, n * sizeof(*tokens));
	height += n;
}

/* The first two are the highest that there may be, and one of its bits. */
static uint64_t value(uint64_t i)
{
	return i == 0	? WEIR_CACHE_NONE - 2
	       : i == 1 ? UINT64_C(1) << 63
			: (i << 40) ^ i;
}

static void create(unsigned flags)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend = (struct weir_cache_backend){ get, put, NULL };
	opts.nr_lists = 3;
	opts.limit[LIST] = 100;
	opts.quiet_cpus = "";
	opts.flags = flags;
	for (height = 0; height < TOKENS; height++)
		stack[height] = value(height);
	CHECK_MSG(weir_cache_create(&cache, &opts) == 0, "%s",
		  weir_last_error());
}

static uint64_t cached(void)
{
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;

	CHECK_EQ(weir_cache_stat_read(cache, &stat), 0);
	return stat.cached + stat.pending;
}

/* All are in the back end, each once. */
static void check_all_there(void)
{
	CHECK_EQ(weir_cache_destroy(cache), 0);
	CHECK_EQ(height, TOKENS);
	for (uint64_t i = 0; i < TOKENS; i++) {
		unsigned found = 0;

		for (unsigned k = 0; k < TOKENS; k++)
			found += stack[k] == value(i);
		CHECK_EQ(found, 1);
	}
}

/* In turn inlined and called, over and under the limit of the list. */
static void conserves(unsigned flags)
{
	static uint64_t tokens[TOKENS];
	unsigned n = 0;

	create(flags);
	for (unsigned round = 0; round < 50; round++) {
		while (n + BULK + 1 <= TOKENS) {
			if (round & 1)
				CHECK_EQ(weir_fast_cache_get_bulk(
						 cache, LIST, tokens + n, BULK,
						 WEIR_RECLAIM),
					 0);
			else
				CHECK_EQ(weir_cache_get_bulk(cache, LIST,
							     tokens + n, BULK,
							     0),
					 0);
			n += BULK;
			tokens[n] = weir_fast_cache_get(cache, LIST, 0);
			CHECK(tokens[n++] != WEIR_CACHE_NONE);
			CHECK_EQ(height + cached() + n, TOKENS);
		}
		weir_fast_cache_tick(cache);
		while (n > BULK) {
			n -= BULK;
			if (round & 2)
				weir_fast_cache_put_bulk(cache, LIST,
							 tokens + n, BULK);
			else
				weir_cache_put_bulk(cache, LIST, tokens + n,
						    BULK);
			weir_fast_cache_put(cache, LIST, tokens[--n]);
			CHECK_EQ(height + cached() + n, TOKENS);
		}
	}
	while (n > 0)
		weir_fast_cache_put(cache, LIST, tokens[--n]);
	check_all_there();
}

/* The list has a part of what is asked for, and nobody has more. */
static void all_or_nothing(unsigned flags)
{
	static uint64_t all[TOKENS];
	uint64_t tokens[BULK];

	create(flags);
	CHECK_EQ(weir_cache_get_bulk(cache, LIST, all, TOKENS, 0), 0);
	weir_fast_cache_put_bulk(cache, LIST, all, BULK - 1);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(weir_fast_cache_get_bulk(cache, LIST, tokens, BULK,
						  WEIR_NOWAIT),
			 -EAGAIN);
		CHECK_EQ(height + cached(), BULK - 1);
		CHECK_EQ(weir_fast_cache_get_bulk(cache, LIST, tokens, BULK, 0),
			 -ENOMEM);
		CHECK_EQ(height + cached(), BULK - 1);
	}
	/* Some in the list, others in the back end. */
	CHECK_EQ(weir_fast_cache_get_bulk(cache, LIST, all, BULK - 1, 0), 0);
	weir_fast_cache_put_bulk(cache, LIST, all, 5);
	put(NULL, LIST, all + 5, BULK - 5);
	CHECK_EQ(weir_fast_cache_get_bulk(cache, LIST, tokens, BULK, 0), 0);
	CHECK_EQ(height + cached(), 0);
	weir_fast_cache_put_bulk(cache, LIST, tokens, BULK);
	weir_cache_put_bulk(cache, LIST, all + BULK, TOKENS - BULK);
	check_all_there();
}

/* As the calls do. */
static void refuses(unsigned flags)
{
	uint64_t tokens[BULK];

	create(flags);
	errno = 0;
	CHECK_EQ(weir_fast_cache_get(cache, 3, 0), WEIR_CACHE_NONE);
	CHECK_EQ(errno, EINVAL);
	errno = 0;
	CHECK_EQ(weir_fast_cache_get(cache, LIST, WEIR_ZERO), WEIR_CACHE_NONE);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(weir_fast_cache_get_bulk(cache, 6, tokens, BULK, 0), -EINVAL);
	CHECK_EQ(weir_fast_cache_get_bulk(cache, 3, tokens, 0, 0), -EINVAL);
	CHECK_EQ(weir_fast_cache_get_bulk(cache, LIST, tokens, 1, WEIR_ZERO),
		 -EINVAL);
	CHECK_EQ(weir_fast_cache_get_bulk(cache, LIST, tokens, 0, 0), 0);
	weir_fast_cache_put_bulk(cache, LIST, tokens, 0);
	check_all_there();
}

static void in_child(unsigned flags)
{
	uint64_t tokens[BULK];
	int status;
	pid_t child;

	create(flags);
	CHECK_EQ(weir_fast_cache_get_bulk(cache, LIST, tokens, BULK, 0), 0);
	weir_fast_cache_put_bulk(cache, LIST, tokens, BULK);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		errno = 0;
		CHECK_EQ(weir_fast_cache_get(cache, LIST, 0), WEIR_CACHE_NONE);
		CHECK_EQ(errno, ESTALE);
		CHECK_EQ(weir_fast_cache_get_bulk(cache, LIST, tokens, BULK, 0),
			 -ESTALE);
		weir_fast_cache_put(cache, LIST, 1);
		weir_fast_cache_put_bulk(cache, LIST, tokens, BULK);
		weir_fast_cache_tick(cache);
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	check_all_there();
}

int main(void)
{
	static const unsigned flags[] = { 0, WEIR_POOL_NO_RSEQ };

	for (unsigned i = 0; i < 2; i++) {
		conserves(flags[i]);
		all_or_nothing(flags[i]);
		refuses(flags[i]);
		in_child(flags[i]);
	}
	return 0;
}
