/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a forked child hands out its parent's pages, or harms the
 * parent, or cannot make a pool of its own.
 */
#include <sys/wait.h>

#include <weir/fast.h>
#include <weir/stat.h>

#include "helpers.h"

static struct weir_pool *pool;

static struct weir_pool *make(unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *made;

	opts.capacity = 1000 * 4096;
	opts.flags = flags;
	CHECK_MSG(weir_pool_create(&made, &opts) == 0, "%s", weir_last_error());
	return made;
}

/* It fails, and what an earlier call said is no reason of this one. */
#define FAILS(call, error)                                                     \
	do {                                                                   \
		CHECK_EQ(weir_pool_create(&(struct weir_pool *){ NULL },       \
					  NULL),                               \
			 -EINVAL);                                             \
		CHECK_EQ(call, error);                                         \
		CHECK_EQ(strcmp(weir_last_error(), ""), 0);                    \
	} while (0)

/* Every call fails with ESTALE, or does nothing. */
static void stale(void *page)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;
	struct weir_burst burst;
	void *pages[2] = { page, page };

	errno = 0;
	CHECK(weir_alloc(pool, 0, 0) == NULL);
	CHECK_EQ(errno, ESTALE);
	errno = 0;
	CHECK(weir_fast_alloc(pool, 3, WEIR_NOWAIT) == NULL);
	CHECK_EQ(errno, ESTALE);
	CHECK(weir_alloc(pool, 99, 0) == NULL);
	CHECK_EQ(errno, ESTALE);
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, 2, 0), -ESTALE);
	errno = 0;
	CHECK_EQ(weir_alloc_upto(pool, 0, pages, 2, 0), 0);
	CHECK_EQ(errno, ESTALE);
	weir_free(pool, page, 0);
	weir_fast_free(pool, page, 0);
	weir_free_bulk(pool, 0, pages, 2);
	weir_fast_free_bulk(pool, 0, pages, 2);
	weir_burst_begin(pool, &burst);
	weir_burst_end(pool, &burst);
	weir_tick(pool);
	weir_fast_tick(pool);
	FAILS(weir_drain(pool, NULL, NULL), -ESTALE);
	FAILS(weir_maintain(pool, 5, NULL), -ESTALE);
	FAILS(weir_set_mode(pool, NULL, WEIR_MODE_OFF), -ESTALE);
	FAILS(weir_get_mode(pool, 0), -ESTALE);
	FAILS(weir_pool_range(pool, NULL, NULL, NULL), -ESTALE);
	FAILS(weir_stat_read(pool, &stat), -ESTALE);
	FAILS(weir_stat_read_zone(pool, 0, &zone), -ESTALE);
	FAILS(weir_stat_read_cpu(pool, 0, 0, &cpu), -ESTALE);
	FAILS(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), -ESTALE);
}

/* A pool of the child's own works, in all modes. */
static void own(void)
{
	struct weir_pool *mine = make(0);
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_burst burst;
	void *pages[1001];

	weir_set_mode(mine, NULL, WEIR_MODE_QUIET);
	weir_burst_begin(mine, &burst);
	CHECK_EQ(weir_alloc_upto(mine, 0, pages, 1001, 0), 1000);
	weir_free_bulk(mine, 0, pages, 1000);
	weir_burst_end(mine, &burst);
	pages[0] = weir_alloc(mine, 2, 0);
	CHECK(pages[0] != NULL);
	weir_free(mine, pages[0], 2);
	CHECK_EQ(weir_drain(mine, NULL, NULL), 0);
	CHECK_EQ(weir_stat_read_zone(mine, 99, &zone), -EINVAL);
	CHECK_EQ(strncmp(weir_last_error(), "zone", 4), 0);
	CHECK_EQ(weir_pool_destroy(mine, 0), 0);
}

static void fork_once(unsigned flags)
{
	struct weir_stat before = WEIR_STAT_INIT, after = WEIR_STAT_INIT;
	struct weir_burst burst;
	char *page;
	int status;
	pid_t child;

	pool = make(flags);
	page = weir_alloc(pool, 0, 0);
	page[7] = 42;
	weir_set_mode(pool, NULL, WEIR_MODE_QUIET);
	weir_burst_begin(pool, &burst);
	weir_stat_read(pool, &before);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		weir_burst_end(pool, &burst); /* the parent's */
		stale(page);
		own();
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	weir_stat_read(pool, &after);
	CHECK_EQ(before.out, after.out);
	CHECK_EQ(before.free, after.free);
	CHECK_EQ(before.operations, after.operations);
	CHECK_EQ(page[7], 42);
	weir_burst_end(pool, &burst);
	weir_free(pool, page, 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	fork_once(0);
	fork_once(WEIR_POOL_CHECKED);
	fork_once(WEIR_POOL_NO_RSEQ);
	return 0;
}
