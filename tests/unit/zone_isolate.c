/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a page of a block that was taken out of use is given out, or a
 * release of one is refused or lets the block go; or a block is taken for
 * vacant that is not.
 */
#include <string.h>

#include "check.h"
#include "zone/layout.h"

#define BLOCKS 70
#define PAGES (BLOCKS * UINT64_C(512))

static struct wi_zone *zone;
static uint32_t cursor;

static void make(void)
{
	size_t bytes = (wi_zone_bytes(PAGES) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);

	CHECK(memory);
	memset(memory, 0, bytes);
	zone = wi_zone_init(memory, PAGES);
	cursor = 0;
}

static uint64_t claim(unsigned order)
{
	uint64_t page;

	CHECK_EQ(wi_zone_claim(zone, order, 1, &page, &cursor), 1);
	return page;
}

static void release(unsigned order, uint64_t page)
{
	size_t bad;

	CHECK_EQ(wi_zone_release(zone, order, &page, 1, &bad), WI_ZONE_OK);
	CHECK(wi_zone_is_valid(zone));
}

static void has(uint64_t nr_free, uint64_t nr_isolated)
{
	CHECK_EQ(wi_zone_nr_free(zone), nr_free);
	CHECK_EQ(wi_zone_nr_isolated(zone), nr_isolated);
	CHECK(wi_zone_is_valid(zone));
}

/* Of every order: no run of the isolated blocks, all others. */
static void avoided(uint64_t first, uint64_t nr)
{
	static uint64_t pages[PAGES + 1000];

	for (unsigned order = 0; order <= 14; order++) {
		const uint64_t run = UINT64_C(1) << order;
		uint64_t n = 0, got, fit = 0;
		size_t bad;

		for (uint64_t p = 0; p + run <= PAGES; p += run)
			fit += p + run <= first || p >= first + nr;
		CHECK_EQ(wi_zone_nr_free_runs(zone, order), fit);
		while ((got = wi_zone_claim(zone, order, 1000, pages + n,
					    &cursor)) > 0)
			n += got;
		CHECK_EQ(n, fit);
		for (uint64_t i = 0; i < n; i++)
			CHECK(pages[i] + run <= first ||
			      pages[i] >= first + nr);
		if (n > 0)
			CHECK_EQ(wi_zone_release(zone, order, pages, n, &bad),
				 WI_ZONE_OK);
	}
	has(PAGES - nr, nr);
}

static void free_blocks(uint64_t first, uint64_t nr)
{
	uint64_t generation;

	for (uint64_t page = first; page < first + nr; page += 512) {
		CHECK(!wi_zone_is_isolated(zone, page));
		wi_zone_isolate(zone, page + 7);
		CHECK(wi_zone_is_isolated(zone, page + 511));
		CHECK(wi_zone_is_vacant(zone, page));
	}
	avoided(first, nr);
	generation = wi_zone_generation(zone);
	for (uint64_t page = first; page < first + nr; page += 512) {
		wi_zone_return(zone, page);
		CHECK(!wi_zone_is_vacant(zone, page));
	}
	CHECK(wi_zone_generation(zone) != generation);
	has(PAGES, 0);
}

/* As many bits as there are pages out, or all. */
static void used(uint64_t page, unsigned nr)
{
	uint64_t words[8];
	unsigned sum = 0;

	CHECK(!wi_zone_is_vacant(zone, page));
	wi_zone_read_used(zone, page, words);
	for (unsigned i = 0; i < 512; i++)
		sum += words[i / 64] >> i % 64 & 1;
	CHECK_EQ(sum, nr);
}

/* Singles and a run below a block are out; they come back one by one. */
static void partial_block(void)
{
	const uint64_t a = claim(0), b = claim(0), c = claim(3),
		       block = a & ~UINT64_C(511);
	uint64_t other;

	CHECK(b / 512 == a / 512 && c / 512 == a / 512);
	wi_zone_isolate(zone, a);
	has(PAGES - 512, 502);
	used(a, 10);
	other = claim(0);
	CHECK(other / 512 != a / 512);
	release(0, other);
	release(0, a);
	used(a, 9);
	release(3, c);
	used(a, 1);
	CHECK(!wi_zone_is_free(zone, b) && wi_zone_is_free(zone, a));
	wi_zone_return(zone, a); /* undone */
	has(PAGES - 1, 0);
	CHECK_EQ(claim(0) & ~UINT64_C(511), block);
	wi_zone_isolate(zone, a);
	used(a, 2);
}

/* Blocks of a run that was allocated whole: its head, an inner one, all. */
static void whole_blocks(unsigned mask)
{
	const uint64_t run = claim(11);
	unsigned nr = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (!(mask >> i & 1))
			continue;
		nr++;
		wi_zone_isolate(zone, run + i * 512);
		used(run + i * 512, 512);
	}
	has(PAGES - 2048, 0);
	release(11, run);
	has(PAGES - nr * 512, nr * 512);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(wi_zone_is_vacant(zone, run + i * 512), mask >> i & 1);
	for (unsigned i = 0; i < 4; i++)
		if (mask >> i & 1)
			wi_zone_return(zone, run + i * 512);
	has(PAGES, 0);
}

/* What is no page of the caller's is refused as without the bit. */
static void wrong_releases(void)
{
	const uint64_t page = 512, run = claim(10);
	size_t bad;

	wi_zone_isolate(zone, page);
	wi_zone_isolate(zone, run);
	CHECK_EQ(wi_zone_release(zone, 0, &page, 1, &bad),
		 page / 512 - run / 512 < 2 ? WI_ZONE_WRONG_ORDER
					    : WI_ZONE_DOUBLE_FREE);
	CHECK_EQ(wi_zone_release(zone, 9, &run, 1, &bad), WI_ZONE_WRONG_ORDER);
	CHECK_EQ(wi_zone_release(zone, 11, &(uint64_t){ run & ~2047 }, 1, &bad),
		 WI_ZONE_WRONG_ORDER);
	release(10, run);
	CHECK_EQ(wi_zone_release(zone, 10, &run, 1, &bad), WI_ZONE_DOUBLE_FREE);
	wi_zone_return(zone, page);
	if (wi_zone_is_isolated(zone, run))
		wi_zone_return(zone, run);
	has(PAGES, 0);
}

/* A claim holds a ticket, and has not set its bit: not vacant, all may be it.
 */
static void ticket_held(void)
{
	*wi_zone_state(zone, 9) += 1;
	wi_zone_settle(zone, 9, 1);
	wi_zone_isolate(zone, 9 * 512);
	used(9 * 512, 512);
	wi_zone_put_tickets(zone, 9, 1);
	CHECK(wi_zone_is_vacant(zone, 9 * 512));
	wi_zone_return(zone, 9 * 512);
	has(PAGES, 0);
}

int main(void)
{
	make();
	free_blocks(0, 512);
	free_blocks(62 * 512, 4 * 512); /* on both sides of a word's end */
	free_blocks(0, PAGES);
	for (unsigned mask = 1; mask < 16; mask++)
		whole_blocks(mask);
	wrong_releases();
	ticket_held();
	partial_block();
	free(zone);
	return 0;
}
