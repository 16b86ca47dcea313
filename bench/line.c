/* SPDX-License-Identifier: MIT */
/*
 * The floor of all that two CPUs do together: one stores to a line, the other
 * sees it and stores, the first sees that.
 */
#include <pthread.h>
#include <stddef.h>

#include "loop.h"
#include "report.h"
#include "workers.h"

#define THROWS 1000 /* of the ball, a round */

static uint32_t ball __attribute__((aligned(128)));
static unsigned partner_cpu __attribute__((aligned(128)));
static bool failed;

/* Sends the ball back whenever it is odd; ends with the process. */
static void *partner(void *arg)
{
	(void)arg;
	if (!bench_pin(partner_cpu)) {
		__atomic_store_n(&failed, true, __ATOMIC_RELAXED);
		return NULL;
	}
	for (;;) {
		uint32_t b = __atomic_load_n(&ball, __ATOMIC_RELAXED);

		if (b & 1)
			__atomic_store_n(&ball, b + 1, __ATOMIC_RELAXED);
	}
}

bool bench_line(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	static pthread_t thread;
	double ns[THROWS];

	(void)row, (void)round;
	if (where->other_cpu < 0)
		return bench_cannot("this needs a second CPU");
	partner_cpu = (unsigned)where->other_cpu;
	if (thread == 0 && pthread_create(&thread, NULL, partner, NULL) != 0)
		return bench_cannot("no thread");
	for (unsigned i = 0; i < THROWS; i++) {
		double start = bench_now_ns();
		uint32_t odd = ball + 1;

		__atomic_store_n(&ball, odd, __ATOMIC_RELAXED);
		while (__atomic_load_n(&ball, __ATOMIC_RELAXED) == odd)
			if (__atomic_load_n(&failed, __ATOMIC_RELAXED))
				return bench_cannot("the other CPU is not for "
						    "this process");
		ns[i] = bench_now_ns() - start;
	}
	result->ns = bench_quantile(ns, THROWS, 0.5);
	result->operations = THROWS;
	return true;
}
