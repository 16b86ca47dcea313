/* SPDX-License-Identifier: MIT */
/*
 * weir metrics: the families of metrics that a pool has. A row of the table is
 * one number of a pool, of each of its zones, of each CPU in each zone, or of
 * each list there. Rows of a family stand together, as OpenMetrics wants it.
 * There are gauges and counters only: the older text format of Prometheus knows
 * neither the type info nor stateset, and its readers can take this text too.
 */
#ifndef WEIR_TOOL_WATCH_METRICS_H
#define WEIR_TOOL_WATCH_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metrics_level {
	METRICS_INFO, /* always 1 */
	METRICS_POOL, /* offset: in struct weir_watch_info */
	METRICS_STAT, /* in struct weir_stat */
	METRICS_ZONE, /* in struct weir_stat_zone */
	METRICS_RUNS, /* of free runs of each order */
	METRICS_CPU,  /* in struct weir_stat_cpu */
	METRICS_MODE, /* always 1, of the mode that it has */
	METRICS_LIST, /* in struct weir_stat_list, an unsigned */
};

struct metrics_row {
	const char *family; /* with its unit; counters without _total */
	const char *type, *unit, *help;
	const char *label, *value; /* NULL, or one more label */
	enum metrics_level level;
	bool pages; /* counted in pages, told in bytes */
	size_t offset;
};

extern const struct metrics_row metrics_rows[];
extern const unsigned metrics_nr_rows;

#endif
