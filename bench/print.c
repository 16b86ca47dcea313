/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "report.h"

/* Three digits that mean something: "1.24", "12.4", "124"; nanoseconds (unit
 * "") from 10 000 on as "147 us". */
static const char *number(char buf[32], double value, const char *unit)
{
	int decimals;

	if (*unit == '\0' && value >= 1e4) {
		value /= 1000;
		unit = "us";
	}
	decimals = value < 10 ? 2 : value < 100 ? 1 : 0;
	snprintf(buf, 32, "%.*f%s%s", decimals, value, *unit ? " " : "", unit);
	return buf;
}

static void print_series(const struct bench_report *report)
{
	const char *last = "";
	char ns[32], min[32], max[32];

	printf("%-47s%9s%10s%10s\n", "", "median", "min", "max");
	for (unsigned i = 0; i < report->nr_series; i++) {
		const struct bench_series *s = &report->series[i];
		bool same = strcmp(s->bench, last) == 0;

		if (i > 0 && !same)
			putchar('\n');
		printf("%-8s%-7s%-32s%9s%10s%10s\n", same ? "" : s->bench,
		       s->impl, s->variant, number(ns, s->median, ""),
		       number(min, s->min, ""), number(max, s->max, ""));
		last = s->bench;
	}
}

static void print_bars(const struct bench_report *report)
{
	unsigned met = 0;
	char value[32], bar[32];

	printf("%-38s%9s%10s\n", "", "here", "at most");
	for (unsigned i = 0; i < report->nr_bars; i++) {
		const struct bench_bar *b = &report->bars[i];

		met += bench_is_met(b);
		printf("%-8s%-30s%9s%10s%s%s\n",
		       bench_is_met(b) ? "ok" : "MISSED", b->what,
		       number(value, b->value, b->unit),
		       number(bar, b->bar, b->unit), b->floor ? "  of " : "",
		       b->floor ? b->floor : "");
	}
	printf("\n%u of %u bars met\n", met, report->nr_bars);
}

void bench_print(const struct bench_report *report)
{
	print_series(report);
	if (report->note[0] != '\0')
		printf("\ndrains\n%s\n", report->note);
	putchar('\n');
	print_bars(report);
}
