/* SPDX-License-Identifier: MIT */
/*
 * One CPU works and the others are idle, in turn: what limits of lists cost and
 * keep that are fixed, or follow demand. The worker holds a number of pages
 * that goes up and down by more than a list takes; every 2 ms the idle CPU
 * calls weir_maintain(). Reported: visits of the zone (refills and flushes) for
 * 1000 pages allocated and freed, and the pages in the lists of the idle CPU,
 * as maintenance found them.
 */
#include <pthread.h>
#include <time.h>

#include <weir/fast.h>
#include <weir/stat.h>

#include "common/measure.h"
#include "loop.h"
#include "workers.h"

#define HELD_MAX 300
#define PHASES 6
#define LOOKS 15 /* of maintenance, in a phase */
#define LOOK_NS 2000000

struct load {
	struct weir_pool *pool;
	unsigned cpu;
	uint64_t pairs; /* pages allocated and freed */
	bool failed, at_end;
};

static void *work(void *arg)
{
	struct load *load = arg;
	uint64_t random = 88172645463325252;
	void *page[HELD_MAX];
	unsigned held = 0;

	load->failed = !measure_pin(load->cpu);
	while (!__atomic_load_n(&load->at_end, __ATOMIC_RELAXED)) {
		unsigned wanted;

		random ^= random >> 12;
		random ^= random << 25;
		random ^= random >> 27;
		wanted = (random * UINT64_C(2685821657736338717) >> 32) %
			 HELD_MAX;
		load->pairs += wanted > held ? wanted - held : 0;
		while (held < wanted) {
			void *got = weir_fast_alloc(load->pool, 0, 0);

			if (got == NULL)
				break;
			page[held++] = got;
		}
		while (held > wanted)
			weir_fast_free(load->pool, page[--held], 0);
	}
	while (held > 0)
		weir_fast_free(load->pool, page[--held], 0);
	return NULL;
}

/* One phase: that CPU works, this thread maintains on the other. Returns the
 * pages that were found in lists of the latter, in all looks. */
static uint64_t run_phase(struct load *load, unsigned idle_cpu)
{
	const struct timespec look = { .tv_nsec = LOOK_NS };
	struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;
	uint64_t found = 0;
	pthread_t thread;

	load->at_end = false;
	load->failed |= !measure_pin(idle_cpu);
	if (pthread_create(&thread, NULL, work, load) != 0) {
		load->failed = true;
		return 0;
	}
	for (unsigned i = 0; i < LOOKS; i++) {
		nanosleep(&look, NULL);
		if (weir_stat_read_cpu(load->pool, 0, idle_cpu, &stat) == 0)
			found += stat.cached;
		(void)weir_maintain(load->pool, 0, NULL);
	}
	__atomic_store_n(&load->at_end, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	return found;
}

static bool run(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct load load = { 0 };
	uint64_t found = 0;
	double start;

	(void)round;
	if (where->other_cpu < 0)
		return bench_cannot("this needs two CPUs");
	opts.capacity = UINT64_C(64) << 20;
	opts.quiet_cpus = "";
	opts.list_limit = (int32_t)(row->what & 0xffff);
	opts.flags = row->what & 0x10000 ? WEIR_POOL_ADAPT : 0;
	if (weir_pool_create(&load.pool, &opts) != 0)
		return bench_cannot("no pool: %s", weir_last_error());
	start = bench_now_ns();
	for (unsigned phase = 0; phase < PHASES; phase++) {
		const unsigned cpu[] = { where->cpu,
					 (unsigned)where->other_cpu };

		load.cpu = cpu[phase % 2];
		found += run_phase(&load, cpu[1 - phase % 2]);
	}
	result->ns = (bench_now_ns() - start) / (double)load.pairs;
	result->operations = load.pairs;
	weir_stat_read(load.pool, &stat);
	bench_extra(result, "visits_per_1000",
		    (double)(stat.refills + stat.flushes) * 1000 /
			    (double)load.pairs);
	bench_extra(result, "idle_pages", (double)found / (PHASES * LOOKS));
	measure_pin(where->cpu);
	return weir_pool_destroy(load.pool, 0) == 0 && !load.failed;
}

const struct bench_row bench_limit_rows[] = {
	{ "limits", "fixed, 100", run, 100, NULL, 9, 3, NULL },
	{ "limits", "fixed, 187", run, 187, NULL, 9, 3, NULL },
	{ "limits", "by demand, 100", run, 0x10000 | 100, NULL, 9, 3, NULL },
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
