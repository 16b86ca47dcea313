/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a token cache takes what would corrupt it: a list it does not
 * have, a token that means "none", or more tokens than its own store has room
 * for.
 */
#include <weir/fast.h>

#include "death.h"

static struct weir_cache *cache;

static size_t get(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
	return 0;
}

static void put(void *context, unsigned list, const uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
}

static void create(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend = (struct weir_cache_backend){ get, put, NULL };
	opts.nr_lists = 2;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
}

static void no_such_list(void)
{
	create();
	weir_cache_put(cache, 2, 1);
}

static void no_list_at_all(void)
{
	create();
	weir_cache_put(cache, 4000000000, 1);
}

static void none(void)
{
	create();
	weir_cache_put(cache, 0, WEIR_CACHE_NONE);
}

static void reserved(void)
{
	create();
	weir_cache_put(cache, 1, WEIR_CACHE_NONE - 1);
}

static void none_in_bulk(void)
{
	const uint64_t tokens[] = { 1, 2, WEIR_CACHE_NONE, 3 };

	create();
	weir_cache_put_bulk(cache, 1, tokens, 4);
}

/* --- inlined; the list has room --------------------------------------- */

static void inlined_no_such_list(void)
{
	create();
	weir_fast_cache_put(cache, 2, 1);
}

static void inlined_no_such_list_in_bulk(void)
{
	const uint64_t tokens[] = { 1, 2 };

	create();
	weir_fast_cache_put_bulk(cache, 6, tokens, 2);
}

static void inlined_reserved(void)
{
	create();
	weir_cache_put(cache, 1, 1);
	weir_fast_cache_put(cache, 1, WEIR_CACHE_NONE - 1);
}

static void inlined_none_in_bulk(void)
{
	const uint64_t tokens[] = { 1, WEIR_CACHE_NONE, 2, 3 };

	create();
	weir_cache_put(cache, 1, 1);
	weir_fast_cache_put_bulk(cache, 1, tokens, 4);
}

static void inlined_reserved_last_in_bulk(void)
{
	const uint64_t tokens[] = { 1, 2, WEIR_CACHE_NONE - 1 };

	create();
	weir_cache_put(cache, 1, 1);
	weir_fast_cache_put_bulk(cache, 1, tokens, 3);
}

/* --- a store of its own, too small ------------------------------------ */

#define CAPACITY 100

static void create_store(enum weir_mode mode)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.capacity = CAPACITY;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	CHECK_EQ(weir_cache_set_mode(cache, NULL, mode), 0);
}

static void one_too_many(void)
{
	create_store(WEIR_MODE_OFF);
	for (uint64_t i = 0; i <= CAPACITY; i++)
		weir_cache_put(cache, 0, i);
}

static void bulk_too_large(void)
{
	static uint64_t tokens[512 + CAPACITY];

	create_store(WEIR_MODE_ORDINARY);
	weir_cache_put_bulk(cache, 0, tokens, 512 + CAPACITY);
}

/* A list takes it, and a drain finds no room for it. */
static void drained_too_many(void)
{
	create_store(WEIR_MODE_ORDINARY);
	for (uint64_t i = 0; i <= CAPACITY; i++)
		weir_cache_put(cache, 0, i);
	weir_cache_drain(cache, NULL, NULL);
}

int main(void)
{
	const char *const no_room[] = { "cache: ", "list 0", "no room",
					"capacity is 100", NULL };

	must_die("no such list", no_such_list,
		 (const char *[]){ "cache: ", "list 2", "it has 2", NULL });
	must_die("no list at all", no_list_at_all,
		 (const char *[]){ "cache: ", "list 4000000000", NULL });
	must_die("the token for none", none,
		 (const char *[]){ "cache: ", "0xffffffffffffffff", NULL });
	must_die("the other reserved token", reserved,
		 (const char *[]){ "cache: ", "0xfffffffffffffffe", NULL });
	must_die("none in a bulk", none_in_bulk,
		 (const char *[]){ "cache: ", "0xffffffffffffffff", NULL });
	must_die("no such list, inlined", inlined_no_such_list,
		 (const char *[]){ "cache: ", "list 2", "it has 2", NULL });
	must_die("no such list, inlined bulk", inlined_no_such_list_in_bulk,
		 (const char *[]){ "cache: ", "list 6", "it has 2", NULL });
	must_die("a reserved token, inlined", inlined_reserved,
		 (const char *[]){ "cache: ", "0xfffffffffffffffe", NULL });
	must_die("none in an inlined bulk", inlined_none_in_bulk,
		 (const char *[]){ "cache: ", "0xffffffffffffffff", NULL });
	must_die("a reserved one, last in a bulk",
		 inlined_reserved_last_in_bulk,
		 (const char *[]){ "cache: ", "0xfffffffffffffffe", NULL });
	must_die("one token too many", one_too_many, no_room);
	must_die("a bulk that is too large", bulk_too_large, no_room);
	must_die("a drain of too many", drained_too_many, no_room);
	return 0;
}
