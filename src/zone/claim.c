/* SPDX-License-Identifier: MIT */
/*
 * Claims: where to look, and how a found block is taken.
 *
 * Orders 0 to 8 look, in this order,
 *
 *	1. in the block of the caller's cursor, unless it is wholly free;
 *	2. in partial blocks: for single pages the fullest among the lowest 16,
 *	   for runs a bounded number of them;
 *	3. in the lowest wholly free block;
 *	4. and, only if nothing was found, in every block.
 *
 * Fuller blocks come first, so that whole blocks stay free. Orders 9 and up
 * look for runs in the words of the "free" summary (64 blocks at a time), then
 * in every block.
 *
 * Steps 1 to 3 rely on hints. A wrong hint leads to a block without free pages,
 * and then to the next one; or it hides a block, which step 4 finds. Step 4
 * corrects the hints of the blocks it finds.
 *
 * Step 2 empties many blocks when they have a page or two each, as in a pool
 * long in use; the summary word of all these blocks is updated once.
 *
 * A claim that had to give back what it took calls wi_zone_advance(), so that a
 * search that saw its temporary changes does not conclude "empty".
 */
#include "zone/layout.h"

#include "base/assert.h"

/* Partial blocks of which a claim of pages takes the fullest. */
#define NR_COMPARED 16

/* Partial blocks whose state, and whose bits, a claim of a run looks at. */
#define NR_STATES_LOOKED_AT 64
#define NR_BLOCKS_LOOKED_AT 8

/* A claim in progress. */
struct claim {
	struct wi_zone *zone;
	uint64_t *pages;
	size_t want;
	size_t got;
	unsigned order;
	uint32_t cursor; /* the block last taken from */
	bool settles_later;
	uint64_t due; /* then: blocks whose fill changed, of one word */
};

static uint32_t claim_state(const struct wi_zone *zone, uint64_t block)
{
	/* Relaxed: a hint; the compare-and-swap that follows verifies it. */
	return wi_load_relaxed(wi_zone_state(zone, block));
}

/*
 * Takes tickets for as many of the claim's runs as there are, up to nr, in one
 * block; returns for how many.
 */
static size_t take_tickets(struct claim *c, uint64_t block, size_t nr)
{
	uint32_t *state = wi_zone_state(c->zone, block);
	uint32_t old = claim_state(c->zone, block), next;

	do {
		nr = wi_min_u64(nr, wi_state_nr_free(old) >> c->order);
		if (nr == 0)
			return 0;
		next = old + ((uint32_t)nr << c->order);
		/*
		 * ZONE-A1, with ZONE-R1 and ZONE-R2: this thread sees the bits
		 * of these pages clear. Without it, it could find none for its
		 * tickets. Full, because the fill may change (ZONE-F1).
		 */
	} while (!wi_cas_full(state, &old, next));
	if (wi_state_fill(old) == wi_state_fill(next))
		return nr;
	if (c->settles_later)
		c->due |= UINT64_C(1) << (block % 64);
	else
		wi_zone_settle_one(c->zone, block);
	return nr;
}

/* Gives back the tickets of runs that were seen, but gone when claimed. */
static void undo_tickets(struct wi_zone *zone, uint64_t block, unsigned order,
			 size_t nr)
{
	wi_zone_put_tickets(zone, block, (unsigned)nr << order);
	wi_zone_advance(zone);
}

/* Gives back the first nr blocks of a run whose next one was taken. */
static void undo_blocks(struct wi_zone *zone, uint64_t first, uint64_t nr)
{
	wi_zone_put_blocks(zone, first, nr);
	wi_zone_advance(zone);
}

static size_t take_pages(struct claim *c, uint64_t block)
{
	size_t nr = take_tickets(c, block, c->want - c->got);

	if (nr > 0)
		wi_block_claim(wi_zone_block(c->zone, block), nr,
			       block * WI_BLOCK_PAGES, c->pages + c->got);
	return nr;
}

/*
 * Looks before it takes tickets: tickets held for a run that is not there could
 * make a claim of single pages miss those pages.
 */
static size_t take_runs(struct claim *c, uint64_t block)
{
	struct wi_block *bits = wi_zone_block(c->zone, block);
	struct wi_block_want want = {
		.base = block * WI_BLOCK_PAGES,
		.pages = c->pages + c->got,
		.nr_runs = c->want - c->got,
		.order = c->order,
		.undone = false,
	};
	size_t nr, got;

	want.nr_runs =
		wi_min_u64(want.nr_runs, wi_block_nr_runs(bits, c->order));
	if (want.nr_runs == 0)
		return 0;
	nr = take_tickets(c, block, want.nr_runs);
	if (nr == 0)
		return 0;
	want.nr_runs = nr;
	got = wi_block_claim_runs(bits, &want);
	if (got < nr)
		undo_tickets(c->zone, block, c->order, nr - got);
	else if (want.undone)
		wi_zone_advance(c->zone);
	return got;
}

