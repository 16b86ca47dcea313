/* SPDX-License-Identifier: MIT */
/*
 * weir bench: what weir costs on this machine, beside bare sequences that do
 * no more than the core of each job, beside other libraries, and beside the
 * goals of its authors.
 */
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <weir/version.h>

#include "bench/run.h"
#include "common/json.h"
#include "common/tool.h"
#include "os/topology.h" /* which CPUs are set aside */

struct bench_options {
	struct bench_choice choice;
	bool json, strict;
	int cpu;	    /* -1: chosen */
	const char *output; /* a file for the JSON; NULL: none */
};

struct bench_meta {
	char commit[64], cpu[80], kernel[80], packages[512];
	double load; /* in the last minute, others' work included */
};

enum {
	KEY_QUICK = TOOL_KEY_FIRST,
	KEY_CPU,
	KEY_STRICT,
	KEY_ROUNDS,
	KEY_ONLY,
	KEY_IMPL,
	KEY_MALLOC,
	KEY_OUTPUT,
};

static const struct argp_option options[] = {
	{ "quick", KEY_QUICK, NULL, 0, "Fewer rounds: under two minutes", 0 },
	{ "only", KEY_ONLY, "QUESTION,...", 0, "Measure only these", 0 },
	{ "impl", KEY_IMPL, "NAME,...", 0,
	  "Measure only these: floor, weir, glibc, jemalloc, ...", 0 },
	{ "cpu", KEY_CPU, "N", 0,
	  "Measure on CPU N (the last one that is not set aside)", 0 },
	{ "malloc", KEY_MALLOC, "NAME=PATH", 0,
	  "Measure the malloc of the library PATH, too, and call it NAME", 0 },
	{ "strict", KEY_STRICT, NULL, 0, "Exit with 1 when a goal is not met",
	  0 },
	{ "output", KEY_OUTPUT, "FILE", 0,
	  "Write the JSON to FILE, beside the text", 0 },
	{ "rounds", KEY_ROUNDS, "N", OPTION_HIDDEN, NULL, 0 },
	TOOL_OPTION_JSON,
	{ NULL, 0, NULL, 0, NULL, 0 },
};

/* Each name must be a question. */
static void check_questions(struct argp_state *state, const char *list)
{
	char names[256], *rest = names;

	snprintf(names, sizeof(names), "%s", list);
	for (char *name; (name = strsep(&rest, ",")) != NULL;)
		if (bench_question(name) == NULL)
			argp_error(state,
				   "there is no question '%s'; --help lists "
				   "them",
				   name);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench_options *o = state->input;
	const char *wrong;

	switch (key) {
	case KEY_QUICK:
		o->choice.quick = true;
		return 0;
	case KEY_ONLY:
		check_questions(state, arg);
		o->choice.questions = arg;
		return 0;
	case KEY_IMPL:
		o->choice.impls = arg;
		return 0;
	case KEY_MALLOC:
		wrong = bench_add_malloc(arg);
		if (wrong != NULL)
			argp_error(state, "--malloc %s: %s", arg, wrong);
		return 0;
	case KEY_CPU:
		o->cpu =
			(int)tool_number(state, "cpu", arg, 0, WI_CPUS_MAX - 1);
		return 0;
	case KEY_STRICT:
		o->strict = true;
		return 0;
	case KEY_ROUNDS:
		o->choice.rounds =
			(unsigned)tool_number(state, "rounds", arg, 1, 10000);
		return 0;
	case KEY_OUTPUT:
		tool_need_json();
		o->output = arg;
		return 0;
	case TOOL_KEY_JSON:
		tool_need_json();
		o->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The questions are listed where argp asks for the end of the help. */
static char *help(int key, const char *text, void *input)
{
	char *all = NULL;
	size_t len;
	FILE *f;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	f = open_memstream(&all, &len);
	if (f == NULL)
		return (char *)text;
	fputs("Questions:\n", f);
	for (unsigned i = 0; bench_question_name(i); i++)
		fprintf(f, "  %-9s %s\n", bench_question_name(i),
			bench_question(bench_question_name(i)));
	fprintf(f, "\n%s", text);
	fclose(f);
	return all;
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.help_filter = help,
	.doc = "Measure weir beside the bare sequences it is built from and "
	       "beside other libraries, and say which of its authors' goals "
	       "it meets.\v"
	       "Each implementation runs in a process of its own; rounds take "
	       "turns. Times are nanoseconds an operation: a pair is a page "
	       "allocated and freed; with batch 16, 16 pages are allocated and "
	       "then freed; a bulk is a page of 32 moved at once. Ratios are "
	       "medians of those of each round. Use an idle machine.\n\n"
	       "Exit status: 0; 1 when measuring failed, or with --strict when "
	       "a goal is not met; 2 for wrong usage.",
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
static int choose_cpus(struct bench_choice *choice, int wanted)
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
	choice->cpu = (unsigned)cpu;
	choice->other_cpu = last_but(&ordinary, cpu);
	if (choice->other_cpu < 0)
		choice->other_cpu = last_but(&topology.allowed, cpu);
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

/* The CPU's own words. (Reading /proc/cpuinfo asks each CPU for its frequency
 * before Linux 5.18, by an interrupt.) */
static void find_cpu_name(char *name, size_t len)
{
	snprintf(name, len, "unknown");
#if defined(__x86_64__) || defined(__i386__)
	unsigned words[13] = { 0 }, most = __get_cpuid_max(0x80000000u, NULL);

	if (most < 0x80000004u)
		return;
	for (unsigned i = 0; i < 3; i++)
		__get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1],
			    &words[4 * i + 2], &words[4 * i + 3]);
	snprintf(name, len, "%s",
		 (const char *)words + strspn((const char *)words, " "));
#endif
}

static void find_meta(struct bench_meta *meta,
		      const struct bench_report *report)
{
	struct utsname u;

	find_commit(meta->commit, sizeof(meta->commit));
	find_cpu_name(meta->cpu, sizeof(meta->cpu));
	snprintf(meta->kernel, sizeof(meta->kernel), "%s",
		 uname(&u) == 0 ? u.release : "unknown");
	bench_packages(report, meta->packages, sizeof(meta->packages));
}

/* ---- what comes out ---------------------------------------------------- */

#ifdef WEIR_HAVE_JANSSON

static json_t *series_json(const struct bench_series *s)
{
	json_t *o = json_pack("{ss ss ss sf sf sf sI}", "bench", s->bench,
			      "impl", s->impl, "variant", s->variant, "ns",
			      s->median, "min", s->min, "max", s->max, "n",
			      (json_int_t)s->operations);

	for (unsigned i = 0; i < s->nr_extras; i++)
		if (!s->extras[i].is_noise)
			json_object_set_new(o, s->extras[i].name,
					    json_real(s->extras[i].median));
	return o;
}

static json_t *results_json(const struct bench_report *report, bool measured)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < report->nr_series; i++) {
		const struct bench_series *s = &report->series[i];

		if ((s->nr > 0) != measured)
			continue;
		json_array_append_new(
			array,
			measured ? series_json(s)
				 : json_pack("{ss ss ss ss}", "bench", s->bench,
					     "impl", s->impl, "variant",
					     s->variant, "why", s->why_not));
	}
	return array;
}

