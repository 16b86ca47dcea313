/* SPDX-License-Identifier: MIT */
/*
 * If this fails, pages are lost with a CPU that goes offline, or a drain waits
 * for one that is not there.
 *
 * CPU 0 stays; the others come and go.
 */
#include "shared/crowd.h"

#define PAGES 2048

static struct weir_pool *pool;
static uint64_t plugs;
static enum weir_mode mode;

static const char *const mode_names[] = { "ordinary", "quiet", "polling" };

static void plug(int cpu, bool online)
{
	guest_plug(cpu, online);
	plugs++;
}

/* One whose CPUs 1 and up all have that mode. */
static void make(enum weir_mode its_mode)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	mode = its_mode;
	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = mode == WEIR_MODE_QUIET ? "1-3" : "";
	opts.polling_cpus = mode == WEIR_MODE_POLLING ? "1-3" : NULL;
	opts.wait_ns = 50000000;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	for (unsigned cpu = 1; cpu < 4; cpu++)
		CHECK_EQ(weir_get_mode(pool, cpu), mode);
}

static void unmake(void)
{
	crowd_visit_all(pool);
	crowd_get_all(pool, PAGES);
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

static uint64_t cached(unsigned cpu)
{
	struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;

	CHECK_EQ(weir_stat_read_cpu(pool, 0, cpu, &stat), 0);
	return stat.cached;
}

/* Leaves pages in the lists of the CPU it runs on. */
static void fill(void *unused)
{
	void *page[100];
	unsigned cpu = (unsigned)sched_getcpu();

	(void)unused;
	for (unsigned i = 0; i < 100; i++)
		CHECK((page[i] = weir_fast_alloc(pool, 0, 0)) != NULL);
	for (unsigned i = 0; i < 100; i++)
		weir_fast_free(pool, page[i], 0);
	weir_free(pool, weir_alloc(pool, 2, 0), 2);
	CHECK(cached(cpu) >= 64);
}

/* From CPU 0: what this CPU keeps, it gives; a polling one only if somebody
 * passes by there, so that it keeps them until it is back. */
static void drain_of(unsigned cpu)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;
	const uint64_t before = cached(cpu);
	char list[8];
	int err;

	snprintf(list, sizeof(list), "%u", cpu);
	opts.cpus = list;
	CHECK(before > 0);
	err = weir_drain(pool, &opts, &r);
	if (mode == WEIR_MODE_POLLING) {
		CHECK_EQ(err, -EAGAIN);
		CHECK_EQ(r.pending, before);
		return;
	}
	CHECK_MSG(err == 0, "a drain of CPU %u, which is offline: %d", cpu,
		  err);
	CHECK_EQ(r.pages, before);
	CHECK_EQ(r.pending, 0);
	CHECK_EQ(cached(cpu), 0);
}

/* --- one goes, with pages in its lists --------------------------------- */

struct guest_thread { /* pinned there when its CPU goes */
	event filled, gone, moved, back, done;
	int cpu;
};

/* It lives on elsewhere, and finds its CPU again. */
static void live_on(void *arg)
{
	struct guest_thread *t = arg;

	fill(NULL);
	tell(&t->filled);
	await(&t->gone, 1);
	CHECK(sched_getcpu() != t->cpu);
	weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
	tell(&t->moved);
	await(&t->back, 1);
	pin(t->cpu);
	fill(NULL);
	tell(&t->done);
}

static void one_goes(int cpu)
{
	struct guest_thread t = { .cpu = cpu };
	struct runner runner;

	start_on(&runner, cpu, live_on, &t);
	await(&t.filled, 1);
	plug(cpu, false);
	tell(&t.gone);
	await(&t.moved, 1);
	drain_of((unsigned)cpu);
	if (mode != WEIR_MODE_POLLING)
		crowd_get_all(pool, PAGES);
	plug(cpu, true);
	tell(&t.back);
	await(&t.done, 1);
	CHECK(cached((unsigned)cpu) >= 64); /* it works as before */
	finish(&runner);
}

/* Nobody drains by name: an allocation in shortage finds them. */
static void all_but_one(void)
{
	for (int cpu = 1; cpu < 4; cpu++)
		run_on(cpu, fill, NULL);
	for (int cpu = 1; cpu < 4; cpu++)
		plug(cpu, false);
	pin(0);
	fill(NULL);
	if (mode != WEIR_MODE_POLLING)
		crowd_get_all(pool, PAGES);
	for (int cpu = 1; cpu < 4; cpu++)
		plug(cpu, true);
	for (int cpu = 1; cpu < 4; cpu++)
		run_on(cpu, fill, NULL);
}

/* --- a CPU goes in the middle of a burst ------------------------------- */

