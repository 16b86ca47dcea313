/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a double free or a wrong order is not seen, is called by the
 * wrong name or index, or spoils pages that have nothing to do with it.
 */
#include <string.h>

#include "check.h"
#include "zone/zone.h"

#define NR_TAIL 100
#define NR_PAGES (UINT64_C(512) * 1024 + NR_TAIL)

static struct wi_zone *zone;

static void make(void)
{
	uint64_t tail[NR_TAIL];
	uint32_t cursor = 0;
	size_t bytes = (wi_zone_bytes(NR_PAGES) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);

	CHECK(memory);
	memset(memory, 0, bytes);
	zone = wi_zone_init(memory, NR_PAGES);
	/* The one partial block: away, so that the runs begin at page 0. */
	CHECK_EQ(wi_zone_claim(zone, 0, NR_TAIL, tail, &cursor), NR_TAIL);
	CHECK_EQ(tail[0], NR_PAGES - NR_TAIL);
}

static uint64_t claim(unsigned order)
{
	uint64_t page;
	uint32_t cursor = 0;

	CHECK_EQ(wi_zone_claim(zone, order, 1, &page, &cursor), 1);
	return page;
}

/* A release that must be refused, with nothing changed. */
static void refused(unsigned order, uint64_t page, enum wi_zone_error error)
{
	uint64_t nr_free = wi_zone_nr_free(zone);
	uint64_t generation = wi_zone_generation(zone);
	size_t bad = 77;

	CHECK_MSG(wi_zone_release(zone, order, &page, 1, &bad) == error,
		  "order %u, page %" PRIu64 ": not error %d", order, page,
		  error);
	CHECK_EQ(bad, 0);
	CHECK_EQ(wi_zone_nr_free(zone), nr_free);
	CHECK_EQ(wi_zone_generation(zone), generation);
	CHECK(wi_zone_is_valid(zone));
}

static void accepted(unsigned order, uint64_t page)
{
	size_t bad = 77;

	CHECK_EQ(wi_zone_release(zone, order, &page, 1, &bad), WI_ZONE_OK);
	CHECK_EQ(bad, 77);
	CHECK(wi_zone_is_valid(zone));
}

/* Every order: freed twice, and freed as every other order. */
static void each_order(void)
{
	for (unsigned order = 0; order <= WI_ZONE_ORDER_MAX; order++) {
		uint64_t page = claim(order);
		uint64_t size = UINT64_C(1) << order;

		refused(order, NR_PAGES - NR_PAGES % size,
			WI_ZONE_WRONG_ORDER); /* reaches over the end */
		refused(order, UINT64_MAX - size + 1, WI_ZONE_WRONG_ORDER);
		if (order > 0)
			refused(order, page + size / 2, WI_ZONE_WRONG_ORDER);
		for (unsigned o = 0; o <= WI_ZONE_ORDER_MAX; o++) {
			if (o == order || (o < order && order < 9))
				continue; /* parts are legal */
			if (order >= 9)
				refused(o, page, WI_ZONE_WRONG_ORDER);
			else
				refused(o, page, WI_ZONE_DOUBLE_FREE);
		}
		if (order > 9) {
			refused(9, page + 512, WI_ZONE_WRONG_ORDER);
			refused(0, page + 513, WI_ZONE_WRONG_ORDER);
			refused(8, page + size - 256, WI_ZONE_WRONG_ORDER);
			refused(order - 1, page + size / 2,
				WI_ZONE_WRONG_ORDER);
		}
		accepted(order, page);
		refused(order, page, WI_ZONE_DOUBLE_FREE);
	}
	refused(WI_ZONE_ORDER_MAX + 1, 0, WI_ZONE_WRONG_ORDER);
	refused(64, 0, WI_ZONE_WRONG_ORDER);
}

/* All pages of a block are out, but not as a whole. */
static void full_but_not_whole(void)
{
	uint64_t a = claim(8), b = claim(8);

	CHECK_EQ(a + 256, b);
	refused(9, a, WI_ZONE_WRONG_ORDER);
	accepted(8, b);
	refused(9, a, WI_ZONE_DOUBLE_FREE);
	accepted(8, a);
}

/* One bad run among n, at every place: those before it are back. */
static void place_in_batch(unsigned order)
{
	enum { N = 48 };
	uint64_t runs[N], batch[N];

	for (unsigned at = 0; at < N; at++) {
		uint64_t before = wi_zone_nr_free(zone);
		uint32_t cursor = 0;
		size_t bad = 77, n = 0;

		while (n < N)
			n += wi_zone_claim(zone, order, N - n, runs + n,
					   &cursor);
		/* Free already. */
		accepted(order, runs[at]);
		CHECK_EQ(wi_zone_release(zone, order, runs, N, &bad),
			 WI_ZONE_DOUBLE_FREE);
		CHECK_EQ(bad, at);
		if (at + 1 < N)
			CHECK_EQ(wi_zone_release(zone, order, runs + at + 1,
						 N - at - 1, &bad),
				 WI_ZONE_OK);
		CHECK_EQ(wi_zone_nr_free(zone), before);

		/* The same run twice in one call. */
		if (at == 0)
			continue;
		n = 0;
		while (n < N)
			n += wi_zone_claim(zone, order, N - n, runs + n,
					   &cursor);
		memcpy(batch, runs, sizeof(batch));
		batch[at] = batch[at / 2];
		CHECK_EQ(wi_zone_release(zone, order, batch, N, &bad),
			 WI_ZONE_DOUBLE_FREE);
		CHECK_EQ(bad, at);
		CHECK_EQ(wi_zone_release(zone, order, runs + at, N - at, &bad),
			 WI_ZONE_OK);
		CHECK_EQ(wi_zone_nr_free(zone), before);
		CHECK(wi_zone_is_valid(zone));
	}
}

int main(void)
{
	make();
	each_order();
	full_but_not_whole();
	for (unsigned order = 0; order <= 12; order++)
		place_in_batch(order);
	CHECK_EQ(wi_zone_nr_free(zone), NR_PAGES - NR_TAIL);
	free(zone);
	return 0;
}
