/* SPDX-License-Identifier: MIT */
/*
 * Checked pools: the state of each page, and the pattern in free ones.
 *
 *	checks[page]	never used   0
 *			allocated    order + 1, the first page of the run
 *			             INNER, the others
 *			free         FREED
 *
 * Two lines of a freed page are filled with 0x6b, and the next allocation
 * checks that they are unchanged; so does weir_pool_destroy(). The first is
 * that of the page's first byte, where most writes after a free go: headers and
 * links of lists. The other follows from the page's number, and pages in a row
 * have different ones, so that a write to always the same offset is seen sooner
 * or later. To fill and compare all of a page of 4 KiB takes seven times as
 * long; WEIR_CHECKED=2 in the environment does it. Either way what lies behind
 * the first 64 KiB of a page is left out. A region of the caller's is not
 * filled: it need not be memory. With WEIR_CHECKED=2 a fatal line also names
 * the call that freed the page before. Free pages are also inaccessible for
 * AddressSanitizer, if the program has it, and for valgrind, if the library was
 * built with its header.
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
#include "api/pool_lists.h"

#ifdef WI_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MAKE_MEM_NOACCESS(p, len) (void)(p), (void)(len)
#define VALGRIND_MAKE_MEM_DEFINED(p, len) (void)(p), (void)(len)
#define VALGRIND_MAKE_MEM_UNDEFINED(p, len) (void)(p), (void)(len)
#endif

#define INNER 0x40
#define FREED 0x80

#define FILL 0x6b
#define FILL_MAX 65536 /* bytes of a page */
#define LINE 64

/* Defined where the program was built with the sanitizer. */
void __asan_poison_memory_region(const volatile void *, size_t)
	__attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *, size_t)
	__attribute__((weak));

WI_COLD static void forbid_access(const struct wi_pool *pool, uint64_t offset,
				  unsigned order)
{
	char *run = pool->base + offset;
	const size_t len = (size_t)(pool->page_size << order);

	VALGRIND_MAKE_MEM_NOACCESS(run, len);
	if (__asan_poison_memory_region != NULL)
		__asan_poison_memory_region(run, len);
}

WI_COLD static void permit_access(const struct wi_pool *pool, uint64_t offset,
				  unsigned order)
{
	char *run = pool->base + offset;
	const size_t len = (size_t)(pool->page_size << order);

	if (__asan_unpoison_memory_region != NULL)
		__asan_unpoison_memory_region(run, len);
	VALGRIND_MAKE_MEM_DEFINED(run, len);
}

WI_COLD static void forget_content(const struct wi_pool *pool, uint64_t offset,
				   unsigned order)
{
	if (pool->private_pages)
		VALGRIND_MAKE_MEM_UNDEFINED(pool->base + offset,
					    (size_t)(pool->page_size << order));
}

static char *page_at(const struct wi_pool *pool, uint64_t page)
{
	return pool->base + wi_pool_offset_of(pool, page);
}

void wi_pool_check_begin(struct wi_pool *pool)
{
	if (pool->owns_pages) {
		pool->fill_bytes =
			(uint32_t)wi_min_u64(pool->page_size, FILL_MAX);
		pool->line_mask = wi_ceil_pow2(pool->fill_bytes) - LINE;
		pool->fill_lines = wi_os_env_level("WEIR_CHECKED") < 2;
	}
	pool->shows_access =
		__asan_poison_memory_region != NULL || RUNNING_ON_VALGRIND;
	pool->short_checks = pool->fill_lines && !pool->shows_access;
}

/* --- what a free page holds -------------------------------------------- */

/* Where the second line of a page is: not the first one again, if it has
 * more. */
static inline size_t second_line(const struct wi_pool *pool, uint64_t page)
{
	const size_t last = pool->fill_bytes - LINE;
	size_t at = page * LINE & pool->line_mask;

	if (at > last) /* then in the upper half of a power of two */
		at -= pool->line_mask / 2 + LINE / 2;
	return at != 0 ? at : last;
}

static inline void fill_lines(const struct wi_pool *pool, uint64_t page)
{
	char *p = page_at(pool, page);

	memset(p, FILL, LINE);
	memset(p + second_line(pool, page), FILL, LINE);
}

static void fill_free_page(const struct wi_pool *pool, uint64_t page)
{
	if (pool->fill_lines)
		fill_lines(pool, page);
	else
		memset(page_at(pool, page), FILL, pool->fill_bytes);
}

/* No loop: the compiler would leave it one. */
static inline bool line_is_filled(const char *p)
{
	const uint64_t each = FILL * UINT64_C(0x0101010101010101);
	const weir_i_pair filled = { each, each };
	const weir_i_pointer_pair *line = (const void *)p;
	weir_i_pair wrong;

	_Static_assert(4 * sizeof(*line) == LINE, "all of a line");
	wrong = (line[0] ^ filled) | (line[1] ^ filled) | (line[2] ^ filled) |
		(line[3] ^ filled);
	return (wrong[0] | wrong[1]) == 0;
}

