/* SPDX-License-Identifier: MIT */
/*
 * If this fails, the pages of a CPU whose thread is stopped inside a burst
 * are given away under it, or never come back once it goes on.
 */
#include <weir/stat.h>

#include "helpers.h"
#include "api/pool.h"

#define PAGES 4096

static struct weir_pool *pool;
static int here, there;
static event go_in, in_burst, go_on, go_away, gone;

static struct wi_unit *unit(void)
{
	return &wi_pool_of(pool)->cache.drain.units[there];
}

static uint64_t active(void)
{
	return wi_drain_area(&wi_pool_of(pool)->cache.drain, 0, (unsigned)there)
		->active;
}

/* Fills this CPU's list with a batch. */
static void fill(void *unused)
{
	(void)unused;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
}

/* Stands still in a burst, twice, with a page in its hand. */
static void owner(void *unused)
{
	struct weir_burst burst;

	(void)unused;
	for (unsigned i = 1; i <= 2; i++) {
		void *page;

		await(&go_in, i);
		weir_burst_begin(pool, &burst);
		page = weir_alloc(pool, 0, 0);
		tell(&in_burst);
		await(&go_on, i);
		weir_free(pool, page, 0);
		weir_burst_end(pool, &burst);
		tell(&gone);
	}
	await(&go_away, 1);
}

static int drain(uint64_t wait_ns, struct weir_drain_result *result)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	opts.wait_ns = wait_ns;
	*result = (struct weir_drain_result)WEIR_DRAIN_RESULT_INIT;
	return weir_drain(pool, &opts, result);
}

static int set_mode(enum weir_mode mode)
{
	char list[16];

	snprintf(list, sizeof(list), "%d", there);
	return weir_set_mode(pool, list, mode);
}

static struct weir_stat stat_now(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	return stat;
}

/* The first drain leaves the set pending, whatever the deadline. */
static void leave_pending(void)
{
	const uint64_t kept = stat_now().cached;
	struct weir_drain_result r;
	uint64_t before;

	CHECK(kept > 0);
	tell(&go_in);
	await(&in_burst, 1);
	CHECK_EQ(drain(1000000, &r), -EAGAIN);
	CHECK_EQ(r.pages, 0);
	CHECK_EQ(r.cpus_pending, 1);
	CHECK_EQ(r.pending, kept - 1);
	CHECK_EQ(stat_now().pending, kept - 1);
	CHECK_EQ(stat_now().cached, 0);
	CHECK(wi_active_set(active()) != WI_SET_NULL);

	/* Nothing is in the new set: another drain has nothing to exchange. */
	before = active();
	CHECK_EQ(drain(1000000, &r), -EAGAIN);
	CHECK_EQ(active(), before);

	/* It goes on: the free goes to the new set, and the end of the burst
	 * frees the old one. */
	tell(&go_on);
	await(&gone, 1);
	CHECK_EQ(drain(1000000000, &r), 0);
	CHECK(r.pages >= kept - 1);
	CHECK_EQ(r.pending, 0);
	CHECK_EQ(unit()->pending, WI_SET_NULL);
}

/* Changes of the mode while a set is pending: active is not exchanged before
 * evidence has come, so no second set is pending and one mode is in flight. The
 * last mode asked for comes into force then, though nobody operates there any
 * more. */
static void change_modes(void)
{
	struct weir_drain_result r;
	uint64_t before, kept;

	tell(&go_in);
	await(&in_burst, 2);
	CHECK_EQ(drain(1, &r), -EAGAIN);
	before = active();
	kept = stat_now().pending;
	CHECK(kept > 0);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(set_mode(WEIR_MODE_POLLING), -EAGAIN);
		CHECK_EQ(set_mode(WEIR_MODE_OFF), -EAGAIN);
		CHECK_EQ(set_mode(WEIR_MODE_ORDINARY), -EAGAIN);
		CHECK_EQ(set_mode(WEIR_MODE_QUIET), -EAGAIN);
		CHECK_EQ(set_mode(WEIR_MODE_OFF), -EAGAIN);
	}
	CHECK_EQ(active(), before);
	CHECK_EQ(weir_get_mode(pool, (unsigned)there), WEIR_MODE_QUIET);
	CHECK_EQ(stat_now().pending, kept);
	tell(&go_on);
	await(&gone, 2);
	CHECK_EQ(drain(1000000000, &r), 0);
	CHECK(r.pages >= kept);
	CHECK_EQ(unit()->pending, WI_SET_NULL);
	CHECK_EQ(weir_get_mode(pool, (unsigned)there), WEIR_MODE_OFF);
	CHECK_EQ(stat_now().cached + stat_now().pending, 0);
	CHECK_EQ(set_mode(WEIR_MODE_QUIET), 0);
}

/* From off, lists are there again at once, with a set still pending. */
static void switch_on_again(void)
{
	struct weir_drain_result r;
	uint64_t kept;

	CHECK_EQ(set_mode(WEIR_MODE_POLLING), 0);
	run_on(there, fill, NULL);
	kept = stat_now().cached;
	CHECK_EQ(set_mode(WEIR_MODE_OFF), -EAGAIN);
	CHECK_EQ(wi_active_set(active()), WI_SET_NULL);
	CHECK_EQ(weir_get_mode(pool, (unsigned)there), WEIR_MODE_POLLING);
	CHECK_EQ(set_mode(WEIR_MODE_QUIET), -EAGAIN);
	CHECK(wi_active_set(active()) != WI_SET_NULL);
	CHECK_EQ(stat_now().pending, kept);
	/* An allocation there collects it. */
	run_on(there, fill, NULL);
	CHECK_EQ(stat_now().cached, kept);
	CHECK_EQ(stat_now().pending, 0);
	CHECK_EQ(drain(1000000000, &r), 0);
	CHECK_EQ(r.pages, kept);
	CHECK_EQ(weir_get_mode(pool, (unsigned)there), WEIR_MODE_QUIET);
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct runner runner;

	two_cpus(&here, &there);
	pin(here);
	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "";
	opts.wait_ns = 1000000; /* of changes of mode */
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	if (weir_set_mode(pool, NULL, WEIR_MODE_QUIET) == -EOPNOTSUPP)
		SKIP("without sequences there are no quiet CPUs");
	run_on(there, fill, NULL);
	start_on(&runner, there, owner, NULL);
	leave_pending();
	change_modes();
	switch_on_again();
	tell(&go_away);
	finish(&runner);
	run_on(there, fill, NULL);
	CHECK(stat_now().cached > 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return 0;
}
