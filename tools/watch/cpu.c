/* SPDX-License-Identifier: MIT */
/* weir watch-cpu: what interrupts some CPUs, interval by interval. */
#include "common/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/interrupts.h"
#include "common/interval.h"
#include "common/measure.h"
#include "common/json.h"
#include "common/table.h"
#include "common/tool.h"
#include "os/topology.h" /* lists of CPUs, those set aside */
#include "watch/cpu_pools.h"

struct watch {
	const char *list;
	uint64_t interval_ns, count; /* count 0: until it is told to end */
	bool json, colours;
	bool hinted[WATCH_MEANINGS]; /* each hint is printed once */
	bool hinted_drains, told_tuning;
	struct wi_topology topology;
	struct wi_cpuset cpus;
	unsigned nr_cpus;
	struct watch_rows *before, *now; /* of each, in order */
	struct watch_pools pools;
};

/* ---- CPUs --------------------------------------------------------------- */

/* The file that is watched says which CPUs there are: lists in /sys may count
 * those of a container anew. */
static void read_cpus(struct argp_state *state, struct watch *w)
{
	const struct wi_topology *t = &w->topology;
	const char *why;
	unsigned cpu;

	if (wi_cpuset_parse(&w->cpus, w->list, &why) != 0)
		argp_error(state, "'%s' is no list of CPUs: %s", w->list, why);
	w->nr_cpus = wi_cpuset_count(&w->cpus);
	if (w->nr_cpus == 0)
		argp_error(state, "which CPUs? The list is empty");
	for (cpu = wi_cpuset_next(&w->cpus, 0); cpu < WI_CPUS_MAX;
	     cpu = wi_cpuset_next(&w->cpus, cpu + 1))
		if (interrupts_has(cpu))
			continue;
		else if (!wi_cpuset_test(&t->possible, cpu))
			argp_error(state,
				   "CPU %u cannot exist here, the last is %u",
				   cpu, t->nr_cpus - 1);
		else if (!wi_cpuset_test(&t->online, cpu))
			argp_error(state, "CPU %u is not online", cpu);
}

/* Goes where it does not disturb what it watches. False: it cannot. */
static bool leave_cpus(const struct watch *w)
{
	const size_t bytes = CPU_ALLOC_SIZE(WI_CPUS_MAX);
	cpu_set_t *cpus = CPU_ALLOC(WI_CPUS_MAX);
	struct wi_cpuset rest = w->topology.allowed, ordinary;
	bool done = false;

	wi_cpuset_andnot(&rest, &w->cpus);
	ordinary = rest;
	for (unsigned cpu = 0; cpu < w->topology.nr_cpus; cpu++)
		if (wi_topology_quiet_reason(&w->topology, cpu) != 0)
			wi_cpuset_clear(&ordinary, cpu);
	if (!wi_cpuset_is_empty(&ordinary))
		rest = ordinary;
	if (cpus && !wi_cpuset_is_empty(&rest)) {
		CPU_ZERO_S(bytes, cpus);
		for (unsigned cpu = wi_cpuset_next(&rest, 0); cpu < WI_CPUS_MAX;
		     cpu = wi_cpuset_next(&rest, cpu + 1))
			CPU_SET_S(cpu, bytes, cpus);
		done = sched_setaffinity(0, bytes, cpus) == 0;
	}
	CPU_FREE(cpus);
	return done;
}

/* All of them, into w->now; and the pools. */
static int read_all(struct watch *w)
{
	unsigned cpu = 0;

	watch_pools_read(&w->pools);

	for (unsigned i = 0; i < w->nr_cpus; i++, cpu++) {
		int err;

		cpu = wi_cpuset_next(&w->cpus, cpu);
		err = watch_read(&w->now[i], cpu);
		if (err == -ENODATA)
			return tool_error("/proc/interrupts does not list "
					  "CPU %u: it is not online, or the "
					  "kernel does not count",
					  cpu);
		if (err != 0)
			return tool_error("/proc/interrupts: %s",
					  strerror(-err));
	}
	return TOOL_OK;
}

/* ---- as text ------------------------------------------------------------ */

#define INDENT 10

static const char *colour(const struct watch *w, const char *sequence)
{
	return w->colours ? sequence : "";
}

/* With the first step that is named, the file that it is in. */
static void print_hint(struct watch *w, const char *hint, unsigned step)
{
	char text[512], path[TOOL_PATH];

	printf("%*s", INDENT, "");
	if (step == 0) {
		table_text(INDENT, hint);
		return;
	}
	snprintf(text, sizeof(text), "%s (tuning.md, step %u)", hint, step);
	table_text(INDENT, text);
	if (!w->told_tuning && *tool_tuning(path))
		printf("%*stuning.md is %s\n", INDENT, "", path);
	w->told_tuning = true;
}

