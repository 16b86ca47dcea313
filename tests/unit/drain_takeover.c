/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a drain that may wait for long takes over the result of a
 * hasty one, and says that pages are pending while it could have had them.
 */
#include "helpers.h"
#include "api/pool.h"

static struct weir_pool *pool;
static int here, there;
static event in_burst, go_on, asked, answered;
static uint64_t wait_ns;
static struct weir_drain_result result;
static int answer;

static void stand_in_burst(void *unused)
{
	struct weir_burst burst;

	(void)unused;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	weir_burst_begin(pool, &burst);
	tell(&in_burst);
	await(&go_on, 1);
	weir_burst_end(pool, &burst);
}

static void ask(void *unused)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	(void)unused;
	opts.wait_ns = wait_ns;
	result = (struct weir_drain_result)WEIR_DRAIN_RESULT_INIT;
	tell(&asked);
	answer = weir_drain(pool, &opts, &result);
	tell(&answered);
}

/* A drain with that much time, begun after the other thread has asked, and
 * which ends before it can look. */
static void drain_first(uint64_t for_ns)
{
	struct wi_drain *drain = &wi_pool_of(pool)->cache.drain;
	struct wi_drain_request request = { .nr_zones = drain->nr_zones };
	struct wi_drain_run run;
	struct wi_drained drained;

	request.deadline_ns = now_ns() + for_ns;
	wi_drain_begin(&run, drain, &request);
	CHECK(!wi_drain_next(&run, &drained));
	CHECK_EQ(run.outcome.nr_pending, 1);
}

static void beside(uint64_t first_ns, uint64_t second_ns)
{
	struct wi_drain *drain = &wi_pool_of(pool)->cache.drain;
	struct runner burst, asker;

	in_burst = go_on = asked = answered = 0;
	wait_ns = second_ns;
	start_on(&burst, there, stand_in_burst, NULL);
	await(&in_burst, 1);
	CHECK_EQ(wi_drain_lock(drain, UINT64_MAX), 0);
	start_on(&asker, here, ask, NULL);
	await(&asked, 1);
	usleep(20000); /* it waits for the mutex now, as a rule */
	drain_first(first_ns);
	wi_drain_unlock(drain);
	usleep(20000);
	CHECK_MSG(!happened(&answered, 1), "%d after a drain of %" PRIu64 " ns",
		  answer, first_ns);
	tell(&go_on);
	await(&answered, 1);
	CHECK_EQ(answer, 0);
	CHECK_EQ(result.taken_over, 0);
	CHECK_EQ(result.pending, 0);
	finish(&asker);
	finish(&burst);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	two_cpus(&here, &there);
	pin(here);
	opts.capacity = 16 << 20;
	opts.quiet_cpus = "";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	if (weir_set_mode(pool, NULL, WEIR_MODE_QUIET) == -EOPNOTSUPP)
		SKIP("without sequences there are no quiet CPUs");
	beside(1000000, 10000000000u);
	beside(50000000, 10000000000u);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return 0;
}
