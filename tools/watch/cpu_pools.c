/* SPDX-License-Identifier: MIT */
/* Drains of pools, CPU by CPU: see watch_pools.h. */
#include "watch/cpu_pools.h"

#include <stdlib.h>

#include "api/watch.h" /* raw names, without a file each */
#include "common/tool.h"

static void read_pool(const struct watch_pools *pools, struct watch_pool *pool)
{
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;
	struct watch_drains *before = pool->before;
	unsigned cpu = wi_cpuset_next(pools->cpus, 0);

	pool->before = pool->now;
	pool->now = before;
	if (weir_watch_info(pool->watch, &info) != 0)
		return;
	for (unsigned i = 0; i < pools->nr_cpus;
	     i++, cpu = wi_cpuset_next(pools->cpus, cpu + 1)) {
		struct watch_drains *now = &pool->now[i];

		*now = (struct watch_drains){ 0 };
		for (unsigned zone = 0; zone < info.nr_zones; zone++) {
			struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;

			if (weir_watch_read_cpu(pool->watch, zone, cpu,
						&stat) != 0)
				continue;
			now->progress += stat.by_progress;
			now->not_busy += stat.by_not_busy;
			now->membarrier += stat.by_membarrier;
			now->late += stat.late;
		}
	}
}

static void forget(struct watch_pool *pool)
{
	weir_watch_close(pool->watch);
	free(pool->before);
	free(pool->now);
}

static struct watch_pool *find(struct watch_pools *pools,
			       const struct weir_watch_id *id)
{
	for (unsigned i = 0; i < pools->nr; i++)
		if (pools->pool[i].pid == id->pid &&
		    pools->pool[i].number == id->number)
			return &pools->pool[i];
	return NULL;
}

/* A new one, with counters of 0: it was made since the last time. */
static bool add(struct watch_pools *pools, const struct weir_watch_id *id,
		const char *raw_name)
{
	struct watch_pool *pool;

	if (pools->nr == pools->capacity) {
		unsigned capacity = pools->capacity ? 2 * pools->capacity : 8;

		pool = realloc(pools->pool, capacity * sizeof(*pool));
		if (!pool)
			return false;
		pools->pool = pool;
		pools->capacity = capacity;
	}
	pool = &pools->pool[pools->nr];
	*pool = (struct watch_pool){ .pid = id->pid, .number = id->number };
	tool_harmless(pool->name, sizeof(pool->name), raw_name);
	if (weir_watch_open(&pool->watch, id) != 0)
		return false;
	pool->before = calloc(pools->nr_cpus, sizeof(*pool->before));
	pool->now = calloc(pools->nr_cpus, sizeof(*pool->now));
	if (!pool->before || !pool->now) {
		forget(pool);
		return false;
	}
	pool->listed = true;
	pools->nr++;
	return true;
}

static int look_at(const struct weir_watch_id *id, const char *raw_name,
		   void *ctx)
{
	struct watch_pools *pools = ctx;
	struct watch_pool *pool = find(pools, id);

	if (pool)
		pool->listed = true;
	else
		add(pools, id, raw_name);
	return 0;
}

void watch_pools_read(struct watch_pools *pools)
{
	struct wi_watch_listing listing = { .each = look_at, .ctx = pools };
	unsigned kept = 0;

	for (unsigned i = 0; i < pools->nr; i++) {
		if (pools->pool[i].listed)
			pools->pool[kept++] = pools->pool[i];
		else /* it was shown once more after its end */
			forget(&pools->pool[i]);
	}
	pools->nr = kept;
	for (unsigned i = 0; i < pools->nr; i++)
		pools->pool[i].listed = false;
	watched_raise_limit();
	wi_watch_list(&listing, 0);
	for (unsigned i = 0; i < pools->nr; i++)
		read_pool(pools, &pools->pool[i]);
}

void watch_pools_free(struct watch_pools *pools)
{
	for (unsigned i = 0; i < pools->nr; i++)
		forget(&pools->pool[i]);
	free(pools->pool);
	*pools = (struct watch_pools){ 0 };
}

/* Words of another process: they may go back, and then tell nothing. */
static uint64_t between(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

struct watch_drains watch_pools_moved(const struct watch_pool *pool, unsigned i)
{
	const struct watch_drains *before = &pool->before[i];
	const struct watch_drains *now = &pool->now[i];

	return (struct watch_drains){
		.progress = between(before->progress, now->progress),
		.not_busy = between(before->not_busy, now->not_busy),
		.membarrier = between(before->membarrier, now->membarrier),
		.late = between(before->late, now->late),
	};
}

struct watch_drains watch_pools_sum(const struct watch_pools *pools, unsigned i)
{
	struct watch_drains sum = { 0 };

	for (unsigned p = 0; p < pools->nr; p++) {
		struct watch_drains its = watch_pools_moved(&pools->pool[p], i);

		sum.progress += its.progress;
		sum.not_busy += its.not_busy;
		sum.membarrier += its.membarrier;
		sum.late += its.late;
	}
	return sum;
}
