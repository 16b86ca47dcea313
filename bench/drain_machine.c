/* SPDX-License-Identifier: MIT */
/*
 * Drains of machines with many CPUs. This one has a few, so the cache below
 * is told of more: their areas are real, but nothing runs there, as on CPUs
 * that are idle. (The kernel's answer to a membarrier for such a CPU is the
 * same as for an idle one: nobody to interrupt.) Lists and zone are laid out
 * as those of a pool.
 */
#include <stdlib.h>

#include "api/drains.h"
#include "common/measure.h"
#include "drain.h"
#include "loop.h"
#include "os/rseq.h"
#include "workers.h"
#include "zone/zone.h"

#define CPUS_MAX 512
#define ZONE_PAGES 65536
#define LIMIT 256
#define NR_LISTS 5
#define DRAINS_MAX 1000
#define ROUND_NS 30e6 /* or so many drains */

struct machine {
	struct wi_cache cache;
	struct wi_cache_totals totals;
	struct wi_zone *zone;
	uint32_t cursor;
	unsigned nr_cpus;
	enum wi_mode mode;
};

static size_t claim(void *context, unsigned zone, unsigned kind,
		    uint64_t *tokens, size_t n, uint32_t *cursor)
{
	struct machine *m = context;

	(void)zone, (void)kind;
	return wi_zone_claim(m->zone, 0, n, tokens, cursor);
}

static void release(void *context, unsigned zone, unsigned kind,
		    const uint64_t *tokens, size_t n)
{
	struct machine *m = context;
	size_t bad;

	(void)zone, (void)kind;
	if (wi_zone_release(m->zone, 0, tokens, n, &bad) != WI_ZONE_OK)
		abort();
}

static uint64_t generation(void *context)
{
	return wi_zone_generation(((struct machine *)context)->zone);
}

/* Zeroed, and touched: a first touch costs more than a drain. */
static void *memory(size_t bytes)
{
	char *p = aligned_alloc(64, (bytes + 63) / 64 * 64);

	for (size_t i = 0; p && i < bytes; i++)
		((volatile char *)p)[i] = 0;
	return p;
}

static struct machine *make(unsigned nr_cpus, enum wi_mode mode)
{
	static uint8_t modes[CPUS_MAX];
	struct machine *m = memory(sizeof(*m));
	struct wi_cache_config config = {
		.percpu.areas = memory(wi_percpu_areas_bytes(nr_cpus, 1)),
		.percpu.memory = memory(wi_percpu_bytes(nr_cpus, 1)),
		.percpu.modes = modes,
		.percpu.nr_cpus = nr_cpus,
		.percpu.nr_zones = 1,
		.percpu.nr_lists = NR_LISTS,
		.percpu.limits = { LIMIT, LIMIT / 2, LIMIT / 4, LIMIT / 8, 1 },
		.percpu.weight = { 1, 2, 4, 8, 512 },
		.totals = &m->totals,
		.batch = 64,
		.wait_ns = 10000000,
		.backend = { .get = claim,
			     .put = release,
			     .generation = generation,
			     .ctx = m },
	};
	void *zone = memory(wi_zone_bytes(ZONE_PAGES));

	if (!m || !config.percpu.areas || !config.percpu.memory || !zone)
		return NULL;
	for (unsigned i = 0; i < nr_cpus; i++)
		modes[i] = (uint8_t)mode;
	m->zone = wi_zone_init(zone, ZONE_PAGES);
	m->nr_cpus = nr_cpus;
	m->mode = mode;
	return wi_cache_init(&m->cache, &config) == 0 ? m : NULL;
}

/* Each machine once. */
static struct machine *machine_of(unsigned nr_cpus, enum wi_mode mode)
{
	static struct machine *known[16];
	unsigned i;

	for (i = 0; known[i]; i++) {
		if (known[i]->nr_cpus == nr_cpus && known[i]->mode == mode)
			return known[i];
		if (i == 14)
			abort(); /* raise it */
	}
	return known[i] = make(nr_cpus, mode);
}

/* Nothing runs there, so a plain push does it. */
static void fill(struct machine *m, unsigned pages)
{
	uint64_t tokens[LIMIT];

	for (unsigned cpu = 0; pages > 0 && cpu < m->nr_cpus; cpu++) {
		size_t n = 0;

		while (n < pages)
			n += wi_zone_claim(m->zone, 0, pages - n, tokens + n,
					   &m->cursor);
		if (wi_area_push_locked(wi_drain_area(&m->cache.drain, 0, cpu),
					0, tokens, n) != n)
			abort();
	}
}

/* what: the mode, and 8 bits further up the pages of each CPU, and 16 the
 * CPUs. */
#define MACHINE(cpus, pages, mode)                                             \
	((uintptr_t)(cpus) << 16 | (uintptr_t)(pages) << 8 | (uintptr_t)(mode))

static bool run(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	const unsigned cpus = (unsigned)(row->what >> 16);
	const unsigned pages = (unsigned)(row->what >> 8 & 0xff);
	struct machine *m = machine_of(cpus, (enum wi_mode)(row->what & 0xff));
	double ns[DRAINS_MAX], end = bench_now_ns() + ROUND_NS;
	unsigned nr = 0;

	(void)where, (void)round;
	if (!wi_rseq_available())
		return bench_cannot("no restartable sequences here; 'weir "
				    "doctor' tells why");
	if (m == NULL)
		return bench_cannot("no memory");
	while (nr < DRAINS_MAX && (nr == 0 || bench_now_ns() < end)) {
		struct weir_drain_result drained = WEIR_DRAIN_RESULT_INIT;
		double start;

		fill(m, pages);
		start = bench_now_ns();
		wi_public_drain(&m->cache, NULL, &drained);
		ns[nr++] = bench_now_ns() - start;
		if (drained.pages != (uint64_t)pages * cpus)
			return bench_cannot("a drain gave %llu pages back",
					    (unsigned long long)drained.pages);
	}
	result->operations = nr;
	result->ns = measure_quantile(ns, nr, 0.5);
	bench_extra(result, "p99_ns", measure_quantile(ns, nr, 0.99));
	bench_extra(result, "ns_per_cpu", result->ns / cpus);
	if (pages > 0)
		bench_extra(result, "ns_per_page", result->ns / pages / cpus);
	return true;
}

#define ROW(variant, cpus, pages, mode)                                        \
	{                                                                      \
		"drain", variant, run, MACHINE(cpus, pages, mode), NULL, 9, 3, \
			NULL                                                   \
	}

const struct bench_row bench_drain_machine_rows[] = {
	ROW("2 CPUs, empty lists", 2, 0, WI_MODE_QUIET),
	ROW("64 CPUs, empty lists", 64, 0, WI_MODE_QUIET),
	ROW("512 CPUs, empty lists", 512, 0, WI_MODE_QUIET),
	ROW("2 CPUs, 50 pages each", 2, 50, WI_MODE_QUIET),
	ROW("8 CPUs, 50 pages each", 8, 50, WI_MODE_QUIET),
	ROW("64 CPUs, 50 pages each", 64, 50, WI_MODE_QUIET),
	ROW("512 CPUs, 50 pages each", 512, 50, WI_MODE_QUIET),
	ROW("512 CPUs, 50 pages, ordinary", 512, 50, WI_MODE_ORDINARY),
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
