/* SPDX-License-Identifier: MIT */
/* Get and put, as far as lists and back end have what they need. */
#include "cache/cache.h"

#include "cache/internal.h"
#include "os/rseq.h"

/* What a full list did not take goes straight to the back end if it is a batch
 * or more. */
void wi_cache_put(struct wi_cache *cache, unsigned zone, unsigned kind,
		  const uint64_t *tokens, size_t n)
{
	size_t done = 0;

	wi_rseq_thread_init();
	wi_percpu_wake_here(&cache->drain);
	if (wi_percpu_has_list(&cache->drain, zone, kind)) {
		done = wi_percpu_push(&cache->drain, zone, kind, tokens, n);
		if (done < n && n - done < wi_cache_batch(cache, zone, kind)) {
			wi_cache_flush(cache, zone, kind);
			done += wi_percpu_push(&cache->drain, zone, kind,
					       tokens + done, n - done);
		}
	}
	if (done == 0)
		wi_percpu_tick(&cache->drain, zone);
	if (wi_percpu_nr_zones(&cache->drain) > 1)
		wi_percpu_tick_others(&cache->drain, zone);
	wi_cache_give_back(cache, zone, kind, tokens + done, n - done);
}

size_t wi_cache_get(struct wi_cache *cache, const struct wi_get *get,
		    int *error)
{
	struct wi_need need = {
		.cache = cache,
		.get = get,
		.here = wi_percpu_zone_here(&cache->drain),
	};

	wi_rseq_thread_init();
	wi_percpu_wake_here(&cache->drain);
	if (!(get->flags & WI_GET_NOWAIT))
		wi_cache_collect_here(cache);
	need.got = wi_cache_get_from_zones(cache, get, need.here, get->have);
	if (wi_get_is_enough(get, need.got))
		return need.got;
	if (get->flags & WI_GET_NOWAIT)
		return wi_cache_fail(&need, WI_FAIL_NOWAIT, error);
	return wi_cache_get_in_need(need, error);
}

int wi_cache_init(struct wi_cache *cache, const struct wi_cache_config *config)
{
	const struct wi_percpu_config *percpu = &config->percpu;
	int err;

	wi_assert(percpu->nr_zones == 1 ||
		  (config->backend.zone_of != NULL && percpu->bounds != NULL));
	cache->backend = config->backend;
	cache->totals = config->totals;
	cache->wait_ns = config->wait_ns;
	cache->adapts = config->adapts;
	for (unsigned list = 0; list < percpu->nr_lists; list++) {
		uint64_t batch = config->batch / percpu->weight[list];

		batch = wi_min_u64(wi_max_u64(batch, 4), WI_BATCH_MAX);
		cache->batch[list] = (uint16_t)batch;
		for (unsigned i = 0; i < WI_NR_WAITERS; i++)
			cache->waiters[list][i].token = WEIR_AGAIN;
	}
	err = wi_requests_init(&cache->requests);
	if (err != 0)
		return err;
	err = wi_percpu_init(&cache->drain, percpu);
	if (err != 0)
		wi_requests_fini(&cache->requests);
	return err;
}

void wi_cache_fini(struct wi_cache *cache)
{
	wi_percpu_fini(&cache->drain);
	wi_requests_fini(&cache->requests);
}