/* Writes ", freed by the call before ADDRESS (FILE+OFFSET)", of a page that was
 * free until now, or "" where that was not remembered. */
WI_COLD static void say_freed_by(const struct wi_pool *pool, uint64_t page,
				 char *to, size_t len)
{
	const void *site = NULL;
	char where[80];

	to[0] = '\0';
	if (pool->freed_by != NULL)
		site = wi_load_relaxed(&pool->freed_by[page]);
	if (site == NULL)
		return;
	wi_os_name_code(site, where, sizeof(where));
	snprintf(to, len, ", freed by the call before %s", where);
}

/* It is not as it was left: the fatal line, with the first byte that differs.
 */
WI_COLD _Noreturn static void die_of_write(const struct wi_pool *pool,
					   uint64_t page, const char *doing)
{
	const char *p = page_at(pool, page);
	const size_t second = second_line(pool, page);
	char freed_by[120];
	size_t at = 0;

	while (p[at] == FILL)
		if (++at == LINE && pool->fill_lines)
			at = second;
	say_freed_by(pool, page, freed_by, sizeof(freed_by));
	wi_fatal("pool \"%s\": %s %p: written after it was freed, byte "
		 "%zu is 0x%02x%s",
		 pool->name, doing, (const void *)p, at, (unsigned char)p[at],
		 freed_by);
}

static inline void lines_must_be_as_left(const struct wi_pool *pool,
					 uint64_t page, const char *doing)
{
	const char *p = page_at(pool, page);

	if (wi_unlikely(!line_is_filled(p) ||
			!line_is_filled(p + second_line(pool, page))))
		die_of_write(pool, page, doing);
}

static void must_be_as_left(const struct wi_pool *pool, uint64_t page,
			    const char *doing)
{
	const char *p = page_at(pool, page);
	const size_t n = pool->fill_bytes;

	if (pool->fill_lines)
		lines_must_be_as_left(pool, page, doing);
	else if (n > 0 && (p[0] != FILL || memcmp(p, p + 1, n - 1) != 0))
		die_of_write(pool, page, doing);
}

/* Relaxed: only this call has the run. */
static void remember_site(const struct wi_pool *pool, uint64_t page,
			  const void *site)
{
	if (pool->freed_by != NULL)
		wi_store_relaxed(&pool->freed_by[page], site);
}

/* --- in and out -------------------------------------------------------- */

/* A page of a run is allocated; returns what it was. Relaxed, both: only this
 * call has the run. */
static inline uint8_t mark_allocated(const struct wi_pool *pool, uint64_t page,
				     uint8_t what)
{
	uint8_t was = wi_load_relaxed(&pool->checks[page]);

	wi_store_relaxed(&pool->checks[page], what);
	return was;
}

void wi_pool_check_out(const struct wi_pool *pool, uint64_t offset,
		       unsigned order)
{
	const uint64_t first = wi_pool_page_of(pool, offset);

	if (pool->shows_access)
		permit_access(pool, offset, order);
	for (uint64_t i = 0; i >> order == 0; i++)
		if (mark_allocated(pool, first + i,
				   i == 0 ? (uint8_t)(order + 1) : INNER) ==
		    FREED)
			must_be_as_left(pool, first + i, "allocating");
	if (pool->shows_access)
		forget_content(pool, offset, order);
}

WI_COLD _Noreturn static void die_of_free(const struct wi_pool *pool,
					  uint64_t offset, unsigned order,
					  uint8_t was)
{
	char why[150], freed_by[120];

	if (was == 0 || was == FREED) {
		say_freed_by(pool, wi_pool_page_of(pool, offset), freed_by,
			     sizeof(freed_by));
		snprintf(why, sizeof(why), "it is free already%s", freed_by);
		wi_pool_die(pool, offset, order, why);
	}
	if (was == INNER)
		wi_pool_die(pool, offset, order,
			    "it is inside of a run that is allocated");
	snprintf(why, sizeof(why), "it was allocated with another order: %d",
		 was - 1);
	wi_pool_die(pool, offset, order, why);
}

/* A run is freed, of which this is the first page. */
static inline void mark_freed(const struct wi_pool *pool, uint64_t first,
			      unsigned order)
{
	/* POOL-F1 (partner POOL-F1): of two frees of one page, one sees the
	 * other. */
	uint8_t was = wi_xchg_full(&pool->checks[first], FREED);

	if (wi_unlikely(was != order + 1))
		die_of_free(pool, wi_pool_offset_of(pool, first), order, was);
}

