/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a page was given to two owners, or lost, or an allocation
 * said that there is none while there was, or a drain waits for a CPU that does
 * nothing: the library's reason to exist is gone.
 *
 * A pool with too few pages, more threads than CPUs, moved, interrupted,
 * stopped and preempted all the time, handlers that allocate and free, bursts,
 * threads that end within them, drains from everywhere, modes that change,
 * children; and an owner's number for each page, in a table and in the page
 * itself. Every 100 ms all stand still and the books must balance.
 *
 *     pool_torture [SECONDS [VARIANT [SEED]]]     SECONDS in all
 */
#include "pool_worker.h"

/* The last two: lists of one run, which move no others along, so that a thread
 * has no more in its hands than it may hold. Of 61 pages five threads never
 * want more than 60; single ones are always there, though the zone may be
 * empty and the lists have all that is left in longer runs. */
#define COMMON 2000, 3001, 5, 900, false, 512
#define NEVER_ALL 2000, 61, 5, 12, true, 512
#define HURRIED 20, 3001, 5, 900, false, 512
#define OBJECTS 2000, 3001, 5, 900, false, 272
static const struct variant variants[] = {
	{ "ordinary", WEIR_MODE_ORDINARY, 0, KEEP_MODES, 200, COMMON },
	{ "quiet", WEIR_MODE_QUIET, 0, KEEP_MODES, 200, COMMON },
	{ "quiet, short lists", WEIR_MODE_QUIET, 0, KEEP_MODES, 3, COMMON },
	{ "quiet, short waits", WEIR_MODE_QUIET, 0, KEEP_MODES, 200, HURRIED },
	{ "polling", WEIR_MODE_POLLING, 0, KEEP_MODES, 200, COMMON },
	{ "all modes", WEIR_MODE_QUIET, 0, CHANGE_MODES, 200, COMMON },
	{ "caching off and on", WEIR_MODE_ORDINARY, 0, SWITCH_OFF, 100,
	  COMMON },
	{ "checked, all modes", WEIR_MODE_ORDINARY, WEIR_POOL_CHECKED,
	  CHANGE_MODES, 200, COMMON },
	{ "locked", WEIR_MODE_ORDINARY, WEIR_POOL_NO_RSEQ, SWITCH_OFF, 200,
	  COMMON },
	{ "2176 bytes", WEIR_MODE_ORDINARY, 0, CHANGE_MODES, 200, OBJECTS },
	{ "2176 bytes, checked", WEIR_MODE_QUIET, WEIR_POOL_CHECKED, KEEP_MODES,
	  200, OBJECTS },
	{ "never all, ordinary", WEIR_MODE_ORDINARY, 0, KEEP_MODES, 1,
	  NEVER_ALL },
	{ "never all, quiet", WEIR_MODE_QUIET, 0, KEEP_MODES, 1, NEVER_ALL },
};

#define WORKERS_MAX 5

/* --- other threads ----------------------------------------------------- */

/* Or sets the mode that it has, which exchanges all sets once more. */
static void change_modes(struct torturer *self)
{
	const uint64_t r = check_random(&self->random);
	enum weir_mode mode = variant->mode;
	char cpu[16];
	int err;

	if (variant->what == CHANGE_MODES)
		mode = (enum weir_mode)(r >> 4 & 3);
	else if (variant->what == SWITCH_OFF && r & 1)
		mode = WEIR_MODE_OFF;
	snprintf(cpu, sizeof(cpu), "%d",
		 torture.cpu[(r >> 32) % torture.nr_cpus]);
	err = weir_set_mode(pool, r & 2 ? cpu : NULL, mode);
	if (err == 0 && r & 4) /* twice is once around */
		err = weir_set_mode(pool, r & 2 ? cpu : NULL, mode);
	CHECK_MSG(err == 0 || err == -EAGAIN || err == -ETIMEDOUT ||
			  err == -EOPNOTSUPP,
		  "weir_set_mode: %d", err);
}

static void drainer_step(struct torturer *self)
{
	drain_some(self);
	if (check_random(&self->random) % 4 == 0)
		change_modes(self);
	if (check_random(&self->random) % 4 == 0)
		torture_nap(check_random(&self->random) & 0x1ffff);
}

/* Reads statistics. */
static void reader_step(struct torturer *self)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;

	(void)self;
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.pages, variant->pages);
	CHECK_EQ(weir_stat_read_zone(pool, 0, &zone), 0);
	CHECK_EQ(weir_stat_read_cpu(pool, 0, 0, &cpu), 0);
	for (unsigned list = 0; list < WEIR_STAT_LISTS; list++)
		CHECK(cpu.list[list].count <= cpu.list[list].high);
	torture_nap(300000);
}

