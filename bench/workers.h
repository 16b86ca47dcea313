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

/* The rows of each question; the last has no question's name. */
extern const struct bench_row bench_pair_rows[];
extern const struct bench_row bench_peer_rows[];
extern const struct bench_row bench_drain_rows[];
extern const struct bench_row bench_drain_machine_rows[];
extern const struct bench_row bench_disturb_rows[];
extern const struct bench_row bench_zone_rows[];
extern const struct bench_row bench_create_rows[];

#endif
