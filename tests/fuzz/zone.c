/* SPDX-License-Identifier: MIT */
/*
 * A zone against a byte a page. If this fails, a claim gave what was not free
 * or missed what was, a release did something else than it says, or a count,
 * a generation or a summary is wrong; with wrong hints, with tickets that a
 * thread holds which stands still, and with isolated blocks, as well as
 * without.
 */
#include "fuzz.h"

#include "zone/layout.h"

#define PAGES_MAX (512 * 70)
#define SLOTS_MAX 4096
#define BULK_MAX 200

enum { FREE, BITS, WHOLE, HEAD }; /* HEAD: first page of a whole run */

static struct {
	struct wi_zone *zone;
	void *memory;
	uint64_t nr_pages, nr_blocks, free;
	uint8_t *use;			     /* a byte a page */
	uint8_t head_order[PAGES_MAX / 512]; /* of a block that is HEAD */
	uint16_t held[PAGES_MAX / 512];	     /* tickets without bits */
	bool isolated[PAGES_MAX / 512];
	unsigned nr_held, nr_lies; /* blocks with some; wrong hints */
	unsigned nr_isolated;	   /* blocks */
	struct {
		uint64_t page;
		unsigned order;
	} slot[SLOTS_MAX];
	unsigned nr_slots;
} m;

static uint64_t runs[BULK_MAX];

/* --- the model --------------------------------------------------------- */

static unsigned block_free(uint64_t block)
{
	unsigned n = 0;

	for (uint64_t i = block * 512; i < block * 512 + 512 && i < m.nr_pages;
	     i++)
		n += m.use[i] == FREE;
	return n;
}

static bool is_free_run(uint64_t page, unsigned order)
{
	const uint64_t n = UINT64_C(1) << order;
	uint64_t eight, i = page;

	for (uint64_t b = page / 512;
	     m.nr_isolated > 0 && b <= (page + n - 1) / 512; b++)
		if (m.isolated[b])
			return false;
	for (; i + 8 <= page + n; i += 8) {
		memcpy(&eight, m.use + i, 8);
		if (eight != 0)
			return false;
	}
	for (; i < page + n; i++)
		if (m.use[i] != FREE)
			return false;
	return true;
}

/* Runs of an order that are free; with `tickets` only those that a claim can
 * have: enough tickets in the block, or for whole blocks all of them. */
static uint64_t nr_free_runs(unsigned order, bool tickets)
{
	const uint64_t step = UINT64_C(1) << order;
	uint64_t n = 0;

	for (uint64_t page = 0; page + step <= m.nr_pages; page += step) {
		bool fits = true;

		if (!is_free_run(page, order))
			continue;
		for (uint64_t b = page / 512;
		     m.nr_held && b <= (page + step - 1) / 512; b++)
			fits &= order < 9 ? block_free(b) >= m.held[b] + step
					  : m.held[b] == 0;
		n += fits || !tickets;
	}
	return n;
}

static void set_run(uint64_t page, unsigned order, bool used)
{
	const uint64_t n = UINT64_C(1) << order;

	memset(m.use + page, !used ? FREE : order < 9 ? BITS : WHOLE, n);
	if (used && order >= 9) {
		m.use[page] = HEAD;
		m.head_order[page / 512] = (uint8_t)order;
	}
	m.free += used ? -n : n;
}

/* What a release of this run must say. */
static enum wi_zone_error verdict(uint64_t page, unsigned order)
{
	const uint64_t n = UINT64_C(1) << order;
	bool whole = false, free = false;

	if (page % n != 0 || page >= m.nr_pages || m.nr_pages - page < n)
		return WI_ZONE_WRONG_ORDER;
	if (order >= 9) {
		if (m.use[page] == HEAD && m.head_order[page / 512] == order)
			return WI_ZONE_OK;
		for (uint64_t i = page; i < page / 512 * 512 + 512; i++)
			free |= m.use[i] == FREE;
		return free ? WI_ZONE_DOUBLE_FREE : WI_ZONE_WRONG_ORDER;
	}
	for (uint64_t i = page; i < page + n; i++) {
		free |= m.use[i] == FREE;
		whole |= m.use[i] >= WHOLE;
	}
	return whole  ? WI_ZONE_WRONG_ORDER
	       : free ? WI_ZONE_DOUBLE_FREE
		      : WI_ZONE_OK;
}

