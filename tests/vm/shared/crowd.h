/* SPDX-License-Identifier: MIT */
/*
 * A crowd: threads that allocate, free and drain in one pool, with an owner's
 * number for each page, while somebody else moves them, or takes CPUs away.
 * From time to time all stand still and the books must balance; at the end
 * every page must be found again.
 */
#ifndef WEIR_TESTS_VM_CROWD_H
#define WEIR_TESTS_VM_CROWD_H

#include "inject.h"

#include <weir/fast.h>
#include <weir/stat.h>

#include "guest.h"
#include "oracle.h"

#define CROWD_WORKERS 5
#define CROWD_MAX (CROWD_WORKERS + 4)
#define CROWD_HELD 256

struct member {
	pthread_t thread;
	uint8_t id; /* from 1 */
	bool works; /* is moved and interrupted */
	pid_t tid;  /* 0: it has not begun */
	uint64_t random, ops;
	void (*step)(struct member *); /* called again and again */
	/* A worker's own. */
	struct {
		char *page;
		unsigned order;
	} held[CROWD_HELD];
	unsigned nr;
	uint64_t pages;
	int cpu;
	uint64_t moves; /* how often it found itself on another CPU */
};

struct crowd_run {
	const char *name;
	uint64_t pages;
	const char *quiet, *polling; /* cpulists; the others are ordinary */
	unsigned flags;		     /* of the pool */
	void (*disturb)(struct member *); /* a thread's step */
	double seconds;
};

/* What was counted over all runs of the program. */
static struct {
	double ops;
	uint64_t moves, aborts, drains, drained, late, looks;
} crowd_sum;

static const struct crowd_run *crowd;
static struct weir_pool *crowd_pool;
static char *crowd_base;
static struct oracle crowd_oracle;
static struct member crowd_member[CROWD_MAX]; /* workers first */
static unsigned crowd_nr;
static uint32_t crowd_stop, crowd_pausing, crowd_standing;
static __thread struct member *crowd_self;

/* --- threads ----------------------------------------------------------- */

static inline void crowd_nap(uint64_t ns)
{
	const struct timespec t = { .tv_nsec = (long)ns };

	nanosleep(&t, NULL);
}

