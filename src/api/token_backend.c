/* SPDX-License-Identifier: MIT */
/* Where the tokens of a token cache are that are in no list: with the caller,
 * or in stores of the cache's own. */
#include <errno.h>
#include <inttypes.h>

#include "api/token_cache.h"
#include "os/os.h"
#include "os/report.h"

/* Tokens are back, so that a search that reads the count finds them. */
static void count_returned(struct wi_token_cache *impl)
{
	/* CACHE-F2 (partner CACHE-F3): counted after the tokens came back. */
	wi_add_full(&impl->came_back, 1);
}

static uint64_t tokens_generation(void *ctx)
{
	struct wi_token_cache *impl = ctx;

	/* CACHE-F3 (partner CACHE-F2): read before a search, the count misses
	 * only what that search can find; the load after a search is not
	 * early. */
	wi_fence_full();
	return wi_load_acquire(&impl->came_back); /* CACHE-F3 */
}

/* --- with the caller ----------------------------------------------------- */

static size_t callers_get(void *ctx, unsigned zone, unsigned kind,
			  uint64_t *tokens, size_t n, uint32_t *cursor)
{
	struct wi_token_cache *impl = ctx;

	(void)zone, (void)cursor;
	return impl->backend.get(impl->backend.context, kind, tokens, n);
}

static void callers_put(void *ctx, unsigned zone, unsigned kind,
			const uint64_t *tokens, size_t n)
{
	struct wi_token_cache *impl = ctx;

	(void)zone;
	impl->backend.put(impl->backend.context, kind, tokens, n);
	count_returned(impl);
}

/* --- in a store ---------------------------------------------------------- */

static size_t stores_get(void *ctx, unsigned zone, unsigned kind,
			 uint64_t *tokens, size_t n, uint32_t *cursor)
{
	struct wi_token_cache *impl = ctx;

	(void)zone;
	return wi_token_store_get(&impl->store[kind], tokens, n, cursor);
}

static void stores_put(void *ctx, unsigned zone, unsigned kind,
		       const uint64_t *tokens, size_t n)
{
	struct wi_token_cache *impl = ctx;
	struct wi_token_store *store = &impl->store[kind];

	(void)zone;
	if (wi_unlikely(!wi_token_store_put(store, tokens, n)))
		wi_fatal("cache: list %u: no room for %zu tokens in the "
			 "cache's own store, whose capacity is %" PRIu64,
			 kind, n, store->capacity);
	count_returned(impl);
}

int wi_token_stores_make(struct wi_token_cache *impl, unsigned nr_lists,
			 uint64_t capacity)
{
	const size_t each = wi_token_store_bytes(capacity);
	const struct wi_os_map map = { .bytes = nr_lists * each,
				       .no_fork = true,
				       .read_first = true };
	void *memory;
	int err = wi_os_map(&memory, &map);

	if (err != 0) {
		wi_report("capacity: the system refused %zu bytes for tokens",
			  map.bytes);
		return err;
	}
	impl->stores = memory;
	impl->stores_bytes = map.bytes;
	for (unsigned list = 0; list < nr_lists; list++)
		wi_token_store_init(&impl->store[list],
				    impl->stores + list * each, capacity);
	return 0;
}

struct wi_backend wi_token_backend(struct wi_token_cache *impl)
{
	struct wi_backend backend = { .get = callers_get,
				      .put = callers_put,
				      .generation = tokens_generation,
				      .ctx = impl };

	if (impl->stores != NULL) {
		backend.get = stores_get;
		backend.put = stores_put;
	}
	return backend;
}
