/* SPDX-License-Identifier: MIT */
/* weir in its modes, as ways to be drained. */
#include <stdlib.h>

#include <weir/fast.h>
#include <weir/stat.h>

#include "drain.h"
#include "loop.h"
#include "workers.h"

#define CAPACITY (UINT64_C(64) << 20)
#define NONE UINT64_MAX
#define POOLS_MAX 12

struct drained_pool {
	const struct bench_way *way;
	unsigned pages;
	struct weir_pool *pool;
	uint64_t aborted; /* written by the owner alone */
};

/* weir_fast_alloc() and weir_fast_free(), but that aborts are counted. */
BENCH_INLINE uint64_t take_page(struct drained_pool *p)
{
	uint64_t token = weir_i_pop(&p->pool->lists, 0);
	void *page;

	if (__builtin_expect(token < WEIR_AGAIN, 1))
		return (uint64_t)(uintptr_t)(p->pool->base + token);
	if (token == WEIR_AGAIN)
		__atomic_store_n(&p->aborted, p->aborted + 1, __ATOMIC_RELAXED);
	page = weir_alloc(p->pool, 0, 0);
	return page ? (uint64_t)(uintptr_t)page : NONE;
}

BENCH_INLINE void give_page(struct drained_pool *p, uint64_t page)
{
	char *at = (char *)(uintptr_t)page;
	const uint64_t token = (uint64_t)(at - p->pool->base);
	int pushed;

	if (__builtin_expect(page == NONE, 0))
		return; /* others had them all for a moment */
	pushed = weir_i_push(&p->pool->lists, 0, token, token);
	if (__builtin_expect(pushed > 0, 1))
		return;
	if (pushed < 0)
		__atomic_store_n(&p->aborted, p->aborted + 1, __ATOMIC_RELAXED);
	weir_free(p->pool, at, 0);
}

static void fill(void *context, unsigned n)
{
	uint64_t pages[BENCH_PAGES_MAX];

	for (unsigned i = 0; i < n; i++)
		pages[i] = take_page(context);
	for (unsigned i = 0; i < n; i++)
		give_page(context, pages[i]);
}

static void pairs(void *context, unsigned n)
{
	while (n-- > 0)
		give_page(context, take_page(context));
}

static bool drain(void *context, struct bench_drained *drained)
{
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;

	(void)weir_drain(((struct drained_pool *)context)->pool, NULL, &result);
	*drained = (struct bench_drained){
		.pages = result.pages,
		.pending = result.pending > 0,
		.by_progress = result.by_progress,
		.by_not_busy = result.by_not_busy,
		.by_membarrier = result.by_membarrier,
	};
	return result.by_progress + result.by_not_busy + result.by_membarrier ==
	       1;
}

static bool is_whole(void *context)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	weir_stat_read(((struct drained_pool *)context)->pool, &stat);
	return stat.free + stat.cached + stat.pending == stat.pages;
}

static void read_stat(void *context)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	weir_stat_read(((struct drained_pool *)context)->pool, &stat);
}

static uint64_t count_aborted(void *context)
{
	return __atomic_load_n(&((struct drained_pool *)context)->aborted,
			       __ATOMIC_RELAXED);
}

static struct weir_pool *
make_pool(enum weir_mode mode, const struct bench_where *where, unsigned pages)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = CAPACITY;
	opts.batch = pages < 50 ? pages : 50;
	if (pages == 1)
		opts.list_limit = 2; /* a batch is half of a list at most */
	opts.quiet_cpus = mode == WEIR_MODE_QUIET ? where->other_cpus : "";
	opts.polling_cpus = mode == WEIR_MODE_POLLING ? where->other_cpus : "";
	opts.name = "bench drain";
	if (weir_pool_create(&pool, &opts) != 0) {
		bench_cannot("no pool: %s", weir_last_error());
		return NULL;
	}
	if (pool->lists.nr_cpus != 0 &&
	    weir_get_mode(pool, (unsigned)where->other_cpu) == (int)mode)
		return pool;
	bench_cannot("this mode is not to be had here; 'weir doctor' tells "
		     "why");
	weir_pool_destroy(pool, 0);
	return NULL;
}

static void *open_pool(const struct bench_way *way,
		       const struct bench_where *where, unsigned pages)
{
	static struct drained_pool known[POOLS_MAX];
	struct drained_pool *p = known;

	while (p->pool && (p->way != way || p->pages != pages))
		if (++p == known + POOLS_MAX)
			abort(); /* raise it */
	p->way = way;
	p->pages = pages;
	if (p->pool == NULL)
		p->pool = make_pool((enum weir_mode)way->what, where, pages);
	return p->pool ? p : NULL;
}

#define WAY(mode)                                                              \
	{                                                                      \
		.open = open_pool, .fill = fill, .pairs = pairs,               \
		.drain = drain, .is_whole = is_whole, .read = read_stat,       \
		.aborted = count_aborted, .what = mode,                        \
	}

static const struct bench_way ordinary = WAY(WEIR_MODE_ORDINARY);
static const struct bench_way polling = WAY(WEIR_MODE_POLLING);
static const struct bench_way quiet = WAY(WEIR_MODE_QUIET);

/* A list may hold 511 here. */
#define DRAIN_ROWS(name, way)                                                  \
	BENCH_DRAIN_ROWS(name, way), BENCH_DRAIN_ROW("full list, " name, way,  \
						     500, BENCH_ALLOCATING)

const struct bench_row bench_drain_rows[] = {
	DRAIN_ROWS("ordinary", &ordinary),
	DRAIN_ROWS("polling", &polling),
	DRAIN_ROWS("quiet", &quiet),
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};

/* Rows with a goal stand beside what they are compared with. */
const struct bench_row bench_disturb_rows[] = {
	BENCH_DISTURB_ROWS("quiet", &quiet, 15),
	BENCH_DISTURB_ROWS("polling", &polling, 15),
	BENCH_DISTURB_ROW("reader, 1000 Hz", &ordinary, BENCH_READER, 1000, 15,
			  2),
	BENCH_DISTURB_ROWS("ordinary", &ordinary, 15),
	BENCH_DISTURB_ROW("reader, loop", &ordinary, BENCH_READER, BENCH_LOOP,
			  7, 1),
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
