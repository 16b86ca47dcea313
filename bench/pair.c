/* SPDX-License-Identifier: MIT */
/*
 * One page out and back, and 32 at once, on one CPU, where nothing else asks
 * for pages: what an operation costs in each mode beside the floors.
 *
 * The rows take turns: a round times every row once, at one of four placements
 * of its loop, for about a fifth of a millisecond: much less than a time slice,
 * so that most samples are whole even where others want the CPU. What slows
 * the machine for longer slows a row and its floor alike; what comes and goes,
 * the median drops.
 */
#include <stdio.h>
#include <stdlib.h>

#include <weir/cache.h>
#include <weir/fast.h>

#include "floor.h"
#include "report.h"

#define CAPACITY (UINT64_C(64) << 20)

/* ---- weir, inlined ---------------------------------------------------- */

BENCH_INLINE uint64_t fast_pop(void *context)
{
	return (uint64_t)(uintptr_t)weir_fast_alloc(context, 0, 0);
}

BENCH_INLINE void fast_push(void *context, uint64_t page)
{
	weir_fast_free(context, (void *)(uintptr_t)page, 0);
}

BENCH_PAIRS(weir_inlined, fast_pop, fast_push)

/* ---- weir, called ------------------------------------------------------ */

/*
 * This program contains the library, so the calls go through pointers that the
 * compiler cannot see through: like calls into a shared library, each loads
 * where it goes.
 */
static void *(*volatile call_alloc)(struct weir_pool *, unsigned,
				    unsigned) = weir_alloc;
static void (*volatile call_free)(struct weir_pool *, void *,
				  unsigned) = weir_free;

BENCH_INLINE uint64_t call_pop(void *context)
{
	return (uint64_t)(uintptr_t)call_alloc(context, 0, 0);
}

BENCH_INLINE void call_push(void *context, uint64_t page)
{
	call_free(context, (void *)(uintptr_t)page, 0);
}

BENCH_PAIRS(weir_called, call_pop, call_push)

/* ---- weir, in bulk ----------------------------------------------------- */

static unsigned short_bulks; /* bulks that did not move all; none should */

/* The sequences alone, as the token cache uses them. */
BENCH_INLINE void sequence_get(void *context, uint64_t *tokens)
{
#ifdef WEIR_HAVE_SEQUENCES
	struct weir_pool *pool = context;

	while (weir_seq_pop_bulk(&pool->lists, 0, tokens, BENCH_BULK) !=
	       BENCH_BULK)
		short_bulks++; /* aborted: nothing moved */
#else
	(void)context, (void)tokens;
#endif
}

BENCH_INLINE void sequence_put(void *context, uint64_t *tokens)
{
#ifdef WEIR_HAVE_SEQUENCES
	struct weir_pool *pool = context;

	while (weir_seq_push_bulk(&pool->lists, 0, tokens, BENCH_BULK) !=
	       BENCH_BULK)
		short_bulks++;
#else
	(void)context, (void)tokens;
#endif
}

BENCH_INLINE void cache_get(void *context, uint64_t *tokens)
{
	if (weir_cache_get_bulk(context, 0, tokens, BENCH_BULK, 0) != 0)
		short_bulks++;
}

BENCH_INLINE void cache_put(void *context, uint64_t *tokens)
{
	weir_cache_put_bulk(context, 0, tokens, BENCH_BULK);
}

BENCH_INLINE void fast_get(void *context, void **pages)
{
	if (weir_fast_alloc_bulk(context, 0, pages, BENCH_BULK, 0) != 0)
		short_bulks++;
}

BENCH_INLINE void fast_put(void *context, void **pages)
{
	weir_fast_free_bulk(context, 0, pages, BENCH_BULK);
}

BENCH_INLINE void pages_get(void *context, void **pages)
{
	if (weir_alloc_bulk(context, 0, pages, BENCH_BULK, 0) != 0)
		short_bulks++;
}

BENCH_INLINE void pages_put(void *context, void **pages)
{
	weir_free_bulk(context, 0, pages, BENCH_BULK);
}

BENCH_BULKS(weir_sequence_bulk, uint64_t, sequence_get, sequence_put)
BENCH_BULKS(weir_cache_bulk, uint64_t, cache_get, cache_put)
BENCH_BULKS(weir_fast_bulk, void *, fast_get, fast_put)
BENCH_BULKS(weir_pages_bulk, void *, pages_get, pages_put)

/* A back end for the cache: 1, 2, 3, ... and nothing kept of what returns. */
static size_t make_tokens(void *context, unsigned list, uint64_t *tokens,
			  size_t n)
{
	(void)context, (void)list;
	for (size_t i = 0; i < n; i++)
		tokens[i] = i + 1;
	return n;
}

static void drop_tokens(void *context, unsigned list, const uint64_t *tokens,
			size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
}

