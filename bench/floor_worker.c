/* SPDX-License-Identifier: MIT */
/*
 * The floors as rows of a worker of their own: the least that could do each
 * job, and the lists under a lock that people know.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "floor.h"
#include "loops.h"
#include "peer.h"
#include "workers.h"

#define PAIRS 400000 /* a round: about a millisecond */

enum { BARE, SPIN, NOTHING };

static bool run(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	static struct floor_lists lists;

	(void)where;
	if (lists.bare == NULL && !floor_init(&lists))
		return bench_cannot("no restartable sequences here; 'weir "
				    "doctor' tells why");
	bench_time_loop((bench_loop *const *)row->with,
			row->what == BARE   ? lists.bare
			: row->what == SPIN ? lists.spin
					    : NULL,
			round, PAIRS, result);
	if (!floor_is_whole())
		return bench_cannot("a loop lost something");
	return true;
}

#define ROW(variant, places, what)                                             \
	{                                                                      \
		"pair", variant, run, what, places, 200, 60, NULL              \
	}

static const struct bench_row rows[] = {
	ROW("single", floor_bare_single_places, BARE),
	ROW("batch 16", floor_bare_batch_places, BARE),
	ROW("single, per-CPU spinlock", floor_spin_single_places, SPIN),
	ROW("batch 16, per-CPU spinlock", floor_spin_batch_places, SPIN),
	ROW("single, thread's own list", floor_thread_single_places, NOTHING),
	ROW("batch 16, thread's own list", floor_thread_batch_places, NOTHING),
	ROW("bulk 32, memcpy", floor_copy_places, NOTHING),
	{ "churn", "1 GiB", bench_churn_floor, 1, NULL, 15, 5, NULL },
	{ "churn", "8 GiB", bench_churn_floor, 8, NULL, 15, 5, NULL },
	{ "churn", "64 GiB", bench_churn_floor, 64, NULL, 15, 5, NULL },
	BENCH_PEER_TOUCH_ROWS(&bench_mapping),
	{ "drain", "a line there and back", bench_line, 0, NULL, 9, 3, NULL },
};

int bench_floor_worker(int argc, char **argv)
{
	return bench_worker(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
