/* SPDX-License-Identifier: MIT */
/*
 * Zones: layout, releases, summaries. Claims are in claim.c, counts in count.c,
 * ranges that come and go in range.c.
 *
 *	partial  |..0 1 0 0..|	a bit per block: some used, some free
 *	free     |..0 0 1 0..|	a bit per block: none used	   (hints)
 *	state    | 512| 37| 0|512 WHOLE, order 10|512 WHOLE INNER|
 *	bits     |line|line|..	a bit per page, not used by whole blocks
 *
 * Ticket before bits. A claim of pages first adds to the used count of a block,
 * by compare-and-swap and only if they fit, and then sets bits. A release
 * clears bits first and then subtracts. A run of whole blocks swaps the states
 * from 0, ascending, and does not touch the bits.
 *
 * Invariants:
 *
 *	Z1  bits set + tickets held <= count, for a block that is not WHOLE;
 *	    equal when no release is between its two steps.
 *	Z2  a WHOLE block has no bit set: it had count 0 (Z1), and a claim that
 *	    would set one gets no ticket.
 *	Z3  the states of an INNER block and its head are changed by the run's
 *	    owner alone.
 *	Z4  once every thread that changed a block's fill (free, partial, full)
 *	    has returned, the summaries agree with the states.
 *	Z5  pages of the last block that do not exist are used, for ever; so are
 *	    blocks of the last summary words that do not exist.
 *	Z6  a block that does not exist yet is absent (layout.h), has no bit
 *	    set, and only wi_zone_add() changes its state; blocks behind it are
 *	    absent, too.
 *	Z7  of a block that is ISOLATED no ticket is given, and no whole block:
 *	    the bit is part of what a claim's compare-and-swap compares. Only
 *	    wi_zone_isolate() sets it, only wi_zone_return() clears it; whatever
 *	    comes back leaves it.
 *
 * Ordering: Z1 is ZONE-A1 with ZONE-R1 and ZONE-R2. Pages' contents pass by
 * the labels of block.h, and for whole blocks by ZONE-A2 with ZONE-R1 and
 * ZONE-R2. Z4 is ZONE-F1 with ZONE-F2: a thread that changed the fill then
 * writes the summaries and reads the state again, until they agree.
 * "Nothing came back" is ZONE-R3 with ZONE-A3. On x86-64 all of these are the
 * locked instruction itself or a plain load.
 *
 * Progress: lock-free throughout. A stopped thread may hold tickets or blocks,
 * which count as taken, or leave a hint wrong: then searches miss its block
 * until the scan of all states finds it and corrects the hint.
 *
 * Sources: LLFree (Wrenger et al., USENIX ATC 2023) claims a counter and then a
 * bit for each page. The summaries are bitmaps over bitmaps, as in van Emde
 * Boas trees, with 64 children.
 */
#include "zone/layout.h"

#include "base/assert.h"

static uint64_t blocks_of(uint64_t nr_pages)
{
	return wi_div_round_up(nr_pages, WI_BLOCK_PAGES);
}

size_t wi_zone_bytes(uint64_t nr_pages)
{
	uint64_t nr_blocks = blocks_of(nr_pages);

	return sizeof(struct wi_zone) + nr_blocks * sizeof(struct wi_block) +
	       wi_round_up(nr_blocks * sizeof(uint32_t), sizeof(uint64_t)) +
	       2 * wi_tree_bytes(nr_blocks);
}

struct wi_zone *wi_zone_init(void *zeroed, uint64_t nr_pages)
{
	struct wi_zone *zone = zeroed;
	uint64_t nr_blocks = blocks_of(nr_pages);
	uint64_t at;
	unsigned tail = (unsigned)(nr_pages % WI_BLOCK_PAGES);

	wi_assert(nr_pages > 0 && nr_blocks <= UINT64_C(1) << 32);
	wi_assert((uintptr_t)zeroed % WI_CACHE_LINE == 0);
	zone->nr_pages = nr_pages;
	zone->nr_blocks = nr_blocks;
	zone->blocks = sizeof(struct wi_zone);
	zone->states = zone->blocks + nr_blocks * sizeof(struct wi_block);
	at = zone->states +
	     wi_round_up(nr_blocks * sizeof(uint32_t), sizeof(uint64_t));
	wi_tree_init(&zone->partial, nr_blocks, 0,
		     at - offsetof(struct wi_zone, partial));
	at += wi_tree_bytes(nr_blocks);
	wi_tree_init(&zone->free, nr_blocks, UINT64_MAX,
		     at - offsetof(struct wi_zone, free));