/* ---- the rows ---------------------------------------------------------- */

enum {
	BARE_SINGLE,
	BARE_BATCH,
	SPIN_SINGLE,
	THREAD_SINGLE,
	INLINED_SINGLE,
	INLINED_BATCH,
	CALLED_SINGLE,
	POLLING_SINGLE,
	POLLING_BATCH,
	QUIET_SINGLE,
	QUIET_BATCH,
	BURST_SINGLE,
	BURST_BATCH,
	COPY,
	BULK_SEQUENCE,
	BULK_CACHE,
	BULK_INLINED,
	BULK_CALLED,
	NR_ROWS,
};

enum { NOTHING, BARE, SPIN, ORDINARY, POLLING, QUIET, CACHE, NR_CONTEXTS };

static const struct row {
	const char *bench, *impl, *variant;
	bench_loop *const *places;
	unsigned context;
	unsigned operations; /* of a sample: a fifth of a millisecond */
	bool burst;	     /* the sample is one burst */
} rows[NR_ROWS] = {
	[BARE_SINGLE] = { "pair", "floor", "bare sequence",
			  floor_bare_single_places, BARE, 64000, false },
	[BARE_BATCH] = { "pair", "floor", "bare sequence, 16",
			 floor_bare_batch_places, BARE, 64000, false },
	[SPIN_SINGLE] = { "pair", "floor", "per-CPU spinlock",
			  floor_spin_single_places, SPIN, 32000, false },
	[THREAD_SINGLE] = { "pair", "floor", "thread's own list",
			    floor_thread_single_places, NOTHING, 64000, false },
	[COPY] = { "bulk", "floor", "32 tokens, copied", floor_copy_places,
		   NOTHING, 320000, false },
	[INLINED_SINGLE] = { "pair", "weir", "ordinary",
			     weir_inlined_single_places, ORDINARY, 64000,
			     false },
	[INLINED_BATCH] = { "pair", "weir", "ordinary, 16",
			    weir_inlined_batch_places, ORDINARY, 64000, false },
	[CALLED_SINGLE] = { "pair", "weir", "ordinary, library calls",
			    weir_called_single_places, ORDINARY, 32000, false },
	[POLLING_SINGLE] = { "pair", "weir", "polling",
			     weir_inlined_single_places, POLLING, 64000,
			     false },
	[POLLING_BATCH] = { "pair", "weir", "polling, 16",
			    weir_inlined_batch_places, POLLING, 64000, false },
	[QUIET_SINGLE] = { "pair", "weir", "quiet", weir_inlined_single_places,
			   QUIET, 32000, false },
	[QUIET_BATCH] = { "pair", "weir", "quiet, 16",
			  weir_inlined_batch_places, QUIET, 32000, false },
	[BURST_SINGLE] = { "pair", "weir", "quiet, in a burst",
			   weir_inlined_single_places, QUIET, 64000, true },
	[BURST_BATCH] = { "pair", "weir", "quiet, in a burst, 16",
			  weir_inlined_batch_places, QUIET, 64000, true },
	[BULK_SEQUENCE] = { "bulk", "weir", "32 tokens, sequences alone",
			    weir_sequence_bulk_places, ORDINARY, 320000,
			    false },
	[BULK_CACHE] = { "bulk", "weir", "32 tokens, weir_cache",
			 weir_cache_bulk_places, CACHE, 160000, false },
	[BULK_INLINED] = { "bulk", "weir", "32 pages", weir_fast_bulk_places,
			   ORDINARY, 160000, false },
	[BULK_CALLED] = { "bulk", "weir", "32 pages, library calls",
			  weir_pages_bulk_places, ORDINARY, 160000, false },
};

static const struct pair_bar {
	const char *name, *what;
	unsigned row, floor;
	double bar;
} bars[] = {
	{ "pair_batch", "pair, ordinary, 16 and 16", INLINED_BATCH, BARE_BATCH,
	  1.25 },
	{ "pair_single", "pair, ordinary", INLINED_SINGLE, BARE_SINGLE, 1.6 },
	{ "pair_called", "pair, ordinary, library calls", CALLED_SINGLE,
	  BARE_SINGLE, 3.4 },
	{ "pair_polling", "pair, polling, 16 and 16", POLLING_BATCH,
	  INLINED_BATCH, 1.1 },
	{ "pair_quiet", "pair, quiet", QUIET_SINGLE, SPIN_SINGLE, 1.15 },
	{ "pair_burst", "pair, quiet, in a burst, 16", BURST_BATCH,
	  INLINED_BATCH, 1.5 },
	{ "bulk_tokens", "a token of 32, by sequences", BULK_SEQUENCE,
	  BARE_BATCH, 0.35 },
	{ "bulk_pages", "a page of 32, with checks", BULK_INLINED, BARE_BATCH,
	  0.8 },
};

