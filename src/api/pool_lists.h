/* SPDX-License-Identifier: MIT */
/* A run of any order through the sequences of this CPU's lists: those of the
 * handle, or of a checked pool. */
#ifndef WI_API_POOL_LISTS_H
#define WI_API_POOL_LISTS_H

#include <stdbool.h>

#include <weir/fast.h>

/* WEIR_NONE if the order has no list, or the flags need more than that. */
static inline uint64_t wi_pool_pop_run(const struct weir_i_lists *lists,
				       unsigned order, unsigned flags)
{
	uint64_t token = WEIR_NONE;

#ifdef WEIR_HAVE_SEQUENCES
#define CASE(list)                                                             \
	case list:                                                             \
		token = weir_i_pop(lists, list);                               \
		break;
	if (!(flags & ~WEIR_I_FLAGS))
		WEIR_I_POOL_SWITCH(weir_i_list_of_order(order), CASE)
#undef CASE
#else
	(void)lists, (void)order, (void)flags;
#endif
	return token;
}

/* An order above 0; `mask` is the bytes of a run, less 1. */
static inline bool wi_pool_push_run(const struct weir_i_lists *lists,
				    unsigned order, uint64_t offset,
				    uint64_t mask)
{
	int pushed = 0;

#ifdef WEIR_HAVE_SEQUENCES
#define CASE(list)                                                             \
	case list:                                                             \
		pushed = weir_i_push(lists, list, offset, offset + mask);      \
		break;
	if (!(offset & mask))
		switch (weir_i_list_of_order(order)) {
			CASE(1) CASE(2) CASE(3) CASE(4)
		}
#undef CASE
#else
	(void)lists, (void)order, (void)offset, (void)mask;
#endif
	return pushed > 0;
}

#endif
