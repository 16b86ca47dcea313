/* SPDX-License-Identifier: MIT */
#include "api/drains.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "api/machine.h"
#include "api/sized.h"
#include "os/report.h"
#include "os/rseq.h"

static int check_result(const struct weir_drain_result *result)
{
	return result == NULL ? 0
			      : wi_sized_check(WI_SIZED_DRAIN_RESULT, result);
}

static void store_result(struct weir_drain_result *result,
			 const struct wi_drain_outcome *outcome, uint64_t ns,
			 bool taken_over)
{
	const struct weir_drain_result ours = {
		.pages = outcome->pages,
		.pending = outcome->pending,
		.ns = ns,
		.cpus_drained = (uint32_t)outcome->cpus_drained,
		.cpus_skipped = (uint32_t)outcome->cpus_empty,
		.cpus_pending = (uint32_t)outcome->cpus_pending,
		.by_progress = (uint32_t)outcome->by[WI_EVIDENCE_PROGRESS],
		.by_not_busy = (uint32_t)outcome->by[WI_EVIDENCE_NOT_BUSY],
		.by_membarrier = (uint32_t)outcome->by[WI_EVIDENCE_MEMBARRIER],
		.membarriers_failed = (uint32_t)outcome->membarriers_failed,
		.taken_over = taken_over,
	};

	if (result != NULL)
		wi_sized_out(WI_SIZED_DRAIN_RESULT, result, &ours);
}

static void say_pending(char *to, size_t len, const uint64_t *arg)
{
	snprintf(to, len,
		 "%" PRIu64 " pages or tokens of %" PRIu64 " CPUs are pending: "
		 "no evidence came before the deadline (wait_ns)",
		 arg[0], arg[1]);
}

void wi_public_report_pending(const struct wi_drain_outcome *outcome)
{
	wi_report_reason(say_pending,
			 (const uint64_t[WI_REASON_ARGS]){
				 outcome->pending, outcome->cpus_pending });
}

int wi_public_pending(const struct weir_drain_result *result)
{
	wi_public_report_pending(&(struct wi_drain_outcome){
		.pending = result->pending,
		.cpus_pending = result->cpus_pending });
	return -EAGAIN;
}

static uint64_t deadline_of(const struct wi_cache *cache, uint64_t wait_ns)
{
	return wi_after_ns(wi_os_now_ns(), wait_ns == WEIR_WAIT_DEFAULT
						   ? cache->wait_ns
						   : wait_ns);
}

static int drain_with_deadline(struct wi_cache *cache,
			       struct wi_drain_request *request,
			       uint64_t wait_ns,
			       struct weir_drain_result *result)
{
	struct wi_drain_outcome outcome = { 0 };
	uint64_t start = wi_os_now_ns();
	bool taken_over;
	int err;

	request->nr_zones = wi_percpu_nr_zones(&cache->drain);
	request->deadline_ns = deadline_of(cache, wait_ns);
	err = wi_cache_drain(cache, request, &outcome, &taken_over);
	store_result(result, &outcome, wi_os_now_ns() - start, taken_over);
	if (err == -EAGAIN)
		wi_public_report_pending(&outcome);
	return err;
}

int wi_public_drain(struct wi_cache *cache, const struct weir_drain_opts *opts,
		    struct weir_drain_result *result)
{
	struct weir_drain_opts o = WEIR_DRAIN_OPTS_INIT;
	struct wi_drain_request request = { 0 };
	struct wi_cpuset cpus;
	int err;

	wi_report_nothing();
	err = check_result(result);
	if (err != 0)
		return err;
	if (opts != NULL)
		err = wi_sized_in(WI_SIZED_DRAIN_OPTS, &o, opts);
	if (err != 0)
		return err;
	if (o.flags & ~WEIR_DRAIN_INTERRUPT) {
		wi_report_flags(o.flags);
		return -EINVAL;
	}
	request.may_interrupt = o.flags & WEIR_DRAIN_INTERRUPT;
	if (request.may_interrupt && o.cpus == NULL) {
		wi_report("flags: WEIR_DRAIN_INTERRUPT is for CPUs that `cpus` "
			  "names");
		return -EINVAL;
	}
	if (o.cpus != NULL) {
		err = wi_machine_cpus(&cpus, wi_percpu_nr_cpus(&cache->drain),
				      o.cpus, "cpus");
		if (err != 0)
			return err;
		request.cpus = cpus.word;
	}
	request.want_pages = o.want_pages;
	err = drain_with_deadline(cache, &request, o.wait_ns, result);
	if (err != -EDEADLK)
		wi_requests_pass(cache, deadline_of(cache, o.wait_ns));
	return err;
}

/* Lets limits follow demand; CPUs whose limits change are drained. */
static int adapt_limits(struct wi_cache *cache, uint64_t wait_ns,
			struct weir_drain_result *result)
{
	struct wi_drain_outcome outcome = { 0 };
	const uint64_t start = wi_os_now_ns();
	const int err =
		wi_cache_adapt(cache, deadline_of(cache, wait_ns), &outcome);

	store_result(result, &outcome, wi_os_now_ns() - start, false);
	return err;
}

static void say_not_quiet(char *to, size_t len, const uint64_t *arg)
{
	(void)arg;
	snprintf(to, len,
		 "requests wait, and something came back in each look "
		 "at what is free");
}

/* Complete while a request waits, else of idle CPUs. */
static int drain_and_serve(struct wi_cache *cache, uint64_t wait_ns,
			   struct weir_drain_result *result)
{
	struct wi_drain_request request = { .idle_only = true };
	int err, err_pass = 0;

