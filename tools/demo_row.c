/* SPDX-License-Identifier: MIT */
#include "demo_row.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "os/os.h"

#define WINDOWS_MAX 100
#define WARM_UPS 8
/* How long a rescue waits. A parked one is not worth more; otherwise the wait
 * ends when the owner gets its CPU back, should another program have it. */
#define WAIT_PARKED_NS 2000000
#define WAIT_NS 200000000
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
	unsigned windows_more, windows_fewer;
};

bool row_is_slow(const struct row *row)
{
	return row->scene == OWNER_ASLEEP ||
	       row->way == &baseline_scheduled_work ||
	       (row->way->parks && row->scene != OWNER_ALLOCATING);
}

double row_excess(const struct row *row)
{
	double excess = (double)row->with - (double)row->without;

	return row->attempts > 0 && excess > 0 ? excess / row->attempts : 0;
}

/* --- counting ------------------------------------------------------------ */

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

static void count_pair(struct run *run, uint64_t with, uint64_t without)
{
	run->row->with += with;
	run->row->without += without;
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
	const uint64_t until = wi_os_now_ns() + ns;

	while (wi_os_now_ns() < until)
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
	page = run->row->way->rescue(run->pool);
	if (page == DEMO_NONE)
		return;
	run->row->collected++;
	take(run, page);
}

/* The owner has filled its list. How long it took. */
static uint64_t rescue(struct run *run)
{
	const struct demo_way *way = run->row->way;
	struct demo_counts counts = { 0 };
	uint64_t start = wi_os_now_ns();
	uint64_t page = way->rescue(run->pool);
	uint64_t ns = wi_os_now_ns() - start;

	run->ns[run->row->attempts++] = ns;
	if (page != DEMO_NONE) {
		run->row->rescued++;
		run->row->pages += take(run, page);
	} else if (way->count) {
		way->count(run->pool, &counts);
		run->row->pending += counts.pending;
	}
	return ns;
}

/* n rescues. Who computes or allocates fills its list between them: it is told
 * through shared memory. */
static void rescues(struct run *run, unsigned n)
{
	while (n-- > 0) {
		unsigned before = run->row->rescued;

		owner_do(&run->owner, OWNER_FILL);
		rescue(run);
		if (run->row->rescued == before && run->row->way->parks)
			collect(run);
	}
}

/* Two windows of n rescues; `blank` ns for the one without, if it is first.
 * How long the rescues took. */
static uint64_t awake_pair(struct run *run, unsigned n, uint64_t blank)
{
	struct interrupt_counts from = { 0 };
	uint64_t with, without = 0, start, ns;

	count_from(run, &from);
	if (blank != 0) {
		do_nothing(blank);
		without = count_from(run, &from);
	}
	start = wi_os_now_ns();
	rescues(run, n);
	ns = wi_os_now_ns() - start;
	with = count_from(run, &from);
	if (blank == 0) {
		do_nothing(ns);
		without = count_from(run, &from);
	}
	count_pair(run, with, without);
	return ns;
}

/* The same with an owner that sleeps: it is woken to fill its list, and only
 * when it sleeps again does a window begin. */
static uint64_t asleep_pair(struct run *run, uint64_t blank)
{
	struct interrupt_counts from = { 0 };
	unsigned before = run->row->rescued;
	uint64_t with, without = 0, ns;

	owner_do(&run->owner, OWNER_FILL);
	count_from(run, &from);
	if (blank != 0) {
		do_nothing(blank);
		without = count_from(run, &from);
	}
	ns = rescue(run);
	with = count_from(run, &from);
	if (blank == 0) {
		do_nothing(ns);
		without = count_from(run, &from);
	}
	count_pair(run, with, without);
	if (run->row->rescued == before && run->row->way->parks)
		collect(run);
	return ns;
}

static void windows(struct run *run, unsigned attempts)
{
	const bool asleep = run->row->scene == OWNER_ASLEEP;
	const unsigned pairs =
		asleep ? attempts : (unsigned)wi_min_u64(attempts, WINDOWS_MAX);
	uint64_t ns = 0;

	for (unsigned i = 0; i < pairs; i++) {
		/* The window without rescues is the first in every other pair,
		 * and lasts as long as the last one with. */
		uint64_t blank = i % 2 == 1 ? ns : 0;
		unsigned n = (uint64_t)attempts * (i + 1) / pairs -
			     (uint64_t)attempts * i / pairs;

		ns = asleep ? asleep_pair(run, blank)
			    : awake_pair(run, n, blank);
		run->setting->progress(run->setting->ctx, run->row,
				       100 * (i + 1) / pairs);
	}
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
	rescues(run, WARM_UPS);
	*run->row = saved;
	owner_do(&run->owner, OWNER_FILL);
	owner_do(&run->owner, OWNER_MEASURE);
	run->row->op_ns = run->owner.op_ns;
	if (run->row->way->count)
		run->row->way->count(run->pool, &run->before);
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
	uint64_t page = run->row->way->rescue(run->pool);

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
		row->way->parks && row->scene != OWNER_ALLOCATING;
	unsigned attempts =
		row_is_slow(row)
			? (unsigned)wi_max_u64(20, setting->rescues / 10)
			: setting->rescues;
	struct run run = { .row = row, .setting = setting };
	const char *why;
	int err;

	row->counted = setting->interrupts != NULL;
	run.pool =
		row->way->setup(row->way, setting->machine,
				waits_in_vain ? WAIT_PARKED_NS : WAIT_NS, &why);
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
