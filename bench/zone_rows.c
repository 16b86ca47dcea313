/* SPDX-License-Identifier: MIT */
/* The zone alone (zone.c), a page at a time, as rows. */
#include <stddef.h>

#include "workers.h"
#include "zone.h"

/* All figures come from one pass: a row reads its own of the round's. */
static bool run(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	static struct bench_zone_result pass;
	static unsigned last = ~0u;

	(void)where;
	if (round != last)
		bench_zone(&pass, 1);
	last = round;
	result->ns = *(const double *)((const char *)&pass + row->what);
	result->operations = 262144;
	return true;
}

#define ROW(variant, field)                                                    \
	{                                                                      \
		"zone", variant, run,                                          \
			offsetof(struct bench_zone_result, field), NULL, 31,   \
			9, NULL                                                \
	}

const struct bench_row bench_zone_rows[] = {
	ROW("claim, in order", in_order_claim_ns),
	ROW("release, in order", in_order_release_ns),
	ROW("claim, half-full blocks", half_claim_ns),
	ROW("release, shuffled", shuffled_release_ns),
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