	request.idle_only = !wi_requests_any_waiting(cache);
	err = drain_with_deadline(cache, &request, wait_ns, result);
	if (!request.idle_only)
		err_pass =
			wi_requests_serve(cache, deadline_of(cache, wait_ns));
	if (err_pass == -EAGAIN && err == 0)
		wi_report_reason(say_not_quiet,
				 (const uint64_t[WI_REASON_ARGS]){ 0 });
	return err != 0 ? err : err_pass;
}

/* Passes before it drains: then it may be enough to drain idle CPUs. */
int wi_public_maintain(struct wi_cache *cache, uint64_t wait_ns,
		       struct weir_drain_result *result)
{
	struct weir_drain_result adapted = WEIR_DRAIN_RESULT_INIT;
	struct weir_drain_result drained = WEIR_DRAIN_RESULT_INIT;
	int err;

	if (wi_requests_in_callback(cache)) {
		wi_report("this is a callback of a request");
		return -EDEADLK;
	}
	err = wi_requests_pass(cache, deadline_of(cache, wait_ns));
	if (err == 0 && cache->adapts)
		err = adapt_limits(cache, wait_ns, &adapted);
	if (err == 0 || err == -EAGAIN) /* the drain collects that, too */
		err = drain_and_serve(cache, wait_ns, &drained);
	return wi_public_add(result, &adapted, &drained) != 0 ? -EINVAL : err;
}

int wi_public_add(struct weir_drain_result *sum,
		  const struct weir_drain_result *a,
		  const struct weir_drain_result *b)
{
	struct weir_drain_result both = *a;
	int err = check_result(sum);

	if (err != 0 || sum == NULL)
		return err;
	both.pages += b->pages;
	both.ns += b->ns;
	both.cpus_drained += b->cpus_drained;
	both.by_progress += b->by_progress;
	both.by_not_busy += b->by_not_busy;
	both.by_membarrier += b->by_membarrier;
	both.membarriers_failed += b->membarriers_failed;
	if (b->ns != 0) { /* the later drain knows what is left */
		both.pending = b->pending;
		both.cpus_pending = b->cpus_pending;
		both.cpus_skipped = b->cpus_skipped;
	}
	wi_sized_out(WI_SIZED_DRAIN_RESULT, sum, &both);
	return 0;
}

int wi_public_set_mode(struct wi_cache *cache, const char *list,
		       enum weir_mode mode, uint64_t wait_ns)
{
	struct wi_drain_request request = { .set_mode = true };
	struct wi_cpuset cpus;
	int err;

	wi_report_nothing();
	if ((unsigned)mode > WEIR_MODE_OFF) {
		wi_report("mode: %d is none of WEIR_MODE_...", (int)mode);
		return -EINVAL;
	}
	request.set_off = mode == WEIR_MODE_OFF;
	if (wi_percpu_is_locked(&cache->drain)) {
		if (mode != WEIR_MODE_ORDINARY && mode != WEIR_MODE_OFF) {
			wi_report("mode: without sequences CPUs are ordinary "
				  "or off");
			return -EOPNOTSUPP;
		}
		request.mode = WI_MODE_LOCKED;
	} else if (mode == WEIR_MODE_ORDINARY && !wi_rseq_has_membarrier()) {
		wi_report("mode: without membarrier CPUs are quiet, polling or "
			  "off");
		return -EOPNOTSUPP;
	} else {
		request.mode = (enum wi_mode)mode;
	}
	err = wi_machine_cpus(&cpus, wi_percpu_nr_cpus(&cache->drain), list,
			      "cpus");
	if (err != 0)
		return err;
	request.cpus = cpus.word;
	return drain_with_deadline(cache, &request, wait_ns, NULL);
}

int wi_public_set_limit(struct wi_cache *cache, const char *list, unsigned kind,
			unsigned limit, uint64_t wait_ns)
{
	uint16_t limits[WEIR_NR_LISTS] = { 0 };
	struct wi_drain_request request = { .set_limits = true,
					    .limits = limits };
	struct wi_cpuset cpus;
	int err;

	if (limit == 0 || limit > WEIR_LIST_MAX) {
		wi_report("limit: %u is not from 1 to %d", limit,
			  WEIR_LIST_MAX);
		return -EINVAL;
	}
	err = wi_machine_cpus(&cpus, wi_percpu_nr_cpus(&cache->drain), list,
			      "cpus");
	if (err != 0)
		return err;
	limits[kind] = (uint16_t)limit;
	request.cpus = cpus.word;
	return drain_with_deadline(cache, &request, wait_ns, NULL);
}

enum weir_mode wi_public_mode(const struct wi_percpu_mode *mode)
{
	if (mode->off)
		return WEIR_MODE_OFF;
	return mode->mode >= WI_MODE_LOCKED ? WEIR_MODE_ORDINARY
					    : (enum weir_mode)mode->mode;
}

/* Of its home zone; the old one as long as a zone's change is pending, its home
 * zone's first: lists of a polling CPU for other zones are quiet. */
enum weir_mode wi_public_mode_of_cpu(const struct wi_cache *cache, unsigned cpu)
{
	const struct wi_percpu_view view = wi_percpu_view_of(&cache->drain);
	const unsigned home = wi_drain_home(&cache->drain, cpu);
	struct wi_percpu_mode mode, wanted;

	for (unsigned i = 0; i < view.nr_zones; i++) {
		const unsigned zone = (home + i) % view.nr_zones;

		wi_percpu_view_mode(&view, zone, cpu, &mode);
		wi_percpu_view_wanted(&view, zone, cpu, &wanted);
		if (wi_public_mode(&mode) != wi_public_mode(&wanted))
			return wi_public_mode(&mode);
	}
	wi_percpu_view_mode(&view, home, cpu, &mode);
	return wi_public_mode(&mode);
}