/* A run of whole blocks; order 9 is a run of one. */
static size_t take_blocks(struct claim *c, uint64_t first)
{
	struct wi_zone *zone = c->zone;
	uint64_t nr = UINT64_C(1) << (c->order - WI_BLOCK_ORDER);

	for (uint64_t i = 0; i < nr; i++)
		if (claim_state(zone, first + i) != 0)
			return 0;
	for (uint64_t i = 0; i < nr; i++) {
		uint32_t none = 0;

		/*
		 * ZONE-A2, with ZONE-R1 and ZONE-R2: everything earlier owners
		 * of these pages did is visible. Without it, their writes could
		 * overwrite those of this owner. Full, as the fill changes
		 * (ZONE-F1).
		 */
		if (!wi_cas_full(wi_zone_state(zone, first + i), &none,
				 i == 0 ? wi_state_head(c->order)
					: wi_state_inner())) {
			if (i > 0)
				undo_blocks(zone, first, i);
			return 0;
		}
	}
	wi_zone_settle(zone, first, nr);
	c->pages[c->got] = first * WI_BLOCK_PAGES;
	return 1;
}

/* Takes what `block` has for the claim; false if nothing. */
static bool take_from_block(struct claim *c, uint64_t block)
{
	size_t nr;

	if (c->order == 0)
		nr = take_pages(c, block);
	else if (c->order < WI_BLOCK_ORDER)
		nr = take_runs(c, block);
	else
		nr = take_blocks(c, block);
	if (nr > 0 && c->order < WI_BLOCK_ORDER)
		c->cursor = (uint32_t)block;
	c->got += nr;
	return nr > 0;
}

static bool is_done(const struct claim *c)
{
	return c->got == c->want;
}

static void try_cursor(struct claim *c)
{
	uint32_t state;

	if (c->cursor >= c->zone->nr_blocks)
		return;
	state = claim_state(c->zone, c->cursor);
	if (wi_state_fill(state) == WI_PARTIAL)
		take_from_block(c, c->cursor);
}

/*
 * Takes from blocks of one summary word: everything from blocks that have no
 * more than is wanted, in their order, and the rest from the fullest of the
 * others.
 */
static void take_from_blocks(struct claim *c, uint64_t word)
{
	uint64_t bits = wi_tree_bits(&c->zone->partial, 0, word);
	uint64_t fullest = WI_TREE_NONE;
	size_t least_free = SIZE_MAX;
	unsigned nr_larger = 0;

	for (; bits != 0 && nr_larger < NR_COMPARED; bits &= bits - 1) {
		uint64_t block = word * 64 + wi_lowest_bit(bits);
		size_t nr_free = wi_state_nr_free(claim_state(c->zone, block));

		nr_larger += nr_free > c->want - c->got;
		if (nr_free <= c->want - c->got) {
			take_from_block(c, block);
			if (is_done(c))
				return;
		} else if (nr_free < least_free) {
			least_free = nr_free;
			fullest = block;
		}
	}
	if (fullest != WI_TREE_NONE)
		take_from_block(c, fullest);
}

/* The same; many of these blocks are full afterwards, so their summary word is
 * updated once for all. */
static void take_from_word(struct claim *c, uint64_t word)
{
	c->settles_later = true;
	take_from_blocks(c, word);
	c->settles_later = false;
	if (c->due != 0)
		wi_zone_settle_word(c->zone, word, c->due);
	c->due = 0;
}

static void search_partial_for_pages(struct claim *c)
{
	const struct wi_tree *partial = &c->zone->partial;

	for (uint64_t at = wi_tree_next(partial, 0);
	     at != WI_TREE_NONE && !is_done(c);
	     at = wi_tree_next(partial, (at | 63) + 1))
		take_from_word(c, at / 64);
}

/* From the cursor on and around, so that not always the same blocks are used.
 */
static void search_partial_for_runs(struct claim *c)
{
	const struct wi_tree *partial = &c->zone->partial;
	uint64_t at = c->cursor;
	unsigned nr_blocks = 0;

	for (unsigned i = 0; i < NR_STATES_LOOKED_AT && !is_done(c) &&
			     nr_blocks < NR_BLOCKS_LOOKED_AT;
	     i++) {
		at = wi_tree_next(partial, at + 1);
		if (at == WI_TREE_NONE) {
			at = wi_tree_next(partial, 0);
			if (at == WI_TREE_NONE)
				return;
		}
		if (wi_state_nr_free(claim_state(c->zone, at)) >> c->order == 0)
			continue;
		nr_blocks++;
		take_from_block(c, at);
	}
}

