/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a child keeps its parent's mark: made by _Fork() or clone(),
 * it runs no handlers. Its drains take a mark that stands for one of a thread
 * that is gone, and flush a set in use: pages are given out twice.
 *
 * Each case runs in children made in each way, which have threads and pools of
 * their own; and in a child of that child.
 */
#include <sys/wait.h>

#include <weir/fast.h>

#include "child.h"
#include "helpers.h"

#include "os/rseq.h"
#include "percpu/evidence.h"
#include "percpu/area.h"

/* This program's own, which the library calls too: what is to happen beside a
 * thread that asks for its number. */
static void (*beside_gettid)(void);

long syscall(long nr, ...)
{
	register long r10 __asm__("r10"), r8 __asm__("r8"), r9 __asm__("r9");
	long result, a, b, c;
	va_list args;

	va_start(args, nr);
	a = va_arg(args, long);
	b = va_arg(args, long);
	c = va_arg(args, long);
	r10 = va_arg(args, long);
	r8 = va_arg(args, long);
	r9 = va_arg(args, long);
	va_end(args);
	__asm__ __volatile__("syscall"
			     : "=a"(result)
			     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10),
			       "r"(r8), "r"(r9)
			     : "rcx", "r11", "memory");
	if (nr == SYS_gettid && beside_gettid != NULL) {
		void (*call)(void) = beside_gettid;

		beside_gettid = NULL;
		call();
	}
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

/* --- ways to make a child ----------------------------------------------- */

static pid_t by_fork(void)
{
	return fork();
}

/* The C library does not notice: its own number of the thread stays wrong. */
static pid_t by_clone(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
}

/* Numbers begin with 1 again: those of the parent may come once more. */
static pid_t by_clone_newpid(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWPID, 0, 0, 0, 0, 0);
}

static const struct way {
	const char *name;
	pid_t (*make)(void);
} ways[] = {
	{ "fork", by_fork },
	{ "_Fork", fork_without_handlers },
	{ "clone", by_clone },
	{ "clone into a PID namespace", by_clone_newpid },
};

#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

/* Runs body in a child; false: there are no such children here. */
static bool run_in_child(const struct way *way, void (*body)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = way->make();
	if (pid < 0) {
		CHECK(errno == EPERM || errno == EINVAL || errno == ENOSYS);
		return false;
	}
	if (pid == 0) {
		body();
		fflush(NULL);
		_exit(0);
	}
	status = end_child(pid);
	CHECK_MSG(status == 0, "a child made by %s ended with %d", way->name,
		  status);
	return true;
}

/* --- pools of the child ------------------------------------------------- */

static struct weir_pool *pool;

static void create(void *unused)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	(void)unused;
	opts.capacity = 1 << 20;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_QUIET), 0);
}

static void check_own_mark(void)
{
	CHECK_EQ(wi_mark_thread(weir_i_thread_burst), syscall(SYS_gettid));
}

static struct weir_drain_result result;
static int drained;

static void drain(void *unused)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	(void)unused;
	result = (struct weir_drain_result)WEIR_DRAIN_RESULT_INIT;
	opts.wait_ns = 5000000;
	drained = weir_drain(pool, &opts, &result);
}

/* A burst of this thread is open: no drain takes its set. */
static void in_burst(void)
{
	struct weir_burst burst;
	void *page = weir_fast_alloc(pool, 0, 0);

	pin(allowed_cpu(0));
	weir_burst_begin(pool, &burst);
	weir_fast_free(pool, page, 0);
	check_own_mark();
	run_on(allowed_cpu(1), drain, NULL);
	CHECK_EQ(drained, -EAGAIN);
	CHECK_EQ(result.cpus_pending, 1);
	weir_burst_end(pool, &burst);
	run_on(allowed_cpu(1), drain, NULL);
	CHECK_EQ(drained, 0);
}

/* --- cases -------------------------------------------------------------- */

