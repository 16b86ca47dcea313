/* SPDX-License-Identifier: MIT */
/*
 * What a CPU notices of being drained or watched: a worker, pinned there, gets
 * a page, gives it back and computes a little, again and again, while this
 * thread drains it so many times a second, or reads its statistics, or leaves
 * it alone. The time is that of a turn of its loop.
 *
 * Beside it: how many interrupts the other CPUs sent there, how many of its
 * sequences were aborted, how long its gaps between turns were, and how many
 * turns a drain cost it, against the row without drains in the same round.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/interrupts.h"
#include "common/measure.h"
#include "drain.h"
#include "loop.h"

#define SAMPLE_NS 300e6
#define QUICK_SAMPLE_NS 100e6
#define PAGES 50      /* in its list at the beginning */
#define WARM_UP 10000 /* turns */
#define PATIENCE_NS 10e9
#define LOST_FROM_HZ 100 /* what fewer drains cost is less than the noise */

/* ---- gaps -----------------------------------------------------------------
 */

/* A histogram by 64 steps in each power of two: none is off by 2 %. */
#define STEP_BITS 7
#define STEPS (1u << STEP_BITS)

struct gaps {
	uint32_t nr[(64 - STEP_BITS + 1) * STEPS];
};

static uint64_t ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return (uint64_t)bench_now_ns();
#endif
}

static void add_gap(struct gaps *gaps, uint64_t gap)
{
	unsigned shift = 0;

	if (gap >= STEPS)
		shift = (unsigned)(63 - __builtin_clzll(gap)) - STEP_BITS + 1;
	/* From one power of two to the next the upper half of the steps is
	 * used, so the row before supplies the lower one. */
	gaps->nr[shift * (STEPS / 2) + (gap >> shift)]++;
}

/* The gap below which that part of all lies. */
static double gap_quantile(const struct gaps *gaps, double part)
{
	const unsigned nr = sizeof(gaps->nr) / sizeof(gaps->nr[0]);
	uint64_t all = 0, below = 0;

	for (unsigned i = 0; i < nr; i++)
		all += gaps->nr[i];
	for (unsigned i = 0; i < nr; i++) {
		unsigned shift = i < STEPS ? 0 : i / (STEPS / 2) - 1;

		below += gaps->nr[i];
		if ((double)below >= part * (double)all)
			return (double)((uint64_t)(i - shift * (STEPS / 2))
					<< shift);
	}
	return 0;
}

/* ---- the worker -------------------------------------------------------------
 */

struct worker {
	const struct bench_way *way;
	void *context;
	unsigned cpu;
	bool failed;
	double ns; /* from its first turn to its last */
	double ticks;
	uint64_t turns;
	struct gaps gaps;
	/* Atomic: it is at its loop; it should end. */
	bool has_begun, should_end __attribute__((aligned(128)));
};

static void compute(void)
{
	uint64_t x = 1;

	for (unsigned i = 0; i < 8; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		BENCH_HIDE(x);
	}
}

static void run(struct worker *w)
{
	double start = bench_now_ns();
	uint64_t first = ticks(), last = first, turns = 0;

	__atomic_store_n(&w->has_begun, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&w->should_end, __ATOMIC_RELAXED)) {
		uint64_t now;

		w->way->pairs(w->context, 1);
		compute();
		now = ticks();
		add_gap(&w->gaps, now - last);
		last = now;
		turns++;
	}
	w->ns = bench_now_ns() - start;
	w->ticks = (double)(ticks() - first);
	w->turns = turns;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	if (!measure_pin(w->cpu))
		w->failed = !bench_cannot("the other CPU is not for this "
					  "process");
	else
		w->failed = w->way->enter && !w->way->enter(w->context);
	if (w->failed) {
		__atomic_store_n(&w->has_begun, true, __ATOMIC_RELEASE);
		return NULL;
	}
	w->way->fill(w->context, PAGES);
	w->way->pairs(w->context, WARM_UP);
	run(w);
	if (w->way->leave)
		w->way->leave(w->context);
	return NULL;
}

/* ---- who disturbs it --------------------------------------------------------
 */

struct disturbance {
	enum bench_disturbance what;
	unsigned hz;
	double ns; /* for so long */
	uint64_t nr;
};

static void sleep_until(double ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / 1e9) };

	t.tv_nsec = (long)(ns - (double)t.tv_sec * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) ==
	       EINTR)
		;
}

