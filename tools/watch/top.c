/* SPDX-License-Identifier: MIT */
#include "watch/top.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/interval.h"
#include "common/measure.h"
#include "common/json.h"
#include "common/tool.h"

/* ---- rows --------------------------------------------------------------- */

const struct top_heading top_headings[TOP_NR_COLUMNS] = {
	[TOP_CPU] = { "CPU", 3, 'c', false, "CPU" },
	[TOP_MODE] = { "MODE", 8, 'm', false, "mode" },
	[TOP_CACHED] = { "CACHED", 6, 'l', false, "pages in its lists" },
	[TOP_PENDING] = { "PEND", 5, 'p', false,
			  "pages that wait for evidence" },
	[TOP_OPERATIONS] = { "OPS/s", 6, 'o', true, "operations on lists" },
	[TOP_REFILLS] = { "FILL/s", 6, 'f', true, "refills from the zone" },
	[TOP_FLUSHES] = { "FLUSH/s", 7, 'u', true, "flushes of a full list" },
	[TOP_ABORTS] = { "ABORT/s", 7, 'a', true, "sequences started over" },
	[TOP_PROGRESS] = { "PROGR", 5, 'g', true, "drains, by progress" },
	[TOP_NOT_BUSY] = { "NBUSY", 5, 'b', true, "drains, by not busy" },
	[TOP_MEMBARRIER] = { "MEMB", 5, 'e', true, "drains, by membarrier" },
	[TOP_LATE] = { "LATE", 5, 'k', true,
		       "drains without evidence in time" },
};

double top_seconds(const struct top *top)
{
	return (double)(top->now.ns - top->before.ns) / 1e9;
}

static struct top_row make_row(const struct top *top, unsigned cpu,
			       const struct weir_stat_cpu *now)
{
	const struct weir_stat_cpu before =
		top->has_rates ? sample_cpu_sum(&top->before, cpu) : *now;
	const double seconds = top->has_rates ? top_seconds(top) : 1;
	struct top_row row = { .mode = now->mode };

#define RATE(member) sample_rate(before.member, now->member, seconds)
	row.number[TOP_CPU] = cpu;
	row.number[TOP_MODE] = now->mode;
	row.number[TOP_CACHED] = (double)now->cached;
	row.number[TOP_PENDING] = (double)now->pending;
	row.number[TOP_OPERATIONS] = RATE(operations);
	row.number[TOP_REFILLS] = RATE(refills);
	row.number[TOP_FLUSHES] = RATE(flushes);
	row.number[TOP_ABORTS] = RATE(aborts);
	row.number[TOP_PROGRESS] = RATE(by_progress);
	row.number[TOP_NOT_BUSY] = RATE(by_not_busy);
	row.number[TOP_MEMBARRIER] = RATE(by_membarrier);
	row.number[TOP_LATE] = RATE(late);
#undef RATE
	return row;
}

/* Names from the least on, numbers from the most; equal ones by CPU. */
static int compare(const void *a, const void *b, void *ctx)
{
	const struct top *top = ctx;
	const double *x = ((const struct top_row *)a)->number;
	const double *y = ((const struct top_row *)b)->number;
	const enum top_column by = top->sort;
	const bool up = (by == TOP_CPU || by == TOP_MODE) != top->reverse;

	if (x[by] != y[by])
		return (x[by] < y[by]) == up ? -1 : 1;
	return x[TOP_CPU] < y[TOP_CPU] ? -1 : 1;
}

void top_sort(struct top *top)
{
	top->nr_rows = 0;
	for (unsigned cpu = 0; cpu < top->now.nr_cpus; cpu++) {
		const struct weir_stat_cpu its = sample_cpu_sum(&top->now, cpu);

		if (sample_cpu_is_used(&its))
			top->row[top->nr_rows++] = make_row(top, cpu, &its);
	}
	qsort_r(top->row, top->nr_rows, sizeof(*top->row), compare, top);
}

/* ---- pools -------------------------------------------------------------- */