/* Stands still until the pause is over; no handler runs meanwhile. */
static inline void crowd_park(void)
{
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	tell(&crowd_standing);
	while (happened(&crowd_pausing, 1))
		crowd_nap(100000);
	__atomic_sub_fetch(&crowd_standing, 1, __ATOMIC_ACQ_REL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static inline void *crowd_main(void *arg)
{
	struct member *self = arg;
	const struct sched_param first = { .sched_priority = 1 };

	crowd_self = self;
	__atomic_store_n(&self->tid, gettid(), __ATOMIC_RELAXED);
	/* Who disturbs the others comes before them. */
	if (self == &crowd_member[CROWD_MAX - 1])
		pthread_setschedparam(pthread_self(), SCHED_RR, &first);
	while (!happened(&crowd_stop, 1)) {
		if (happened(&crowd_pausing, 1))
			crowd_park();
		else
			self->step(self);
	}
	return NULL;
}

static inline void crowd_add(void (*step)(struct member *), bool works)
{
	struct member *m = &crowd_member[crowd_nr++];

	*m = (struct member){
		.id = (uint8_t)crowd_nr, .works = works, .cpu = -1, .step = step
	};
	m->random = (UINT64_C(0x9e3779b97f4a7c15) * crowd_nr ^ now_ns()) | 1;
}

/* Every thread stands still, outside of calls and bursts. */
static inline void crowd_pause(void)
{
	tell(&crowd_pausing);
	while (!happened(&crowd_standing, crowd_nr))
		crowd_nap(100000);
}

static inline void crowd_resume(void)
{
	__atomic_store_n(&crowd_pausing, 0, __ATOMIC_RELEASE);
	while (happened(&crowd_standing, 1))
		crowd_nap(100000);
}

/* --- working ----------------------------------------------------------- */

static inline unsigned crowd_order(uint64_t r)
{
	static const unsigned order[] = { 0, 0, 0, 0, 0, 1, 2, 3 };

	return r % 128 == 127 ? 9 : order[r % 8];
}

static inline void crowd_take(struct member *self, char *page, unsigned order)
{
	oracle_take(&crowd_oracle, (uint64_t)(page - crowd_base) / 4096,
		    UINT64_C(1) << order, self->id);
	*(uint64_t *)(void *)page = self->id;
	self->held[self->nr].page = page;
	self->held[self->nr++].order = order;
	self->pages += UINT64_C(1) << order;
}

static inline void crowd_alloc(struct member *self, uint64_t r)
{
	unsigned order = crowd_order(r >> 8);
	unsigned flags = r % 64 ? WEIR_NOWAIT : 0;
	char *page;

	if (self->nr == CROWD_HELD ||
	    self->pages > crowd->pages / (CROWD_WORKERS + 1))
		return;
	if (order == 0 && r >> 4 & 1)
		page = weir_fast_alloc(crowd_pool, 0, flags);
	else
		page = weir_alloc(crowd_pool, order, flags);
	if (page != NULL)
		crowd_take(self, page, order);
}

static inline void crowd_free(struct member *self, uint64_t r)
{
	unsigned at = self->nr == 0 ? 0 : (unsigned)(r >> 8) % self->nr, order;
	char *page;

	if (self->nr == 0)
		return;
	page = self->held[at].page;
	order = self->held[at].order;
	self->held[at] = self->held[--self->nr];
	self->pages -= UINT64_C(1) << order;
	CHECK_MSG(*(uint64_t *)(void *)page == self->id,
		  "a page of %u has a word of %u", self->id,
		  (unsigned)*(uint64_t *)(void *)page);
	oracle_give(&crowd_oracle, (uint64_t)(page - crowd_base) / 4096,
		    UINT64_C(1) << order, self->id);
	if (order == 0 && r >> 4 & 1)
		weir_fast_free(crowd_pool, page, 0);
	else
		weir_free(crowd_pool, page, order);
}

static inline void crowd_drain(struct member *self)
{
	static const uint64_t waits[] = { 1, 20000, 200000, 2000000,
					  WEIR_WAIT_DEFAULT };
	uint64_t r = check_random(&self->random);
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	char cpu[16];
	int err;

	opts.wait_ns = waits[r % 5];
	if (r >> 8 & 1)
		opts.want_pages = 1 + (r >> 16 & 0xff);
	if (r >> 9 & 1) {
		snprintf(cpu, sizeof(cpu), "%u",
			 (unsigned)(r >> 32) % guest_cpus());
		opts.cpus = cpu;
	}
	err = weir_drain(crowd_pool, &opts, NULL);
	CHECK_MSG(err == 0 || err == -EAGAIN || err == -ETIMEDOUT,
		  "weir_drain: %d", err);
}

/* To another CPU, if there is such a one and its cpuset has it. */
static inline void crowd_move(uint64_t r)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)(r % guest_cpus()), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static inline void crowd_work(struct member *self)
{
	uint64_t r = check_random(&self->random);
	unsigned n = 1 + (unsigned)(r >> 8) % 40;
	bool burst = r % 8 < 2;
	struct weir_burst in;
	int cpu = sched_getcpu();

	self->moves += cpu != self->cpu;
	self->cpu = cpu;
	if (burst)
		weir_burst_begin(crowd_pool, &in);
	for (; n > 0; n--, self->ops++) {
		/* Rather more or rather less, in turns. */
		unsigned more = self->ops >> 10 & 1 ? 36 : 26;

		r = check_random(&self->random);
		if (r % 64 < more)
			crowd_alloc(self, r >> 8);
		else
			crowd_free(self, r >> 8);
	}
	if ((r >> 49) % 8 == 2)
		crowd_move(r >> 56);
	if (burst)
		weir_burst_end(crowd_pool, &in);
	if (r >> 48 & 1)
		weir_fast_tick(crowd_pool);
	if ((r >> 49) % 64 == 0)
		crowd_drain(self);
	if ((r >> 49) % 256 == 1)
		crowd_nap(r >> 40 & 0xffff);
}

static inline void crowd_drain_step(struct member *self)
{
	crowd_drain(self);
	crowd_nap(check_random(&self->random) & 0xfffff);
}

/* Moves and interrupts the workers. */
static inline void crowd_perturb(struct member *self)
{
	uint64_t r = check_random(&self->random);
	const struct member *victim = &crowd_member[r % CROWD_WORKERS];
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned cpu = 0; cpu < guest_cpus(); cpu++)
		if (r >> (8 + cpu % 8) & 1)
			CPU_SET(cpu, &set);
	/* It may fail, where a cpuset or an offline CPU is in the way. */
	pthread_setaffinity_np(victim->thread, sizeof(set), &set);
	for (unsigned i = 0; i < (r >> 20 & 3); i++)
		pthread_kill(victim->thread, SIGUSR1);
	inject_at_random(check_random(&self->random), 100);
	crowd_nap(r >> 40 & 0x3ffff);
}

