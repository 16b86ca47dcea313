/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a page was given to two owners, or lost, or a drain waits for
 * a CPU that does nothing: the library's reason to exist is gone.
 *
 * A pool with too few pages, more threads than CPUs, moved and interrupted all
 * the time, handlers that allocate and free, bursts, drains from everywhere,
 * modes that change; and an owner's number for each page, in a table and in
 * the page itself. Every 100 ms all stand still and the books must balance.
 *
 *     pool_torture [SECONDS [VARIANT]]     SECONDS in all, also in the
 *                                          environment
 */
#include "torture.h"

#include <weir/fast.h>
#include <weir/stat.h>

#include "oracle.h"
#include "pool/pool.h"

#define PAGES 3001
#define HOLD_MAX 640  /* runs a thread holds at most */
#define SHARE_MAX 900 /* pages a thread holds at most */

enum { KEEP_MODES, CHANGE_MODES, SWITCH_OFF };

static const struct variant {
	const char *name;
	enum weir_mode mode;
	unsigned flags, what; /* what becomes of the modes */
	int list_limit;
} variants[] = {
	{ "ordinary", WEIR_MODE_ORDINARY, 0, KEEP_MODES, 200 },
	{ "quiet", WEIR_MODE_QUIET, 0, KEEP_MODES, 200 },
	{ "quiet, short lists", WEIR_MODE_QUIET, 0, KEEP_MODES, 3 },
	{ "polling", WEIR_MODE_POLLING, 0, KEEP_MODES, 200 },
	{ "all modes", WEIR_MODE_QUIET, 0, CHANGE_MODES, 200 },
	{ "caching off and on", WEIR_MODE_ORDINARY, 0, SWITCH_OFF, 100 },
	{ "checked, all modes", WEIR_MODE_ORDINARY, WEIR_POOL_CHECKED,
	  CHANGE_MODES, 200 },
	{ "locked", WEIR_MODE_ORDINARY, WEIR_POOL_NO_RSEQ, SWITCH_OFF, 200 },
};

static const struct variant *variant;
static struct weir_pool *pool;
static struct oracle oracle;
static uint64_t *base;

struct held {
	uint64_t *page;
	unsigned order;
};

struct worker {
	struct held held[HOLD_MAX];
	unsigned nr;
	uint64_t pages;
	uint64_t stamp;
};

/* --- owning ------------------------------------------------------------ */

#define WORDS_A_PAGE 512

/* What the owner leaves in a page: nobody else knows this word. */
static uint64_t word_of(const struct torturer *self, uint64_t stamp)
{
	return (uint64_t)self->id << 56 | stamp;
}

/* The pages of a run that are written: all, or of long runs some. */
static uint64_t step_of(unsigned order)
{
	return order <= 3 ? 1 : (UINT64_C(1) << order) / 8;
}

static void take(struct torturer *self, void *page, unsigned order,
		 uint64_t stamp, bool zero)
{
	uint64_t *word = page;
	const uint64_t n = UINT64_C(1) << order;
	const uint64_t first = (uint64_t)(word - base) / WORDS_A_PAGE;

	CHECK_EQ((uint64_t)(word - base) % WORDS_A_PAGE, 0);
	CHECK_EQ(first % n, 0);
	oracle_take(&oracle, first, n, self->id);
	for (uint64_t i = 0; i < n; i += step_of(order)) {
		CHECK_MSG(!zero || word[i * WORDS_A_PAGE] == 0,
			  "page %" PRIu64 " is not zeroed", first + i);
		word[i * WORDS_A_PAGE] = word_of(self, stamp);
	}
}

static void give(struct torturer *self, uint64_t *word, unsigned order,
		 uint64_t stamp)
{
	const uint64_t n = UINT64_C(1) << order;
	const uint64_t first = (uint64_t)(word - base) / WORDS_A_PAGE;

	for (uint64_t i = 0; i < n; i += step_of(order))
		CHECK_MSG(word[i * WORDS_A_PAGE] == word_of(self, stamp),
			  "page %" PRIu64 " of %u has a word of %u", first + i,
			  self->id, (unsigned)(word[i * WORDS_A_PAGE] >> 56));
	oracle_give(&oracle, first, n, self->id);
}

/* --- operations -------------------------------------------------------- */

/* Half of them inlined, with delays in the sequences. */
static void *alloc_one(unsigned order, unsigned flags, bool inlined)
{
	if (inlined)
		switch (order) {
		case 0:
			return weir_fast_alloc(pool, 0, flags);
		case 1:
			return weir_fast_alloc(pool, 1, flags);
		case 3:
			return weir_fast_alloc(pool, 3, flags);
		case 9:
			return weir_fast_alloc(pool, 9, flags);
		}
	return weir_alloc(pool, order, flags);
}

