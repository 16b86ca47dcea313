/* SPDX-License-Identifier: MIT */
/*
 * weir demo: the rescue. Pages are short, and what is free sits in the lists
 * of a CPU that must not be disturbed; seven ways to get at it, against three
 * things its thread may be doing.
 *
 *   common/way.h  what a way is; weir.c, common/baseline.c: the ways
 *   owner.h       the thread that keeps the pages, and the oracle
 *   row.h         rescues, and how interrupts are counted
 *   report.h      the table; verdict.c: what it shows
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/measure.h"
#include "common/tool.h"
#include "demo/report.h"
#include "demo/weir.h"
#include "os/rseq.h"	     /* what there is to compare */
#include "os/topology.h"     /* which CPU is set aside */
#include "percpu/evidence.h" /* the same */

static const struct demo_way *const ways[] = {
	&demo_none,	      &baseline_scheduled_work, &baseline_spinlock,
	&baseline_membarrier, &demo_ordinary,		&demo_quiet,
	&demo_polling,
};

#define NR_ROWS (WI_ARRAY_SIZE(ways) * NR_OWNER_SCENES)

struct demo {
	int cpu; /* of the owner; -1: choose */
	unsigned rescues;
	bool json;
	FILE *out; /* of the table */
	bool terminal;
	unsigned percent; /* last shown */

	struct demo_machine machine;
	struct interrupts interrupts;
	cpu_set_t *affinity; /* of this thread before; WI_CPUS_MAX bits */
	struct row rows[NR_ROWS];
	unsigned nr_rows;
	struct verdicts verdicts;
	bool is_shown; /* to the end */
};

/* --- options ------------------------------------------------------------- */

enum { KEY_CPU = TOOL_KEY_FIRST, KEY_RESCUES };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct demo *demo = state->input;

	switch (key) {
	case KEY_CPU:
		demo->cpu =
			(int)tool_number(state, "cpu", arg, 0, WI_CPUS_MAX - 1);
		return 0;
	case KEY_RESCUES:
		demo->rescues = (unsigned)tool_number(state, "rescues", arg,
						      ROW_RESCUES_MIN, 1000000);
		return 0;
	case TOOL_KEY_JSON:
		tool_need_json();
		demo->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "cpu", KEY_CPU, "N", 0,
	  "The CPU that keeps the pages (default: an isolated one if there is, "
	  "else the highest allowed)",
	  0 },
	{ "rescues", KEY_RESCUES, "N", 0,
	  "Rescues for each row, 20 to 1000000 (default 3000); fewer where one "
	  "takes milliseconds or the owner must be put to sleep",
	  0 },
	TOOL_OPTION_JSON,
	{ 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Rescue the pages that another CPU keeps: by weir's drains and "
	       "by the other known ways, while the owner of that CPU "
	       "allocates, computes or sleeps.\v"
	       "Exit status: 0, also where this machine cannot show all; 1 "
	       "when weir broke a promise (the last lines say which) or the "
	       "demo could not run; 2 for wrong options.",
};

/* --- the machine --------------------------------------------------------- */

/* An isolated CPU, which a thread is not allowed unless it asks; else the
 * highest allowed. */
static unsigned choose_owner(const struct wi_topology *topology)
{
	unsigned best = WI_CPUS_MAX;

	for (unsigned cpu = 0; cpu < topology->nr_cpus; cpu++)
		if (wi_topology_quiet_reason(topology, cpu) != 0 &&
		    wi_cpuset_test(&topology->online, cpu) && measure_pin(cpu))
			best = cpu;
	for (unsigned cpu = 0; best == WI_CPUS_MAX && cpu < WI_CPUS_MAX; cpu++)
		if (wi_cpuset_next(&topology->allowed, cpu + 1) == WI_CPUS_MAX)
			best = cpu;
	return best;
}

/* The lowest allowed that is another one, isolated only if all are. */
static unsigned choose_rescuer(const struct wi_topology *topology,
			       unsigned owner)
{
	unsigned second = WI_CPUS_MAX;

	for (unsigned cpu = 0;
	     (cpu = wi_cpuset_next(&topology->allowed, cpu)) < WI_CPUS_MAX;
	     cpu++) {
		if (cpu == owner)
			continue;
		if (wi_topology_quiet_reason(topology, cpu) == 0)
			return cpu;
		if (second == WI_CPUS_MAX)
			second = cpu;
	}
	return second;
}

