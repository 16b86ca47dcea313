/* SPDX-License-Identifier: MIT */
/*
 * weir bench: what weir costs on this machine, beside bare sequences that do
 * no more than the core of each job, and beside the bars it should meet.
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <weir/version.h>

#include "json.h"
#include "report.h"
#include "tool.h"
#include "topology/topology.h"

struct bench_options {
	bool json, quick, strict;
	int cpu;	 /* -1: chosen */
	unsigned rounds; /* 0: by quick */
};

struct bench_meta {
	char commit[64], cpu[80], kernel[80];
	double load; /* in the last minute, others' work included */
};

enum { KEY_QUICK = TOOL_KEY_FIRST, KEY_CPU, KEY_STRICT, KEY_ROUNDS };

static const struct argp_option options[] = {
	{ "quick", KEY_QUICK, NULL, 0, "A fifth of the rounds", 0 },
	{ "cpu", KEY_CPU, "N", 0,
	  "Measure on CPU N (the last one that is not set aside)", 0 },
	{ "strict", KEY_STRICT, NULL, 0, "Exit with 1 when a bar is missed",
	  0 },
	{ "rounds", KEY_ROUNDS, "N", OPTION_HIDDEN, NULL, 0 },
	TOOL_OPTION_JSON,
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench_options *o = state->input;

	switch (key) {
	case KEY_QUICK:
		o->quick = true;
		return 0;
	case KEY_CPU:
		o->cpu =
			(int)tool_number(state, "cpu", arg, 0, WI_CPUS_MAX - 1);
		return 0;
	case KEY_STRICT:
		o->strict = true;
		return 0;
	case KEY_ROUNDS:
		o->rounds = (unsigned)tool_number(state, "rounds", arg, 7,
						  BENCH_ROUNDS_MAX);
		return 0;
	case TOOL_KEY_JSON:
		tool_need_json();
		o->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Measure weir beside the bare sequences it is built from, and "
	       "say which bars it meets.\v"
	       "Times are nanoseconds an operation: a pair is a page out and "
	       "back, with 16 it is 16 out and then 16 back, a bulk is a "
	       "token or page of 32 moved at once. Ratios are taken round by "
	       "round; what is shown is their median. Use a machine that does "
	       "nothing else.\n\n"
	       "Exit status: 0; 1 when measuring failed, or with --strict when "
	       "a bar is missed; 2 for wrong usage.",
};

/* ---- where ------------------------------------------------------------- */

/* The last CPU of the set but `except`; -1: none. */
static int last_but(const struct wi_cpuset *set, int except)
{
	int last = -1;

	for (unsigned cpu = wi_cpuset_next(set, 0); cpu < WI_CPUS_MAX;
	     cpu = wi_cpuset_next(set, cpu + 1))
		if ((int)cpu != except)
			last = (int)cpu;
	return last;
}

/* Chooses CPUs that nobody set aside, as long as there are any. */
static int choose_cpus(struct bench_plan *plan, int wanted)
{
	static struct wi_topology topology;
	struct wi_cpuset ordinary;
	int cpu = wanted;

	wi_topology_read(&topology, NULL);
	ordinary = topology.allowed;
	wi_cpuset_andnot(&ordinary, &topology.nohz_full);
	wi_cpuset_andnot(&ordinary, &topology.isolated);
	wi_cpuset_andnot(&ordinary, &topology.cpuset_isolated);
	if (cpu < 0)
		cpu = last_but(&ordinary, -1);
	if (cpu < 0)
		cpu = last_but(&topology.allowed, -1);
	if (cpu < 0 || !wi_cpuset_test(&topology.allowed, (unsigned)cpu)) {
		tool_error("this process may not run on CPU %d; choose "
			   "another with --cpu",
			   cpu);
		return TOOL_USAGE;
	}
	plan->cpu = (unsigned)cpu;
	plan->owner_cpu = last_but(&ordinary, cpu);
	if (plan->owner_cpu < 0)
		plan->owner_cpu = last_but(&topology.allowed, cpu);
	snprintf(plan->cpus, sizeof(plan->cpus), "%u", plan->cpu);
	snprintf(plan->owner_cpus, sizeof(plan->owner_cpus), "%d",
		 plan->owner_cpu);
	return TOOL_OK;
}

/* ---- under what circumstances ------------------------------------------ */

/* The commit of the checkout that this program was built in, if it was. */
static void find_commit(char *commit, size_t len)
{
	static const char ask[] = "git -C \"$WEIR_BENCH_DIR\" describe "
				  "--always --dirty --abbrev=12 2>/dev/null";
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	FILE *git = NULL;

	if (n > 0) {
		path[n] = '\0';
		setenv("WEIR_BENCH_DIR", dirname(path), 1);
		git = popen(ask, "r");
	}
	commit[0] = '\0';
	if (git) {
		if (fgets(commit, (int)len, git))
			commit[strcspn(commit, "\n")] = '\0';
		pclose(git);
	}
	if (commit[0] == '\0')
		snprintf(commit, len, "weir %s", WEIR_VERSION);
}

static void find_cpu_name(char *name, size_t len)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(name, len, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (!colon || strncmp(line, "model name", 10) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(name, len, "%s", colon + 1 + strspn(colon + 1, " "));
		break;
	}
	if (f)
		fclose(f);
}

static void find_meta(struct bench_meta *meta)
{
	struct utsname u;

	find_commit(meta->commit, sizeof(meta->commit));
	find_cpu_name(meta->cpu, sizeof(meta->cpu));
	snprintf(meta->kernel, sizeof(meta->kernel), "%s",
		 uname(&u) == 0 ? u.release : "unknown");
}

/* ---- what comes out ---------------------------------------------------- */

#ifdef WEIR_HAVE_JANSSON

static json_t *results_json(const struct bench_report *report)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < report->nr_series; i++) {
		const struct bench_series *s = &report->series[i];

		json_array_append_new(
			array,
			json_pack("{ss ss ss sf sf sf sI}", "bench", s->bench,
				  "impl", s->impl, "variant", s->variant, "ns",
				  s->median, "min", s->min, "max", s->max, "n",
				  (json_int_t)s->operations));
	}
	return array;
}