/* --- operations -------------------------------------------------------- */

static void claim(struct bytes *b)
{
	const unsigned order = take_below(b, WI_ZONE_ORDER_MAX + 1);
	const size_t n = 1 + take_below(b, BULK_MAX);
	uint32_t cursor = take_u8(b);
	const uint64_t before = wi_zone_generation(m.zone);
	uint64_t last = 0;
	size_t got;

	if (cursor == 0xff)
		cursor = UINT32_MAX;
	got = wi_zone_claim(m.zone, order, n, runs, &cursor);
	MUST(got <= n);
	for (size_t i = 0; i < got; i++) {
		const uint64_t page = runs[i];

		MUST(page % (UINT64_C(1) << order) == 0);
		MUST(page + (UINT64_C(1) << order) <= m.nr_pages);
		MUST(is_free_run(page, order));
		MUST(i == 0 || page / 512 != last / 512 || page > last);
		last = page;
		set_run(page, order, true);
		if (m.nr_slots < SLOTS_MAX) {
			m.slot[m.nr_slots].page = page;
			m.slot[m.nr_slots++].order = order;
		} else {
			size_t bad;

			MUST(wi_zone_release(m.zone, order, &page, 1, &bad) ==
			     WI_ZONE_OK);
			set_run(page, order, false);
		}
	}
	if (got == 0)
		MUST(nr_free_runs(order, true) == 0);
	if (m.nr_slots < SLOTS_MAX) /* a claim alone gives nothing back */
		MUST(wi_zone_generation(m.zone) == before);
}

static void release(const uint64_t *pages, size_t n, unsigned order)
{
	const uint64_t before = wi_zone_generation(m.zone);
	enum wi_zone_error error, expected = WI_ZONE_OK;
	size_t bad = SIZE_MAX, i;

	error = wi_zone_release(m.zone, order, pages, n, &bad);
	for (i = 0; i < n; i++) {
		expected = verdict(pages[i], order);
		if (expected != WI_ZONE_OK)
			break;
		set_run(pages[i], order, false);
	}
	MUST(error == expected);
	MUST(error == WI_ZONE_OK || bad == i);
	MUST((wi_zone_generation(m.zone) != before) == (i > 0));
}

/* A given run is had if it is free, and there are tickets for it. */
static void claim_at(struct bytes *b)
{
	const unsigned order = take_below(b, 13);
	const uint64_t n = UINT64_C(1) << order;
	const uint64_t page = take_u16(b) % m.nr_pages >> order << order;
	bool fits = page + n <= m.nr_pages && is_free_run(page, order);

	for (uint64_t i = page / 512; fits && i <= (page + n - 1) / 512; i++)
		fits = order < 9 ? block_free(i) >= m.held[i] + n
				 : m.held[i] == 0;
	if (page + n > m.nr_pages || m.nr_slots == SLOTS_MAX)
		return;
	MUST(wi_zone_claim_at(m.zone, order, page) == fits);
	if (!fits)
		return;
	set_run(page, order, true);
	m.slot[m.nr_slots].page = page;
	m.slot[m.nr_slots++].order = order;
}

/* Slots of one order, whole or in parts, and perhaps a wrong one. */
static void release_some(struct bytes *b)
{
	const uint8_t how = take_u8(b);
	unsigned order, part = 0, nr_parts;
	size_t n = 0, want = 1 + take_below(b, BULK_MAX);
	unsigned first, stride;

	if (m.nr_slots == 0)
		return;
	first = take_below(b, m.nr_slots);
	stride = how & 1 ? 1 : 1 + take_below(b, 7);
	order = m.slot[first].order;
	if (how & 2 && order > 0 && order < 9)
		part = take_below(b, order + 1);
	nr_parts = 1u << part;
	for (unsigned at = first; n + nr_parts <= want && at < m.nr_slots;) {
		if (m.slot[at].order != order) {
			at += stride;
			continue;
		}
		for (unsigned i = 0; i < nr_parts; i++)
			runs[n++] = m.slot[at].page +
				    ((uint64_t)i << (order - part));
		m.slot[at] = m.slot[--m.nr_slots];
		if (at >= m.nr_slots)
			break;
		if (how & 4)
			at += stride;
	}
	if (n == 0) /* more parts than fit: the first ones */
		return;
	if (how & 8) { /* in another order */
		for (size_t i = 0; i + 1 < n; i++) {
			size_t j = i + take_below(b, (unsigned)(n - i));
			uint64_t page = runs[i];

			runs[i] = runs[j];
			runs[j] = page;
		}
	}
	release(runs, n, order - part);
}