/* Do sequences work, as weir itself finds out? While there is one thread. */
static bool sequences_work(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	bool work;

	opts.capacity = (uint64_t)512 * DEMO_PAGE_SIZE;
	opts.polling_cpus = "0";
	if (weir_pool_create(&pool, &opts) != 0)
		return false;
	work = weir_get_mode(pool, 0) == WEIR_MODE_POLLING;
	weir_pool_destroy(pool, 0);
	return work;
}

/* Leaves this thread on the rescuer's CPU. */
static int look_around(struct demo *demo)
{
	struct wi_topology *topology = calloc(1, sizeof(*topology));
	struct demo_machine *machine = &demo->machine;
	int status = TOOL_OK;

	if (!topology)
		return tool_error("no memory");
	wi_topology_read(topology, NULL);
	machine->nr_cpus = topology->nr_cpus;
	machine->node =
		topology->nr_nodes > 1 ? topology->node_id[0] : WEIR_NODE_ANY;
	machine->has_sequences = sequences_work();
	machine->has_membarrier = wi_rseq_has_membarrier();
	if (demo->cpu >= 0 && !measure_pin((unsigned)demo->cpu)) {
		tool_error("--cpu %d: this CPU is not there, or not allowed",
			   demo->cpu);
		status = TOOL_USAGE;
	}
	machine->owner_cpu =
		demo->cpu >= 0 ? (unsigned)demo->cpu : choose_owner(topology);
	machine->rescuer_cpu = choose_rescuer(topology, machine->owner_cpu);
	if (status == TOOL_OK && machine->rescuer_cpu < WI_CPUS_MAX &&
	    !measure_pin(machine->rescuer_cpu))
		status = tool_error("cannot go to CPU %u: %s",
				    machine->rescuer_cpu, strerror(errno));
	free(topology);
	return status;
}

/* --- the rows ------------------------------------------------------------ */

static void progress(void *ctx, const struct row *row, unsigned percent)
{
	struct demo *demo = ctx;

	/* Seldom: each time wakes whoever shows the terminal. */
	if (!demo->terminal || percent / 10 == demo->percent / 10)
		return;
	demo->percent = percent;
	fprintf(demo->out, "\r%-14s  %-10s %8u%%", row->way->name,
		owner_scene_name[row->scene], percent);
	fflush(demo->out);
}

static int run_rows(struct demo *demo)
{
	const struct row_setting setting = {
		.machine = &demo->machine,
		.interrupts =
			demo->interrupts.fd >= 0 ? &demo->interrupts : NULL,
		.rescues = demo->rescues,
		.progress = progress,
		.ctx = demo,
	};

	for (unsigned i = 0; i < NR_ROWS; i++) {
		struct row *row = &demo->rows[demo->nr_rows++];
		int err;

		row->way = ways[i / NR_OWNER_SCENES];
		row->scene = i % NR_OWNER_SCENES;
		err = row_run(row, &setting);
		if (demo->terminal)
			fputs("\r\033[K", demo->out);
		if (err != 0)
			return tool_error("%s, owner %s: %s", row->way->name,
					  owner_scene_name[row->scene],
					  strerror(-err));
		report_row(demo->out, row);
		fflush(demo->out);
	}
	return TOOL_OK;
}

static int show(struct demo *demo)
{
	struct demo_machine *machine = &demo->machine;
	int status;

	if (machine->rescuer_cpu >= WI_CPUS_MAX) {
		struct verdicts *verdicts = &demo->verdicts;

		snprintf(
			verdicts->line[verdicts->nr++],
			sizeof(verdicts->line[0]),
			"Not shown: anything. Only CPU %u is allowed here, and "
			"a rescue takes two.",
			machine->owner_cpu);
		report_words(demo->out, "", verdicts->line[0]);
		demo->is_shown = true;
		return TOOL_OK;
	}
	if (interrupts_open(&demo->interrupts, machine->owner_cpu) != 0)
		demo->interrupts.fd = -1;
	report_header(demo->out, machine);
	status = run_rows(demo);
	interrupts_close(&demo->interrupts);
	if (status != TOOL_OK)
		return status;
	verdicts_find(&demo->verdicts, demo->rows, demo->nr_rows, machine);
	report_end(demo->out, &demo->verdicts);
	demo->is_shown = true;
	return demo->verdicts.broken ? TOOL_FAILED : TOOL_OK;
}

