/* SPDX-License-Identifier: MIT */
/*
 * If this fails, memory comes from the wrong node, or a page that was freed
 * far from home is lost to its zone.
 *
 * Two nodes, two CPUs each. Where a page lies is asked of the kernel, by
 * get_mempolicy() and by move_pages(); the statistics must say the same.
 */
#include "shared/crowd.h"

#include <linux/mempolicy.h>

#define PAGES (UINT64_C(32) * 512) /* 64 MiB, half of it on each node */
#define HALF (PAGES / 2)

static struct weir_pool *pool;
static char *base;
static void *pages[PAGES + 1];
static uint64_t looked_up;

/* --- what the kernel says ---------------------------------------------- */

static int node_of_cpu(unsigned cpu)
{
	char path[80];

	for (int node = 0; node < 2; node++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/cpu/cpu%u/node%d", cpu, node);
		if (access(path, F_OK) == 0)
			return node;
	}
	return -1;
}

/* The node where each page of a run lies; it is touched first. */
static void expect_node(char *page, unsigned order, int node)
{
	void *each[512];
	int status[512], said = -1;
	const uint64_t n = UINT64_C(1) << order;

	CHECK(n <= 512);
	for (uint64_t i = 0; i < n; i++) {
		each[i] = page + 4096 * i;
		page[4096 * i + 17] = 1;
	}
	CHECK_EQ(syscall(SYS_get_mempolicy, &said, NULL, 0L, page,
			 (unsigned long)(MPOL_F_NODE | MPOL_F_ADDR)),
		 0);
	CHECK_EQ(said, node);
	CHECK_EQ(syscall(SYS_move_pages, 0, n, each, NULL, status, 0), 0);
	for (uint64_t i = 0; i < n; i++)
		CHECK_MSG(status[i] == node,
			  "page %#tx lies on node %d, not on %d",
			  (char *)each[i] - base, status[i], node);
	looked_up += n;
}

/* --- statistics -------------------------------------------------------- */

static struct weir_stat_zone zone_stat(unsigned zone)
{
	struct weir_stat_zone stat = WEIR_STAT_ZONE_INIT;

	CHECK_EQ(weir_stat_read_zone(pool, zone, &stat), 0);
	return stat;
}

static uint64_t cached(unsigned zone, unsigned cpu)
{
	struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;

	CHECK_EQ(weir_stat_read_cpu(pool, zone, cpu, &stat), 0);
	return stat.cached;
}

static void drain_all(void)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	opts.wait_ns = 5000000000;
	CHECK_EQ(weir_drain(pool, &opts, NULL), 0);
}

static void expect_whole(void)
{
	drain_all();
	for (unsigned zone = 0; zone < 2; zone++) {
		struct weir_stat_zone stat = zone_stat(zone);

		CHECK_EQ(stat.free, stat.pages);
		CHECK_EQ(stat.free_runs[9], stat.pages / 512);
	}
}

static void make(unsigned flags, int node, const char *quiet)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.flags = flags;
	opts.node = node;
	opts.quiet_cpus = quiet;
	opts.wait_ns = 20000000;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
}

static void unmake(void)
{
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

/* --- from one's own node ----------------------------------------------- */

static void two_zones(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.nr_zones, 2);
	for (unsigned zone = 0; zone < 2; zone++) {
		CHECK_EQ(zone_stat(zone).node, zone);
		CHECK_EQ(zone_stat(zone).pages, HALF);
	}
	expect_whole();
}

static void near(void *unused)
{
	static const unsigned orders[] = { 0, 1, 2, 3, 5, 9 };
	const int node = node_of_cpu((unsigned)sched_getcpu());
	void *run[6];

	(void)unused;
	CHECK(node >= 0);
	for (unsigned i = 0; i < 300; i++) {
		CHECK((pages[i] = weir_fast_alloc(pool, 0, 0)) != NULL);
		expect_node(pages[i], 0, node);
	}
	weir_free_bulk(pool, 0, pages, 300);
	CHECK_EQ(weir_alloc_bulk(pool, 1, pages, 50, WEIR_THISNODE), 0);
	for (unsigned i = 0; i < 50; i++)
		expect_node(pages[i], 1, node);
	weir_free_bulk(pool, 1, pages, 50);
	for (unsigned i = 0; i < 6; i++) {
		run[i] = weir_alloc(pool, orders[i], i & 1 ? WEIR_ZERO : 0);
		CHECK(run[i] != NULL);
		expect_node(run[i], orders[i], node);
	}
	for (unsigned i = 0; i < 6; i++)
		weir_free(pool, run[i], orders[i]);
}

/* --- inlined, on either node -------------------------------------------- */

/* The linker sends this file's calls of the library here (--wrap): what the
 * inlined functions do without a call is not counted. */
static unsigned nr_calls;
static uint64_t nr_inlined, nr_called;

void *__real_weir_alloc(struct weir_pool *, unsigned, unsigned);
void __real_weir_free(struct weir_pool *, void *, unsigned);
int __real_weir_alloc_bulk(struct weir_pool *, unsigned, void **, size_t,
			   unsigned);
