/* SPDX-License-Identifier: MIT */
/*
 * The sequences of weir/arch/contract.h for a build in which threads are
 * coroutines: sequences.c follows weir/arch/x86_64.h access by access. It takes
 * the place of the installed header of this name, for the folder that it is in
 * comes first.
 */
#ifndef WEIR_FAST_H
#error "include <weir/fast.h>"
#endif

#include <stdbool.h>
#include <stddef.h>

#define WEIR_HAVE_SEQUENCES 1

enum interleave_result { INTERLEAVE_DONE, INTERLEAVE_NONE, INTERLEAVE_AGAIN };

struct interleave_op {
	const struct weir_i_lists *lists;
	unsigned list;
	bool push;
	uint64_t *tokens;
	unsigned n; /* in: at most so many; out: how many, if done */
	/* Of a push: the last byte, or in bulk the first token of its area. */
	bool bulk;
	uint64_t last, first;
};

/* Operations committed since somebody made it 0. */
extern uint64_t interleave_commits;

enum interleave_result interleave_operate(struct interleave_op *op);
uint32_t interleave_cpu(void);
void interleave_tick(const struct weir_i_lists *l);
char *interleave_burst(const struct weir_i_lists *l);

WEIR_I_INLINE uint64_t weir_i_pop(const struct weir_i_lists *l, unsigned list)
{
	uint64_t token = WEIR_NONE;
	struct interleave_op op = { l, list, false, &token, 1, false, 0, 0 };
	enum interleave_result result = interleave_operate(&op);

	return result == INTERLEAVE_AGAIN ? WEIR_AGAIN : token;
}

WEIR_I_INLINE int weir_i_push(const struct weir_i_lists *l, unsigned list,
			      uint64_t token, uint64_t last)
{
	struct interleave_op op = { l, list, true, &token, 1, false, last, 0 };
	enum interleave_result result = interleave_operate(&op);

	return result == INTERLEAVE_DONE   ? 1
	       : result == INTERLEAVE_NONE ? 0
					   : -1;
}

WEIR_I_INLINE unsigned weir_i_pop_bulk(const struct weir_i_lists *l,
				       unsigned list, uint64_t *tokens,
				       unsigned n)
{
	struct interleave_op op = { l, list, false, tokens, n, true, 0, 0 };

	return interleave_operate(&op) == INTERLEAVE_DONE ? op.n : 0;
}

WEIR_I_INLINE unsigned weir_i_push_bulk(const struct weir_i_lists *l,
					unsigned list, const uint64_t *tokens,
					unsigned n, uint64_t first)
{
	struct interleave_op op = {
		l, list, true, (uint64_t *)(uintptr_t)tokens, n, true, 0, first
	};

	return interleave_operate(&op) == INTERLEAVE_DONE ? op.n : 0;
}

WEIR_I_INLINE uint32_t weir_i_cpu(const struct weir_i_lists *l)
{
	(void)l;
	return interleave_cpu();
}

WEIR_I_INLINE void weir_i_tick(const struct weir_i_lists *l)
{
	interleave_tick(l);
}

WEIR_I_INLINE char *weir_i_burst(const struct weir_i_lists *l)
{
	return interleave_burst(l);
}
