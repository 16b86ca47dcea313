/* SPDX-License-Identifier: MIT */
/* The maintenance thread of a pool or a token cache. */
#include "api/maintain.h"

#include <errno.h>
#include <stdio.h>

#include "api/drains.h"
#include "api/pool.h"
#include "api/sized.h"
#include "api/token_cache.h"
#include "os/report.h"

#define DEFAULT_INTERVAL_NS 10000000

/* Those of this thread's affinity on which it disturbs nobody. */
static int find_cpus(const struct wi_cache *cache, struct wi_cpuset *cpus)
{
	int err = wi_os_affinity(cpus->word, WI_ARRAY_SIZE(cpus->word));

	if (err != 0)
		return err;
	for (unsigned cpu = 0; cpu < wi_percpu_nr_cpus(&cache->drain); cpu++) {
		enum weir_mode mode = wi_public_mode_of_cpu(cache, cpu);

		if (mode == WEIR_MODE_QUIET || mode == WEIR_MODE_POLLING)
			wi_cpuset_clear(cpus, cpu);
	}
	if (wi_cpuset_count(cpus) > 0)
		return 0;
	wi_report("every CPU that this thread may use is quiet or polling");
	return -ENODEV;
}

/* `work` has what to do, and a name. */
static int start_maintaining(const struct wi_cache *cache,
			     struct wi_maintainer *maintainer,
			     const struct weir_maintain_opts *opts,
			     struct wi_os_work *work)
{
	struct wi_cpuset cpus;
	int err;

	if (maintainer->worker != NULL) {
		wi_report("there is a maintenance thread already");
		return -EBUSY;
	}
	err = find_cpus(cache, &cpus);
	if (err != 0)
		return err;
	work->cpus = cpus.word;
	work->nr_words = WI_ARRAY_SIZE(cpus.word);
	work->interval_ns = opts->interval_ns != 0 ? opts->interval_ns
						   : DEFAULT_INTERVAL_NS;
	maintainer->reserve = opts->reserve_pages;
	err = wi_os_worker_start(&maintainer->worker, work);
	if (err != 0) {
		maintainer->worker = NULL;
		wi_report("the system refused a thread (errno %d)", -err);
	}
	return err;
}

void wi_public_stop_maintaining(struct wi_maintainer *maintainer)
{
	if (maintainer->worker != NULL)
		wi_os_worker_stop(maintainer->worker);
	maintainer->worker = NULL;
}

static int read_maintain_opts(struct weir_maintain_opts *o,
			      const struct weir_maintain_opts *given)
{
	*o = (struct weir_maintain_opts)WEIR_MAINTAIN_OPTS_INIT;
	return given == NULL ? 0
			     : wi_sized_in(WI_SIZED_MAINTAIN_OPTS, o, given);
}

static int stop_unless_called_back(struct wi_cache *cache,
				   struct wi_maintainer *maintainer)
{
	int cancel;

	wi_report_nothing();
	if (wi_requests_in_callback(cache)) {
		wi_report("this is a callback of a request");
		return -EDEADLK;
	}
	cancel = wi_os_cancel_put_off();
	wi_public_stop_maintaining(maintainer);
	wi_os_cancel_allow(cancel);
	return 0;
}

/* --- of pools ----------------------------------------------------------- */

static void maintain_pool(void *ctx)
{
	struct wi_pool *pool = ctx;

	/* What is pending, or failed, is for the next time. */
	(void)weir_maintain(pool->handle, pool->maintainer.reserve, NULL);
}

int weir_maintain_start(struct weir_pool *handle,
			const struct weir_maintain_opts *opts)
{
	struct wi_pool *pool = wi_pool_of(handle);
	struct wi_os_work work = { .step = maintain_pool, .ctx = pool };
	struct weir_maintain_opts o;
	char name[48];
	int cancel, err;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	err = read_maintain_opts(&o, opts);
	if (err != 0)
		return err;
	snprintf(name, sizeof(name), "weir:%s", pool->name);
	work.name = name;
	cancel = wi_os_cancel_put_off();
	err = start_maintaining(&pool->cache, &pool->maintainer, &o, &work);
	wi_os_cancel_allow(cancel);
	return err;
}

int weir_maintain_stop(struct weir_pool *handle)
{
	struct wi_pool *pool = wi_pool_of(handle);

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	if (wi_pool_is_shrinking(pool)) {
		wi_report("this is the function that watermarks call");
		return -EDEADLK;
	}
	return stop_unless_called_back(&pool->cache, &pool->maintainer);
}

/* --- of token caches ---------------------------------------------------- */

static void maintain_cache(void *ctx)
{
	struct wi_token_cache *impl = ctx;

	(void)weir_cache_maintain(impl->handle, NULL); /* as above */
}

int weir_cache_maintain_start(struct weir_cache *cache,
			      const struct weir_maintain_opts *opts)
{
	struct wi_token_cache *impl = wi_token_cache_of(cache);
	struct wi_os_work work = { .step = maintain_cache,
				   .ctx = impl,
				   .name = "weir:cache" };
	struct weir_maintain_opts o;
	int cancel, err;

	if (impl == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	err = read_maintain_opts(&o, opts);
	if (err != 0)
		return err;
	if (o.reserve_pages != 0) {
		wi_report("reserve_pages: a token cache has no reserve");
		return -EINVAL;
	}
	cancel = wi_os_cancel_put_off();
	err = start_maintaining(&impl->cache, &impl->maintainer, &o, &work);
	wi_os_cancel_allow(cancel);
	return err;
}

int weir_cache_maintain_stop(struct weir_cache *cache)
{
	struct wi_token_cache *impl = wi_token_cache_of(cache);

	if (impl == NULL)
		return wi_plain_error(-ESTALE);
	return stop_unless_called_back(&impl->cache, &impl->maintainer);
}
