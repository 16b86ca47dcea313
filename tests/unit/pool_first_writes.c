/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an allocation or a free writes to metadata that was only read
 * before, for which the kernel exchanges a page and flushes the TLB of every
 * CPU that runs the process: quiet CPUs are interrupted.
 *
 * Such a page faults twice: when it is read, and when it is written. So it
 * shows in the number of faults, on any kernel and however busy the machine is.
 */
#include <sys/resource.h>

#include <weir/stat.h>

#include "helpers.h"

#define MIB (UINT64_C(1) << 20)
#define RUN (UINT64_C(512) * 4096)
#define RUNS_MAX 32768

static void *run[RUNS_MAX];

static long faults(void)
{
	struct rusage usage;

	CHECK_EQ(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_minflt;
}

/* Every block out and back, after the statistics read every state. */
static long faults_of(uint64_t bytes, unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	const uint64_t nr = bytes / RUN;
	struct weir_pool *pool;
	long before;

	opts.capacity = bytes;
	opts.flags = flags;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	before = faults();
	CHECK_EQ(weir_alloc_bulk(pool, 9, run, nr, WEIR_NOWAIT), 0);
	if (!(flags & WEIR_POOL_CHECKED)) /* which would fill the pages */
		weir_free_bulk(pool, 9, run, nr);
	before = faults() - before;
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), 0);
	printf("%" PRIu64 " MiB, flags %#x: %ld faults\n", bytes / MIB, flags,
	       before);
	return before;
}

int main(void)
{
	struct rlimit limit;

	if (CHECK_HAS_ASAN || CHECK_HAS_TSAN)
		SKIP("a sanitizer's shadow has faults of its own");
	memset(run, 1, sizeof(run));
	CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
	if (limit.rlim_cur != RLIM_INFINITY)
		SKIP("address space is limited");
	/* 32 pages of states, that the statistics have read. */
	CHECK(faults_of(RUNS_MAX * RUN, 0) < 24);
	CHECK(faults_of(RUNS_MAX * RUN, WEIR_POOL_HIDDEN) < 24);
	/* 64 pages of check bytes, that nobody has. */
	CHECK(faults_of(512 * RUN, WEIR_POOL_CHECKED) < 64 + 24);
	return 0;
}