	if (tail != 0) { /* Z5 */
		struct wi_block *last = wi_zone_block(zone, nr_blocks - 1);

		/* Relaxed, here and below: no other thread knows the zone yet.
		 */
		for (unsigned i = 0; i < WI_BLOCK_WORDS; i++) {
			unsigned used = tail <= i * 64 ? 0 : tail - i * 64;

			wi_store_relaxed(&last->word[i], ~wi_low_mask(used));
		}
		wi_store_relaxed(wi_zone_state(zone, nr_blocks - 1),
				 WI_BLOCK_PAGES - tail);
		wi_zone_settle(zone, nr_blocks - 1, 1);
	}
	return zone;
}

/* The bits that the states of some blocks of one summary word call for. */
struct verdict {
	uint64_t partial;
	uint64_t free;
};

static struct verdict judge_word(const struct wi_zone *zone, uint64_t word,
				 uint64_t mask)
{
	struct verdict v = { 0, 0 };

	for (; mask != 0; mask &= mask - 1) {
		unsigned i = wi_lowest_bit(mask);
		/*
		 * ZONE-F1, with ZONE-F4: a full load; the first time it follows
		 * the full change of the state, after that the full writes of
		 * the summaries (ZONE-F2).
		 */
		enum wi_fill c = wi_state_fill(
			wi_load_full(wi_zone_state(zone, word * 64 + i)));

		v.partial |= (uint64_t)(c == WI_PARTIAL) << i;
		v.free |= (uint64_t)(c == WI_FREE) << i;
	}
	return v;
}

void wi_zone_settle_word(struct wi_zone *zone, uint64_t word, uint64_t mask)
{
	struct verdict now = judge_word(zone, word, mask), written;

	do {
		written = now;
		wi_tree_put(&zone->partial, word, mask, written.partial);
		wi_tree_put(&zone->free, word, mask, written.free);
		/*
		 * ZONE-F2, with ZONE-F1 of the thread that changed the state
		 * since: either this thread sees that change here, or the other
		 * one sees what was written here. Without this load the
		 * summaries could keep an older fill for ever.
		 */
		now = judge_word(zone, word, mask);
	} while (now.partial != written.partial || now.free != written.free);
}

void wi_zone_settle(struct wi_zone *zone, uint64_t first, uint64_t nr)
{
	while (nr > 0) {
		uint64_t here = wi_min_u64(nr, 64 - first % 64);

		wi_zone_settle_word(zone, first / 64,
				    wi_low_mask((unsigned)here)
					    << (first % 64));
		first += here;
		nr -= here;
	}
}

void wi_zone_repair(struct wi_zone *zone, uint64_t block)
{
	uint64_t mask = UINT64_C(1) << (block % 64);
	struct verdict v = judge_word(zone, block / 64, mask);

	wi_tree_repair(&zone->partial, block / 64, mask, v.partial);
	wi_tree_repair(&zone->free, block / 64, mask, v.free);
	wi_zone_settle(zone, block, 1);
}

void wi_zone_advance(struct wi_zone *zone)
{
	/*
	 * ZONE-R3, with ZONE-A3: a thread that reads this number finds in its
	 * search what came back. Full, not only release: it also comes before
	 * anything this thread does after its call.
	 */
	wi_add_full(&zone->generation, 1);
}

uint64_t wi_zone_generation(const struct wi_zone *zone)
{
	/*
	 * ZONE-A3, with ZONE-R3: the fence keeps the loads of a search before
	 * the second reading, the acquire keeps them after the first. Without
	 * them a search could miss pages and see the same number twice.
	 */
	wi_fence_acquire();
	return wi_load_acquire(&zone->generation);
}

void wi_zone_put_tickets(struct wi_zone *zone, uint64_t block, unsigned nr)
{
	/*
	 * ZONE-R1, with ZONE-A1: the bits were cleared before, so a claim that
	 * gets a ticket for these pages finds them clear; with ZONE-A2: pages'
	 * contents. Full, because the fill may change (ZONE-F1).
	 */
	uint32_t old = wi_sub_full(wi_zone_state(zone, block), nr);

	wi_assert_internal((old & STATE_COUNT) >= nr);
	if (wi_state_fill(old) != wi_state_fill(old - nr))
		wi_zone_settle_one(zone, block);
}

