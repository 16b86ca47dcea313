/* SPDX-License-Identifier: MIT */
#include "common/measure.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double measure_quantile(double *values, unsigned nr, double part)
{
	double at = part * (double)(nr - 1);
	unsigned below = (unsigned)at;

	qsort(values, nr, sizeof(*values), compare);
	if (below + 1 >= nr)
		return values[nr - 1];
	return values[below] +
	       (values[below + 1] - values[below]) * (at - (double)below);
}

uint64_t measure_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool measure_pin(unsigned cpu)
{
	cpu_set_t *set = CPU_ALLOC(cpu + 1);
	size_t bytes = CPU_ALLOC_SIZE(cpu + 1);
	bool pinned;

	if (set == NULL)
		return false;
	CPU_ZERO_S(bytes, set);
	CPU_SET_S(cpu, bytes, set);
	pinned = sched_setaffinity(0, bytes, set) == 0;
	CPU_FREE(set);
	return pinned;
}
