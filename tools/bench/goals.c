/* SPDX-License-Identifier: MIT */
/*
 * The goals of weir's authors: times, ratios to a floor or to another library
 * measured in the same run, and shares of something that should be small.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"

/* A ratio to the quickest malloc. */
#define GENERAL "general"

static const struct goal {
	const char *name, *what;
	const char *bench, *variant;	  /* weir's row */
	const char *to_impl, *to_variant; /* NULL: none, the goal is a time;
					   * in "%": of weir's row, the extra
					   * named to_variant */
	const char *unit;
	double at_most; /* in that unit */
} goals[] = {
	{ "pair_batch", "pair, batch 16, to the floor", "pair", "batch 16",
	  "floor", "batch 16", "x", 1.15 },
	{ "pair_general", "pair, to the best malloc", "pair", "single", GENERAL,
	  "single", "x", 0.5 },
	{ "pair_batch_64_general", "batch 64, to the best malloc", "pair",
	  "batch 64", GENERAL, "batch 64", "x", 0.5 },
	{ "pair_call_general", "library calls, to the best malloc", "pair",
	  "single, library calls", GENERAL, "single", "x", 1.0 },
	{ "pair_quiet", "pair, quiet, to a spinlock", "pair", "single, quiet",
	  "floor", "single, per-CPU spinlock", "x", 1.15 },
	{ "pair_checked", "pair, checked, to library calls", "pair",
	  "single, checked", "weir", "single, library calls", "x", 3 },
	{ "pair_objects", "pair, 2176 bytes, to 4096", "pair",
	  "single, 2176 bytes", "weir", "single", "x", 1.1 },
	{ "pair_tokens_dpdk", "pair, tokens, to DPDK", "pair",
	  "single, tokens, inlined", "DPDK", "single", "x", 0.7 },
	{ "bulk_tokens_dpdk", "bulk 32, tokens, to DPDK", "pair",
	  "bulk 32, tokens, inlined", "DPDK", "bulk 32", "x", 0.8 },
	{ "bulk_tokens_call_dpdk", "bulk 32, tokens, calls, to DPDK", "pair",
	  "bulk 32, tokens, libweir.so", "DPDK", "bulk 32", "x", 0.9 },
	{ "bulk_pages_dpdk", "bulk 32, pages, to DPDK", "pair", "bulk 32",
	  "DPDK", "bulk 32", "x", 1.5 },
	{ "bulk_4_call", "bulk 4, library calls, to inlined", "pair",
	  "bulk 4, library calls", "weir", "bulk 4", "x", 2 },
	{ "bulk_32_call", "bulk 32, library calls, to inlined", "pair",
	  "bulk 32, library calls", "weir", "bulk 32", "x", 1.5 },
	{ "pair_nodes", "pair, two nodes, to one", "pair", "single, two nodes",
	  "weir", "single", "x", 1.15 },
	{ "bulk_nodes", "bulk 32, two nodes, to one", "pair",
	  "bulk 32, two nodes", "weir", "bulk 32", "x", 1.15 },
	{ "bulk_dpdk", "262 144 pages in bulk, to DPDK", "bulk",
	  "262 144 pages, bulk 32", "DPDK", "262 144 pages, bulk 32", "x",
	  0.7 },
	{ "cross_dpdk", "cross, single, to DPDK", "cross", "single", "DPDK",
	  "single", "x", 1.0 },
	{ "cross_bulk_ring", "cross, bulk 32, to DPDK's ring", "cross",
	  "bulk 32", "DPDK", "bulk 32, ring", "x", 1.5 },
	{ "cross_general", "cross, single, to the best malloc", "cross",
	  "single", GENERAL, "single", "x", 0.1 },
	{ "zone_claim_in_order", "zone, claim in order", "zone",
	  "claim, in order", NULL, NULL, "ns", 1 },
	{ "zone_release_in_order", "zone, release in order", "zone",
	  "release, in order", NULL, NULL, "ns", 1 },
	{ "churn_64gib", "churn, 64 GiB", "churn", "64 GiB", NULL, NULL, "ns",
	  25 },
	{ "churn_64gib_1gib", "churn, 64 GiB to 1 GiB", "churn", "64 GiB",
	  "weir", "1 GiB", "x", 1.5 },
	{ "churn_64gib_packed", "churn, 64 GiB, packed", "churn",
	  "64 GiB, packed", NULL, NULL, "ns", 25 },
	{ "churn_lost", "churn, 12 turnovers, whole blocks lost", "churn",
	  "8 GiB, 12 turnovers", NULL, "lost_percent", "%", 5 },
	{ "churn_lost_packed", "churn, packed, whole blocks lost", "churn",
	  "64 GiB, packed", NULL, "lost_percent", "%", 5 },
	{ "drain_ordinary", "drain, 50 pages, ordinary", "drain",
	  "50 pages, ordinary", NULL, NULL, "ns", 450 },
	{ "drain_polling", "drain, 50 pages, polling", "drain",
	  "50 pages, polling", NULL, NULL, "ns", 450 },
	{ "drain_quiet", "drain, 50 pages, quiet", "drain", "50 pages, quiet",
	  NULL, NULL, "ns", 450 },
	{ "drain_ordinary_line", "drain, 50 pages, ordinary, to a line",
	  "drain", "50 pages, ordinary", "floor", "a line there and back", "x",
	  2.8 },
	{ "drain_quiet_line", "drain, 50 pages, quiet, to a line", "drain",
	  "50 pages, quiet", "floor", "a line there and back", "x", 2.2 },
	/* 500 pages in order, at 3 ns a page. */
	{ "drain_full_ordinary", "drain, full list, ordinary", "drain",
	  "full list, ordinary", NULL, NULL, "ns", 1500 },
	{ "drain_full_polling", "drain, full list, polling", "drain",
	  "full list, polling", NULL, NULL, "ns", 1500 },
	{ "drain_full_quiet", "drain, full list, quiet", "drain",
	  "full list, quiet", NULL, NULL, "ns", 1500 },
	{ "drain_512_empty", "drain, 512 CPUs, empty lists", "drain",
	  "512 CPUs, empty lists", NULL, NULL, "us", 20 },
	{ "disturb_ordinary", "drained at 1 kHz, ordinary", "disturb",
	  "ordinary, 1000 Hz", "weir", "ordinary, undrained", "x", 1.01 },
	{ "disturb_polling", "drained at 1 kHz, polling", "disturb",
	  "polling, 1000 Hz", "weir", "polling, undrained", "x", 1.01 },
	{ "disturb_quiet", "drained at 1 kHz, quiet", "disturb",
	  "quiet, 1000 Hz", "weir", "quiet, undrained", "x", 1.01 },
	{ "disturb_reader", "statistics read at 1 kHz", "disturb",
	  "reader, 1000 Hz", "weir", "ordinary, undrained", "x", 1.01 },
	{ "empty_failed", "allocations that fail though pages are free",
	  "empty", "8192 pages", NULL, "failed_percent", "%", 0 },
	{ "create_64gib", "a pool of 64 GiB", "create", "64 GiB", NULL, NULL,
	  "us", 300 },
};