static struct weir_pool *make_pool(const char *quiet, const char *polling)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = CAPACITY;
	opts.quiet_cpus = quiet;
	opts.polling_cpus = polling;
	opts.name = "bench";
	if (weir_pool_create(&pool, &opts) != 0) {
		fprintf(stderr, "weir bench: no pool: %s\n", weir_last_error());
		return NULL;
	}
	return pool;
}

static struct weir_cache *make_cache(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	struct weir_cache *cache;

	opts.backend = (struct weir_cache_backend){ .get = make_tokens,
						    .put = drop_tokens };
	opts.quiet_cpus = "";
	if (weir_cache_create(&cache, &opts) != 0) {
		fprintf(stderr, "weir bench: no cache: %s\n",
			weir_last_error());
		return NULL;
	}
	return cache;
}

static bool make_contexts(void **contexts, const struct bench_plan *plan)
{
	struct floor_lists lists;

	if (!floor_init(&lists)) {
		fputs("weir bench: no restartable sequences here, so nothing "
		      "to compare with; 'weir doctor' tells why\n",
		      stderr);
		return false;
	}
	contexts[BARE] = lists.bare;
	contexts[SPIN] = lists.spin;
	contexts[ORDINARY] = make_pool("", "");
	contexts[POLLING] = make_pool("", plan->cpus);
	contexts[QUIET] = make_pool(plan->cpus, "");
	contexts[CACHE] = make_cache();
	return contexts[ORDINARY] && contexts[POLLING] && contexts[QUIET] &&
	       contexts[CACHE];
}

static void free_contexts(void **contexts)
{
	for (unsigned i = ORDINARY; i <= QUIET; i++)
		if (contexts[i])
			weir_pool_destroy(contexts[i], WEIR_DESTROY_FORCE);
	if (contexts[CACHE])
		weir_cache_destroy(contexts[CACHE]);
	free(contexts[BARE]);
	free(contexts[SPIN]);
}

/* Enough pages or tokens in each list that no row meets an empty one. */
static void fill_lists(void **contexts)
{
	void *pages[2 * BENCH_BULK];
	uint64_t tokens[2 * BENCH_BULK];

	for (unsigned i = ORDINARY; i <= QUIET; i++) {
		if (weir_alloc_bulk(contexts[i], 0, pages, 2 * BENCH_BULK, 0))
			continue;
		for (unsigned j = 0; j < 2 * BENCH_BULK; j++)
			weir_free(contexts[i], pages[j], 0);
	}
	if (weir_cache_get_bulk(contexts[CACHE], 0, tokens, 2 * BENCH_BULK,
				0) == 0)
		weir_cache_put_bulk(contexts[CACHE], 0, tokens, 2 * BENCH_BULK);
}

static void measure(const struct row *row, void **contexts,
		    struct bench_series *series, unsigned place)
{
	void *context = contexts[row->context];
	struct weir_burst burst;
	double ns;

	row->places[place](context, row->operations / 64); /* warm up */
	if (row->burst)
		weir_burst_begin(context, &burst);
	ns = row->places[place](context, row->operations);
	if (row->burst)
		weir_burst_end(context, &burst);
	bench_sample(series, ns, row->operations);
}

int bench_pairs(struct bench_report *report, const struct bench_plan *plan)
{
	void *contexts[NR_CONTEXTS] = { NULL };
	struct bench_series *series[NR_ROWS];
	int err = -1;

	if (!make_contexts(contexts, plan))
		goto out;
	for (unsigned i = 0; i < NR_ROWS; i++) {
		series[i] = bench_series(report, rows[i].bench, rows[i].impl,
					 rows[i].variant, plan->rounds);
		if (series[i] == NULL)
			goto out;
	}
	if (weir_get_mode(contexts[ORDINARY], plan->cpu) != WEIR_MODE_ORDINARY)
		fputs("weir bench: no membarrier here, so rows named ordinary "
		      "are quiet; 'weir doctor' tells why\n",
		      stderr);
	fill_lists(contexts);
	for (unsigned round = 0; round < plan->rounds; round++) {
		plan->progress("pairs", round, plan->rounds);
		for (unsigned i = 0; i < NR_ROWS; i++)
			measure(&rows[i], contexts, series[i],
				round % BENCH_PLACES);
	}
	if (!floor_is_whole() || short_bulks > 0x10000) {
		fputs("weir bench: a loop lost something; its figures mean "
		      "nothing\n",
		      stderr);
		goto out;
	}
	for (unsigned i = 0; i < NR_ROWS; i++)
		bench_close(series[i]);
	for (unsigned i = 0; i < sizeof(bars) / sizeof(bars[0]); i++)
		bench_bar_ratio(report, bars[i].name, bars[i].what,
				series[bars[i].row], series[bars[i].floor],
				bars[i].bar);
	err = 0;
out:
	free_contexts(contexts);
	return err;
}
