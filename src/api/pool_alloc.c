/* SPDX-License-Identifier: MIT */
/* Allocating and freeing: pages between the caller, the cache and the zones. */
#include "api/pool.h"
#include "api/pool_lists.h"

#include <errno.h>
#include <string.h>

#include "base/trace.h"
#include "os/report.h"

/* Tokens moved at a time through the stack. */
#define CHUNK WI_CHUNK

/* --- caller errors ----------------------------------------------------- */

WI_COLD void wi_pool_die(const struct wi_pool *pool, uint64_t offset,
			 unsigned order, const char *why)
{
	void *page = (void *)((uintptr_t)pool->base + offset);
	char whose[80] = "";

	if (offset >= pool->bytes)
		wi_pool_say_whose(page, whose, sizeof(whose));
	wi_fatal("pool \"%s\": freeing %p (order %u): %s%s", pool->name, page,
		 order, why, whose);
}

const char *wi_pool_why_no_run(const struct wi_pool *pool, uint64_t offset,
			       unsigned order)
{
	uint64_t run, within;
	unsigned zone;

	if (offset >= pool->bytes)
		return "not a page of this pool";
	if (!wi_pool_has(pool, offset))
		return "not a page of this pool yet";
	if (order > WEIR_ORDER_MAX)
		return "no such order";
	if (!wi_pool_is_page(pool->handle, offset))
		return "not the first byte of a page";
	if (order == 0)
		return NULL;
	if (order > pool->order_max)
		return "no such order in a pool whose page_size is no power of "
		       "two";
	run = pool->page_size << order;
	zone = wi_pool_zone_of(pool, offset);
	within = offset - pool->bounds[zone].first;
	if (within & (run - 1))
		return "not the first page of a run of that order";
	if (run > wi_pool_present_bytes(pool, zone) - within)
		return "a run of that order would reach past the pool";
	if (order > pool->zone_order[zone])
		return "not the first page of a run of that order";
	return NULL;
}

/* --- allocation -------------------------------------------------------- */

#define ALL_FLAGS (WEIR_NOWAIT | WEIR_ZERO | WEIR_THISNODE | WEIR_RECLAIM)

/* What a caller asks for. */
struct request {
	unsigned order, flags;
	size_t n;
	bool some; /* as many as there are */
	uint64_t wait_ns;
	size_t have; /* the first ones, whose tokens were popped already */
};

/* Why a request cannot be served at all: 0, or a positive errno value. */
static int check_alloc_request(const struct wi_pool *pool, unsigned order,
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
	return 0;
}

void wi_pool_hand_out(const struct wi_pool *pool, unsigned order, void **pages,
		      size_t n, unsigned flags)
{
	if (pool->checks != NULL)
		for (size_t i = 0; i < n; i++)
			wi_pool_check_out(pool, (uint64_t)(uintptr_t)pages[i],
					  order);
	weir_i_tokens_to_pages(pool->handle, pages, n);
	if (flags & WEIR_ZERO)
		for (size_t i = 0; i < n; i++)
			memset(pages[i], 0, pool->page_size << order);
}

/* What was allocated of a request that fails. */
static void give_back(struct wi_pool *pool, unsigned kind,
		      const uint64_t *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++)
		wi_cache_put(&pool->cache, wi_pool_zone_of(pool, tokens[i]),
			     kind, &tokens[i], 1);
}

/* How many runs it stored in pages; the error where they are fewer (without
 * `some`: 0 then, nothing is kept). */
