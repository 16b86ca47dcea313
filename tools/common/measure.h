/* SPDX-License-Identifier: MIT */
/* Where and when something is measured, and what its samples come to. */
#ifndef WEIR_TOOL_MEASURE_H
#define WEIR_TOOL_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

/* The value below which the part `part` (0 to 1) of the values lies; sorts. */
double measure_quantile(double *values, unsigned nr, double part);

/* CLOCK_MONOTONIC. */
uint64_t measure_now_ns(void);

/* Runs the calling thread on that CPU alone; false if it may not run there. */
bool measure_pin(unsigned cpu);

#endif
