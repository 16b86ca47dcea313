/* SPDX-License-Identifier: MIT */
/*
 * weir doctor: what this machine offers weir, which mode each CPU would have,
 * and what to do where something is missing.
 *
 * It disturbs nobody: everything that may interrupt a CPU runs with this
 * process confined to CPUs that are not set aside.
 */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "doctor.h"
#include "json.h"
#include "os/os.h"
#include "table.h"
#include "tool.h"

static const char *const marks[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_NOTE] = "note",
	[DOCTOR_PROBLEM] = "PROBLEM",
};

void doctor_add(struct doctor *d, const char *name, const char *title,
		enum doctor_status status, const char *advice,
		const char *value, ...)
{
	struct doctor_check *check;
	va_list args;

	if (d->nr_checks == DOCTOR_CHECKS_MAX)
		abort(); /* raise it */
	check = &d->checks[d->nr_checks++];
	*check = (struct doctor_check){
		.name = name,
		.title = title,
		.status = status,
		.advice = advice,
	};
	va_start(args, value);
	vsnprintf(check->value, sizeof(check->value), value, args);
	va_end(args);
}

static bool confine(const struct wi_cpuset *set)
{
	const size_t bytes = CPU_ALLOC_SIZE(WI_CPUS_MAX);
	cpu_set_t *cpus = CPU_ALLOC(WI_CPUS_MAX);
	bool done;

	if (cpus == NULL)
		return false;
	CPU_ZERO_S(bytes, cpus);
	for (unsigned cpu = wi_cpuset_next(set, 0); cpu < WI_CPUS_MAX;
	     cpu = wi_cpuset_next(set, cpu + 1))
		CPU_SET_S(cpu, bytes, cpus);
	done = sched_setaffinity(0, bytes, cpus) == 0;
	CPU_FREE(cpus);
	return done;
}

/* Confines this process to CPUs nobody set aside. False: there are none, and
 * it stays on the CPU where it was started. */
static bool leave_quiet_cpus(const struct wi_topology *t)
{
	struct wi_cpuset set = t->allowed;
	int here = wi_os_current_cpu();

	wi_cpuset_andnot(&set, &t->nohz_full);
	wi_cpuset_andnot(&set, &t->isolated);
	wi_cpuset_andnot(&set, &t->cpuset_isolated);
	if (!wi_cpuset_is_empty(&set))
		return confine(&set);
	if (here >= 0) {
		wi_cpuset_set(&set, (unsigned)here);
		confine(&set);
	}
	return false;
}

static void examine(struct doctor *d)
{
	wi_topology_read(&d->topology, NULL);
	d->may_disturb = leave_quiet_cpus(&d->topology);
	/* Before a second thread was started: the library tries sequences
	 * only then. */
	wi_machine_read(&d->machine, NULL, NULL, false);
	doctor_kernel(d);
	doctor_cpus(d);
	doctor_memory(d);
}

static bool has_problem(const struct doctor *d)
{
	for (unsigned i = 0; i < d->nr_checks; i++)
		if (d->checks[i].status == DOCTOR_PROBLEM)
			return true;
	return false;
}

/* ---- as text ----------------------------------------------------------- */

#define INDENT 26

static void print_row(const char *mark, const char *title, const char *value,
		      const char *advice)
{
	printf("%-9s%-17s", mark, title);
	table_text(INDENT, value);
	if (*advice) {
		printf("%*s", INDENT, "");
		table_text(INDENT, advice);
	}
}

/* A row for all CPUs with the same mode for the same reason. */
static void print_modes(const struct doctor *d)
{
	struct wi_cpuset left = d->topology.possible;
	struct wi_cpuset alike;
	unsigned cpu;

	while ((cpu = wi_cpuset_next(&left, 0)) < WI_CPUS_MAX) {
		char list[512], reason[64], text[700];

		doctor_alike(d, cpu, &alike);
		if (wi_cpuset_format(&alike, list, sizeof(list)) < 0)
			snprintf(list, sizeof(list), "%u and others", cpu);
		snprintf(text, sizeof(text), "%s, for CPU %s: %s",
			 doctor_mode(d, cpu), list,
			 doctor_reason(d, cpu, reason, sizeof(reason)));
		print_row(d->machine.locked ? "PROBLEM" : "ok", "mode", text,
			  "");
		wi_cpuset_andnot(&left, &alike);
	}
}

static void print_text(const struct doctor *d)
{
	for (unsigned i = 0; i < d->nr_checks; i++) {
		const struct doctor_check *c = &d->checks[i];

		print_row(marks[c->status], c->title, c->value, c->advice);
	}
	print_modes(d);
	putchar('\n');
	table_text(0, has_problem(d)
			      ? "weir works here, but drains fall back to a "
				"lesser way: see the lines marked PROBLEM."
			      : "Remote drains work here.");
}

/* ---- as JSON ----------------------------------------------------------- */

#ifdef WEIR_HAVE_JANSSON

static json_t *checks_json(const struct doctor *d)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < d->nr_checks; i++) {
		const struct doctor_check *c = &d->checks[i];
		const char *status = c->status == DOCTOR_PROBLEM
					     ? "problem"
					     : marks[c->status];

		json_array_append_new(
			array, json_pack("{ss ss ss ss}", "name", c->name,
					 "status", status, "value", c->value,
					 "advice", c->advice));
	}
	return array;
}

static json_t *cpus_json(const struct doctor *d)
{
	const struct wi_cpuset *possible = &d->topology.possible;
	json_t *array = json_array();

	for (unsigned cpu = wi_cpuset_next(possible, 0); cpu < WI_CPUS_MAX;
	     cpu = wi_cpuset_next(possible, cpu + 1)) {
		char reason[64];

		json_array_append_new(
			array, json_pack("{si ss ss}", "cpu", (int)cpu, "mode",
					 doctor_mode(d, cpu), "reason",
					 doctor_reason(d, cpu, reason,
						       sizeof(reason))));
	}
	return array;
}

static int print_json(const struct doctor *d)
{
	return json_finish(json_pack("{sb so so}", "drains_work",
				     !has_problem(d), "checks", checks_json(d),
				     "cpus", cpus_json(d)));
}

#else

static int print_json(const struct doctor *d)
{
	(void)d;
	return TOOL_FAILED; /* tool_need_json() came first */
}

#endif

/* ---- the command ------------------------------------------------------- */

static error_t parse(int key, char *arg, struct argp_state *state)
{
	bool *json = state->input;

	(void)arg;
	if (key != TOOL_KEY_JSON)
		return ARGP_ERR_UNKNOWN;
	tool_need_json();
	*json = true;
	return 0;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct argp_option options[] = {
		TOOL_OPTION_JSON,
		{ NULL, 0, NULL, 0, NULL, 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "Tell what this machine offers weir, which mode each "
		       "CPU would have and why, and what to do where "
		       "something is missing. No quiet CPU is disturbed.\v"
		       "Exit status: 0; 1 when drains would fall back (no "
		       "restartable sequences, or no membarrier); 2 for wrong "
		       "usage.",
	};
	static struct doctor d;
	bool json = false;

	if (argp_parse(&argp, argc, argv, 0, NULL, &json) != 0)
		return TOOL_USAGE;
	examine(&d);
	if (!json)
		print_text(&d);
	else if (print_json(&d) != TOOL_OK)
		return TOOL_FAILED;
	return has_problem(&d) ? TOOL_FAILED : TOOL_OK;
}
