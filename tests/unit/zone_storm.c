/* SPDX-License-Identifier: MIT */
/*
 * If this fails, threads that claim and release at once get a page twice or
 * lose one, at some order.
 *
 * Four threads on any number of CPUs; a byte a page is the oracle of who owns
 * it, and the page's "contents" are a plain word that its owner writes, so
 * that ThreadSanitizer sees a release and a claim that do not order it.
 */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "zone/zone.h"

#define NR_THREADS 4
#define NR_HELD 64

struct row {
	uint64_t nr_pages;
	unsigned order_max;
	unsigned turns;
};

static const struct row rows[] = {
	{ 512 * 1, 8, 60000 },	     { 512 * 4, 9, 60000 },
	{ 512 * 3 + 77, 10, 60000 }, { 512 * 64, 12, 20000 },
	{ 512 * 130, 15, 10000 },    { 512 * 600, 18, 5000 },
};

static struct wi_zone *zone;
static unsigned char *owner;
static uint64_t *contents;
static const struct row *row;

struct held {
	uint64_t page;
	unsigned order;
};

struct worker {
	pthread_t thread;
	unsigned char id;
	uint64_t random;
	uint32_t cursor;
	struct held held[NR_HELD];
	unsigned nr_held;
	uint64_t nr_claimed;
};

static void own(struct worker *w, uint64_t page, unsigned order)
{
	CHECK_EQ(page % (UINT64_C(1) << order), 0);
	CHECK(page + (UINT64_C(1) << order) <= row->nr_pages);
	for (uint64_t i = page; i < page + (UINT64_C(1) << order); i++) {
		unsigned char was =
			__atomic_exchange_n(&owner[i], w->id, __ATOMIC_RELAXED);

		CHECK_MSG(was == 0, "page %" PRIu64 " is %u's and %u's", i, was,
			  w->id);
		contents[i] = w->id;
	}
}

static void disown(struct worker *w, uint64_t page, unsigned order)
{
	for (uint64_t i = page; i < page + (UINT64_C(1) << order); i++) {
		CHECK_EQ(contents[i], w->id);
		CHECK_EQ(__atomic_exchange_n(&owner[i], 0, __ATOMIC_RELAXED),
			 w->id);
	}
}

static void claim_some(struct worker *w)
{
	unsigned order = (unsigned)(check_random(&w->random) >> 32) %
			 (row->order_max + 1);
	uint64_t pages[NR_HELD];
	size_t room = NR_HELD - w->nr_held, n;

	/* Low orders more often, or a few big runs would be all there is. */
	if (check_random(&w->random) >> 63)
		order /= 3;
	n = 1 + (check_random(&w->random) >> 32) % room;
	n = wi_zone_claim(zone, order, n, pages, &w->cursor);
	for (size_t i = 0; i < n; i++) {
		own(w, pages[i], order);
		w->held[w->nr_held].page = pages[i];
		w->held[w->nr_held++].order = order;
	}
	w->nr_claimed += n;
}

/* One held run, in a random way: whole, or in pages if it is in a block. */
static void release_one(struct worker *w)
{
	struct held *h =
		&w->held[(check_random(&w->random) >> 32) % w->nr_held];
	uint64_t pages[256];
	unsigned order = h->order;
	size_t n = 1, bad;

	disown(w, h->page, order);
	if (order < 9)
		order = (unsigned)(check_random(&w->random) >> 32) %
			(order + 1);
	n <<= h->order - order;
	for (size_t i = 0; i < n; i++)
		pages[i] = h->page + (i << order);
	CHECK_EQ(wi_zone_release(zone, order, pages, n, &bad), WI_ZONE_OK);
	*h = w->held[--w->nr_held];
}

/* All held single pages in one call, then there is room again. */
static void release_pages(struct worker *w)
{
	uint64_t pages[NR_HELD];
	size_t n = 0, bad;
	unsigned kept = 0;

	for (unsigned i = 0; i < w->nr_held; i++) {
		if (w->held[i].order == 0) {
			disown(w, w->held[i].page, 0);
			pages[n++] = w->held[i].page;
		} else {
			w->held[kept++] = w->held[i];
		}
	}
	w->nr_held = kept;
	CHECK_EQ(wi_zone_release(zone, 0, pages, n, &bad), WI_ZONE_OK);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < row->turns; i++) {
		if (w->nr_held < NR_HELD && check_random(&w->random) >> 63)
			claim_some(w);
		else if (w->nr_held > 0 && check_random(&w->random) >> 62)
			release_one(w);
		else
			release_pages(w);
	}
	while (w->nr_held > 0)
		release_one(w);
	return NULL;
}

static void storm(void)
{
	static struct worker workers[NR_THREADS];
	uint64_t nr_claimed = 0;
	size_t bytes = (wi_zone_bytes(row->nr_pages) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);

	owner = calloc(row->nr_pages, 1);
	contents = calloc(row->nr_pages, sizeof(*contents));
	CHECK(memory && owner && contents);
	memset(memory, 0, bytes);
	zone = wi_zone_init(memory, row->nr_pages);
	memset(workers, 0, sizeof(workers));
	for (unsigned i = 0; i < NR_THREADS; i++) {
		workers[i].id = (unsigned char)(i + 1);
		workers[i].random = 0x9e3779b97f4a7c15u * (i + 1);
		CHECK_EQ(pthread_create(&workers[i].thread, NULL, work,
					&workers[i]),
			 0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++) {
		CHECK_EQ(pthread_join(workers[i].thread, NULL), 0);
		/* One may get nothing: all is held by those it displaced. */
		nr_claimed += workers[i].nr_claimed;
	}
	CHECK(nr_claimed > 0);
	CHECK_EQ(wi_zone_nr_free(zone), row->nr_pages);
	CHECK(wi_zone_is_valid(zone));
	free(memory);
	free(owner);
	free(contents);
}

int main(void)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		row = &rows[i];
		storm();
	}
	return 0;
}
