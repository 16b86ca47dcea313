/* SPDX-License-Identifier: MIT */
/* Of peer.h, what is about much memory: churn, empty, touch. */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/measure.h"
#include "peer.h"

#define PAGE_BYTES 4096
#define GIB_PAGES 262144

/* ---- half full, thousands changed at once ----------------------------------
 */

#define CHANGED 4096 /* pages back at once, and then as many out */
#define CHANGES 4    /* of so many, a round */
#define TURNOVERS 12 /* how often each page is changed in a long use */

struct churn {
	const struct bench_row *row;
	const struct bench_peer *peer;
	void *context;
	void **pages; /* the first half is out */
	uint64_t nr, random;
	double back_ns, out_ns;
};

/* Exchanges the page at `last` for a random one up to it. */
static void choose(struct churn *c, uint64_t last)
{
	void *page = c->pages[last];
	uint64_t i;

	c->random ^= c->random >> 12;
	c->random ^= c->random << 25;
	c->random ^= c->random >> 27;
	i = (c->random * UINT64_C(2685821657736338717) >> 32) % (last + 1);
	c->pages[last] = c->pages[i];
	c->pages[i] = page;
}

/* Random pages back, and as many out; choosing them is not timed. */
static void change(struct churn *c)
{
	void **end = c->pages + c->nr / 2 - CHANGED;
	double start, middle;

	for (unsigned i = 1; i <= CHANGED; i++)
		choose(c, c->nr / 2 - i);
	start = bench_now_ns();
	for (unsigned i = 0; i < CHANGED; i += BENCH_BULK)
		c->peer->give_bulk(c->context, end + i);
	middle = bench_now_ns();
	for (unsigned i = 0; i < CHANGED; i += BENCH_BULK)
		c->peer->take_bulk(c->context, end + i);
	c->out_ns += bench_now_ns() - middle;
	c->back_ns += middle - start;
}

static bool start_churn(struct churn *c, const struct bench_row *row,
			const struct bench_where *where)
{
	const uint64_t gib =
		row->what & ~(uintptr_t)(BENCH_LONG | BENCH_PACKED);

	*c = (struct churn){
		.peer = row->with,
		.nr = gib * GIB_PAGES,
		.random = 88172645463325252u,
	};
	c->context = bench_peer_context(c->peer, where, c->nr);
	if (c->context == NULL)
		return false;
	c->pages = malloc(sizeof(*c->pages) * c->nr);
	if (c->pages == NULL)
		return bench_cannot("no memory");
	c->row = row;
	return true;
}

/* Everything out, and a random half back; packed: the half alone. */
static void half_fill(struct churn *c)
{
	const bool packed = c->row->what & BENCH_PACKED;

	for (uint64_t i = 0; i < c->nr / (packed ? 2 : 1); i += BENCH_BULK)
		c->peer->take_bulk(c->context, c->pages + i);
	if (packed)
		return;
	for (uint64_t i = c->nr - 1; i >= c->nr / 2; i--)
		choose(c, i);
	for (uint64_t i = c->nr / 2; i < c->nr; i += BENCH_BULK)
		c->peer->give_bulk(c->context, c->pages + i);
}

static void empty_again(struct churn *c)
{
	for (uint64_t i = 0; i < c->nr / 2; i += BENCH_BULK)
		c->peer->give_bulk(c->context, c->pages + i);
}

/* A row keeps its own; a worker has fewer such rows. */
static struct churn *churn_of(const struct bench_row *row)
{
	static struct churn churns[16];
	struct churn *c = churns;

	while (c->row && c->row != row)
		c++;
	return c;
}

void *bench_churn_context(const struct bench_row *row)
{
	return churn_of(row)->context;
}

bool bench_peer_churn(const struct bench_row *row,
		      const struct bench_where *where, unsigned round,
		      struct bench_result *result)
{
	struct churn *c = churn_of(row);
	const unsigned turnovers = row->what & BENCH_LONG     ? TURNOVERS
				   : row->what & BENCH_PACKED ? 1
							      : 0;

	if (c->row == NULL && !start_churn(c, row, where))
		return false;
	if (round > 0 && turnovers == 0)
		empty_again(c);
	if (round == 0 || turnovers == 0)
		half_fill(c);
	for (uint64_t i = 0; round == 0 && i < turnovers * c->nr / 2;
	     i += CHANGED)
		change(c);
	c->back_ns = c->out_ns = 0;
	for (unsigned i = 0; i < CHANGES; i++)
		change(c);
	result->operations = CHANGES * CHANGED;
	result->ns = (c->back_ns + c->out_ns) / (CHANGES * CHANGED);
	bench_extra(result, "back_ns", c->back_ns / (CHANGES * CHANGED));
	bench_extra(result, "out_ns", c->out_ns / (CHANGES * CHANGED));
	return true;
}

/* ---- all of it, although others keep some -----------------------------------
 */

#define EMPTY_PAGES 8192
#define FILLED 1024 /* what a thread takes and gives back before it sleeps */
#define LAST 512    /* the allocations that are timed */

/* Fills the caches of its CPU, or its own, whenever it is told to, and sleeps;
 * ends with the process. */
static struct sleeper {
	const struct bench_peer *peer;
	void *context;
	unsigned cpu;
	bool failed;
	sem_t go, done;
} sleepers[2];

