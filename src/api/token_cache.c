/* SPDX-License-Identifier: MIT */
/* The token cache's public interface: see weir/cache.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/trace.h"
#include "api/drains.h"
#include "api/requests.h"
#include "api/sized.h"
#include "api/token_cache.h"
#include "os/report.h"

#define DEFAULT_LIMIT 256
#define DEFAULT_WAIT_NS 10000000

#define REFUSE(...) return (wi_report(__VA_ARGS__), -EINVAL)

/* --- beginning and end ------------------------------------------------- */

/* A back end of the caller's, or stores of the cache's own. */
static int read_backend(const struct weir_cache_opts *o)
{
	const struct weir_cache_backend *backend = &o->backend;

	if (backend->get != NULL && backend->put != NULL) {
		if (o->capacity != 0)
			REFUSE("capacity: set, but the back end keeps the "
			       "tokens");
		return 0;
	}
	if (backend->get != NULL || backend->put != NULL)
		REFUSE("backend: get and put must be set, or neither");
	if (backend->context != NULL)
		REFUSE("backend: context is set, but neither get nor put");
	if (o->capacity == 0)
		REFUSE("capacity: 0; a cache without a back end needs one");
	if (o->capacity > WI_TOKEN_STORE_MAX)
		REFUSE("capacity: %" PRIu64 " is more than 2^32", o->capacity);
	return 0;
}

static int read_opts(struct weir_cache_opts *o,
		     const struct weir_cache_opts *given)
{
	int err;

	if (given == NULL)
		REFUSE("opts: NULL; a cache needs a back end or a capacity");
	*o = (struct weir_cache_opts)WEIR_CACHE_OPTS_INIT;
	if (wi_sized_in(WI_SIZED_CACHE_OPTS, o, given) != 0)
		return -EINVAL;
	err = read_backend(o);
	if (err != 0)
		return err;
	if (o->nr_lists == 0)
		o->nr_lists = 1;
	if (o->nr_lists > WEIR_CACHE_LISTS_MAX)
		REFUSE("nr_lists: %u is more than %d", o->nr_lists,
		       WEIR_CACHE_LISTS_MAX);
	for (unsigned list = 0; list < o->nr_lists; list++) {
		if (o->limit[list] == 0)
			o->limit[list] = DEFAULT_LIMIT;
		if (o->limit[list] > WEIR_LIST_MAX)
			REFUSE("limit: %u of list %u is more than %d",
			       o->limit[list], list, WEIR_LIST_MAX);
	}
	if (o->batch == 0)
		o->batch = WI_BATCH_MAX;
	if (o->batch > WI_BATCH_MAX)
		REFUSE("batch: %u is more than %d", o->batch, WI_BATCH_MAX);
	if (o->flags & ~(WEIR_POOL_NO_RSEQ | WEIR_POOL_ADAPT))
		REFUSE("flags: 0x%x has unknown bits", o->flags);
	if (o->wait_ns == WEIR_WAIT_DEFAULT)
		o->wait_ns = DEFAULT_WAIT_NS;
	return 0;
}

static void unmake_cache(struct wi_token_cache *impl)
{
	if (impl->handle != NULL)
		wi_os_unmap_wiped(impl->handle, sizeof(*impl->handle));
	if (impl->meta != NULL)
		wi_os_unmap(impl->meta, impl->meta_bytes);
	if (impl->stores != NULL)
		wi_os_unmap(impl->stores, impl->stores_bytes);
	wi_os_unmap(impl, sizeof(*impl));
}

static int build_cache(struct wi_token_cache *impl,
		       const struct weir_cache_opts *o)
{
	const unsigned nr_cpus = impl->machine.topology.nr_cpus;
	const size_t units = wi_round_up(wi_percpu_bytes(nr_cpus, 1), 4096);
	struct wi_os_map map = { .no_fork = true, .read_first = true };
	struct wi_cache_config config = {
		.percpu = {
			.modes = impl->machine.mode,
			.online = impl->machine.topology.online.word,
			.nr_cpus = nr_cpus,
			.nr_zones = 1,
			.nr_lists = o->nr_lists,
			.locked = impl->machine.locked,
		},
		.totals = &impl->totals,
		.batch = o->batch,
		.wait_ns = o->wait_ns,
		.adapts = o->flags & WEIR_POOL_ADAPT,
		.backend = wi_token_backend(impl),
	};
	int err;

	map.bytes = units + wi_percpu_areas_bytes(nr_cpus, 1);
	err = wi_os_map((void **)&impl->meta, &map);
	if (err == 0) {
		impl->meta_bytes = map.bytes;
		err = wi_os_map_wiped((void **)&impl->handle,
				      sizeof(*impl->handle));
	}
	if (err != 0) {
		wi_report("the system refused memory for the lists");
		return err;
	}
	config.percpu.memory = impl->meta;
	config.percpu.areas = impl->meta + units;
	for (unsigned list = 0; list < o->nr_lists; list++) {
		config.percpu.limits[list] = o->limit[list];
		config.percpu.weight[list] = 1;
	}
	err = wi_cache_init(&impl->cache, &config);
	if (err != 0)
		return err;
	if (impl->machine.settled)
		impl->handle->lists = wi_percpu_lists(&impl->cache.drain, 0);
	impl->handle->nr_lists = o->nr_lists;
	impl->handle->impl = impl;
	return 0;
}