static size_t allocate_runs(struct wi_pool *pool, const struct request *request,
			    void **pages, int *error)
{
	const unsigned order = request->order, flags = request->flags;
	const size_t n = request->n;
	const bool some = request->some;
	_Static_assert(sizeof(void *) == sizeof(uint64_t), "tokens in place");
	uint64_t *tokens = (uint64_t *)(void *)pages;
	const unsigned kind = wi_pool_kind_of_order(order);
	/* Relaxed: a growth that is over is seen; one that is not may be
	 * missed. */
	const uint64_t runs = wi_load_relaxed(&pool->nr_runs[order]);
	struct wi_shortage shortage = { .why = WI_FAIL_EMPTY };
	const struct wi_get get = {
		.kind = kind,
		.flags = (flags & WEIR_NOWAIT ? WI_GET_NOWAIT : 0) |
			 (flags & WEIR_THISNODE ? WI_GET_LOCAL : 0) |
			 (some ? WI_GET_SOME : 0),
		.tokens = tokens,
		.n = wi_min_u64(n, runs),
		.have = request->have,
		.wait_ns = flags & WEIR_RECLAIM ? 0 : request->wait_ns,
		.shortage = &shortage,
	};
	size_t got;

	/* No drain can find pages that do not exist. */
	if (runs == 0 || (n > runs && !some)) {
		wi_cache_count_failure(&pool->cache, WI_FAIL_EMPTY, kind, n, 0);
		wi_percpu_tick_all(
			&pool->cache.drain); /* an operation like any other */
		wi_pool_report_shortage(pool, order, n, flags, &shortage);
		give_back(pool, kind, tokens, request->have);
		*error = ENOMEM;
		return 0;
	}
	got = wi_cache_get(&pool->cache, &get, error);
	if (got < n && (got == 0 || !some))
		wi_pool_report_shortage(pool, order, n, flags, &shortage);
	if (got < n && !some) {
		give_back(pool, kind, tokens, got);
		return 0;
	}
	wi_pool_hand_out(pool, order, pages, got, flags);
	return got;
}

void *weir_alloc_wait(struct weir_pool *pool, unsigned order, unsigned flags,
		      uint64_t wait_ns)
{
	const struct request request = { order, flags, 1, false, wait_ns, 0 };
	struct wi_pool *impl = wi_pool_of(pool);
	void *page;
	int error = check_alloc_request(impl, order, flags);

	if (error == 0 && allocate_runs(impl, &request, &page, &error) == 1)
		return page;
	errno = error;
	return NULL;
}

/* Not cold: checked pools go through here. */
__attribute__((noinline)) static void *
alloc_slow(struct weir_pool *pool, unsigned order, unsigned flags)
{
	struct wi_pool *impl = wi_pool_of(pool);

	if (impl != NULL && impl->checks != NULL)
		return wi_pool_alloc_checked(impl, order, flags);
	return weir_alloc_wait(pool, order, flags, WEIR_WAIT_DEFAULT);
}

/* With flags, or of another order than 0. */
__attribute__((noinline)) static void *
alloc_other(struct weir_pool *pool, unsigned order, unsigned flags)
{
	uint64_t token = wi_pool_pop_run(&pool->lists, order, flags);

	if (wi_likely(token < WEIR_AGAIN))
		return pool->base + token;
	return alloc_slow(pool, order, flags);
}

/* Single pages without flags take a direct path that saves no registers. */
void *weir_alloc(struct weir_pool *pool, unsigned order, unsigned flags)
{
	uint64_t token;

	if (wi_unlikely((order | flags) != 0))
		return alloc_other(pool, order, flags);
	token = weir_i_pop(&pool->lists, 0);
	if (wi_unlikely(token >= WEIR_AGAIN))
		return alloc_slow(pool, 0, 0);
	return pool->base + token;
}

/* The tokens that the sequence gives of a bulk: all, some or none. */
__attribute__((noinline)) static size_t pop_runs(const struct weir_pool *pool,
						 unsigned order, void **pages,
						 size_t n, unsigned flags)
{
	return weir_i_pop_tokens(pool, weir_i_list_of_order(order),
				 (uint64_t *)(void *)pages, n, flags);
}

/* A bulk that the sequence did not give whole; 0 and an error if it fails. */
__attribute__((noinline)) static size_t
alloc_bulk_slow(const struct weir_pool *pool, const struct request *request,
		void **pages, int *error)
{
	struct wi_pool *impl = wi_pool_of(pool);

	*error = check_alloc_request(impl, request->order, request->flags);
	if (*error != 0 || request->n == 0)
		return 0;
	return allocate_runs(impl, request, pages, error);
}

int weir_alloc_bulk(struct weir_pool *pool, unsigned order, void **pages,
		    size_t n, unsigned flags)
{
	return weir_alloc_bulk_wait(pool, order, pages, n, flags,
				    WEIR_WAIT_DEFAULT);
}

int weir_alloc_bulk_wait(struct weir_pool *pool, unsigned order, void **pages,
			 size_t n, unsigned flags, uint64_t wait_ns)
{
	const size_t got = pop_runs(pool, order, pages, n, flags);
	int error;

	if (wi_likely(got == n && n > 0)) {
		weir_i_tokens_to_pages(pool, pages, n);
		return 0;
	}
	alloc_bulk_slow(
		pool, &(struct request){ order, flags, n, false, wait_ns, got },
		pages, &error);
	return -error;
}

