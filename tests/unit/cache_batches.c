/* SPDX-License-Identifier: MIT */
/*
 * If this fails, refills and flushes that follow each other do not grow as they
 * should, or keep growing over a drain or a shortage; or a list is filled in
 * another order than its gets expect, or gives back what is newest.
 */
#include <weir/cache.h>

#include "helpers.h"

#define LIMIT 511
#define KEPT 255 /* of a list by the first flush */
#define MANY 4096

static struct weir_cache *cache;

/* A back end that makes tokens by counting, while `left` lasts. */
static uint64_t next, left;
static size_t asked; /* by the last get */
static uint64_t back[MANY];
static size_t nr_back;

static size_t get(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	(void)context, (void)list;
	asked = n;
	n = n < left ? n : left;
	left -= n;
	for (size_t i = 0; i < n; i++)
		tokens[i] = next++;
	return n;
}

static void put(void *context, unsigned list, const uint64_t *tokens, size_t n)
{
	(void)context, (void)list;
	for (size_t i = 0; i < n; i++)
		back[nr_back++ % MANY] = tokens[i];
}

static void create(unsigned flags)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend = (struct weir_cache_backend){ get, put, NULL };
	opts.nr_lists = 2;
	opts.limit[0] = LIMIT;
	opts.limit[1] = 200;
	opts.quiet_cpus = "";
	opts.flags = flags;
	left = UINT64_MAX;
	next = 0;
	nr_back = 0;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
}

static uint64_t one(void)
{
	uint64_t token = weir_cache_get(cache, 0, 0);

	CHECK(token != WEIR_CACHE_NONE);
	return token;
}

/* Empties the list; the next get refills it. */
static void use_up(uint64_t upto)
{
	for (uint64_t i = next - upto; i < next; i++)
		CHECK_EQ(one(), i);
}

static void refills(unsigned flags)
{
	uint64_t tokens[32];

	create(flags);
	CHECK_EQ(one(), 0);
	CHECK_EQ(asked, 64);
	use_up(63);
	CHECK_EQ(one(), 64);
	CHECK_EQ(asked, 128);
	use_up(127);
	CHECK_EQ(one(), 192);
	CHECK_EQ(asked, 256);
	use_up(255);
	/* No more than half the limit; in order for gets of 32 too. */
	for (unsigned i = 0; i < 16; i++) {
		CHECK_EQ(weir_cache_get_bulk(cache, 0, tokens, 32, 0), 0);
		for (unsigned j = 0; j < 32; j++)
			CHECK_EQ(tokens[j], 448 + 32 * i + j);
		CHECK_EQ(asked, 256);
		CHECK_EQ(next, i < 8 ? 704 : 960);
	}
	/* A short back end is asked for little, and the list gets nothing. */
	left = 100;
	CHECK_EQ(one(), 960);
	CHECK_EQ(nr_back, 99);
	left = UINT64_MAX;
	one();
	CHECK_EQ(asked, 64);
	/* After a drain it begins anew. */
	use_up(63);
	one();
	CHECK_EQ(asked, 128);
	CHECK_EQ(weir_cache_drain(cache, NULL, NULL), 0);
	one();
	CHECK_EQ(asked, 64);
	for (unsigned i = 0; i <= 64 + 100 + 100; i++)
		CHECK(weir_cache_get(cache, 1, 0) != WEIR_CACHE_NONE);
	CHECK_EQ(asked, 100);
	CHECK_EQ(weir_cache_destroy(cache), 0);
}

/* Frees tokens 0, 1, ... until n more have come back: the oldest ones. */
static void until_back(uint64_t *token, size_t n)
{
	const size_t before = nr_back;
	uint64_t sum = 0;

	while (nr_back == before)
		weir_cache_put(cache, 0, (*token)++);
	CHECK_EQ(nr_back - before, n);
	for (size_t i = before; i < nr_back; i++) {
		CHECK(back[i] >= before && back[i] < nr_back);
		sum += back[i] - before;
	}
	CHECK_EQ(sum, n * (n - 1) / 2);
}

static void flushes(unsigned flags)
{
	static uint64_t tokens[LIMIT];
	uint64_t token = 0;

	create(flags);
	until_back(&token, LIMIT - KEPT);
	CHECK_EQ(token, LIMIT + 1);
	until_back(&token, LIMIT - KEPT / 2);
	until_back(&token, LIMIT - KEPT / 4);
	until_back(&token, LIMIT - KEPT / 4);
	/* What remains of a bulk goes straight back if it is a batch. */
	while (token - nr_back < LIMIT)
		weir_cache_put(cache, 0, token++);
	nr_back = 0;
	for (unsigned i = 0; i < 64; i++)
		tokens[i] = token + i;
	weir_cache_put_bulk(cache, 0, tokens, 64);
	CHECK_EQ(nr_back, 64);
	CHECK_EQ(back[0], token);
	weir_cache_put_bulk(cache, 0, tokens, 63);
	CHECK_EQ(nr_back, 64 + LIMIT - KEPT / 4);
	/* A refill in between begins anew. */
	CHECK_EQ(weir_cache_get_bulk(cache, 0, tokens, KEPT / 4 + 63, 0), 0);
	one();
	CHECK_EQ(asked, 64);
	CHECK_EQ(weir_cache_get_bulk(cache, 0, tokens, 63, 0), 0);
	token = nr_back = 0;
	until_back(&token, LIMIT - KEPT);
	CHECK_EQ(weir_cache_destroy(cache), 0);
}

int main(void)
{
	pin(allowed_cpu(0));
	refills(0);
	refills(WEIR_POOL_NO_RSEQ);
	flushes(0);
	flushes(WEIR_POOL_NO_RSEQ);
	return 0;
}