/* The first one in the middle of its period, or of all. */
static void disturb(const struct worker *w, struct disturbance *d)
{
	double start = bench_now_ns(), end = start + d->ns;
	double period = d->hz == BENCH_LOOP ? 0 : 1e9 / d->hz;
	double next = start + (period < d->ns ? period : d->ns) / 2;

	for (; d->what != BENCH_NOBODY && next < end; next += period) {
		struct bench_drained drained;

		if (d->hz == BENCH_LOOP)
			next = bench_now_ns();
		else
			sleep_until(next);
		if (bench_now_ns() > end)
			break;
		if (d->what == BENCH_READER)
			w->way->read(w->context);
		else
			w->way->drain(w->context, &drained);
		d->nr++;
	}
	sleep_until(end);
}

/* ---- a round ----------------------------------------------------------------
 */

/* What the worker's turn took without drains, and in which round. */
static double *undrained(const struct bench_way *way, unsigned round)
{
	static struct {
		const struct bench_way *way;
		unsigned round;
		double ns;
	} known[16];
	unsigned i;

	for (i = 0; i < 15 && known[i].way && known[i].way != way; i++)
		;
	if (known[i].way != way || known[i].round != round)
		known[i].ns = 0;
	known[i].way = way;
	known[i].round = round;
	return &known[i].ns;
}

static void tell(const struct worker *w, const struct disturbance *d,
		 unsigned round, struct bench_result *result)
{
	double *reference = undrained(w->way, round);
	double ns_per_tick = w->ns / w->ticks;

	result->operations = w->turns;
	result->ns = w->ns / (double)w->turns;
	bench_extra(result, "gap_p50_ns",
		    ns_per_tick * gap_quantile(&w->gaps, 0.5));
	bench_extra(result, "gap_p99_ns",
		    ns_per_tick * gap_quantile(&w->gaps, 0.99));
	bench_extra(result, "gap_p9999_ns",
		    ns_per_tick * gap_quantile(&w->gaps, 0.9999));
	if (d->what == BENCH_NOBODY)
		*reference = result->ns;
	if (d->nr == 0)
		return;
	bench_extra(result, d->what == BENCH_DRAINER ? "drains" : "reads",
		    (double)d->nr);
	if (d->what == BENCH_DRAINER && *reference > 0 && d->hz >= LOST_FROM_HZ)
		bench_extra(result, "lost_per_drain",
			    (w->ns / *reference - (double)w->turns) /
				    (double)d->nr);
}

/* Waits until the worker is at its loop; false: it is not. */
static bool await(const struct worker *w)
{
	double end = bench_now_ns() + PATIENCE_NS;

	while (!__atomic_load_n(&w->has_begun, __ATOMIC_ACQUIRE))
		if (bench_now_ns() > end)
			return bench_cannot("the other CPU is too busy: its "
					    "thread does not begin");
	return !w->failed;
}

static bool measure(struct worker *w, struct disturbance *d,
		    struct bench_result *result)
{
	struct interrupt_counts before, after;
	struct interrupts in;
	uint64_t aborted = 0;
	pthread_t thread;
	bool counts, begun;

	counts = interrupts_open(&in, w->cpu) == 0;
	if (pthread_create(&thread, NULL, work, w) != 0)
		return bench_cannot("no thread");
	begun = await(w);
	if (begun) {
		if (w->way->aborted)
			aborted = w->way->aborted(w->context);
		counts = counts && interrupts_read(&in, &before) == 0;
		disturb(w, d);
		counts = counts && interrupts_read(&in, &after) == 0;
	}
	__atomic_store_n(&w->should_end, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	if (begun && counts)
		bench_extra(result, "interrupts",
			    (double)interrupts_between(&before, &after));
	if (begun && w->way->aborted)
		bench_extra(result, "aborted",
			    (double)(w->way->aborted(w->context) - aborted));
	interrupts_close(&in);
	return begun;
}

bool bench_disturb_run(const struct bench_row *row,
		       const struct bench_where *where, unsigned round,
		       struct bench_result *result)
{
	static struct worker worker; /* too large for a stack */
	struct worker *w = &worker;
	struct disturbance d = {
		.what = (enum bench_disturbance)(row->what & 0xff),
		.hz = (unsigned)(row->what >> 8),
		.ns = where->quick ? QUICK_SAMPLE_NS : SAMPLE_NS,
	};

	if (where->other_cpu < 0)
		return bench_cannot("this needs a second CPU");
	if (d.what == BENCH_DRAINER && d.hz > 0 && d.ns < 1e9 / d.hz)
		d.ns = 1e9 / d.hz;
	prctl(PR_SET_TIMERSLACK, 1000);
	*w = (struct worker){
		.way = row->with,
		.cpu = (unsigned)where->other_cpu,
	};
	w->context = w->way->open(w->way, where, PAGES);
	if (w->context == NULL || !measure(w, &d, result))
		return false;
	if (!w->way->is_whole(w->context))
		return bench_cannot("pages were lost, or given twice");
	tell(w, &d, round, result);
	return true;
}
