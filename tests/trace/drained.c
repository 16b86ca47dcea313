/* SPDX-License-Identifier: MIT */
/* drained CPU OTHER ordinary|quiet: a thread computes on CPU, with pages in
 * its list; for each number N read, the list is drained N times from OTHER,
 * filled again in between. Answers with what came of it. */
#include <weir/weir.h>

#include "helpers.h"

static struct weir_pool *pool;
static event asked, filled;

static void owner(void *arg)
{
	(void)arg;
	for (uint32_t n = 1;; n++) {
		while (!happened(&asked, n))
			;
		weir_free(pool, weir_alloc(pool, 0, 0), 0);
		tell(&filled);
	}
}

int main(int argc, char **argv)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_drain_opts drain = WEIR_DRAIN_OPTS_INIT;
	struct runner runner;
	uint32_t turns = 0;
	unsigned n;

	CHECK_EQ(argc, 4);
	opts.capacity = 16 << 20;
	opts.name = "drained";
	if (argv[3][0] == 'q')
		opts.quiet_cpus = argv[1];
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	if (weir_get_mode(pool, (unsigned)atoi(argv[1])) !=
		    (argv[3][0] == 'q' ? WEIR_MODE_QUIET
				       : WEIR_MODE_ORDINARY) ||
	    weir_set_mode(pool, argv[2], WEIR_MODE_QUIET) != 0)
		SKIP("CPU %s cannot be %s here", argv[1], argv[3]);
	pin(atoi(argv[2]));
	start_on(&runner, atoi(argv[1]), owner, NULL);
	drain.cpus = argv[1];
	drain.wait_ns = 1000000000;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (scanf("%u", &n) == 1) {
		struct weir_drain_result sum = WEIR_DRAIN_RESULT_INIT;

		while (n-- > 0) {
			struct weir_drain_result one = WEIR_DRAIN_RESULT_INIT;

			tell(&asked);
			await(&filled, ++turns);
			CHECK_EQ(weir_drain(pool, &drain, &one), 0);
			sum.by_progress += one.by_progress;
			sum.by_not_busy += one.by_not_busy;
			sum.by_membarrier += one.by_membarrier;
		}
		printf("progress %u, not busy %u, membarrier %u\n",
		       sum.by_progress, sum.by_not_busy, sum.by_membarrier);
	}
	_exit(0);
}
