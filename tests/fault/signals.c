/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a signal handler that frees and allocates, on a stack as small
 * as its user gave it, at whatever instruction it comes, loses pages or
 * overruns that stack.
 */
#include <sys/mman.h>
#include <sys/time.h>

#include <weir/fast.h>

#include "fault.h"

#define PAGES 2048
#define STACK (64 << 10)
/* weir.h: what a call takes of a signal handler's stack at most. */
#define PROMISED (8 << 10)

static struct weir_pool *pool;
static char *stack;		 /* of signal handlers; painted */
static uint64_t handled, inside; /* by the one thread there is */
static void *kept[600];
static volatile unsigned nr_kept;
/* The handler does nothing. Volatile: to gcc raise() is a leaf, which touches
 * nothing of this file. */
static volatile bool plain;

static void in_handler(int number)
{
	void *page;

	(void)number;
	handled++;
	if (plain)
		return;
	/* So many that lists are filled and flushed, and zones claimed. */
	for (unsigned i = 0; i < 20; i++) {
		page = weir_alloc(pool, 0, WEIR_NOWAIT);
		if (page != NULL && nr_kept < 600)
			kept[nr_kept++] = page;
		else
			weir_free(pool, page, 0);
	}
	weir_free(pool, weir_alloc(pool, 2, WEIR_NOWAIT), 2);
	weir_free(pool, weir_alloc(pool, 5, WEIR_NOWAIT), 5);
	weir_tick(pool);
	if (handled % 8 == 0) {
		weir_free_bulk(pool, 0, kept, nr_kept);
		nr_kept = 0;
	}
	inside++;
}

static void use_stack(void)
{
	const stack_t alternative = { .ss_sp = stack, .ss_size = STACK };
	struct sigaction action = { .sa_handler = in_handler,
				    .sa_flags = SA_ONSTACK | SA_RESTART };

	CHECK_EQ(sigaltstack(&alternative, NULL), 0);
	CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
}

static size_t stack_used(void)
{
	size_t i = 0;

	while (i < STACK && stack[i] == 0x5a)
		i++;
	return STACK - i;
}

static void storm(uint64_t until)
{
	const struct itimerval often = { { 0, 100 }, { 0, 100 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	const uint64_t end = now_ns() + until;
	struct weir_burst burst;
	void *pages[32];

	CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
	while (now_ns() < end) {
		weir_burst_begin(pool, &burst);
		for (unsigned i = 0; i < 50; i++)
			weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
		weir_burst_end(pool, &burst);
		if (weir_fast_alloc_bulk(pool, 0, pages, 32, 0) == 0)
			weir_fast_free_bulk(pool, 0, pages, 32);
		(void)weir_drain(pool, NULL, NULL);
		(void)weir_maintain(pool, 100, NULL);
	}
	CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
	weir_free_bulk(pool, 0, kept, nr_kept);
	nr_kept = 0;
	check_whole(pool);
}

static size_t with(unsigned flags, enum weir_mode mode, uint64_t ns)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	size_t used, needed;

	opts.capacity = PAGES * 4096;
	opts.flags = flags;
	opts.quiet_cpus = "";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	(void)weir_set_mode(pool, NULL, mode);
	memset(stack, 0x5a, STACK);
	plain = true;
	raise(SIGALRM);
	used = stack_used();
	plain = false;
	raise(SIGALRM);
	storm(ns);
	/* What the kernel puts there is not weir's. */
	needed = stack_used() - used;
	(void)weir_drain(pool, NULL, NULL);
	weir_tick(pool);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	use_up(pool);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return needed;
}

int main(int argc, char **argv)
{
	const uint64_t ns =
		argc > 1 ? (uint64_t)(atof(argv[1]) * 1e8) : 100000000;
	size_t most = 0;

	stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(stack != MAP_FAILED);
	use_stack();
	pin(allowed_cpu(0));
	for (unsigned i = 0; i < 6; i++) {
		size_t used =
			with(i == 4   ? WEIR_POOL_CHECKED
			     : i == 5 ? WEIR_POOL_NO_RSEQ
				      : 0,
			     i < 4 ? (enum weir_mode)i : WEIR_MODE_ORDINARY,
			     ns);

		if (used > most)
			most = used;
	}
	CHECK(inside > 100);
	if (!CHECK_HAS_ASAN)
		CHECK_MSG(most <= PROMISED, "a handler took %zu bytes", most);
	printf("figures: %" PRIu64 " signals inside of operations, %zu bytes "
	       "of their stack at most\n",
	       inside, most);
	return 0;
}
