/* SPDX-License-Identifier: MIT */
/*
 * If this fails, the owner of a token cache cannot see what its lists hold, or
 * cannot have idle CPUs drained, as that of a pool can.
 */
#include <sys/wait.h>

#include <weir/cache.h>

#include "helpers.h"

#define TOKENS 300
#define BATCH 16

static struct weir_cache *cache;
static uint64_t left; /* in the back end */

static size_t get(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	size_t got = n < left ? n : left;

	(void)context, (void)list;
	for (size_t i = 0; i < got; i++)
		tokens[i] = left--;
	return got;
}

static void put(void *context, unsigned list, const uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)tokens;
	left += n;
}

static void create(unsigned flags)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	left = TOKENS;
	opts.backend.get = get;
	opts.backend.put = put;
	opts.nr_lists = 7;
	opts.batch = BATCH;
	opts.quiet_cpus = "";
	opts.flags = flags;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
}

static struct weir_cache_stat read_all(void)
{
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;
	uint64_t cached = 0, pending = 0, operations = 0, late = 0;

	CHECK_EQ(weir_cache_stat_read(cache, &stat), 0);
	CHECK_EQ(stat.nr_lists, 7);
	for (unsigned cpu = 0; cpu < stat.nr_cpus; cpu++) {
		struct weir_cache_stat_cpu its = WEIR_CACHE_STAT_CPU_INIT;
		uint64_t count = 0;

		CHECK_EQ(weir_cache_stat_read_cpu(cache, cpu, &its), 0);
		CHECK_EQ(its.mode, weir_cache_get_mode(cache, cpu));
		for (unsigned list = 0; list < 7; list++)
			count += its.list[list].count;
		CHECK_EQ(its.cached, count);
		cached += its.cached;
		pending += its.pending;
		operations += its.operations;
		late += its.late;
	}
	CHECK_EQ(stat.cached, cached);
	CHECK_EQ(stat.pending, pending);
	CHECK_EQ(stat.operations, operations);
	CHECK_EQ(stat.late, late);
	CHECK_EQ(stat.cached + stat.pending + left, TOKENS);
	return stat;
}

/* Gets and puts back through list 6. */
static void use(void *unused)
{
	uint64_t token = weir_cache_get(cache, 6, WEIR_NOWAIT);

	(void)unused;
	CHECK(token != WEIR_CACHE_NONE);
	weir_cache_put(cache, 6, token);
}

static void counts(unsigned flags)
{
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	struct weir_cache_stat_cpu its = WEIR_CACHE_STAT_CPU_INIT;
	const unsigned cpu = (unsigned)allowed_cpu(0);
	struct weir_cache_stat stat;
	uint64_t token[TOKENS + 1];

	create(flags);
	CHECK_EQ(read_all().cached, 0);
	run_on((int)cpu, use, NULL);
	stat = read_all();
	CHECK_EQ(stat.cached, BATCH);
	CHECK_EQ(stat.refills, 1);
	CHECK(stat.operations >= 2);
	CHECK_EQ(weir_cache_stat_read_cpu(cache, cpu, &its), 0);
	CHECK_EQ(its.list[6].count, BATCH);
	CHECK_EQ(its.list[6].high, 256);

	/* Not idle the first time. */
	CHECK_EQ(weir_cache_maintain(cache, &result), 0);
	CHECK_EQ(result.pages, 0);
	CHECK_EQ(weir_cache_maintain_wait(cache, WEIR_WAIT_FOREVER, &result),
		 0);
	CHECK_EQ(result.pages, BATCH);
	stat = read_all();
	CHECK_EQ(stat.cached, 0);
	CHECK_EQ(stat.drains, 1);
	CHECK_EQ(stat.drained_tokens, BATCH);
	CHECK_EQ(stat.by_progress + stat.by_not_busy + stat.by_membarrier, 1);

	CHECK_EQ(weir_cache_get_bulk(cache, 0, token, TOKENS + 1, WEIR_NOWAIT),
		 -EAGAIN);
	CHECK_EQ(weir_cache_get_bulk(cache, 0, token, TOKENS + 1, 0), -ENOMEM);
	stat = read_all();
	CHECK_EQ(stat.failed_nowait, 1);
	CHECK_EQ(stat.failed_empty, 1);
	CHECK_EQ(weir_cache_destroy(cache), 0);
}

static void errors(void)
{
	struct weir_cache_stat_cpu its = WEIR_CACHE_STAT_CPU_INIT;
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;
	struct weir_drain_result result = { .size = 1, .pages = 77 };

	create(0);
	CHECK_EQ(weir_cache_stat_read_cpu(cache, 1u << 20, &its), -EINVAL);
	CHECK_EQ(weir_cache_get_mode(cache, 1u << 20), -EINVAL);
	CHECK_EQ(strncmp(weir_last_error(), "cpu", 3), 0);
	CHECK_EQ(weir_cache_maintain(cache, &result), -EINVAL);
	CHECK_EQ(result.pages, 77);
	stat.size = its.size = 3;
	CHECK_EQ(weir_cache_stat_read(cache, &stat), -EINVAL);
	CHECK(strstr(weir_last_error(), "WEIR_CACHE_STAT_INIT") != NULL);
	CHECK_EQ(weir_cache_stat_read_cpu(cache, 0, &its), -EINVAL);
	CHECK_EQ(weir_cache_set_mode(cache, NULL, WEIR_MODE_OFF), 0);
	CHECK_EQ(weir_cache_get_mode(cache, (unsigned)allowed_cpu(0)),
		 WEIR_MODE_OFF);
	CHECK_EQ(weir_cache_destroy(cache), 0);
}

static void in_child(void)
{
	struct weir_cache_stat_cpu its = WEIR_CACHE_STAT_CPU_INIT;
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;
	int status;
	pid_t child;

	create(0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK_EQ(weir_cache_stat_read(cache, &stat), -ESTALE);
		CHECK_EQ(weir_cache_stat_read_cpu(cache, 0, &its), -ESTALE);
		CHECK_EQ(weir_cache_get_mode(cache, 0), -ESTALE);
		CHECK_EQ(weir_cache_maintain(cache, NULL), -ESTALE);
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	CHECK_EQ(weir_cache_destroy(cache), 0);
}

int main(void)
{
	counts(0);
	counts(WEIR_POOL_NO_RSEQ);
	errors();
	in_child();
	return 0;
}
