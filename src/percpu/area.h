/* SPDX-License-Identifier: MIT */
/*
 * A per-CPU area: the two list sets of a CPU for one zone and the words that
 * say which is in use (struct wi_area, laid out as in weir/arch/contract.h).
 * The drainer and locked mode use it through the functions below: headers, and
 * the operations of lists in locked mode. The fast operations are the sequences
 * of weir/arch/.
 *
 * Invariants
 *   I1  Only sequences on its CPU (in locked mode: the holder of the area)
 *       write a set that is or was named by `active`, until evidence has come
 *       that none of them can still commit (evidence.h).
 *   I2  The limit of a list changes only in a set that nobody may write.
 *   I3  `operations` of a header never decreases, not even by a flush.
 *   I4  No operation overwrites a slot below `top` before its commit: a reader
 *       of the old header finds the right token in that slot.
 *   I5  The null set, offset 0 of the area, is all zeros for ever.
 *
 * Ordering: a commit is a release of the slots it covers (ARCH-R1 in a
 * sequence, LOCKED-R1 in locked mode), read by the drainer after evidence.
 *
 * Progress: nothing here waits. The lock of an area is a trylock; on contention
 * the operation goes to the zone.
 *
 * Freestanding.
 */
#ifndef WI_PERCPU_AREA_H
#define WI_PERCPU_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/fast.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "os/rseq.h"

enum { WI_SET_NULL, WI_SET_0, WI_SET_1, WI_NR_SETS };

enum wi_area_event {
	WI_AREA_REFILL, /* from the back end into a list */
	WI_AREA_FLUSH,	/* a full list gave half or more back */
	WI_AREA_DIRECT, /* an allocation that passed the lists by */
	WI_AREA_ABORT,	/* a sequence that had to start over, where seen */
	WI_NR_AREA_EVENTS,
};

/* Counted by slow paths on their CPU; relaxed, read by anyone. */
struct wi_area_counters {
	uint64_t nr[WI_NR_AREA_EVENTS];
	uint32_t cursor; /* the back end's hint: where the last refill was */
	/* Of each list, a hint: {drain number:24 | refills, or less than 0
	 * flushes, in a row since that drain:8}. */
	uint32_t in_a_row[WEIR_NR_LISTS];
};

struct wi_area {
	uint64_t null_set[8]; /* I5 */
	/* active: the drainer exchanges it. busy: this CPU's marks; cleared
	 * by who set them. seen: sequences on this CPU. */
	uint64_t active;
	uint64_t busy;
	uint64_t seen;
	uint32_t cpu; /* constant */
	uint32_t pad;
	/* What the lists may hold; sequences compare. Written before active
	 * names a set; from then on first is constant, and bound only grows. */
	struct weir_i_bounds bounds;
	uint64_t pad0[2];
	struct wi_area_counters counters;
	uint64_t pad1[16 - sizeof(struct wi_area_counters) / 8];
	uint64_t header[2][8]; /* I1, I2, I3 */
	uint64_t pad2[WEIR_AREA_TOKENS / 8 - 48];
	uint64_t token[2][WEIR_NR_LISTS][512]; /* I1, I4 */
	uint64_t pad3[(WEIR_AREA_BYTES - WEIR_AREA_TOKENS -
		       2 * WEIR_NR_LISTS * 4096) /
		      8];
};

_Static_assert(offsetof(struct wi_area, active) == WEIR_AREA_ACTIVE, "active");
_Static_assert(offsetof(struct wi_area, busy) == WEIR_AREA_BUSY, "busy");
_Static_assert(offsetof(struct wi_area, seen) == WEIR_AREA_SEEN, "seen");
_Static_assert(offsetof(struct wi_area, cpu) == WEIR_AREA_CPU, "cpu");
_Static_assert(offsetof(struct wi_area, bounds.first) == WEIR_AREA_FIRST,
	       "first");
_Static_assert(offsetof(struct wi_area, bounds.bound) == WEIR_AREA_BOUND,
	       "bound");
_Static_assert(offsetof(struct wi_area, header[0]) == WEIR_AREA_SET0, "set 0");
_Static_assert(offsetof(struct wi_area, header[1]) == WEIR_AREA_SET1, "set 1");
_Static_assert(offsetof(struct wi_area, token) == WEIR_AREA_TOKENS, "tokens");
_Static_assert(sizeof(struct wi_area) == WEIR_AREA_BYTES, "area");