/* Forgets slots whose pages came back by another way. */
static void sweep_slots(void)
{
	for (unsigned i = 0; i < m.nr_slots;) {
		if (verdict(m.slot[i].page, m.slot[i].order) == WI_ZONE_OK)
			i++;
		else
			m.slot[i] = m.slot[--m.nr_slots];
	}
}

/* Whatever the bytes say, mostly wrong; what was right leaves slots behind
 * that are wrong from then on. */
static void release_anything(struct bytes *b)
{
	const unsigned order = take_below(b, WI_ZONE_ORDER_MAX + 1);
	const size_t n = 1 + take_below(b, 70);
	uint64_t page = 0;

	for (size_t i = 0; i < n; i++) {
		const uint8_t step = take_u8(b);

		if (step & 0x80 && m.nr_slots > 0)
			page = m.slot[step % m.nr_slots].page;
		else if (step == 0x7f)
			page = take_u64(b);
		else if (step == 0x7e)
			page = m.nr_pages - take_u8(b);
		else
			page += (uint64_t)step << order;
		runs[i] = page;
	}
	release(runs, n, order);
	sweep_slots();
}

/* A thread that took tickets of a block, and stands still. */
static void hold_tickets(struct bytes *b)
{
	const uint64_t block = take_u16(b) % m.nr_blocks;
	uint32_t *state = wi_zone_state(m.zone, block);
	unsigned nr = 1 + take_u8(b) * 2;

	if (m.held[block] != 0) {
		wi_zone_put_tickets(m.zone, block, m.held[block]);
		wi_zone_advance(m.zone);
		m.held[block] = 0;
		m.nr_held--;
		return;
	}
	nr = (unsigned)wi_min_u64(nr, wi_state_nr_free(*state));
	if (nr == 0)
		return;
	wi_add_full(state, nr);
	wi_zone_settle(m.zone, block, 1);
	m.held[block] = (uint16_t)nr;
	m.nr_held++;
}

/* Takes a block out of use, or returns it. */
static void isolate_block(struct bytes *b)
{
	const uint64_t block = take_u16(b) % m.nr_blocks, page = block * 512;
	const uint64_t before = wi_zone_generation(m.zone);

	m.isolated[block] = !m.isolated[block];
	if (m.isolated[block]) {
		wi_zone_isolate(m.zone, page);
		m.nr_isolated++;
	} else {
		wi_zone_return(m.zone, page);
		m.nr_isolated--;
		MUST(wi_zone_generation(m.zone) != before);
	}
	MUST(wi_zone_is_isolated(m.zone, page) == m.isolated[block]);
	MUST(wi_zone_is_vacant(m.zone, page) ==
	     (m.isolated[block] && block_free(block) == 512 &&
	      m.held[block] == 0));
}

static void return_all(void)
{
	for (uint64_t block = 0; block < m.nr_blocks; block++) {
		if (m.isolated[block])
			wi_zone_return(m.zone, block * 512);
		m.isolated[block] = false;
	}
	m.nr_isolated = 0;
}

/* Hints that a thread left wrong, on any level. */
static void lie(struct bytes *b)
{
	struct wi_tree *tree =
		take_u8(b) & 1 ? &m.zone->partial : &m.zone->free;
	const unsigned level = take_below(b, (unsigned)tree->nr_levels);
	uint64_t nr_bits = tree->nr_bits, word, mask = take_u64(b);

	for (unsigned i = 0; i < level; i++)
		nr_bits = wi_div_round_up(nr_bits, 64);
	word = take_u16(b) % wi_div_round_up(nr_bits, 64);
	if (nr_bits - word * 64 < 64)
		mask &= wi_low_mask((unsigned)(nr_bits - word * 64));
	*wi_tree_word(tree, level, word) ^= mask;
	m.nr_lies++;
}

static void mend(void)
{
	for (uint64_t block = 0; block < m.nr_blocks; block++) {
		wi_zone_repair(m.zone, block);
		if (m.held[block] != 0) {
			wi_zone_put_tickets(m.zone, block, m.held[block]);
			wi_zone_advance(m.zone);
			m.held[block] = 0;
		}
	}
	m.nr_lies = m.nr_held = 0;
}