static void free_one(void *page, unsigned order, bool inlined)
{
	if (inlined)
		switch (order) {
		case 0:
			weir_fast_free(pool, page, 0);
			return;
		case 1:
			weir_fast_free(pool, page, 1);
			return;
		case 3:
			weir_fast_free(pool, page, 3);
			return;
		case 9:
			weir_fast_free(pool, page, 9);
			return;
		}
	weir_free(pool, page, order);
}

static unsigned some_order(uint64_t r)
{
	if (r % 16 < 10)
		return 0;
	if (r % 16 < 15)
		return (unsigned)(r >> 8) % 4;
	return (unsigned)(r >> 8) % 11;
}

/* Mostly without waiting: a wait is 2 ms when there is nothing. */
static unsigned some_flags(uint64_t r)
{
	return (r % 8 != 0 ? WEIR_NOWAIT : 0) | (r % 29 == 0 ? WEIR_ZERO : 0) |
	       (r % 31 == 0 ? WEIR_THISNODE : 0);
}

static void hold(struct torturer *self, void *page, unsigned order,
		 unsigned flags)
{
	struct worker *w = self->state;

	take(self, page, order, w->stamp, flags & WEIR_ZERO);
	w->held[w->nr++] = (struct held){ page, order };
	w->pages += UINT64_C(1) << order;
}

static uint64_t *let_go(struct torturer *self, unsigned i)
{
	struct worker *w = self->state;
	const struct held held = w->held[i];

	give(self, held.page, held.order, w->stamp);
	w->held[i] = w->held[--w->nr];
	w->pages -= UINT64_C(1) << held.order;
	return held.page;
}

static void alloc_some(struct torturer *self)
{
	struct worker *w = self->state;
	const uint64_t r = check_random(&self->random);
	const unsigned order = some_order(r), flags = some_flags(r >> 16);
	void *pages[100];
	size_t n = 1 + (r >> 32) % 100;

	if (w->nr + n > HOLD_MAX || w->pages + (n << order) > SHARE_MAX)
		n = 1;
	if (w->nr == HOLD_MAX || w->pages + (n << order) > SHARE_MAX)
		return;
	switch (r >> 40 & 15) {
	case 0:
		n = weir_alloc_bulk(pool, order, pages, n, flags) ? 0 : n;
		break;
	case 1:
		n = weir_alloc_upto(pool, order, pages, n, flags);
		break;
	case 2:
		n = weir_fast_alloc_bulk(pool, 0, pages, n, flags) ? 0 : n;
		for (size_t i = 0; i < n; i++)
			hold(self, pages[i], 0, flags);
		return;
	default:
		pages[0] = alloc_one(order, flags, r & 1);
		n = pages[0] != NULL;
	}
	for (size_t i = 0; i < n; i++)
		hold(self, pages[i], order, flags);
}

static void free_some(struct torturer *self)
{
	struct worker *w = self->state;
	const uint64_t r = check_random(&self->random);
	void *pages[200];
	size_t n = 0;
	unsigned at;

	if (w->nr == 0)
		return;
	at = (unsigned)(r >> 8) % w->nr;
	if (r % 16 != 0) {
		unsigned order = w->held[at].order;

		free_one(let_go(self, at), order, r >> 4 & 1);
		return;
	}
	for (unsigned i = w->nr; i-- > 0 && n < 200;)
		if (w->held[i].order == 0)
			pages[n++] = let_go(self, i);
	if (r >> 4 & 1)
		weir_fast_free_bulk(pool, 0, pages, n);
	else
		weir_free_bulk(pool, 0, pages, n);
}

static void drain_some(struct torturer *self)
{
	static const uint64_t waits[] = { 1, 1000, 20000, 200000, 0 };
	const uint64_t r = check_random(&self->random);
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = { .size = sizeof(result) };
	char cpu[16];
	int err;

	opts.wait_ns = waits[r % 5];
	if (r >> 8 & 1)
		opts.want_pages = 1 + (r >> 16 & 0x3ff);
	if (r >> 9 & 1) {
		snprintf(cpu, sizeof(cpu), "%d",
			 torture.cpu[(r >> 32) % torture.nr_cpus]);
		opts.cpus = cpu;
	}
	if ((r >> 10 & 7) == 0)
		err = weir_maintain(pool, r >> 16 & 0x7ff, &result);
	else
		err = weir_drain(pool, &opts, &result);
	CHECK_MSG(err == 0 || err == -EAGAIN || err == -ETIMEDOUT,
		  "weir_drain: %d", err);
}

