/* SPDX-License-Identifier: MIT */
/* Works on a pool and prints what it counted, a line a name, in the words of
 * tests/trace/counts.bt. */
#include "shared/trace_load.h"

#include "helpers.h"

#define BYTES ((size_t)32 << 20)

static void line(const char *name, uint64_t n)
{
	if (n > 0)
		printf("@%s: %" PRIu64 "\n", name, n);
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	static struct trace_load load;
	const struct weir_stat *stat = &load.stat;
	struct weir_pool *pool;

	need_two_cpus();
	opts.capacity = BYTES;
	opts.name = "traced";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	trace_load_run(pool, BYTES, allowed_cpu(0), allowed_cpu(1));
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0); /* destroy() finds nothing */
	trace_load_read(pool, &load);
	line("refill", stat->refills);
	line("flush", stat->flushes);
	line("direct", stat->direct);
	line("drained", stat->drains);
	line("pages", stat->drained_pages);
	line("evidence[1]", stat->by_progress);
	line("evidence[2]", stat->by_not_busy);
	line("evidence[3]", stat->by_membarrier);
	line("membarrier", stat->membarriers);
	line("late", stat->late);
	line("exhausted[0]", stat->failed_nowait);
	line("exhausted[1]", stat->failed_empty);
	line("exhausted[2]", stat->failed_pending);
	line("exhausted[3]", stat->failed_lost);
	line("create[traced]", 1);
	line("destroy[traced]", 1);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return 0;
}
