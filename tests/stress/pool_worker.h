/* SPDX-License-Identifier: MIT */
/*
 * Who uses the pool that is tormented: takes pages, leaves a word in each that
 * nobody else knows, and gives them back; in calls, inlined, in bulk, in
 * bursts, and in the handlers of signals. Included by pool_torture.c alone.
 */
#ifndef WEIR_TESTS_POOL_WORKER_H
#define WEIR_TESTS_POOL_WORKER_H

#include "outside.h"

#include <weir/fast.h>
#include <weir/stat.h>

#include "oracle.h"
#include "api/pool.h"

#define HOLD_MAX 640 /* runs a thread holds at most */
#define FREE_MAX 64  /* pages it gives back at once */

enum { KEEP_MODES, CHANGE_MODES, SWITCH_OFF };

struct variant {
	const char *name;
	enum weir_mode mode;
	unsigned flags, what; /* what becomes of the modes */
	int list_limit;
	unsigned wait_us; /* how long an allocation may wait */
	unsigned pages;	  /* of the pool */
	unsigned nr;	  /* workers */
	unsigned share;	  /* pages a worker holds at most */
	bool spares;	  /* all together never want every page */
	unsigned words;	  /* of 8 bytes in a page */
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
	const uint64_t first = (uint64_t)(word - base) / variant->words;

	CHECK_EQ((uint64_t)(word - base) % variant->words, 0);
	CHECK_EQ(first % n, 0);
	oracle_take(&oracle, first, n, self->id);
	for (uint64_t i = 0; i < n; i += step_of(order)) {
		CHECK_MSG(!zero || word[i * variant->words] == 0,
			  "page %" PRIu64 " is not zeroed", first + i);
		word[i * variant->words] = word_of(self, stamp);
	}
}

static void give(struct torturer *self, uint64_t *word, unsigned order,
		 uint64_t stamp)
{
	const uint64_t n = UINT64_C(1) << order;
	const uint64_t first = (uint64_t)(word - base) / variant->words;

	self->checked += n;
	for (uint64_t i = 0; i < n; i += step_of(order))
		CHECK_MSG(word[i * variant->words] == word_of(self, stamp),
			  "page %" PRIu64 " of %u has a word of %u", first + i,
			  self->id, (unsigned)(word[i * variant->words] >> 56));
	oracle_give(&oracle, first, n, self->id);
}

/* --- operations -------------------------------------------------------- */

/* Half of them inlined, with delays in the sequences. */
static void *alloc_any(unsigned order, unsigned flags, bool inlined)
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

static void free_any(void *page, unsigned order, bool inlined)
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

/* Why an allocation got nothing. */
static void count_failure(struct torturer *self, unsigned order, int error)
{
	CHECK(error == ENOMEM || error == EAGAIN);
	CHECK_MSG(error != ENOMEM || order > 0 || !variant->spares,
		  "ENOMEM, and all together never wanted every page");
	if (error == ENOMEM)
		self->empty++;
	else
		self->again++;
}

static void *alloc_one(struct torturer *self, unsigned order, unsigned flags,
		       uint64_t random)
{
	struct torture_calm calm;
	void *page;

	if (!(flags & WEIR_NOWAIT) || flags & WEIR_ZERO)
		return alloc_any(order, flags, random & 1);
	calm = torture_calm(self, random);
	page = alloc_any(order, flags, random & 1);
	torture_was_calm(self, calm);
	return page;
}

static void free_one(struct torturer *self, void *page, unsigned order,
		     uint64_t random)
{
	struct torture_calm calm = torture_calm(self, random);

	free_any(page, order, random & 1);
	torture_was_calm(self, calm);
}

static unsigned some_order(uint64_t r)
{
	if (variant->words & (variant->words - 1))
		return 0; /* there are no others */
	if (variant->spares)
		return r % 2 ? 0 : (unsigned)(r >> 8) % 4;
	if (r % 16 < 10)
		return 0;
	if (r % 16 < 15)
		return (unsigned)(r >> 8) % 4;
	return (unsigned)(r >> 8) % 11;
}

/* Mostly without waiting: a wait is 2 ms when there is nothing. */
static unsigned some_flags(uint64_t r)
{
	return (r % 8 != 0    ? WEIR_NOWAIT
		: r % 16 != 0 ? WEIR_RECLAIM
			      : 0) |
	       (r % 29 == 0 ? WEIR_ZERO : 0) |
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
	const unsigned flags = some_flags(r >> 16);
	unsigned order = some_order(r);
	void *pages[100];
	size_t n = 1 + (r >> 32) % (variant->spares ? 4 : 100);
	int error = 0;

	if (w->nr + n > HOLD_MAX || w->pages + (n << order) > variant->share)
		n = 1;
	if (w->nr == HOLD_MAX || w->pages + (n << order) > variant->share)
		return;
	switch (r >> 40 & 15) {
	case 0:
		error = -weir_alloc_bulk(pool, order, pages, n, flags);
		break;
	case 1:
		n = weir_alloc_upto(pool, order, pages, n, flags);
		error = n == 0 ? errno : 0;
		break;
	case 2:
		order = 0;
		error = -weir_fast_alloc_bulk(pool, 0, pages, n, flags);
		break;
	case 3:
		order = 0;
		n = weir_fast_alloc_upto(pool, 0, pages, n, flags);
		error = n == 0 ? errno : 0;
		break;
	default:
		n = 1;
		pages[0] = alloc_one(self, order, flags, r);
		error = pages[0] == NULL ? errno : 0;
	}
	if (error != 0) {
		count_failure(self, order, error);
		return;
	}
	for (size_t i = 0; i < n; i++)
		hold(self, pages[i], order, flags);
}

static void free_some(struct torturer *self)
{
	struct worker *w = self->state;
	const uint64_t r = check_random(&self->random);
	void *pages[FREE_MAX];
	size_t n = 0;
	unsigned at;

	if (w->nr == 0)
		return;
	at = (unsigned)(r >> 8) % w->nr;
	if (r % 16 != 0) {
		unsigned order = w->held[at].order;

		free_one(self, let_go(self, at), order, r >> 4);
		return;
	}
	for (unsigned i = w->nr; i-- > 0 && n < FREE_MAX;)
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
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
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

/* --- steps ------------------------------------------------------------- */

static void worker_step(struct torturer *self)
{
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
		/* Rather more or rather less, in turns of a few 1000; where
		 * all is never wanted, nearly all is. */
		const unsigned many = variant->spares	      ? 48
				      : (self->ops >> 12) % 3 ? 35
							      : 25;

		if (check_random(&self->random) % 64 < many)
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
	if ((r >> 36) % 2048 == 0) {
		/* What it holds the next one with its number has. */
		if (r & 1)
			weir_burst_begin(pool, &outer);
		self->in_burst = (r & 1) && outer.area != NULL;
		self->tired = true;
	}
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

	if (variant->spares) {
		weir_tick(pool);
		return;
	}
	if (r & 2)
		weir_burst_begin(pool, &burst);
	page = alloc_any(order, WEIR_NOWAIT, r & 4);
	if (page != NULL) {
		take(self, page, order, stamp, false);
		give(self, page, order, stamp);
		free_any(page, order, r & 8);
	}
	if (r & 2)
		weir_burst_end(pool, &burst);
	if (r & 16)
		weir_tick(pool);
	errno = before;
}

#endif
