/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a page was given to two owners, lost, or refused as it was
 * freed, while the pool grew, or while a range of it was taken out of use and
 * returned.
 *
 * Threads that allocate and free, given runs too, moved and interrupted; one
 * that grows the pool block by block; two that isolate ranges, write to them,
 * give them to the kernel, and return them; drains, modes that change, readers
 * of statistics. Each page has an owner's number in a table, and what is
 * isolated is the isolator's. Every 100 ms all stand still and the books must
 * balance.
 *
 *     range_torture [SECONDS [VARIANT [SEED]]]     SECONDS in all
 */
#include <sys/mman.h>

#include "outside.h"

#include <weir/fast.h>
#include <weir/stat.h>

#include "oracle.h"
#include "api/pool.h"

#define BLOCK 512
#define FIRST_BLOCKS 3
#define MOST_BLOCKS 48
#define PAGES_MAX (MOST_BLOCKS * BLOCK)
#define HOLD_MAX 200
#define WORKERS 4
#define WORDS_A_PAGE 512

static const struct variant {
	const char *name;
	enum weir_mode mode;
	unsigned flags;
	bool changes; /* modes */
} variants[] = {
	{ "ordinary", WEIR_MODE_ORDINARY, 0, false },
	{ "quiet", WEIR_MODE_QUIET, 0, false },
	{ "polling", WEIR_MODE_POLLING, 0, false },
	{ "all modes", WEIR_MODE_QUIET, 0, true },
	{ "checked", WEIR_MODE_ORDINARY, WEIR_POOL_CHECKED, true },
	{ "locked", WEIR_MODE_ORDINARY, WEIR_POOL_NO_RSEQ, false },
};

static const struct variant *variant;
static struct weir_pool *pool;
static struct oracle oracle;
static uint64_t *base;
static uint64_t growth_ns; /* between two growths */

/* Blocks that an isolator chose: it has its ranges to itself. */
static uint8_t chosen[MOST_BLOCKS];
/* Relaxed: counted by their threads, shown in the end. */
static uint64_t nr_growths, nr_isolated, nr_undone, nr_given;

struct worker {
	struct held {
		uint64_t *page;
		unsigned order;
	} held[HOLD_MAX];
	unsigned nr;
};

static uint64_t index_of(const uint64_t *page)
{
	return (uint64_t)(page - base) / WORDS_A_PAGE;
}

/* --- workers ------------------------------------------------------------- */

/* Its owner's number in the first word of each page, or of some. */
static void write_run(const struct held *held, uint64_t word)
{
	const uint64_t n = UINT64_C(1) << held->order;

	for (uint64_t i = 0; i<n; i += held->order> 4 ? 64 : 1)
		held->page[i * WORDS_A_PAGE] = word;
}

static void check_run(const struct held *held, uint64_t word)
{
	const uint64_t n = UINT64_C(1) << held->order;

	for (uint64_t i = 0; i<n; i += held->order> 4 ? 64 : 1)
		CHECK_MSG(held->page[i * WORDS_A_PAGE] == word,
			  "page %" PRIu64 " was written by another",
			  index_of(held->page) + i);
}

static void keep(struct torturer *self, void *page, unsigned order)
{
	struct worker *w = self->state;
	const struct held held = { page, order };

	oracle_take(&oracle, index_of(page), UINT64_C(1) << order, self->id);
	write_run(&held, self->id);
	w->held[w->nr++] = held;
}

static uint64_t *let_go(struct torturer *self, unsigned i)
{
	struct worker *w = self->state;
	const struct held held = w->held[i];

	check_run(&held, self->id);
	self->checked += UINT64_C(1) << held.order;
	oracle_give(&oracle, index_of(held.page), UINT64_C(1) << held.order,
		    self->id);
	w->held[i] = w->held[--w->nr];
	return held.page;
}

