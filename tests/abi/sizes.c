/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a program that was compiled with an older or a later header
 * cannot run with this library: its structs are refused, fields it does not
 * have are written, or fields it set are ignored without a word. Compiled once
 * for each, against sizes.h alone, and linked to the shared library.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "sizes.h"

#define PAGES 1024
#define GUARD 0x5a

/* A struct of this header with bytes behind it that may not be written. */
#define GUARDED(type)                                                          \
	struct {                                                               \
		struct type it;                                                \
		unsigned char guard[64];                                       \
	}
#define BEGIN(x, type)                                                         \
	do {                                                                   \
		memset(&(x), GUARD, sizeof(x));                                \
		type##_init(&(x).it, sizeof((x).it));                          \
	} while (0)
#define IS_INTACT(x)                                                           \
	do {                                                                   \
		CHECK_EQ((x).it.size, sizeof((x).it));                         \
		for (unsigned i_ = 0; i_ < sizeof((x).guard); i_++)            \
			CHECK_EQ((x).guard[i_], GUARD);                        \
	} while (0)

/* A result: what its call stores beyond this library's fields is 0. */
/* The one default that is not 0, where the header has the field. */
#ifdef HEADER_LATER
#define HAS_DEFAULT_WAIT(opts) CHECK_EQ((opts).wait_ns, UINT64_MAX - 1)
#else
#define HAS_DEFAULT_WAIT(opts) (void)0
#endif

#ifdef HEADER_LATER
#define RESULT(x, type, call)                                                  \
	do {                                                                   \
		BEGIN(x, type);                                                \
		memset((x).it.later, GUARD, sizeof((x).it.later));             \
		CHECK_MSG((call) == 0, "%s: %s", #call, weir_last_error());    \
		IS_INTACT(x);                                                  \
		for (unsigned i_ = 0; i_ < 3; i_++)                            \
			CHECK_EQ((x).it.later[i_], 0);                         \
	} while (0)
/* Options: what this library does not know must be 0. */
#define REFUSES_LATER(opts, call)                                              \
	do {                                                                   \
		(opts).later[2] = 1;                                           \
		CHECK_EQ(call, -EINVAL);                                       \
		CHECK(strstr(weir_last_error(), "is set, which") != NULL);     \
		(opts).later[2] = 0;                                           \
	} while (0)
#else
#define RESULT(x, type, call)                                                  \
	do {                                                                   \
		BEGIN(x, type);                                                \
		CHECK_MSG((call) == 0, "%s: %s", #call, weir_last_error());    \
		IS_INTACT(x);                                                  \
	} while (0)
#define REFUSES_LATER(opts, call)                                              \
	do {                                                                   \
	} while (0)
#endif

static struct weir_pool *make_pool(void)
{
	struct weir_pool_opts opts;
	struct weir_pool *pool;

	weir_pool_opts_init(&opts, sizeof(opts));
	HAS_DEFAULT_WAIT(opts);
	opts.capacity = PAGES * 4096;
	REFUSES_LATER(opts, weir_pool_create(&pool, &opts));
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	return pool;
}

static void drains(struct weir_pool *pool)
{
	GUARDED(weir_drain_result) result;
	struct weir_drain_opts opts;

	weir_drain_opts_init(&opts, sizeof(opts));
	HAS_DEFAULT_WAIT(opts);
	REFUSES_LATER(opts, weir_drain(pool, &opts, NULL));
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	RESULT(result, weir_drain_result, weir_drain(pool, &opts, &result.it));
	CHECK(result.it.pages > 0); /* a refill is more than a page */
	RESULT(result, weir_drain_result, weir_maintain(pool, 0, &result.it));
	CHECK_EQ(result.it.pages, 0);
}

static void ranges(struct weir_pool *pool)
{
	GUARDED(weir_range_result) result;

	RESULT(result, weir_range_result,
	       weir_range_isolate(pool, 512, 512, &result.it));
	CHECK_EQ(weir_range_return(pool, 512, 512), 0);
}

static void statistics(struct weir_pool *pool)
{
	GUARDED(weir_stat) stat;
	GUARDED(weir_stat_zone) zone;
	GUARDED(weir_stat_cpu) cpu;
	GUARDED(weir_stat_page) page;
	void *at;

	RESULT(stat, weir_stat, weir_stat_read(pool, &stat.it));
	CHECK_EQ(stat.it.pages, PAGES);
	CHECK_EQ(stat.it.free, PAGES);
	RESULT(zone, weir_stat_zone, weir_stat_read_zone(pool, 0, &zone.it));
	CHECK(zone.it.pages <= PAGES && zone.it.pages > 0);
	RESULT(cpu, weir_stat_cpu, weir_stat_read_cpu(pool, 0, 0, &cpu.it));
	CHECK_EQ(cpu.it.cached, 0);
	at = weir_alloc(pool, 0, 0);
	RESULT(page, weir_stat_page, weir_stat_read_page(at, &page.it));
	CHECK_EQ(page.it.cpu, -1);
	weir_free(pool, at, 0);
}

static int first_id(const struct weir_watch_id *id, void *ctx)
{
	memcpy(ctx, id, sizeof(*id));
	return 1;
}

static void watch(void)
{
	GUARDED(weir_watch_info) info;
	struct weir_watch_id id;
	struct weir_watch *watch;

	if (weir_watch_list(getpid(), first_id, &id) != 1)
		return; /* this system lets nobody watch */
	CHECK_EQ(weir_watch_open(&watch, &id), 0);
	RESULT(info, weir_watch_info, weir_watch_info(watch, &info.it));
	CHECK_EQ(info.it.pid, getpid());
	CHECK_EQ(strcmp(info.it.name, "pool"), 0);
	weir_watch_close(watch);
}

static size_t get(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)n;
	tokens[0] = 77;
	return 1;
}

static void put(void *context, unsigned list, const uint64_t *tokens, size_t n)
{
	(void)list;
	for (size_t i = 0; i < n; i++)
		*(uint64_t *)context += tokens[i] == 77;
}

static void caches(void)
{
	struct weir_cache_opts opts;
	struct weir_cache *cache;
	uint64_t came_back = 0;

	weir_cache_opts_init(&opts, sizeof(opts));
	HAS_DEFAULT_WAIT(opts);
	opts.get = get;
	opts.put = put;
	opts.context = &came_back;
	REFUSES_LATER(opts, weir_cache_create(&cache, &opts));
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	weir_cache_put(cache, 0, weir_cache_get(cache, 0, 0));
	CHECK_EQ(weir_cache_destroy(cache), 0);
	CHECK_EQ(came_back, 1);
}

int main(void)
{
	struct weir_pool *pool = make_pool();

	drains(pool);
	ranges(pool);
	statistics(pool);
	watch();
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	caches();
	return 0;
}