static void print_row(struct watch *w, const struct watch_row *row,
		      uint64_t moved, double seconds)
{
	const struct watch_meaning *m = watch_meaning(row->name, row->words);
	bool *hinted = &w->hinted[watch_meaning_number(m)];

	printf("  %-6s  %s%s%s, %" PRIu64 ", %.1f/s", row->name,
	       colour(w, "\33[1m"), m->what, colour(w, "\33[0m"), moved,
	       (double)moved / seconds);
	/* Where the kernel's words say more than ours. */
	if (m->words[0] == '\0')
		printf(": %s", row->words);
	putchar('\n');
	if (!*hinted)
		print_hint(w, m->hint, m->step);
	*hinted = true;
}

/* Drains of pools at the CPU of that index, by pool. */
static void print_drains(struct watch *w, unsigned i, double seconds)
{
	struct watch_drains sum = watch_pools_sum(&w->pools, i);
	char text[512];

	if (watch_drains_all(&sum) + sum.late == 0)
		return;
	printf("  drains  %sof weir's pools%s, %" PRIu64 ", %.1f/s\n",
	       colour(w, "\33[1m"), colour(w, "\33[0m"), watch_drains_all(&sum),
	       (double)watch_drains_all(&sum) / seconds);
	for (unsigned p = 0; p < w->pools.nr; p++) {
		const struct watch_pool *pool = &w->pools.pool[p];
		struct watch_drains d = watch_pools_moved(pool, i);

		if (watch_drains_all(&d) + d.late == 0)
			continue;
		snprintf(text, sizeof(text),
			 "\"%s\" of process %d: progress %" PRIu64
			 ", not busy %" PRIu64 ", membarrier %" PRIu64
			 ", late %" PRIu64,
			 pool->name, pool->pid, d.progress, d.not_busy,
			 d.membarrier, d.late);
		printf("%*s", INDENT, "");
		table_text(INDENT, text);
	}
	if (sum.membarrier > 0)
		snprintf(text, sizeof(text),
			 "Those by membarrier are up to %" PRIu64
			 " of the function calls",
			 sum.membarrier);
	else
		snprintf(text, sizeof(text), "None of them interrupted it");
	printf("%*s", INDENT, "");
	table_text(INDENT, text);
	if (sum.membarrier > 0 && !w->hinted_drains) {
		print_hint(w, "Quiet CPUs have none by membarrier", 9);
		w->hinted_drains = true;
	}
}

static void print_text(struct watch *w, double seconds)
{
	unsigned cpu = 0;

	for (unsigned i = 0; i < w->nr_cpus; i++, cpu++) {
		unsigned rows = 0;

		cpu = wi_cpuset_next(&w->cpus, cpu);
		printf("CPU %u, %.2f s:", cpu, seconds);
		for (unsigned r = 0; r < w->now[i].nr; r++) {
			const struct watch_row *row = &w->now[i].row[r];
			uint64_t moved = watch_moved(&w->before[i], row);

			if (moved == 0)
				continue;
			if (rows++ == 0)
				putchar('\n');
			print_row(w, row, moved, seconds);
		}
		if (rows == 0)
			printf(" %squiet%s, nothing interrupted it\n",
			       colour(w, "\33[32m"), colour(w, "\33[0m"));
		print_drains(w, i, seconds);
	}
}

/* ---- as JSON ------------------------------------------------------------ */

#ifdef WEIR_HAVE_JANSSON

static json_t *drains_json(const struct watch_drains *d)
{
	return json_pack("{sI sI sI sI}", "by_progress",
			 (json_int_t)d->progress, "by_not_busy",
			 (json_int_t)d->not_busy, "by_membarrier",
			 (json_int_t)d->membarrier, "late",
			 (json_int_t)d->late);
}

