/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a process that forks, executes, cancels threads or ends while
 * its threads allocate loses pages, hangs, or dies: a child harms its parent,
 * or a thread that ends inside a burst holds up drains.
 */
#include <spawn.h>
#include <sys/mman.h>

#include <weir/fast.h>

#include "fault.h"
#include "oracle.h"

#define PAGES 4096

static struct weir_pool *pool;
static struct oracle oracle;
static char *base;
static bool stop;
static unsigned ended;

static void create(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	void *start;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_range(pool, &start, NULL, NULL), 0);
	base = start;
	stop = false;
}

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void turn(uint8_t id, unsigned n)
{
	struct weir_burst burst;
	void *page[48];
	unsigned got = 0;

	weir_burst_begin(pool, &burst);
	while (got < 1 + n % 48 &&
	       (page[got] = weir_fast_alloc(pool, 0, 0)) != NULL)
		oracle_take(&oracle,
			    (uint64_t)((char *)page[got++] - base) / 4096, 1,
			    id);
	weir_burst_end(pool, &burst);
	while (got > 0) {
		got--;
		oracle_give(&oracle,
			    (uint64_t)((char *)page[got] - base) / 4096, 1, id);
		weir_fast_free(pool, page[got], 0);
	}
}

static void work(void *id)
{
	for (unsigned n = 0; !stopped(); n++)
		turn(*(uint8_t *)id, n);
}

static void drain_on(void *unused)
{
	(void)unused;
	while (!stopped()) {
		int err = weir_drain(pool, NULL, NULL);

		CHECK(err == 0 || err == -EAGAIN || err == -ETIMEDOUT);
	}
}

static struct runner runner[4];
static uint8_t ids[4] = { 1, 2, 3, 4 };

static void start_work(enum weir_mode mode)
{
	create();
	oracle_init(&oracle, "page", PAGES);
	(void)weir_set_mode(pool, NULL, mode);
	for (unsigned i = 0; i < 4; i++) {
		int cpu = allowed_cpu(i % 2);

		start_on(&runner[i], cpu < 0 ? allowed_cpu(0) : cpu,
			 i < 3 ? work : drain_on, &ids[i]);
	}
}

static void end_work(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 4; i++)
		finish(&runner[i]);
	CHECK_EQ(oracle_out(&oracle), 0);
	check_whole(pool);
	oracle_fini(&oracle);
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

/* --- children while all work ------------------------------------------- */

static void forked(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		if (weir_alloc(pool, 0, 0) != NULL || errno != ESTALE ||
		    weir_drain(pool, NULL, NULL) != -ESTALE)
			_exit(1);
		weir_free(pool, base, 0); /* does nothing */
		if (weir_pool_destroy(pool, WEIR_DESTROY_FORCE) != -ESTALE)
			_exit(2);
		/* Its pages are not there: they are the parent's alone. */
		if (mincore(base, 4096, &(unsigned char){ 0 }) != -1 ||
		    errno != ENOMEM)
			_exit(3);
		_exit(0);
	}
	CHECK_EQ(end_child(child), 0);
}

static void vforked(void)
{
	static char *const argv[] = { (char *)"true", NULL };
	pid_t child = vfork();

	if (child == 0) {
		execv("/bin/true", argv);
		_exit(127);
	}
	CHECK(child > 0);
	CHECK_EQ(end_child(child), 0);
}

static void spawned(void)
{
	char *argv[] = { (char *)(uintptr_t) "true", NULL };
	pid_t child;

	CHECK_EQ(posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ),
		 0);
	CHECK_EQ(end_child(child), 0);
}

static void children(enum weir_mode mode, unsigned rounds)
{
	start_work(mode);
	for (unsigned i = 0; i < rounds; i++) {
		forked();
		vforked();
		spawned();
		ended += 3;
	}
	end_work();
}

/* --- threads that end -------------------------------------------------- */

/* Ends inside a burst, with pages in its CPU's list. */
static void leave_burst(void *unused)
{
	struct weir_burst burst;

	(void)unused;
	weir_burst_begin(pool, &burst);
	weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
}

/* Is cancelled wherever it may be: no call of weir is such a place. */
static void *cancelled(void *id)
{
	pin(allowed_cpu(*(uint8_t *)id % 2 && allowed_cpu(1) >= 0));
	/* gcc 12's sanitizer faults itself when a thread is cancelled. */
	for (unsigned n = 0; !CHECK_HAS_ASAN || n < 50; n++) {
		turn(*(uint8_t *)id, n);
		(void)weir_drain(pool, NULL, NULL);
		pthread_testcancel();
	}
	return NULL;
}

static void ends(enum weir_mode mode, unsigned rounds)
{
	create();
	oracle_init(&oracle, "page", PAGES);
	(void)weir_set_mode(pool, NULL, mode);
	for (unsigned i = 0; i < rounds; i++) {
		pthread_t thread[2];
		int err;

		run_on(allowed_cpu(0), leave_burst, NULL);
		for (unsigned t = 0; t < 2; t++)
			CHECK_EQ(pthread_create(&thread[t], NULL, cancelled,
						&ids[t]),
				 0);
		sched_yield();
		for (unsigned t = 0; t < 2; t++)
			CHECK(CHECK_HAS_ASAN || pthread_cancel(thread[t]) == 0);
		for (unsigned t = 0; t < 2; t++)
			CHECK_EQ(pthread_join(thread[t], NULL), 0);
		CHECK_EQ(oracle_out(&oracle), 0);
		/* On a polling CPU somebody has to say so. */
		for (unsigned c = 0; c < 2 && allowed_cpu(c) >= 0; c++) {
			(void)weir_drain(pool, NULL, NULL);
			pin(allowed_cpu(c));
			weir_tick(pool);
		}
		err = weir_drain(pool, NULL, NULL);
		if (mode == WEIR_MODE_POLLING && err == -EAGAIN) {
			pin(allowed_cpu(0));
			weir_tick(pool);
			err = weir_drain(pool, NULL, NULL);
		}
		CHECK_EQ(err, 0);
		check_whole(pool);
		ended += 3;
	}
	oracle_fini(&oracle);
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

/* --- the process ends -------------------------------------------------- */

static void exit_at_work(void *mode)
{
	start_work(*(enum weir_mode *)mode);
	usleep(20000);
	exit(0); /* handlers and destructors run beside the threads */
}

static void main_thread_ends(void *mode)
{
	start_work(*(enum weir_mode *)mode);
	usleep(20000);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_exit(NULL); /* the last thread ends the process, with 0 */
}

int main(int argc, char **argv)
{
	const unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 10;

	for (enum weir_mode mode = WEIR_MODE_ORDINARY; mode <= WEIR_MODE_OFF;
	     mode++) {
		for (unsigned i = 0; i < (rounds + 9) / 10; i++) {
			in_child(exit_at_work, &mode);
			in_child(main_thread_ends, &mode);
			ended += 2;
		}
	}
	for (enum weir_mode mode = WEIR_MODE_ORDINARY; mode <= WEIR_MODE_OFF;
	     mode++) {
		ends(mode, rounds);
		children(mode, rounds);
	}
	printf("figures: %u processes and threads ended while others worked\n",
	       ended);
	return 0;
}
