/* SPDX-License-Identifier: MIT */
/* weir as a worker: the rows of all its questions. */
#include <stdlib.h>
#include <string.h>

#include "workers.h"

#define ROWS_MAX 256

static const struct bench_row *const questions[] = {
	bench_pair_rows,    bench_token_rows, bench_peer_rows,
	bench_store_rows,   bench_drain_rows, bench_drain_machine_rows,
	bench_disturb_rows, bench_zone_rows,  bench_create_rows,
	bench_churn_rows,   bench_touch_rows, bench_limit_rows,
};

int bench_weir_worker(int argc, char **argv)
{
	static struct bench_row rows[ROWS_MAX];
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		for (const struct bench_row *r = questions[i]; r->question;
		     r++) {
			if (n == ROWS_MAX)
				abort(); /* raise it */
			rows[n++] = *r;
		}
	}
	return bench_worker(argc, argv, rows, n);
}
