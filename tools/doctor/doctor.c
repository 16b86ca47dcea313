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

#include "common/interrupts.h"
#include "common/json.h"
#include "common/table.h"
#include "common/tool.h"
#include "doctor/doctor.h"
#include "os/os.h" /* on which CPU it runs */

static const char *const marks[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_NOTE] = "note",
	[DOCTOR_UNKNOWN] = "unknown",
	[DOCTOR_PROBLEM] = "PROBLEM",
};

static struct doctor_check *add(struct doctor *d, const char *name,
				const char *title, enum doctor_status status,
				const char *advice)
{
	struct doctor_check *check;

	if (d->nr_checks == DOCTOR_CHECKS_MAX)
		abort(); /* raise it */
	check = &d->checks[d->nr_checks++];
	*check = (struct doctor_check){
		.name = name,
		.title = title,
		.status = status,
		.advice = advice,
	};
	return check;
}

/* Names of processes and what stands in files are others' choice: here they
 * lose what a terminal would act on, and JSON could not hold. */
__attribute__((format(printf, 2, 0))) static void
set_value(struct doctor_check *check, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	tool_harmless(check->value, sizeof(check->value), text);
}

void doctor_add(struct doctor *d, const char *name, const char *title,
		enum doctor_status status, const char *advice,
		const char *value, ...)
{
	struct doctor_check *check = add(d, name, title, status, advice);
	va_list args;

	va_start(args, value);
	set_value(check, value, args);
	va_end(args);
}

void doctor_beside(struct doctor *d, const char *name, const char *title,
		   enum doctor_status status, const char *advice,
		   const char *value, ...)
{
	struct doctor_check *check = add(d, name, title, status, advice);
	va_list args;

	check->beside = true;
	va_start(args, value);
	set_value(check, value, args);
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
static bool leave_quiet_cpus(const struct doctor *d)
{
	const struct wi_topology *t = &d->topology;
	struct wi_cpuset set = t->allowed;
	int here = wi_os_current_cpu();

	wi_cpuset_andnot(&set, &t->nohz_full);
	wi_cpuset_andnot(&set, &t->isolated);
	wi_cpuset_andnot(&set, &t->cpuset_isolated);
	wi_cpuset_andnot(&set, &d->spared);
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
	d->may_disturb = leave_quiet_cpus(d);
	/* Before a second thread was started: the library tries sequences
	 * only then. */
	wi_machine_read(&d->machine, NULL, NULL, false);
	doctor_kernel(d);
	doctor_cpus(d);
	doctor_memory(d);
	if (wi_cpuset_is_empty(&d->spared)) {
		doctor_beside(d, "beside", "interrupts", DOCTOR_OK, "",
			      "none is set aside; name some to see what would "
			      "interrupt them");
		return;
	}
	doctor_settings(d);
	doctor_tasks(d);
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

static void print_checks(const struct doctor *d, bool beside)
{
	for (unsigned i = 0; i < d->nr_checks; i++) {
		const struct doctor_check *c = &d->checks[i];

		if (c->beside == beside)
			print_row(marks[c->status], c->title, c->value,
				  c->advice);
	}
}

static void print_text(const struct doctor *d)
{
	char list[DOCTOR_LIST], text[DOCTOR_LIST + 100];

	print_checks(d, false);
	print_modes(d);
	putchar('\n');
	if (!wi_cpuset_is_empty(&d->spared)) {
		snprintf(text, sizeof(text),
			 "What else interrupts CPU %s, which weir cannot help:",
			 doctor_list(&d->spared, list));
		table_text(0, text);
	}
	print_checks(d, true);
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
			array,
			json_pack("{ss ss ss ss sb}", "name", c->name, "status",
				  status, "value", c->value, "advice",
				  c->advice, "beside", c->beside));
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
	char list[DOCTOR_LIST];

	return json_finish(json_pack("{sb so so ss}", "drains_work",
				     !has_problem(d), "checks", checks_json(d),
				     "cpus", cpus_json(d), "spared",
				     wi_cpuset_is_empty(&d->spared)
					     ? ""
					     : doctor_list(&d->spared, list)));
}

#else

static int print_json(const struct doctor *d)
{
	(void)d;
	return TOOL_FAILED; /* tool_need_json() came first */
}

#endif

/* ---- the command ------------------------------------------------------- */

struct request {
	struct doctor *doctor;
	bool json, named;
};

static void read_cpus(struct argp_state *state, struct doctor *d,
		      const char *list)
{
	const char *why;

	if (wi_cpuset_parse(&d->spared, list, &why) != 0)
		argp_error(state, "'%s' is no list of CPUs: %s", list, why);
	for (unsigned cpu = wi_cpuset_next(&d->spared, 0); cpu < WI_CPUS_MAX;
	     cpu = wi_cpuset_next(&d->spared, cpu + 1))
		if (!wi_cpuset_test(&d->topology.possible, cpu) &&
		    !wi_cpuset_test(&d->topology.allowed, cpu) &&
		    !interrupts_has(cpu))
			argp_error(state, "CPU %u cannot exist here", cpu);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *request = state->input;

	switch (key) {
	case TOOL_KEY_JSON:
		tool_need_json();
		request->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (request->named)
			argp_error(state, "one list of CPUs, as 2-5,9");
		request->named = true;
		read_cpus(state, request->doctor, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Those that the machine's owner has set aside. */
static void spare_quiet_cpus(struct doctor *d)
{
	const struct wi_topology *t = &d->topology;

	d->spared = t->nohz_full;
	wi_cpuset_or(&d->spared, &t->isolated);
	wi_cpuset_or(&d->spared, &t->cpuset_isolated);
	wi_cpuset_and(&d->spared, &t->possible);
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
		.args_doc = "[CPULIST]",
		.doc = "Report what this machine offers weir, which mode each "
		       "CPU would have and why, and what to do where "
		       "something is missing; and what else interrupts the "
		       "CPUs of CPULIST (by default those that are set aside) "
		       "and how to stop it. No quiet CPU is disturbed.\v"
		       "Exit status: 0; 1 when drains would fall back (no "
		       "restartable sequences, or no membarrier); 2 for wrong "
		       "usage.",
	};
	static struct doctor d;
	struct request request = { .doctor = &d };

	wi_topology_read(&d.topology, NULL);
	spare_quiet_cpus(&d);
	if (tool_parse(&argp, argc, argv, &request) != 0)
		return TOOL_USAGE;
	examine(&d);
	if (!request.json)
		print_text(&d);
	else if (print_json(&d) != TOOL_OK)
		return TOOL_FAILED;
	return has_problem(&d) ? TOOL_FAILED : TOOL_OK;
}
