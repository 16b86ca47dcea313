/* SPDX-License-Identifier: MIT */
/*
 * pool: pages. A range of addresses, a zone per NUMA node behind one cache
 * whose tokens are byte offsets from the pool's base.
 *
 *   handle (a page a fork wipes)        (a child has none of the rest)
 *   +--------------------------+        +-------------------------------+
 *   | struct weir_pool         |        | struct wi_pool: cache, names  |
 *   |   lists, base, ... impl -|------->| meta -+                       |
 *   +--------------------------+        +-------|-----------------------+
 *                                       +-------v-----------------------+
 *                                       | descriptor | totals | ...     |
 *   pages                               | areas of CPUs | zones         |
 *                                       +-------------------------------+
 *   | zone 0 ............|       | zone 1 ..|       | ...
 *
 * Behind the pages of a zone may be addresses that it can grow to.
 *
 * Kinds of the cache: 0 to 4 are the lists of orders 0 to 3 and 9; then come
 * the orders without a list.
 */
#ifndef WI_API_POOL_H
#define WI_API_POOL_H

#include "cache/cache.h"
#include "api/machine.h"
#include "api/maintain.h"
#include "api/stat.h"
#include "zone/zone.h"

#define WI_POOL_LISTS 5

struct wi_known; /* pool_known.c */

struct wi_pool {
	struct wi_cache cache;
	/* Constant. */
	char *base;
	uint64_t bytes; /* of addresses: the most that all pages can have */
	uint64_t mapped_bytes; /* that were asked for: less than a page more */
	uint64_t page_size, max_pages;
	uint64_t reciprocal; /* of page_size, as in the handle */
	size_t huge_bytes;   /* of huge pages reserved for it; 0: none */
	unsigned order_max;  /* 0 where page_size is no power of two */
	unsigned nr_zones;
	uint64_t zone_pages, zone_bytes; /* addresses of each zone but the last
					  */
	struct wi_zone *zone[WI_NODES_MAX];
	uint8_t zone_order[WI_NODES_MAX]; /* the largest that it serves */
	int node[WI_NODES_MAX]; /* the kernel's number; WEIR_NODE_ANY */
	uint8_t *checks;	/* a byte a page (pool_checked.c); NULL */
	/* Behind them, with WEIR_CHECKED=2: by which call each page was freed
	 * last. */
	const void **freed_by;
	size_t checks_bytes; /* of both */
	struct weir_i_lists
		checked_lists; /* the handle's, if it is unchecked */
	uint32_t fill_bytes;   /* of a checked page that is free; 0: a region */
	uint32_t line_mask;    /* the least power of two of them, less a line */
	bool fill_lines;       /* only two lines of these */
	bool shows_access;     /* to AddressSanitizer or valgrind */
	bool short_checks;     /* lines, and nothing is shown */
	char name[32];
	struct weir_pool *handle;
	struct wi_known *known; /* NULL: there were too many */
	char *meta; /* as api/meta.h pictures it: other processes may read it
		     */
	size_t meta_bytes;
	struct wi_os_mutex marks_mutex;
	struct weir_watermarks marks; /* low 0: none (watermarks.c) */
	struct wi_os_shared file;     /* of meta; fd -1: this process' alone */
	struct wi_view view;
	bool owns_pages;    /* mapped here, not a region of the caller's */
	bool private_pages; /* and not of a file that others may write */
	struct wi_maintainer maintainer;
	struct wi_machine machine;

	/* What a growth changes (pool_grow.c): the tokens of each zone, and how
	 * many runs all zones have if all is free. The drain mutex is held, and
	 * others read relaxed. */
	struct weir_i_bounds bounds[WI_NODES_MAX];
	uint64_t nr_runs[WEIR_ORDER_MAX + 1];
	uint64_t grow_bytes; /* constant: the unit; 0: it cannot grow */
	/* One growth at a time, and no blocks marked as isolated meanwhile, or
	 * no longer (pool_range.c). */
	struct wi_os_mutex growing;
};

/* The impl behind a handle; NULL in a forked child. */
static inline struct wi_pool *wi_pool_of(const struct weir_pool *pool)
{
	return (struct wi_pool *)pool->impl;
}

static inline unsigned wi_pool_kind_of_order(unsigned order)
{
	unsigned list = weir_i_list_of_order(order);

	if (list != WEIR_I_LIST_NONE)
		return list;
	return order < 9 ? order + 1 : order;
}

static inline unsigned wi_pool_order_of_kind(unsigned kind)
{
	if (kind <= 3)
		return kind;
	if (kind == 4)
		return 9;
	return kind <= 9 ? kind - 1 : kind;
}

static inline unsigned wi_pool_zone_of(const struct wi_pool *pool,
				       uint64_t offset)
{
	return pool->nr_zones == 1 ? 0 : (unsigned)(offset / pool->zone_bytes);
}

