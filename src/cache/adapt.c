/* SPDX-License-Identifier: MIT */
/* Limits of lists that follow demand: decided in maintenance. */
#include "cache/internal.h"
#include "os/topology.h"

/* Shares what lists may hold anew: which CPUs have other limits now. */
static int share_anew(struct wi_cache *cache, uint64_t deadline_ns,
		      uint64_t *changed, bool *any)
{
	const int cancel = wi_os_cancel_put_off(); /* it would keep the mutex */
	int err = wi_drain_lock(&cache->drain, deadline_ns);

	*any = false;
	if (err == 0) {
		*any = wi_drain_share(&cache->drain, changed);
		wi_drain_unlock(&cache->drain);
	}
	wi_os_cancel_allow(cancel);
	return err;
}

int wi_cache_adapt(struct wi_cache *cache, uint64_t deadline_ns,
		   struct wi_drain_outcome *outcome)
{
	uint64_t changed[WI_CPUS_MAX / 64];
	struct wi_drain_request request = {
		.cpus = changed,
		.nr_zones = wi_percpu_nr_zones(&cache->drain),
		.deadline_ns = deadline_ns,
		.set_limits = true,
	};
	bool any;
	int err = share_anew(cache, deadline_ns, changed, &any);

	if (err != 0 || !any)
		return err;
	return wi_cache_drain(cache, &request, outcome, &(bool){ 0 });
}
