/* SPDX-License-Identifier: MIT */
/*
 * Who owns what: a byte for each thing that an allocator gives out, exchanged
 * atomically whenever it changes hands. What is given out twice, or comes back
 * from somebody who does not own it, ends the program.
 */
#ifndef WEIR_TESTS_ORACLE_H
#define WEIR_TESTS_ORACLE_H

#include "check.h"

struct oracle {
	const char *what; /* said in messages */
	uint8_t *owner;	  /* 0: with the allocator */
	uint64_t nr;
};

static inline void oracle_init(struct oracle *oracle, const char *what,
			       uint64_t nr)
{
	oracle->what = what;
	oracle->nr = nr;
	oracle->owner = calloc(nr, 1);
	CHECK(oracle->owner != NULL);
}

static inline void oracle_fini(struct oracle *oracle)
{
	free(oracle->owner);
}

/* Things first .. first + n - 1 are now `id`'s. */
static inline void oracle_take(struct oracle *oracle, uint64_t first,
			       uint64_t n, uint8_t id)
{
	CHECK_MSG(first < oracle->nr && n <= oracle->nr - first,
		  "%s: %#" PRIx64 " + %" PRIu64 " was given out, which never "
		  "was the allocator's",
		  oracle->what, first, n);
	for (uint64_t i = first; i < first + n; i++) {
		uint8_t was = __atomic_exchange_n(&oracle->owner[i], id,
						  __ATOMIC_ACQ_REL);

		CHECK_MSG(was == 0,
			  "%s: %" PRIu64 " was given to %u while "
			  "%u had it",
			  oracle->what, i, id, was);
	}
}

/* They are about to go back. */
static inline void oracle_give(struct oracle *oracle, uint64_t first,
			       uint64_t n, uint8_t id)
{
	for (uint64_t i = first; i < first + n; i++) {
		uint8_t was = __atomic_exchange_n(&oracle->owner[i], 0,
						  __ATOMIC_ACQ_REL);

		CHECK_MSG(was == id,
			  "%s: %u gives %" PRIu64 " back, which %u "
			  "had",
			  oracle->what, id, i, was);
	}
}

/* How many are out. */
static inline uint64_t oracle_out(const struct oracle *oracle)
{
	uint64_t out = 0;

	for (uint64_t i = 0; i < oracle->nr; i++)
		out += __atomic_load_n(&oracle->owner[i], __ATOMIC_RELAXED) !=
		       0;
	return out;
}

#endif
