/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a child that a signal handler forks in the middle of a call
 * cannot do what weir.h lets it: find its parent's pools stale, make pools of
 * its own, leave the handler by siglongjmp(), end. Or its parent's call does
 * not go on as if nothing had happened.
 */
#include <setjmp.h>
#include <sys/time.h>

#include <weir/fast.h>

#include "base/atomic.h"
#include "fault.h"

#define PAGES 2048

static struct weir_pool *pool;
static volatile sig_atomic_t nr_forks, nr_left;
static sigjmp_buf main_loop;

static pid_t make_child(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
	if (nr_forks % 2)
		return _Fork();
#endif
	return fork();
}

static struct weir_pool *make_pool(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *made;

	opts.capacity = (uint64_t)PAGES * 4096;
	opts.quiet_cpus = "";
	CHECK_MSG(weir_pool_create(&made, &opts) == 0, "%s", weir_last_error());
	return made;
}

/* In the handler, or after it was left. */
static void live_as_child(void)
{
	struct weir_pool *mine;
	void *page;

	errno = 0;
	CHECK(weir_fast_alloc(pool, 0, 0) == NULL);
	CHECK_EQ(errno, ESTALE);
	CHECK_EQ(weir_drain(pool, NULL, NULL), -ESTALE);
	mine = make_pool();
	(void)weir_set_mode(mine, NULL, WEIR_MODE_QUIET);
	for (unsigned order = 0; order < 6; order++) {
		page = weir_alloc(mine, order, 0);
		CHECK(page != NULL);
		weir_free(mine, page, order);
	}
	CHECK_EQ(weir_drain(mine, NULL, NULL), 0);
	CHECK_EQ(weir_pool_destroy(mine, 0), 0);
	_exit(0);
}

static void on_timer(int signal)
{
	int saved = errno, status;
	pid_t pid = make_child();

	(void)signal;
	if (pid == 0) {
		setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
		if (nr_forks % 4 < 2)
			live_as_child();
		siglongjmp(main_loop, 1);
	}
	if (pid > 0) {
		nr_forks++;
		while (waitpid(pid, &status, 0) < 0)
			if (errno != EINTR)
				_exit(3);
		nr_left += status == 0;
	}
	errno = saved;
}

/* Every call that a handler may interrupt at any place: slow paths, mostly. */
static void work(unsigned n)
{
	static void *pages[300];
	struct weir_burst burst;
	unsigned order = n % 6;
	void *page;

	weir_burst_begin(pool, &burst);
	page = weir_alloc(pool, order, n % 2 ? WEIR_NOWAIT : 0);
	weir_free(pool, page, order);
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, 300, 0), 0);
	weir_free_bulk(pool, 0, pages, 300);
	weir_burst_end(pool, &burst);
	(void)weir_drain(pool, NULL, NULL);
	weir_tick(pool);
}

int main(int argc, char **argv)
{
	static const enum weir_mode modes[] = { WEIR_MODE_ORDINARY,
						WEIR_MODE_QUIET,
						WEIR_MODE_OFF };
	const double seconds = argc > 1 ? atof(argv[1]) : 1;
	const struct itimerval often = { { 0, 1700 }, { 0, 1700 } };
	struct sigaction action = { .sa_handler = on_timer };

#ifdef WI_TSAN
	SKIP("this sanitizer needs to know of each child");
#endif
	CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t end = now_ns() + (uint64_t)(seconds * 3e8);

		pool = make_pool();
		(void)weir_set_mode(pool, NULL, modes[i]);
		if (sigsetjmp(main_loop, 1) != 0)
			live_as_child();
		setitimer(ITIMER_REAL, &often, NULL);
		for (unsigned n = 0; now_ns() < end; n++)
			work(n);
		setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
		use_up(pool);
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	}
	CHECK(nr_forks > 0);
	CHECK_MSG(nr_forks == nr_left, "%d children, of which %d ended well",
		  (int)nr_forks, (int)nr_left);
	printf("figures: %d children forked by handlers inside of calls\n",
	       (int)nr_forks);
	return 0;
}
