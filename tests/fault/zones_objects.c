/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool of two nodes whose page_size is no power of two has a
 * page of the kernel that belongs to both, loses a page or gives one to the
 * wrong zone.
 */
#include <sys/mman.h>

#include <weir/fast.h>

#include "fault.h"
#include "seccomp.h"

#define MIB (UINT64_C(1) << 20)
#define BULK 64

static struct {
	unsigned pools, huge;
	uint64_t pages;
} * told;

static struct weir_pool *pool;
static char *base;
static uint64_t page, nr;
static uint64_t first; /* page of the second zone */

static void create(uint64_t page_size, uint64_t capacity, unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;

	opts.page_size = page_size;
	opts.capacity = capacity;
	opts.flags = flags;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, &page), 0);
	nr = capacity / page_size;
	CHECK_EQ(weir_stat_read_zone(pool, 1, &zone), 0);
	CHECK_EQ(zone.node, 1);
	CHECK_EQ(weir_stat_read_zone(pool, 0, &zone), 0);
	CHECK_EQ(zone.node, 0);
	first = zone.pages;
	CHECK_MSG(((uintptr_t)base + first * page) %
				  (uintptr_t)sysconf(_SC_PAGESIZE) ==
			  0,
		  "a zone begins at byte %" PRIu64, first * page);
}

static unsigned zone_of(const void *p)
{
	struct weir_stat_page stat = WEIR_STAT_PAGE_INIT;

	CHECK_EQ(weir_stat_read_page(p, &stat), 0);
	CHECK_EQ(stat.index, (uint64_t)((const char *)p - base) / page);
	CHECK_EQ(stat.zone, stat.index >= first);
	return stat.zone;
}

/* All of them, at first those of one's own node; back singly, or in bulks of
 * both zones. */
static void all_pages(bool bulk)
{
	uint64_t n = 0, zone[2] = { 0, 0 };
	uint8_t *seen = calloc(nr, 1);
	void **pages = calloc(nr, sizeof(*pages));

	CHECK(pages != NULL && seen != NULL);
	while (n < nr && (pages[n] = weir_fast_alloc(pool, 0, 0)) != NULL) {
		const uint64_t at = (uint64_t)((char *)pages[n] - base);

		CHECK_EQ(at % page, 0);
		CHECK_EQ(seen[at / page]++, 0);
		if (n % 997 == 0)
			zone_of(pages[n]);
		zone[at / page >= first]++;
		n++;
	}
	CHECK_EQ(n, nr);
	CHECK_EQ(zone[0], first);
	CHECK(weir_alloc(pool, 0, 0) == NULL);
	CHECK_EQ(errno, ENOMEM);
	for (uint64_t i = 0; i < nr / 2; i += 2) { /* mix the zones */
		void *other = pages[nr - 1 - i];

		pages[nr - 1 - i] = pages[i];
		pages[i] = other;
	}
	for (uint64_t i = 0; i < nr; i += bulk ? BULK : 1)
		if (bulk)
			weir_free_bulk(pool, 0, pages + i,
				       nr - i < BULK ? nr - i : BULK);
		else
			weir_fast_free(pool, pages[i], 0);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	told->pages += nr;
	free(seen);
	free(pages);
}

static void of_size(uint64_t page_size, uint64_t capacity, unsigned flags)
{
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;

	create(page_size, capacity, flags);
	all_pages(false);
	all_pages(true);
	CHECK_EQ(weir_stat_read_zone(pool, 1, &zone), 0);
	CHECK_EQ(zone.free, zone.pages);
	CHECK_EQ(zone.free_runs[1], 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	told->pools++;
}

/* A huge page belongs to one node. (Left out where so many are not reserved:
 * they are the system's.) */
static void of_huge_pages(uint64_t page_size)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;

	opts.page_size = page_size;
	opts.capacity = 100 * MIB;
	opts.backing = WEIR_BACKING_HUGETLB;
	if (weir_pool_create(&pool, &opts) != 0)
		return;
	CHECK_EQ(weir_stat_read_zone(pool, 0, &zone), 0);
	CHECK(zone.pages < opts.capacity / page_size);
	CHECK_EQ(zone.pages * page_size % (2 * MIB), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	told->huge++;
}

static void two_nodes(void *unused)
{
	static const struct refusal bind = { .nr = SYS_mbind };
	static const unsigned flags[] = { 0, WEIR_POOL_CHECKED,
					  WEIR_POOL_NO_RSEQ };

	(void)unused;
	if (!fixture_as_sys("sys-two-node"))
		exit(77);
	may_use_nodes("0-1");
	seccomp_refuse(&bind, 1);
	for (unsigned i = 0; i < 3; i++) {
		of_size(192, 2 * MIB, flags[i]);
		of_size(192, 3 * MIB + 100, flags[i]);
		of_size(2176, 40 * MIB, flags[i]);
		of_size(4096 + 64, 50 * MIB, flags[i]);
	}
	of_huge_pages(2176);
	of_huge_pages(3 * 4096);
}

int main(void)
{
	int status;

	told = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(told != MAP_FAILED);
	warm_up();
	status = end_child(start_child(two_nodes, NULL));
	if (status == 77)
		SKIP("two nodes: a file system of one's own takes root");
	CHECK_EQ(status, 0);
	printf("figures: %" PRIu64 " pages of %u pools with two zones; %u of "
	       "huge pages\n",
	       told->pages, told->pools, told->huge);
	return 0;
}
