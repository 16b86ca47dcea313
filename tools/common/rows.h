/* SPDX-License-Identifier: MIT */
/*
 * weir watch-cpu: which rows of /proc/interrupts moved for a CPU, and what
 * that means. What is written here of a row is found by the kernel's own words
 * for it, since names differ between architectures (interrupts.h).
 */
#ifndef WEIR_TOOL_ROWS_H
#define WEIR_TOOL_ROWS_H

#include <stdint.h>

#define WATCH_NAME 16
#define WATCH_WORDS 64

/* What a row is, and what to do about it. */
struct watch_meaning {
	const char *words; /* the kernel's, or the end of them */
	const char *what;
	const char *hint; /* causes, and what helps */
	unsigned step;	  /* of docs/tuning.md; 0: there is none */
};

/* The meaning of a row; never NULL. */
const struct watch_meaning *watch_meaning(const char *name, const char *words);

/* A number from 0 for each meaning, below WATCH_MEANINGS. */
#define WATCH_MEANINGS 32
unsigned watch_meaning_number(const struct watch_meaning *meaning);

struct watch_row {
	char name[WATCH_NAME];
	char words[WATCH_WORDS]; /* after the numbers */
	uint64_t number;
};

/* All rows that have a number for a CPU. */
struct watch_rows {
	struct watch_row *row;
	unsigned nr, capacity;
};

/* Reads them anew. 0; -ENODATA if the CPU is not there; another -errno. */
int watch_read(struct watch_rows *rows, unsigned cpu);
void watch_free(struct watch_rows *rows);

/* How far a row moved since `before`, where it may be missing. */
uint64_t watch_moved(const struct watch_rows *before,
		     const struct watch_row *row);

#endif
