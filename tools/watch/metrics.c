/* SPDX-License-Identifier: MIT */
/* weir metrics: pools' numbers as OpenMetrics text, for a collector. */
#include "watch/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/tool.h"
#include "watch/sample.h"
#include "watch/watched.h"

#define LABELS_MAX 8

struct label {
	const char *name;
	char value[WATCHED_COMMAND];
};

struct metrics {
	struct watched_request asked;
	struct watched_pools pools;
	struct sample *samples;	 /* one a pool */
	void *families, *family; /* arrays of JSON */
	struct label label[LABELS_MAX];
	unsigned nr_labels;
};

/* ---- as text ------------------------------------------------------------ */

/* Values are printable ASCII (watched.h) or our own. */
static void print_value(const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			putchar('\\');
		putchar(*value);
	}
}

static void print_family(const struct metrics_row *row)
{
	printf("# TYPE %s %s\n", row->family, row->type);
	if (row->unit[0])
		printf("# UNIT %s %s\n", row->family, row->unit);
	printf("# HELP %s %s.\n", row->family, row->help);
}

static void print_number(const struct metrics *m, const struct metrics_row *row,
			 uint64_t number)
{
	const bool counter = strcmp(row->type, "counter") == 0;

	printf("%s%s", row->family, counter ? "_total" : "");
	for (unsigned i = 0; i < m->nr_labels; i++) {
		printf("%c%s=\"", i == 0 ? '{' : ',', m->label[i].name);
		print_value(m->label[i].value);
		putchar('"');
	}
	printf("} %" PRIu64 "\n", number);
}

/* ---- as JSON ------------------------------------------------------------ */

#ifdef WEIR_HAVE_JANSSON

static void add_family(struct metrics *m, const struct metrics_row *row)
{
	if (!m->families)
		m->families = json_array();
	m->family = json_array();
	json_array_append_new(m->families,
			      json_pack("{ss ss ss ss so}", "name", row->family,
					"type", row->type, "unit", row->unit,
					"help", row->help, "samples",
					m->family));
}

static void add_number(struct metrics *m, uint64_t number)
{
	json_t *labels = json_object();

	for (unsigned i = 0; i < m->nr_labels; i++)
		json_object_set_new(labels, m->label[i].name,
				    json_string(m->label[i].value));
	json_array_append_new(m->family,
			      json_pack("{so sI}", "labels", labels, "value",
					sample_json_int(number)));
}

static int finish_json(struct metrics *m)
{
	if (!m->families)
		m->families = json_array();
	return json_finish(json_pack("{so}", "families", m->families));
}

#else

static void add_family(struct metrics *m, const struct metrics_row *row)
{
	(void)m, (void)row; /* tool_need_json() came first */
}

static void add_number(struct metrics *m, uint64_t number)
{
	(void)m, (void)number;
}

static int finish_json(struct metrics *m)
{
	(void)m;
	return TOOL_FAILED;
}

#endif

/* ---- rows --------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void
push_label(struct metrics *m, const char *name, const char *format, ...)
{
	struct label *label = &m->label[m->nr_labels++];
	va_list args;

	label->name = name;
	va_start(args, format);
	vsnprintf(label->value, sizeof(label->value), format, args);
	va_end(args);
}

static void number(struct metrics *m, const struct metrics_row *row,
		   uint64_t number)
{
	if (m->asked.json)
		add_number(m, number);
	else
		print_number(m, row, number);
}

/* The number of that row in one of the library's structs. */
static void number_of(struct metrics *m, const struct metrics_row *row,
		      const void *base, uint64_t page_size)
{
	uint64_t its;

	memcpy(&its, (const char *)base + row->offset, sizeof(its));
	number(m, row, row->pages ? its * page_size : its);
}

static void lists(struct metrics *m, const struct metrics_row *row,
		  const struct weir_stat_cpu *cpu)
{
	for (unsigned i = 0; i < WEIR_STAT_LISTS; i++) {
		const struct weir_stat_list *list = &cpu->list[i];
		unsigned its;

		if (list->high == 0) /* there is none */
			continue;
		memcpy(&its, (const char *)list + row->offset, sizeof(its));
		push_label(m, "order", "%u", list->order);
		number(m, row, its);
		m->nr_labels--;
	}
}

/* CPUs that never did anything are left out; they may be thousands. */
static void cpus(struct metrics *m, const struct metrics_row *row,
		 const struct sample *sample, unsigned zone, uint64_t page_size)
{
	const unsigned nr_labels = m->nr_labels;

	for (unsigned c = 0; c < sample->nr_cpus; c++) {
		const struct weir_stat_cpu *cpu = sample_cpu(sample, zone, c);

		if (!sample_cpu_is_used(cpu))
			continue;
		push_label(m, "cpu", "%u", c);
		if (row->label)
			push_label(m, row->label, "%s", row->value);
		if (row->level == METRICS_MODE)
			push_label(m, "mode", "%s", sample_mode(cpu->mode));
		if (row->level == METRICS_LIST)
			lists(m, row, cpu);
		else if (row->level == METRICS_MODE)
			number(m, row, 1);
		else
			number_of(m, row, cpu, page_size);
		m->nr_labels = nr_labels;
	}
}

