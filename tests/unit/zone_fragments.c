/* SPDX-License-Identifier: MIT */
/*
 * If this fails, single pages spread over the zone where fuller blocks would
 * hold them, and whole blocks run out while half of the pages are free.
 */
#include <string.h>

#include "check.h"
#include "zone/zone.h"

#define NR_BLOCKS 128
#define NR_PAGES (UINT64_C(512) * NR_BLOCKS)
#define NR_USED (NR_PAGES / 2)
#define BATCH 64

static uint64_t seed = 31337;
static uint64_t pages[NR_PAGES];
static struct wi_zone *zone;

static void claim(uint64_t *to, uint64_t nr, uint32_t *cursor)
{
	for (uint64_t got = 0; got < nr;) {
		size_t n = wi_zone_claim(zone, 0, nr - got, to + got, cursor);

		CHECK(n > 0);
		got += n;
	}
}

static void release(const uint64_t *from, size_t nr)
{
	size_t bad;

	CHECK_EQ(wi_zone_release(zone, 0, from, nr, &bad), WI_ZONE_OK);
}

static void shuffle(uint64_t nr)
{
	for (uint64_t i = nr - 1; i > 0; i--) {
		uint64_t j = check_random(&seed) % (i + 1), page = pages[i];

		pages[i] = pages[j];
		pages[j] = page;
	}
}

int main(void)
{
	size_t bytes = (wi_zone_bytes(NR_PAGES) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);
	uint32_t cursors[4] = { 0, 0, 0, 0 };
	uint64_t whole;

	CHECK(memory);
	memset(memory, 0, bytes);
	zone = wi_zone_init(memory, NR_PAGES);

	/* Every block half full, at random. */
	claim(pages, NR_PAGES, &cursors[0]);
	shuffle(NR_PAGES);
	release(pages + NR_USED, NR_PAGES - NR_USED);
	CHECK_EQ(wi_zone_nr_free_runs(zone, 9), 0);

	/* Random pages back, as many out, by four CPUs in turn. */
	for (unsigned turn = 0; turn < 16 * NR_USED / BATCH; turn++) {
		uint64_t batch[BATCH];

		for (unsigned i = 0; i < BATCH; i++) {
			uint64_t at = check_random(&seed) % (NR_USED - i);

			batch[i] = pages[at];
			pages[at] = pages[NR_USED - 1 - i];
		}
		release(batch, BATCH);
		claim(pages + NR_USED - BATCH, BATCH, &cursors[turn % 4]);
	}
	whole = wi_zone_nr_free_runs(zone, 9);
	printf("%" PRIu64 " whole blocks free, %d possible\n", whole,
	       NR_BLOCKS / 2);
	CHECK(whole * 100 >= NR_BLOCKS / 2 * 96);
	CHECK(wi_zone_is_valid(zone));
	free(memory);
	return 0;
}
