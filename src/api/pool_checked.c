/* SPDX-License-Identifier: MIT */
/*
 * Checked pools: the state of each page, and the pattern in free ones.
 *
 *	checks[page]	never used   0
 *			allocated    order + 1, the first page of the run
 *			             INNER, the others
 *			free         FREED
 *
 * A freed page is filled with 0x6b, up to 64 KiB of each, and the next
 * allocation checks that it is unchanged; so does weir_pool_destroy(). A region
 * of the caller's is not filled: it need not be memory. Free pages are also
 * inaccessible for AddressSanitizer, if the program has it, and for valgrind,
 * if the library was built with its header.
 *
 * Only one thread at a time has a run, whether allocated or in a list or zone;
 * what it stores here passes to the next one with the run. Only an erroneous
 * free meets another free: POOL-F1.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "os/report.h"
#include "api/pool.h"

#ifdef WI_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_NOACCESS(p, len) (void)(p), (void)(len)
#define VALGRIND_MAKE_MEM_DEFINED(p, len) (void)(p), (void)(len)
#define VALGRIND_MAKE_MEM_UNDEFINED(p, len) (void)(p), (void)(len)
#endif

#define INNER 0x40
#define FREED 0x80

#define FILL 0x6b
#define FILL_MAX 65536 /* bytes of a page */

/* Defined where the program was built with the sanitizer. */
void __asan_poison_memory_region(const volatile void *, size_t)
	__attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *, size_t)
	__attribute__((weak));

static void forbid_access(char *p, size_t len)
{
	VALGRIND_MAKE_MEM_NOACCESS(p, len);
	if (__asan_poison_memory_region != NULL)
		__asan_poison_memory_region(p, len);
}

static void permit_access(char *p, size_t len)
{
	if (__asan_unpoison_memory_region != NULL)
		__asan_unpoison_memory_region(p, len);
	VALGRIND_MAKE_MEM_DEFINED(p, len);
}

static char *page_at(const struct wi_pool *pool, uint64_t page)
{
	return pool->base + (page << pool->page_shift);
}

static size_t fill_bytes(const struct wi_pool *pool)
{
	return pool->owns_pages ? wi_min_u64(pool->page_size, FILL_MAX) : 0;
}

/* The first byte that differs from the pattern; n if none does. */
static size_t first_change(const char *p, size_t n)
{
	size_t i = 0;

	if (n == 0 || (p[0] == FILL && memcmp(p, p + 1, n - 1) == 0))
		return n;
	while (p[i] == FILL)
		i++;
	return i;
}

static void must_be_as_left(const struct wi_pool *pool, uint64_t page,
			    const char *doing)
{
	const size_t n = fill_bytes(pool);
	const char *p = page_at(pool, page);
	const size_t at = first_change(p, n);

	if (at < n)
		wi_fatal("pool \"%s\": %s %p: written after it was freed, byte "
			 "%zu is 0x%02x",
			 pool->name, doing, (const void *)p, at,
			 (unsigned char)p[at]);
}

void wi_pool_check_out(const struct wi_pool *pool, uint64_t offset,
		       unsigned order)
{
	const uint64_t first = offset >> pool->page_shift;
	const uint64_t nr = UINT64_C(1) << order;
	const size_t len = (size_t)(pool->page_size << order);
	char *run = pool->base + offset;

	permit_access(run, len);
	for (uint64_t i = first; i < first + nr; i++) {
		/*
		 * Relaxed: only this call has the run. An exchange, since the
		 * first write to memory that was only read would flush the TLB
		 * of every CPU that runs the process.
		 */
		uint8_t was = wi_xchg_relaxed(&pool->checks[i],
					      i == first ? (uint8_t)(order + 1)
							 : INNER);

		if (was == FREED)
			must_be_as_left(pool, i, "allocating");
	}
	if (pool->private_pages)
		VALGRIND_MAKE_MEM_UNDEFINED(run, len);
}

void wi_pool_check_in(const struct wi_pool *pool, uint64_t offset,
		      unsigned order)
{
	const uint64_t first = offset >> pool->page_shift;
	const uint64_t nr = UINT64_C(1) << order;
	char *run = pool->base + offset;
	char why[48];
	/* POOL-F1 (partner POOL-F1): of two frees of one page, one sees the
	 * other. */
	uint8_t was = wi_xchg_full(&pool->checks[first], FREED);

	if (was == 0 || was == FREED)
		wi_pool_die(pool, offset, order, "it is free already");
	if (was == INNER)
		wi_pool_die(pool, offset, order,
			    "it is inside of a run that is allocated");
	if (was != order + 1) {
		snprintf(why, sizeof(why),
			 "it was allocated with another order: %d", was - 1);
		wi_pool_die(pool, offset, order, why);
	}
	for (uint64_t i = first; i < first + nr; i++) {
		memset(page_at(pool, i), FILL, fill_bytes(pool));
		/* Relaxed: only this call has the run still. */
		wi_store_relaxed(&pool->checks[i], FREED);
	}
	forbid_access(run, (size_t)(pool->page_size << order));
}

int wi_pool_checked_order(const struct wi_pool *pool, uint64_t page)
{
	const unsigned zone = wi_pool_zone_of(pool, page << pool->page_shift);
	const uint64_t zone_first = zone * pool->zone_pages;

	for (unsigned order = 0; order <= WEIR_ORDER_MAX; order++) {
		const uint64_t within = page - zone_first;
		const uint64_t first = zone_first + (within >> order << order);

		/* Relaxed: what it was at some moment. */
		if (wi_load_relaxed(&pool->checks[first]) == order + 1)
			return (int)order;
	}
	return -1;
}

void wi_pool_check_all(const struct wi_pool *pool)
{
	for (uint64_t i = 0; i < wi_pool_nr_pages(pool); i++) {
		/* Relaxed: no other thread uses the pool. */
		if (wi_load_relaxed(&pool->checks[i]) != FREED)
			continue;
		permit_access(page_at(pool, i), (size_t)pool->page_size);
		must_be_as_left(pool, i, "destroying");
	}
}
