/* SPDX-License-Identifier: MIT */
/*
 * A pool's numbers at one moment, what moved between two such moments, and
 * numbers as text. Numbers come from a process that may have written anything:
 * sums wrap around, nothing else happens.
 */
#ifndef WEIR_TOOL_WATCH_SAMPLE_H
#define WEIR_TOOL_WATCH_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/stat.h>

#include "common/json.h"

struct watched;

struct sample {
	uint64_t ns;
	struct weir_stat stat;
	unsigned nr_zones, nr_cpus; /* never change for a pool */
	struct weir_stat_zone *zone;
	struct weir_stat_cpu *cpu; /* of each zone, one zone after the other */
};

/* Reads all of the pool's numbers, into a sample that is all 0 or was read of
 * the same pool. Returns TOOL_OK; TOOL_FAILED with a line on standard error. */
int sample_read(struct sample *sample, const struct watched *pool);
void sample_free(struct sample *sample);

const struct weir_stat_cpu *sample_cpu(const struct sample *sample,
				       unsigned zone, unsigned cpu);
/* One CPU's numbers, summed over the zones (but those of `list`). */
struct weir_stat_cpu sample_cpu_sum(const struct sample *sample, unsigned cpu);
/* Whether anything was ever done there. */
bool sample_cpu_is_used(const struct weir_stat_cpu *cpu);

uint64_t sample_failures(const struct weir_stat *stat);

/* How far a counter moved a second. */
double sample_rate(uint64_t before, uint64_t now, double seconds);

const char *sample_mode(enum weir_mode mode);

/* What a number looks like in four to six columns: 12345, 123k, 1.2M. */
#define SAMPLE_TEXT 16
const char *sample_count(char text[SAMPLE_TEXT], double number);
/* The same of bytes, in units of 1024: 4K, 1.5G. */
const char *sample_bytes(char text[SAMPLE_TEXT], uint64_t bytes);

#ifdef WEIR_HAVE_JANSSON
/* pid, command, pool, number, state. */
json_t *sample_json_pool(const struct watched *pool);
/* All members of struct weir_stat, under their names. */
json_t *sample_json_stat(const struct weir_stat *stat);
/* What its counters moved a second. */
json_t *sample_json_rates(const struct weir_stat *before,
			  const struct weir_stat *now, double seconds);
json_t *sample_json_cpu_rates(const struct weir_stat_cpu *before,
			      const struct weir_stat_cpu *now, double seconds);
json_t *sample_json_cpu(const struct weir_stat_cpu *cpu, unsigned number);
json_int_t sample_json_int(uint64_t number);
#endif

#endif
