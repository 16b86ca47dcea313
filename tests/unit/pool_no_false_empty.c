/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an allocation says that there is no memory while another
 * CPU's lists are full of it, or says so too late, or keeps what it must give
 * back.
 */
#include <weir/fast.h>
#include <weir/stat.h>

#include "helpers.h"

#define PAGES 500

static struct weir_pool *pool;
static int here, there;
static void *page[PAGES + 1];

static void create(uint64_t pages, unsigned flags, uint64_t wait_ns)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = pages * 4096;
	opts.quiet_cpus = "";
	opts.list_limit = 511;
	opts.flags = flags;
	opts.wait_ns = wait_ns;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
}

static void destroy(void)
{
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

static struct weir_stat stat_now(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	return stat;
}

static bool has_mode(enum weir_mode mode)
{
	int err = weir_set_mode(pool, NULL, mode);

	CHECK(err == 0 || err == -EOPNOTSUPP);
	return err == 0;
}

/* All pages of the pool into the lists of the CPU it runs on. */
static void hoard(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < PAGES; i++)
		CHECK((page[i] = weir_alloc(pool, 0, 0)) != NULL);
	for (unsigned i = 0; i < PAGES; i++)
		weir_free(pool, page[i], 0);
	CHECK(stat_now().cached == PAGES || stat_now().pages > PAGES);
}

static event hoarded, enough;

/* Passes by, as a poll loop does, once it has all pages. */
static void poll_loop(void *unused)
{
	hoard(unused);
	tell(&hoarded);
	while (!happened(&enough, 1)) {
		weir_fast_tick(pool);
		sched_yield();
	}
}

static void free_all(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		weir_free(pool, page[i], 0);
}

static void must_get_all(void)
{
	errno = 0;
	CHECK(weir_alloc(pool, 0, WEIR_NOWAIT) == NULL);
	CHECK_EQ(errno, EAGAIN);
	for (unsigned i = 0; i < PAGES; i++) {
		page[i] = weir_alloc(pool, 0, 0);
		CHECK_MSG(page[i] != NULL, "page %u: errno %d", i, errno);
	}
	CHECK(weir_alloc(pool, 0, 0) == NULL);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(stat_now().failed_empty, 1);
	free_all(PAGES);
}

static void every_mode(void)
{
	static const enum weir_mode modes[] = { WEIR_MODE_ORDINARY,
						WEIR_MODE_QUIET,
						WEIR_MODE_POLLING };

	for (unsigned i = 0; i < 4; i++) {
		create(PAGES, i == 3 ? WEIR_POOL_NO_RSEQ : 0, 2000000000);
		if (i < 3 && !has_mode(modes[i])) {
			destroy();
			continue;
		}
		if (i < 3 && modes[i] == WEIR_MODE_POLLING) {
			struct runner runner;

			start_on(&runner, there, poll_loop, NULL);
			await(&hoarded, 1);
			must_get_all();
			tell(&enough);
			finish(&runner);
		} else {
			run_on(there, hoard, NULL);
			must_get_all();
		}
		destroy();
	}
}

/* --- pages pending ----------------------------------------------------- */

static event in_burst, go_on;

static void hoard_in_burst(void *unused)
{
	struct weir_burst burst;

	weir_burst_begin(pool, &burst);
	hoard(unused);
	tell(&in_burst);
	await(&go_on, 1);
	weir_burst_end(pool, &burst);
}

static void pending(void)
{
	struct runner runner;
	uint64_t start, took;
	void *some[4];

	create(PAGES, 0, 20000000);
	if (!has_mode(WEIR_MODE_QUIET)) {
		destroy();
		return;
	}
	start_on(&runner, there, hoard_in_burst, NULL);
	await(&in_burst, 1);
	start = now_ns();
	CHECK(weir_alloc(pool, 0, 0) == NULL);
	CHECK_EQ(errno, EAGAIN);
	took = now_ns() - start;
	CHECK_MSG(took >= 19000000, "gave up after %" PRIu64 " ns", took);
	CHECK_EQ(stat_now().failed_pending, 1);
	CHECK_EQ(weir_alloc_bulk(pool, 0, some, 4, 0), -EAGAIN);
	CHECK_EQ(weir_alloc_upto(pool, 0, some, 4, 0), 0);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(stat_now().pending, PAGES);
	tell(&go_on);
	finish(&runner);
	CHECK((page[0] = weir_alloc(pool, 0, 0)) != NULL);
	free_all(1);
	destroy();
}

/* Twice the deadline at most; the machine is shared, so the best of some. */
static void deadline(void)
{
	struct runner runner;
	uint64_t best = UINT64_MAX;

	go_on = in_burst = 0;
	create(PAGES, 0, 5000000);
	if (!has_mode(WEIR_MODE_QUIET)) {
		destroy();
		return;
	}
	start_on(&runner, there, hoard_in_burst, NULL);
	await(&in_burst, 1);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t start = own_ns(), took;

		CHECK(weir_alloc(pool, 0, 0) == NULL);
		took = own_ns() - start;
		best = took < best ? took : best;
	}
	CHECK_MSG(best < 10000000, "a wait of 5 ms took %" PRIu64 " ns", best);
	tell(&go_on);
	finish(&runner);
	destroy();
}

/* --- bulk -------------------------------------------------------------- */

