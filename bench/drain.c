/* SPDX-License-Identifier: MIT */
/*
 * How long it takes to take back what a CPU keeps: an owner, pinned there,
 * fills its list and goes back to what it does, and this thread drains it.
 *
 * The time is what the caller waits: from call to return, for every CPU; the
 * others' lists are empty. Only drains count that gave pages back and name
 * the evidence they rested on. Modes and ways take turns.
 *
 * Beside them stands what no evidence can undercut: the time in which a line
 * goes from this CPU to the owner's and back (line.c).
 *
 * What the owner pays are interrupts. They are counted in further drains, which
 * are not timed: reading the counters takes longer than most drains. Behind
 * each lies as long a window without a drain; what was sent in that one is
 * subtracted, for other programs send as much in both.
 */
#include "drain.h"

#include "common/interrupts.h"
#include "common/measure.h"
#include "loop.h"

#define DRAINS_MAX 1200
#define QUICK_DRAINS 300
/* A round is over then, as slow ways take milliseconds a drain. */
#define ROUND_NS 120e6
#define QUICK_ROUND_NS 40e6
#define FAILURES_MAX 10 /* as many as count, before there is no hope */
#define COUNTED 100	/* drains between whose ends interrupts are counted */
#define QUICK_COUNTED 20

struct drains {
	double ns[DRAINS_MAX];
	unsigned nr;
	uint64_t pages, by_progress, by_not_busy, by_membarrier;
	unsigned pending, unnamed; /* those that do not count */
	double interrupts;
	unsigned counted; /* drains in which these were sent */
};

static bool drain_once(struct drains *d, struct bench_owner *o, unsigned pages)
{
	struct bench_drained drained = { 0 };
	double start, ns;
	bool named;

	if (!bench_owner_fill(o, pages))
		return false;
	start = bench_now_ns();
	named = o->way->drain(o->context, &drained);
	ns = bench_now_ns() - start;
	if (drained.pending) {
		d->pending++;
	} else if (!named || drained.pages == 0) {
		d->unnamed++;
	} else {
		d->ns[d->nr++] = ns;
		d->pages += drained.pages;
		d->by_progress += drained.by_progress;
		d->by_not_busy += drained.by_not_busy;
		d->by_membarrier += drained.by_membarrier;
	}
	return true;
}

static bool drain_for_a_round(struct drains *d, struct bench_owner *o,
			      unsigned pages, bool quick)
{
	const unsigned wanted = quick ? QUICK_DRAINS : DRAINS_MAX;
	double end;

	/* The first one takes what an earlier row has left. */
	if (!drain_once(d, o, pages))
		return false;
	*d = (struct drains){ .nr = 0 };
	end = bench_now_ns() + (quick ? QUICK_ROUND_NS : ROUND_NS);
	while (d->nr < wanted && (d->nr == 0 || bench_now_ns() < end)) {
		if (!drain_once(d, o, pages))
			return false;
		if (d->pending > FAILURES_MAX * (d->nr + 1))
			return bench_cannot("that CPU leaves no evidence: its "
					    "pages stay pending");
		if (d->unnamed > FAILURES_MAX * (d->nr + 1))
			return bench_cannot("drains give nothing back");
	}
	return true;
}

/* Of the owner's CPU, in one drain; false: they cannot be read. */
static bool count_once(struct drains *d, const struct bench_owner *o,
		       struct interrupts *in)
{
	struct interrupt_counts before, between, after;
	struct bench_drained drained;
	double start, middle;

	if (interrupts_read(in, &before) != 0)
		return false;
	start = bench_now_ns();
	o->way->drain(o->context, &drained);
	middle = bench_now_ns();
	if (interrupts_read(in, &between) != 0)
		return false;
	start = bench_now_ns() + middle - start; /* the other window's end */
	while (bench_now_ns() < start)
		;
	if (interrupts_read(in, &after) != 0)
		return false;
	d->interrupts += (double)interrupts_between(&before, &between) -
			 (double)interrupts_between(&between, &after);
	d->counted++;
	return true;
}

/* False after bench_cannot(). Where they cannot be read, none is counted. */
static bool count_interrupts(struct drains *d, struct bench_owner *o,
			     unsigned pages, bool quick)
{
	const unsigned wanted = quick ? QUICK_COUNTED : COUNTED;
	struct interrupts in;
	bool filled = true, counts = interrupts_open(&in, o->cpu) == 0;

	while (filled && counts && d->counted < wanted) {
		filled = bench_owner_fill(o, pages);
		counts = filled && count_once(d, o, &in);
	}
	interrupts_close(&in);
	return filled;
}

bool bench_drain_run(const struct bench_row *row,
		     const struct bench_where *where, unsigned round,
		     struct bench_result *result)
{
	static struct drains drains; /* too large for a stack */
	const unsigned pages = (unsigned)(row->what >> 8);
	struct bench_owner owner = {
		.way = row->with,
		.scene = (enum bench_scene)(row->what & 0xff),
	};
	struct drains *d = &drains;
	bool done;

	(void)round;
	if (where->other_cpu < 0)
		return bench_cannot("drains need a second CPU");
	owner.cpu = (unsigned)where->other_cpu;
	owner.context = owner.way->open(owner.way, where, pages);
	if (owner.context == NULL || !bench_owner_start(&owner))
		return false;
	*d = (struct drains){ .nr = 0 };
	done = drain_for_a_round(d, &owner, pages, where->quick) &&
	       count_interrupts(d, &owner, pages, where->quick);
	bench_owner_stop(&owner);
	if (!done)
		return false;
	if (!owner.way->is_whole(owner.context))
		return bench_cannot("pages were lost, or given twice");
	result->operations = d->nr;
	result->ns = measure_quantile(d->ns, d->nr, 0.5);
	bench_extra(result, "p99_ns", measure_quantile(d->ns, d->nr, 0.99));
	bench_extra(result, "pages", (double)d->pages / d->nr);
	bench_extra(result, "ns_per_page",
		    result->ns * d->nr / (double)d->pages);
	if (d->counted > 0)
		bench_extra(result, "interrupts_per_drain",
			    d->interrupts > 0 ? d->interrupts / d->counted : 0);
	if (d->by_progress + d->by_not_busy + d->by_membarrier > 0) {
		bench_extra(result, "by_progress", (double)d->by_progress);
		bench_extra(result, "by_not_busy", (double)d->by_not_busy);
		bench_extra(result, "by_membarrier", (double)d->by_membarrier);
	}
	return true;
}