static int create_cache(struct weir_cache **cache,
			const struct weir_cache_opts *opts)
{
	const struct wi_os_map map = { .bytes = sizeof(struct wi_token_cache),
				       .no_fork = true };
	struct weir_cache_opts o;
	struct wi_token_cache *impl;
	void *memory;
	int err;

	wi_report_nothing();
	err = read_opts(&o, opts);
	if (err != 0)
		return err;
	err = wi_os_map(&memory, &map);
	if (err != 0) {
		wi_report("the system refused memory for the cache itself");
		return err;
	}
	impl = memory;
	impl->backend = o.backend;
	err = wi_machine_read(&impl->machine, o.quiet_cpus, o.polling_cpus,
			      o.flags & WEIR_POOL_NO_RSEQ);
	if (err == 0 && o.capacity != 0)
		err = wi_token_stores_make(impl, o.nr_lists, o.capacity);
	if (err == 0)
		err = build_cache(impl, &o);
	if (err != 0) {
		unmake_cache(impl);
		return err;
	}
	*cache = impl->handle;
	WI_TRACE(cache_create, &impl->cache.drain, impl->handle);
	return 0;
}

/* A put of the back end may put tokens into the cache, into lists that this
 * drain has passed: so drains repeat until one finds none. */
static int drain_to_the_last(struct wi_cache *cache,
			     struct wi_drain_request *request)
{
	struct wi_drain_outcome outcome;

	for (unsigned round = 0;; round++) {
		int err =
			wi_cache_drain(cache, request, &outcome, &(bool){ 0 });

		if (err == -EAGAIN) {
			wi_public_report_pending(&outcome);
			return -EBUSY;
		}
		if (err != 0 || outcome.pages == 0)
			return err;
		if (round > 0 && wi_os_now_ns() >= request->deadline_ns)
			return -EBUSY;
	}
}

int weir_cache_create(struct weir_cache **cache,
		      const struct weir_cache_opts *opts)
{
	int cancel = wi_os_cancel_put_off();
	int err = create_cache(cache, opts);

	wi_os_cancel_allow(cancel);
	return err;
}

