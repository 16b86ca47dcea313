/* SPDX-License-Identifier: MIT */
/*
 * Counts free pages and runs, also of a zone in the memory of another process.
 * That memory is not trusted: the place of words is computed from the number of
 * pages, every word is read once, and its value is only added up.
 *
 * A wholly free block has no bit set (Z1), so its bits are not read: if the
 * memory was never used they are not even backed.
 */
#include "zone/layout.h"

/* A part of the memory that is uniformly backed, or zeros. */
struct piece {
	const struct wi_zone_view *view;
	const char *from, *end;
	bool is_backed;
};

static bool is_view_backed(struct piece *piece, const void *at)
{
	const struct wi_zone_view *view = piece->view;
	const char *p = at;

	if (view->is_backed == NULL)
		return true;
	if (p < piece->from || p >= piece->end) {
		piece->from = p;
		piece->is_backed = view->is_backed(view->ctx, p, &piece->end);
	}
	return piece->is_backed;
}

static const struct wi_block *bits_of(const struct wi_zone_view *view)
{
	return (const struct wi_block *)(const void *)(view->memory +
						       sizeof(struct wi_zone));
}

static const uint32_t *states_of(const struct wi_zone_view *view,
				 uint64_t nr_blocks)
{
	return (const uint32_t *)(const void *)(bits_of(view) + nr_blocks);
}

/* How many states from `state` on, at most n, lie in the same part. */
static uint64_t nr_alike(const struct piece *piece, const uint32_t *state,
			 uint64_t n)
{
	uint64_t here;

	if (piece->view->is_backed == NULL)
		return n;
	here = (uint64_t)(piece->end - (const char *)state) / sizeof(*state);
	return wi_min_u64(n, here == 0 ? 1 : here);
}

struct wi_zone_counts wi_zone_view_count(const struct wi_zone_view *view)
{
	const uint64_t nr_blocks =
		wi_div_round_up(view->nr_pages, WI_BLOCK_PAGES);
	const uint32_t *states = states_of(view, nr_blocks);
	struct piece piece = { .view = view };
	struct wi_zone_counts nr = { 0, 0 };

	for (uint64_t i = 0, n; i < nr_blocks; i += n) {
		bool backed = is_view_backed(&piece, &states[i]);

		n = nr_alike(&piece, &states[i], nr_blocks - i);
		if (!backed)
			nr.free += n * WI_BLOCK_PAGES;
		/* Relaxed, here and below: a sum, outdated when it is returned.
		 */
		for (uint64_t k = i; backed && k < i + n; k++) {
			const uint32_t state = wi_load_relaxed(&states[k]);

			nr.free += wi_state_nr_free(state);
			nr.isolated += wi_state_nr_isolated(state);
		}
	}
	return nr;
}

/* Blocks `from` to `to` are wholly free, and those beside them are not. */
static void add_stretch(uint64_t *runs, uint64_t from, uint64_t to)
{
	for (unsigned order = 0; order < WI_BLOCK_ORDER; order++)
		runs[order] += (to - from) * (WI_BLOCK_PAGES >> order);
	for (unsigned order = WI_BLOCK_ORDER; order <= WI_ZONE_ORDER_MAX;
	     order++) {
		uint64_t step = UINT64_C(1) << (order - WI_BLOCK_ORDER);
		uint64_t first = wi_div_round_up(from, step);

		if (to / step > first)
			runs[order] += to / step - first;
	}
}

static void add_partial(uint64_t *runs, uint32_t state,
			const struct wi_block *bits, bool backed)
{
	static const struct wi_block none;

	for (unsigned order = 0; order < WI_BLOCK_ORDER; order++)
		if (wi_state_nr_free(state) >> order != 0)
			runs[order] +=
				wi_block_nr_runs(backed ? bits : &none, order);
}

void wi_zone_view_runs(const struct wi_zone_view *view, uint64_t *runs)
{
	const uint64_t nr_blocks =
		wi_div_round_up(view->nr_pages, WI_BLOCK_PAGES);
	const uint32_t *states = states_of(view, nr_blocks);
	const struct wi_block *bits = bits_of(view);
	struct piece of_states = { .view = view }, of_bits = { .view = view };
	uint64_t free_from = 0;

	for (unsigned order = 0; order <= WI_ZONE_ORDER_MAX; order++)
		runs[order] = 0;
	for (uint64_t i = 0, n; i < nr_blocks; i += n) {
		bool backed = is_view_backed(&of_states, &states[i]);

		n = nr_alike(&of_states, &states[i], nr_blocks - i);
		for (uint64_t k = i; backed && k < i + n; k++) {
			uint32_t state = wi_load_relaxed(&states[k]);

			if (state == 0)
				continue;
			if (wi_state_nr_free(state) != 0)
				add_partial(runs, state, &bits[k],
					    is_view_backed(&of_bits, &bits[k]));
			add_stretch(runs, free_from, k);
			free_from = k + 1;
		}
	}
	add_stretch(runs, free_from, nr_blocks);
}

static struct wi_zone_view view_of(const struct wi_zone *zone)
{
	return (struct wi_zone_view){ .memory = (const char *)zone,
				      .nr_pages = zone->nr_pages };
}

uint64_t wi_zone_nr_free(const struct wi_zone *zone)
{
	struct wi_zone_view view = view_of(zone);

	return wi_zone_view_count(&view).free;
}

uint64_t wi_zone_nr_isolated(const struct wi_zone *zone)
{
	struct wi_zone_view view = view_of(zone);

	return wi_zone_view_count(&view).isolated;
}

uint64_t wi_zone_nr_free_runs(const struct wi_zone *zone, unsigned order)
{
	struct wi_zone_view view = view_of(zone);
	uint64_t runs[WI_ZONE_ORDER_MAX + 1];

	wi_zone_view_runs(&view, runs);
	return runs[order];
}