static void *sleeper(void *arg)
{
	struct sleeper *s = arg;
	void *pages[FILLED];

	s->failed = !measure_pin(s->cpu) ||
		    (s->peer->enter && !s->peer->enter(s->context));
	for (;;) {
		while (sem_wait(&s->go) != 0) {
		}
		for (unsigned i = 0; !s->failed && i < FILLED; i += BENCH_BULK)
			s->peer->take(s->context, pages + i);
		for (unsigned i = 0; !s->failed && i < FILLED; i += BENCH_BULK)
			s->peer->give(s->context, pages + i);
		sem_post(&s->done);
	}
	return NULL;
}

static bool start_sleepers(const struct bench_peer *peer, void *context,
			   const struct bench_where *where)
{
	for (unsigned i = 0; i < 2; i++) {
		struct sleeper *s = &sleepers[i];
		pthread_t thread;

		s->peer = peer;
		s->context = context;
		s->cpu = i ? (unsigned)where->other_cpu : where->cpu;
		sem_init(&s->go, 0, 0);
		sem_init(&s->done, 0, 0);
		if (pthread_create(&thread, NULL, sleeper, s) != 0)
			return bench_cannot("no thread");
	}
	return true;
}

/* A worker has one such row at most. */
bool bench_peer_empty(const struct bench_row *row,
		      const struct bench_where *where, unsigned round,
		      struct bench_result *result)
{
	static void *pages[EMPTY_PAGES];
	const struct bench_peer *peer = row->with;
	double start = 0;
	unsigned failed = 0;
	void *context;

	if (where->other_cpu < 0)
		return bench_cannot("this needs a second CPU");
	context = bench_peer_context(peer, where, EMPTY_PAGES);
	if (context == NULL ||
	    (round == 0 && !start_sleepers(peer, context, where)))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		sem_post(&sleepers[i].go);
		while (sem_wait(&sleepers[i].done) != 0) {
		}
		if (sleepers[i].failed)
			return bench_cannot("a thread could not begin");
	}
	for (unsigned i = 0; i < EMPTY_PAGES; i += BENCH_BULK) {
		if (i == EMPTY_PAGES - LAST)
			start = bench_now_ns();
		peer->take(context, pages + i);
	}
	result->ns = (bench_now_ns() - start) / LAST;
	result->operations = LAST;
	for (unsigned i = 0; i < EMPTY_PAGES; i++) {
		failed += pages[i] == NULL;
		if (pages[i] != NULL)
			peer->give_one(context, pages[i]);
	}
	bench_extra(result, "failed_percent", failed * 100.0 / EMPTY_PAGES);
	return true;
}

/* ---- written ----------------------------------------------------------------
 */

/* What was seen the first time and the second, in a page of both processes. */
struct touched {
	bool valid;
	double ns[2];
	double faults[2];
};

static double faults_so_far(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_minflt;
}

static void touch_all(const struct bench_peer *peer, void *context,
		      void **pages)
{
	bench_move *take = peer->take_bulk ? peer->take_bulk : peer->take;
	bench_move *give = peer->give_bulk ? peer->give_bulk : peer->give;

	for (unsigned i = 0; i < GIB_PAGES; i += BENCH_BULK) {
		take(context, pages + i);
		for (unsigned j = 0; j < BENCH_BULK; j++)
			memset(pages[i + j], 1, PAGE_BYTES);
	}
	for (unsigned i = 0; i < GIB_PAGES; i += BENCH_BULK)
		give(context, pages + i);
}

/* In a child, whose memory is cold; without huge pages unless they are the
 * point. */
static void touch_twice(const struct bench_row *row,
			const struct bench_where *where, struct touched *seen)
{
	static void *pages[GIB_PAGES];
	const struct bench_peer *peer = row->with;
	void *context;

	memset(pages, 1, sizeof(pages)); /* its faults are not theirs */
	if (!(row->what & BENCH_HUGE))
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	context = bench_peer_context(peer, where, GIB_PAGES);
	if (context == NULL)
		return;
	for (unsigned i = 0; i < 2; i++) {
		double faults = faults_so_far(), start = bench_now_ns();

		touch_all(peer, context, pages);
		seen->ns[i] = bench_now_ns() - start;
		seen->faults[i] = faults_so_far() - faults;
	}
	seen->valid = true;
}

bool bench_peer_touch(const struct bench_row *row,
		      const struct bench_where *where, unsigned round,
		      struct bench_result *result)
{
	static struct touched *seen;
	unsigned warm = row->what & BENCH_WARM;

	(void)round;
	if (seen == NULL)
		seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return bench_cannot("no memory");
	/* The row of the second time comes right after that of the first. */
	if (!warm) {
		pid_t child;

		seen->valid = false;
		child = fork();
		if (child == 0) {
			touch_twice(row, where, seen);
			_exit(0);
		}
		if (child < 0 || waitpid(child, NULL, 0) != child)
			return bench_cannot("no child process");
	}
	if (!seen->valid)
		return bench_cannot("1 GiB cannot be had, or not written");
	result->ns = seen->ns[warm] / GIB_PAGES;
	result->operations = GIB_PAGES;
	bench_extra(result, "faults", seen->faults[warm]);
	return true;
}
