/* SPDX-License-Identifier: MIT */
/* The zone alone (zone.c), a page at a time, beside its bars. */
#include <stddef.h>

#include "report.h"
#include "zone.h"

static const struct zone_bar {
	const char *variant, *name, *what;
	size_t figure; /* its place in struct bench_zone_result */
	double bar;    /* 0: none */
} bars[] = {
#define FIGURE(field) offsetof(struct bench_zone_result, field)
	{ "claim, in order", "zone_claim_in_order", "zone, claim in order",
	  FIGURE(in_order_claim_ns), 1 },
	{ "release, in order", "zone_release_in_order",
	  "zone, release in order", FIGURE(in_order_release_ns), 1 },
	{ "claim, half-full blocks", "zone_claim_half",
	  "zone, claim, half-full blocks", FIGURE(half_claim_ns), 2.5 },
	{ "release, shuffled", "zone_release_shuffled",
	  "zone, release shuffled", FIGURE(shuffled_release_ns), 13 },
	{ "random churn, 64 pages", NULL, NULL, FIGURE(churn_ns), 0 },
#undef FIGURE
};

#define NR_BARS (sizeof(bars) / sizeof(bars[0]))

int bench_zones(struct bench_report *report, const struct bench_plan *plan)
{
	struct bench_series *series[NR_BARS];
	struct bench_zone_result result;

	for (size_t i = 0; i < NR_BARS; i++) {
		series[i] = bench_series(report, "zone", "weir",
					 bars[i].variant, plan->zone_rounds);
		if (series[i] == NULL)
			return -1;
	}
	for (unsigned round = 0; round < plan->zone_rounds; round++) {
		plan->progress("zone", round, plan->zone_rounds);
		bench_zone(&result, 1);
		for (size_t i = 0; i < NR_BARS; i++)
			bench_sample(
				series[i],
				*(double *)((char *)&result + bars[i].figure),
				262144);
	}
	for (size_t i = 0; i < NR_BARS; i++) {
		bench_close(series[i]);
		if (bars[i].name)
			bench_bar(report, bars[i].name, bars[i].what, "ns",
				  series[i]->median, bars[i].bar);
	}
	return 0;
}