void wi_zone_put_blocks(struct wi_zone *zone, uint64_t first, uint64_t nr)
{
	/*
	 * ZONE-R2, with ZONE-A1 and ZONE-A2: what the owner did to the pages is
	 * visible to the claim that gets a ticket or the block; with STAT-A2:
	 * what a growth wrote before. Full, as a fill changes (ZONE-F1). Only
	 * this thread changes it until then (Z3, Z6).
	 */
	for (uint64_t i = first; i < first + nr; i++) /* Z7 */
		wi_and_full(wi_zone_state(zone, i), STATE_ISOLATED);
	wi_zone_settle(zone, first, nr);
}

/* Why a release of the block's pages (not as a whole) was refused. */
static enum wi_zone_error why_refused(const struct wi_zone *zone,
				      uint64_t block)
{
	/* Relaxed, here and below: the caller made an error already. */
	if (wi_load_relaxed(wi_zone_state(zone, block)) & STATE_WHOLE)
		return WI_ZONE_WRONG_ORDER;
	return WI_ZONE_DOUBLE_FREE;
}

/* Why a release of the block as a run's head was refused. */
static enum wi_zone_error why_refused_whole(const struct wi_zone *zone,
					    uint64_t block)
{
	uint32_t state = wi_load_relaxed(wi_zone_state(zone, block));

	if (state & STATE_WHOLE ||
	    wi_block_nr_used(wi_zone_block(zone, block)) == WI_BLOCK_PAGES)
		return WI_ZONE_WRONG_ORDER;
	return WI_ZONE_DOUBLE_FREE;
}

/* May a run begin there at all? The release finds other errors. */
static bool is_run(const struct wi_zone *zone, unsigned order, uint64_t page)
{
	return page % (UINT64_C(1) << order) == 0 && page < zone->nr_pages &&
	       zone->nr_pages - page >= UINT64_C(1) << order;
}

static enum wi_zone_error release_blocks(struct wi_zone *zone, unsigned order,
					 uint64_t page)
{
	uint64_t first = page / WI_BLOCK_PAGES;
	uint64_t nr = UINT64_C(1) << (order - WI_BLOCK_ORDER);
	const uint32_t head = wi_state_head(order);
	uint32_t old = head;

	if (!is_run(zone, order, page))
		return WI_ZONE_WRONG_ORDER;
	/*
	 * ZONE-R2, as in wi_zone_put_blocks(). The head first: of two releases
	 * of one run only one gets past it. It may be isolated (Z7).
	 */
	while (!wi_cas_full(wi_zone_state(zone, first), &old,
			    old & STATE_ISOLATED))
		if ((old & ~STATE_ISOLATED) != head)
			return why_refused_whole(zone, first);
	wi_zone_put_blocks(zone, first + 1, nr - 1);
	wi_zone_settle(zone, first, 1);
	return WI_ZONE_OK;
}

/* Orders 6 to 8: whole words. */
static enum wi_zone_error release_words(struct wi_zone *zone, unsigned order,
					uint64_t page)
{
	uint64_t block = page / WI_BLOCK_PAGES;

	if (!is_run(zone, order, page))
		return WI_ZONE_WRONG_ORDER;
	if (!wi_block_release_words(wi_zone_block(zone, block),
				    page % WI_BLOCK_PAGES / 64,
				    1u << (order - WI_BLOCK_WORD_ORDER)))
		return why_refused(zone, block);
	wi_zone_put_tickets(zone, block, 1u << order);
	return WI_ZONE_OK;
}

/* Whether n pages, at most 64, are consecutive. */
static bool are_consecutive(const uint64_t *pages, size_t n)
{
	uint64_t base = pages[0], a = 0, b = 0, c = 0, d = 0;
	size_t i = 0;

	/* Test the end first: shuffled pages are found at once. */
	if (pages[n - 1] != base + n - 1)
		return false;
	for (; i + 4 <= n; i += 4) {
		a |= pages[i] ^ (base + i);
		b |= pages[i + 1] ^ (base + i + 1);
		c |= pages[i + 2] ^ (base + i + 2);
		d |= pages[i + 3] ^ (base + i + 3);
	}
	for (; i < n; i++)
		a |= pages[i] ^ (base + i);
	return (a | b | c | d) == 0;
}

