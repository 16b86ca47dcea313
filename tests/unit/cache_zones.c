/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a get of one zone drains or judges another one because its
 * thread was moved; operations on one zone of a polling CPU are no evidence for
 * that CPU's lists of another; a flush gives a token to the wrong zone; or a
 * burst of a thread that was moved is not found by that thread when it waits to
 * drain.
 */
#include <weir/cache.h>

#include "api/drains.h"
#include "helpers.h"
#include "os/rseq.h"

#define NONE 1000 /* tokens of zone 1 begin there */

static struct wi_cache cache;
static int cpu[2]; /* of zone 0, of zone 1 */
static bool moves; /* the thread that finds zone 0 empty */

static size_t zone_get(void *ctx, unsigned zone, unsigned kind,
		       uint64_t *tokens, size_t n, uint32_t *cursor)
{
	(void)ctx, (void)kind, (void)tokens, (void)n, (void)cursor;
	if (moves)
		pin(cpu[1 - zone]);
	return 0;
}

static size_t came_back[2];

static void zone_put(void *ctx, unsigned zone, unsigned kind,
		     const uint64_t *tokens, size_t n)
{
	(void)ctx, (void)kind;
	for (size_t i = 0; i < n; i++)
		CHECK_EQ(tokens[i] >= NONE, zone);
	__atomic_add_fetch(&came_back[zone], n, __ATOMIC_RELAXED);
}

static uint64_t generation(void *ctx)
{
	(void)ctx;
	return 0;
}

static unsigned zone_of(void *ctx, uint64_t token)
{
	(void)ctx;
	return token >= NONE;
}

static void create(enum wi_mode mode)
{
	static uint8_t modes[CPU_SETSIZE];
	static uint16_t zones[CPU_SETSIZE];
	static const struct weir_i_bounds bounds[] = { { 0, NONE },
						       { NONE, NONE } };
	static struct wi_cache_totals totals;
	struct wi_cache_config config = {
		.percpu.modes = modes,
		.percpu.bounds = bounds,
		.percpu.zone_of_cpu = zones,
		.percpu.nr_cpus = (unsigned)cpu[1] + 1,
		.percpu.nr_zones = 2,
		.percpu.nr_lists = 1,
		.percpu.limits = { 60 },
		.percpu.weight = { 1 },
		.totals = &totals,
		.batch = 16,
		.wait_ns = 5000000000u,
		.backend = { .get = zone_get,
			     .put = zone_put,
			     .generation = generation,
			     .zone_of = zone_of },
	};
	size_t bytes = wi_percpu_areas_bytes(config.percpu.nr_cpus, 2);

	config.percpu.locked = mode == WI_MODE_LOCKED;
	memset(modes, mode, sizeof(modes));
	zones[cpu[1]] = 1;
	config.percpu.areas = aligned_alloc(4096, wi_round_up(bytes, 4096));
	memset(config.percpu.areas, 0, bytes);
	bytes = wi_round_up(wi_percpu_bytes(config.percpu.nr_cpus, 2), 64);
	config.percpu.memory = aligned_alloc(64, bytes);
	memset(config.percpu.memory, 0, bytes);
	memset(&cache, 0, sizeof(cache));
	CHECK_EQ(wi_cache_init(&cache, &config), 0);
}

static void destroy(void)
{
	wi_cache_fini(&cache);
	free(cache.drain.areas);
	free(cache.drain.total); /* the memory begins with them */
}

static void put_both(void *unused)
{
	uint64_t token = 1;

	(void)unused;
	wi_cache_put(&cache, 0, 0, &token, 1);
	token = NONE + 1;
	wi_cache_put(&cache, 1, 0, &token, 1);
}

/* Zone 0 has none left, a list of the other CPU has one of each zone: that of
 * zone 0 is taken, wherever the thread goes meanwhile. */
static void moved(enum wi_mode mode)
{
	const struct wi_get get = {
		.wait_ns = WEIR_WAIT_DEFAULT,
		.flags = WI_GET_LOCAL,
		.tokens = &(uint64_t){ 0 },
		.n = 1,
	};
	int error;

	create(mode);
	run_on(cpu[1], put_both, NULL);
	pin(cpu[0]);
	moves = true;
	CHECK_EQ(wi_cache_get(&cache, &get, &error), 1);
	CHECK_EQ(*get.tokens, 1);
	/* Now zone 0 is empty, and zone 1 is not asked. */
	pin(cpu[0]);
	CHECK_EQ(wi_cache_get(&cache, &get, &error), 0);
	CHECK_EQ(error, ENOMEM);
	moves = false;
	destroy();
}

/* A CPU that has tokens of two zones is one CPU. */
static void counts_cpus(void)
{
	struct wi_drain_request request = { .nr_zones = 2 };
	struct wi_drain_outcome outcome;

	create(WI_MODE_QUIET);
	run_on(cpu[0], put_both, NULL);
	pin(cpu[1]);
	request.deadline_ns = now_ns() + 5000000000u;
	CHECK_EQ(wi_cache_drain(&cache, &request, &outcome, &(bool){ 0 }), 0);
	CHECK_EQ(outcome.drained, 2);
	CHECK_EQ(outcome.cpus_drained, 1);
	CHECK_EQ(outcome.cpus_pending, 0);
	CHECK_EQ(outcome.cpus_empty, cache.drain.nr_cpus - 1);
	destroy();
}

