/* SPDX-License-Identifier: MIT */
/* The questions that everybody is asked; see peer.h. */
#include "peer.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "common/measure.h"

#define PAIRS 200000	    /* a round: a millisecond, or a few */
#define RETURNED 262144	    /* pages out and back */
#define CROSSED (32 * 8192) /* pages of a round */
#define THREADS_MAX 16

void *bench_peer_context(const struct bench_peer *peer,
			 const struct bench_where *where, uint64_t pages)
{
	void *context = peer->open(where, pages);

	if (context && peer->enter && !peer->enter(context))
		return NULL;
	return context;
}

bool bench_peer_pair(const struct bench_row *row,
		     const struct bench_where *where, unsigned round,
		     struct bench_result *result)
{
	const struct bench_peer *peer = row->with;
	bench_loop *const *const places[] = {
		[BENCH_SINGLE] = peer->single,
		[BENCH_16] = peer->batch,
		[BENCH_64] = peer->batch_64,
		[BENCH_32_AT_ONCE] = peer->bulk,
	};
	void *context = bench_peer_context(peer, where, 16384);

	if (context == NULL)
		return false;
	bench_time_loop(places[row->what], context, round, PAIRS, result);
	return true;
}

/* ---- all out and back -----------------------------------------------------
 */

bool bench_peer_return(const struct bench_row *row,
		       const struct bench_where *where, unsigned round,
		       struct bench_result *result)
{
	static void *pages[RETURNED];
	const struct bench_peer *peer = row->with;
	bench_move *take = row->what ? peer->take_bulk : peer->take;
	bench_move *give = row->what ? peer->give_bulk : peer->give;
	void *context = bench_peer_context(peer, where, RETURNED + 4096);
	double start, middle, end;

	(void)round;
	if (context == NULL)
		return false;
	start = bench_now_ns();
	for (unsigned i = 0; i < RETURNED; i += BENCH_BULK)
		take(context, pages + i);
	middle = bench_now_ns();
	for (unsigned i = 0; i < RETURNED; i += BENCH_BULK)
		give(context, pages + i);
	end = bench_now_ns();
	result->ns = (end - start) / RETURNED;
	result->operations = RETURNED;
	bench_extra(result, "out_ns", (middle - start) / RETURNED);
	bench_extra(result, "back_ns", (end - middle) / RETURNED);
	return true;
}

/* ---- from one CPU to the other --------------------------------------------
 */

#define SLOTS 64 /* of 32 pages, between the two threads */

/* The pages come and go by whole slots; only full and empty ones wait. */
static struct slot {
	uint32_t full;
	void *pages[BENCH_BULK];
} slots[SLOTS] __attribute__((aligned(128)));

struct crossing {
	const struct bench_peer *peer;
	bench_move *give;
	void *context;
	unsigned cpu, nr;
	bool failed;
};

/* Frees what comes. */
static void *receive(void *arg)
{
	struct crossing *c = arg;

	c->failed = !measure_pin(c->cpu) ||
		    (c->peer->enter && !c->peer->enter(c->context));
	for (unsigned i = 0; i < c->nr; i++) {
		struct slot *slot = &slots[i % SLOTS];

		while (!__atomic_load_n(&slot->full, __ATOMIC_ACQUIRE))
			__builtin_ia32_pause();
		if (!c->failed)
			c->give(c->context, slot->pages);
		__atomic_store_n(&slot->full, 0, __ATOMIC_RELEASE);
	}
	return NULL;
}

bool bench_peer_cross(const struct bench_row *row,
		      const struct bench_where *where, unsigned round,
		      struct bench_result *result)
{
	const struct bench_peer *peer = row->with;
	bench_move *take = row->what ? peer->take_bulk : peer->take;
	struct crossing c = {
		.peer = peer,
		.give = row->what ? peer->give_bulk : peer->give,
		.cpu = (unsigned)where->other_cpu,
		.nr = CROSSED / BENCH_BULK,
	};
	pthread_t thread;
	double start = 0;