static void check_in(const struct wi_pool *pool, uint64_t offset,
		     unsigned order, const void *site)
{
	const uint64_t first = wi_pool_page_of(pool, offset);

	mark_freed(pool, first, order);
	for (uint64_t i = 0; i >> order == 0; i++) {
		fill_free_page(pool, first + i);
		remember_site(pool, first + i, site);
		/* Relaxed: only this call has the run still. */
		wi_store_relaxed(&pool->checks[first + i], FREED);
	}
	if (pool->shows_access)
		forbid_access(pool, offset, order);
}

/* --- allocating and freeing --------------------------------------------- */

/* With flags, of another order than 0, or with more to check. */
__attribute__((noinline)) static void *
alloc_checked_run(struct wi_pool *pool, unsigned order, unsigned flags)
{
	uint64_t token = wi_pool_pop_run(&pool->checked_lists, order, flags);

	if (token >= WEIR_AGAIN)
		return weir_alloc_wait(pool->handle, order, flags,
				       WEIR_WAIT_DEFAULT);
	wi_pool_check_out(pool, token, order);
	return pool->base + token;
}

void *wi_pool_alloc_checked(struct wi_pool *pool, unsigned order,
			    unsigned flags)
{
	uint64_t token, page;

	if (wi_unlikely((order | flags) != 0 || !pool->short_checks))
		return alloc_checked_run(pool, order, flags);
	token = weir_i_pop(&pool->checked_lists, 0);
	if (wi_unlikely(token >= WEIR_AGAIN))
		return weir_alloc_wait(pool->handle, 0, 0, WEIR_WAIT_DEFAULT);
	page = wi_pool_page_of(pool, token);
	if (wi_likely(mark_allocated(pool, page, 1) == FREED))
		lines_must_be_as_left(pool, page, "allocating");
	return pool->base + token;
}

/* Of another order than 0, or with more to check. */
__attribute__((noinline)) static void free_checked_run(struct wi_pool *pool,
						       uint64_t offset,
						       unsigned order,
						       const void *site)
{
	const uint64_t mask = (pool->page_size << order) - 1;

	check_in(pool, offset, order, site);
	if (order == 0
		    ? weir_i_push(&pool->checked_lists, 0, offset, offset) > 0
		    : wi_pool_push_run(&pool->checked_lists, order, offset,
				       mask))
		return;
	wi_pool_put_run(pool, offset, order);
}

void wi_pool_free_checked(struct wi_pool *pool, uint64_t offset, unsigned order,
			  const void *site)
{
	const uint64_t page = wi_pool_page_of(pool, offset);

	if (wi_unlikely(order != 0 || !pool->short_checks)) {
		free_checked_run(pool, offset, order, site);
		return;
	}
	mark_freed(pool, page, 0);
	fill_lines(pool, page);
	if (wi_unlikely(weir_i_push(&pool->checked_lists, 0, offset, offset) <=
			0))
		wi_pool_put_run(pool, offset, 0);
}

int wi_pool_checked_order(const struct wi_pool *pool, uint64_t page)
{
	const unsigned zone =
		wi_pool_zone_of(pool, wi_pool_offset_of(pool, page));
	const uint64_t zone_first = zone * pool->zone_pages;

	for (unsigned order = 0; order <= pool->order_max; order++) {
		const uint64_t within = page - zone_first;
		const uint64_t first = zone_first + (within >> order << order);

		/* Relaxed: what it was at some moment. */
		if (wi_load_relaxed(&pool->checks[first]) == order + 1)
			return (int)order;
	}
	return -1;
}

/* Relaxed: only the caller has these pages. */
void wi_pool_check_hand_over(const struct wi_pool *pool, uint64_t page,
			     uint64_t nr)
{
	for (uint64_t i = page; i < page + nr; i++) {
		wi_store_relaxed(&pool->checks[i], 0);
		if (pool->shows_access)
			permit_access(pool, wi_pool_offset_of(pool, i), 0);
	}
}

static void check_zone_pages(const struct wi_pool *pool, uint64_t first,
			     uint64_t end)
{
	for (uint64_t i = first; i < end; i++) {
		/* Relaxed: no other thread uses the pool. */
		if (wi_load_relaxed(&pool->checks[i]) != FREED)
			continue;
		if (pool->shows_access)
			permit_access(pool, wi_pool_offset_of(pool, i), 0);
		must_be_as_left(pool, i, "destroying");
	}
}

void wi_pool_check_all(const struct wi_pool *pool)
{
	for (unsigned zone = 0; zone < pool->nr_zones; zone++) {
		const uint64_t first = zone * pool->zone_pages;

		check_zone_pages(pool, first,
				 first + wi_pool_present_pages(pool, zone));
	}
}