void __real_weir_free_bulk(struct weir_pool *, unsigned, void *const *, size_t);
void *__wrap_weir_alloc(struct weir_pool *, unsigned, unsigned);
void __wrap_weir_free(struct weir_pool *, void *, unsigned);
int __wrap_weir_alloc_bulk(struct weir_pool *, unsigned, void **, size_t,
			   unsigned);
void __wrap_weir_free_bulk(struct weir_pool *, unsigned, void *const *, size_t);

void *__wrap_weir_alloc(struct weir_pool *p, unsigned order, unsigned flags)
{
	nr_calls++;
	return __real_weir_alloc(p, order, flags);
}

void __wrap_weir_free(struct weir_pool *p, void *page, unsigned order)
{
	nr_calls++;
	__real_weir_free(p, page, order);
}

int __wrap_weir_alloc_bulk(struct weir_pool *p, unsigned order, void **to,
			   size_t n, unsigned flags)
{
	nr_calls++;
	return __real_weir_alloc_bulk(p, order, to, n, flags);
}

void __wrap_weir_free_bulk(struct weir_pool *p, unsigned order,
			   void *const *from, size_t n)
{
	nr_calls++;
	__real_weir_free_bulk(p, order, from, n);
}

#define TURNS 5000

static void pairs_and_bulks(void)
{
	for (unsigned i = 0; i < TURNS; i++) {
		weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
		weir_fast_free(pool, weir_fast_alloc(pool, 3, 0), 3);
		CHECK_EQ(weir_fast_alloc_bulk(pool, 0, pages, 32, 0), 0);
		weir_fast_free_bulk(pool, 0, pages, 32);
	}
}

/* All but the few sequences that the timer aborts stay inlined. */
static void inlined(void *unused)
{
	(void)unused;
	pairs_and_bulks(); /* the lists have pages now */
	nr_calls = 0;
	pairs_and_bulks();
	CHECK_MSG(nr_calls <= 6 * TURNS / 100, "%u of %u operations were calls",
		  nr_calls, 6 * TURNS);
	nr_inlined += 6 * TURNS - nr_calls;
	nr_called += nr_calls;
	nr_calls = 0;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	CHECK_EQ(nr_calls, 2); /* the count is not blind */
}

/* --- when it is empty -------------------------------------------------- */

static void expect_empty_node(void)
{
	CHECK(weir_alloc(pool, 0, WEIR_THISNODE) == NULL);
	CHECK_EQ(errno, ENOMEM);
	CHECK(weir_alloc(pool, 0, WEIR_THISNODE | WEIR_NOWAIT) == NULL);
	CHECK_EQ(errno, EAGAIN);
	CHECK(weir_alloc(pool, 3, WEIR_THISNODE) == NULL);
	CHECK_EQ(errno, ENOMEM);
}

static void overflow(void *unused)
{
	const int node = node_of_cpu((unsigned)sched_getcpu());
	uint64_t n = 0;

	(void)unused;
	for (; n < HALF; n++) {
		CHECK((pages[n] = weir_alloc(pool, 0, WEIR_THISNODE)) != NULL);
		if (n % 16 == 0)
			expect_node(pages[n], 0, node);
	}
	CHECK_EQ(zone_stat((unsigned)node).free, 0);
	expect_empty_node();
	/* The far node has all, as far as nobody's list has some. */
	for (; n < PAGES; n++) {
		CHECK((pages[n] = weir_alloc(pool, 0, 0)) != NULL);
		if (n % 16 == 0)
			expect_node(pages[n], 0, !node);
	}
	CHECK(weir_alloc(pool, 0, 0) == NULL);
	CHECK_EQ(errno, ENOMEM);
	weir_free_bulk(pool, 0, pages, PAGES);
}

/* --- pages come home --------------------------------------------------- */

struct visitor {
	unsigned nr;
	unsigned zone; /* of the pages it frees */
};

static void free_them(void *arg)
{
	const struct visitor *v = arg;
	const unsigned cpu = (unsigned)sched_getcpu();
	uint64_t before = cached(v->zone, cpu);

	for (unsigned i = 0; i < v->nr; i++)
		weir_fast_free(pool, pages[i], 0);
	/* Kept here, for its own zone. */
	CHECK(cached(v->zone, cpu) > before);
}

static void allocate_here(void *arg)
{
	const struct visitor *v = arg;

	for (unsigned i = 0; i < v->nr; i++) {
		CHECK((pages[i] = weir_alloc(pool, 0, 0)) != NULL);
		expect_node(pages[i], 0, (int)v->zone);
	}
}

