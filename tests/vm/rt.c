/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a real-time thread waits for one that is not scheduled, or
 * preempting an owner inside a sequence or a burst breaks something.
 *
 * On a kernel with PREEMPT_RT, which preempts almost anywhere; owners are
 * SCHED_FIFO threads on an isolated CPU. CPU 0 has all that is not pinned.
 */
#include "shared/crowd.h"

#include "common/interrupts.h"
#include "shared/sender.h"
#include "shared/still.h"

#define PAGES 2048
#define OWNER_CPU 2
#define HOG_NS UINT64_C(3000000000) /* it gives up: the test has failed */

static struct weir_pool *pool;
static char *base;
static struct oracle oracle;
static enum weir_mode mode;

static struct {
	uint64_t drains, ops, preempted;
	uint64_t slowest_ns; /* waiter for the mutex */
} sum;

static const char *const mode_names[] = { "ordinary", "quiet", "polling" };

/* The calling thread becomes one of that priority, there. In this order:
 * without the priority it might not get to run there. */
static void become(int priority, int cpu)
{
	const struct sched_param param = { .sched_priority = priority };

	CHECK_EQ(pthread_setschedparam(pthread_self(), SCHED_FIFO, &param), 0);
	pin(cpu);
}

static void make(enum weir_mode its_mode)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	mode = its_mode;
	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = mode == WEIR_MODE_QUIET ? "1-3" : "";
	opts.polling_cpus = mode == WEIR_MODE_POLLING ? "1-3" : NULL;
	opts.flags = WEIR_POOL_PREFAULT;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
	oracle_init(&oracle, "page", PAGES);
}

static void unmake(void)
{
	CHECK_EQ(oracle_out(&oracle), 0);
	crowd_visit_all(pool);
	crowd_get_all(pool, PAGES);
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
	oracle_fini(&oracle);
}

static int drain_of(unsigned cpu, uint64_t wait_ns, uint64_t *pending)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;
	char list[8];
	int err;

	snprintf(list, sizeof(list), "%u", cpu);
	opts.cpus = list;
	opts.wait_ns = wait_ns;
	err = weir_drain(pool, &opts, &r);
	*pending = r.pending;
	sum.drains++;
	return err;
}

/* A few pages out and back; the table knows whose they are. */
static void operate(uint8_t id)
{
	uint64_t *page[6];
	unsigned n;

	for (n = 0; n < 6; n++) {
		page[n] = weir_fast_alloc(pool, 0, WEIR_NOWAIT);
		if (page[n] == NULL)
			break;
		oracle_take(&oracle, (uint64_t)((char *)page[n] - base) / 4096,
			    1, id);
		*page[n] = id;
	}
	while (n-- > 0) {
		CHECK_EQ(*page[n], id);
		oracle_give(&oracle, (uint64_t)((char *)page[n] - base) / 4096,
			    1, id);
		weir_fast_free(pool, page[n], 0);
	}
}

static void nap_us(unsigned us)
{
	const struct timespec t = { .tv_nsec = (long)us * 1000 };

	nanosleep(&t, NULL);
}

/* --- an owner, and who preempts it ------------------------------------- */

static event stop, started;

/* Works without end, half the time in bursts; with `naps` lower ones get to
 * run, of many lengths: on a slow machine a short one is over before they do,
 * and if all were short they would starve. */
static void own(void *naps)
{
	struct weir_burst burst;

	become(10, OWNER_CPU);
	for (uint64_t i = 0; !happened(&stop, 1); i++) {
		if (i & 1)
			weir_burst_begin(pool, &burst);
		for (unsigned n = 0; n < 20; n++)
			operate(1);
		if (naps != NULL && i % 4 >= 2)
			nap_us(20u << i / 4 % 8);
		if (i & 1)
			weir_burst_end(pool, &burst);
		weir_fast_tick(pool);
		sum.ops += 240;
		if (i == 0)
			tell(&started);
	}
}

/*
 * Above the owner, on its CPU: wherever it was preempted, in a sequence, in a
 * burst, nothing that it began there can go on, and so nothing is to be
 * waited for.
 */
static void drain_above(void *unused)
{
	const unsigned n = guest_long() ? 3000 : 300;
	uint64_t random = now_ns() | 1, pending, hits = 0;

	(void)unused;
	become(20, OWNER_CPU);
	for (unsigned i = 0; i < n; i++) {
		int err;

		nap_us(20 + (unsigned)(check_random(&random) % 300));
		err = drain_of(OWNER_CPU, 1, &pending);
		CHECK_MSG(err == 0 && pending == 0,
			  "%s: a drain on the owner's CPU says %d, %" PRIu64
			  " pages pending",
			  mode_names[mode], err, pending);
		operate(2);
		hits++;
	}
	sum.preempted += hits;
}

