/* SPDX-License-Identifier: MIT */
/*
 * A worker measures one implementation: weir, a floor, or another library. It
 * is a process of its own, so that nobody's heap, threads or preloaded library
 * is beside anybody else's; `weir bench` starts one for each implementation
 * and question, and lets them take turns.
 *
 * A worker's rows say what it can measure. The program speaks with its parent
 * by lines:
 *
 *     parent                worker
 *     ------                ------
 *     (starts it: --list)   one line a row: question, variant, rounds,
 *                           quick rounds, floor; tabs between
 *     run ROW ROUND         ns NS OPERATIONS [NAME=VALUE ...], tabs between
 *                           or: no SENTENCE    it cannot be measured here
 *     (end of input)        (exits)
 *
 * ROW is the row's number in the list. NS is nanoseconds for one operation.
 * The named values are what else was seen in this round.
 */
#ifndef WEIR_BENCH_WORKER_H
#define WEIR_BENCH_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_EXTRAS_MAX 8

/* What one round of one row saw. */
struct bench_result {
	double ns;	     /* an operation */
	uint64_t operations; /* that were timed */
	struct {
		const char *name; /* [a-z0-9_]+ */
		double value;
	} extras[BENCH_EXTRAS_MAX];
	unsigned nr_extras;
};

/* Where a worker may run, and how much it should do. */
struct bench_where {
	unsigned cpu;  /* where the timed thread runs */
	int other_cpu; /* for a second thread; -1: there is none */
	char cpus[16]; /* the two as lists of CPUs */
	char other_cpus[16];
	bool quick;
};

struct bench_row {
	const char *question; /* "pair", "bulk", ... */
	const char *variant;
	/* One round. Returns true, or false after bench_cannot(). What it
	 * needs, it makes at its first round and keeps. */
	bool (*run)(const struct bench_row *row,
		    const struct bench_where *where, unsigned round,
		    struct bench_result *result);
	uintptr_t what; /* for `run`, when one function serves many rows */
	const void *with;
	unsigned rounds, quick_rounds; /* how often it should be run */
	/* The floor's variant that its time is divided by, of the same
	 * question; NULL: none. */
	const char *floor;
};

/* Says why a row cannot be measured here: printf's arguments. Returns false. */
bool bench_cannot(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

void bench_extra(struct bench_result *result, const char *name, double value);

/*
 * The whole of a worker's main(). Options: --list, --cpus A[,B], --quick.
 * The calling thread runs on A from the first row on. Returns the exit status.
 */
int bench_worker(int argc, char **argv, const struct bench_row *rows,
		 unsigned nr_rows);

#endif
