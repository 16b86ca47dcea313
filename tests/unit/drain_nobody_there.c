/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a CPU that was changed to another mode and back while its
 * thread stood still keeps pages for good once that thread is gone, or has no
 * lists any more where only operations come that must not wait.
 */
#include <weir/stat.h>

#include "helpers.h"

#define PAGES 256

static struct weir_pool *pool;
static int here, there;
static char there_list[16];
static event ready, go_on;

static void create(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = there_list;
	opts.wait_ns = 1000000;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	ready = go_on = 0;
}

static int set_mode(enum weir_mode mode)
{
	return weir_set_mode(pool, there_list, mode);
}

/* --- the thread is gone ------------------------------------------------- */

static void stand_in_burst(void *unused)
{
	struct weir_burst burst;
	void *page = weir_alloc(pool, 0, 0);

	(void)unused;
	weir_burst_begin(pool, &burst);
	weir_free(pool, page, 0);
	tell(&ready);
	await(&go_on, 1);
	weir_burst_end(pool, &burst);
}

/* From quiet by way of other modes, of which the CPU never heard. */
static void gone(const enum weir_mode *modes, unsigned nr)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct runner runner;
	void *page[PAGES];

	create();
	start_on(&runner, there, stand_in_burst, NULL);
	await(&ready, 1);
	for (unsigned i = 0; i < nr; i++)
		CHECK_EQ(set_mode(modes[i]), -EAGAIN);
	tell(&go_on);
	finish(&runner);
	opts.wait_ns = 5000000000u;
	CHECK_EQ(weir_drain(pool, &opts, NULL), 0);
	CHECK_EQ(weir_get_mode(pool, (unsigned)there), modes[nr - 1]);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.free, PAGES);
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, PAGES, 0), 0);
	weir_free_bulk(pool, 0, page, PAGES);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- only operations that must not wait --------------------------------- */

static event resting, rest, stop;

static void poll(void *unused)
{
	(void)unused;
	while (!happened(&stop, 1)) {
		if (happened(&rest, 1) && !happened(&go_on, 1)) {
			tell(&resting);
			await(&go_on, 1);
		}
		weir_free(pool, weir_alloc(pool, 0, WEIR_NOWAIT), 0);
		weir_tick(pool);
		tell(&ready);
	}
}

static void pass_turns(uint32_t n)
{
	uint32_t now = __atomic_load_n(&ready, __ATOMIC_ACQUIRE);

	await(&ready, now + n);
}

static uint64_t nr_direct(void)
{
	struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;

	CHECK_EQ(weir_stat_read_cpu(pool, 0, (unsigned)there, &stat), 0);
	return stat.direct;
}

static void has_lists(const enum weir_mode *modes, unsigned nr)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct runner runner;
	uint64_t before;

	create();
	CHECK_EQ(set_mode(WEIR_MODE_POLLING), 0);
	resting = rest = stop = 0;
	start_on(&runner, there, poll, NULL);
	await(&ready, 1);
	tell(&rest);
	await(&resting, 1);
	opts.wait_ns = 1;
	CHECK_EQ(weir_drain(pool, &opts, NULL), -EAGAIN);
	for (unsigned i = 0; i < nr; i++)
		CHECK_EQ(set_mode(modes[i]), -EAGAIN);
	tell(&go_on);
	pass_turns(1000);
	before = nr_direct();
	pass_turns(1000);
	CHECK_EQ(nr_direct(), before);
	tell(&stop);
	finish(&runner);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	static const enum weir_mode gones[][3] = {
		{ WEIR_MODE_ORDINARY, WEIR_MODE_QUIET, WEIR_MODE_QUIET },
		{ WEIR_MODE_ORDINARY, WEIR_MODE_QUIET, WEIR_MODE_ORDINARY },
		{ WEIR_MODE_POLLING, WEIR_MODE_ORDINARY, WEIR_MODE_QUIET },
		{ WEIR_MODE_POLLING, WEIR_MODE_ORDINARY, WEIR_MODE_POLLING },
		{ WEIR_MODE_OFF, WEIR_MODE_ORDINARY, WEIR_MODE_QUIET },
		{ WEIR_MODE_OFF, WEIR_MODE_QUIET, WEIR_MODE_OFF },
	};
	static const enum weir_mode back[][2] = {
		{ WEIR_MODE_QUIET, WEIR_MODE_POLLING },
		{ WEIR_MODE_ORDINARY, WEIR_MODE_POLLING },
		{ WEIR_MODE_OFF, WEIR_MODE_POLLING },
	};

	two_cpus(&here, &there);
	snprintf(there_list, sizeof(there_list), "%d", there);
	pin(here);
	create();
	if (set_mode(WEIR_MODE_ORDINARY) != 0)
		SKIP("without membarrier no CPU can be ordinary");
	if (set_mode(WEIR_MODE_QUIET) != 0)
		SKIP("without sequences there are no quiet CPUs");
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	for (unsigned i = 0; i < sizeof(gones) / sizeof(gones[0]); i++)
		gone(gones[i], 3);
	for (unsigned i = 0; i < sizeof(back) / sizeof(back[0]); i++)
		has_lists(back[i], 2);
	return 0;
}