/*
 * The bits of those runs at the head of runs[] that lie in one word; returns
 * how many runs, 0 if the first is none. It ends before a run given twice.
 */
WI_INLINE size_t gather(const struct wi_zone *zone, unsigned order,
			const uint64_t *runs, size_t n, uint64_t *mask)
{
	uint64_t run = wi_low_mask(1u << order), first = runs[0], bits;
	size_t i;

	if (!is_run(zone, order, first))
		return 0;
	if (order == 0) {
		size_t upto = wi_min_u64(n, 64 - first % 64);

		if (upto > 1 && zone->nr_pages - first >= upto &&
		    are_consecutive(runs, upto)) {
			*mask = wi_low_mask((unsigned)upto) << (first % 64);
			return upto;
		}
	}
	bits = run << (first % 64);
	for (i = 1; i < n && runs[i] / 64 == first / 64; i++) {
		uint64_t more = run << (runs[i] % 64);

		if ((bits & more) != 0 || !is_run(zone, order, runs[i]))
			break;
		bits |= more;
	}
	*mask = bits;
	return i;
}

/* One of nr runs in a word is wrong: releases those before it. */
WI_COLD static size_t release_singly(struct wi_zone *zone, unsigned order,
				     const uint64_t *runs, size_t nr,
				     enum wi_zone_error *error)
{
	uint64_t block = runs[0] / WI_BLOCK_PAGES;
	uint64_t run = wi_low_mask(1u << order);

	for (size_t i = 0; i < nr; i++) {
		if (!wi_block_release(wi_zone_block(zone, block),
				      runs[i] % WI_BLOCK_PAGES / 64,
				      run << (runs[i] % 64))) {
			*error = why_refused(zone, block);
			return i;
		}
	}
	return nr;
}

/* Releases the bits of runs at the head of runs[] that lie in one word. */
WI_INLINE size_t release_word(struct wi_zone *zone, unsigned order,
			      const uint64_t *runs, size_t n,
			      enum wi_zone_error *error)
{
	uint64_t mask;
	size_t nr = gather(zone, order, runs, n, &mask);

	if (wi_unlikely(nr == 0)) {
		*error = WI_ZONE_WRONG_ORDER;
		return 0;
	}
	if (wi_likely(wi_block_release(wi_zone_block(zone,
						     runs[0] / WI_BLOCK_PAGES),
				       runs[0] % WI_BLOCK_PAGES / 64, mask)))
		return nr;
	return release_singly(zone, order, runs, nr, error);
}

/* How many runs ahead their blocks are fetched. */
#define NR_AHEAD 8

/* Prefetches the lines that the release of a run in another block writes. */
WI_INLINE void fetch_ahead(const struct wi_zone *zone, uint64_t page,
			   uint64_t block)
{
	if (page / WI_BLOCK_PAGES == block || page >= zone->nr_pages)
		return;
	block = page / WI_BLOCK_PAGES;
	wi_prefetch_write(wi_zone_block(zone, block));
	wi_prefetch_write(wi_zone_state(zone, block));
}

/* Orders 0 to 5: many runs of a word, and of a block, at once. */
WI_INLINE enum wi_zone_error release_bits(struct wi_zone *zone, unsigned order,
					  const uint64_t *runs, size_t n,
					  size_t *done)
{
	enum wi_zone_error error = WI_ZONE_OK;
	size_t i = 0;

	if (n > 1 && runs[n - 1] / WI_BLOCK_PAGES != runs[0] / WI_BLOCK_PAGES)
		for (size_t j = 1; j < n && j < NR_AHEAD; j++)
			fetch_ahead(zone, runs[j], runs[0] / WI_BLOCK_PAGES);
	while (i < n && error == WI_ZONE_OK) {
		uint64_t block = runs[i] / WI_BLOCK_PAGES;
		size_t from = i;

		/* The state changes after the bits: prefetch both lines. */
		wi_prefetch_write(wi_zone_state(zone, block));
		do {
			if (i + NR_AHEAD < n)
				fetch_ahead(zone, runs[i + NR_AHEAD], block);
			i += release_word(zone, order, runs + i, n - i, &error);
		} while (error == WI_ZONE_OK && i < n &&
			 runs[i] / WI_BLOCK_PAGES == block);
		if (i > from)
			wi_zone_put_tickets(zone, block,
					    (unsigned)(i - from) << order);
	}
	*done = i;
	return error;
}

