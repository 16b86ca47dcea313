/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

struct bench_series *bench_series(struct bench_report *report,
				  const char *bench, const char *impl,
				  const char *variant, unsigned rounds)
{
	struct bench_series *series;

	if (report->nr_series == BENCH_SERIES_MAX)
		abort(); /* raise it */
	series = &report->series[report->nr_series];
	*series = (struct bench_series){
		.bench = bench,
		.impl = impl,
		.variant = variant,
		.samples = calloc(rounds, sizeof(*series->samples)),
	};
	if (series->samples == NULL)
		return NULL;
	report->nr_series++;
	return series;
}

void bench_sample(struct bench_series *series, double ns, uint64_t operations)
{
	series->samples[series->nr++] = ns;
	series->operations += operations;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_quantile(double *values, unsigned nr, double part)
{
	double at = part * (double)(nr - 1);
	unsigned below = (unsigned)at;

	qsort(values, nr, sizeof(*values), compare);
	if (below + 1 >= nr)
		return values[nr - 1];
	return values[below] +
	       (values[below + 1] - values[below]) * (at - (double)below);
}

void bench_close(struct bench_series *series)
{
	double sorted[BENCH_ROUNDS_MAX];

	if (series->nr == 0 || series->nr > BENCH_ROUNDS_MAX)
		abort();
	memcpy(sorted, series->samples, sizeof(*sorted) * series->nr);
	series->median = bench_quantile(sorted, series->nr, 0.5);
	series->min = sorted[0];
	series->max = sorted[series->nr - 1];
}

void bench_bar(struct bench_report *report, const char *name, const char *what,
	       const char *unit, double value, double bar)
{
	if (report->nr_bars == BENCH_BARS_MAX)
		abort();
	report->bars[report->nr_bars++] = (struct bench_bar){
		.name = name,
		.what = what,
		.unit = unit,
		.value = value,
		.bar = bar,
	};
}

void bench_bar_ratio(struct bench_report *report, const char *name,
		     const char *what, const struct bench_series *series,
		     const struct bench_series *floor, double bar)
{
	double ratios[BENCH_ROUNDS_MAX];

	for (unsigned i = 0; i < series->nr; i++)
		ratios[i] = series->samples[i] / floor->samples[i];
	bench_bar(report, name, what, "x",
		  bench_quantile(ratios, series->nr, 0.5), bar);
	report->bars[report->nr_bars - 1].floor = floor->variant;
}

bool bench_is_met(const struct bench_bar *bar)
{
	return bar->value <= bar->bar;
}

void bench_free(struct bench_report *report)
{
	for (unsigned i = 0; i < report->nr_series; i++)
		free(report->series[i].samples);
	report->nr_series = 0;
}

bool bench_pin(unsigned cpu)
{
	cpu_set_t *set = CPU_ALLOC(cpu + 1);
	size_t bytes = CPU_ALLOC_SIZE(cpu + 1);
	bool pinned;

	if (set == NULL)
		return false;
	CPU_ZERO_S(bytes, set);
	CPU_SET_S(cpu, bytes, set);
	pinned = sched_setaffinity(0, bytes, set) == 0;
	CPU_FREE(set);
	return pinned;
}