/* Below the owner, on its CPU: it is preempted with the mutex held. */
static void drain_below(void *unused)
{
	const unsigned n = guest_long() ? 1000 : 100;
	uint64_t pending;

	(void)unused;
	become(1, OWNER_CPU);
	for (unsigned i = 0; i < n; i++) {
		int err = drain_of(OWNER_CPU, 1000000000, &pending);

		CHECK_MSG(err == 0, "%s: a drain below the owner says %d",
			  mode_names[mode], err);
		operate(3);
	}
}

static void beside_owner(void (*drain)(void *), bool naps)
{
	struct runner owner, drainer;

	stop = started = 0;
	inject_at_random(now_ns() * UINT64_C(0x9e3779b97f4a7c15), 100);
	start_on(&owner, 0, own, naps ? &stop : NULL);
	await(&started, 1);
	start_on(&drainer, 0, drain, NULL);
	finish(&drainer);
	tell(&stop);
	finish(&owner);
	inject_at_random(0, 0);
}

/* --- an owner that is preempted for long, inside a burst --------------- */

static event in_burst, end_burst, hogging, hog_end;
static bool hog_operates;

static void burst_owner(void *unused)
{
	struct weir_burst burst;

	(void)unused;
	become(10, OWNER_CPU);
	operate(1);
	weir_burst_begin(pool, &burst);
	operate(1);
	tell(&in_burst);
	while (!happened(&end_burst, 1))
		;
	operate(1);
	weir_burst_end(pool, &burst);
}

/* Has the CPU for itself until it is told, or gives up. */
static void hog(void *priority)
{
	const uint64_t end = now_ns() + HOG_NS;

	become(*(int *)priority, OWNER_CPU);
	if (hog_operates)
		operate(4); /* it waits for nobody, or this hangs */
	tell(&hogging);
	while (!happened(&hog_end, 1) && now_ns() < end)
		;
}

static bool hog_gave_up(uint64_t since)
{
	return now_ns() - since >= HOG_NS;
}

/*
 * The drain ends by its deadline, although nobody helps, and says what it did
 * not get. Who operates there meanwhile is evidence.
 */
static void preempted_in_burst(bool operates)
{
	struct runner owner, its_hog;
	uint64_t pending, start;
	int priority = 30, err;

	in_burst = end_burst = hogging = hog_end = 0;
	hog_operates = operates;
	start_on(&owner, 0, burst_owner, NULL);
	await(&in_burst, 1);
	start = now_ns();
	start_on(&its_hog, 0, hog, &priority);
	await(&hogging, 1);
	err = drain_of(OWNER_CPU, 5000000, &pending);
	CHECK_MSG(!hog_gave_up(start), "a drain waits for who cannot run");
	if (mode == WEIR_MODE_ORDINARY || (operates && mode == WEIR_MODE_QUIET))
		CHECK_EQ(err, 0);
	else
		CHECK_EQ(err, -EAGAIN);
	CHECK((pending > 0) == (err != 0));
	tell(&hog_end);
	finish(&its_hog);
	tell(&end_burst);
	finish(&owner);
	sum.preempted++;
}

/* --- the drain mutex --------------------------------------------------- */

static event has_mutex, waited;
static uint64_t waited_ns;
static int waited_err;

static void fill(void *unused)
{
	(void)unused;
	operate(5);
}

/* Holds the mutex as long as it may: CPU 3 polls no more. */
static void low(void *unused)
{
	uint64_t pending;

	(void)unused;
	become(1, OWNER_CPU);
	tell(&has_mutex);
	CHECK_EQ(drain_of(3, 100000000, &pending), -EAGAIN);
}

static void high(void *unused)
{
	uint64_t pending, start;

	(void)unused;
	become(20, 1);
	start = now_ns();
	waited_err = drain_of(0, 20000000000, &pending);
	waited_ns = now_ns() - start;
	tell(&waited);
}

/*
 * Priority inversion: the holder is preempted by a thread of middle priority
 * that never ends; a thread that waits for the mutex is above that and lends
 * the holder its priority.
 */