/* --- JSON ---------------------------------------------------------------- */

#ifdef WEIR_HAVE_JANSSON

static json_t *row_json(const struct row *row)
{
	if (row->why_not[0])
		return json_pack("{ss ss si si si si sn sn sn sn ss}",
				 "mechanism", row->way->name, "owner",
				 owner_scene_name[row->scene], "attempts", 0,
				 "rescued", 0, "pages", 0, "pending", 0,
				 "ns_p50", "ns_p99", "interrupts", "op_ns",
				 "not_here", row->why_not);
	return json_pack(
		"{ss ss sI sI sI sI sI sI sI so sI sI sf sI sI sf}",
		"mechanism", row->way->name, "owner",
		owner_scene_name[row->scene], "attempts",
		(json_int_t)row->attempts, "rescued", (json_int_t)row->rescued,
		"pages", (json_int_t)row->pages, "pending",
		(json_int_t)row->pending, "collected",
		(json_int_t)row->collected, "ns_p50", (json_int_t)row->p50_ns,
		"ns_p99", (json_int_t)row->p99_ns, "interrupts",
		row->counted
			? json_integer(
				  (json_int_t)(row->attempts * row_excess(row) +
					       0.5))
			: json_null(),
		"interrupts_with", (json_int_t)row->with, "interrupts_without",
		(json_int_t)row->without, "chance", row->chance, "membarriers",
		(json_int_t)row->membarriers, "preemptions",
		(json_int_t)row->preemptions, "op_ns", row->op_ns);
}

static int print_json(const struct demo *demo)
{
	json_t *rows = json_array(), *verdicts = json_array();
	uint64_t without = 0;

	for (unsigned i = 0; i < demo->nr_rows; i++) {
		json_array_append_new(rows, row_json(&demo->rows[i]));
		without += demo->rows[i].without;
	}
	for (unsigned i = 0; i < demo->verdicts.nr; i++)
		json_array_append_new(verdicts,
				      json_string(demo->verdicts.line[i]));
	return json_finish(json_pack(
		"{so sI so sb sI sI sI}", "rescues", rows,
		"baseline_interrupts", (json_int_t)without, "verdicts",
		verdicts, "broken", demo->verdicts.broken, "owner_cpu",
		(json_int_t)demo->machine.owner_cpu, "stock",
		(json_int_t)ROW_STOCK, "pool_pages", (json_int_t)DEMO_PAGES));
}

#else

static int print_json(const struct demo *demo)
{
	(void)demo;
	return TOOL_USAGE;
}

#endif

int cmd_demo(int argc, char **argv)
{
	size_t bytes = CPU_ALLOC_SIZE(WI_CPUS_MAX);
	struct demo *demo = calloc(1, sizeof(*demo));
	cpu_set_t *before = CPU_ALLOC(WI_CPUS_MAX);
	int status = TOOL_FAILED;

	if (!demo || !before) {
		tool_error("no memory");
		goto end;
	}
	demo->cpu = -1;
	demo->rescues = 3000;
	if (tool_parse(&argp, argc, argv, demo) != 0) {
		status = TOOL_USAGE;
		goto end;
	}
	demo->out = demo->json ? stderr : stdout;
	demo->terminal = isatty(fileno(demo->out));
	if (sched_getaffinity(0, bytes, before) != 0) {
		tool_error("sched_getaffinity: %s", strerror(errno));
		goto end;
	}
	status = look_around(demo);
	if (status == TOOL_OK)
		status = show(demo);
	sched_setaffinity(0, bytes, before);
	if (demo->json && demo->is_shown && print_json(demo) != TOOL_OK)
		status = TOOL_FAILED;
end:
	CPU_FREE(before);
	free(demo);
	return status;
}
