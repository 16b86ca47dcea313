/* SPDX-License-Identifier: MIT */
/* A pool's maintenance thread. */
#include <errno.h>
#include <stdio.h>

#include <weir/request.h>

#include "api/drains.h"
#include "api/pool.h"
#include "api/sized.h"
#include "os/report.h"

#define DEFAULT_INTERVAL_NS 10000000

static void maintain_once(void *ctx)
{
	struct wi_pool *pool = ctx;

	/* What is pending, or failed, is for the next time. */
	(void)weir_maintain(pool->handle, pool->maintain_reserve, NULL);
}

/* Those of this thread's affinity on which it disturbs nobody. */
static int find_cpus(const struct wi_pool *pool, struct wi_cpuset *cpus)
{
	int err = wi_os_affinity(cpus->word, WI_ARRAY_SIZE(cpus->word));

	if (err != 0)
		return err;
	for (unsigned cpu = 0; cpu < wi_percpu_nr_cpus(&pool->cache.drain);
	     cpu++) {
		enum weir_mode mode = wi_public_mode_of_cpu(&pool->cache, cpu);

		if (mode == WEIR_MODE_QUIET || mode == WEIR_MODE_POLLING)
			wi_cpuset_clear(cpus, cpu);
	}
	if (wi_cpuset_count(cpus) > 0)
		return 0;
	wi_report("every CPU that this thread may use is quiet or polling");
	return -ENODEV;
}

static int start_maintaining(struct wi_pool *pool,
			     const struct weir_maintain_opts *opts)
{
	struct weir_maintain_opts o = WEIR_MAINTAIN_OPTS_INIT;
	struct wi_cpuset cpus;
	struct wi_os_work work = {
		.step = maintain_once,
		.ctx = pool,
		.cpus = cpus.word,
		.nr_words = WI_ARRAY_SIZE(cpus.word),
	};
	char name[48];
	int err = 0;

	if (opts != NULL)
		err = wi_sized_in(WI_SIZED_MAINTAIN_OPTS, &o, opts);
	if (err != 0)
		return err;
	if (pool->maintainer != NULL) {
		wi_report("the pool has a maintenance thread");
		return -EBUSY;
	}
	err = find_cpus(pool, &cpus);
	if (err != 0)
		return err;
	snprintf(name, sizeof(name), "weir:%s", pool->name);
	work.name = name;
	work.interval_ns =
		o.interval_ns != 0 ? o.interval_ns : DEFAULT_INTERVAL_NS;
	pool->maintain_reserve = o.reserve_pages;
	err = wi_os_worker_start(&pool->maintainer, &work);
	if (err != 0) {
		pool->maintainer = NULL;
		wi_report("the system refused a thread (errno %d)", -err);
	}
	return err;
}

int weir_maintain_start(struct weir_pool *handle,
			const struct weir_maintain_opts *opts)
{
	struct wi_pool *pool = wi_pool_of(handle);
	int cancel, err;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	cancel = wi_os_cancel_put_off();
	err = start_maintaining(pool, opts);
	wi_os_cancel_allow(cancel);
	return err;
}

void wi_pool_stop_maintaining(struct wi_pool *pool)
{
	if (pool->maintainer != NULL)
		wi_os_worker_stop(pool->maintainer);
	pool->maintainer = NULL;
}

int weir_maintain_stop(struct weir_pool *handle)
{
	struct wi_pool *pool = wi_pool_of(handle);
	int cancel;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	if (wi_requests_in_callback(&pool->cache)) {
		wi_report("this is a callback of a request");
		return -EDEADLK;
	}
	cancel = wi_os_cancel_put_off();
	wi_pool_stop_maintaining(pool);
	wi_os_cancel_allow(cancel);
	return 0;
}
