/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a claim of a given run gets another one, or one that is not
 * free, or leaves something behind where it got none.
 */
#include <string.h>

#include "check.h"
#include "zone/layout.h"

#define NR_TAIL 100
#define BLOCKS 16
#define PAGES (BLOCKS * UINT64_C(512) + NR_TAIL)

static struct wi_zone *zone;

static void make(void)
{
	size_t bytes = (wi_zone_bytes(PAGES) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);

	CHECK(memory);
	memset(memory, 0, bytes);
	zone = wi_zone_init(memory, PAGES);
}

static void release(unsigned order, uint64_t page)
{
	size_t bad;

	CHECK_EQ(wi_zone_release(zone, order, &page, 1, &bad), WI_ZONE_OK);
}

static void refused(unsigned order, uint64_t page)
{
	const uint64_t nr_free = wi_zone_nr_free(zone);
	const uint64_t generation = wi_zone_generation(zone);

	CHECK(!wi_zone_claim_at(zone, order, page));
	CHECK_EQ(wi_zone_nr_free(zone), nr_free);
	/* Nobody took it between the look and the claim. */
	CHECK_EQ(wi_zone_generation(zone), generation);
}

/* Each run of each order, taken where it is, and once only. */
static void each_run(unsigned order)
{
	const uint64_t n = UINT64_C(1) << order;

	for (uint64_t page = 0; page + n <= BLOCKS * 512; page += n) {
		CHECK(wi_zone_claim_at(zone, order, page));
		refused(order, page);
		if (order > 0)
			refused(order - 1, page + n / 2);
		for (unsigned above = order + 1; above <= 12; above++)
			refused(above, page >> above << above);
		if (page % (5 * n) == 0)
			CHECK(wi_zone_is_valid(zone));
	}
	CHECK_EQ(wi_zone_nr_free(zone), NR_TAIL);
	for (uint64_t page = 0; page + n <= BLOCKS * 512; page += n)
		release(order, page);
	CHECK_EQ(wi_zone_nr_free(zone), PAGES);
	CHECK(wi_zone_is_valid(zone));
}

/* One page out makes each run that has it out, and no other. */
static void beside_one(uint64_t out)
{
	CHECK(wi_zone_claim_at(zone, 0, out));
	for (unsigned order = 0; order <= 12; order++)
		for (uint64_t page = 0; page < BLOCKS * 512;
		     page += UINT64_C(1) << order) {
			if (page == out >> order << order) {
				refused(order, page);
				continue;
			}
			CHECK(wi_zone_claim_at(zone, order, page));
			release(order, page);
		}
	release(0, out);
	CHECK(wi_zone_is_valid(zone));
}

/* The last pages, of a block that is not whole. */
static void tail(void)
{
	const uint64_t first = BLOCKS * UINT64_C(512);

	CHECK(wi_zone_claim_at(zone, 0, first + NR_TAIL - 1));
	CHECK(wi_zone_claim_at(zone, 6, first));
	refused(5, first + 96); /* 4 of 32 pages exist */
	refused(8, first);
	refused(9, first);
	CHECK(wi_zone_claim_at(zone, 5, first + 64));
	release(5, first + 64);
	release(6, first);
	release(0, first + NR_TAIL - 1);
}

/* What is isolated, or absent, is not to be had. */
static void out_of_use(void)
{
	wi_zone_isolate(zone, 3 * 512);
	refused(0, 3 * 512 + 7);
	refused(8, 3 * 512 + 256);
	refused(9, 3 * 512);
	refused(10, 2 * 512);
	wi_zone_return(zone, 3 * 512);
	CHECK(wi_zone_claim_at(zone, 10, 2 * 512));
	release(10, 2 * 512);
}

int main(void)
{
	make();
	for (unsigned order = 0; order <= 13; order++)
		each_run(order);
	beside_one(0);
	beside_one(4711);
	beside_one(BLOCKS * 512 - 1);
	tail();
	out_of_use();
	free(zone);
	return 0;
}
