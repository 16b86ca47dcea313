/* SPDX-License-Identifier: MIT */
/*
 * If this fails, the pages of a CPU whose poll loop has ended cannot be taken
 * back, though the caller lets it be interrupted; or a drain that was not let
 * so asks membarrier.
 */
#include <weir/fast.h>

#include "helpers.h"

static struct weir_pool *pool;

/* A poll loop that ends with pages in its list. */
static void poll_once(void *unused)
{
	(void)unused;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	weir_tick(pool);
}

static int drain(const char *cpus, unsigned flags, uint64_t want_pages,
		 struct weir_drain_result *result)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	*result = (struct weir_drain_result)WEIR_DRAIN_RESULT_INIT;
	opts.cpus = cpus;
	opts.flags = flags;
	opts.want_pages = want_pages;
	opts.wait_ns = 5000000;
	return weir_drain(pool, &opts, result);
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_drain_result result;
	char cpus[16];

	need_two_cpus();
	opts.capacity = 1 << 20;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	if (weir_set_mode(pool, "", WEIR_MODE_ORDINARY) != 0 ||
	    weir_set_mode(pool, NULL, WEIR_MODE_POLLING) == -EOPNOTSUPP)
		SKIP("there are no sequences, or no membarrier for them");
	pin(allowed_cpu(0));
	weir_tick(pool);
	run_on(allowed_cpu(1), poll_once, NULL);
	(void)weir_set_mode(pool, NULL, WEIR_MODE_POLLING);
	CHECK_EQ(weir_get_mode(pool, (unsigned)allowed_cpu(1)),
		 WEIR_MODE_POLLING);
	snprintf(cpus, sizeof(cpus), "%d", allowed_cpu(1));
	for (uint64_t want_pages = 0; want_pages <= 1; want_pages++) {
		run_on(allowed_cpu(1), poll_once, NULL);
		CHECK_EQ(drain(cpus, 0, 0, &result), -EAGAIN);
		CHECK(result.pending > 0);
		CHECK_EQ(result.by_membarrier, 0);
		/* CPUs must be named, and flags known. */
		CHECK_EQ(drain(NULL, WEIR_DRAIN_INTERRUPT, 0, &result),
			 -EINVAL);
		CHECK_EQ(drain(cpus, 0x80, 0, &result), -EINVAL);
		CHECK_EQ(drain(cpus, WEIR_DRAIN_INTERRUPT, want_pages, &result),
			 0);
		CHECK(result.pages > 0);
		CHECK_EQ(result.pending, 0);
		CHECK_EQ(result.by_membarrier, 1);
	}
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return 0;
}
