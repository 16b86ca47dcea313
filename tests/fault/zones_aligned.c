/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a run is not aligned to its size, in its pool or in memory:
 * because its zone begins elsewhere, or the pool's memory does.
 */
#include <sys/mman.h>

#include "fault.h"
#include "seccomp.h"

#define MIB (UINT64_C(1) << 20)
#define RUNS_MAX 4096

static struct {
	unsigned pools, runs, zones;
} * told;

static void *page[RUNS_MAX];

/* Every run of an order that there is, and what the statistics say of them. */
static uint64_t check_order(struct weir_pool *pool, unsigned order)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	uint64_t n = 0, said = 0;
	size_t page_size;
	void *base;

	CHECK_EQ(weir_pool_range(pool, &base, NULL, &page_size), 0);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	for (unsigned i = 0; i < stat.nr_zones; i++) {
		struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;

		CHECK_EQ(weir_stat_read_zone(pool, i, &zone), 0);
		said += zone.free_runs[order];
	}
	while (n < RUNS_MAX && (page[n] = weir_alloc(pool, order, 0)) != NULL) {
		const uint64_t run = (uint64_t)page_size << order;

		CHECK_MSG((uint64_t)((char *)page[n] - (char *)base) % run == 0,
			  "order %u begins at page %" PRIu64, order,
			  (uint64_t)((char *)page[n] - (char *)base) /
				  page_size);
		CHECK_MSG((uintptr_t)page[n] % run == 0,
			  "order %u begins at %p", order, page[n]);
		n++;
	}
	if (n < RUNS_MAX) {
		CHECK_EQ(errno, ENOMEM);
		CHECK_MSG(n == said,
			  "order %u: %" PRIu64 " of %" PRIu64 " runs", order, n,
			  said);
	}
	for (uint64_t i = 0; i < n; i++)
		weir_free(pool, page[i], order);
	told->runs += (unsigned)n;
	return n;
}

static void check_pool(uint64_t capacity, uint64_t page_size, unsigned zones)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_pool *pool;

	opts.capacity = capacity;
	opts.page_size = page_size;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_MSG(stat.nr_zones == zones, "%u zones", (unsigned)stat.nr_zones);
	for (unsigned order = 8; order <= WEIR_ORDER_MAX; order++) {
		uint64_t n = check_order(pool, order);

		/* The first zone has half of them or more. */
		CHECK_MSG(n >= (stat.pages / zones) >> order,
			  "order %u: %" PRIu64, order, n);
	}
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	told->zones += zones;
	told->pools++;
}

/* As the fixture has two nodes; what binds to them seems to work. */
static void two_nodes(void *unused)
{
	static const struct refusal bind = { .nr = SYS_mbind };

	(void)unused;
	if (!fixture_as_sys("sys-two-node"))
		exit(77);
	may_use_nodes("0-1");
	seccomp_refuse(&bind, 1);
	check_pool(64 * MIB, 4096, 2);
	check_pool(44 * MIB, 4096, 2); /* halves of 5632 pages */
	check_pool(45 * MIB, 4096, 2);
	check_pool(1000 * MIB, 4096, 2);
	check_pool(7 * MIB, 256, 2);
	check_pool(2051 * MIB + 12288, 4096, 2);
}

int main(void)
{
	int status;

	told = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(told != MAP_FAILED);
	warm_up();
	check_pool(44 * MIB, 4096, 1);
	if (!CHECK_HAS_ASAN) { /* its shadow leaves no such addresses */
		check_pool(4096 * MIB, 2 * MIB, 1);
		check_pool(9000 * MIB, 2 * MIB, 1);
		check_pool(24576 * MIB, 1024 * MIB, 1);
	}
	status = end_child(start_child(two_nodes, NULL));
	if (status == 77)
		printf("left out: two nodes (a file system of one's own takes "
		       "root)\n");
	else
		CHECK_EQ(status, 0);
	printf("figures: %u runs of %u pools with %u zones\n", told->runs,
	       told->pools, told->zones);
	return 0;
}