static json_t *goals_json(const struct bench_report *report)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < report->nr_goals; i++) {
		const struct bench_goal *g = &report->goals[i];

		json_array_append_new(
			array, json_pack("{ss ss sf sf sb ss?}", "name",
					 g->name, "unit", g->unit, "value",
					 g->value, "at_most", g->at_most, "met",
					 bench_is_met(g), "to", g->to));
	}
	return array;
}

static json_t *whole_json(const struct bench_report *report,
			  const struct bench_choice *choice,
			  const struct bench_meta *meta)
{
	return json_pack("{s{ss ss ss ss sb si sf} so so so}", "meta", "commit",
			 meta->commit, "cpu", meta->cpu, "kernel", meta->kernel,
			 "packages", meta->packages, "quick", choice->quick,
			 "on_cpu", (int)choice->cpu, "load", meta->load,
			 "results", results_json(report, true), "not_measured",
			 results_json(report, false), "goals",
			 goals_json(report));
}

static int write_json(const struct bench_report *report,
		      const struct bench_choice *choice,
		      const struct bench_meta *meta, const char *path)
{
	json_t *o = whole_json(report, choice, meta);
	int err;

	if (path == NULL)
		return json_finish(o);
	err = json_dump_file(o, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	json_decref(o);
	if (err != 0)
		return tool_error("cannot write %s", path);
	return TOOL_OK;
}

#else

static int write_json(const struct bench_report *report,
		      const struct bench_choice *choice,
		      const struct bench_meta *meta, const char *path)
{
	(void)report, (void)choice, (void)meta, (void)path;
	return TOOL_FAILED; /* tool_need_json() came first */
}

#endif

static int print_text(const struct bench_report *report,
		      const struct bench_choice *choice,
		      const struct bench_meta *meta)
{
	printf("weir bench at %s, on CPU %u", meta->commit, choice->cpu);
	if (choice->other_cpu >= 0)
		printf(" and CPU %d", choice->other_cpu);
	printf("\n%s, Linux %s\n", meta->cpu, meta->kernel);
	if (meta->packages[0] != '\0')
		printf("%s\n", meta->packages);
	if (meta->load > 0.5)
		printf("note: others use this machine (load %.1f): the "
		       "figures are worse for it\n",
		       meta->load);
	printf("nanoseconds; medians of interleaved rounds\n\n");
	bench_print(report, stdout);
	return TOOL_OK;
}

static bool all_met(const struct bench_report *report)
{
	for (unsigned i = 0; i < report->nr_goals; i++)
		if (!bench_is_met(&report->goals[i]))
			return false;
	return true;
}

static bool any_measured(const struct bench_report *report)
{
	for (unsigned i = 0; i < report->nr_series; i++)
		if (report->series[i].nr > 0)
			return true;
	return false;
}

int cmd_bench(int argc, char **argv)
{
	struct bench_report report = { 0 };
	struct bench_options o = { .cpu = -1 };
	struct bench_meta meta = { .load = 0 };
	int status;

	if (tool_parse(&argp, argc, argv, &o) != 0)
		return TOOL_USAGE;
	status = choose_cpus(&o.choice, o.cpu);
	if (status != TOOL_OK)
		return status;
	o.choice.progress = isatty(STDERR_FILENO);
	if (getloadavg(&meta.load, 1) != 1)
		meta.load = 0;
	if (bench_run(&report, &o.choice) != 0)
		status = TOOL_FAILED;
	else if (!any_measured(&report))
		status = tool_error("nothing could be measured: %s",
				    report.nr_series ? report.series[0].why_not
						     : "no such rows");
	if (status != TOOL_OK)
		goto out;
	bench_judge(&report);
	find_meta(&meta, &report);
	if (o.output)
		status = write_json(&report, &o.choice, &meta, o.output);
	if (status == TOOL_OK)
		status = o.json ? write_json(&report, &o.choice, &meta, NULL)
				: print_text(&report, &o.choice, &meta);
	if (status == TOOL_OK && o.strict && !all_met(&report))
		status = TOOL_FAILED;
out:
	bench_free(&report);
	return status;
}
