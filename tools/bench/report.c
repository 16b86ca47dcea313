/* SPDX-License-Identifier: MIT */
#include "bench/report.h"

#include <stdlib.h>
#include <string.h>

#include "common/measure.h"

struct bench_series *bench_series(struct bench_report *report, unsigned rounds)
{
	struct bench_series *grown =
		realloc(report->series,
			sizeof(*grown) * ((size_t)report->nr_series + 1));
	struct bench_series *series;

	if (grown == NULL)
		return NULL;
	report->series = grown;
	series = &grown[report->nr_series];
	*series = (struct bench_series){
		.rounds = rounds,
		.samples = calloc(rounds, sizeof(*series->samples)),
	};
	if (series->samples == NULL)
		return NULL;
	report->nr_series++;
	return series;
}

void bench_sample(struct bench_series *series, double ns, uint64_t operations)
{
	if (series->nr == series->rounds)
		abort();
	series->samples[series->nr++] = ns;
	series->operations += operations;
}

void bench_sample_extra(struct bench_series *series, const char *name,
			double value)
{
	struct bench_extra *extra = series->extras;
	struct bench_extra *end = extra + series->nr_extras;

	while (extra < end && strcmp(extra->name, name) != 0)
		extra++;
	if (extra == end) {
		if (series->nr_extras == BENCH_EXTRAS)
			abort(); /* raise it */
		snprintf(extra->name, sizeof(extra->name), "%s", name);
		extra->samples = calloc(series->rounds, sizeof(double));
		if (extra->samples == NULL)
			return;
		series->nr_extras++;
	}
	extra->samples[series->nr - 1] = value;
}

/* Leaves the values in their order. */
static double quantile_of(const double *values, unsigned nr, double part)
{
	double *sorted = malloc(sizeof(*sorted) * nr);
	double value;

	if (sorted == NULL)
		return 0;
	memcpy(sorted, values, sizeof(*sorted) * nr);
	value = measure_quantile(sorted, nr, part);
	free(sorted);
	return value;
}

/* The one extra that is a difference of two times: it may come out negative. */
static bool is_difference(const struct bench_extra *extra)
{
	return strcmp(extra->name, "lost_per_drain") == 0;
}

/* A difference is known only if three quarters of the rounds agree that there
 * is one. Fewer rounds than that cannot say so. */
#define ROUNDS_TO_AGREE 4

static void close_extra(struct bench_extra *extra, unsigned nr)
{
	extra->median = quantile_of(extra->samples, nr, 0.5);
	extra->is_noise = is_difference(extra) &&
			  (nr < ROUNDS_TO_AGREE ||
			   quantile_of(extra->samples, nr, 0.25) <= 0);
}

void bench_close(struct bench_series *series)
{
	if (series->nr == 0)
		return;
	series->median = quantile_of(series->samples, series->nr, 0.5);
	series->min = quantile_of(series->samples, series->nr, 0);
	series->max = quantile_of(series->samples, series->nr, 1);
	for (unsigned i = 0; i < series->nr_extras; i++)
		close_extra(&series->extras[i], series->nr);
}

const struct bench_series *bench_find(const struct bench_report *report,
				      const char *bench, const char *impl,
				      const char *variant)
{
	for (unsigned i = 0; i < report->nr_series; i++) {
		const struct bench_series *s = &report->series[i];

		if (strcmp(s->bench, bench) == 0 &&
		    strcmp(s->impl, impl) == 0 &&
		    strcmp(s->variant, variant) == 0)
			return s->nr ? s : NULL;
	}
	return NULL;
}

double bench_ratio(const struct bench_series *series,
		   const struct bench_series *to)
{
	double *ratios, ratio;

	if (series->nr != to->nr)
		return series->median / to->median;
	ratios = malloc(sizeof(*ratios) * series->nr);
	if (ratios == NULL)
		return 0;
	for (unsigned i = 0; i < series->nr; i++)
		ratios[i] = series->samples[i] / to->samples[i];
	ratio = measure_quantile(ratios, series->nr, 0.5);
	free(ratios);
	return ratio;
}

bool bench_is_met(const struct bench_goal *goal)
{
	return goal->value <= goal->at_most;
}

void bench_free(struct bench_report *report)
{
	for (unsigned i = 0; i < report->nr_series; i++) {
		struct bench_series *s = &report->series[i];

		free(s->samples);
		for (unsigned j = 0; j < s->nr_extras; j++)
			free(s->extras[j].samples);
	}
	free(report->series);
	free(report->goals);
	*report = (struct bench_report){ 0 };
}