	(void)round;
	if (where->other_cpu < 0)
		return bench_cannot("this needs a second CPU");
	c.context = bench_peer_context(peer, where, 16384);
	if (c.context == NULL)
		return false;
	if (pthread_create(&thread, NULL, receive, &c) != 0)
		return bench_cannot("no thread");
	for (unsigned i = 0; i < c.nr; i++) {
		struct slot *slot = &slots[i % SLOTS];

		while (__atomic_load_n(&slot->full, __ATOMIC_ACQUIRE))
			__builtin_ia32_pause();
		if (i == c.nr / 8) /* the first ones warm up */
			start = bench_now_ns();
		take(c.context, slot->pages);
		__atomic_store_n(&slot->full, 1, __ATOMIC_RELEASE);
	}
	pthread_join(thread, NULL);
	result->operations = (c.nr - c.nr / 8) * BENCH_BULK;
	result->ns = (bench_now_ns() - start) / (double)result->operations;
	return c.failed ? bench_cannot("the other CPU is not for it") : true;
}

/* ---- one of many ------------------------------------------------------------
 */

bool bench_peer_rand(const struct bench_row *row,
		     const struct bench_where *where, unsigned round,
		     struct bench_result *result)
{
	static struct bench_held held = { .random = 88172645463325252u };
	const struct bench_peer *peer = row->with;

	(void)round;
	if (held.context == NULL) {
		held.context = bench_peer_context(peer, where,
						  BENCH_HELD + BENCH_HELD / 4);
		if (held.context == NULL)
			return false;
		for (unsigned i = 0; i < BENCH_HELD; i += BENCH_BULK)
			peer->take(held.context, (void **)&held.pages[i]);
	}
	peer->change(&held, BENCH_HELD / 4);
	result->ns = peer->change(&held, BENCH_HELD);
	result->operations = BENCH_HELD;
	return true;
}

/* ---- many threads
 * ------------------------------------------------------------ */

struct scaling {
	const struct bench_peer *peer;
	void *context;
	pthread_t thread;
	pthread_barrier_t *barrier;
	unsigned cpu;
	double ns;
	bool failed;
};

static void *work(void *arg)
{
	struct scaling *s = arg;

	s->failed = !measure_pin(s->cpu) ||
		    (s->peer->enter && !s->peer->enter(s->context));
	pthread_barrier_wait(s->barrier);
	if (!s->failed) {
		double start = bench_now_ns();

		s->peer->batch[0](s->context, PAIRS * 4);
		s->ns = bench_now_ns() - start;
	}
	pthread_barrier_wait(s->barrier);
	return NULL;
}

/* Nanoseconds a pair that all threads together take, were one CPU to do it:
 * constant where threads do not hinder each other. */
bool bench_peer_scale(const struct bench_row *row,
		      const struct bench_where *where, unsigned round,
		      struct bench_result *result)
{
	const struct bench_peer *peer = row->with;
	const unsigned nr = (unsigned)row->what;
	struct scaling threads[THREADS_MAX];
	pthread_barrier_t barrier;
	void *context = peer->open(where, 16384);
	double longest = 0;

	(void)round;
	if (context == NULL)
		return false;
	if (nr > 1 && where->other_cpu < 0)
		return bench_cannot("this needs a second CPU");
	pthread_barrier_init(&barrier, NULL, nr);
	for (unsigned i = 0; i < nr; i++) {
		threads[i] = (struct scaling){
			.peer = peer,
			.context = context,
			.barrier = &barrier,
			.cpu = i % 2 ? (unsigned)where->other_cpu : where->cpu,
		};
		if (pthread_create(&threads[i].thread, NULL, work,
				   &threads[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < nr; i++) {
		pthread_join(threads[i].thread, NULL);
		if (threads[i].failed)
			return bench_cannot("a thread could not begin");
		if (threads[i].ns > longest)
			longest = threads[i].ns;
	}
	pthread_barrier_destroy(&barrier);
	result->operations = (uint64_t)nr * PAIRS * 4;
	result->ns = longest * (nr < 2 ? 1 : 2) / (double)result->operations;
	return true;
}
