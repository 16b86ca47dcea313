/* SPDX-License-Identifier: MIT */
/* What the demo says: a table that grows row by row, and verdicts. */
#ifndef WEIR_TOOL_DEMO_REPORT_H
#define WEIR_TOOL_DEMO_REPORT_H

#include <stdio.h>

#include "demo/row.h"

#define VERDICTS_MAX 16

struct verdicts {
	char line[VERDICTS_MAX][480];
	unsigned nr;
	bool broken; /* a promise of weir's */
};

extern const char *const owner_scene_name[NR_OWNER_SCENES];

void report_header(FILE *out, const struct demo_machine *machine);
void report_row(FILE *out, const struct row *row);
/* What the columns mean, and the verdicts. */
void report_end(FILE *out, const struct verdicts *verdicts);

/* Words, broken into lines of 79 columns; `first` begins the first line, the
 * others are indented as far. */
void report_words(FILE *out, const char *first, const char *words);

/* verdict.c */
void verdicts_find(struct verdicts *verdicts, const struct row *rows,
		   unsigned nr_rows, const struct demo_machine *machine);

#endif
