/* SPDX-License-Identifier: MIT */
/* The public interface of drains, maintenance and modes of a pool. */
#include "api/pool.h"

#include <errno.h>

#include "api/drains.h"
#include "os/report.h"

int weir_drain(struct weir_pool *handle, const struct weir_drain_opts *opts,
	       struct weir_drain_result *result)
{
	struct wi_pool *pool = wi_pool_of(handle);

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	return wi_public_drain(&pool->cache, opts, result);
}

int weir_maintain(struct weir_pool *pool, uint64_t reserve_pages,
		  struct weir_drain_result *result)
{
	return weir_maintain_wait(pool, reserve_pages, WEIR_WAIT_DEFAULT,
				  result);
}

/* If the pages are there the drain succeeds, whatever is pending; maintenance
 * does not. */
int wi_pool_drain_for(struct wi_pool *pool, uint64_t pages, uint64_t wait_ns,
		      struct weir_drain_result *result)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	int err;

	opts.want_pages = pages;
	opts.wait_ns = wait_ns;
	err = wi_public_drain(&pool->cache, &opts, result);
	if (err == 0 && result->cpus_pending != 0)
		err = wi_public_pending(result);
	return err;
}

int weir_maintain_wait(struct weir_pool *handle, uint64_t reserve_pages,
		       uint64_t wait_ns, struct weir_drain_result *result)
{
	struct wi_pool *pool = wi_pool_of(handle);
	struct weir_drain_result all = WEIR_DRAIN_RESULT_INIT, rest = all;
	uint64_t free;
	int err, err_rest = 0;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	err = wi_public_maintain(&pool->cache, wait_ns, &all);
	if (err == -EDEADLK)
		return err;
	free = wi_pool_nr_free(pool);
	if (free < reserve_pages)
		err_rest = wi_pool_drain_for(pool, reserve_pages - free,
					     wait_ns, &rest);
	if (err_rest == 0)
		err_rest = wi_pool_keep_watermarks(pool, wait_ns, &rest);
	/* The later drain knows what is pending. */
	if (err_rest != 0 || (err == -EAGAIN && rest.ns != 0 &&
			      !wi_requests_any_waiting(&pool->cache)))
		err = err_rest;
	return wi_public_add(result, &all, &rest) != 0 ? -EINVAL : err;
}

/* If it does not get the mutex, the next weir_maintain() does it. */
void wi_pool_serve_requests(struct wi_pool *pool)
{
	(void)wi_requests_pass(&pool->cache, wi_after_ns(wi_os_now_ns(),
							 pool->cache.wait_ns));
}

uint64_t weir_flush(struct weir_pool *handle)
{
	struct wi_pool *pool = wi_pool_of(handle);

	return pool == NULL ? 0 : wi_cache_empty_here(&pool->cache);
}

int weir_set_mode(struct weir_pool *pool, const char *cpus, enum weir_mode mode)
{
	return weir_set_mode_wait(pool, cpus, mode, WEIR_WAIT_DEFAULT);
}

int weir_set_mode_wait(struct weir_pool *handle, const char *cpus,
		       enum weir_mode mode, uint64_t wait_ns)
{
	struct wi_pool *pool = wi_pool_of(handle);

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	return wi_public_set_mode(&pool->cache, cpus, mode, wait_ns);
}

int weir_set_limit(struct weir_pool *pool, const char *cpus, unsigned order,
		   unsigned limit)
{
	return weir_set_limit_wait(pool, cpus, order, limit, WEIR_WAIT_DEFAULT);
}

int weir_set_limit_wait(struct weir_pool *handle, const char *cpus,
			unsigned order, unsigned limit, uint64_t wait_ns)
{
	const unsigned list = weir_i_list_of_order(order);
	struct wi_pool *pool = wi_pool_of(handle);

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	if (list == WEIR_I_LIST_NONE) {
		wi_report("order: %u has no lists", order);
		return -EINVAL;
	}
	return wi_public_set_limit(&pool->cache, cpus, list, limit, wait_ns);
}

int weir_get_mode(const struct weir_pool *handle, unsigned cpu)
{
	const struct wi_pool *pool = wi_pool_of(handle);

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	if (cpu >= wi_percpu_nr_cpus(&pool->cache.drain)) {
		wi_report_cpu(cpu, wi_percpu_nr_cpus(&pool->cache.drain) - 1);
		return -EINVAL;
	}
	return wi_public_mode_of_cpu(&pool->cache, cpu);
}
