/* SPDX-License-Identifier: MIT */
/*
 * The addresses of a pool: pointers, page indices and offsets of its memory.
 * From the handle, which a fork wipes: in the child no pointer is one of the
 * parent's pool.
 */
#include <errno.h>
#include <sys/uio.h>

#include "api/pool.h"
#include "os/report.h"

#define IOVEC_MAX (UINT64_C(1) << 30) /* bytes, as io_uring takes them */
#define CHUNK 64

int weir_pool_range(const struct weir_pool *handle, void **base, size_t *bytes,
		    size_t *page_size)
{
	const struct wi_pool *pool = wi_pool_of(handle);

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	if (base != NULL)
		*base = pool->base;
	if (bytes != NULL)
		*bytes = pool->bytes;
	if (page_size != NULL)
		*page_size = pool->page_size;
	return 0;
}

int weir_pool_iovecs(const struct weir_pool *handle, struct iovec *iovecs,
		     size_t n)
{
	const struct wi_pool *pool = wi_pool_of(handle);
	uint64_t nr, each;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	each = IOVEC_MAX - IOVEC_MAX % pool->page_size;
	nr = wi_div_round_up(pool->bytes, each);
	for (uint64_t i = 0; i < nr && i < n; i++)
		iovecs[i] = (struct iovec){
			pool->base + i * each,
			wi_min_u64(each, pool->bytes - i * each),
		};
	return (int)nr; /* at most 2^46 bytes, in parts of 2^29 or more */
}

int weir_pool_contains(const struct weir_pool *pool, const void *p)
{
	return (uintptr_t)p - (uintptr_t)pool->base < pool->bytes;
}

uint64_t weir_pool_index(const struct weir_pool *pool, const void *p)
{
	const uint64_t offset = (uintptr_t)p - (uintptr_t)pool->base;

	return offset < pool->bytes ? wi_mul_high(offset, pool->reciprocal)
				    : WEIR_INDEX_NONE;
}

void *weir_pool_page(const struct weir_pool *handle, uint64_t index)
{
	const struct wi_pool *pool = wi_pool_of(handle);

	return pool != NULL && index < pool->nr_pages
		       ? pool->base + wi_pool_offset_of(pool, index)
		       : NULL;
}

int weir_pool_order(const struct weir_pool *handle, size_t bytes)
{
	const struct wi_pool *pool = wi_pool_of(handle);
	unsigned order = 0;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	while (order <= pool->order_max && pool->page_size << order < bytes)
		order++;
	if (order <= pool->order_max)
		return (int)order;
	wi_pool_report_order(pool, order);
	return -EINVAL;
}

/* --- offsets instead of pointers ---------------------------------------- */

/* In place: the results of an allocation are offsets from the base. */
static void to_offsets(const struct weir_pool *pool, uint64_t *offsets,
		       size_t n)
{
	for (size_t i = 0; i < n; i++)
		offsets[i] -= (uintptr_t)pool->base;
}

int weir_alloc_offsets(struct weir_pool *pool, unsigned order,
		       uint64_t *offsets, size_t n, unsigned flags)
{
	_Static_assert(sizeof(void *) == sizeof(uint64_t), "in place");
	int err = weir_alloc_bulk(pool, order, (void **)(void *)offsets, n,
				  flags);

	if (err == 0)
		to_offsets(pool, offsets, n);
	return err;
}

size_t weir_alloc_offsets_upto(struct weir_pool *pool, unsigned order,
			       uint64_t *offsets, size_t n, unsigned flags)
{
	size_t got = weir_alloc_upto(pool, order, (void **)(void *)offsets, n,
				     flags);

	to_offsets(pool, offsets, got);
	return got;
}

void weir_free_offsets(struct weir_pool *pool, unsigned order,
		       const uint64_t *offsets, size_t n)
{
	const void *site = __builtin_return_address(0);
	void *pages[CHUNK];

	for (size_t chunk; n > 0; offsets += chunk, n -= chunk) {
		chunk = wi_min_u64(n, CHUNK);
		for (size_t i = 0; i < chunk; i++)
			pages[i] = (void *)((uintptr_t)pool->base + offsets[i]);
		wi_pool_free_pages(pool, order, pages, chunk, site);
	}
}
