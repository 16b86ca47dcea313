/* SPDX-License-Identifier: MIT */
/* The thread that is drained: see drain.h. */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/measure.h"
#include "drain.h"
#include "loop.h"

#define PATIENCE_NS 10e9 /* others may use that CPU */
#define RARELY_NS 1e6	 /* between two operations of one that computes */

static void futex(uint32_t *word, int operation, uint32_t value)
{
	syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL,
		NULL, 0);
}

/* ---- its side -------------------------------------------------------------
 */

/* Without a call, for a microsecond or so. */
static void compute(void)
{
	uint64_t x = 1;

	for (unsigned i = 0; i < 500; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		BENCH_HIDE(x);
	}
}

/* What it does while it has no order. */
static void play(struct bench_owner *o, uint32_t done, double *last_ns)
{
	if (o->scene == BENCH_ALLOCATING) {
		o->way->pairs(o->context, 1);
	} else if (o->scene == BENCH_COMPUTING) {
		compute();
		if (bench_now_ns() - *last_ns > RARELY_NS) {
			o->way->pairs(o->context, 1);
			*last_ns = bench_now_ns();
		}
	} else {
		futex(&o->ordered, FUTEX_WAIT, done);
	}
}

static void *own(void *arg)
{
	struct bench_owner *o = arg;
	double last_ns = bench_now_ns();
	uint32_t done = o->done;
	unsigned pages;

	if (!measure_pin(o->cpu))
		o->failed = !bench_cannot("the other CPU is not for this "
					  "process");
	else
		o->failed = o->way->enter && !o->way->enter(o->context);
	while (!o->failed) {
		/* Acquires what is ordered. */
		uint32_t order = __atomic_load_n(&o->ordered, __ATOMIC_ACQUIRE);

		if (order == done) {
			play(o, done, &last_ns);
			continue;
		}
		pages = __atomic_load_n(&o->pages, __ATOMIC_RELAXED);
		if (pages == 0)
			break;
		o->way->fill(o->context, pages);
		last_ns = bench_now_ns();
		done = order;
		/* To who waits for it. */
		__atomic_store_n(&o->done, done, __ATOMIC_RELEASE);
		if (o->scene == BENCH_ABSENT)
			break;
	}
	if (!o->failed && o->way->leave)
		o->way->leave(o->context);
	/* It answers in any case. */
	__atomic_store_n(&o->done, done + o->failed, __ATOMIC_RELEASE);
	return NULL;
}

/* ---- the other side ---------------------------------------------------------
 */

static bool start(struct bench_owner *o)
{
	o->failed = false;
	if (pthread_create(&o->thread, NULL, own, o) != 0)
		return bench_cannot("no thread");
	o->is_running = true;
	return true;
}

static void order(struct bench_owner *o, unsigned pages)
{
	__atomic_store_n(&o->pages, pages, __ATOMIC_RELAXED);
	__atomic_store_n(&o->ordered, o->ordered + 1, __ATOMIC_RELEASE);
	if (o->scene == BENCH_SLEEPING || o->scene == BENCH_ABSENT)
		futex(&o->ordered, FUTEX_WAKE, INT_MAX);
}

bool bench_owner_start(struct bench_owner *o)
{
	return o->scene == BENCH_ABSENT || start(o);
}

void bench_owner_stop(struct bench_owner *o)
{
	if (!o->is_running)
		return;
	order(o, 0);
	pthread_join(o->thread, NULL);
	o->is_running = false;
}

/* Lets it be at its loop again, or asleep. */
static void let_it_settle(const struct bench_owner *o)
{
	double until = bench_now_ns() + 1000;

	if (o->scene == BENCH_SLEEPING)
		usleep(100);
	else
		while (bench_now_ns() < until)
			;
}

bool bench_owner_fill(struct bench_owner *o, unsigned pages)
{
	double end = bench_now_ns() + PATIENCE_NS;

	if (o->scene == BENCH_ABSENT && !start(o))
		return false;
	order(o, pages);
	while (__atomic_load_n(&o->done, __ATOMIC_ACQUIRE) != o->ordered)
		if (bench_now_ns() > end)
			return bench_cannot("the other CPU is too busy: its "
					    "thread does not answer");
	if (o->failed)
		return false;
	if (o->scene == BENCH_ABSENT) {
		pthread_join(o->thread, NULL);
		o->is_running = false;
	}
	let_it_settle(o);
	return true;
}