static void first_thread_creates(void)
{
	create(NULL);
	check_own_mark();
	CHECK(pool->lists.nr_cpus != 0);
	in_burst();
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* The first thread calls nothing of weir before it uses what another made. */
static void second_thread_creates(void)
{
	run_on(allowed_cpu(1), create, NULL);
	in_burst();
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	/* The next one is as fast as any. */
	run_on(allowed_cpu(1), create, NULL);
	CHECK(pool->lists.nr_cpus != 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

static void create_and_fill(void *unused)
{
	create(unused);
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
}

/* The first thread finds pages in the list of its CPU: no slow path is needed
 * but to get its own mark. */
static void second_thread_fills(void)
{
	void *page;

	pin(allowed_cpu(0));
	run_on(allowed_cpu(0), create_and_fill, NULL);
	page = weir_fast_alloc(pool, 0, WEIR_NOWAIT);
	CHECK(page != NULL);
	weir_fast_free(pool, page, 0);
	check_own_mark();
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

static event has_number, may_end;

static void have_number(void *number)
{
	wi_rseq_thread_init();
	*(uint32_t *)number = wi_mark_thread(weir_i_thread_burst);
	tell(&has_number);
	await(&may_end, 1);
}

/* Of several threads each has a number of its own. */
static void numbers_differ(void)
{
	struct runner runner[8];
	uint32_t number[8];

	has_number = may_end = 0;
	for (unsigned i = 0; i < 8; i++)
		start_on(&runner[i], allowed_cpu(0), have_number, &number[i]);
	await(&has_number, 8);
	create(NULL);
	check_own_mark();
	for (unsigned i = 0; i < 8; i++) {
		CHECK(number[i] != wi_mark_thread(weir_i_thread_burst));
		for (unsigned j = 0; j < i; j++)
			CHECK(number[i] != number[j]);
	}
	tell(&may_end);
	for (unsigned i = 0; i < 8; i++)
		finish(&runner[i]);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

static void (*const cases[])(void) = {
	first_thread_creates,
	second_thread_creates,
	second_thread_fills,
	numbers_differ,
};

#define NR_CASES (sizeof(cases) / sizeof(cases[0]))

static unsigned nr_children;
static void (*chosen)(void);

static void in_grandchild(void)
{
	for (unsigned i = 0; i < NR_WAYS; i++)
		(void)run_in_child(&ways[i], chosen);
	chosen(); /* after its children */
}

static void each_way(const struct way *way)
{
	for (unsigned i = 0; i < NR_CASES; i++) {
		if (!run_in_child(way, cases[i]))
			return;
		chosen = cases[i];
		(void)run_in_child(way, in_grandchild);
		nr_children += 2 + NR_WAYS;
	}
}

/* --- a handler forks while its thread gets its number ------------------- */

static const struct way *way_beside;
static bool is_child, creates_there;
static int child_status;

/* As the handler of a signal that came just then. */
static void fork_here(void)
{
	pid_t pid;

	fflush(NULL);
	pid = way_beside->make();
	CHECK(pid >= 0);
	if (pid == 0) {
		is_child = true;
		if (creates_there) { /* which gets a number of its own */
			create(NULL);
			CHECK(pool->lists.nr_cpus != 0);
		}
		return;
	}
	child_status = end_child(pid);
}

static void get_number(void *unused)
{
	(void)unused;
	beside_gettid = fork_here;
	wi_rseq_thread_init();
	check_own_mark();
	if (is_child) {
		CHECK(wi_rseq_is_settled());
		if (!creates_there)
			create(NULL);
		in_burst();
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
		fflush(NULL);
		_exit(0);
	}
	CHECK_EQ(child_status, 0);
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *mine;

	need_two_cpus();
#ifdef WI_TSAN
	SKIP("this sanitizer needs to know of each child");
#endif
	if (!wi_rseq_available())
		SKIP("there are no sequences");
	opts.capacity = 1 << 20;
	CHECK_EQ(weir_pool_create(&mine, &opts), 0);
	weir_free(mine, weir_alloc(mine, 0, 0), 0);
	check_own_mark();
	for (unsigned i = 0; i < NR_WAYS; i++)
		each_way(&ways[i]);
	for (unsigned i = 0; i < 6; i++) {
		way_beside = &ways[i / 2];
		creates_there = i % 2;
		run_on(allowed_cpu(0), get_number, NULL);
	}
	CHECK_EQ(weir_pool_destroy(mine, 0), 0);
	printf("figures: about %u children, made in %zu ways\n", nr_children,
	       NR_WAYS);
	return 0;
}