size_t weir_alloc_upto(struct weir_pool *pool, unsigned order, void **pages,
		       size_t n, unsigned flags)
{
	size_t got = pop_runs(pool, order, pages, n, flags);
	int error;

	if (wi_likely(got == n && n > 0)) {
		weir_i_tokens_to_pages(pool, pages, n);
		return n;
	}
	got = alloc_bulk_slow(pool,
			      &(struct request){ order, flags, n, true,
						 WEIR_WAIT_DEFAULT, got },
			      pages, &error);
	if (got == 0 && error != 0)
		errno = error;
	return got;
}

/* --- free -------------------------------------------------------------- */

void wi_pool_put_run(struct wi_pool *pool, uint64_t offset, unsigned order)
{
	wi_cache_put(&pool->cache, wi_pool_zone_of(pool, offset),
		     wi_pool_kind_of_order(order), &offset, 1);
}

static void must_be_run(const struct wi_pool *pool, uint64_t offset,
			unsigned order)
{
	const char *why = wi_pool_why_no_run(pool, offset, order);

	if (why != NULL)
		wi_pool_die(pool, offset, order, why);
}

/* Not cold: checked pools go through here. */
__attribute__((noinline)) static void free_slow(struct weir_pool *handle,
						void *page, unsigned order,
						const void *site)
{
	struct wi_pool *pool = wi_pool_of(handle);
	uint64_t offset;

	if (pool == NULL || page == NULL)
		return;
	offset = (uint64_t)((char *)page - pool->base);
	/* First what single pages of a checked pool need. */
	if (wi_unlikely(order > 0 || !wi_pool_is_page(handle, offset)))
		must_be_run(pool, offset, order);
	if (pool->checks != NULL)
		wi_pool_free_checked(pool, offset, order, site);
	else
		wi_pool_put_run(pool, offset, order);
}

/* Of another order than 0. */
__attribute__((noinline)) static void
free_other(struct weir_pool *pool, void *page, unsigned order, const void *site)
{
	uint64_t offset = (uint64_t)((char *)page - pool->base);

	if (!wi_likely(wi_pool_push_run(&pool->lists, order, offset,
					weir_i_run_mask(pool, order))))
		free_slow(pool, page, order, site);
}

void weir_free(struct weir_pool *pool, void *page, unsigned order)
{
	uint64_t offset = (uint64_t)((char *)page - pool->base);

	if (wi_unlikely(order != 0)) {
		free_other(pool, page, order, __builtin_return_address(0));
		return;
	}
	if (wi_likely((!(offset & pool->page_mask) ||
		       weir_i_is_multiple(pool, offset)) &&
		      weir_i_push(&pool->lists, 0, offset, offset) > 0))
		return;
	/* Not `page`, which would need a register; nor a pointer's sum, as it
	 * may be NULL. */
	free_slow(pool, (void *)((uintptr_t)pool->base + offset), 0,
		  __builtin_return_address(0));
}

/* Offsets of n pages of any size; false if one of them is none within the
 * bounds. */
static bool objects_to_tokens(const struct weir_pool *pool, void *const *pages,
			      size_t n, uint64_t *tokens,
			      struct weir_i_bounds bounds)
{
	bool wrong = false;

	for (size_t i = 0; i < n; i++) {
		const uint64_t at = (uintptr_t)pages[i] - (uintptr_t)pool->base;

		/* The bounds begin at a page. */
		wrong |= at - bounds.first >= bounds.bound;
		wrong |= !weir_i_is_multiple(pool, at);
		tokens[i] = at;
	}
	return !wrong;
}

/* Pages that are checked, or of which one is wrong, given back one by one. */
WI_COLD static void free_each(struct weir_pool *pool, unsigned order,
			      void *const *pages, size_t n, const void *site)
{
	for (size_t i = 0; i < n; i++)
		free_slow(pool, pages[i], order, site);
}