static void look(struct bytes *b)
{
	const unsigned order = take_below(b, WI_ZONE_ORDER_MAX + 1);
	const uint64_t page = take_u64(b) % m.nr_pages;
	uint64_t held = 0, isolated = 0;

	for (uint64_t block = 0; m.nr_held && block < m.nr_blocks; block++)
		held += m.held[block];
	for (uint64_t block = 0; m.nr_isolated && block < m.nr_blocks; block++)
		if (m.isolated[block])
			isolated += block_free(block) - m.held[block];
	MUST(wi_zone_nr_pages(m.zone) == m.nr_pages);
	MUST(wi_zone_nr_free(m.zone) == m.free - held - isolated);
	MUST(wi_zone_nr_isolated(m.zone) == isolated);
	MUST(wi_zone_is_free(m.zone, page) == (m.use[page] == FREE));
	if (m.nr_held == 0) {
		MUST(wi_zone_nr_free_runs(m.zone, order) ==
		     nr_free_runs(order, false));
		if (m.nr_lies == 0)
			MUST(wi_zone_is_valid(m.zone));
	}
}

/* --- a run ------------------------------------------------------------- */

static void begin(struct bytes *b)
{
	const uint8_t how = take_u8(b);
	uint64_t n = 1 + take_u16(b);
	size_t bytes;

	if (how < 128) /* to 4 blocks */
		n = 1 + n % 2048;
	else if (how < 192) /* to 40 */
		n = 1 + n % 20480;
	else /* around a summary word */
		n = 512 * 62 + n % 2048;
	m.nr_pages = m.free = n;
	m.nr_blocks = wi_div_round_up(n, 512);
	m.nr_slots = m.nr_held = m.nr_lies = m.nr_isolated = 0;
	memset(m.isolated, 0, m.nr_blocks * sizeof(m.isolated[0]));
	memset(m.held, 0, m.nr_blocks * sizeof(m.held[0]));
	m.use = calloc(n, 1);
	bytes = wi_round_up(wi_zone_bytes(n), 64);
	m.memory = aligned_alloc(64, bytes);
	MUST(m.use != NULL && m.memory != NULL);
	memset(m.memory, 0, bytes);
	m.zone = wi_zone_init(m.memory, n);
}

/* Everything comes back, and can be had as the biggest runs there are. */
static void finish(void)
{
	uint32_t cursor = 0;
	size_t bad;

	return_all();
	mend();
	MUST(wi_zone_nr_free(m.zone) == m.free);
	MUST(wi_zone_is_valid(m.zone));
	for (uint64_t page = 0; page < m.nr_pages; page++) {
		const unsigned order =
			m.use[page] == HEAD ? m.head_order[page / 512] : 0;

		if (m.use[page] == FREE)
			continue;
		MUST(wi_zone_release(m.zone, order, &page, 1, &bad) ==
		     WI_ZONE_OK);
		set_run(page, order, false);
		page += (UINT64_C(1) << order) - 1;
	}
	MUST(wi_zone_is_valid(m.zone));
	for (unsigned order = WI_ZONE_ORDER_MAX + 1; order-- > 0;) {
		const uint64_t want = m.free >> order;
		uint64_t page;

		for (uint64_t i = 0; i < want; i++) {
			MUST(wi_zone_claim(m.zone, order, 1, &page, &cursor) ==
			     1);
			MUST(is_free_run(page, order));
			set_run(page, order, true);
		}
	}
	MUST(m.free == 0 && wi_zone_nr_free(m.zone) == 0);
	MUST(wi_zone_is_valid(m.zone));
	free(m.memory);
	free(m.use);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = { data, data + size };

	begin(&b);
	for (unsigned ops = 0; bytes_left(&b) > 0 && ops < 200; ops++) {
		const uint8_t what = take_u8(&b);
		const unsigned op = what % 16;

		if (op < 7)
			claim(&b);
		else if (op < 11)
			release_some(&b);
		else if (op == 11)
			release_anything(&b);
		else if (op == 12)
			hold_tickets(&b);
		else if (op == 13)
			lie(&b);
		else if (op == 14 && what & 16)
			isolate_block(&b);
		else if (op == 14)
			mend();
		else if (what & 16)
			claim_at(&b);
		else
			look(&b);
	}
	finish();
	return 0;
}
