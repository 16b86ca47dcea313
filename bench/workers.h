/* SPDX-License-Identifier: MIT */
/* The workers that are part of the weir command, and weir's own questions. */
#ifndef WEIR_BENCH_WORKERS_H
#define WEIR_BENCH_WORKERS_H

#include "worker.h"

/* As a main(); they return the exit status. */
int bench_floor_worker(int argc, char **argv);
int bench_weir_worker(int argc, char **argv);
int bench_baseline_worker(int argc, char **argv);

/* A row of the floor: a line of the cache goes to the other CPU and back. */
bool bench_line(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result);

/* Rows of the floor: random changes of as much memory as a zone has metadata
 * (what: GiB), and a mapping of 1 GiB, written. */
bool bench_churn_floor(const struct bench_row *row,
		       const struct bench_where *where, unsigned round,
		       struct bench_result *result);
extern const struct bench_peer bench_mapping;

/* The rows of each question; the last has no question's name. */
extern const struct bench_row bench_pair_rows[];
extern const struct bench_row bench_token_rows[];
extern const struct bench_row bench_peer_rows[];
extern const struct bench_row bench_store_rows[];
extern const struct bench_row bench_drain_rows[];
extern const struct bench_row bench_drain_machine_rows[];
extern const struct bench_row bench_disturb_rows[];
extern const struct bench_row bench_zone_rows[];
extern const struct bench_row bench_create_rows[];
extern const struct bench_row bench_churn_rows[];
extern const struct bench_row bench_touch_rows[];
extern const struct bench_row bench_limit_rows[];

/* weir as somebody who is asked what everybody is (peer.h): with a pool for
 * each size; with a new one whenever it is asked, and that of huge pages. */
extern const struct bench_peer bench_weir_peer;
extern const struct bench_peer bench_weir_new;
extern const struct bench_peer bench_weir_huge;

#endif