static json_t *ratios_json(const struct bench_report *report)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < report->nr_bars; i++) {
		const struct bench_bar *b = &report->bars[i];

		json_array_append_new(
			array, json_pack("{ss ss sf sf sb ss?}", "name",
					 b->name, "unit", b->unit, "value",
					 b->value, "bar", b->bar, "met",
					 bench_is_met(b), "floor", b->floor));
	}
	return array;
}

static int print_json(const struct bench_report *report,
		      const struct bench_plan *plan,
		      const struct bench_meta *meta)
{
	return json_finish(
		json_pack("{s{ss ss ss si si sf} so so}", "meta", "commit",
			  meta->commit, "cpu", meta->cpu, "kernel",
			  meta->kernel, "rounds", (int)plan->rounds, "on_cpu",
			  (int)plan->cpu, "load", meta->load, "results",
			  results_json(report), "ratios", ratios_json(report)));
}

#else

static int print_json(const struct bench_report *report,
		      const struct bench_plan *plan,
		      const struct bench_meta *meta)
{
	(void)report, (void)plan, (void)meta;
	return TOOL_FAILED; /* tool_need_json() came first */
}

#endif

static int print_text(const struct bench_report *report,
		      const struct bench_plan *plan,
		      const struct bench_meta *meta)
{
	printf("weir bench at %s, on CPU %u", meta->commit, plan->cpu);
	if (plan->owner_cpu >= 0)
		printf(", draining CPU %d", plan->owner_cpu);
	printf("\n%s, Linux %s\n", meta->cpu, meta->kernel);
	if (meta->load > 0.5)
		printf("note: others use this machine (load %.1f): the "
		       "figures are worse for it\n",
		       meta->load);
	printf("nanoseconds; medians of %u interleaved rounds\n\n",
	       plan->rounds);
	bench_print(report);
	return TOOL_OK;
}

static void show_progress(const char *what, unsigned done, unsigned of)
{
	unsigned percent = done * 100 / of;

	if (done == 0 || percent != (done - 1) * 100 / of)
		fprintf(stderr, "\r%-10s %3u %%", what, percent);
}

static void show_nothing(const char *what, unsigned done, unsigned of)
{
	(void)what, (void)done, (void)of;
}

static void clear_progress(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%30s\r", "");
}

/* The creations come first: the first of them is the process' first. */
static int measure(struct bench_report *report, const struct bench_plan *plan)
{
	int err = bench_create(report, plan);

	if (err == 0 && !bench_pin(plan->cpu)) {
		tool_error("cannot stay on CPU %u: %s", plan->cpu,
			   strerror(errno));
		err = -1;
	}
	if (err == 0)
		err = bench_pairs(report, plan);
	if (err == 0)
		err = bench_drains(report, plan);
	if (err == 0)
		err = bench_zones(report, plan);
	clear_progress();
	return err;
}

static bool all_met(const struct bench_report *report)
{
	for (unsigned i = 0; i < report->nr_bars; i++)
		if (!bench_is_met(&report->bars[i]))
			return false;
	return true;
}

int cmd_bench(int argc, char **argv)
{
	static struct bench_report report;
	struct bench_options o = { .cpu = -1 };
	struct bench_plan plan = {
		.progress =
			isatty(STDERR_FILENO) ? show_progress : show_nothing,
	};
	struct bench_meta meta;
	int status;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return TOOL_USAGE;
	status = choose_cpus(&plan, o.cpu);
	if (status != TOOL_OK)
		return status;
	plan.rounds = o.rounds ? o.rounds : o.quick ? 600 : 3000;
	plan.creations = 15;
	plan.drains = plan.rounds < 60 ? 500 : o.quick ? 3000 : 12000;
	plan.zone_rounds = plan.rounds < 60 ? 7 : o.quick ? 9 : 31;
	if (getloadavg(&meta.load, 1) != 1)
		meta.load = 0;
	find_meta(&meta);
	if (measure(&report, &plan) != 0)
		status = TOOL_FAILED;
	else if (o.json)
		status = print_json(&report, &plan, &meta);
	else
		status = print_text(&report, &plan, &meta);
	if (status == TOOL_OK && o.strict && !all_met(&report))
		status = TOOL_FAILED;
	bench_free(&report);
	return status;
}