/* By pool, those with any. */
static json_t *pools_json(const struct watch *w, unsigned i)
{
	json_t *array = json_array();

	for (unsigned p = 0; p < w->pools.nr; p++) {
		const struct watch_pool *pool = &w->pools.pool[p];
		struct watch_drains d = watch_pools_moved(pool, i);
		json_t *object;

		if (watch_drains_all(&d) + d.late == 0)
			continue;
		object = drains_json(&d);
		json_object_set_new(object, "pid", json_integer(pool->pid));
		json_object_set_new(object, "name", json_string(pool->name));
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *cpu_json(const struct watch *w, unsigned i, unsigned cpu,
			double seconds)
{
	struct watch_drains sum = watch_pools_sum(&w->pools, i);
	json_t *rows = json_array();

	for (unsigned r = 0; r < w->now[i].nr; r++) {
		const struct watch_row *row = &w->now[i].row[r];
		const struct watch_meaning *m =
			watch_meaning(row->name, row->words);
		uint64_t moved = watch_moved(&w->before[i], row);

		if (moved == 0)
			continue;
		json_array_append_new(
			rows,
			json_pack("{ss ss ss sI sf ss si}", "name", row->name,
				  "words", row->words, "what", m->what, "count",
				  (json_int_t)moved, "per_second",
				  (double)moved / seconds, "hint", m->hint,
				  "tuning_step", (int)m->step));
	}
	return json_pack("{si sb so so so}", "cpu", (int)cpu, "quiet",
			 json_array_size(rows) == 0, "rows", rows, "drains",
			 drains_json(&sum), "pools", pools_json(w, i));
}

/* One line an interval, for who reads a stream. */
static int print_json(const struct watch *w, double seconds)
{
	json_t *cpus = json_array(), *object;
	unsigned cpu = 0;

	for (unsigned i = 0; i < w->nr_cpus; i++, cpu++) {
		cpu = wi_cpuset_next(&w->cpus, cpu);
		json_array_append_new(cpus, cpu_json(w, i, cpu, seconds));
	}
	object = json_pack("{sf so}", "seconds", seconds, "cpus", cpus);
	return json_line(object);
}

#else

static int print_json(const struct watch *w, double seconds)
{
	(void)w, (void)seconds;
	return -1; /* tool_need_json() came first */
}

#endif

static int print(struct watch *w, double seconds)
{
	int err = 0;

	if (w->json)
		err = print_json(w, seconds);
	else
		print_text(w, seconds);
	return err == 0 ? tool_flush() : TOOL_FAILED;
}

/* ---- intervals ---------------------------------------------------------- */

/* The last interval may be cut short; it is shown as long as it was. */
static int run(struct watch *w)
{
	uint64_t from = measure_now_ns(), next = from + w->interval_ns;

	if (read_all(w) != TOOL_OK)
		return TOOL_FAILED;
	if (!w->json)
		printf("watching CPU %s, every %.2f s\n", w->list,
		       (double)w->interval_ns / 1e9);
	fflush(stdout);
	for (uint64_t n = 0;
	     !interval_told_to_end() && (w->count == 0 || n < w->count); n++) {
		struct watch_rows *before = w->before;
		uint64_t now;

		interval_sleep(next, -1);
		w->before = w->now;
		w->now = before;
		now = measure_now_ns();
		if (read_all(w) != TOOL_OK ||
		    print(w, (double)(now - from) / 1e9) != TOOL_OK)
			return TOOL_FAILED;
		from = now;
		next = interval_next(next, now, w->interval_ns);
	}
	return TOOL_OK;
}

/* ---- the command -------------------------------------------------------- */

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct watch *w = state->input;

	switch (key) {
	case 'i':
		w->interval_ns = interval_parse(state, arg);
		return 0;
	case 'n':
	case 'c':
		w->count = tool_number(state, "count", arg, 1, UINT32_MAX);
		return 0;
	case TOOL_KEY_JSON:
		tool_need_json();
		w->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (w->list)
			argp_error(state, "one list of CPUs, as 2-5,9");
		w->list = arg;
		return 0;
	case ARGP_KEY_END:
		if (!w->list)
			argp_error(state, "which CPUs? A list, as 2-5,9");
		read_cpus(state, w);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int watch(struct watch *w)
{
	int status = TOOL_FAILED;

	w->pools.cpus = &w->cpus;
	w->pools.nr_cpus = w->nr_cpus;
	w->before = calloc(w->nr_cpus, sizeof(*w->before));
	w->now = calloc(w->nr_cpus, sizeof(*w->now));
	if (!w->before || !w->now) {
		tool_error("no memory");
		goto out;
	}
	interval_begin();
	if (!leave_cpus(w))
		fputs("weir: it runs on a CPU that it watches, and shows "
		      "itself; no other is allowed\n",
		      stderr);
	status = run(w);
out:
	for (unsigned i = 0; w->before && w->now && i < w->nr_cpus; i++) {
		watch_free(&w->before[i]);
		watch_free(&w->now[i]);
	}
	free(w->before);
	free(w->now);
	watch_pools_free(&w->pools);
	return status;
}

int cmd_watch_cpu(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "interval", 'i', "SECONDS", 0,
		  "How long an interval is; default: 1", 0 },
		{ "count", 'n', "N", 0,
		  "End after so many; default: at a signal", 0 },
		{ NULL, 'c', NULL, OPTION_ALIAS, NULL, 0 },
		TOOL_OPTION_JSON,
		{ NULL, 0, NULL, 0, NULL, 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "CPULIST",
		.doc = "Show what interrupts CPUs: the rows of "
		       "/proc/interrupts that move, what they are, and what "
		       "helps; and how often weir's pools were drained there, "
		       "which by membarrier interrupts. Runs on other CPUs "
		       "than those, if it may. Ends "
		       "at control-C; --json prints an object a line, one for "
		       "each interval.\v"
		       "Exit status: 0; 1 when /proc/interrupts lacks a CPU; "
		       "2 for wrong usage.",
	};
	static struct watch w;

	w.interval_ns = 1000000000;
	wi_topology_read(&w.topology, NULL);
	if (tool_parse(&argp, argc, argv, &w) != 0)
		return TOOL_USAGE;
	w.colours = tool_colours();
	return watch(&w);
}
