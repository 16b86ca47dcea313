/* SPDX-License-Identifier: MIT */
/*
 * If this fails, ThreadSanitizer is told too much of the sequences, or too
 * little: that a thread writes to a page which it has freed, and which another
 * has by now, must be seen; that a page goes from one to the other, and back
 * by way of a drain, must not be taken for a race.
 *
 *   race           no report
 *   race late      writes to the page after its free: a report, status 66
 */
#include <weir/fast.h>

#include "helpers.h"

static struct weir_pool *pool;
static bool late;
static uint64_t *page;
static uint32_t turn; /* relaxed: it orders nothing */

static void wait_for(uint32_t n)
{
	const uint64_t end = now_ns() + 30000000000u;

	while (__atomic_load_n(&turn, __ATOMIC_RELAXED) != n) {
		CHECK_MSG(now_ns() < end, "turn %u does not come", n);
		sched_yield();
	}
}

static void go_on(uint32_t n)
{
	__atomic_store_n(&turn, n, __ATOMIC_RELAXED);
}

static void first(void *unused)
{
	uint64_t *mine = weir_fast_alloc(pool, 0, 0);

	(void)unused;
	CHECK(mine != NULL);
	mine[0] = 1;
	__atomic_store_n(&page, mine, __ATOMIC_RELAXED);
	weir_fast_free(pool, mine, 0);
	go_on(1);
	wait_for(2);
	if (late)
		mine[0] = 2;
	go_on(3);
}

static void second(void *unused)
{
	uint64_t *mine;

	(void)unused;
	wait_for(1);
	mine = weir_fast_alloc(pool, 0, 0);
	CHECK(mine == __atomic_load_n(&page, __ATOMIC_RELAXED));
	mine[0] = 3;
	go_on(2);
	wait_for(3);
	weir_fast_free(pool, mine, 0);
	go_on(4);
}

/* On another CPU: gets the page by a drain. */
static void third(void *unused)
{
	uint64_t *mine[1024];
	size_t n;

	(void)unused;
	wait_for(4);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	n = weir_alloc_upto(pool, 0, (void **)mine, 1024, 0);
	CHECK_EQ(n, 1024);
	for (size_t i = 0; i < n; i++)
		mine[i][0] = 4;
	weir_free_bulk(pool, 0, (void **)mine, n);
}

int main(int argc, char **argv)
{
	static const enum weir_mode modes[] = { WEIR_MODE_ORDINARY,
						WEIR_MODE_QUIET };
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct runner runner[3];

	need_two_cpus();
	late = argc > 1 && strcmp(argv[1], "late") == 0;
	for (unsigned i = 0; i < 2; i++) {
		opts.capacity = 1024 * 4096;
		opts.quiet_cpus = "";
		opts.wait_ns = 1000000000;
		CHECK_EQ(weir_pool_create(&pool, &opts), 0);
		if (weir_set_mode(pool, NULL, modes[i]) == -EOPNOTSUPP)
			SKIP("no sequences here");
		go_on(0);
		start_on(&runner[0], allowed_cpu(0), first, NULL);
		start_on(&runner[1], allowed_cpu(0), second, NULL);
		start_on(&runner[2], allowed_cpu(1), third, NULL);
		for (unsigned k = 0; k < 3; k++)
			finish(&runner[k]);
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	}
	printf("figures: 2 modes, page passed by list and by drain\n");
	return 0;
}
