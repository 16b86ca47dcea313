/* SPDX-License-Identifier: MIT */
/* The slow operations on a CPU's lists: see area.h. */
#include "percpu/area.h"

/* The header of an empty list. */
static uint64_t empty_header(unsigned set, unsigned list, unsigned limit,
			     uint64_t ops)
{
	uint64_t top = offsetof(struct wi_area, token) +
		       ((set - 1) * WEIR_NR_LISTS + list) * UINT64_C(4096);

	return ops << WEIR_HEADER_OPS_SHIFT |
	       (uint64_t)limit << WEIR_HEADER_ROOM_SHIFT | top;
}

void wi_area_reset(struct wi_area *area, unsigned set, unsigned list,
		   unsigned limit)
{
	uint64_t *header = &wi_area_headers(area, set)[list];
	uint64_t ops = wi_header_ops(wi_load_relaxed(header));

	wi_assert(set != WI_SET_NULL && limit <= WEIR_LIST_MAX);
	/* Relaxed: the exchange of active that names this set orders it. */
	wi_store_relaxed(header, empty_header(set, list, limit, ops));
}

void wi_area_init(struct wi_area *area, const uint16_t *limits,
		  struct weir_i_bounds bounds)
{
	for (unsigned set = WI_SET_0; set <= WI_SET_1; set++)
		for (unsigned list = 0; list < WEIR_NR_LISTS; list++)
			area->header[set - 1][list] = empty_header(
				set, list, limits[list], set - WI_SET_0);
	/* Relaxed: ordered by DRAIN-R1. */
	wi_store_relaxed(&area->bounds.first, bounds.first);
	/* DRAIN-R1 (partner ARCH-A1): who reads this bound without a sequence
	 * reads that first with it. (A sequence reads both after active, whose
	 * exchange, DRAIN-F1, comes after this.) */
	wi_store_release(&area->bounds.bound, bounds.bound);
}

const uint64_t *wi_area_tokens(struct wi_area *area, unsigned set,
			       unsigned list, size_t *n)
{
	/* Relaxed: evidence (EVIDENCE-A1, EVIDENCE-A2) came before. */
	uint64_t header = wi_load_relaxed(&wi_area_headers(area, set)[list]);

	*n = wi_header_count(header);
	return area->token[set - 1][list];
}

bool wi_area_trylock(struct wi_area *area, uint64_t burst_mark)
{
	uint64_t expected = 0;

	/* LOCKED-F1 (partner DRAIN-F1): the mark is in busy before active is
	 * loaded: either the drainer sees the mark, or the holder the new
	 * active. Acquires what the last holder did (LOCKED-R2). */
	return wi_cas_full(&area->busy, &expected, burst_mark);
}

void wi_area_unlock(struct wi_area *area)
{
	/* LOCKED-R2 (partners LOCKED-F1, EVIDENCE-A2): the next holder and the
	 * drainer see all that was done under the lock. A plain store: while
	 * the area is held no other thread writes busy. */
	wi_store_release(&area->busy, 0);
}

/* The list's header in the set in use, or NULL for the null set; the caller
 * holds the area. */
static uint64_t *header_in_use(struct wi_area *area, unsigned list)
{
	/* LOCKED-A1 (partner DRAIN-F1): a newly published set is seen with its
	 * limits; and not before the mark is set, which an acquire alone would
	 * allow where it may pass an earlier read-modify-write. */
	uint64_t active = wi_load_full(&area->active);
	unsigned set = wi_active_set(active);

	/* Evidence, as a sequence's tick is. */
	if (set == WI_SET_NULL) {
		/* LOCKED-R3 (partner EVIDENCE-A1): see ARCH-R1. */
		wi_store_release(&area->seen, active);
		return NULL;
	}
	return &area->header[set - 1][list];
}

static uint64_t *slot_above(struct wi_area *area, uint64_t header)
{
	return (uint64_t *)((char *)area + (uint16_t)header);
}

/* Commits one operation that moved n tokens, each of which adds `each`. */
static void commit_locked(uint64_t *header, size_t n, uint64_t each)
{
	const uint64_t once = UINT64_C(2) << WEIR_HEADER_OPS_SHIFT;

	/* LOCKED-R1 (partner EVIDENCE-A1): as ARCH-R1, the slots before the
	 * header that counts them. Only the holder of the area writes it. */
	wi_store_release(header, *header + n * (each - once) + once);
}

size_t wi_area_pop_locked(struct wi_area *area, unsigned list, uint64_t *tokens,
			  size_t n)
{
	uint64_t *header = header_in_use(area, list);
	const uint64_t *top;

	if (header == NULL)
		return 0;
	n = wi_min_u64(n, wi_header_count(*header));
	if (n == 0)
		return 0;
	top = slot_above(area, *header);
	for (size_t i = 0; i < n; i++)
		tokens[i] = *(top - n + i);
	commit_locked(header, n, WEIR_HEADER_POP);
	return n;
}

size_t wi_area_push_locked(struct wi_area *area, unsigned list,
			   const uint64_t *tokens, size_t n)
{
	uint64_t *header = header_in_use(area, list);
	uint64_t *top;

	if (header == NULL)
		return 0;
	n = wi_min_u64(n, wi_header_room(*header));
	if (n == 0)
		return 0;
	top = slot_above(area, *header);
	for (size_t i = 0; i < n; i++)
		top[i] = tokens[i];
	commit_locked(header, n, WEIR_HEADER_PUSH);
	return n;
}
