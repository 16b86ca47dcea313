/* SPDX-License-Identifier: MIT */
/*
 * A zone: a range of pages, found and claimed in runs of 2^order.
 *
 * Pages are numbers from 0 within the zone, and are never touched; the zone is
 * only the memory it is given, and position independent. Everything here is
 * lock-free: no call waits for another thread, not even for a stopped one. Any
 * function may run concurrently with any other, also in a signal handler that
 * interrupted one, except wi_zone_init(), wi_zone_leave_out() and
 * wi_zone_is_valid().
 *
 * A page is claimed by one call and released by one, but not necessarily in the
 * same runs: a run of order 1 to 8 may be released in parts or page by page. A
 * run of order 9 or more is released as it was claimed.
 *
 * What an owner did to a page before its release happens before everything the
 * next owner does after its claim.
 */
#ifndef WI_ZONE_ZONE_H
#define WI_ZONE_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WI_ZONE_ORDER_MAX 18

struct wi_zone;

enum wi_zone_error {
	WI_ZONE_OK,
	WI_ZONE_DOUBLE_FREE, /* a page of the run was free */
	WI_ZONE_WRONG_ORDER, /* no run of this order was claimed there */
};

/*
 * Bytes of zeroed memory, aligned to 64, that a zone of nr_pages (1 to 2^41)
 * needs: 0.134 bytes for each page and at most 1 KiB. wi_zone_init() writes a
 * few lines of it, so that lazily backed memory stays unbacked.
 */
size_t wi_zone_bytes(uint64_t nr_pages);
struct wi_zone *wi_zone_init(void *zeroed, uint64_t nr_pages);

/*
 * Pages from `first` on, a multiple of 512 as nr_pages is, do not exist yet:
 * they are used until wi_zone_add() makes them free. Call it after
 * wi_zone_init(), before other threads know the zone; it writes 4.3 bytes for
 * each 512 pages.
 */
void wi_zone_leave_out(struct wi_zone *zone, uint64_t first);

/*
 * Adds the nr pages from `first` on, multiples of 512, of those left out: they
 * are free like a run that comes back. What the caller wrote before is visible
 * to whoever claims one of them.
 */
void wi_zone_add(struct wi_zone *zone, uint64_t first, uint64_t nr);

/*
 * Takes the block of a page out of use: from now on none of its pages is
 * claimed, and those that come back stay. When all are free the block is
 * vacant: then it is the caller's until it returns it, and what earlier owners
 * did to its pages is visible. A block that is not vacant may be returned, too,
 * which undoes the call.
 */
void wi_zone_isolate(struct wi_zone *zone, uint64_t page);
bool wi_zone_is_vacant(const struct wi_zone *zone, uint64_t page);
void wi_zone_return(struct wi_zone *zone, uint64_t page);

/* A bit for each of the 512 pages of a block that is not vacant: set if it is
 * not free. One at least is set. */
void wi_zone_read_used(const struct wi_zone *zone, uint64_t page,
		       uint64_t *used);

/*
 * Claims up to n runs of 2^order pages, aligned to their size; the first page
 * of each goes to pages[], ascending where they come from one block (except
 * those claimed after a collision with another claim). Returns how many. May
 * return fewer than n although there are more; returns 0 only after it scanned
 * every state word and found none. *cursor, any value, is where the caller
 * claimed last: that block is tried first. Use one cursor per CPU; sharing one
 * is slower but no error.
 */
size_t wi_zone_claim(struct wi_zone *zone, unsigned order, size_t n,
		     uint64_t *pages, uint32_t *cursor);

/*
 * Claims the run of 2^order pages that begins at `page`, a multiple of its size
 * within the zone: false, and nothing is claimed, if one of its pages is not
 * free. For a moment it may hold tickets of a run that it does not get; it
 * calls wi_zone_advance() then.
 */
bool wi_zone_claim_at(struct wi_zone *zone, unsigned order, uint64_t page);

/*
 * Releases n runs. Fails only on an error of the caller's: then *bad is the
 * index of the wrong run; the runs before it were released, it and the rest
 * were not.
 */
enum wi_zone_error wi_zone_release(struct wi_zone *zone, unsigned order,
				   const uint64_t *pages, size_t n,
				   size_t *bad);

/*
 * Counts the calls that gave pages back, after they did: releases, and claims
 * that had taken more than they could use. Read it before a search and after
 * it: the same number means that nothing came back in between, except by calls
 * still in progress.
 */
uint64_t wi_zone_generation(const struct wi_zone *zone);

uint64_t wi_zone_nr_pages(const struct wi_zone *zone);

/* These scan the zone; the sums are of counts read at different moments. Pages
 * of isolated blocks are not free. */
uint64_t wi_zone_nr_free(const struct wi_zone *zone);
uint64_t wi_zone_nr_isolated(const struct wi_zone *zone);
uint64_t wi_zone_nr_free_runs(const struct wi_zone *zone, unsigned order);

/*
 * The same for a zone that another process may write, with any content: the
 * place of its words is computed from nr_pages alone.
 */
struct wi_zone_view {
	const char *memory; /* wi_zone_bytes(nr_pages) */
	uint64_t nr_pages;
	/* Is there anything but zeros at `at`? *end: where that changes.
	 * Memory of zeros only is not read. NULL: read all. */
	bool (*is_backed)(const void *ctx, const char *at, const char **end);
	const void *ctx;
};

struct wi_zone_counts {
	uint64_t free;
	uint64_t isolated; /* free pages of isolated blocks */
};

struct wi_zone_counts wi_zone_view_count(const struct wi_zone_view *view);
/* runs[order], for all WI_ZONE_ORDER_MAX + 1 orders. */
void wi_zone_view_runs(const struct wi_zone_view *view, uint64_t *runs);

/* Is it in no caller's hands? Perhaps isolated. */
bool wi_zone_is_free(const struct wi_zone *zone, uint64_t page);
bool wi_zone_is_isolated(const struct wi_zone *zone, uint64_t page);

/* Do counts, bits, runs and summaries agree? No other call may run. */
bool wi_zone_is_valid(const struct wi_zone *zone);

#endif