static void bulk(void)
{
	create(PAGES, 0, 2000000000);
	for (unsigned i = 0; i < 200; i++)
		CHECK((page[i] = weir_alloc(pool, 0, 0)) != NULL);
	/* All or none; what it had is back, also if it came from a drain. */
	CHECK_EQ(weir_alloc_bulk(pool, 0, page + 200, 301, 0), -ENOMEM);
	CHECK_EQ(stat_now().out, 200);
	CHECK_EQ(weir_alloc_bulk(pool, 0, page + 200, 301, WEIR_NOWAIT),
		 -EAGAIN);
	CHECK_EQ(stat_now().out, 200);
	CHECK_EQ(weir_alloc_bulk(pool, 0, page + 200, 300, 0), 0);
	free_all(PAGES);
	run_on(there, hoard, NULL);
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, PAGES + 1, 0), -ENOMEM);
	CHECK_EQ(stat_now().out, 0);
	run_on(there, hoard, NULL);
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, PAGES, 0), 0);
	/* As many as there are. */
	free_all(30);
	CHECK_EQ(weir_alloc_upto(pool, 0, page, 100, 0), 30);
	CHECK_EQ(weir_alloc_upto(pool, 0, page + 30, 1, 0), 0);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(weir_alloc_upto(pool, 0, page, 0, 0), 0);
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, 0, 0), 0);
	weir_free_bulk(pool, 0, page, PAGES);
	destroy();
}

/* --- bulk against bulk ------------------------------------------------- */

static event ready, done;
static int said[2];

/* Two pages into this CPU's list; then three, of four that there are. */
static void want_three(void *arg)
{
	int *error = arg;
	void *mine[3];

	for (uint32_t i = 1; i <= 200; i++) {
		CHECK_EQ(weir_alloc_bulk(pool, 0, mine, 2, 0), 0);
		tell(&ready);
		await(&ready, 4 * i - 2);
		weir_free_bulk(pool, 0, mine, 2);
		tell(&ready);
		await(&ready, 4 * i);
		*error = weir_alloc_bulk(pool, 0, mine, 3, 0);
		CHECK(*error == 0 || *error == -EAGAIN || *error == -ENOMEM);
		if (*error == 0)
			weir_free_bulk(pool, 0, mine, 3);
		tell(&done);
		await(&done, 4 * i - 2);
		CHECK_MSG(said[0] != -ENOMEM || said[1] != -ENOMEM,
			  "round %u: both had a part and said ENOMEM", i);
		tell(&done);
		await(&done, 4 * i);
	}
}

static void bulks(void)
{
	struct runner a, b;

	create(4, 0, 2000000000);
	start_on(&a, here, want_three, &said[0]);
	start_on(&b, there, want_three, &said[1]);
	finish(&a);
	finish(&b);
	destroy();
}

/* --- the last page ----------------------------------------------------- */

static uint32_t owners, got[2];

/* Until it had the page 2000 times. */
static void fight(void *arg)
{
	uint32_t *mine = arg;

	while (!happened(mine, 2000)) {
		void *last = weir_alloc(pool, 0, 0);

		if (last == NULL) {
			CHECK(errno == ENOMEM || errno == EAGAIN);
			sched_yield();
			continue;
		}
		CHECK_EQ(__atomic_fetch_add(&owners, 1, __ATOMIC_ACQ_REL), 0);
		CHECK_EQ(__atomic_sub_fetch(&owners, 1, __ATOMIC_ACQ_REL), 0);
		weir_free(pool, last, 0);
		tell(mine);
	}
}

static void last_page(enum weir_mode mode)
{
	struct runner a, b;

	create(1, 0, 1000000);
	if (has_mode(mode)) {
		got[0] = got[1] = 0;
		start_on(&a, here, fight, &got[0]);
		start_on(&b, there, fight, &got[1]);
		finish(&a);
		finish(&b);
	}
	destroy();
}

/* --- runs -------------------------------------------------------------- */

static void keep_block(void *unused)
{
	(void)unused;
	weir_free(pool, weir_alloc(pool, 9, 0), 9);
}

static void runs(void)
{
	void *run;

	/* The only block is in the other CPU's list. */
	create(512, 0, 2000000000);
	run_on(there, keep_block, NULL);
	CHECK_EQ(stat_now().cached, 512);
	CHECK((run = weir_alloc(pool, 5, 0)) != NULL);
	CHECK(weir_alloc(pool, 9, 0) == NULL);
	CHECK_EQ(errno, ENOMEM);
	weir_free(pool, run, 5);
	destroy();
	/* All pages are, one by one. */
	create(512, 0, 2000000000);
	run_on(there, hoard, NULL);
	CHECK((run = weir_alloc(pool, 9, 0)) != NULL);
	CHECK_EQ(stat_now().out, 512);
	weir_free(pool, run, 9);
	CHECK_EQ(weir_alloc(pool, 10, 0) == NULL, 1);
	CHECK_EQ(errno, ENOMEM);
	destroy();
}

int main(void)
{
	two_cpus(&here, &there);
	pin(here);
	every_mode();
	pending();
	deadline();
	bulk();
	bulks();
	last_page(WEIR_MODE_ORDINARY);
	last_page(WEIR_MODE_QUIET);
	last_page(WEIR_MODE_OFF);
	runs();
	return 0;
}