static inline void crowd_in_handler(int number)
{
	const struct member *self = crowd_self;
	int before = errno;
	char *page;

	(void)number;
	if (self == NULL || !self->works)
		return;
	page = weir_fast_alloc(crowd_pool, 0, WEIR_NOWAIT);
	if (page != NULL) {
		uint64_t i = (uint64_t)(page - crowd_base) / 4096;

		oracle_take(&crowd_oracle, i, 1, self->id);
		oracle_give(&crowd_oracle, i, 1, self->id);
		weir_fast_free(crowd_pool, page, 0);
	}
	errno = before;
}

/* --- looking ----------------------------------------------------------- */

/* All stand still. What has no need of a CPU's help is drained to the last
 * page, wherever CPUs are or are not. */
static inline void crowd_look(void)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	int err;

	opts.wait_ns = crowd->polling == NULL ? 2000000000 : 1;
	err = weir_drain(crowd_pool, &opts, &result);
	CHECK_EQ(weir_stat_read(crowd_pool, &stat), 0);
	if (crowd->polling == NULL) {
		CHECK_MSG(err == 0,
			  "all stand still, a drain says %d, %" PRIu64
			  " pages pending on %u CPUs",
			  err, result.pending, result.cpus_pending);
		CHECK_EQ(stat.pending, 0);
		CHECK_EQ(stat.cached, 0);
	}
	CHECK_EQ(stat.out, oracle_out(&crowd_oracle));
	CHECK_EQ(stat.free + stat.cached + stat.pending + stat.out,
		 crowd->pages);
}

/* Every CPU passes by, which is what a polling one is asked to do. */
static inline void crowd_visit_all(struct weir_pool *pool)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	opts.wait_ns = 1;
	for (unsigned cpu = 0; cpu < guest_cpus(); cpu++) {
		if (!guest_is_online((int)cpu))
			guest_plug((int)cpu, true);
		pin((int)cpu);
		weir_drain(pool, &opts, NULL);
		weir_tick(pool);
	}
	guest_everywhere();
}

/* Nobody uses the pool, nothing is out: one thread gets every page, each of
 * them once. */
static inline void crowd_get_all(struct weir_pool *pool, uint64_t pages)
{
	char **page = calloc(pages + 1, sizeof(*page)), *base;
	struct oracle oracle;
	uint64_t nr = 0;

	CHECK(page != NULL);
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
	oracle_init(&oracle, "page", pages);
	while (nr <= pages && (page[nr] = weir_alloc(pool, 0, 0)) != NULL) {
		oracle_take(&oracle, (uint64_t)(page[nr] - base) / 4096, 1, 1);
		nr++;
	}
	CHECK_MSG(nr == pages && errno == ENOMEM,
		  "of %" PRIu64 " pages %" PRIu64 " were found: %s", pages, nr,
		  strerror(errno));
	weir_free_bulk(pool, 0, (void **)page, nr);
	oracle_fini(&oracle);
	free(page);
}