int top_read(struct top *top)
{
	const struct sample before = top->before;
	struct watched *pool = &top->pools.pool[top->shown];

	top->has_rates = top->now.zone != NULL;
	top->before = top->now;
	top->now = before;
	if (sample_read(&top->now, pool) != TOOL_OK)
		return TOOL_FAILED;
	watched_refresh(pool);
	if (!top->row)
		top->row = calloc(top->now.nr_cpus, sizeof(*top->row));
	return top->row ? TOOL_OK : tool_error("no memory");
}

static void forget(struct top *top)
{
	sample_free(&top->before);
	sample_free(&top->now);
	free(top->row);
	top->row = NULL;
	top->nr_rows = 0;
	top->has_rates = false;
}

void top_next_pool(struct top *top)
{
	forget(top);
	top->shown = (top->shown + 1) % top->pools.nr;
}

/* ---- as JSON ------------------------------------------------------------ */

#ifdef WEIR_HAVE_JANSSON

static int print_json(const struct top *top)
{
	json_t *object = sample_json_pool(&top->pools.pool[top->shown]);
	json_t *cpus = json_array();
	const double seconds = top_seconds(top);

	json_object_set_new(object, "seconds", json_real(seconds));
	json_object_set_new(object, "stat", sample_json_stat(&top->now.stat));
	json_object_set_new(object, "per_second",
			    sample_json_rates(&top->before.stat, &top->now.stat,
					      seconds));
	for (unsigned cpu = 0; cpu < top->now.nr_cpus; cpu++) {
		const struct weir_stat_cpu a =
			sample_cpu_sum(&top->before, cpu);
		const struct weir_stat_cpu b = sample_cpu_sum(&top->now, cpu);
		json_t *its = sample_json_cpu(&b, cpu);

		json_object_set_new(its, "per_second",
				    sample_json_cpu_rates(&a, &b, seconds));
		json_array_append_new(cpus, its);
	}
	json_object_set_new(object, "cpus", cpus);
	return json_line(object);
}

#else

static int print_json(const struct top *top)
{
	(void)top;
	return TOOL_FAILED; /* tool_need_json() came first */
}

#endif

static int run_json(struct top *top)
{
	const struct watched *pool = &top->pools.pool[0];
	uint64_t next = measure_now_ns() + top->asked.interval_ns;

	interval_begin();
	if (top_read(top) != TOOL_OK)
		return TOOL_FAILED;
	for (uint64_t n = 0; top->asked.count == 0 || n < top->asked.count;
	     n++) {
		interval_sleep(next, -1);
		if (interval_told_to_end())
			break;
		if (top_read(top) != TOOL_OK)
			return TOOL_FAILED;
		if (watched_gone(pool))
			return watched_tell_gone(pool);
		if (print_json(top) != TOOL_OK)
			return TOOL_FAILED;
		next = interval_next(next, top->now.ns, top->asked.interval_ns);
	}
	return TOOL_OK;
}

/* ---- the command -------------------------------------------------------- */

int cmd_top(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "interval", 'i', "SECONDS", 0,
		  "How long an interval is; default: 1", 0 },
		{ "count", 'n', "N", 0,
		  "End after so many; default: when you quit", 0 },
		{ NULL, 'c', NULL, OPTION_ALIAS, NULL, 0 },
		TOOL_OPTION_JSON,
		{ NULL, 0, NULL, 0, NULL, 0 },
	};
	static const char doc[] =
		"Show on the whole screen what the CPUs of a running "
		"process' pool do; h shows the keys. --json prints an "
		"object a line, one for each interval.\v"
		"Exit status: 0; 1 when there is no such pool, with "
		"--json also when there is more than one or it is gone; "
		"2 for wrong usage, or without a terminal.";
	struct top top = { .asked.interval_ns = 1000000000 };
	int status;

	if (watched_parse(&top.asked, argc, argv, options, doc) != TOOL_OK)
		return TOOL_USAGE;
	status = watched_open(&top.pools, top.asked.what);
	if (status == TOOL_OK && top.asked.json)
		status = watched_only(&top.pools, top.asked.what);
	if (status == TOOL_OK)
		status = top.asked.json ? run_json(&top) : top_screen(&top);
	forget(&top);
	watched_close(&top.pools);
	return status;
}