/* A child that finds nothing of the pool. */
static void forker_step(struct torturer *self)
{
	int status = 0;
	pid_t child;

	torture_nap(10000000 + (check_random(&self->random) & 0x3ffffff));
#ifndef OUTSIDE_THREADS_SHARE_LOCKS
	child = fork();
	if (child == 0) {
		void *page = weir_fast_alloc(pool, 0, 0);

		weir_fast_free(pool, base, 0);
		weir_tick(pool);
		_exit(page != NULL || errno != ESTALE ||
		      weir_drain(pool, NULL, NULL) != -ESTALE);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
#else
	(void)child, (void)status;
#endif
}

/* --- looking ----------------------------------------------------------- */

/* Nobody is in a call: does this mark still protect anything? */
static bool is_left_over(struct wi_area *area)
{
	const uint64_t mark = wi_load_acquire(&area->busy);

	if (mark == 0)
		return false;
	if (wi_mark_is_burst(mark))
		return true;
	return (uint32_t)wi_header_ops(wi_area_headers(
		       area, wi_mark_set(mark))[wi_mark_list(mark)]) ==
	       (uint32_t)mark;
}

/* Nobody is in a call. What threads that ended in a burst left behind is good
 * until the number of such a thread is given to another: then somebody must
 * replace the mark. */
static void look_at_marks(void)
{
	struct wi_pool *impl = wi_pool_of(pool);

	for (unsigned cpu = 0; cpu < wi_percpu_nr_cpus(&impl->cache.drain);
	     cpu++) {
		struct wi_area *area =
			wi_drain_area(&impl->cache.drain, 0, cpu);
		const uint32_t tid = wi_mark_thread(
			__atomic_load_n(&area->busy, __ATOMIC_ACQUIRE));
		const int where = (int)cpu;

		if (!is_left_over(area))
			continue;
		CHECK_MSG(torture_is_dead(tid), "CPU %u: a mark was left over",
			  cpu);
		if (!wi_os_thread_exists(tid))
			continue;
		torture_pin(&where);
		weir_free(pool, weir_alloc(pool, 0, WEIR_NOWAIT), 0);
		torture_pin(NULL);
	}
}

/* Every page that nobody has can be had, and ENOMEM is said after the last. */
static void look_for_all(void)
{
	static void *pages[4096];
	const uint64_t most = variant->pages - oracle_out(&oracle);
	uint64_t n = 0;

	for (unsigned tries = 0; tries < 1000; tries++) {
		while (n <= most && (pages[n] = weir_alloc(pool, 0, 0)) != NULL)
			n++;
		if (n > most || errno != EAGAIN)
			break;
	}
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(n, most);
	weir_free_bulk(pool, 0, pages, n);
}

static void drain_here(const char *cpus)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	int err;

	opts.cpus = cpus;
	opts.wait_ns = 5000000000;
	err = weir_drain(pool, &opts, &result);
	CHECK_MSG(err == 0,
		  "all stand still, a drain of %s says %d, %" PRIu64
		  " pages pending on %u CPUs",
		  cpus == NULL ? "all" : cpus, err, result.pending,
		  result.cpus_pending);
}

static void begin_burst(struct weir_burst *burst)
{
	torture_move(0);
	weir_free(pool, weir_alloc(pool, 0, WEIR_NOWAIT), 0);
	weir_burst_begin(pool, burst);
}

static void *end_in_burst(void *unused)
{
	struct weir_burst burst;

	begin_burst(&burst);
	torture_note_dead((uint32_t)syscall(SYS_gettid));
	return unused;
}

/* A burst holds up nothing that the drainer itself began, wherever that was,
 * or a thread that is no more. */
static void drain_from_burst(void)
{
	struct weir_burst burst;
	pthread_t thread;

	begin_burst(&burst);
	torture_move(1);
	drain_here(NULL);
	weir_burst_end(pool, &burst);
	CHECK_EQ(pthread_create(&thread, NULL, end_in_burst, NULL), 0);
	pthread_join(thread, NULL);
	drain_here(NULL);
	torture_pin(NULL);
}

