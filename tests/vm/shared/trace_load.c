/* SPDX-License-Identifier: MIT */
#include "shared/trace_load.h"

#include <weir/fast.h>

#include "helpers.h"

#define PAGE 4096
#define FEW 700 /* more than a list holds */

static struct weir_pool *pool;
static char cpu_there[16];

static void take_and_give(void *arg)
{
	void *pages[FEW];

	(void)arg;
	for (unsigned i = 0; i < FEW; i++) {
		pages[i] = weir_alloc(pool, 0, 0);
		CHECK(pages[i] != NULL);
	}
	for (unsigned i = 0; i < FEW; i++)
		weir_free(pool, pages[i], 0);
}

/* Past the lists; collects what is pending here. */
static void take_order_5(void *arg)
{
	void *run = weir_alloc(pool, 5, 0);

	(void)arg;
	CHECK(run != NULL);
	weir_free(pool, run, 5);
}

static void tick(void *arg)
{
	(void)arg;
	weir_tick(pool);
}

static void give_one(void *page)
{
	weir_free(pool, page, 0);
}

static void drain(int expected)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	opts.wait_ns = 2000000;
	CHECK_EQ(weir_drain(pool, &opts, NULL), expected);
}

/* One drain for each kind of evidence, one without, and its collection. */
static void modes(int there)
{
	run_on(there, take_and_give, NULL);
	drain(0);
	CHECK_EQ(weir_set_mode(pool, cpu_there, WEIR_MODE_QUIET), 0);
	run_on(there, take_and_give, NULL);
	drain(0);
	CHECK_EQ(weir_set_mode(pool, cpu_there, WEIR_MODE_POLLING), 0);
	run_on(there, take_and_give, NULL);
	drain(-EAGAIN);
	run_on(there, tick, NULL);
	drain(0);
	run_on(there, take_and_give, NULL);
	drain(-EAGAIN);
	run_on(there, take_order_5, NULL);
}

/* Everything is out: each way to fail but the loss of a race. */
static void exhaust(size_t bytes, int there)
{
	const size_t nr = bytes / PAGE;
	void **pages = calloc(nr, sizeof(*pages));
	int err;

	CHECK(pages != NULL);
	err = weir_alloc_bulk(pool, 0, pages, nr, 0);
	CHECK_MSG(err == 0, "%zu pages: %s", nr, strerror(-err));
	CHECK(weir_alloc(pool, 0, WEIR_NOWAIT) == NULL && errno == EAGAIN);
	CHECK(weir_alloc(pool, 0, 0) == NULL && errno == ENOMEM);
	CHECK(weir_alloc(pool, WEIR_ORDER_MAX, 0) == NULL && errno == ENOMEM);
	run_on(there, give_one, pages[0]);
	CHECK(weir_alloc(pool, 0, 0) == NULL && errno == EAGAIN);
	run_on(there, tick, NULL);
	drain(0);
	weir_free_bulk(pool, 0, pages + 1, nr - 1);
	free(pages);
}

void trace_load_run(struct weir_pool *its_pool, size_t bytes, int here,
		    int there)
{
	pool = its_pool;
	snprintf(cpu_there, sizeof(cpu_there), "%d", there);
	pin(here);
	CHECK_EQ(weir_set_mode(pool, cpu_there, WEIR_MODE_ORDINARY), 0);
	take_and_give(NULL);
	modes(there);
	exhaust(bytes, there);
	/* The fast path, which must not be seen. */
	for (unsigned i = 0; i < 100000; i++)
		weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
}

void trace_load_read(struct weir_pool *its_pool, struct trace_load *load)
{
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;

	*load = (struct trace_load){ .stat = WEIR_STAT_INIT };
	CHECK_EQ(weir_stat_read(its_pool, &load->stat), 0);
	CHECK_EQ(load->stat.nr_zones, 1);
	CHECK(load->stat.nr_cpus <= TRACE_LOAD_CPUS);
	for (unsigned i = 0; i < load->stat.nr_cpus; i++) {
		CHECK_EQ(weir_stat_read_cpu(its_pool, 0, i, &cpu), 0);
		load->refills[i] = cpu.refills;
		load->flushes[i] = cpu.flushes;
		load->direct[i] = cpu.direct;
	}
}