static void inversion(void)
{
	struct runner holder, waiter, middle;
	int priority = 5;
	uint64_t start;

	has_mutex = waited = hogging = hog_end = 0;
	hog_operates = false;
	run_on(3, fill, NULL);
	run_on(0, fill, NULL);
	start_on(&holder, 0, low, NULL);
	await(&has_mutex, 1);
	guest_nap_ms(20);
	start = now_ns();
	start_on(&middle, 0, hog, &priority);
	await(&hogging, 1);
	guest_nap_ms(120); /* the holder's deadline is over, but it starves */
	start_on(&waiter, 0, high, NULL);
	await(&waited, 1);
	CHECK_MSG(!hog_gave_up(start) && waited_err == 0,
		  "the mutex is kept from a thread of priority 20 for %" PRIu64
		  " ms by one of priority 5 (%d)",
		  waited_ns / 1000000, waited_err);
	tell(&hog_end);
	finish(&middle);
	finish(&holder);
	finish(&waiter);
	run_on(3, fill, NULL); /* it passes by: what is pending can go */
	if (waited_ns > sum.slowest_ns)
		sum.slowest_ns = waited_ns;
}

/* --- interrupts -------------------------------------------------------- */

static event turn, ready;

/* Between two turns it computes; it leaves pages each time. */
static void compute(void *unused)
{
	uint32_t seen = 0;

	(void)unused;
	become(10, 3);
	while (!happened(&stop, 1)) {
		operate(1);
		tell(&ready);
		seen++;
		while (!happened(&turn, seen) && !happened(&stop, 1))
			;
	}
}

/* How many interrupts others sent to a computing FIFO owner, for n drains
 * that each got pages. */
static uint64_t interrupts_of(unsigned n)
{
	const uint64_t began_ns = now_ns();
	struct interrupt_counts before, after;
	struct interrupts in;
	struct runner owner;

	stop = turn = ready = 0;
	CHECK_EQ(interrupts_open(&in, 3), 0);
	start_on(&owner, 0, compute, NULL);
	await(&ready, 1);
	guest_nap_ms(50);
	CHECK_EQ(interrupts_read(&in, &before), 0);
	for (unsigned i = 0; i < n; i++) {
		struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
		struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;

		await(&ready, i + 1);
		opts.cpus = "3";
		CHECK_EQ(weir_drain(pool, &opts, &r), 0);
		CHECK(r.pages > 0);
		tell(&turn);
	}
	CHECK_EQ(interrupts_read(&in, &after), 0);
	tell(&stop);
	finish(&owner);
	interrupts_close(&in);
	if (mode == WEIR_MODE_QUIET && interrupts_between(&before, &after) > 0)
		sender_print(3, began_ns);
	return interrupts_between(&before, &after);
}

static void count_interrupts(uint64_t *quiet, uint64_t *control, unsigned n)
{
	still_machine();
	sender_watch();
	pin(0);
	make(WEIR_MODE_ORDINARY);
	*control = interrupts_of(n);
	unmake();
	make(WEIR_MODE_QUIET);
	pin(0);
	*quiet = interrupts_of(n);
	unmake();
	CHECK_MSG(*control >= n, "%u membarriers, %" PRIu64 " interrupts", n,
		  *control);
	CHECK_MSG(*quiet == 0, "%u drains, %" PRIu64 " interrupts", n, *quiet);
}

int main(void)
{
	const unsigned n = guest_long() ? 2000 : 200;
	uint64_t quiet, control;
	struct utsname u;

	guest_begin(4);
	CHECK_EQ(uname(&u), 0);
	if (strstr(u.version, "PREEMPT_RT") == NULL)
		SKIP("this needs a kernel with PREEMPT_RT");
	guest_must_write("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	for (unsigned i = 0; i < 3; i++) {
		make((enum weir_mode)i);
		beside_owner(drain_above, false);
		beside_owner(drain_below, true);
		unmake();
		for (unsigned operates = 0; operates < 2; operates++) {
			make((enum weir_mode)i);
			preempted_in_burst(operates);
			unmake();
		}
		printf("  %s: %" PRIu64 " drains so far\n", mode_names[mode],
		       sum.drains);
	}
	make(WEIR_MODE_POLLING);
	for (unsigned i = 0; i < (guest_long() ? 20 : 3); i++)
		inversion();
	unmake();
	count_interrupts(&quiet, &control, n);
	printf("figures: %" PRIu64 " drains, %.0f operations; inversion ended "
	       "in %.1f ms; interrupts %" PRIu64 " for %u drains, control "
	       "%" PRIu64 "\n",
	       sum.drains, (double)sum.ops, (double)sum.slowest_ns / 1e6, quiet,
	       n, control);
	return 0;
}
