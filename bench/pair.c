/* SPDX-License-Identifier: MIT */
/*
 * One page out and back, a batch of them, and 32 at once, on one CPU, where
 * nothing else asks for pages: what an operation costs in each mode.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/fast.h>
#include <weir/stat.h>

#include "loops.h"
#include "workers.h"

#define CAPACITY (UINT64_C(64) << 20)
#define PAIRS 400000 /* a round: about a millisecond */
#define SMALL_BULK 4
#define OBJECT 2176 /* as a packet of 2 KiB with its head room */

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
BENCH_BATCHES_64(weir_inlined_64, fast_pop, fast_push)

/* Runs of 8 pages, and of 512: 2 MiB. */
BENCH_INLINE uint64_t eight_pop(void *context)
{
	return (uint64_t)(uintptr_t)weir_fast_alloc(context, 3, 0);
}

BENCH_INLINE void eight_push(void *context, uint64_t page)
{
	weir_fast_free(context, (void *)(uintptr_t)page, 3);
}

BENCH_INLINE uint64_t huge_pop(void *context)
{
	return (uint64_t)(uintptr_t)weir_fast_alloc(context, 9, 0);
}

BENCH_INLINE void huge_push(void *context, uint64_t page)
{
	weir_fast_free(context, (void *)(uintptr_t)page, 9);
}

BENCH_PAIRS(weir_eight, eight_pop, eight_push)
BENCH_PAIRS(weir_huge, huge_pop, huge_push)

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
BENCH_BATCHES_64(weir_called_64, call_pop, call_push)

/* ---- weir, in bulk ----------------------------------------------------- */

static unsigned short_bulks; /* bulks that did not move all; none should */

