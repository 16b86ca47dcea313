/* SPDX-License-Identifier: MIT */
/*
 * If this fails, making a zone of 2^28 pages touches more than a few lines of
 * its metadata, or a search in it is a walk.
 */
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "zone/zone.h"

#define NR_PAGES (UINT64_C(1) << 28)

static uint64_t nr_resident(char *memory, size_t bytes)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	size_t n = (bytes + size - 1) / size;
	unsigned char *in = malloc(n);
	uint64_t nr = 0;

	CHECK(in);
	CHECK_EQ(mincore(memory, bytes, in), 0);
	for (size_t i = 0; i < n; i++)
		nr += in[i] & 1;
	free(in);
	return nr;
}

static void check_size(uint64_t nr_pages)
{
	size_t bytes = wi_zone_bytes(nr_pages), bad;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t page[19], nr;
	uint32_t cursor = 0;
	struct wi_zone *z;

	CHECK(memory != MAP_FAILED);
	CHECK_EQ(madvise(memory, bytes, MADV_NOHUGEPAGE), 0);
	CHECK((double)bytes < 0.15 * (double)nr_pages);
	z = wi_zone_init(memory, nr_pages);
	CHECK(nr_resident(memory, bytes) <= 24);
	for (unsigned order = 0; order <= WI_ZONE_ORDER_MAX; order++)
		CHECK_EQ(wi_zone_claim(z, order, 1, &page[order], &cursor), 1);
	nr = nr_resident(memory, bytes);
	CHECK_MSG(nr <= 32, "%" PRIu64 " pages of metadata touched", nr);
	for (unsigned order = 0; order <= WI_ZONE_ORDER_MAX; order++)
		CHECK_EQ(wi_zone_release(z, order, &page[order], 1, &bad),
			 WI_ZONE_OK);
	CHECK_EQ(wi_zone_nr_free(z), nr_pages);
	CHECK_EQ(munmap(memory, bytes), 0);
}

int main(void)
{
	check_size(NR_PAGES);
	check_size(NR_PAGES - 1);
	check_size(NR_PAGES + 512 * 64 + 1);
	return 0;
}