#define NR_GOALS (sizeof(goals) / sizeof(goals[0]))

/* The quickest general-purpose library, in its own or in its tuned row. */
static const struct bench_series *
best_general(const struct bench_report *report, const char *bench,
	     const char *variant)
{
	const struct bench_series *best = NULL;
	size_t len = strlen(variant);

	for (unsigned i = 0; i < report->nr_series; i++) {
		const struct bench_series *s = &report->series[i];

		if (!bench_is_malloc(s->impl) || s->nr == 0 ||
		    strcmp(s->bench, bench) != 0 ||
		    strncmp(s->variant, variant, len) != 0 ||
		    (s->variant[len] != '\0' &&
		     strcmp(s->variant + len, ", tuned") != 0))
			continue;
		if (best == NULL || s->median < best->median)
			best = s;
	}
	return best;
}

static double extra_of(const struct bench_series *s, const char *name)
{
	for (unsigned i = 0; i < s->nr_extras; i++)
		if (strcmp(s->extras[i].name, name) == 0)
			return s->extras[i].median;
	return -1;
}

/* What it comes to here; negative: it was not measured. */
static double value_of(const struct bench_report *report, const struct goal *b,
		       const char **to)
{
	const struct bench_series *s =
		bench_find(report, b->bench, "weir", b->variant);
	const struct bench_series *other;

	*to = NULL;
	if (s == NULL)
		return -1;
	if (strcmp(b->unit, "%") == 0)
		return extra_of(s, b->to_variant);
	if (b->to_impl == NULL)
		return strcmp(b->unit, "us") == 0 ? s->median / 1000
						  : s->median;
	other = strcmp(b->to_impl, GENERAL) == 0
			? best_general(report, b->bench, b->to_variant)
			: bench_find(report, b->bench, b->to_impl,
				     b->to_variant);
	if (other == NULL)
		return -1;
	*to = other->impl;
	return bench_ratio(s, other);
}

void bench_judge(struct bench_report *report)
{
	report->goals = calloc(NR_GOALS, sizeof(*report->goals));
	for (size_t i = 0; report->goals && i < NR_GOALS; i++) {
		const char *to;
		double value = value_of(report, &goals[i], &to);

		if (value >= 0)
			report->goals[report->nr_goals++] = (struct bench_goal){
				.name = goals[i].name,
				.what = goals[i].what,
				.unit = goals[i].unit,
				.to = to,
				.value = value,
				.at_most = goals[i].at_most,
			};
	}
}
