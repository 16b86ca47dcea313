/* SPDX-License-Identifier: MIT */
/*
 * What a run of `weir bench` gathers: a series of samples for each thing
 * measured, one a round; and the bars, each a figure or a ratio of two series
 * with what it should not exceed.
 */
#ifndef WEIR_BENCH_REPORT_H
#define WEIR_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_ROUNDS_MAX 5000
#define BENCH_SERIES_MAX 48
#define BENCH_BARS_MAX 32

/* One thing measured. */
struct bench_series {
	const char *bench;   /* what is done: "pair", "bulk", "drain", ... */
	const char *impl;    /* who does it: "floor" or "weir" */
	const char *variant; /* how */
	double *samples;     /* nanoseconds, one a round */
	unsigned nr;
	uint64_t operations; /* timed in all */
	double median;	     /* these three by bench_close() */
	double min, max;
};

struct bench_bar {
	const char *name;  /* for machines: [a-z0-9_] */
	const char *what;  /* for people */
	const char *unit;  /* "x" for a ratio, "ns", "us" */
	const char *floor; /* what the ratio is to; NULL: it is none */
	double value, bar;
};

struct bench_report {
	struct bench_series series[BENCH_SERIES_MAX];
	unsigned nr_series;
	struct bench_bar bars[BENCH_BARS_MAX];
	unsigned nr_bars;
	char note[512]; /* what the drains rested on; a sentence or none */
};

/* What to measure, how often, and where. */
struct bench_plan {
	unsigned rounds;    /* of pairs and bulks */
	unsigned creations; /* of each size of pool */
	unsigned drains;    /* of each mode */
	unsigned zone_rounds;
	unsigned cpu;  /* where pairs run, and what drains */
	int owner_cpu; /* whose lists are drained; -1: there is no other */
	char cpus[16]; /* the two as lists of CPUs */
	char owner_cpus[16];
	void (*progress)(const char *what, unsigned done, unsigned of);
};

/* Adds a series of up to `rounds` samples; NULL when memory is short. */
struct bench_series *bench_series(struct bench_report *report,
				  const char *bench, const char *impl,
				  const char *variant, unsigned rounds);
void bench_sample(struct bench_series *series, double ns, uint64_t operations);

/* The series is complete. */
void bench_close(struct bench_series *series);

/* Adds a bar for the median of a series, in its nanoseconds or in us. */
void bench_bar(struct bench_report *report, const char *name, const char *what,
	       const char *unit, double value, double bar);

/* Adds a bar for the median of the ratios of two series, round by round. */
void bench_bar_ratio(struct bench_report *report, const char *name,
		     const char *what, const struct bench_series *series,
		     const struct bench_series *floor, double bar);

bool bench_is_met(const struct bench_bar *bar);

/* The figures and the bars as a text of at most 80 columns. */
void bench_print(const struct bench_report *report);

void bench_free(struct bench_report *report);

/* The value below which the part `part` (0 to 1) of the values lies; sorts. */
double bench_quantile(double *values, unsigned nr, double part);

/* Runs the calling thread on that CPU alone. */
bool bench_pin(unsigned cpu);

/*
 * The benches. Each adds its series and bars and returns 0, or prints what
 * kept it from measuring and returns -1.
 */
int bench_create(struct bench_report *report, const struct bench_plan *plan);
int bench_pairs(struct bench_report *report, const struct bench_plan *plan);
int bench_drains(struct bench_report *report, const struct bench_plan *plan);
int bench_zones(struct bench_report *report, const struct bench_plan *plan);

#endif
