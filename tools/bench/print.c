/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "bench/report.h"

/* Three digits that mean something: "1.24", "12.4", "124"; nanoseconds (unit
 * "") from 10 000 on as "147 us". */
static const char *number(char buf[32], double value, const char *unit)
{
	int decimals;

	if (*unit == '\0' && value >= 1e7) {
		value /= 1e6;
		unit = "ms";
	} else if (*unit == '\0' && value >= 1e4) {
		value /= 1e3;
		unit = "us";
	}
	decimals = value < 10 ? 2 : value < 100 ? 1 : 0;
	snprintf(buf, 32, "%.*f%s%s", decimals, value, *unit ? " " : "", unit);
	return buf;
}

static void print_extras(const struct bench_series *s, FILE *to)
{
	char value[32];
	int column = 0;

	for (unsigned i = 0; i < s->nr_extras; i++) {
		const struct bench_extra *e = &s->extras[i];
		int width = (int)strlen(e->name) + 10;

		if (e->is_noise)
			continue;
		if (column == 0 || column + width > 80) {
			fprintf(to, "%s%*s", column ? "\n" : "", 9, "");
			column = 9;
		}
		column += fprintf(to, " %s %s", e->name,
				  number(value, e->median,
					 e->median < 1e4 ? "" : " "));
	}
	if (column > 0)
		putc('\n', to);
}

static void print_one(const struct bench_report *report,
		      const struct bench_series *s, FILE *to)
{
	const struct bench_series *floor =
		bench_find(report, s->bench, "floor", s->floor);
	char ns[32], min[32], max[32], ratio[32] = "";
	int used = fprintf(to, "%-9s", s->impl);

	/* At least one blank behind both; a long row moves its median. */
	used += fprintf(to, "%s%-31s", used > 9 ? " " : "", s->variant);
	if (s->nr == 0) {
		fprintf(to, "  not measured\n%9s%.71s\n", "", s->why_not);
		return;
	}
	if (floor)
		number(ratio, bench_ratio(s, floor), "");
	fprintf(to, "%*s%10s%10s%9s\n", 50 - used, number(ns, s->median, ""),
		number(min, s->min, ""), number(max, s->max, ""), ratio);
	print_extras(s, to);
}

static void print_series(const struct bench_report *report, FILE *to)
{
	/* A question's rows are spread over its workers: gather them. */
	for (unsigned i = 0; i < report->nr_series; i++) {
		const char *bench = report->series[i].bench;
		bool seen = false;

		for (unsigned j = 0; j < i; j++)
			seen |= strcmp(report->series[j].bench, bench) == 0;
		if (seen)
			continue;
		fprintf(to, "%-40s%10s%10s%10s%9s\n", bench, "median", "min",
			"max", "x floor");
		for (unsigned j = i; j < report->nr_series; j++)
			if (strcmp(report->series[j].bench, bench) == 0)
				print_one(report, &report->series[j], to);
		putc('\n', to);
	}
}

static void print_goals(const struct bench_report *report, FILE *to)
{
	unsigned met = 0;
	char value[32], at_most[32];

	if (report->nr_goals == 0) {
		fputs("nothing was measured that weir has a goal for\n", to);
		return;
	}
	fprintf(to, "%-48s%10s%10s\n", "goals of weir's authors", "here",
		"at most");
	for (unsigned i = 0; i < report->nr_goals; i++) {
		const struct bench_goal *g = &report->goals[i];

		met += bench_is_met(g);
		fprintf(to, "%-8s%-40s%10s%10s%s%s\n",
			bench_is_met(g) ? "met" : "not met", g->what,
			number(value, g->value, g->unit),
			number(at_most, g->at_most, g->unit),
			g->to ? "  of " : "", g->to ? g->to : "");
	}
	fprintf(to,
		"\n%u of %u goals met on this machine. A goal says how quick "
		"weir should become;\none that is not met is no error of this "
		"machine or installation.\n",
		met, report->nr_goals);
}

void bench_print(const struct bench_report *report, FILE *to)
{
	print_series(report, to);
	print_goals(report, to);
}