static int destroy_cache(struct wi_token_cache *impl)
{
	struct wi_drain_request request = {
		.nr_zones = 1,
		.may_interrupt = true, /* as the unmapping will */
	};
	int err;

	if (impl == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	err = wi_public_may_end(&impl->cache);
	if (err != 0)
		return err;
	wi_public_stop_maintaining(&impl->maintainer);
	request.deadline_ns = wi_after_ns(wi_os_now_ns(), impl->cache.wait_ns);
	err = drain_to_the_last(&impl->cache, &request);
	if (err != 0)
		return err;
	wi_cache_fini(&impl->cache);
	WI_TRACE(cache_destroy, &impl->cache.drain);
	unmake_cache(impl);
	return 0;
}

int weir_cache_destroy(struct weir_cache *cache)
{
	int cancel, err;

	if (cache == NULL)
		return 0;
	cancel = wi_os_cancel_put_off();
	err = destroy_cache(wi_token_cache_of(cache));
	wi_os_cancel_allow(cancel);
	return err;
}

/* --- getting and putting tokens ---------------------------------------- */

static int check_get_request(const struct weir_cache *cache, unsigned list,
			     unsigned flags)
{
	wi_report_nothing();
	if (cache->impl == NULL)
		return ESTALE;
	if (list >= cache->nr_lists) {
		wi_report_list(list, cache->nr_lists);
		return EINVAL;
	}
	if (flags & ~(WEIR_NOWAIT | WEIR_RECLAIM)) {
		wi_report_flags(flags);
		return EINVAL;
	}
	return 0;
}

static void say_token_shortage(char *to, size_t len, const uint64_t *arg)
{
	const unsigned list = (unsigned)arg[0];

	switch (arg[1]) {
	case WI_FAIL_NOWAIT:
		snprintf(to, len,
			 "WEIR_NOWAIT: %" PRIu64 " tokens not in list %u of "
			 "this CPU and the back end",
			 arg[2], list);
		break;
	case WI_FAIL_PENDING:
		snprintf(to, len,
			 "list %u: %" PRIu64 " tokens were pending on CPUs "
			 "without evidence until the deadline (wait_ns)",
			 list, arg[3]);
		break;
	case WI_FAIL_LOST:
		snprintf(to, len,
			 "list %u: others drained, or took what came back, "
			 "until the deadline (wait_ns)",
			 list);
		break;
	default:
		snprintf(to, len,
			 "list %u: fewer than %" PRIu64 " tokens in the lists "
			 "of all CPUs and the back end",
			 list, arg[2]);
	}
}

/* What a caller asks for. */
struct request {
	unsigned list, flags;
	size_t n;
	bool some; /* as many as there are */
	uint64_t wait_ns;
};

/* How many; the error where they are fewer. */
static size_t get_tokens(struct weir_cache *cache,
			 const struct request *request, uint64_t *tokens,
			 int *error)
{
	const unsigned list = request->list, flags = request->flags;
	const size_t n = request->n;
	const bool some = request->some;
	struct wi_shortage shortage;
	const struct wi_get get = {
		.kind = list,
		.flags = (flags & WEIR_NOWAIT ? WI_GET_NOWAIT : 0) |
			 (some ? WI_GET_SOME : 0),
		.tokens = tokens,
		.n = n,
		.wait_ns = flags & WEIR_RECLAIM ? 0 : request->wait_ns,
		.shortage = &shortage,
	};
	size_t got;

	*error = check_get_request(cache, list, flags);
	if (*error != 0 || n == 0)
		return 0;
	got = wi_cache_get(&wi_token_cache_of(cache)->cache, &get, error);
	if (got == n || (got > 0 && some))
		return got;
	if (got > 0)
		wi_cache_put(&wi_token_cache_of(cache)->cache, 0, list, tokens,
			     got);
	wi_report_reason(say_token_shortage,
			 (const uint64_t[WI_REASON_ARGS]){
				 list, shortage.why, n, shortage.pending });
	return 0;
}

uint64_t weir_cache_get(struct weir_cache *cache, unsigned list, unsigned flags)
{
#ifdef WEIR_HAVE_SEQUENCES
	const uint64_t token = weir_i_try_get_token(cache, list, flags);

	if (wi_likely(token < WEIR_AGAIN))
		return token;
#endif
	return weir_cache_get_wait(cache, list, flags, WEIR_WAIT_DEFAULT);
}

uint64_t weir_cache_get_wait(struct weir_cache *cache, unsigned list,
			     unsigned flags, uint64_t wait_ns)
{
	const struct request request = { list, flags, 1, false, wait_ns };
	uint64_t token;
	int error;

	if (get_tokens(cache, &request, &token, &error) == 1)
		return token;
	errno = error;
	return WEIR_CACHE_NONE;
}

int weir_cache_get_bulk(struct weir_cache *cache, unsigned list,
			uint64_t *tokens, size_t n, unsigned flags)
{
#ifdef WEIR_HAVE_SEQUENCES
	if (weir_i_try_get_tokens(cache, list, tokens, n, flags))
		return 0;
#endif
	return weir_cache_get_bulk_wait(cache, list, tokens, n, flags,
					WEIR_WAIT_DEFAULT);
}

int weir_cache_get_bulk_wait(struct weir_cache *cache, unsigned list,
			     uint64_t *tokens, size_t n, unsigned flags,
			     uint64_t wait_ns)
{
	const struct request request = { list, flags, n, false, wait_ns };
	int error;

	get_tokens(cache, &request, tokens, &error);
	return -error;
}

size_t weir_cache_get_upto(struct weir_cache *cache, unsigned list,
			   uint64_t *tokens, size_t n, unsigned flags)
{
	const struct request request = { list, flags, n, true,
					 WEIR_WAIT_DEFAULT };
	int error;
	size_t got = get_tokens(cache, &request, tokens, &error);

	if (got == 0 && error != 0)
		errno = error;
	return got;
}

/* The index of the first that is a value no token may have; n: none is. */
static size_t first_reserved(const uint64_t *tokens, size_t n)
{
	size_t i = 0;

	if (wi_likely(!weir_i_tokens_are_high(tokens, n)))
		return n;
	while (i < n && tokens[i] < WEIR_AGAIN)
		i++;
	return i;
}

WI_COLD static void put_slow(struct weir_cache *cache, unsigned list,
			     const uint64_t *tokens, size_t n)
{
	struct wi_token_cache *impl = wi_token_cache_of(cache);
	size_t reserved;

	if (impl == NULL)
		return;
	if (list >= cache->nr_lists)
		wi_fatal("cache: putting into list %u, it has %u", list,
			 cache->nr_lists);
	reserved = first_reserved(tokens, n);
	if (reserved < n)
		wi_fatal("cache: putting %#" PRIx64 ", which no token may be",
			 tokens[reserved]);
	wi_cache_put(&impl->cache, 0, list, tokens, n);
}

void weir_cache_put_bulk(struct weir_cache *cache, unsigned list,
			 const uint64_t *tokens, size_t n)
{
	size_t done = 0;

#ifdef WEIR_HAVE_SEQUENCES
	if (wi_likely(first_reserved(tokens, n) == n))
		done = weir_i_try_put_tokens(cache, list, tokens, n);
	if (wi_likely(done == n && n != 0))
		return;
#endif
	put_slow(cache, list, tokens + done, n - done);
}

void weir_cache_put(struct weir_cache *cache, unsigned list, uint64_t token)
{
#ifdef WEIR_HAVE_SEQUENCES
	if (wi_likely(weir_i_try_put_token(cache, list, token) > 0))
		return;
#endif
	put_slow(cache, list, &token, 1);
}

/* --- drains, modes, between operations --------------------------------- */

int weir_cache_drain(struct weir_cache *cache,
		     const struct weir_drain_opts *opts,
		     struct weir_drain_result *result)
{
	if (cache->impl == NULL)
		return wi_plain_error(-ESTALE);
	return wi_public_drain(&wi_token_cache_of(cache)->cache, opts, result);
}

int weir_cache_maintain(struct weir_cache *cache,
			struct weir_drain_result *result)
{
	return weir_cache_maintain_wait(cache, WEIR_WAIT_DEFAULT, result);
}

int weir_cache_maintain_wait(struct weir_cache *cache, uint64_t wait_ns,
			     struct weir_drain_result *result)
{
	if (cache->impl == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	if (result != NULL &&
	    wi_sized_check(WI_SIZED_DRAIN_RESULT, result) != 0)
		return -EINVAL;
	return wi_public_maintain(&wi_token_cache_of(cache)->cache, wait_ns,
				  result);
}

uint64_t weir_cache_flush(struct weir_cache *cache)
{
	if (cache->impl == NULL)
		return 0;
	return wi_cache_empty_here(&wi_token_cache_of(cache)->cache);
}

int weir_cache_set_mode(struct weir_cache *cache, const char *cpus,
			enum weir_mode mode)
{
	return weir_cache_set_mode_wait(cache, cpus, mode, WEIR_WAIT_DEFAULT);
}

int weir_cache_set_mode_wait(struct weir_cache *cache, const char *cpus,
			     enum weir_mode mode, uint64_t wait_ns)
{
	if (cache->impl == NULL)
		return wi_plain_error(-ESTALE);
	return wi_public_set_mode(&wi_token_cache_of(cache)->cache, cpus, mode,
				  wait_ns);
}

int weir_cache_set_limit(struct weir_cache *cache, const char *cpus,
			 unsigned list, unsigned limit)
{
	return weir_cache_set_limit_wait(cache, cpus, list, limit,
					 WEIR_WAIT_DEFAULT);
}

int weir_cache_set_limit_wait(struct weir_cache *cache, const char *cpus,
			      unsigned list, unsigned limit, uint64_t wait_ns)
{
	if (cache->impl == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	if (list >= cache->nr_lists) {
		wi_report_list(list, cache->nr_lists);
		return -EINVAL;
	}
	return wi_public_set_limit(&wi_token_cache_of(cache)->cache, cpus, list,
				   limit, wait_ns);
}

void weir_cache_tick(struct weir_cache *cache)
{
	if (cache->impl != NULL)
		wi_percpu_tick_all(&wi_token_cache_of(cache)->cache.drain);
}

void weir_cache_burst_begin(struct weir_cache *cache, struct weir_burst *burst)
{
	burst->area = cache->impl == NULL
			      ? NULL
			      : wi_percpu_burst_begin(
					&wi_token_cache_of(cache)->cache.drain);
}

void weir_cache_burst_end(struct weir_cache *cache, struct weir_burst *burst)
{
	if (cache->impl != NULL)
		wi_percpu_burst_end(burst->area);
}