static inline void crowd_end(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	for (unsigned i = 0; i < CROWD_WORKERS; i++) {
		struct member *m = &crowd_member[i];

		while (m->nr > 0)
			crowd_free(m, 0);
		crowd_sum.ops += (double)m->ops;
		crowd_sum.moves += m->moves;
	}
	CHECK_EQ(oracle_out(&crowd_oracle), 0);
	if (crowd->polling != NULL)
		crowd_visit_all(crowd_pool);
	/* Moved on by the scheduler, it would leave pages in the list of a
	 * CPU that nobody polls on any more: EAGAIN, as documented. */
	pin(0);
	crowd_get_all(crowd_pool, crowd->pages);
	guest_everywhere();
	CHECK_EQ(weir_stat_read(crowd_pool, &stat), 0);
	CHECK_EQ(stat.out, 0);
	crowd_sum.aborts += stat.aborts;
	crowd_sum.drains += stat.drains;
	crowd_sum.drained += stat.drained_pages;
	crowd_sum.late += stat.late;
	CHECK_MSG(weir_pool_destroy(crowd_pool, 0) == 0, "%s",
		  weir_last_error());
	oracle_fini(&crowd_oracle);
}

static inline void crowd_begin(const struct crowd_run *run)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	crowd = run;
	opts.capacity = run->pages * 4096;
	opts.quiet_cpus = run->quiet;
	opts.polling_cpus = run->polling;
	opts.flags = run->flags;
	opts.wait_ns = 2000000;
	opts.list_limit = 150;
	opts.name = "crowd";
	CHECK_MSG(weir_pool_create(&crowd_pool, &opts) == 0, "%s",
		  weir_last_error());
	CHECK_EQ(weir_pool_range(crowd_pool, (void **)&crowd_base, NULL, NULL),
		 0);
	oracle_init(&crowd_oracle, "page", run->pages);
}

/* Runs the threads for so long, and looks about every 100 ms. */
static inline void crowd_run_for(double seconds)
{
	const uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);

	crowd_stop = crowd_pausing = crowd_standing = 0;
	for (unsigned i = 0; i < crowd_nr; i++)
		CHECK_EQ(pthread_create(&crowd_member[i].thread, NULL,
					crowd_main, &crowd_member[i]),
			 0);
	while (now_ns() < end) {
		guest_nap_ms(100);
		crowd_pause();
		crowd_look();
		crowd_sum.looks++;
		crowd_resume();
	}
	tell(&crowd_stop);
	for (unsigned i = crowd_nr; i-- > 0;) /* who sends signals first */
		CHECK_EQ(pthread_join(crowd_member[i].thread, NULL), 0);
	inject_at_random(0, 0);
}

/* Five workers, two drainers, one who moves and interrupts the workers, one
 * who disturbs as the run says. */
static inline void crowd_go(const struct crowd_run *run)
{
	const struct sigaction action = { .sa_handler = crowd_in_handler,
					  .sa_flags = SA_RESTART };

	guest_everywhere();
	crowd_begin(run);
	sigaction(SIGUSR1, &action, NULL);
	crowd_nr = 0;
	for (unsigned i = 0; i < CROWD_WORKERS; i++)
		crowd_add(crowd_work, true);
	crowd_add(crowd_drain_step, false);
	crowd_add(crowd_drain_step, false);
	crowd_add(run->disturb, false);
	crowd_add(crowd_perturb, false);
	crowd_run_for(run->seconds);
	crowd_end();
	printf("  %s: %.0f operations so far, %" PRIu64 " moves, %" PRIu64
	       " pages drained\n",
	       run->name, crowd_sum.ops, crowd_sum.moves, crowd_sum.drained);
}

#endif
