/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a drain takes more, or less, or from other CPUs than it was
 * asked to, or counts it wrongly, or a CPU's mode is not what was set.
 */
#include <weir/fast.h>
#include <weir/stat.h>

#include "helpers.h"
#include "api/pool.h"

#define PAGES 2000
#define BATCH 64

static struct weir_pool *pool;
static int here, there;
static char here_list[16], there_list[16];

static void create(enum weir_mode mode, uint64_t wait_ns)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "";
	opts.list_limit = 400;
	opts.wait_ns = wait_ns;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	if (weir_set_mode(pool, NULL, mode) == -EOPNOTSUPP)
		CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_ORDINARY), 0);
}

static void destroy(void)
{
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

static uint64_t cached_on(int cpu)
{
	struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;

	CHECK_EQ(weir_stat_read_cpu(pool, 0, (unsigned)cpu, &stat), 0);
	return stat.cached;
}

/* A batch into this CPU's list. */
static void fill(void *unused)
{
	(void)unused;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
}

static struct weir_drain_result drain(const char *cpus, uint64_t want,
				      uint64_t wait_ns, int expected)
{
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;
	const struct weir_drain_opts opts = { .size = sizeof(opts),
					      .cpus = cpus,
					      .want_pages = want,
					      .wait_ns = wait_ns };

	CHECK_EQ(weir_drain(pool, &opts, &r), expected);
	return r;
}

static void some_cpus(void)
{
	struct weir_drain_result r;
	const uint32_t nr_cpus =
		wi_percpu_nr_cpus(&wi_pool_of(pool)->cache.drain);

	/* Nothing anywhere: no CPU is touched. */
	r = drain(NULL, 0, WEIR_WAIT_DEFAULT, 0);
	CHECK_EQ(r.cpus_skipped, nr_cpus);
	CHECK_EQ(r.cpus_drained, 0);
	CHECK_EQ(r.by_progress + r.by_not_busy + r.by_membarrier, 0);
	/* One CPU of two that have some. */
	run_on(here, fill, NULL);
	run_on(there, fill, NULL);
	CHECK_EQ(cached_on(here), BATCH);
	CHECK_EQ(cached_on(there), BATCH);
	r = drain(there_list, 0, WEIR_WAIT_DEFAULT, 0);
	CHECK_EQ(r.pages, BATCH);
	CHECK_EQ(r.cpus_drained, 1);
	CHECK_EQ(cached_on(here), BATCH);
	CHECK_EQ(cached_on(there), 0);
	CHECK_EQ(drain("", 0, WEIR_WAIT_DEFAULT, 0).pages, 0);
	r = drain(NULL, 0, WEIR_WAIT_DEFAULT, 0);
	CHECK_EQ(r.pages, BATCH);
	CHECK_EQ(r.cpus_skipped, nr_cpus - 1);
}

/* The fullest CPU suffices. */
static void fill_more(void *unused)
{
	void *page[200];

	(void)unused;
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, 200, 0), 0);
	weir_free_bulk(pool, 0, page, 200);
}

static void wanted_pages(void)
{
	struct weir_drain_result r;

	run_on(here, fill, NULL);
	run_on(there, fill_more, NULL);
	r = drain(NULL, 150, WEIR_WAIT_DEFAULT, 0);
	CHECK_EQ(r.cpus_drained, 1);
	CHECK(r.pages >= 200);
	CHECK_EQ(cached_on(there), 0);
	CHECK_EQ(cached_on(here), BATCH);
	/* More than there are: all. */
	run_on(there, fill_more, NULL);
	r = drain(NULL, 100000, WEIR_WAIT_DEFAULT, 0);
	CHECK_EQ(r.cpus_drained, 2);
	CHECK_EQ(cached_on(here) + cached_on(there), 0);
}

/* --- a CPU that is not seen between operations ------------------------- */

static event in_burst, go_on;

static void stand_in_burst(void *unused)
{
	struct weir_burst burst;

	weir_burst_begin(pool, &burst);
	fill(unused);
	tell(&in_burst);
	await(&go_on, 1);
	weir_burst_end(pool, &burst);
}

