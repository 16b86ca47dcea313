/* SPDX-License-Identifier: MIT */
/*
 * What a run of `weir bench` gathers: a series of samples for each thing
 * measured, one a round; and the goals, each a figure or a ratio of two series
 * with what it should not exceed.
 */
#ifndef WEIR_TOOL_BENCH_REPORT_H
#define WEIR_TOOL_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define BENCH_TEXT 64 /* a name's bytes, with its end */
#define BENCH_EXTRAS 8

/* Something else that was seen in each round. */
struct bench_extra {
	char name[32];
	double *samples;
	double median; /* by bench_close() */
	bool is_noise; /* the same: the rounds do not agree on its sign */
};

/* One thing measured. */
struct bench_series {
	char bench[BENCH_TEXT];	  /* the question: "pair", "bulk", ... */
	char impl[BENCH_TEXT];	  /* who does it: "floor", "weir", ... */
	char variant[BENCH_TEXT]; /* how */
	char floor[BENCH_TEXT];	  /* the variant its time is divided by */
	char why_not[256];	  /* why it could not be measured, or "" */
	unsigned rounds;	  /* how many samples there should be */
	unsigned row;		  /* its number in its worker's list */
	unsigned worker;	  /* whose */
	double *samples;	  /* nanoseconds, one a round */
	unsigned nr;
	uint64_t operations; /* timed in all */
	struct bench_extra extras[BENCH_EXTRAS];
	unsigned nr_extras;
	double median; /* these three by bench_close() */
	double min, max;
};

struct bench_goal {
	const char *name; /* for machines: [a-z0-9_] */
	const char *what; /* for people */
	const char *unit; /* "x" for a ratio, "ns", "us", "%" */
	const char *to;	  /* what the ratio is to; NULL: it is none */
	double value, at_most;
};

struct bench_report {
	struct bench_series *series;
	unsigned nr_series;
	struct bench_goal *goals;
	unsigned nr_goals;
};

/* Adds a series without names or samples; NULL when memory is short. The
 * pointer holds until the next call. */
struct bench_series *bench_series(struct bench_report *report, unsigned rounds);
void bench_sample(struct bench_series *series, double ns, uint64_t operations);

/* Beside the sample added last. */
void bench_sample_extra(struct bench_series *series, const char *name,
			double value);

/* The series is complete: computes medians. */
void bench_close(struct bench_series *series);

/* The series of those names that was measured, or NULL. */
const struct bench_series *bench_find(const struct bench_report *report,
				      const char *bench, const char *impl,
				      const char *variant);

/* Median of the ratios of two series round by round, or of the medians where
 * they have not as many rounds. */
double bench_ratio(const struct bench_series *series,
		   const struct bench_series *to);

/* Is that who has rows of that name a malloc? (By the command, which knows.) */
bool bench_is_malloc(const char *impl);

/* Compares what was measured with what weir should reach (goals.c). */
void bench_judge(struct bench_report *report);
bool bench_is_met(const struct bench_goal *goal);

/* The figures and the goals as a text of at most 80 columns. */
void bench_print(const struct bench_report *report, FILE *to);

void bench_free(struct bench_report *report);

#endif
