/* SPDX-License-Identifier: MIT */
#include "demo/row.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h" /* what two threads share */
#include "common/measure.h"
#include "os/os.h" /* a sleep that signals end */

#define WARM_UPS 8
#define LIMIT_NS 2000000000
/* What reading the counters may take for a row, in all. */
#define READING_NS 1000000000
/* So quickly answers an owner that runs; how often it is asked. */
#define ANSWER_NS 5000
#define ANSWERS_MAX 1000
/* How long a rescue waits. One that leaves pages pending is not worth more;
 * otherwise the wait ends when the owner gets its CPU back, should another
 * program have it. */
#define WAIT_PENDING_NS 2000000
#define WAIT_NS 2000000000
/* From so long a window on, who waits sleeps, as a waiting drain does. */
#define SLEEPY_NS 1000000
#define NAP_NS 50000

struct run {
	struct row *row;
	const struct row_setting *setting;
	void *pool;
	struct owner owner;
	uint64_t *held; /* the pages that are in use throughout */
	uint64_t nr_held;
	uint64_t *ns;		   /* of each rescue */
	struct demo_counts before; /* the first that counts */
	bool left_pending;	   /* the last rescue left pages pending */
	unsigned windows_more, windows_fewer;
};

/* Does a rescue wait for the owner, or the owner have to be put to sleep? */
static bool is_slow(const struct row *row)
{
	return row->scene == OWNER_ASLEEP ||
	       row->way == &baseline_scheduled_work ||
	       (row->way->leaves_pending && row->scene != OWNER_ALLOCATING);
}

static unsigned nr_attempts(const struct row *row, unsigned rescues)
{
	/* Many for weir and the control; the others have little to hide. */
	const unsigned part =
		is_slow(row)						? 15
		: row->way->is_weir || row->way == &baseline_membarrier ? 1
									: 3;

	return (unsigned)wi_max_u64(ROW_RESCUES_MIN, rescues / part);
}

/* How long a row goes on while the machine is loaded. What is promised of an
 * allocating owner is shown in full. */
static uint64_t limit_ns(const struct row *row)
{
	return row->way->is_weir && row->scene == OWNER_ALLOCATING ? UINT64_MAX
								   : LIMIT_NS;
}

double row_excess(const struct row *row)
{
	double excess = (double)row->with - (double)row->without;

	return row->attempts > 0 && excess > 0 ? excess / row->attempts : 0;
}

/* --- counting ------------------------------------------------------------ */

/* Interrupts since *from, which becomes now. */
static uint64_t count_from(struct run *run, struct interrupt_counts *from)
{
	struct interrupt_counts now = *from;
	uint64_t n = 0;

	if (!run->row->counted)
		return 0;
	if (interrupts_read(run->setting->interrupts, &now) != 0)
		run->row->counted = false;
	else
		n = interrupts_between(from, &now);
	*from = now;
	return n;
}

/* Begins to count; an owner that is awake runs at that moment. */
static void count_begin(struct run *run, struct interrupt_counts *from)
{
	uint64_t start;

	for (unsigned tries = 0; tries < ANSWERS_MAX; tries++) {
		count_from(run, from);
		if (run->row->scene == OWNER_ASLEEP)
			return;
		start = measure_now_ns();
		owner_do(&run->owner, OWNER_ANSWER);
		if (measure_now_ns() - start < ANSWER_NS)
			return;
	}
}

static void count_pair(struct run *run, uint64_t with, uint64_t without,
		       unsigned rescues)
{
	const uint64_t most = (uint64_t)ROW_CLIP * rescues;

	run->row->with += wi_min_u64(with, most);
	run->row->without += wi_min_u64(without, most);
	run->windows_more += with > without;
	run->windows_fewer += with < without;
}

/* How likely `more` heads or more are in more + fewer throws of a coin. */
static double chance_of(unsigned more, unsigned fewer)
{
	const double n = (double)more + fewer;
	double sum = 0;

	for (double k = more; k <= n; k++)
		sum += exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) -
			   n * log(2));
	return sum < 1 ? sum : 1;
}

/* Nobody rescues, as long as a window with rescues lasts. */
static void do_nothing(uint64_t ns)
{
	const uint64_t until = measure_now_ns() + ns;

	while (measure_now_ns() < until)
		if (ns >= SLEEPY_NS)
			wi_os_sleep_ns(NAP_NS);
		else
			wi_cpu_relax();
}