/* A given page, or run, most of which are somebody's. */
static void alloc_given(struct torturer *self, uint64_t r)
{
	struct worker *w = self->state;
	const unsigned order = (unsigned)(r & 7);
	const uint64_t index =
		(r >> 8) % (FIRST_BLOCKS * BLOCK) >> order << order;
	void *page =
		weir_alloc_at(pool, index, order, r >> 4 & 3 ? WEIR_NOWAIT : 0);

	if (page == NULL) {
		CHECK(errno == EBUSY || errno == EAGAIN);
		return;
	}
	CHECK_EQ(index_of(page), index);
	CHECK(w->nr < HOLD_MAX);
	keep(self, page, order);
	__atomic_add_fetch(&nr_given, 1, __ATOMIC_RELAXED);
}

static void alloc_some(struct torturer *self, uint64_t r)
{
	static const unsigned orders[] = { 0, 0, 0, 0, 1, 2, 3, 5, 9, 10 };
	struct worker *w = self->state;
	const unsigned order = orders[r % 10];
	const unsigned flags = r >> 8 & 1 ? WEIR_NOWAIT : 0;
	void *pages[16];
	size_t n;

	if (w->nr + 16 > HOLD_MAX)
		return;
	if ((r >> 16) % 16 == 0) {
		alloc_given(self, r >> 24);
		return;
	}
	if (r >> 9 & 3) {
		pages[0] = order == 0 ? weir_fast_alloc(pool, 0, flags)
				      : weir_alloc(pool, order, flags);
		n = pages[0] != NULL;
	} else {
		n = weir_fast_alloc_upto(pool, 0, pages, 16, flags);
	}
	for (size_t i = 0; i < n; i++)
		keep(self, pages[i], r >> 9 & 3 ? order : 0);
	if (n == 0) {
		CHECK(errno == ENOMEM || errno == EAGAIN);
		self->empty += errno == ENOMEM;
		self->again += errno == EAGAIN;
	}
}

static void free_some(struct torturer *self, uint64_t r)
{
	struct worker *w = self->state;
	void *pages[HOLD_MAX];
	size_t n = 0;
	unsigned order, at;

	if (w->nr == 0)
		return;
	if (r % 8 == 0) {
		for (unsigned i = w->nr; i-- > 0;)
			if (w->held[i].order == 0)
				pages[n++] = let_go(self, i);
		weir_fast_free_bulk(pool, 0, pages, n);
		return;
	}
	at = (unsigned)(r >> 8) % w->nr;
	order = w->held[at].order;
	if (order == 0)
		weir_fast_free(pool, let_go(self, at), 0);
	else
		weir_free(pool, let_go(self, at), order);
}

static void worker_step(struct torturer *self)
{
	const uint64_t r = check_random(&self->random);
	/* Rather more or rather less, in turns. */
	const unsigned many = (self->ops >> 10) % 2 ? 36 : 24;

	if (r % 64 < many)
		alloc_some(self, r >> 8);
	else
		free_some(self, r >> 8);
	self->ops++;
	if ((r >> 24) % 4 == 0)
		weir_fast_tick(pool);
	if ((r >> 32) % 4096 == 0)
		self->tired = true;
}

/* Not while all are to stand still, or to end: then the delays in sequences
 * stay as they are, perhaps longer than the time between two signals. */
static void in_handler(struct torturer *self)
{
	const int before = errno;
	uint64_t *page = NULL;

	if (!torture_flag(&torture.pausing) && !torture_flag(&torture.stop))
		page = weir_fast_alloc(pool, 0, WEIR_NOWAIT);
	if (page != NULL) {
		oracle_take(&oracle, index_of(page), 1, self->id);
		*page = self->id;
		oracle_give(&oracle, index_of(page), 1, self->id);
		weir_fast_free(pool, page, 0);
	}
	errno = before;
}

/* --- ranges -------------------------------------------------------------- */

static void grower_step(struct torturer *self)
{
	const uint64_t nr = 1 + check_random(&self->random) % 2;
	int err = weir_pool_grow(pool, nr * BLOCK * 4096);

	CHECK_MSG(err == 0 || err == -ETIMEDOUT || err == -ENOSPC,
		  "weir_pool_grow: %d (%s)", err, weir_last_error());
	nr_growths += err == 0;
	torture_nap(growth_ns);
}

