/* SPDX-License-Identifier: MIT */
/* What a zone costs by itself, in nanoseconds a page (or a run). */
#ifndef WEIR_BENCH_ZONE_H
#define WEIR_BENCH_ZONE_H

#include <stdint.h>

/* Medians of the rounds; all in batches of 64 (whole blocks and up: of 8). */
struct bench_zone_result {
	/* 262 144 single pages: all out, and all back in the same order. */
	double in_order_claim_ns;
	double in_order_release_ns;
	/* The free half of blocks of which a random half is used. */
	double half_claim_ns;
	/* All pages back in random order. */
	double shuffled_release_ns;
	/* Runs, claim and release together, per run. */
	double order3_ns;
	double order9_ns;
	double order10_ns;
	/* Half of the pages out; 64 random ones back, 64 out: per page. */
	double churn_ns;
	/* After the churn: whole blocks free, and as many as could be. */
	uint64_t churn_blocks_free;
	uint64_t churn_blocks_possible;
};

void bench_zone(struct bench_zone_result *result, unsigned rounds);

#endif