/* --- headers ----------------------------------------------------------- */

WI_INLINE unsigned wi_header_count(uint64_t header)
{
	return (unsigned)(header & WEIR_HEADER_TOP_MASK) / 8;
}

WI_INLINE unsigned wi_header_room(uint64_t header)
{
	return (unsigned)(header & WEIR_HEADER_ROOM_MASK) >>
	       WEIR_HEADER_ROOM_SHIFT;
}

/* All 39 bits: twice the operations, and the set in the lowest bit. */
WI_INLINE uint64_t wi_header_ops(uint64_t header)
{
	return header >> WEIR_HEADER_OPS_SHIFT;
}

/* --- active ------------------------------------------------------------ */

/* The word that names `set`, for a quiet CPU or not, in drain `number`. */
WI_INLINE uint64_t wi_active_word(unsigned set, bool quiet, uint32_t number)
{
	uint64_t offset = set == WI_SET_NULL ? 0
			  : set == WI_SET_0  ? WEIR_AREA_SET0
					     : WEIR_AREA_SET1;

	return (uint64_t)number << 32 |
	       (uint64_t)quiet << WEIR_ACTIVE_QUIET_BIT | offset;
}

WI_INLINE unsigned wi_active_set(uint64_t active)
{
	uint32_t offset = (uint32_t)active & ~(1u << WEIR_ACTIVE_QUIET_BIT);

	return offset == 0		  ? WI_SET_NULL
	       : offset == WEIR_AREA_SET0 ? WI_SET_0
					  : WI_SET_1;
}

WI_INLINE bool wi_active_is_quiet(uint64_t active)
{
	return active >> WEIR_ACTIVE_QUIET_BIT & 1;
}

/* The headers of a set; those of the null set are zeros. */
WI_INLINE uint64_t *wi_area_headers(struct wi_area *area, unsigned set)
{
	return set == WI_SET_NULL ? area->null_set : area->header[set - 1];
}

/* Counts what happened to this area. Relaxed: a count. */
WI_INLINE void wi_area_count(struct wi_area *area, enum wi_area_event what)
{
	wi_add_relaxed(&area->counters.nr[what], 1);
}

WI_INLINE unsigned wi_area_cpu(const struct wi_area *area)
{
	return area->cpu;
}

/* The back end's hint; relaxed, whoever writes it. */
WI_INLINE uint32_t *wi_area_cursor(struct wi_area *area)
{
	return &area->counters.cursor;
}

/* The set whose header the operation will change (no burst's mark). */
WI_INLINE unsigned wi_mark_set(uint64_t mark)
{
	return mark & 1 ? WI_SET_1 : WI_SET_0;
}

/* --- sets that no thread may write ---------------------------------------- */

/* Of an area whose lists take any token. */
#define WI_BOUNDS_ANY ((struct weir_i_bounds){ 0, WEIR_AGAIN })

/*
 * Sets up an area that is all zeros: both sets are empty with these limits, for
 * tokens within these bounds; `active` names the null set.
 */
void wi_area_init(struct wi_area *area, const uint16_t *limits,
		  struct weir_i_bounds bounds);

/* Empties a list of such a set and gives it a limit; operations stay (I3). */
void wi_area_reset(struct wi_area *area, unsigned set, unsigned list,
		   unsigned limit);

/* The tokens of a list of such a set; *n says how many. */
const uint64_t *wi_area_tokens(struct wi_area *area, unsigned set,
			       unsigned list, size_t *n);

/* --- locked mode ------------------------------------------------------- */

/* Trylock of the area for a thread; false if another one holds it. */
bool wi_area_trylock(struct wi_area *area, uint64_t burst_mark);
void wi_area_unlock(struct wi_area *area);

/* Pops, or pushes, up to n tokens of a list of the set in use; returns how
 * many. The caller holds the area. */
size_t wi_area_pop_locked(struct wi_area *area, unsigned list, uint64_t *tokens,
			  size_t n);
size_t wi_area_push_locked(struct wi_area *area, unsigned list,
			   const uint64_t *tokens, size_t n);

#endif