/* Up to three blocks in a row that exist and nobody chose; how many. */
static uint64_t choose_blocks(uint64_t random, uint64_t *first)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	uint64_t nr = 0, blocks;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	blocks = stat.pages / BLOCK;
	*first = random % blocks;
	while (nr < 1 + (random >> 32) % 3 && *first + nr < blocks &&
	       __atomic_exchange_n(&chosen[*first + nr], 1, __ATOMIC_ACQ_REL) ==
		       0)
		nr++;
	return nr;
}

/* The range is the isolator's: nobody writes there. */
static void use_range(struct torturer *self, uint64_t first, uint64_t nr,
		      uint64_t random)
{
	uint64_t *word = base + first * WORDS_A_PAGE;

	oracle_take(&oracle, first, nr, self->id);
	for (uint64_t i = 0; i < nr; i++)
		word[i * WORDS_A_PAGE] = self->id;
	if (random & 1)
		CHECK_EQ(madvise(word, nr * 4096, MADV_DONTNEED), 0);
	torture_nap(random >> 8 & 0x3ffff);
	for (uint64_t i = 0; i < nr; i++)
		CHECK_EQ(word[i * WORDS_A_PAGE], random & 1 ? 0 : self->id);
	self->checked += nr;
	oracle_give(&oracle, first, nr, self->id);
}

static void isolator_step(struct torturer *self)
{
	const uint64_t r = check_random(&self->random);
	struct weir_range_result result = WEIR_RANGE_RESULT_INIT;
	uint64_t bitmap[3 * BLOCK / 64], first;
	const uint64_t nr = choose_blocks(r, &first);
	int err = -EAGAIN;

	result.bitmap = bitmap;
	for (unsigned i = 0; nr > 0 && err != 0 && i < 20; i++) {
		err = weir_range_isolate(pool, first * BLOCK, nr * BLOCK,
					 &result);
		CHECK_MSG(err == 0 || err == -EAGAIN,
			  "weir_range_isolate: %d (%s)", err,
			  weir_last_error());
		CHECK((err == 0) == (result.out == 0));
		CHECK(result.isolated + result.out <= nr * BLOCK);
		if (err != 0)
			torture_nap(check_random(&self->random) & 0xfffff);
	}
	if (err == 0)
		use_range(self, first * BLOCK, nr * BLOCK, r);
	if (nr > 0)
		CHECK_EQ(weir_range_return(pool, first * BLOCK, nr * BLOCK), 0);
	for (uint64_t i = 0; i < nr; i++)
		__atomic_store_n(&chosen[first + i], 0, __ATOMIC_RELEASE);
	__atomic_add_fetch(err == 0 ? &nr_isolated : &nr_undone, nr,
			   __ATOMIC_RELAXED);
	torture_nap(check_random(&self->random) & 0xfffff);
}

/* --- drains, modes, statistics -------------------------------------------- */

static void drainer_step(struct torturer *self)
{
	const uint64_t r = check_random(&self->random);
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	int err;

	opts.wait_ns = r >> 8 & 0xfffff;
	opts.want_pages = r & 1 ? r >> 32 & 0xff : 0;
	err = r & 6 ? weir_drain(pool, &opts, NULL)
		    : weir_maintain(pool, 100, NULL);
	CHECK(err == 0 || err == -EAGAIN || err == -ETIMEDOUT);
	if (variant->changes && (r >> 4 & 7) == 0) {
		err = weir_set_mode(pool, NULL, (enum weir_mode)(r >> 40 & 3));
		CHECK(err == 0 || err == -EAGAIN || err == -ETIMEDOUT ||
		      err == -EOPNOTSUPP);
	}
	torture_nap(r >> 44 & 0x3ffff);
}

static void reader_step(struct torturer *self)
{
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;

	(void)self;
	CHECK_EQ(weir_stat_read_zone(pool, 0, &zone), 0);
	CHECK(zone.free <= zone.pages && zone.pages <= PAGES_MAX);
	torture_nap(10000);
}