static void burst_through(void *arg)
{
	struct guest_thread *t = arg;
	struct weir_burst burst;

	fill(NULL);
	weir_burst_begin(pool, &burst);
	weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
	tell(&t->filled);
	while (!happened(&t->gone, 1)) /* busy: it is moved while it works */
		weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
	CHECK(sched_getcpu() != t->cpu);
	tell(&t->moved);
	await(&t->back, 1);
	for (unsigned i = 0; i < 10; i++)
		weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
	weir_burst_end(pool, &burst);
	tell(&t->done);
}

/* With the burst open a quiet CPU keeps its pages, and with it closed no
 * more; an ordinary one knows no bursts. */
static void burst_goes(int cpu)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;
	struct guest_thread t = { .cpu = cpu };
	struct runner runner;
	char list[8];
	int err;

	snprintf(list, sizeof(list), "%d", cpu);
	opts.cpus = list;
	start_on(&runner, cpu, burst_through, &t);
	await(&t.filled, 1);
	plug(cpu, false);
	tell(&t.gone);
	await(&t.moved, 1);
	CHECK(cached((unsigned)cpu) > 0);
	err = weir_drain(pool, &opts, &r);
	CHECK_EQ(err, mode == WEIR_MODE_ORDINARY ? 0 : -EAGAIN);
	CHECK((r.pending > 0) == (err != 0));
	tell(&t.back);
	await(&t.done, 1);
	if (mode != WEIR_MODE_POLLING) {
		CHECK_EQ(weir_drain(pool, &opts, &r), 0);
		crowd_get_all(pool, PAGES);
	}
	finish(&runner);
	plug(cpu, true);
	run_on(cpu, fill, NULL);
}

/* --- CPUs that were not there when the pool was made ------------------- */

static void late(void)
{
	for (int cpu = 2; cpu < 4; cpu++)
		plug(cpu, false);
	make(mode);
	for (int cpu = 2; cpu < 4; cpu++) {
		plug(cpu, true);
		run_on(cpu, fill, NULL);
		CHECK(cached((unsigned)cpu) >= 64);
	}
	plug(3, false);
	drain_of(3);
	unmake();
}

/* As the machine was booted: those set aside are quiet, even if offline. */
static void late_default(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	plug(3, false);
	opts.capacity = PAGES * 4096;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_get_mode(pool, 0), WEIR_MODE_ORDINARY);
	CHECK_EQ(weir_get_mode(pool, 3), WEIR_MODE_QUIET);
	plug(3, true);
	run_on(3, fill, NULL);
	mode = WEIR_MODE_QUIET;
	drain_of(3);
	unmake();
}

/* --- in the middle of everything --------------------------------------- */

static void toggle(struct member *self)
{
	uint64_t r = check_random(&self->random);
	int cpu = 1 + (int)(r % 3);

	plug(cpu, !guest_is_online(cpu));
	crowd_nap(r >> 40 & 0x1fffff);
}

/* All but CPU 0 go, one by one, and come back. */
static void ebb_and_flow(struct member *self)
{
	static int cpu = 3;
	static bool online;

	(void)self;
	plug(cpu, online);
	if (online ? cpu == 3 : cpu == 1)
		online = !online;
	else
		cpu += online ? 1 : -1;
	crowd_nap(1000000);
}

static void crowds(void)
{
	static struct crowd_run runs[] = {
		{ .name = "quiet", .quiet = "1-3", .disturb = toggle },
		{ .name = "ordinary, one by one",
		  .quiet = "",
		  .disturb = ebb_and_flow },
		{ .name = "polling",
		  .quiet = "",
		  .polling = "1-3",
		  .disturb = toggle },
		{ .name = "quiet, ordinary and polling",
		  .quiet = "0-1",
		  .polling = "3",
		  .disturb = ebb_and_flow },
	};

	for (unsigned i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		runs[i].pages = PAGES;
		runs[i].seconds = guest_long() ? 8 : 1.5;
		crowd_go(&runs[i]);
		for (int cpu = 1; cpu < 4; cpu++)
			if (!guest_is_online(cpu))
				plug(cpu, true);
	}
}

int main(void)
{
	const unsigned rounds = guest_long() ? 4 : 1;

	guest_begin(4);
	late_default();
	for (unsigned i = 0; i < 3 * rounds; i++) {
		make((enum weir_mode)(i % 3));
		for (int cpu = 1; cpu < 4; cpu++)
			one_goes(cpu);
		all_but_one();
		burst_goes(1 + (int)i % 3);
		unmake();
		late();
		printf("  %s: %" PRIu64 " plugged or unplugged so far\n",
		       mode_names[mode], plugs);
	}
	crowds();
	printf("figures: CPUs came or went %" PRIu64 " times; %.0f operations, "
	       "%" PRIu64 " drains, %" PRIu64 " late\n",
	       plugs, crowd_sum.ops, crowd_sum.drains, crowd_sum.late);
	return 0;
}
