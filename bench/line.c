/* SPDX-License-Identifier: MIT */
/*
 * The floor of all that two CPUs do together: one stores to a line, the other
 * sees it and stores, the first sees that.
 */
#include <pthread.h>
#include <stddef.h>

#include "common/measure.h"
#include "loop.h"
#include "workers.h"

#define THROWS 1000 /* of the ball, a round */

static uint32_t ball __attribute__((aligned(128)));
static unsigned partner_cpu __attribute__((aligned(128)));
static bool failed, at_end;

/* Sends the ball back whenever it is odd. It ends with the round: other
 * workers need its CPU for theirs. */
static void *partner(void *arg)
{
	(void)arg;
	if (!measure_pin(partner_cpu)) {
		__atomic_store_n(&failed, true, __ATOMIC_RELAXED);
		return NULL;
	}
	while (!__atomic_load_n(&at_end, __ATOMIC_RELAXED)) {
		uint32_t b = __atomic_load_n(&ball, __ATOMIC_RELAXED);

		if (b & 1)
			__atomic_store_n(&ball, b + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* False: nobody is there to send it back. */
static bool throw_balls(double *ns)
{
	for (unsigned i = 0; i < THROWS; i++) {
		double start = bench_now_ns();
		uint32_t odd = __atomic_load_n(&ball, __ATOMIC_RELAXED) + 1;

		__atomic_store_n(&ball, odd, __ATOMIC_RELAXED);
		while (__atomic_load_n(&ball, __ATOMIC_RELAXED) == odd)
			if (__atomic_load_n(&failed, __ATOMIC_RELAXED))
				return false;
		ns[i] = bench_now_ns() - start;
	}
	return true;
}

bool bench_line(const struct bench_row *row, const struct bench_where *where,
		unsigned round, struct bench_result *result)
{
	pthread_t thread;
	double ns[THROWS];
	bool done;

	(void)row, (void)round;
	if (where->other_cpu < 0)
		return bench_cannot("this needs a second CPU");
	partner_cpu = (unsigned)where->other_cpu;
	at_end = false;
	if (pthread_create(&thread, NULL, partner, NULL) != 0)
		return bench_cannot("no thread");
	done = throw_balls(ns);
	__atomic_store_n(&at_end, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	if (!done)
		return bench_cannot("the other CPU is not for this process");
	result->ns = measure_quantile(ns, THROWS, 0.5);
	result->operations = THROWS;
	return true;
}
