/* SPDX-License-Identifier: MIT */
/*
 * The public interface of requests: see weir/request.h. What the library keeps
 * of a request lies in the caller's struct.
 */
#include <errno.h>
#include <inttypes.h>

#include <weir/request.h>

#include "api/pool.h"
#include "api/requests.h"
#include "api/sized.h"
#include "api/token_cache.h"
#include "os/report.h"

_Static_assert(sizeof(struct wi_request) <=
		       sizeof(((struct weir_request *)0)->internal),
	       "struct weir_request is too small");

#define REFUSE(...) return (wi_report(__VA_ARGS__), -EINVAL)

static struct wi_request *impl_of_request(const struct weir_request *request)
{
	return (struct wi_request *)(void *)request->internal;
}

/* What pools and token caches have in common. */
static int check_request(struct weir_request *request)
{
	struct weir_request ours;
	int err = wi_sized_in(WI_SIZED_REQUEST, &ours, request);

	if (err != 0)
		return err;
	if (request->size < sizeof(ours))
		REFUSE("size: %zu is too small; set it with WEIR_REQUEST_INIT",
		       request->size);
	if (request->n == 0)
		REFUSE("n: 0");
	if ((request->done == NULL) == (request->fd < 0))
		REFUSE("done, fd: one of them must be set, and one only");
	return 0;
}

static int submit_impl(struct wi_cache *cache, struct weir_request *request,
		       const struct wi_request *want)
{
	struct wi_request *impl = impl_of_request(request);

	if (wi_request_is_waiting(impl)) {
		wi_report("request: it waits already");
		return -EBUSY;
	}
	*impl = *want;
	impl->cache = cache;
	impl->callers = request;
	impl->done = request->done;
	impl->context = request->context;
	impl->n = request->n;
	impl->fd = request->fd;
	impl->zone = wi_percpu_zone_here(&cache->drain);
	return wi_request_submit(cache, impl);
}

/* --- of pools ----------------------------------------------------------- */

int weir_request_submit(struct weir_pool *handle, struct weir_request *request)
{
	struct wi_pool *pool = wi_pool_of(handle);
	struct wi_request want = { .tokens =
					   (uint64_t *)(void *)request->pages };
	uint64_t runs;
	int err;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	err = check_request(request);
	if (err != 0)
		return err;
	if (request->pages == NULL)
		REFUSE("pages: NULL");
	if (request->order > WEIR_ORDER_MAX) {
		wi_report_order(request->order, WEIR_ORDER_MAX);
		return -EINVAL;
	}
	runs = wi_pool_max_runs(pool, request->order);
	if (request->n > runs) {
		wi_report("n: %zu runs of order %u; the pool can have at "
			  "most %" PRIu64,
			  request->n, request->order, runs);
		return -ENOMEM;
	}
	want.kind = wi_pool_kind_of_order(request->order);
	want.weight = UINT64_C(1) << request->order;
	return submit_impl(&pool->cache, request, &want);
}

int weir_request_cancel(struct weir_pool *handle, struct weir_request *request)
{
	struct wi_pool *pool = wi_pool_of(handle);

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	return wi_request_cancel(&pool->cache, impl_of_request(request));
}

int weir_request_is_done(const struct weir_request *request)
{
	return wi_request_is_done(impl_of_request(request));
}

/* --- of token caches ---------------------------------------------------- */

int weir_cache_request_submit(struct weir_cache *cache,
			      struct weir_request *request)
{
	struct wi_token_cache *impl = wi_token_cache_of(cache);
	struct wi_request want = { .tokens = request->tokens, .weight = 1 };
	int err;

	if (impl == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	err = check_request(request);
	if (err != 0)
		return err;
	if (request->tokens == NULL)
		REFUSE("tokens: NULL");
	if (request->list >= cache->nr_lists) {
		wi_report_list(request->list, cache->nr_lists);
		return -EINVAL;
	}
	want.kind = request->list;
	return submit_impl(&impl->cache, request, &want);
}

int weir_cache_request_cancel(struct weir_cache *cache,
			      struct weir_request *request)
{
	struct wi_token_cache *impl = wi_token_cache_of(cache);

	if (impl == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	return wi_request_cancel(&impl->cache, impl_of_request(request));
}

/* --- at the end of a pool or cache --------------------------------------- */

int wi_public_may_end(struct wi_cache *cache)
{
	if (wi_requests_in_callback(cache)) {
		wi_report("this is a callback of one of its requests");
		return -EDEADLK;
	}
	if (wi_requests_any_waiting(cache)) {
		wi_report("requests wait; cancel them first");
		return -EBUSY;
	}
	return 0;
}