/* The sequences alone, which are not part of the interface. */
BENCH_INLINE void sequence_get(void *context, uint64_t *tokens)
{
#ifdef WEIR_HAVE_SEQUENCES
	struct weir_pool *pool = context;

	while (weir_i_pop_bulk(&pool->lists, 0, tokens, BENCH_BULK) !=
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

	while (weir_i_push_bulk(&pool->lists, 0, tokens, BENCH_BULK, 0) !=
	       BENCH_BULK)
		short_bulks++;
#else
	(void)context, (void)tokens;
#endif
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

BENCH_INLINE void small_fast_get(void *context, void **pages)
{
	if (weir_fast_alloc_bulk(context, 0, pages, SMALL_BULK, 0) != 0)
		short_bulks++;
}

BENCH_INLINE void small_fast_put(void *context, void **pages)
{
	weir_fast_free_bulk(context, 0, pages, SMALL_BULK);
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

BENCH_INLINE void small_pages_get(void *context, void **pages)
{
	if (weir_alloc_bulk(context, 0, pages, SMALL_BULK, 0) != 0)
		short_bulks++;
}

BENCH_INLINE void small_pages_put(void *context, void **pages)
{
	weir_free_bulk(context, 0, pages, SMALL_BULK);
}

BENCH_BULKS(weir_sequence_bulk, uint64_t, sequence_get, sequence_put)
BENCH_BULKS(weir_fast_bulk, void *, fast_get, fast_put)
BENCH_BULKS(weir_pages_bulk, void *, pages_get, pages_put)
BENCH_BULKS_OF(weir_fast_small, SMALL_BULK, void *, small_fast_get,
	       small_fast_put)
BENCH_BULKS_OF(weir_pages_small, SMALL_BULK, void *, small_pages_get,
	       small_pages_put)

/* ---- the rows ---------------------------------------------------------- */

enum { ORDINARY, POLLING, QUIET, CHECKED, NODES, OBJECTS, NR_CONTEXTS, BURST };

static unsigned nr_zones(const struct weir_pool *pool)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	weir_stat_read(pool, &stat);
	return stat.nr_zones;
}

/* Of a machine with several nodes one pool has a zone each; all others have
 * the memory of this CPU's node alone. */
static int create_pool(struct weir_pool **pool, struct weir_pool_opts *opts,
		       uintptr_t what)
{
	unsigned node = 0;
	int err = weir_pool_create(pool, opts);

	if (err != 0 || what == NODES || nr_zones(*pool) < 2)
		return err;
	weir_pool_destroy(*pool, 0);
	if (getcpu(NULL, &node) != 0)
		return -1;
	opts->node = (int)node;
	return weir_pool_create(pool, opts);
}

static void *make_pool(const struct bench_where *where, uintptr_t what)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	void *pages[2 * BENCH_BULK];
	struct weir_pool *pool;

	opts.capacity = CAPACITY;
	opts.quiet_cpus = what == QUIET ? where->cpus : "";
	opts.polling_cpus = what == POLLING ? where->cpus : "";
	if (what == CHECKED)
		opts.flags |= WEIR_POOL_CHECKED;
	if (what == OBJECTS)
		opts.page_size = OBJECT;
	opts.name = "bench";
	if (create_pool(&pool, &opts, what) != 0)
		return NULL;
	/* So much in the lists that no row meets an empty one. */
	if (weir_alloc_bulk(pool, 0, pages, 2 * BENCH_BULK, 0) == 0)
		for (unsigned i = 0; i < 2 * BENCH_BULK; i++)
			weir_free(pool, pages[i], 0);
	return pool;
}

static void *context_of(const struct bench_where *where, uintptr_t what)
{
	static void *contexts[NR_CONTEXTS];

	if (what == BURST)
		what = QUIET;
	if (contexts[what] == NULL)
		contexts[what] = make_pool(where, what);
	return contexts[what];
}

static bool run(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	void *context = context_of(where, row->what);
	struct weir_burst burst;

	if (context == NULL)
		return bench_cannot("no pool: %s", weir_last_error());
	if (row->what == NODES && nr_zones(context) < 2)
		return bench_cannot("this machine has one NUMA node, and two "
				    "are needed");
	if (row->what == BURST)
		weir_burst_begin(context, &burst);
	bench_time_loop((bench_loop *const *)row->with, context, round, PAIRS,
			result);
	if (row->what == BURST)
		weir_burst_end(context, &burst);
	if (short_bulks > 0x10000)
		return bench_cannot("bulks did not move all that they should");
	return true;
}

#define ROW(variant, places, what, floor)                                      \
	{                                                                      \
		"pair", variant, run, what, places, 200, 60, floor             \
	}

const struct bench_row bench_pair_rows[] = {
	ROW("single", weir_inlined_single_places, ORDINARY, "single"),
	ROW("batch 16", weir_inlined_batch_places, ORDINARY, "batch 16"),
	ROW("batch 64", weir_inlined_64_places, ORDINARY, "batch 16"),
	ROW("single, library calls", weir_called_single_places, ORDINARY,
	    "single"),
	ROW("batch 16, library calls", weir_called_batch_places, ORDINARY,
	    "batch 16"),
	ROW("batch 64, library calls", weir_called_64_places, ORDINARY,
	    "batch 16"),
	ROW("single, polling", weir_inlined_single_places, POLLING, "single"),
	ROW("batch 16, polling", weir_inlined_batch_places, POLLING,
	    "batch 16"),
	ROW("single, quiet", weir_inlined_single_places, QUIET, "single"),
	ROW("batch 16, quiet", weir_inlined_batch_places, QUIET, "batch 16"),
	ROW("single, quiet, in a burst", weir_inlined_single_places, BURST,
	    "single"),
	ROW("batch 16, quiet, in a burst", weir_inlined_batch_places, BURST,
	    "batch 16"),
	ROW("single, checked", weir_called_single_places, CHECKED, "single"),
	ROW("batch 16, checked", weir_called_batch_places, CHECKED, "batch 16"),
	ROW("single, 2176 bytes", weir_inlined_single_places, OBJECTS,
	    "single"),
	ROW("batch 16, 2176 bytes", weir_inlined_batch_places, OBJECTS,
	    "batch 16"),
	ROW("bulk 32, 2176 bytes", weir_fast_bulk_places, OBJECTS, "batch 16"),
	ROW("single, order 3", weir_eight_single_places, ORDINARY, "single"),
	ROW("batch 16, order 3", weir_eight_batch_places, ORDINARY, "batch 16"),
	ROW("single, 2 MiB", weir_huge_single_places, ORDINARY, "single"),
	ROW("bulk 32, tokens, sequences", weir_sequence_bulk_places, ORDINARY,
	    "batch 16"),
	ROW("bulk 32", weir_fast_bulk_places, ORDINARY, "batch 16"),
	ROW("bulk 32, library calls", weir_pages_bulk_places, ORDINARY,
	    "batch 16"),
	ROW("bulk 4", weir_fast_small_places, ORDINARY, "batch 16"),
	ROW("bulk 4, library calls", weir_pages_small_places, ORDINARY,
	    "batch 16"),
	ROW("single, two nodes", weir_inlined_single_places, NODES, "single"),
	ROW("bulk 32, two nodes", weir_fast_bulk_places, NODES, "batch 16"),
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
