/* SPDX-License-Identifier: MIT */
/*
 * An architecture without sequences, a C library without rseq: every sequence
 * leaves at once, and the slow paths work on the lists under the area's trylock
 * (locked mode).
 */
#ifndef WEIR_FAST_H
#error "include <weir/fast.h>"
#endif

#include <stddef.h>

WEIR_I_INLINE uint64_t weir_i_pop(const struct weir_i_lists *l, unsigned list)
{
	(void)l, (void)list;
	return WEIR_NONE;
}

WEIR_I_INLINE int weir_i_push(const struct weir_i_lists *l, unsigned list,
			      uint64_t token, uint64_t last)
{
	(void)l, (void)list, (void)token, (void)last;
	return 0;
}

WEIR_I_INLINE unsigned weir_i_pop_bulk(const struct weir_i_lists *l,
				       unsigned list, uint64_t *tokens,
				       unsigned n)
{
	(void)l, (void)list, (void)tokens, (void)n;
	return 0;
}

WEIR_I_INLINE unsigned weir_i_push_bulk(const struct weir_i_lists *l,
					unsigned list, const uint64_t *tokens,
					unsigned n, uint64_t first)
{
	(void)l, (void)list, (void)tokens, (void)n, (void)first;
	return 0;
}

WEIR_I_INLINE void weir_i_tick(const struct weir_i_lists *l)
{
	(void)l;
}

WEIR_I_INLINE char *weir_i_burst(const struct weir_i_lists *l)
{
	(void)l;
	return NULL;
}

WEIR_I_INLINE uint32_t weir_i_cpu(const struct weir_i_lists *l)
{
	(void)l;
	return UINT32_MAX;
}