/* --- looking -------------------------------------------------------------- */

/* All stand still, and nothing is isolated. */
static void look(void)
{
	struct wi_pool *impl = wi_pool_of(pool);
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	opts.wait_ns = 5000000000;
	for (unsigned i = 0; i < torture.nr_cpus; i++) {
		char cpu[16];

		torture_pin(&torture.cpu[i]);
		snprintf(cpu, sizeof(cpu), "%d", torture.cpu[i]);
		opts.cpus = cpu;
		CHECK_EQ(weir_drain(pool, &opts, NULL), 0);
	}
	torture_pin(NULL);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.cached + stat.pending + stat.isolated, 0);
	CHECK_EQ(stat.out, oracle_out(&oracle));
	CHECK_EQ(stat.free + stat.out, stat.pages);
	CHECK(wi_zone_is_valid(impl->zone[0]));
	for (unsigned i = 0; i < torture.nr_cpus; i++)
		CHECK_EQ(wi_drain_area(&impl->cache.drain, 0,
				       (unsigned)torture.cpu[i])
				 ->bounds.bound,
			 stat.pages * 4096);
}

static void report(unsigned looks)
{
	struct weir_stat s = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &s), 0);
	printf("  %u looks, %" PRIu64 " growths, %" PRIu64 " blocks isolated, "
	       "%" PRIu64 " not, %" PRIu64 " given runs\n",
	       looks, nr_growths, nr_isolated, nr_undone, nr_given);
	CHECK(nr_growths > 0 && nr_isolated > 0 && nr_given > 0);
	shared->drains += s.drains;
	shared->progress += s.by_progress;
	shared->not_busy += s.by_not_busy;
	shared->membarrier += s.by_membarrier;
	shared->late += s.late;
	shared->aborts += s.aborts;
}

/* --- one variant -----------------------------------------------------------
 */

static bool create(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	int err;

	opts.capacity = FIRST_BLOCKS * BLOCK * UINT64_C(4096);
	opts.max_capacity = PAGES_MAX * UINT64_C(4096);
	opts.flags = variant->flags;
	opts.quiet_cpus = "";
	opts.list_limit = 100;
	opts.wait_ns = 2000000;
	opts.name = "ranges";
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	weir_pool_range(pool, (void **)&base, NULL, NULL);
	err = weir_set_mode(pool, NULL, variant->mode);
	if (err == -EOPNOTSUPP) {
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
		return false;
	}
	return true;
}

static void run(double seconds)
{
	static struct worker workers[WORKERS];
	unsigned looks;

	printf("%s\n", variant->name);
	if (!create()) {
		printf("  skipped: there are no sequences\n");
		return;
	}
	growth_ns = (uint64_t)(seconds * 1e9 / MOST_BLOCKS);
	oracle_init(&oracle, "page", PAGES_MAX);
	torture_init(in_handler);
	for (unsigned i = 0; i < WORKERS; i++)
		torture_add(worker_step, true, &workers[i]);
	torture_add(grower_step, false, NULL);
	torture_add(isolator_step, false, NULL);
	torture_add(isolator_step, false, NULL);
	torture_add(drainer_step, false, NULL);
	torture_add(reader_step, false, NULL);
	torture_add(torture_perturb, false, NULL);
	looks = torture_for(seconds, look);
	for (unsigned i = 0; i < WORKERS; i++)
		while (workers[i].nr > 0) {
			unsigned order = workers[i].held[0].order;

			weir_free(pool, let_go(&torture.t[i], 0), order);
		}
	look();
	CHECK_EQ(oracle_out(&oracle), 0);
	report(looks);
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
	oracle_fini(&oracle);
}

int main(int argc, char **argv)
{
	const unsigned nr = sizeof(variants) / sizeof(variants[0]);
	const struct outside_options o = outside_init(argc, argv, 12, nr);

	for (variant = variants; variant < variants + nr; variant++)
		if (o.only == NULL || strcmp(o.only, variant->name) == 0)
			outside_run(run, o.seconds);
	outside_figures("pages checked");
	return 0;
}
