/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a program that runs short of pages gets a wrong reason, or
 * none, and its user looks for the wrong mistake.
 */
#include <weir/cache.h>
#include <weir/fast.h>
#include <weir/stat.h>

#include <sys/wait.h>

#include "helpers.h"

#define PAGES 2048

static struct weir_pool *pool;
static void *page[PAGES];

static void create(struct weir_pool **out, const char *name)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.name = name;
	opts.node = 0;
	CHECK_MSG(weir_pool_create(out, &opts) == 0, "%s", weir_last_error());
}

static void says(const char *words)
{
	const char *said = weir_last_error();

	CHECK_MSG(strstr(said, words) != NULL, "no \"%s\" in \"%s\"", words,
		  said);
	CHECK(said == weir_last_error());
	printf("%s\n", said);
}

static void fails(unsigned order, unsigned flags, int error, const char *words)
{
	errno = 0;
	CHECK(weir_alloc(pool, order, flags) == NULL);
	CHECK_EQ(errno, error);
	says("pool \"short\": ");
	says(words);
}

static void every_page_out(void)
{
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, PAGES, 0), 0);
	fails(0, WEIR_NOWAIT, EAGAIN, "WEIR_NOWAIT: 1 of order 0 not in");
	says("of 2048 pages 0 are free, 0 in lists, 0 pending, 2048 allocated");
	fails(0, 0, ENOMEM, "no page was free;");
	says("of 2048 pages 0 are free, 0 in lists, 0 pending, 2048 allocated");
	CHECK_EQ(weir_fast_alloc_bulk(pool, 0, page, 3, 0), -ENOMEM);
	says("fewer than 3 runs of order 0 were free");
	CHECK_EQ(weir_alloc_upto(pool, 0, page, 3, 0), 0);
	says("fewer than 3 runs of order 0 were free");
	/* What works has nothing to say. */
	weir_free(pool, page[0], 0);
	weir_drain(pool, NULL, NULL);
	CHECK_EQ(strcmp(weir_last_error(), ""), 0);
	CHECK_EQ(weir_alloc_upto(pool, 0, page, 3, 0), 1);
	CHECK_EQ(strcmp(weir_last_error(), ""), 0);
	weir_free_bulk(pool, 0, page, PAGES);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
}

/* Every other page: half of all is free, and no run of order 1. */
static void fragmented(void)
{
	char *base;

	CHECK_EQ(weir_alloc_bulk(pool, 0, page, PAGES, 0), 0);
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
	for (unsigned i = 0; i < PAGES; i += 2)
		weir_free(pool, base + (size_t)i * 4096, 0);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	fails(1, 0, ENOMEM, "no run of order 1 was free");
	says("1024 are free (largest run: order 0)");
	fails(5, WEIR_NOWAIT, EAGAIN, "WEIR_NOWAIT: 1 of order 5 not in");
	says("1024 are free (largest run: order 0)");
	for (unsigned i = 1; i < PAGES; i += 2)
		weir_free(pool, base + (size_t)i * 4096, 0);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
}

static void never_so_many(void)
{
	void *many[1];

	fails(12, 0, ENOMEM, "a run of order 12 has 4096 pages, the pool 2048");
	says("2048 are free");
	CHECK_EQ(weir_alloc_bulk(pool, 0, many, 4096, 0), -ENOMEM);
	says("4096 runs of order 0 are more than the pool's 2048 pages");
	CHECK_EQ(weir_alloc_bulk(pool, 0, many, SIZE_MAX, WEIR_NOWAIT),
		 -ENOMEM);
	says("18446744073709551615 runs of order 0 are more than");
}

/* --- pages that have no evidence ---------------------------------------- */

static event has_list, may_end;

static void poll_once(void *unused)
{
	(void)unused;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	tell(&has_list);
	await(&may_end, 1);
}

static void pending(void)
{
	struct runner runner;
	size_t n;

	if (allowed_cpu(1) < 0)
		return;
	pin(allowed_cpu(0));
	if (weir_set_mode(pool, NULL, WEIR_MODE_POLLING) == -EOPNOTSUPP) {
		says("mode: without sequences");
		return; /* evidence of locked mode comes at once */
	}
	start_on(&runner, allowed_cpu(1), poll_once, NULL);
	await(&has_list, 1);
	CHECK_EQ(weir_drain(pool, NULL, NULL), -EAGAIN);
	says("pages or tokens of 1 CPUs are pending");
	n = weir_alloc_upto(pool, 0, page, PAGES, 0);
	CHECK(n < PAGES && n > 0);
	fails(0, 0, EAGAIN, "pages were pending on CPUs without evidence");
	says(" 0 are free, 0 in lists, ");
	tell(&may_end);
	finish(&runner);
	weir_free_bulk(pool, 0, page, n);
	CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_OFF), -EAGAIN);
	says("are pending");
}

/* --- pools that are gone ------------------------------------------------ */

static event failed, destroyed;

static void ask_later(void *unused)
{
	(void)unused;
	CHECK(weir_alloc(pool, 12, 0) == NULL);
	tell(&failed);
	await(&destroyed, 1);
	CHECK_EQ(strcmp(weir_last_error(), "no run of order 12 was free"), 0);
}

static void gone(void)
{
	struct runner runner;
	struct weir_pool *other;

	create(&pool, "short");
	start_on(&runner, allowed_cpu(0), ask_later, NULL);
	await(&failed, 1);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	create(&other, "other"); /* in its place, perhaps */
	tell(&destroyed);
	finish(&runner);
	CHECK_EQ(weir_pool_destroy(other, 0), 0);
}

/* The parent's pool is not in the child's memory. */
static void in_a_child(void)
{
	int status;
	pid_t child;

	create(&pool, "short");
	CHECK(weir_alloc(pool, 12, 0) == NULL);
	fflush(NULL);
	child = fork();
	if (child == 0)
		_exit(strcmp(weir_last_error(), "no run of order 12 was free"));
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	says("pool \"short\": a run of order 12");
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* More pools than are known, and again. */
static void many_pools(void)
{
	static struct weir_pool *many[300];
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = 4096;
	opts.flags = WEIR_POOL_HIDDEN;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 300; i++) {
			CHECK_EQ(weir_pool_create(&many[i], &opts), 0);
			CHECK(weir_alloc(many[i], 1, 0) == NULL);
			CHECK(strstr(weir_last_error(), "order 1") != NULL);
		}
		for (unsigned i = 0; i < 300; i++)
			CHECK_EQ(weir_pool_destroy(many[i], 0), 0);
	}
}

/* --- token caches ------------------------------------------------------- */

static size_t get_none(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
	return 0;
}

static void put_away(void *context, unsigned list, const uint64_t *tokens,
		     size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
}

static void tokens(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	struct weir_cache *cache;
	uint64_t token[2];

	opts.backend.get = get_none;
	opts.backend.put = put_away;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	CHECK(weir_cache_get(cache, 0, WEIR_NOWAIT) == WEIR_CACHE_NONE);
	says("WEIR_NOWAIT: 1 tokens not in list 0 of this CPU");
	CHECK_EQ(weir_cache_get_bulk(cache, 0, token, 2, 0), -ENOMEM);
	says("list 0: fewer than 2 tokens in the lists of all CPUs");
	CHECK_EQ(weir_cache_destroy(cache), 0);
	CHECK_EQ(strcmp(weir_last_error(), ""), 0);
}

int main(void)
{
	create(&pool, "short");
	every_page_out();
	fragmented();
	never_so_many();
	pending();
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), 0);
	gone();
	in_a_child();
	many_pools();
	tokens();
	return 0;
}
