/* SPDX-License-Identifier: MIT */
/* Allocating a given run: from its zone, or from lists by way of its zone. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <weir/weir.h>

#include "api/pool.h"
#include "os/report.h"

#define ALL_FLAGS (WEIR_NOWAIT | WEIR_ZERO)

/* Drains, while others take what came back before this call can. */
#define ROUNDS 3

static void say_no_run(char *to, size_t len, const uint64_t *arg)
{
	snprintf(to, len,
		 "index: at page %" PRIu64 " the pool has no run of order %u",
		 arg[0], (unsigned)arg[1]);
}

static void say_not_free(char *to, size_t len, const uint64_t *arg)
{
	snprintf(to, len,
		 "index: not all pages of the run of order %u at page %" PRIu64
		 " are free%s",
		 (unsigned)arg[1], arg[0], arg[2] != 0 ? " in the zone" : "");
}

/* 0, or a positive errno value. */
static int check_run(const struct wi_pool *pool, uint64_t index, unsigned order,
		     unsigned flags)
{
	wi_report_nothing();
	if (pool == NULL)
		return ESTALE;
	if (order > pool->order_max) {
		wi_pool_report_order(pool, order);
		return EINVAL;
	}
	if (flags & ~ALL_FLAGS) {
		wi_report_flags(flags);
		return EINVAL;
	}
	if (index < pool->max_pages &&
	    wi_pool_why_no_run(pool, wi_pool_offset_of(pool, index), order) ==
		    NULL)
		return 0;
	wi_report_reason(say_no_run,
			 (const uint64_t[WI_REASON_ARGS]){ index, order });
	return EINVAL;
}

/* Takes it from the zone after drains; 0, EAGAIN or EBUSY. */
static int drain_and_take(struct wi_pool *pool, uint64_t offset, unsigned order)
{
	const struct wi_drain_request request = {
		.nr_zones = pool->nr_zones,
		.deadline_ns = wi_after_ns(wi_os_now_ns(), pool->cache.wait_ns),
	};

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct wi_drain_outcome outcome = { 0 };
		int err = wi_cache_drain(&pool->cache, &request, &outcome,
					 &(bool){ 0 });

		if (wi_pool_claim_at(pool, offset, order))
			return 0;
		if (err != 0)
			return EAGAIN;
	}
	return EBUSY;
}

/* Takes it from the zone, after drains if need be; 0, EAGAIN or EBUSY. */
static int take_run(struct wi_pool *pool, uint64_t offset, unsigned order,
		    unsigned flags)
{
	int error;

	if (wi_pool_claim_at(pool, offset, order))
		return 0;
	if (flags & WEIR_NOWAIT)
		return EAGAIN;
	error = drain_and_take(pool, offset, order);
	/* What else was drained may be enough for a request. */
	wi_requests_pass_events(&pool->cache);
	return error;
}

void *weir_alloc_at(struct weir_pool *handle, uint64_t index, unsigned order,
		    unsigned flags)
{
	struct wi_pool *pool = wi_pool_of(handle);
	int error = check_run(pool, index, order, flags);
	uint64_t offset;
	void *page;

	if (error == 0) {
		/* An operation like any other. */
		wi_percpu_tick_all(&pool->cache.drain);
		offset = wi_pool_offset_of(pool, index);
		error = take_run(pool, offset, order, flags);
		if (error != 0)
			wi_report_reason(say_not_free,
					 (const uint64_t[WI_REASON_ARGS]){
						 index, order,
						 error == EAGAIN });
	}
	if (error != 0) {
		errno = error;
		return NULL;
	}
	page = (void *)(uintptr_t)offset;
	wi_pool_hand_out(pool, order, &page, 1, flags);
	return page;
}