/* --- threads ----------------------------------------------------------- */

static void worker_step(struct torturer *self)
{
	struct worker *w = self->state;
	const uint64_t r = check_random(&self->random);
	const bool bursts = r % 32 < 6, nests = r % 32 == 0;
	unsigned n = bursts ? 1 + (unsigned)(r >> 8) % 40 : 1;
	struct weir_burst outer, inner;

	if (bursts && (r >> 52) % 8 == 0)
		torture_hold_stores_up(r);
	if (bursts)
		weir_burst_begin(pool, &outer);
	if (nests)
		weir_burst_begin(pool, &inner);
	for (; n > 0; n--) {
		/* Rather more or rather less, in turns of a few 1000. */
		bool more = (self->ops >> 12) % 3 != 0;

		if (check_random(&self->random) % 64 < (more ? 35 : 25))
			alloc_some(self);
		else
			free_some(self);
		self->ops++;
	}
	if ((r >> 16) % 512 == 0)
		drain_some(self);
	if (bursts && (r >> 40) % 32 == 0)
		torture_move(r >> 48);
	if (nests)
		weir_burst_end(pool, &inner);
	if (bursts)
		weir_burst_end(pool, &outer);
	if ((r >> 24) % 4 == 0)
		weir_fast_tick(pool);
	if ((r >> 32) % 4096 == 0)
		torture_nap(r >> 44 & 0xffff);
	if (torture_flag(&torture.stop))
		while (w->nr > 0)
			free_some(self);
}

/* What a signal interrupts must not be harmed by what its handler does. */
static void in_handler(struct torturer *self)
{
	const uint64_t r = check_random(&self->handler_random);
	const uint64_t stamp = r >> 8;
	const unsigned order = r & 1 ? 0 : some_order(r >> 32);
	struct weir_burst burst;
	int before = errno;
	void *page;

	if (r & 2)
		weir_burst_begin(pool, &burst);
	page = alloc_one(order, WEIR_NOWAIT, r & 4);
	if (page != NULL) {
		take(self, page, order, stamp, false);
		give(self, page, order, stamp);
		free_one(page, order, r & 8);
	}
	if (r & 2)
		weir_burst_end(pool, &burst);
	if (r & 16)
		weir_tick(pool);
	errno = before;
}

static void change_modes(struct torturer *self)
{
	const uint64_t r = check_random(&self->random);
	enum weir_mode mode = variant->what == SWITCH_OFF
				      ? (r & 1 ? WEIR_MODE_OFF : variant->mode)
				      : (enum weir_mode)(r >> 4 & 3);
	char cpu[16];
	int err;

	if (variant->what == KEEP_MODES)
		return;
	snprintf(cpu, sizeof(cpu), "%d",
		 torture.cpu[(r >> 32) % torture.nr_cpus]);
	err = weir_set_mode(pool, r & 2 ? cpu : NULL, mode);
	CHECK_MSG(err == 0 || err == -EAGAIN || err == -ETIMEDOUT ||
			  err == -EOPNOTSUPP,
		  "weir_set_mode: %d", err);
}

static void drainer_step(struct torturer *self)
{
	drain_some(self);
	if (check_random(&self->random) % 4 == 0)
		change_modes(self);
	if (check_random(&self->random) % 4 == 0)
		torture_nap(check_random(&self->random) & 0x1ffff);
}

/* Reads statistics. */
static void reader_step(struct torturer *self)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;

	(void)self;
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.pages, PAGES);
	CHECK_EQ(weir_stat_read_zone(pool, 0, &zone), 0);
	CHECK_EQ(weir_stat_read_cpu(pool, 0, 0, &cpu), 0);
	for (unsigned list = 0; list < WEIR_STAT_LISTS; list++)
		CHECK(cpu.list[list].count <= cpu.list[list].high);
	torture_nap(300000);
}

/* --- looking ----------------------------------------------------------- */

/* Nobody is in a call: does this mark still protect anything? */
static bool is_left_over(struct wi_area *area)
{
	const uint64_t mark = wi_load_acquire(&area->busy);

	if (mark == 0)
		return false;
	if (wi_mark_is_burst(mark))
		return true;
	return (uint32_t)wi_header_ops(wi_area_headers(
		       area, wi_mark_set(mark))[wi_mark_list(mark)]) ==
	       (uint32_t)mark;
}

