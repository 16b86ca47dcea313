/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a page that does not exist yet is given out, counted as free,
 * or released; or pages that were added are missed, or are not all free.
 */
#include <string.h>

#include "check.h"
#include "zone/layout.h"

#define BLOCKS 200
#define PAGES (BLOCKS * UINT64_C(512))

static struct wi_zone *zone;

static void make(uint64_t present)
{
	size_t bytes = (wi_zone_bytes(PAGES) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);

	CHECK(memory);
	memset(memory, 0, bytes);
	zone = wi_zone_init(memory, PAGES);
	wi_zone_leave_out(zone, present);
	CHECK(wi_zone_is_valid(zone));
}

/* Every run of that order that there is, each below `present`; how many. */
static uint64_t claim_all(unsigned order, uint64_t present, uint64_t *pages)
{
	uint32_t cursor = 0;
	uint64_t n = 0, got;

	while ((got = wi_zone_claim(zone, order, 1000, pages + n, &cursor)) > 0)
		n += got;
	for (uint64_t i = 0; i < n; i++)
		CHECK_MSG(pages[i] + (UINT64_C(1) << order) <= present,
			  "order %u: page %" PRIu64 " of %" PRIu64, order,
			  pages[i], present);
	return n;
}

static void release_all(unsigned order, const uint64_t *pages, uint64_t n)
{
	size_t bad;

	CHECK_EQ(wi_zone_release(zone, order, pages, n, &bad), WI_ZONE_OK);
	CHECK(wi_zone_is_valid(zone));
}

/* Of every order there are as many runs as fit, and no more. */
static void each_order(uint64_t present)
{
	static uint64_t pages[PAGES + 1000];

	CHECK_EQ(wi_zone_nr_free(zone), present);
	for (unsigned order = 0; order <= WI_ZONE_ORDER_MAX; order++) {
		const uint64_t fit = present >> order;
		uint64_t n;

		CHECK_EQ(wi_zone_nr_free_runs(zone, order), fit);
		n = claim_all(order, present, pages);
		CHECK_EQ(n, fit);
		release_all(order, pages, n);
	}
	for (uint64_t page = 0; page < PAGES; page += 511)
		CHECK_EQ(wi_zone_is_free(zone, page), page < present);
}

/* A release of a page that does not exist, as what it may be taken for. */
static void refused(uint64_t page)
{
	const uint64_t generation = wi_zone_generation(zone);

	for (unsigned order = 0; order <= WI_ZONE_ORDER_MAX; order++) {
		const uint64_t first = page >> order << order;
		enum wi_zone_error error;
		size_t bad = 77;

		error = wi_zone_release(zone, order, &first, 1, &bad);
		/* A run of a larger order may begin at a page that is free. */
		CHECK(error == WI_ZONE_WRONG_ORDER ||
		      (order > 9 && error == WI_ZONE_DOUBLE_FREE));
		CHECK_EQ(bad, 0);
	}
	CHECK_EQ(wi_zone_generation(zone), generation);
	CHECK(wi_zone_is_valid(zone));
}

static void grow(uint64_t *present, uint64_t more)
{
	const uint64_t generation = wi_zone_generation(zone);

	wi_zone_add(zone, *present, more);
	*present += more;
	CHECK(wi_zone_generation(zone) != generation);
	CHECK(wi_zone_is_valid(zone));
}

/* While all that there was is held. */
static void grow_when_empty(uint64_t *present, uint64_t more)
{
	static uint64_t pages[PAGES + 1000], others[PAGES + 1000];
	const uint64_t n = claim_all(0, *present, pages);
	uint64_t nr;

	CHECK_EQ(n, *present);
	grow(present, more);
	CHECK_EQ(wi_zone_nr_free(zone), more);
	nr = claim_all(9, *present, others);
	CHECK_EQ(nr, more / 512);
	for (uint64_t i = 0; i < nr; i++)
		CHECK(others[i] >= *present - more);
	release_all(9, others, nr);
	release_all(0, pages, n);
}

int main(void)
{
	static const uint64_t more[] = { 1, 1, 2, 27, 32, 1, 63, 64 };
	uint64_t present = 0;

	/* A zone without any page; then blocks on both sides of a summary
	 * word's end. */
	make(0);
	each_order(0);
	refused(0);
	for (unsigned i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		refused(present);
		refused(PAGES - 1);
		if (i % 2 == 0)
			grow(&present, more[i] * 512);
		else
			grow_when_empty(&present, more[i] * 512);
		each_order(present);
	}
	grow(&present, PAGES - present);
	each_order(PAGES);
	free(zone);
	printf("%" PRIu64 " pages added in %zu steps\n", PAGES,
	       sizeof(more) / sizeof(more[0]) + 1);
	return 0;
}