/* --- a rescue ------------------------------------------------------------ */

/* Takes a rescued page, and what came into reach with it. How many. */
static unsigned take(struct run *run, uint64_t page)
{
	struct owner *owner = &run->owner;
	unsigned n = 0;

	while (page != DEMO_NONE) {
		owner_mark(owner, page, PAGE_FREE, PAGE_IN_USE);
		n++;
		if (owner->nr_stock == ROW_STOCK) {
			wi_add_relaxed(&owner->faults, 1); /* one too many */
			break;
		}
		owner->stock[owner->nr_stock++] = page;
		page = run->row->way->get(run->pool);
	}
	return n;
}

/* The pages that were pending, now that the owner has been seen. */
static void collect(struct run *run)
{
	uint64_t page;

	owner_do(&run->owner, OWNER_TICK);
	run->left_pending = false;
	page = run->row->way->rescue(run->pool);
	if (page == DEMO_NONE)
		return;
	run->row->collected++;
	take(run, page);
}

/* The owner's list is full again. Who computes or allocates is told to fill it
 * through shared memory; who sleeps is woken, and sleeps again. */
static void refill(struct run *run)
{
	if (run->left_pending)
		collect(run);
	owner_do(&run->owner, OWNER_FILL);
}

static void rescue(struct run *run)
{
	const struct demo_way *way = run->row->way;
	struct demo_counts counts = { 0 };
	uint64_t start = measure_now_ns();
	uint64_t page = way->rescue(run->pool);

	run->ns[run->row->attempts++] = measure_now_ns() - start;
	if (page != DEMO_NONE) {
		run->row->rescued++;
		run->row->pages += take(run, page);
	} else if (way->count) {
		way->count(run->pool, &counts);
		run->row->pending += counts.pending;
		run->left_pending = counts.pending > 0;
	}
}

/* --- windows ------------------------------------------------------------- */

struct window {
	uint64_t interrupts, ns;
};

/* n rescues, the first from a list that is full; or none, for `ns`. */
static struct window watch(struct run *run, unsigned n, uint64_t ns)
{
	struct interrupt_counts from = { 0 };
	struct window window;
	uint64_t start;

	count_begin(run, &from);
	start = measure_now_ns();
	if (n == 0)
		do_nothing(ns);
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			refill(run);
		rescue(run);
	}
	window.ns = measure_now_ns() - start;
	window.interrupts = count_from(run, &from);
	return window;
}

/* How many windows, so that reading the counters takes a second or so. */
static unsigned nr_windows(struct run *run, unsigned attempts)
{
	struct interrupt_counts from = { 0 };
	uint64_t start = measure_now_ns(), ns;

	if (run->row->scene == OWNER_ASLEEP)
		return attempts;
	for (unsigned i = 0; i < 4; i++)
		count_from(run, &from);
	ns = measure_now_ns() - start;
	return (unsigned)wi_min_u64(attempts,
				    wi_max_u64(50, READING_NS / (ns + 1)));
}

static void windows(struct run *run, unsigned attempts)
{
	const unsigned pairs = nr_windows(run, attempts);
	const uint64_t start = measure_now_ns(), limit = limit_ns(run->row);
	struct window with = { 0 }, without;

	for (unsigned i = 0; i < pairs; i++) {
		if (measure_now_ns() - start > limit &&
		    run->row->attempts >= ROW_RESCUES_MIN)
			break;
		unsigned n = (uint64_t)attempts * (i + 1) / pairs -
			     (uint64_t)attempts * i / pairs;

		refill(run);
		/* The window without rescues is the first in every other pair,
		 * and lasts as long as the last one with. */
		if (i % 2 == 1)
			without = watch(run, 0, with.ns);
		with = watch(run, n, 0);
		if (i % 2 == 0)
			without = watch(run, 0, with.ns);
		count_pair(run, with.interrupts, without.interrupts, n);
		run->setting->progress(run->setting->ctx, run->row,
				       100 * (i + 1) / pairs);
	}
	if (run->left_pending)
		collect(run);
}

/* --- beginning and end --------------------------------------------------- */

