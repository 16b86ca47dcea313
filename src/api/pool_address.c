/* SPDX-License-Identifier: MIT */
/*
 * The addresses of a pool: pointers, page indices and offsets of its memory.
 * The handle is asked first, which a fork wipes: in the child no pointer is one
 * of the parent's pool.
 */
#include <errno.h>
#include <sys/uio.h>

#include "api/pool.h"
#include "os/report.h"

#define IOVEC_MAX (UINT64_C(1) << 30) /* bytes, as io_uring takes them */
#define CHUNK 64

/*
 * The next stretch of bytes that exist, from *at on, of zones that stand close
 * together: its length, and *at is its begin; 0: there is none.
 */
static uint64_t next_stretch(const struct wi_pool *pool, unsigned *zone,
			     uint64_t *at)
{
	uint64_t end;

	while (*zone < pool->nr_zones &&
	       wi_pool_present_bytes(pool, *zone) == 0)
		++*zone;
	if (*zone == pool->nr_zones)
		return 0;
	*at = end = pool->bounds[*zone].first;
	while (*zone < pool->nr_zones && pool->bounds[*zone].first == end)
		end += wi_pool_present_bytes(pool, (*zone)++);
	return end - *at;
}

/* How many bytes there are up to the last that exists. */
static uint64_t bytes_to_the_end(const struct wi_pool *pool)
{
	uint64_t at = 0, len, end = 0;
	unsigned zone = 0;

	while ((len = next_stretch(pool, &zone, &at)) > 0)
		end = at + len;
	return end;
}

int weir_pool_range(const struct weir_pool *handle, void **base, size_t *bytes,
		    size_t *page_size)
{
	const struct wi_pool *pool = wi_pool_of(handle);

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	if (base != NULL)
		*base = pool->base;
	if (bytes != NULL)
		*bytes = bytes_to_the_end(pool);
	if (page_size != NULL)
		*page_size = pool->page_size;
	return 0;
}

int weir_pool_iovecs(const struct weir_pool *handle, struct iovec *iovecs,
		     size_t n)
{
	const struct wi_pool *pool = wi_pool_of(handle);
	uint64_t at = 0, len, each;
	unsigned zone = 0;
	size_t nr = 0;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	each = IOVEC_MAX - IOVEC_MAX % pool->page_size;
	while ((len = next_stretch(pool, &zone, &at)) > 0)
		for (uint64_t part; len > 0; at += part, len -= part, nr++) {
			part = wi_min_u64(each, len);
			if (nr < n)
				iovecs[nr] =
					(struct iovec){ pool->base + at, part };
		}
	/* At most 2^46 bytes, in parts of 2^29 or more, and one for each zone.
	 */
	return (int)nr;
}

/* In a forked child the handle has no bytes. */
static bool has_offset(const struct weir_pool *pool, uint64_t offset)
{
	return offset < pool->bytes && wi_pool_has(wi_pool_of(pool), offset);
}

int weir_pool_contains(const struct weir_pool *pool, const void *p)
{
	const uint64_t offset = (uintptr_t)p - (uintptr_t)pool->base;

	return has_offset(pool, offset);
}

uint64_t weir_pool_index(const struct weir_pool *pool, const void *p)
{
	const uint64_t offset = (uintptr_t)p - (uintptr_t)pool->base;

	return has_offset(pool, offset) ? wi_mul_high(offset, pool->reciprocal)
					: WEIR_INDEX_NONE;
}

void *weir_pool_page(const struct weir_pool *handle, uint64_t index)
{
	const struct wi_pool *pool = wi_pool_of(handle);

	return pool != NULL && index < pool->max_pages &&
			       wi_pool_has(pool, wi_pool_offset_of(pool, index))
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