static void look(void)
{
	struct wi_pool *impl = wi_pool_of(pool);
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = { .size = sizeof(result) };
	struct weir_stat stat = WEIR_STAT_INIT;
	const unsigned nr_cpus = impl->cache.drain.nr_cpus;
	int err;

	opts.wait_ns = 2000000000;
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
		CHECK_MSG(!is_left_over(
				  wi_drain_area(&impl->cache.drain, 0, cpu)),
			  "CPU %u: a mark was left over", cpu);
	if (variant->mode == WEIR_MODE_POLLING ||
	    variant->what == CHANGE_MODES) {
		/* Somebody must pass by on every such CPU. */
		opts.wait_ns = 1;
		for (unsigned i = 0; i < torture.nr_cpus; i++) {
			torture_pin(&torture.cpu[i]);
			weir_drain(pool, &opts, NULL);
			weir_tick(pool);
		}
		torture_pin(NULL);
	}
	err = weir_drain(pool, &opts, &result);
	CHECK_MSG(err == 0,
		  "all stand still, a drain says %d, %" PRIu64
		  " pages pending on %u CPUs",
		  err, result.pending, result.cpus_pending);
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
		CHECK_EQ(impl->cache.drain.units[cpu].parked, 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.cached, 0);
	CHECK_EQ(stat.pending, 0);
	CHECK_EQ(stat.out, oracle_out(&oracle));
	CHECK_EQ(stat.free + stat.out, PAGES);
	CHECK(wi_zone_is_valid(impl->zone[0]));
}

static void report(unsigned looks)
{
	struct weir_stat s = WEIR_STAT_INIT;
	uint64_t ops = 0, signals = 0;

	for (unsigned i = 0; i < torture.nr; i++) {
		ops += torture.t[i].ops;
		signals += torture.t[i].signals;
	}
	weir_stat_read(pool, &s);
	printf("  %.1f M operations, %" PRIu64 " signals, %" PRIu64
	       " aborts seen, %u looks\n",
	       (double)ops / 1e6, signals, s.aborts, looks);
	printf("  drains %" PRIu64 " (progress %" PRIu64 ", not busy %" PRIu64
	       ", membarrier %" PRIu64 ", parked %" PRIu64 "), %" PRIu64
	       " pages\n",
	       s.drains, s.by_progress, s.by_not_busy, s.by_membarrier,
	       s.parked, s.drained_pages);
	printf("  failures: nowait %" PRIu64 ", empty %" PRIu64
	       ", pending %" PRIu64 ", lost %" PRIu64 "\n",
	       s.failed_nowait, s.failed_empty, s.failed_pending,
	       s.failed_lost);
}

/* --- one variant ------------------------------------------------------- */

static bool create(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	int err;

	opts.capacity = PAGES * UINT64_C(4096);
	opts.flags = variant->flags;
	opts.quiet_cpus = "";
	opts.list_limit = variant->list_limit;
	opts.wait_ns = 2000000;
	opts.name = "torture";
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	weir_pool_range(pool, (void **)&base, NULL, NULL);
	err = weir_set_mode(pool, NULL, variant->mode);
	if (err == -EOPNOTSUPP) {
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
		return false;
	}
	CHECK_EQ(err, 0);
	return true;
}

static void run(double seconds)
{
	static struct worker workers[8];
	unsigned looks;

	printf("%s\n", variant->name);
	fflush(stdout);
	if (!create()) {
		printf("  skipped: there are no sequences\n");
		return;
	}
	oracle_init(&oracle, "page", PAGES);
	torture_init(in_handler);
	for (unsigned i = 0; i < 5; i++) {
		workers[i] = (struct worker){ .stamp = i + 1 };
		torture_add(worker_step, true, &workers[i]);
	}
	torture_add(drainer_step, false, NULL);
	torture_add(drainer_step, false, NULL);
	torture_add(reader_step, false, NULL);
	torture_add(torture_perturb, false, NULL);
	looks = torture_for(seconds, look);
	report(looks);
	for (unsigned i = 0; i < 5; i++)
		while (workers[i].nr > 0) {
			unsigned order = workers[i].held[0].order;

			weir_free(pool, let_go(&torture.t[i], 0), order);
		}
	CHECK_EQ(oracle_out(&oracle), 0);
	look();
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
	oracle_fini(&oracle);
}

int main(int argc, char **argv)
{
	const unsigned nr = sizeof(variants) / sizeof(variants[0]);
	const char *only = argc > 2 ? argv[2] : NULL;
	const double seconds =
		torture_seconds(argc, argv, 20, only != NULL ? 1 : nr);

	alarm((unsigned)(seconds * nr * 4) + 100);
	for (variant = variants; variant < variants + nr; variant++)
		if (only == NULL || strcmp(only, variant->name) == 0)
			run(seconds);
	return 0;
}
