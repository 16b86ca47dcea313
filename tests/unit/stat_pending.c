/* SPDX-License-Identifier: MIT */
/*
 * If this fails, the statistics of a pool at rest do not add up after a drain
 * that ended while an operation was under way: that of a set still pending.
 */
#include "inject.h"

#include <weir/fast.h>
#include <weir/stat.h>

#include "os/rseq.h"
#include "percpu/evidence.h"
#include "helpers.h"

#define PAUSES 20000
#define RUNS 300
#define ENOUGH                                                                 \
	5 /* runs in which an operation came to its end after a drain          \
	   */

static struct weir_pool *pool;
static event started, stop;
static void *page;

/* Goes on allocating and freeing, slowly; one stays out. */
static void owner(void *unused)
{
	(void)unused;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	__atomic_store_n(&inject[3], PAUSES, __ATOMIC_RELAXED);
	for (;;) {
		tell(&started);
		page = weir_fast_alloc(pool, 0, WEIR_NOWAIT);
		if (happened(&stop, 1))
			break;
		weir_free(pool, page, 0);
	}
}

/* Of a polling CPU, whose owner is within an operation as the drain ends; did
 * it change the set after that? */
static bool late(const char *there_list, int there, unsigned n)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_drain_opts drain = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;
	struct runner runner;

	opts.capacity = 1 << 20;
	opts.quiet_cpus = "";
	opts.polling_cpus = there_list;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	started = stop = 0;
	start_on(&runner, there, owner, NULL);
	await(&started, 2);
	for (uint64_t until = now_ns() + 37000 * (n % 16); now_ns() < until;)
		;
	tell(&stop);
	drain.cpus = there_list;
	drain.wait_ns = 1;
	weir_drain(pool, &drain, &result);
	finish(&runner);
	__atomic_store_n(&inject[3], 0, __ATOMIC_RELAXED);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.free + stat.cached + stat.pending + 1, stat.pages);
	CHECK_EQ(stat.out, 1);
	CHECK_EQ(weir_stat_read_cpu(pool, 0, (unsigned)there, &cpu), 0);
	CHECK_EQ(cpu.pending, stat.pending);
	weir_free(pool, page, 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return result.cpus_pending == 1 && result.pending != stat.pending;
}

int main(void)
{
	char there_list[16];
	unsigned nr_late = 0, runs;

	need_two_cpus();
	pin(allowed_cpu(0));
	snprintf(there_list, sizeof(there_list), "%d", allowed_cpu(1));
	if (!wi_rseq_available())
		SKIP("without sequences nothing can be slow within one");
	for (runs = 0; runs < RUNS && nr_late < ENOUGH; runs++)
		nr_late += late(there_list, allowed_cpu(1), runs);
	printf("%u of %u drains ended within an operation\n", nr_late, runs);
	return 0;
}