static void search_free_block(struct claim *c)
{
	const struct wi_tree *free = &c->zone->free;

	for (uint64_t at = wi_tree_next(free, 0);
	     at != WI_TREE_NONE && !is_done(c); at = wi_tree_next(free, at + 1))
		take_from_block(c, at);
}

/* Does the summary say that nr whole words, from `word` on, are free? */
static bool words_look_free(const struct wi_zone *zone, uint64_t word,
			    uint64_t nr)
{
	for (uint64_t i = word; i < word + nr; i++)
		if (wi_tree_bits(&zone->free, 0, i) != UINT64_MAX)
			return false;
	return true;
}

/* Orders 9 to 18, by the summary: runs of at most 64 blocks, or of words. */
static void search_free_run(struct claim *c)
{
	const struct wi_tree *free = &c->zone->free;
	unsigned order = c->order - WI_BLOCK_ORDER;
	uint64_t step = UINT64_C(1) << order;
	uint64_t at = wi_tree_next(free, 0);

	while (at != WI_TREE_NONE && !is_done(c)) {
		uint64_t next = (at | 63) + 1;

		if (order <= 6) {
			uint64_t firsts =
				wi_word_runs(wi_tree_bits(free, 0, at / 64),
					     order) &
				(UINT64_MAX << (at % 64));

			if (firsts != 0) {
				at = (at & ~UINT64_C(63)) +
				     wi_lowest_bit(firsts);
				take_from_block(c, at);
				next = at + step;
			}
		} else {
			next = (at | (step - 1)) + 1;
			if (at % step == 0 && next <= c->zone->nr_blocks &&
			    words_look_free(c->zone, at / 64, step / 64))
				take_from_block(c, at);
		}
		at = wi_tree_next(free, next);
	}
}

/* Fallback: scan every block state. Only this function may report exhaustion.
 */
static void walk_all_states(struct claim *c)
{
	uint64_t step = c->order < WI_BLOCK_ORDER
				? 1
				: UINT64_C(1) << (c->order - WI_BLOCK_ORDER);

	for (uint64_t at = 0; at + step <= c->zone->nr_blocks && !is_done(c);
	     at += step) {
		if (c->order < WI_BLOCK_ORDER &&
		    wi_state_nr_free(claim_state(c->zone, at)) >> c->order == 0)
			continue;
		if (!take_from_block(c, at))
			continue;
		for (uint64_t i = at; i < at + step; i++)
			wi_zone_repair(c->zone, i);
	}
}

size_t wi_zone_claim(struct wi_zone *zone, unsigned order, size_t n,
		     uint64_t *pages, uint32_t *cursor)
{
	/* Relaxed, here and below: the cursor is a hint, which any thread may
	 * write. */
	struct claim c = {
		.zone = zone,
		.pages = pages,
		.want = n,
		.order = order,
		.cursor = wi_load_relaxed(cursor),
	};

	wi_assert(order <= WI_ZONE_ORDER_MAX);
	if (order < WI_BLOCK_ORDER) {
		try_cursor(&c);
		if (!is_done(&c)) {
			if (order == 0)
				search_partial_for_pages(&c);
			else
				search_partial_for_runs(&c);
			search_free_block(&c);
		}
	} else {
		search_free_run(&c);
	}
	if (c.got == 0)
		walk_all_states(&c);
	if (c.got > 0 && order < WI_BLOCK_ORDER)
		wi_store_relaxed(cursor, c.cursor);
	return c.got;
}

/* As take_runs(), of one run that is not looked for. */
static bool take_run_at(struct claim *c, uint64_t page)
{
	const uint64_t block = page / WI_BLOCK_PAGES;
	const unsigned within = (unsigned)(page % WI_BLOCK_PAGES);
	struct wi_block *bits = wi_zone_block(c->zone, block);

	if (!wi_block_is_free(bits, within, c->order) ||
	    take_tickets(c, block, 1) == 0)
		return false;
	if (wi_block_claim_at(bits, within, c->order))
		return true;
	undo_tickets(c->zone, block, c->order, 1);
	return false;
}

bool wi_zone_claim_at(struct wi_zone *zone, unsigned order, uint64_t page)
{
	uint64_t first;
	struct claim c = {
		.zone = zone,
		.pages = &first,
		.want = 1,
		.order = order,
	};

	wi_assert(order <= WI_ZONE_ORDER_MAX && page % (1u << order) == 0);
	if (order < WI_BLOCK_ORDER)
		return take_run_at(&c, page);
	return take_blocks(&c, page / WI_BLOCK_PAGES) == 1;
}