/* Most of the pool is in use; what is left is the stock. */
static int use_pages(struct run *run)
{
	uint64_t page;

	run->held = malloc(DEMO_PAGES * sizeof(*run->held));
	run->owner.marks = calloc(DEMO_PAGES, 1);
	if (!run->held || !run->owner.marks)
		return -ENOMEM;
	while (run->nr_held < DEMO_PAGES &&
	       (page = run->row->way->get(run->pool)) != DEMO_NONE) {
		if (run->owner.marks[page]++ != 0)
			run->owner.faults++;
		run->held[run->nr_held++] = page;
	}
	memset(run->owner.marks, PAGE_IN_USE, DEMO_PAGES);
	if (run->nr_held < DEMO_PAGES)
		return -ENOMEM;
	while (run->owner.nr_stock < ROW_STOCK)
		run->owner.stock[run->owner.nr_stock++] =
			run->held[--run->nr_held];
	return 0;
}

/* First touches of memory and the threads' first calls. Nothing is counted. */
static void warm_up(struct run *run)
{
	const struct row saved = *run->row;

	run->row->counted = false;
	for (unsigned i = 0; i < WARM_UPS; i++) {
		refill(run);
		rescue(run);
	}
	if (run->left_pending)
		collect(run);
	*run->row = saved;
	owner_do(&run->owner, OWNER_FILL);
	owner_do(&run->owner, OWNER_MEASURE);
	run->row->op_ns = run->owner.op_ns;
	if (run->row->way->count)
		run->row->way->count(run->pool, &run->before);
	owner_do(&run->owner, OWNER_ACCOUNT);
	run->row->preemptions = run->owner.preemptions;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void sum_up(struct run *run)
{
	struct row *row = run->row;
	struct demo_counts counts = { 0 };

	owner_do(&run->owner, OWNER_ACCOUNT);
	row->preemptions = run->owner.preemptions - row->preemptions;
	qsort(run->ns, row->attempts, sizeof(run->ns[0]), compare);
	row->p50_ns = run->ns[row->attempts / 2];
	row->p99_ns = run->ns[(uint64_t)row->attempts * 99 / 100];
	row->chance = chance_of(run->windows_more, run->windows_fewer);
	if (row->way->count)
		row->way->count(run->pool, &counts);
	row->membarriers = counts.membarriers - run->before.membarriers;
}

/* All pages come back, while the owner is still there to be asked. */
static void give_back(struct run *run)
{
	uint64_t page;

	owner_do(&run->owner, OWNER_PAUSE);
	page = run->row->way->rescue(run->pool);
	if (page == DEMO_NONE) {
		owner_do(&run->owner, OWNER_TICK);
		page = run->row->way->rescue(run->pool);
	}
	take(run, page);
	owner_stop(&run->owner);
	while (run->owner.nr_stock > 0)
		run->row->way->put(run->pool,
				   run->owner.stock[--run->owner.nr_stock]);
	while (run->nr_held > 0)
		run->row->way->put(run->pool, run->held[--run->nr_held]);
}

static int run_with_pool(struct run *run, unsigned attempts)
{
	int err = use_pages(run);

	run->ns = calloc(attempts + WARM_UPS, sizeof(*run->ns));
	if (err == 0 && !run->ns)
		err = -ENOMEM;
	if (err == 0)
		err = owner_start(&run->owner);
	if (err != 0)
		return err;
	warm_up(run);
	windows(run, attempts);
	sum_up(run);
	give_back(run);
	run->row->faults = run->owner.faults;
	return 0;
}

int row_run(struct row *row, const struct row_setting *setting)
{
	const bool waits_in_vain =
		row->way->leaves_pending && row->scene != OWNER_ALLOCATING;
	const unsigned attempts = nr_attempts(row, setting->rescues);
	struct run run = { .row = row, .setting = setting };
	const char *why;
	int err;

	row->counted = setting->interrupts != NULL;
	run.pool = row->way->setup(row->way, setting->machine,
				   waits_in_vain ? WAIT_PENDING_NS : WAIT_NS,
				   &why);
	if (!run.pool) {
		snprintf(row->why_not, sizeof(row->why_not), "%s", why);
		return 0;
	}
	run.owner.way = row->way;
	run.owner.pool = run.pool;
	run.owner.scene = row->scene;
	run.owner.cpu = setting->machine->owner_cpu;
	err = run_with_pool(&run, attempts);
	row->lost = !row->way->teardown(run.pool) && err == 0;
	free(run.held);
	free(run.owner.marks);
	free(run.ns);
	return err;
}