/* What a CPU keeps of each zone goes back to that zone. */
static void flush_both(void *unused)
{
	put_both(unused);
	put_both(unused);
	came_back[0] = came_back[1] = 0;
	CHECK_EQ(wi_cache_empty_here(&cache), 4);
	CHECK_EQ(came_back[0], 2);
	CHECK_EQ(came_back[1], 2);
}

static void flushed(void)
{
	for (unsigned i = 0; i < 2; i++) {
		create(WI_MODE_QUIET);
		run_on(cpu[i], flush_both, NULL);
		destroy();
	}
}

static event started, over;

/* Gets and puts of zone 0 alone, or of orders without a list. */
static void poll(void *kind)
{
	uint64_t token = 2;
	const struct wi_get get = {
		.wait_ns = WEIR_WAIT_DEFAULT,
		.kind = *(unsigned *)kind,
		.flags = WI_GET_NOWAIT | WI_GET_LOCAL,
		.tokens = &token,
		.n = 1,
	};
	int error;

	put_both(NULL);
	tell(&started);
	while (!happened(&over, 1))
		if (get.kind != 0 || wi_cache_get(&cache, &get, &error) == 1)
			wi_cache_put(&cache, 0, get.kind, &token, 1);
}

/* Pages that a drain of the poller takes, which succeeds. */
static uint64_t drain_poller(unsigned kind, struct wi_drain_request *request)
{
	struct wi_drain_outcome outcome;
	struct runner runner;

	create(WI_MODE_POLLING);
	started = over = 0;
	start_on(&runner, cpu[0], poll, &kind);
	await(&started, 1);
	pin(cpu[1]);
	request->nr_zones = 2;
	request->deadline_ns = now_ns() + 5000000000u;
	CHECK_EQ(wi_cache_drain(&cache, request, &outcome, &(bool){ 0 }), 0);
	tell(&over);
	finish(&runner);
	destroy();
	return outcome.pages;
}

static void polled(unsigned kind)
{
	/* One may be in its hand. */
	CHECK(drain_poller(kind, &(struct wi_drain_request){ 0 }) >= 1);
}

/* It is told to be quiet, and makes no operation but those: what it was taken
 * away as a polling CPU has progress as its only evidence, in either zone. */
static void becomes_quiet(unsigned kind)
{
	uint64_t cpus[CPU_SETSIZE / 64] = { 0 };
	struct wi_drain_request request = {
		.cpus = cpus,
		.set_mode = true,
		.mode = WI_MODE_QUIET,
	};

	cpus[cpu[0] / 64] |= UINT64_C(1) << cpu[0] % 64;
	drain_poller(kind, &request);
}

static void tick_zone(void *zone)
{
	const struct weir_i_lists lists =
		wi_percpu_lists(&cache.drain, *(unsigned *)zone);

	weir_i_tick(&lists);
}

/* What a polling CPU keeps for its home zone is waited for; what it keeps for
 * another is quiet already. */
static void in_force(void)
{
	struct wi_drain_request request = { .nr_zones = 2, .set_mode = true };
	struct wi_drain_outcome outcome;

	create(WI_MODE_POLLING);
	run_on(cpu[0], put_both, NULL);
	pin(cpu[1]);
	request.mode = WI_MODE_QUIET;
	CHECK_EQ(wi_cache_drain(&cache, &request, &outcome, &(bool){ 0 }),
		 -EAGAIN);
	request.set_mode = false;
	for (unsigned i = 0; i < 2; i++) {
		unsigned zone = 1 - i;

		CHECK_EQ(wi_public_mode_of_cpu(&cache, (unsigned)cpu[0]),
			 WEIR_MODE_POLLING);
		run_on(cpu[0], tick_zone, &zone);
		(void)wi_cache_drain(&cache, &request, &outcome, &(bool){ 0 });
	}
	CHECK_EQ(wi_public_mode_of_cpu(&cache, (unsigned)cpu[0]),
		 WEIR_MODE_QUIET);
	destroy();
}

/* --- bursts of a thread that is moved ------------------------------------ */

#define MOVES 2000

static void begin_often(void *unused)
{
	(void)unused;
	tell(&started);
	while (!happened(&over, 1)) {
		struct wi_area *area = wi_percpu_burst_begin(&cache.drain);
		unsigned at;

		if (area == NULL)
			continue;
		at = area->cpu;
		CHECK(area == wi_drain_area(&cache.drain,
					    cache.drain.zone_of_cpu[at], at));
		wi_percpu_burst_end(area);
	}
}

static void moved_in_bursts(void)
{
	struct runner runner;

	create(WI_MODE_QUIET);
	started = over = 0;
	start_on(&runner, cpu[0], begin_often, NULL);
	await(&started, 1);
	for (unsigned i = 0; i < MOVES; i++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((size_t)cpu[i % 2], &set);
		CHECK_EQ(pthread_setaffinity_np(runner.thread, sizeof(set),
						&set),
			 0);
	}
	tell(&over);
	finish(&runner);
	destroy();
}

int main(void)
{
	two_cpus(&cpu[0], &cpu[1]);
	moved(WI_MODE_LOCKED);
	if (!wi_rseq_available())
		return 0;
	moved(WI_MODE_QUIET);
	counts_cpus();
	flushed();
	polled(0);
	polled(1);
	becomes_quiet(0);
	becomes_quiet(1);
	in_force();
	moved_in_bursts();
	return 0;
}
