/* SPDX-License-Identifier: MIT */
/*
 * A zone: a range of pages, found and claimed in runs of 2^order.
 *
 * Pages are numbers from 0 within the zone, and are never touched; the zone is
 * only the memory it is given, and position independent. Everything here is
 * lock-free: a release waits for nobody, and no call waits for a thread that
 * stands still. Any function may run beside any other, also in a signal
 * handler that interrupted one, but for wi_zone_init() and wi_zone_is_valid().
 *
 * A page is claimed by one call and released by one, but not by the same runs:
 * a run of order 1 to 8 may come back in parts or page by page. Orders from 9
 * up come back as they went.
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
 * needs: 0.134 byte a page and at most 1 KiB. wi_zone_init() writes a few
 * lines of it, so that lazily backed memory stays unbacked.
 */
size_t wi_zone_bytes(uint64_t nr_pages);
struct wi_zone *wi_zone_init(void *zeroed, uint64_t nr_pages);

/*
 * Claims up to n runs of 2^order pages, aligned to their size; the first page
 * of each goes to pages[], ascending where they come from one block (but for
 * those won after a collision with another claim). Returns how many. May fall
 * short of n while there are more; returns 0 only after it walked every state
 * word and saw none. *cursor, any value, is where the caller claimed last: its
 * block is tried first. One cursor a CPU is best; sharing it is no error.
 */
size_t wi_zone_claim(struct wi_zone *zone, unsigned order, size_t n,
		     uint64_t *pages, uint32_t *cursor);

/*
 * Gives n runs back. Fails only by the caller's error: then *bad is the index
 * of the run that was wrong, those before it were released, it and the rest
 * were not.
 */
enum wi_zone_error wi_zone_release(struct wi_zone *zone, unsigned order,
				   const uint64_t *pages, size_t n,
				   size_t *bad);

/*
 * Counts the calls that gave something back, after they did: releases, and
 * claims that had taken more than they could use. Read before a search and
 * after it: the same number means that nothing came back in between, but by
 * calls still in progress.
 */
uint64_t wi_zone_generation(const struct wi_zone *zone);

uint64_t wi_zone_nr_pages(const struct wi_zone *zone);

/* These walk the zone; sums of what was true at different moments. */
uint64_t wi_zone_nr_free(const struct wi_zone *zone);
uint64_t wi_zone_nr_free_runs(const struct wi_zone *zone, unsigned order);

/*
 * The same of a zone that another process may write, whatever it writes: where
 * its words lie follows from nr_pages alone.
 */
struct wi_zone_view {
	const char *memory; /* wi_zone_bytes(nr_pages) */
	uint64_t nr_pages;
	/* Is there anything but zeros at `at`? *end: where that changes. What
	 * holds zeros only is not read. NULL: read all. */
	bool (*is_backed)(const void *ctx, const char *at, const char **end);
	const void *ctx;
};

uint64_t wi_zone_view_nr_free(const struct wi_zone_view *view);
/* runs[order], for all WI_ZONE_ORDER_MAX + 1 orders. */
void wi_zone_view_runs(const struct wi_zone_view *view, uint64_t *runs);

bool wi_zone_is_free(const struct wi_zone *zone, uint64_t page);

/* Whether counts, bits, runs and summaries agree; nobody else running. */
bool wi_zone_is_valid(const struct wi_zone *zone);

#endif
