/* SPDX-License-Identifier: MIT */
/*
 * If this fails, some order cannot be claimed to the last run, is misaligned,
 * overlaps, or does not come back whole; or a zone whose size is odd gives
 * pages that do not exist.
 */
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "zone/zone.h"

static const uint64_t sizes[] = {
	1,
	2,
	63,
	64,
	65,
	511,
	512,
	513,
	1000,
	1024,
	512 * 5,
	512 * 63,
	512 * 64,
	512 * 64 + 1,
	512 * 65,
	512 * 512,
	512 * 1024 + 300,
	512 * 4097,
};
static const size_t batches[] = { 1, 3, 64, 67, 1000 };

static uint64_t *pages;
static unsigned char *used;

static struct wi_zone *make(uint64_t nr_pages)
{
	size_t bytes = (wi_zone_bytes(nr_pages) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);

	CHECK(memory);
	CHECK(bytes <= nr_pages * 0.15 + 1024);
	memset(memory, 0, bytes);
	return wi_zone_init(memory, nr_pages);
}

static void mark(uint64_t page, unsigned order, uint64_t nr_pages)
{
	uint64_t n = UINT64_C(1) << order;

	CHECK_EQ(page % n, 0);
	CHECK(page + n <= nr_pages);
	for (uint64_t i = page; i < page + n; i++)
		CHECK_MSG(!used[i]++, "page %" PRIu64 " twice", i);
}

/* Claims until nothing is left; pages[] holds the runs. */
static uint64_t claim_all(struct wi_zone *z, unsigned order, size_t batch)
{
	uint64_t nr = 0;
	uint32_t cursor = 0;
	size_t n;

	while ((n = wi_zone_claim(z, order, batch, pages + nr, &cursor)) > 0) {
		CHECK(n <= batch);
		for (size_t i = 0; i < n; i++)
			mark(pages[nr + i], order, wi_zone_nr_pages(z));
		nr += n;
	}
	return nr;
}

static void release_all(struct wi_zone *z, unsigned order, uint64_t nr,
			size_t batch)
{
	size_t bad;

	for (uint64_t i = 0; i < nr; i += batch) {
		size_t n = batch < nr - i ? batch : (size_t)(nr - i);

		CHECK_EQ(wi_zone_release(z, order, pages + i, n, &bad),
			 WI_ZONE_OK);
	}
}

static void all_out_and_back(struct wi_zone *z, unsigned order, size_t batch)
{
	uint64_t size = wi_zone_nr_pages(z);
	uint64_t expected = size >> order, nr;

	CHECK_EQ(wi_zone_nr_free_runs(z, order), expected);
	memset(used, 0, size);
	nr = claim_all(z, order, batch);
	CHECK_EQ(nr, expected);
	CHECK_EQ(wi_zone_nr_free(z), size - (nr << order));
	CHECK_EQ(wi_zone_nr_free_runs(z, order), 0);
	for (uint64_t i = 0; i < size; i++)
		CHECK_EQ(wi_zone_is_free(z, i), !used[i]);
	CHECK(wi_zone_is_valid(z));
	release_all(z, order, nr, batch);
	CHECK_EQ(wi_zone_nr_free(z), size);
	CHECK(wi_zone_is_valid(z));
}

/* Runs of orders 1 to 8 come back in every smaller size. */
static void back_in_parts(struct wi_zone *z, unsigned order)
{
	for (unsigned part = 0; part < order; part++) {
		uint64_t nr;

		memset(used, 0, wi_zone_nr_pages(z));
		nr = claim_all(z, order, 64);
		for (uint64_t i = nr; i-- > 0;) {
			uint64_t first = pages[i];
			uint64_t n = UINT64_C(1) << (order - part);

			for (uint64_t j = 0; j < n; j++)
				pages[i * n + j] = first + (j << part);
		}
		release_all(z, part, nr << (order - part), 61);
		CHECK_EQ(wi_zone_nr_free(z), wi_zone_nr_pages(z));
		CHECK(wi_zone_is_valid(z));
	}
}

/* What is left beside runs of any order is all there, as single pages. */
static void rest_in_pages(struct wi_zone *z)
{
	uint64_t size = wi_zone_nr_pages(z), runs[2 * 19], nr;
	unsigned n = 0;
	size_t bad;

	memset(used, 0, size);
	for (unsigned order = 0; order <= WI_ZONE_ORDER_MAX; order++) {
		uint32_t cursor = UINT32_MAX;

		runs[2 * n + 1] = order;
		if (wi_zone_claim(z, order, 1, &runs[2 * n], &cursor) == 1)
			mark(runs[2 * n++], order, size);
	}
	nr = claim_all(z, 0, 64);
	CHECK_EQ(wi_zone_nr_free(z), 0);
	for (uint64_t i = 0; i < size; i++)
		CHECK(used[i]);
	CHECK(wi_zone_is_valid(z));
	release_all(z, 0, nr, 64);
	while (n-- > 0)
		CHECK_EQ(wi_zone_release(z, (unsigned)runs[2 * n + 1],
					 &runs[2 * n], 1, &bad),
			 WI_ZONE_OK);
	CHECK_EQ(wi_zone_nr_free(z), size);
	CHECK(wi_zone_is_valid(z));
}

int main(void)
{
	uint64_t most = 512 * 4097;

	pages = malloc(most * sizeof(*pages));
	used = malloc(most);
	CHECK(pages && used);
	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct wi_zone *z = make(sizes[s]);
		bool small = sizes[s] <= 512 * 512;

		CHECK_EQ(wi_zone_nr_pages(z), sizes[s]);
		CHECK(wi_zone_is_valid(z));
		for (unsigned o = 0; o <= WI_ZONE_ORDER_MAX; o++)
			for (unsigned b = small ? 0 : 2; b < (small ? 5 : 4);
			     b++)
				all_out_and_back(z, o, batches[b]);
		for (unsigned o = 1; small && o <= 8; o++)
			back_in_parts(z, o);
		rest_in_pages(z);
		free(z);
	}
	free(pages);
	free(used);
	return 0;
}
