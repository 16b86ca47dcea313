/* SPDX-License-Identifier: MIT */
/*
 * weir top: a row for each CPU of a pool, on the whole screen (top_screen.c,
 * where ncurses is) or as a JSON object for each interval.
 */
#ifndef WEIR_TOOL_WATCH_TOP_H
#define WEIR_TOOL_WATCH_TOP_H

#include <stdbool.h>
#include <stdint.h>

#include "watch/sample.h"
#include "watch/watched.h"

enum top_column {
	TOP_CPU,
	TOP_MODE,
	TOP_CACHED,
	TOP_PENDING,
	TOP_OPERATIONS,
	TOP_REFILLS,
	TOP_FLUSHES,
	TOP_ABORTS,
	TOP_PROGRESS,
	TOP_NOT_BUSY,
	TOP_MEMBARRIER,
	TOP_LATE,
	TOP_NR_COLUMNS,
};

struct top_heading {
	const char *title;
	int width; /* the sum, with a blank between, is 80 at most */
	char key;  /* sorts by it */
	bool rate; /* a second */
	const char *what;
};

extern const struct top_heading top_headings[TOP_NR_COLUMNS];

struct top_row {
	enum weir_mode mode;
	double number[TOP_NR_COLUMNS];
};

struct top {
	struct watched_request asked; /* count 0: until it is told to end */
	struct watched_pools pools;
	unsigned shown; /* which of them */
	struct sample before, now;
	bool has_rates; /* `before` was read of this pool */
	struct top_row *row;
	unsigned nr_rows;
	enum top_column sort;
	bool reverse;
};

/* Reads the pool that is shown anew. TOOL_OK or TOOL_FAILED. */
int top_read(struct top *top);
/* From another pool on. */
void top_next_pool(struct top *top);
/* Makes the rows, sorted: CPUs that did something since the pool was made. */
void top_sort(struct top *top);
/* Seconds between the two samples. */
double top_seconds(const struct top *top);

/* Shows it until the user quits; TOOL_OK, TOOL_FAILED, or TOOL_USAGE where
 * there is no screen or it was built without. */
int top_screen(struct top *top);

#endif
