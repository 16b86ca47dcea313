/* SPDX-License-Identifier: MIT */
/*
 * If this fails, weir bench prints noise as if it were a figure, or a goal of
 * its authors that is not met as if something were broken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"
#include "check.h"

static char *text_of(const struct bench_report *report)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CHECK(f != NULL);
	bench_print(report, f);
	fclose(f);
	return text;
}

static struct bench_series *add(struct bench_report *report, const double *lost,
				unsigned nr)
{
	struct bench_series *s = bench_series(report, nr);

	CHECK(s != NULL);
	snprintf(s->bench, sizeof(s->bench), "disturb");
	snprintf(s->impl, sizeof(s->impl), "weir");
	snprintf(s->variant, sizeof(s->variant), "quiet, 1000 Hz");
	for (unsigned i = 0; i < nr; i++) {
		bench_sample(s, 10, 1);
		bench_sample_extra(s, "gap_p50_ns", 20);
		bench_sample_extra(s, "lost_per_drain", lost[i]);
		bench_sample_extra(s, "drains", 300);
	}
	bench_close(s);
	return s;
}

static void differences(void)
{
	static const struct {
		double lost[5];
		unsigned nr;
		bool is_told;
	} cases[] = {
		{ { -51276 }, 1, false },
		{ { 454 }, 1, false },
		{ { 454, 460, 448 }, 3, false },
		{ { -51276, 60000, 900, -3, 7 }, 5, false },
		{ { -3, -4, -5, -4, -3 }, 5, false },
		{ { 0, 0, 0, 0, 0 }, 5, false },
		{ { -40, 454, 460, 448, 470 }, 5, true },
		{ { 454, 460, 448, 440, 470 }, 5, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench_report report = { 0 };
		char *text;

		add(&report, cases[i].lost, cases[i].nr);
		text = text_of(&report);
		CHECK_MSG((strstr(text, "lost_per_drain") != NULL) ==
				  cases[i].is_told,
			  "case %zu: %s", i, text);
		/* What stands beside it is printed in any case. */
		CHECK(strstr(text, "gap_p50_ns 20") != NULL);
		CHECK(strstr(text, "drains 300") != NULL);
		free(text);
		bench_free(&report);
	}
}

static void goals(void)
{
	static struct bench_goal few[] = {
		{ "a", "one thing", "ns", NULL, 3, 4 },
		{ "b", "another", "x", "DPDK", 2, 1 },
	};
	struct bench_report report = { .goals = few, .nr_goals = 2 };
	char *text = text_of(&report);

	CHECK(strstr(text, "\nmet     one thing") != NULL);
	CHECK(strstr(text, "\nnot met another") != NULL);
	CHECK(strstr(text, "\n1 of 2 goals met on this machine.") != NULL);
	CHECK(strstr(text, "is no error") != NULL);
	free(text);
	report.nr_goals = 0;
	text = text_of(&report);
	CHECK(strstr(text, "nothing was measured") != NULL);
	free(text);
}

int main(void)
{
	differences();
	goals();
	return 0;
}
