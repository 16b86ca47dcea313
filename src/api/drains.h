/* SPDX-License-Identifier: MIT */
/*
 * Shared by the interfaces of pool and token cache: drains and modes in the
 * public types.
 */
#ifndef WI_API_DRAINS_H
#define WI_API_DRAINS_H

#include "cache/cache.h"
#include "percpu/stat.h"

int wi_public_drain(struct wi_cache *cache, const struct weir_drain_opts *opts,
		    struct weir_drain_result *result);

/* Reports for weir_last_error() what a drain left pending. */
void wi_public_report_pending(const struct wi_drain_outcome *outcome);

/* The same of a result; -EAGAIN. */
int wi_public_pending(const struct weir_drain_result *result);

/* Completes the requests that can be met, drains CPUs without an operation
 * since the last call (all, while a request waits), and collects pending sets.
 */
int wi_public_maintain(struct wi_cache *cache, uint64_t wait_ns,
		       struct weir_drain_result *result);

/* Stores the sum of two results in *sum, if that is not NULL; -EINVAL for a
 * size of *sum that this library does not know. */
int wi_public_add(struct weir_drain_result *sum,
		  const struct weir_drain_result *a,
		  const struct weir_drain_result *b);

int wi_public_set_mode(struct wi_cache *cache, const char *cpus,
		       enum weir_mode mode, uint64_t wait_ns);

/* weir_set_limit_wait(), of a list that exists. */
int wi_public_set_limit(struct wi_cache *cache, const char *list, unsigned kind,
			unsigned limit, uint64_t wait_ns);

enum weir_mode wi_public_mode(const struct wi_percpu_mode *mode);

/* The mode in force; it is the one asked for when it is so in all zones. */
enum weir_mode wi_public_mode_of_cpu(const struct wi_cache *cache,
				     unsigned cpu);

#endif
