/* SPDX-License-Identifier: MIT */
/*
 * If this fails, maintenance lets a pool run empty although CPUs or the program
 * have pages to spare, asks for too many or on a CPU that must be left alone,
 * or calls a function that is no longer set.
 */
#include <weir/fast.h>
#include <weir/request.h>
#include <weir/stat.h>

#include "helpers.h"

#define PAGES 4096
#define LOW 1000
#define HIGH 2000

static struct weir_pool *pool;
static int here, there;
static char here_list[16];

/* What the program has, and gives up when it is asked. */
static void *spare[PAGES];
static size_t nr_spare;
static uint64_t nr_asked, last_wanted;
static void (*meanwhile)(void);

static struct weir_stat stat_now(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	return stat;
}

static void shrink(struct weir_pool *asked, uint64_t wanted, void *context)
{
	CHECK(asked == pool && context == &nr_asked);
	nr_asked++;
	last_wanted = wanted;
	if (meanwhile != NULL)
		meanwhile();
	for (; wanted > 0 && nr_spare > 0; wanted--)
		weir_free(pool, spare[--nr_spare], 0);
}

static void set(uint64_t low, uint64_t high)
{
	struct weir_watermarks marks = WEIR_WATERMARKS_INIT;

	marks.low = low;
	marks.high = high;
	marks.shrink = shrink;
	marks.context = &nr_asked;
	CHECK_EQ(weir_set_watermarks(pool, &marks), 0);
}

/* Leaves so many pages free in zones and lists. */
static void leave(uint64_t free)
{
	while (nr_spare < PAGES - free) {
		spare[nr_spare] = weir_alloc(pool, 0, 0);
		CHECK(spare[nr_spare] != NULL);
		nr_spare++;
	}
}

static void create(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "";
	opts.list_limit = 500;
	nr_spare = nr_asked = 0;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
}

static void destroy(void)
{
	while (nr_spare > 0)
		weir_free(pool, spare[--nr_spare], 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

static void fill_list(void *unused)
{
	static void *pages[400];

	(void)unused;
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, 400, 0), 0);
	for (unsigned i = 0; i < 400; i++)
		weir_free(pool, pages[i], 0);
}

/* Above the low mark nothing happens; below it drains come first, and the
 * program is asked for the rest; then nothing again. */
static void see_marks(void)
{
	create();
	set(LOW, HIGH);
	leave(LOW + 500);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(stat_now().below_low, 0);
	CHECK_EQ(nr_asked, 0);
	/* Enough lies in a list. */
	set(LOW + 400, LOW + 401);
	leave(LOW + 401);
	run_on(there, fill_list, NULL);
	CHECK(stat_now().free < LOW + 400);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(stat_now().below_low, 1);
	CHECK_EQ(nr_asked, 0);
	/* Nothing does. */
	set(LOW, HIGH);
	leave(LOW - 10);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(nr_asked, 1);
	CHECK(last_wanted >= HIGH - LOW + 10);
	CHECK(stat_now().free >= HIGH);
	CHECK(stat_now().free <= HIGH + 64);
	CHECK_EQ(stat_now().shrinks, 1);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(nr_asked, 1);
	/* None are set any more. */
	CHECK_EQ(weir_set_watermarks(pool, NULL), 0);
	leave(0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(nr_asked, 1);
	destroy();
}

/* What is freed goes to who waits for it. */
static void see_request(void)
{
	static void *pages[100];
	struct weir_request request = WEIR_REQUEST_INIT;

	create();
	set(LOW, HIGH);
	leave(0);
	request.n = 100;
	request.pages = pages;
	request.fd = 0;
	CHECK_EQ(weir_request_submit(pool, &request), 0);
	(void)weir_maintain(pool, 0, NULL);
	CHECK(weir_request_is_done(&request));
	weir_free_bulk(pool, 0, pages, 100);
	destroy();
}

static void see_modes(void)
{
	create();
	set(LOW, HIGH);
	leave(0);
	if (weir_set_mode(pool, here_list, WEIR_MODE_QUIET) != 0) {
		destroy();
		return;
	}
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(nr_asked, 0);
	CHECK_EQ(weir_set_mode(pool, here_list, WEIR_MODE_ORDINARY), 0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(nr_asked, 1);
	destroy();
}

static void call_all(void)
{
	CHECK_EQ(weir_set_watermarks(pool, NULL), -EDEADLK);
	CHECK_EQ(weir_maintain_stop(pool), -EDEADLK);
	CHECK_EQ(weir_pool_destroy(pool, 0), -EDEADLK);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	weir_free(pool, weir_alloc(pool, 0, WEIR_NOWAIT), 0);
}

static void see_calls_within(void)
{
	create();
	set(LOW, HIGH);
	leave(10);
	meanwhile = call_all;
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(nr_asked, 1);
	meanwhile = NULL;
	destroy();
}

/* --- set anew while it runs --------------------------------------------- */

static event within, go_on, was_set;

static void linger(void)
{
	tell(&within);
	await(&go_on, 1);
	CHECK(!happened(&was_set, 1));
}

static void maintain(void *unused)
{
	(void)unused;
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
}

static void set_anew(void *unused)
{
	(void)unused;
	CHECK_EQ(weir_set_watermarks(pool, NULL), 0);
	tell(&was_set);
}

static void see_set_anew(void)
{
	struct runner maintainer, setter;

	create();
	set(LOW, HIGH);
	leave(10);
	meanwhile = linger;
	start_on(&maintainer, there, maintain, NULL);
	await(&within, 1);
	start_on(&setter, here, set_anew, NULL);
	/* Another one does not wait for it. */
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	tell(&go_on);
	finish(&setter);
	finish(&maintainer);
	CHECK_EQ(nr_asked, 1);
	meanwhile = NULL;
	destroy();
}

static void see_errors(void)
{
	struct weir_watermarks marks = WEIR_WATERMARKS_INIT;

	create();
	CHECK_EQ(weir_set_watermarks(pool, &marks), -EINVAL);
	CHECK(strstr(weir_last_error(), "low") != NULL);
	marks.low = 10;
	CHECK_EQ(weir_set_watermarks(pool, &marks), -EINVAL);
	marks.high = PAGES + 1;
	CHECK_EQ(weir_set_watermarks(pool, &marks), -EINVAL);
	CHECK(strstr(weir_last_error(), "high") != NULL);
	marks.high = PAGES;
	CHECK_EQ(weir_set_watermarks(pool, &marks), 0);
	destroy();
}

int main(void)
{
	two_cpus(&here, &there);
	pin(here);
	snprintf(here_list, sizeof(here_list), "%d", here);
	see_errors();
	see_marks();
	see_request();
	see_modes();
	see_calls_within();
	see_set_anew();
	return 0;
}