/* Of the page that has this byte, which is one of pool->bytes: the whole part
 * of the quotient, whose fraction weir_i_is_multiple() judges. */
static inline uint64_t wi_pool_page_of(const struct wi_pool *pool,
				       uint64_t offset)
{
	return wi_mul_high(offset, pool->reciprocal);
}

static inline uint64_t wi_pool_offset_of(const struct wi_pool *pool,
					 uint64_t page)
{
	return page * pool->page_size;
}

/* Bytes and pages of a zone that exist. Relaxed: see the top of pool_grow.c. */
static inline uint64_t wi_pool_present_bytes(const struct wi_pool *pool,
					     unsigned zone)
{
	return wi_load_relaxed(&pool->bounds[zone].bound);
}

static inline uint64_t wi_pool_present_pages(const struct wi_pool *pool,
					     unsigned zone)
{
	return wi_pool_present_bytes(pool, zone) / pool->page_size;
}

/* Is there a byte of a page, now? */
static inline bool wi_pool_has(const struct wi_pool *pool, uint64_t offset)
{
	unsigned zone;

	if (offset >= pool->bytes)
		return false;
	zone = wi_pool_zone_of(pool, offset);
	return offset - pool->bounds[zone].first <
	       wi_pool_present_bytes(pool, zone);
}

/* Does a page begin there, now? An offset of any value. */
static inline bool wi_pool_is_page(const struct weir_pool *handle,
				   uint64_t offset)
{
	return wi_pool_has(wi_pool_of(handle), offset) &&
	       (!(offset & handle->page_mask) ||
		weir_i_is_multiple(handle, offset));
}

/* Pages that exist now. */
static inline uint64_t wi_pool_nr_pages(const struct wi_pool *pool)
{
	uint64_t pages = 0;

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		pages += wi_pool_present_pages(pool, zone);
	return pages;
}

static inline struct wi_live_totals *wi_pool_totals(const struct wi_pool *pool)
{
	return (void *)(pool->meta + pool->view.live->layout.totals);
}

/* Pages that a zone has addresses for. */
static inline uint64_t wi_pool_zone_pages(const struct wi_pool *pool,
					  unsigned zone)
{
	uint64_t first = zone * pool->zone_pages;

	return wi_min_u64(pool->zone_pages, pool->max_pages - first);
}

/* Copies the caller's options over the defaults, and refuses what makes no
 * sense (pool_opts.c). */
int wi_pool_read_opts(struct weir_pool_opts *o,
		      const struct weir_pool_opts *given);

/* The memory of the pages (pool_memory.c): maps it, or takes the caller's. */
int wi_pool_map_pages(struct wi_pool *pool, const struct weir_pool_opts *o);

/*
 * Binds zones to their nodes. A node that the caller named must be available; a
 * kernel without nodes has node 0 only. Otherwise a refusal is no error (many
 * containers forbid the call): memory then comes from the node of the CPU that
 * touches it first, which is usually the right one.
 */
int wi_pool_bind_zones(struct wi_pool *pool, const struct weir_pool_opts *o);

/* Locks or backs all memory that an operation may touch, if the options or a
 * limit ask for it. */
int wi_pool_back_now(struct wi_pool *pool, const struct weir_pool_opts *o);

/* The same of the pages that a growth adds behind those of each zone, `more`
 * bytes; after an error they are as before. */
int wi_pool_back_more(struct wi_pool *pool, const uint64_t *more);

/* How many of `bytes`, a multiple of pool->grow_bytes and no more than there is
 * room for, each zone gets (pool_grow.c). */
void wi_pool_share_out(const struct wi_pool *pool, uint64_t bytes,
		       uint64_t *more);

/* How many runs all zones can have, if all is free and the pool has grown to
 * its most (pool_grow.c). */
uint64_t wi_pool_max_runs(const struct wi_pool *pool, unsigned order);

/* Counts the pages that a zone has, of which the first `before` were counted
 * already (pool_grow.c). */
void wi_pool_count_pages(struct wi_pool *pool, unsigned zone, uint64_t before);

/* Pages became free other than by drains: looks whether requests that wait can
 * be met, and completes those (pool_drain.c). */
void wi_pool_serve_requests(struct wi_pool *pool);

/* Maps meta and, in a checked pool, checks (pool_meta.c). */
int wi_pool_map_meta(struct wi_pool *pool, const struct weir_pool_opts *o);

/* All bytes of address space that the pool takes, as far as known. */
uint64_t wi_pool_whole_bytes(const struct wi_pool *pool);

/* Of these, all that memory may back now: without the pages that do not exist.
 */
uint64_t wi_pool_backed_bytes(const struct wi_pool *pool);