/* The machine is shared: the best of some. */
static void deadlines(void)
{
	static const uint64_t waits[] = { 100000, 1000000, 5000000 };
	struct runner runner;

	in_burst = go_on = 0;
	start_on(&runner, there, stand_in_burst, NULL);
	await(&in_burst, 1);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t best = UINT64_MAX;

		for (unsigned k = 0; k < 8; k++) {
			uint64_t start = now_ns(), own = own_ns(), took;

			drain(NULL, 0, waits[i], -EAGAIN);
			took = own_ns() - own;
			CHECK(now_ns() - start >= waits[i]);
			best = took < best ? took : best;
		}
		CHECK_MSG(best <= 2 * waits[i] + 100000,
			  "a wait of %" PRIu64 " ns took %" PRIu64, waits[i],
			  best);
	}
	tell(&go_on);
	finish(&runner);
	CHECK_EQ(drain(NULL, 0, WEIR_WAIT_DEFAULT, 0).pending, 0);
}

static event drained;
static struct weir_drain_result taken;

/* Asks while another drain runs, whose successor's result it may take. */
static void ask(void *unused)
{
	(void)unused;
	taken = drain(NULL, 0, 2000000000, 0);
	tell(&drained);
}

static void takeover(void)
{
	struct runner burst, asker[3];

	in_burst = go_on = drained = 0;
	start_on(&burst, there, stand_in_burst, NULL);
	await(&in_burst, 1);
	for (unsigned i = 0; i < 3; i++)
		start_on(&asker[i], here, ask, NULL);
	/* One waits for the burst, the others for its mutex. */
	while (!wi_drain_is_pending(&wi_pool_of(pool)->cache.drain, 0,
				    (unsigned)there))
		sched_yield();
	CHECK_EQ(wi_os_mutex_trylock(&wi_pool_of(pool)->cache.drain.mutex),
		 false);
	/* Another that asks gives up at its own deadline. */
	drain(NULL, 0, 1000000, -ETIMEDOUT);
	tell(&go_on);
	await(&drained, 3);
	for (unsigned i = 0; i < 3; i++)
		finish(&asker[i]);
	finish(&burst);
	CHECK_EQ(wi_pool_of(pool)->cache.drain.units[there].pending, 0);
}

/* --- modes ------------------------------------------------------------- */

static void modes(void)
{
	static const enum weir_mode order[] = {
		WEIR_MODE_QUIET,    WEIR_MODE_ORDINARY, WEIR_MODE_OFF,
		WEIR_MODE_ORDINARY, WEIR_MODE_QUIET,	WEIR_MODE_OFF,
		WEIR_MODE_QUIET,    WEIR_MODE_ORDINARY,
	};

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		run_on(there, fill, NULL);
		CHECK_EQ(weir_set_mode(pool, there_list, order[i]), 0);
		CHECK_EQ(weir_get_mode(pool, (unsigned)there), order[i]);
		CHECK_EQ(cached_on(there), 0);
		run_on(there, fill, NULL);
		CHECK_EQ(cached_on(there),
			 order[i] == WEIR_MODE_OFF ? 0 : BATCH);
	}
	drain(NULL, 0, WEIR_WAIT_DEFAULT, 0);
}

static void pass_by(void *unused)
{
	(void)unused;
	weir_tick(pool);
}

/* Quiet is not left before the burst that trusted in it has ended. */
static void mode_is_pending(void)
{
	struct runner runner;
	int mode;

	in_burst = go_on = 0;
	start_on(&runner, there, stand_in_burst, NULL);
	await(&in_burst, 1);
	CHECK_EQ(weir_set_mode(pool, there_list, WEIR_MODE_OFF), -EAGAIN);
	CHECK_EQ(weir_set_mode(pool, there_list, WEIR_MODE_POLLING), -EAGAIN);
	mode = weir_get_mode(pool, (unsigned)there);
	CHECK_EQ(mode, WEIR_MODE_QUIET);
	tell(&go_on);
	finish(&runner);
	drain(NULL, 0, WEIR_WAIT_DEFAULT, 0);
	CHECK_EQ(weir_get_mode(pool, (unsigned)there), WEIR_MODE_POLLING);
	/* Nor polling before somebody passed by. */
	CHECK_EQ(weir_set_mode(pool, there_list, WEIR_MODE_QUIET), -EAGAIN);
	CHECK_EQ(weir_get_mode(pool, (unsigned)there), WEIR_MODE_POLLING);
	run_on(there, pass_by, NULL);
	drain(NULL, 0, WEIR_WAIT_DEFAULT, 0);
	CHECK_EQ(weir_get_mode(pool, (unsigned)there), WEIR_MODE_QUIET);
}

