/* SPDX-License-Identifier: MIT */
/*
 * If this fails, limits do not follow demand, or the lists of all CPUs may hold
 * more than before, or a CPU that works again stays with the little it had.
 */
#include <weir/fast.h>
#include <weir/stat.h>

#include "helpers.h"
#include "percpu/drain.h"

#define LIMIT 64
#define DEPTH 200 /* runs out and back, more than a list may hold */

static struct weir_pool *pool;
static int cpu[2];

static unsigned limit_of(unsigned which)
{
	struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;

	CHECK_EQ(weir_stat_read_cpu(pool, 0, which, &stat), 0);
	return stat.list[0].high;
}

/* Of all CPUs; those that are not online have the limit to begin with. */
static unsigned sum_of_limits(unsigned *nr)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	unsigned sum = 0;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	for (unsigned i = 0; i < stat.nr_cpus; i++)
		sum += limit_of(i);
	*nr = stat.nr_cpus;
	return sum;
}

/* Visits its zone often. */
static void work(void *unused)
{
	static void *pages[2][DEPTH];
	void **page = pages[sched_getcpu() == cpu[1]];

	(void)unused;
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < DEPTH; i++)
			page[i] = weir_alloc(pool, 0, 0);
		for (unsigned i = 0; i < DEPTH; i++)
			weir_free(pool, page[i], 0);
	}
}

/* One visit or two. */
static void work_little(void *unused)
{
	(void)unused;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
}

static void maintain(void)
{
	unsigned nr, sum;

	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	sum = sum_of_limits(&nr);
	CHECK_MSG(sum <= nr * LIMIT, "%u CPUs may hold %u", nr, sum);
}

static void see_busy(unsigned which)
{
	const unsigned busy = (unsigned)cpu[which];
	const unsigned idle = (unsigned)cpu[1 - which];

	for (unsigned i = 0; i < 4; i++) {
		run_on(cpu[which], work, NULL);
		maintain();
	}
	CHECK_MSG(limit_of(busy) > LIMIT * 3 / 2, "%u", limit_of(busy));
	CHECK_EQ(limit_of(idle), LIMIT / 8);
}

static void see(enum weir_mode mode, unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = 64 << 20;
	opts.list_limit = LIMIT;
	opts.quiet_cpus = "";
	opts.flags = WEIR_POOL_ADAPT | flags;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_set_mode(pool, NULL, mode), 0);
	maintain();
	see_busy(1);
	see_busy(0);
	/* The other one works again, though little: it gets what is even. */
	run_on(cpu[1], work_little, NULL);
	maintain();
	CHECK_EQ(limit_of((unsigned)cpu[1]), LIMIT);
	CHECK(limit_of((unsigned)cpu[0]) <= LIMIT);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- many CPUs ----------------------------------------------------------- */

#define NR_CPUS 8

static struct wi_drain drain;

static void make_drain(void)
{
	static uint8_t modes[NR_CPUS];
	struct wi_percpu_config config = {
		.modes = modes,
		.nr_cpus = NR_CPUS,
		.nr_zones = 1,
		.nr_lists = 1,
		.limits = { LIMIT },
		.weight = { 1 },
	};
	size_t bytes = wi_round_up(wi_percpu_areas_bytes(NR_CPUS, 1), 4096);

	config.areas = aligned_alloc(4096, bytes);
	memset(config.areas, 0, bytes);
	bytes = wi_round_up(wi_percpu_bytes(NR_CPUS, 1), 64);
	config.memory = aligned_alloc(64, bytes);
	memset(config.memory, 0, bytes);
	CHECK_EQ(wi_percpu_init(&drain, &config), 0);
}

/* Whatever the visits: no more in all than in the beginning, each has some; who
 * worked has what is even at least. */
static void see_shares(void)
{
	uint64_t changed[1];
	unsigned seed = 3;

	make_drain();
	for (unsigned look = 0; look < 20000; look++) {
		uint64_t visits[NR_CPUS];
		unsigned sum = 0;

		for (unsigned i = 0; i < NR_CPUS; i++) {
			seed = seed * 1103515245 + 12345;
			visits[i] = seed >> 30 & 1 ? 0 : (seed >> 16) % 40;
			wi_drain_area(&drain, 0, i)->counters.nr[look % 2] +=
				visits[i];
		}
		(void)wi_drain_share(&drain, changed);
		for (unsigned i = 0; i < NR_CPUS; i++) {
			const struct wi_unit *unit = &drain.units[i];

			sum += unit->share;
			CHECK(unit->share >= 1);
			CHECK(visits[i] == 0 || unit->share >= WI_EVEN_SHARE);
			CHECK_EQ(unit->limit[0],
				 LIMIT * unit->share / WI_EVEN_SHARE);
		}
		CHECK_MSG(sum <= NR_CPUS * WI_EVEN_SHARE, "%u parts", sum);
	}
	/* One alone: all that the others do not keep. */
	for (unsigned look = 0; look < 10; look++) {
		wi_drain_area(&drain, 0, 5)->counters.nr[0] += 1000;
		(void)wi_drain_share(&drain, changed);
	}
	CHECK_EQ(drain.units[5].share, NR_CPUS * (WI_EVEN_SHARE - 1) + 1);
	wi_percpu_fini(&drain);
	free(drain.areas);
	free(drain.total);
}

/* Without the flag they stay. */
static void see_fixed(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = 64 << 20;
	opts.list_limit = LIMIT;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	for (unsigned i = 0; i < 4; i++) {
		run_on(cpu[0], work, NULL);
		CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	}
	CHECK_EQ(limit_of((unsigned)cpu[0]), LIMIT);
	CHECK_EQ(limit_of((unsigned)cpu[1]), LIMIT);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	two_cpus(&cpu[0], &cpu[1]);
	see_shares();
	see_fixed();
	see(WEIR_MODE_ORDINARY, WEIR_POOL_NO_RSEQ);
#ifdef WEIR_HAVE_SEQUENCES
	see(WEIR_MODE_QUIET, 0);
#endif
	see(WEIR_MODE_ORDINARY, 0);
	return 0;
}