/* Allocated by a CPU of one node, freed by one of the other. */
static void come_home(int from, int to)
{
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;
	struct visitor v = { .nr = 200,
			     .zone = (unsigned)node_of_cpu((unsigned)from) };
	const unsigned far = !v.zone;
	struct weir_stat_zone before;
	uint64_t kept;

	drain_all();
	before = zone_stat(v.zone);
	run_on(from, allocate_here, &v);
	drain_all();
	CHECK_EQ(zone_stat(v.zone).free, before.free - v.nr);
	run_on(to, free_them, &v);
	CHECK_EQ(cached(far, (unsigned)to), 0);
	kept = cached(v.zone, (unsigned)to);
	CHECK_EQ(weir_drain(pool, NULL, &r), 0);
	CHECK_EQ(r.pages, kept);
	CHECK_EQ(r.cpus_drained, 1);
	CHECK_EQ(zone_stat(v.zone).free, before.free);
	expect_whole();
	/* And the memory: what that zone gives lies where it lay. */
	run_on(from, allocate_here, &v);
	run_on(to, free_them, &v);
}

/* Every CPU keeps pages of both zones: a drain finds them all. */
static void both_zones(void)
{
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;
	struct visitor v[2] = { { 100, 0 }, { 100, 1 } };
	uint64_t kept = 0;

	drain_all();
	for (int cpu = 0; cpu < 4; cpu++)
		for (unsigned zone = 0; zone < 2; zone++) {
			run_on(zone == 0 ? 0 : 2, allocate_here, &v[zone]);
			run_on(cpu, free_them, &v[zone]);
		}
	for (unsigned cpu = 0; cpu < 4; cpu++)
		for (unsigned zone = 0; zone < 2; zone++) {
			CHECK(cached(zone, cpu) > 0);
			kept += cached(zone, cpu);
		}
	CHECK_EQ(weir_drain(pool, NULL, &r), 0);
	CHECK_EQ(r.pages, kept);
	CHECK_EQ(r.cpus_drained, 4);
	CHECK_EQ(r.by_progress + r.by_not_busy + r.by_membarrier, 8);
	expect_whole();
}

/* --- a pool of one node ------------------------------------------------ */

static void all_near_one(void *arg)
{
	const int node = *(int *)arg;
	uint64_t n;

	for (n = 0; n < PAGES; n++) {
		CHECK((pages[n] = weir_fast_alloc(pool, 0, 0)) != NULL);
		if (n % 16 == 0)
			expect_node(pages[n], 0, node);
	}
	CHECK(weir_alloc(pool, 0, 0) == NULL);
	CHECK_EQ(errno, ENOMEM);
	weir_free_bulk(pool, 0, pages, PAGES);
	/* Of one zone: there is no other that the flag could exclude. */
	CHECK((pages[0] = weir_alloc(pool, 0, WEIR_THISNODE)) != NULL);
	expect_node(pages[0], 0, node);
	weir_free(pool, pages[0], 0);
	drain_all();
}

static void bound(int node, unsigned flags)
{
	make(flags, node, "");
	CHECK_EQ(zone_stat(0).pages, PAGES);
	CHECK_EQ(zone_stat(0).node, node);
	for (int cpu = 0; cpu < 4; cpu += 2)
		run_on(cpu, all_near_one, &node);
	unmake();
}

/* --- a CPU that was offline when the pool was made --------------------- */

static void late(void)
{
	guest_plug(3, false);
	make(0, WEIR_NODE_ANY, NULL);
	guest_plug(3, true);
	run_on(3, near, NULL);
	expect_whole();
	unmake();
}

static void nap(struct member *self)
{
	(void)self;
	crowd_nap(1000000);
}

static void crowds(void)
{
	struct crowd_run runs[] = {
		{ .name = "two zones, quiet", .quiet = "1-3" },
		{ .name = "two zones, ordinary", .quiet = "" },
		{ .name = "two zones, polling", .quiet = "", .polling = "1-3" },
	};

	for (unsigned i = 0; i < 3; i++) {
		runs[i].pages = 2 * 8 * 512;
		runs[i].disturb = nap;
		runs[i].seconds = guest_long() ? 8 : 1;
		crowd_go(&runs[i]);
	}
}

int main(void)
{
	static const char *const quiet[] = { "1-3", "" };

	guest_begin(4);
	if (node_of_cpu(0) != 0 || node_of_cpu(3) != 1)
		SKIP("this needs two nodes of two CPUs");
	for (unsigned i = 0; i < 4; i++) {
		make(i & 2 ? WEIR_POOL_PREFAULT : 0, WEIR_NODE_ANY,
		     quiet[i & 1]);
		two_zones();
		for (int cpu = 0; cpu < 4; cpu++)
			run_on(cpu, near, NULL);
		for (int cpu = 0; cpu < 4; cpu++)
			run_on(cpu, inlined, NULL);
		expect_whole();
		run_on((int)i, overflow, NULL);
		expect_whole();
		come_home(0, 3);
		come_home(3, 1);
		both_zones();
		unmake();
	}
	bound(0, 0);
	bound(1, WEIR_POOL_PREFAULT);
	late();
	crowds();
	printf("figures: %" PRIu64 " pages found on their node; %" PRIu64
	       " operations inlined, %" PRIu64 " were calls; crowd of two "
	       "zones: %.0f operations, %" PRIu64 " drains\n",
	       looked_up, nr_inlined, nr_called, crowd_sum.ops,
	       crowd_sum.drains);
	return 0;
}
