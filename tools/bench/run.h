/* SPDX-License-Identifier: MIT */
/* Starts the workers of `weir bench` and lets them take turns. */
#ifndef WEIR_TOOL_BENCH_RUN_H
#define WEIR_TOOL_BENCH_RUN_H

#include <stdbool.h>

#include "bench/report.h"

struct bench_choice {
	const char *questions; /* names with commas between; NULL: all */
	const char *impls;     /* the same */
	unsigned rounds;       /* at most so many of each row; 0: its own */
	bool quick;
	bool progress; /* on standard error */
	unsigned cpu;
	int other_cpu; /* -1: none */
};

/* Another malloc to preload: "NAME=PATH". Returns NULL, or what is wrong. */
#define BENCH_MALLOCS_MAX 8
const char *bench_add_malloc(const char *text);

/* Fills the report. Returns 0, or -1 after a sentence on standard error. */
int bench_run(struct bench_report *report, const struct bench_choice *choice);

/* What a question is about, in a line; NULL: there is none of that name. */
const char *bench_question(const char *name);

/* The questions' names, in their order; NULL after the last. */
const char *bench_question_name(unsigned i);

/* "jemalloc 5.3.0-1, ..." of the packages whose libraries were measured. */
void bench_packages(const struct bench_report *report, char *text, size_t len);

#endif
