/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool is unmapped under its user, or one that is no longer
 * used cannot be destroyed, or the message does not say which pages are
 * missing.
 */
#include <weir/cache.h>
#include <weir/watch.h>

#include "helpers.h"

static struct weir_pool *pool;

static void create(unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = 600 * 4096;
	opts.quiet_cpus = "";
	opts.flags = flags;
	opts.wait_ns = 1000000;
	opts.name = "leaky";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
}

/* What a call prints on standard error. */
static int destroy(unsigned flags, char *said, size_t len)
{
	int ends[2], before = dup(STDERR_FILENO), err;
	ssize_t n;

	CHECK_EQ(pipe(ends), 0);
	fflush(stderr);
	dup2(ends[1], STDERR_FILENO);
	err = weir_pool_destroy(pool, flags);
	fflush(stderr);
	dup2(before, STDERR_FILENO);
	close(before);
	close(ends[1]);
	n = read(ends[0], said, len - 1);
	CHECK(n >= 0);
	said[n] = '\0';
	close(ends[0]);
	return err;
}

static unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static void pages_out(unsigned flags)
{
	char said[4096], pointer[32];
	void *page[20];

	create(flags);
	for (unsigned i = 0; i < 20; i++)
		CHECK((page[i] = weir_alloc(pool, 0, 0)) != NULL);
	/* Refused; the pool goes on working. */
	CHECK_EQ(destroy(0, said, sizeof(said)), -EBUSY);
	CHECK_EQ(said[0], 0);
	CHECK_EQ(strncmp(weir_last_error(), "20 pages", 8), 0);
	weir_free(pool, page[0], 0);
	page[0] = weir_alloc(pool, 0, 0);
	CHECK(page[0] != NULL);
	/* Told which: the first 16. */
	CHECK_EQ(destroy(WEIR_DESTROY_LIST, said, sizeof(said)), -EBUSY);
	CHECK_EQ(lines(said), 17);
	for (unsigned i = 1; i < 20; i++)
		weir_free(pool, page[i], 0);
	CHECK_EQ(destroy(WEIR_DESTROY_LIST, said, sizeof(said)), -EBUSY);
	CHECK_EQ(lines(said), 1);
	snprintf(pointer, sizeof(pointer), "%p", page[0]);
	CHECK(strstr(said, pointer) != NULL);
	CHECK(strstr(said, "weir: pool \"leaky\": ") == said);
	CHECK_EQ(destroy(WEIR_DESTROY_FORCE, said, sizeof(said)), 0);
	CHECK_EQ(said[0], 0);
}

/* Pages in other CPUs' lists are not out. */
static void leave_some(void *unused)
{
	(void)unused;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
}

static void pages_in_lists(enum weir_mode mode)
{
	create(0);
	if (weir_set_mode(pool, NULL, mode) == 0)
		for (unsigned i = 0; allowed_cpu(i) >= 0; i++)
			run_on(allowed_cpu(i), leave_some, NULL);
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "mode %d: %s", (int)mode,
		  weir_last_error());
}

static void nothing(void)
{
	CHECK_EQ(weir_pool_destroy(NULL, 0), 0);
	CHECK_EQ(weir_cache_destroy(NULL), 0);
	weir_watch_close(NULL);
}

int main(void)
{
	nothing();
	pages_out(0);
	pages_out(WEIR_POOL_CHECKED);
	pages_out(WEIR_POOL_NO_RSEQ);
	pages_in_lists(WEIR_MODE_ORDINARY);
	pages_in_lists(WEIR_MODE_QUIET);
	pages_in_lists(WEIR_MODE_POLLING);
	pages_in_lists(WEIR_MODE_OFF);
	return 0;
}