/* Reports that memory was refused, the size in all, and the limit. */
void wi_pool_report_memory(const struct wi_pool *pool, uint64_t bytes,
			   const char *what);

/* The back end of the pool's cache: its zones (pool_zones.c). */
extern const struct wi_backend wi_pool_backend;

/* Ends the process with 'pool "NAME": freeing ADDRESS (order N): WHY'; where
 * the address is another pool's, the line says whose (pool_alloc.c). */
_Noreturn void wi_pool_die(const struct wi_pool *pool, uint64_t offset,
			   unsigned order, const char *why);

/*
 * In a checked pool (pool_checked.c): it is made; as a run is allocated: was it
 * written to since it was freed; as the pool is destroyed: was any free page
 * written to?
 */
void wi_pool_check_begin(struct wi_pool *pool);
void wi_pool_check_out(const struct wi_pool *pool, uint64_t offset,
		       unsigned order);
void wi_pool_check_all(const struct wi_pool *pool);

/* Pages that the caller isolated: it may write to them, and they come back as
 * if never used. */
void wi_pool_check_hand_over(const struct wi_pool *pool, uint64_t page,
			     uint64_t nr);

/* weir_alloc() and weir_free() in a checked pool; `site` is where the program
 * called. */
void *wi_pool_alloc_checked(struct wi_pool *pool, unsigned order,
			    unsigned flags);
void wi_pool_free_checked(struct wi_pool *pool, uint64_t offset, unsigned order,
			  const void *site);

/* weir_free_bulk(), called by the program at `site` (pool_alloc.c). */
void wi_pool_free_pages(struct weir_pool *pool, unsigned order,
			void *const *pages, size_t n, const void *site);

/* Turns offsets into pointers, in place; fills with zeros if flags say so, and
 * notes as allocated in a checked pool (pool_alloc.c). */
void wi_pool_hand_out(const struct wi_pool *pool, unsigned order, void **pages,
		      size_t n, unsigned flags);

/* Why an offset cannot be a run of this order; NULL if it can
 * (pool_alloc.c). */
const char *wi_pool_why_no_run(const struct wi_pool *pool, uint64_t offset,
			       unsigned order);

/* Takes a given run from its zone, if all of it is free there
 * (pool_zones.c). */
bool wi_pool_claim_at(const struct wi_pool *pool, uint64_t offset,
		      unsigned order);

/* Gives a run back by the slow path (pool_alloc.c). */
void wi_pool_put_run(struct wi_pool *pool, uint64_t offset, unsigned order);

/* The order of the allocated run that has this page, in a checked pool; -1 if
 * it is in none. */
int wi_pool_checked_order(const struct wi_pool *pool, uint64_t page);

/* Between these two calls wi_pool_hold(), wi_pool_hold_of() and
 * wi_pool_say_whose() find the pool (pool_known.c). wi_pool_forget() waits
 * until nobody holds it. */
void wi_pool_make_known(struct wi_pool *pool);
void wi_pool_forget(struct wi_pool *pool);

/* The pool of that handle and number, if it still exists and belongs to this
 * process, held until wi_pool_let_go(). Not for signal handlers. */
const struct wi_pool *wi_pool_hold(const void *handle, uint64_t number);
/* The same of the pool that has this address. */
const struct wi_pool *wi_pool_hold_of(const void *page);
void wi_pool_let_go(const struct wi_pool *pool);

/* Continues "not a page of this pool": whose page it is, or "". */
void wi_pool_say_whose(const void *page, char *to, size_t len);

/* weir_last_error() has words for an allocation that found nothing. Signal-safe
 * and cheap (pool_shortage.c). */
void wi_pool_report_shortage(const struct wi_pool *pool, unsigned order,
			     size_t n, unsigned flags,
			     const struct wi_shortage *shortage);

/* weir_last_error() says that the pool has no such order. Signal-safe and cheap
 * (pool_shortage.c). */
void wi_pool_report_order(const struct wi_pool *pool, unsigned order);

/* Drains for so many pages; -EAGAIN also if they are there and others pending
 * (pool_drain.c). */
int wi_pool_drain_for(struct wi_pool *pool, uint64_t pages, uint64_t wait_ns,
		      struct weir_drain_result *result);

/* What maintenance does for the watermarks: 0, or an error of its drain, whose
 * result is added to *result. */
int wi_pool_keep_watermarks(struct wi_pool *pool, uint64_t wait_ns,
			    struct weir_drain_result *result);

/* Is this thread in the function that watermarks call? */
bool wi_pool_is_shrinking(struct wi_pool *pool);

/* Pages free in the zones, and free pages of isolated blocks; both scan them.
 */
uint64_t wi_pool_nr_free(const struct wi_pool *pool);
uint64_t wi_pool_nr_isolated(const struct wi_pool *pool);

#endif