enum wi_zone_error wi_zone_release(struct wi_zone *zone, unsigned order,
				   const uint64_t *pages, size_t n, size_t *bad)
{
	enum wi_zone_error error = WI_ZONE_OK;
	size_t done = 0;

	if (order == 0) {
		error = release_bits(zone, 0, pages, n, &done);
	} else if (order < WI_BLOCK_WORD_ORDER) {
		error = release_bits(zone, order, pages, n, &done);
	} else if (order > WI_ZONE_ORDER_MAX) {
		error = WI_ZONE_WRONG_ORDER;
	} else {
		while (done < n && error == WI_ZONE_OK) {
			error = order < WI_BLOCK_ORDER
					? release_words(zone, order,
							pages[done])
					: release_blocks(zone, order,
							 pages[done]);
			done += error == WI_ZONE_OK;
		}
	}
	if (done > 0)
		wi_zone_advance(zone);
	if (error != WI_ZONE_OK)
		*bad = done;
	return error;
}

uint64_t wi_zone_nr_pages(const struct wi_zone *zone)
{
	return zone->nr_pages;
}

bool wi_zone_is_free(const struct wi_zone *zone, uint64_t page)
{
	uint64_t block = page / WI_BLOCK_PAGES;

	/* Relaxed, here and below: outdated when it is returned. */
	return !(wi_load_relaxed(wi_zone_state(zone, block)) & STATE_WHOLE) &&
	       !wi_block_is_used(wi_zone_block(zone, block),
				 page % WI_BLOCK_PAGES);
}

/* All blocks from there on, if they are absent (Z6); else 0. */
static uint64_t nr_absent(const struct wi_zone *zone, uint64_t block)
{
	for (uint64_t i = block; i < zone->nr_blocks; i++)
		if (wi_load_relaxed(wi_zone_state(zone, i)) !=
			    wi_state_absent() ||
		    wi_block_nr_used(wi_zone_block(zone, i)) != 0)
			return 0;
	return zone->nr_blocks - block;
}

/* How many blocks a well-formed entry at `block` spans; 0 if it is not. */
static uint64_t valid_span(const struct wi_zone *zone, uint64_t block)
{
	uint32_t state =
		wi_load_relaxed(wi_zone_state(zone, block)) & ~STATE_ISOLATED;
	unsigned order = state >> STATE_ORDER_SHIFT;
	uint64_t nr;

	if (state == wi_state_absent())
		return nr_absent(zone, block);
	if (!(state & STATE_WHOLE))
		return state <= WI_BLOCK_PAGES &&
		       state == wi_block_nr_used(wi_zone_block(zone, block));
	if (order < WI_BLOCK_ORDER || order > WI_ZONE_ORDER_MAX ||
	    state != wi_state_head(order))
		return 0;
	nr = UINT64_C(1) << (order - WI_BLOCK_ORDER);
	if (block % nr != 0 || zone->nr_blocks - block < nr)
		return 0;
	for (uint64_t i = block; i < block + nr; i++)
		if (wi_block_nr_used(wi_zone_block(zone, i)) != 0 ||
		    (i > block && (wi_load_relaxed(wi_zone_state(zone, i)) &
				   ~STATE_ISOLATED) != wi_state_inner()))
			return 0;
	return nr;
}

bool wi_zone_is_valid(const struct wi_zone *zone)
{
	for (uint64_t i = 0, nr; i < zone->nr_blocks; i += nr) {
		nr = valid_span(zone, i);
		if (nr == 0)
			return false;
	}
	for (uint64_t i = 0; i < zone->nr_blocks; i += 64) {
		struct verdict v =
			judge_word(zone, i / 64,
				   wi_low_mask((unsigned)wi_min_u64(
					   64, zone->nr_blocks - i)));

		if (wi_tree_bits(&zone->partial, 0, i / 64) != v.partial ||
		    wi_tree_bits(&zone->free, 0, i / 64) != v.free)
			return false;
	}
	for (uint64_t page = zone->nr_pages;
	     page < zone->nr_blocks * WI_BLOCK_PAGES; page++)
		if (wi_zone_is_free(zone, page))
			return false;
	return wi_tree_is_valid(&zone->partial) &&
	       wi_tree_is_valid(&zone->free);
}