/* Gives runs back, those of one zone at a time. */
static void put_by_zone(struct wi_pool *pool, unsigned kind, uint64_t *tokens,
			size_t n)
{
	uint64_t same[CHUNK];

	if (pool->nr_zones == 1) {
		wi_cache_put(&pool->cache, 0, kind, tokens, n);
		return;
	}
	while (n > 0) {
		const unsigned zone = wi_pool_zone_of(pool, tokens[0]);
		const uint64_t first = pool->bounds[zone].first;
		const uint64_t bound = wi_pool_present_bytes(pool, zone);
		size_t nr = 0, rest = 0;

		if (tokens[0] - first >= bound)
			must_be_run(pool, tokens[0],
				    wi_pool_order_of_kind(kind));
		for (size_t i = 0; i < n; i++)
			if (tokens[i] - first < bound)
				same[nr++] = tokens[i];
			else
				tokens[rest++] = tokens[i];
		wi_cache_put(&pool->cache, zone, kind, same, nr);
		n = rest;
	}
}

/* Offsets of n runs; false if one of them may be none within the bounds. */
static bool runs_to_tokens(const struct weir_pool *pool, unsigned order,
			   void *const *pages, size_t n, uint64_t *tokens,
			   struct weir_i_bounds bounds)
{
	if (wi_unlikely(pool->page_mask == UINT64_MAX))
		return order == 0 &&
		       objects_to_tokens(pool, pages, n, tokens, bounds);
	return weir_i_pages_to_tokens(pool, order, pages, n, tokens, bounds) ==
	       0;
}

/* As weir_i_push_pages(), of pages of any size. */
static size_t push_runs(const struct weir_pool *pool, unsigned order,
			void *const *pages, size_t n)
{
	uint64_t tokens[WEIR_I_BULK_MAX] __attribute__((aligned(16)));
	struct weir_i_bounds bounds;

	if (!weir_i_area_bounds(&pool->lists, pool->lists.nr_cpus, &bounds) ||
	    !runs_to_tokens(pool, order, pages, n, tokens, bounds))
		return 0;
	return weir_i_push_tokens(pool, weir_i_list_of_order(order), tokens, n,
				  bounds.first);
}

/* What this CPU's list did not take. */
__attribute__((noinline)) static void free_bulk_slow(struct weir_pool *pool,
						     unsigned order,
						     void *const *pages,
						     size_t n, const void *site)
{
	uint64_t tokens[CHUNK] __attribute__((aligned(16)));
	struct wi_pool *impl = wi_pool_of(pool);
	struct weir_i_bounds all = { 0, pool->bytes };
	/* Zones begin at multiples of 512 pages: up to there, what is aligned
	 * in the pool is so in its zone, and within it. */
	unsigned most = WEIR_ORDER_MAX;

	if (impl == NULL)
		return;
	if (impl->nr_zones > 1)
		most = 9;
	else
		all.bound = wi_pool_present_bytes(impl, 0);
	for (size_t chunk; n > 0; pages += chunk, n -= chunk) {
		chunk = wi_min_u64(n, CHUNK);
		if (impl->checks == NULL && order <= most &&
		    runs_to_tokens(pool, order, pages, chunk, tokens, all))
			put_by_zone(impl, wi_pool_kind_of_order(order), tokens,
				    chunk);
		else
			free_each(pool, order, pages, chunk, site);
	}
}

void wi_pool_free_pages(struct weir_pool *pool, unsigned order,
			void *const *pages, size_t n, const void *site)
{
	while (n > 0) {
		const size_t chunk = wi_min_u64(n, WEIR_I_BULK_MAX);
		const size_t done = push_runs(pool, order, pages, chunk);

		pages += done;
		n -= done;
		if (wi_unlikely(done < chunk)) {
			free_bulk_slow(pool, order, pages, n, site);
			return;
		}
	}
}

void weir_free_bulk(struct weir_pool *pool, unsigned order, void *const *pages,
		    size_t n)
{
	wi_pool_free_pages(pool, order, pages, n, __builtin_return_address(0));
}

/* --- between operations ------------------------------------------------ */

void weir_burst_begin(struct weir_pool *pool, struct weir_burst *burst)
{
	struct wi_pool *impl = wi_pool_of(pool);

	burst->area =
		impl == NULL ? NULL : wi_percpu_burst_begin(&impl->cache.drain);
}

void weir_burst_end(struct weir_pool *pool, struct weir_burst *burst)
{
	if (wi_pool_of(pool) != NULL)
		wi_percpu_burst_end(burst->area);
}

void weir_tick(struct weir_pool *pool)
{
	struct wi_pool *impl = wi_pool_of(pool);

	if (impl != NULL)
		wi_percpu_tick_all(&impl->cache.drain);
}