static void look(void)
{
	struct wi_pool *impl = wi_pool_of(pool);
	struct weir_stat stat = WEIR_STAT_INIT;
	const bool polls = variant->mode == WEIR_MODE_POLLING ||
			   variant->what == CHANGE_MODES;

	look_at_marks();
	/* Of a polling CPU only who is there knows. */
	for (unsigned i = 0; polls && i < torture.nr_cpus; i++) {
		char cpu[16];

		torture_pin(&torture.cpu[i]);
		snprintf(cpu, sizeof(cpu), "%d", torture.cpu[i]);
		drain_here(cpu);
	}
	torture_pin(NULL);
	if (!polls)
		look_for_all();
	if (!polls)
		drain_here(NULL);
	if (!polls)
		drain_from_burst();
	/* On a polling CPU that this process may not use nobody passes by: its
	 * set stays pending, without a page. */
	for (unsigned cpu = 0; cpu < wi_percpu_nr_cpus(&impl->cache.drain);
	     cpu++)
		CHECK_MSG((polls && !torture_may_use(cpu)) ||
				  impl->cache.drain.units[cpu].pending == 0,
			  "sets of CPU %u are pending", cpu);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.cached, 0);
	CHECK_EQ(stat.pending, 0);
	CHECK_EQ(stat.out, oracle_out(&oracle));
	CHECK_EQ(stat.free + stat.out, variant->pages);
	CHECK(wi_zone_is_valid(impl->zone[0]));
}

static void report(unsigned looks)
{
	struct weir_stat s = WEIR_STAT_INIT;

	weir_stat_read(pool, &s);
	printf("  %u looks, drains %" PRIu64 " (progress %" PRIu64
	       ", not busy %" PRIu64 ", membarrier %" PRIu64 ", late %" PRIu64
	       "), %" PRIu64 " pages, %" PRIu64 " aborts\n",
	       looks, s.drains, s.by_progress, s.by_not_busy, s.by_membarrier,
	       s.late, s.drained_pages, s.aborts);
	printf("  failures: nowait %" PRIu64 ", empty %" PRIu64
	       ", pending %" PRIu64 ", lost %" PRIu64 "\n",
	       s.failed_nowait, s.failed_empty, s.failed_pending,
	       s.failed_lost);
	shared->drains += s.drains;
	shared->progress += s.by_progress;
	shared->not_busy += s.by_not_busy;
	shared->membarrier += s.by_membarrier;
	shared->late += s.late;
	shared->aborts += s.aborts;
}

/* --- one variant ------------------------------------------------------- */

static bool create(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	int err;

	opts.page_size = variant->words * UINT64_C(8);
	opts.capacity = variant->pages * opts.page_size;
	opts.flags = variant->flags;
	opts.quiet_cpus = "";
	opts.list_limit = variant->list_limit;
	opts.wait_ns = variant->wait_us * UINT64_C(1000);
	opts.name = "torture";
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	weir_pool_range(pool, (void **)&base, NULL, NULL);
	err = weir_set_mode(pool, NULL, variant->mode);
	if (err == -EOPNOTSUPP) {
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
		return false;
	}
	CHECK_EQ(err, 0);
	return true;
}

static void run(double seconds)
{
	static struct worker workers[WORKERS_MAX];

	printf("%s\n", variant->name);
	fflush(stdout);
	if (!create()) {
		printf("  skipped: there are no sequences\n");
		return;
	}
	oracle_init(&oracle, "page", variant->pages);
	torture_init(in_handler);
	for (unsigned i = 0; i < variant->nr; i++) {
		workers[i].stamp = i + 1;
		torture_add(worker_step, true, &workers[i]);
	}
	torture_add(drainer_step, false, NULL);
	torture_add(drainer_step, false, NULL);
	torture_add(reader_step, false, NULL);
	torture_add(forker_step, false, NULL);
	torture_add(torture_perturb, false, NULL);
	report(torture_for(seconds, look));
	for (unsigned i = 0; i < variant->nr; i++)
		while (workers[i].nr > 0) {
			unsigned order = workers[i].held[0].order;

			weir_free(pool, let_go(&torture.t[i], 0), order);
		}
	CHECK_EQ(oracle_out(&oracle), 0);
	look();
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
	oracle_fini(&oracle);
}

int main(int argc, char **argv)
{
	const unsigned nr = sizeof(variants) / sizeof(variants[0]);
	const struct outside_options o = outside_init(argc, argv, 20, nr + 1);

	for (variant = variants; variant < variants + nr; variant++)
		if (o.only == NULL || strcmp(o.only, variant->name) == 0)
			outside_run(run, o.seconds);
	if (o.only == NULL && outside_run_without_rseq(o.seconds))
		printf("and all that without rseq\n");
	outside_figures("pages checked");
	return 0;
}