/* "Call again to know": however often, and nobody is there afterwards. */
static void mode_asked_again(enum weir_mode mode)
{
	struct runner runner;

	in_burst = go_on = 0;
	start_on(&runner, there, stand_in_burst, NULL);
	await(&in_burst, 1);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(weir_set_mode(pool, there_list, mode), -EAGAIN);
	CHECK_EQ(weir_get_mode(pool, (unsigned)there), WEIR_MODE_QUIET);
	tell(&go_on);
	finish(&runner);
	CHECK_EQ(weir_set_mode(pool, there_list, mode), 0);
	CHECK_EQ(weir_get_mode(pool, (unsigned)there), mode);
	CHECK_EQ(weir_set_mode(pool, there_list, WEIR_MODE_QUIET), 0);
}

/* --- polling ----------------------------------------------------------- */

static event started, over;

/* Asks for what there is not, again and again: that commits nothing. */
static void only_fail(void *unused)
{
	fill(unused);
	tell(&started);
	while (!happened(&over, 1))
		CHECK(weir_alloc(pool, 9, WEIR_NOWAIT) == NULL);
}

static void failing_is_progress(void)
{
	struct runner runner;
	void *block[4];
	size_t n;

	create(WEIR_MODE_POLLING, WEIR_WAIT_DEFAULT);
	started = over = 0;
	n = weir_alloc_upto(pool, 9, block, 4, WEIR_NOWAIT);
	CHECK_EQ(n, PAGES / 512);
	start_on(&runner, there, only_fail, NULL);
	await(&started, 1);
	CHECK_EQ(drain(there_list, 0, 2000000000, 0).pages, BATCH);
	tell(&over);
	finish(&runner);
	weir_free_bulk(pool, 9, block, n);
	destroy();
}

static void idle_cpus(void)
{
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;

	create(WEIR_MODE_ORDINARY, WEIR_WAIT_DEFAULT);
	run_on(there, fill, NULL);
	CHECK_EQ(weir_maintain(pool, 0, &r), 0); /* it was not idle before */
	CHECK_EQ(r.pages, 0);
	CHECK_EQ(weir_maintain(pool, 0, &r), 0);
	CHECK_EQ(r.pages, BATCH);
	/* A reserve is worth taking back what is in use. */
	run_on(there, fill, NULL);
	CHECK_EQ(weir_maintain(pool, PAGES, &r), 0);
	CHECK_EQ(r.pages, BATCH);
	destroy();
}

/* The reserve comes from one CPU while another's pages stay pending, and are
 * not forgotten for it. */
static void reserve_beside_pending(void)
{
	struct weir_drain_result r = { .size = sizeof(r) };
	const uint64_t free = PAGES - 2 * BATCH;
	struct runner runner;

	in_burst = go_on = 0;
	start_on(&runner, there, stand_in_burst, NULL);
	await(&in_burst, 1);
	CHECK_EQ(drain(NULL, 0, 100000, -EAGAIN).pending, BATCH);
	run_on(here, fill, NULL);
	CHECK_EQ(weir_maintain(pool, free + 1, &r), -EAGAIN);
	CHECK_EQ(r.pages, BATCH);
	CHECK_EQ(r.pending, BATCH);
	CHECK(strstr(weir_last_error(), "pending") != NULL);
	tell(&go_on);
	finish(&runner);
	/* And what was pending before is not by now. */
	CHECK_EQ(weir_maintain(pool, PAGES, &r), 0);
	CHECK_EQ(r.pending, 0);
	CHECK_EQ(cached_on(here) + cached_on(there), 0);
}

int main(void)
{
	two_cpus(&here, &there);
	snprintf(here_list, sizeof(here_list), "%d", here);
	snprintf(there_list, sizeof(there_list), "%d", there);
	pin(here);
	create(WEIR_MODE_ORDINARY, WEIR_WAIT_DEFAULT);
	some_cpus();
	wanted_pages();
	destroy();
	idle_cpus();
	create(WEIR_MODE_QUIET, 20000000);
	if (weir_get_mode(pool, (unsigned)there) == WEIR_MODE_QUIET) {
		some_cpus();
		wanted_pages();
		deadlines();
		takeover();
		reserve_beside_pending();
		modes();
		CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_QUIET), 0);
		mode_is_pending();
		mode_asked_again(WEIR_MODE_ORDINARY);
		mode_asked_again(WEIR_MODE_QUIET);
		destroy();
		failing_is_progress();
		return 0;
	}
	destroy();
	return 0;
}