static void runs(struct metrics *m, const struct metrics_row *row,
		 const struct weir_stat_zone *zone)
{
	for (unsigned order = 0; order <= WEIR_ORDER_MAX; order++) {
		push_label(m, "order", "%u", order);
		number(m, row, zone->free_runs[order]);
		m->nr_labels--;
	}
}

static void zones(struct metrics *m, const struct metrics_row *row,
		  const struct sample *sample, uint64_t page_size)
{
	for (unsigned z = 0; z < sample->nr_zones; z++) {
		const unsigned nr_labels = m->nr_labels;

		push_label(m, "zone", "%u", z);
		if (row->level == METRICS_ZONE || row->level == METRICS_RUNS)
			push_label(m, "node", "%d", sample->zone[z].node);
		if (row->level == METRICS_ZONE)
			number_of(m, row, &sample->zone[z], page_size);
		else if (row->level == METRICS_RUNS)
			runs(m, row, &sample->zone[z]);
		else
			cpus(m, row, sample, z, page_size);
		m->nr_labels = nr_labels;
	}
}

/* One row of one pool. The pool's number is there because a process may have
 * two pools of the same name. */
static void pool_row(struct metrics *m, const struct metrics_row *row,
		     unsigned i)
{
	const struct watched *pool = &m->pools.pool[i];
	const struct sample *sample = &m->samples[i];
	const uint64_t page_size = pool->info.page_size;

	m->nr_labels = 0;
	push_label(m, "pid", "%d", pool->pid);
	push_label(m, "pool", "%s", pool->name);
	push_label(m, "number", "%" PRIu64, pool->number);
	if (row->level >= METRICS_ZONE) {
		zones(m, row, sample, page_size);
		return;
	}
	if (row->label)
		push_label(m, row->label, "%s", row->value);
	if (row->level == METRICS_INFO) {
		push_label(m, "command", "%s", pool->command);
		push_label(m, "lists", "%s",
			   pool->info.locked ? "locked" : "rseq");
		number(m, row, 1);
	} else if (row->level == METRICS_POOL) {
		number_of(m, row, &pool->info, page_size);
	} else {
		number_of(m, row, &sample->stat, page_size);
	}
}

/* Without pools: what a reader takes for a list of none; but nothing in the
 * text format when it was of a pool that is named. */
static void print_none(struct metrics *m)
{
	if (m->asked.json)
		finish_json(m);
	else if (!m->asked.what)
		puts("# EOF");
}

static int print(struct metrics *m)
{
	for (unsigned r = 0; r < metrics_nr_rows; r++) {
		const struct metrics_row *row = &metrics_rows[r];

		if (row->help && m->asked.json)
			add_family(m, row);
		else if (row->help)
			print_family(row);
		for (unsigned i = 0; i < m->pools.nr; i++)
			pool_row(m, row, i);
	}
	if (m->asked.json)
		return finish_json(m);
	puts("# EOF");
	return TOOL_OK;
}

/* ---- the command -------------------------------------------------------- */

static int read_all(struct metrics *m)
{
	m->samples = calloc(m->pools.nr, sizeof(*m->samples));
	if (!m->samples)
		return tool_error("no memory");
	for (unsigned i = 0; i < m->pools.nr; i++)
		if (sample_read(&m->samples[i], &m->pools.pool[i]) != TOOL_OK)
			return TOOL_FAILED;
	return TOOL_OK;
}

int cmd_metrics(int argc, char **argv)
{
	static const char doc[] =
		"Print the numbers of running processes' pools as "
		"OpenMetrics text, for Prometheus and similar programs.\v"
		"Exit status: 0; 1 when there is no such pool; 2 for "
		"wrong usage.";
	static struct metrics m;
	int status;

	if (watched_parse(&m.asked, argc, argv, NULL, doc) != TOOL_OK)
		return TOOL_USAGE;
	status = watched_open(&m.pools, m.asked.what);
	if (status == TOOL_OK)
		watched_tell_left_out(&m.pools);
	else
		print_none(&m);
	if (status == TOOL_OK)
		status = read_all(&m);
	if (status == TOOL_OK)
		status = print(&m);
	for (unsigned i = 0; m.samples && i < m.pools.nr; i++)
		sample_free(&m.samples[i]);
	free(m.samples);
	watched_close(&m.pools);
	return status;
}
