/* SPDX-License-Identifier: MIT */
/* Shared by the files of this module. */
#ifndef WI_CACHE_INTERNAL_H
#define WI_CACHE_INTERNAL_H

#include "cache/cache.h"

/* --- refill.c ---------------------------------------------------------- */

/* Gives tokens to the back end; n may be 0. */
void wi_cache_give_back(struct wi_cache *cache, unsigned zone, unsigned kind,
			const uint64_t *tokens, size_t n);

/* How many of n tokens, from the first on, are of its zone. */
size_t wi_cache_same_zone(const struct wi_cache *cache, const uint64_t *tokens,
			  size_t n, unsigned *zone);

/* How many tokens move at once between a list of this CPU and the back end. */
size_t wi_cache_batch(const struct wi_cache *cache, unsigned zone,
		      unsigned list);

/* Makes room in a full list of this CPU. */
void wi_cache_flush(struct wi_cache *cache, unsigned zone, unsigned list);

/* Takes what this CPU's lists and the back end have, the zone `here` first;
 * `got` is what the get has already. Returns how many it has now. */
size_t wi_cache_get_from_zones(struct wi_cache *cache, const struct wi_get *get,
			       unsigned here, size_t got);

static inline bool wi_get_is_enough(const struct wi_get *get, size_t got)
{
	return got == get->n || ((get->flags & WI_GET_SOME) && got > 0);
}

/* --- shortage.c -------------------------------------------------------- */

/* What tokens that a drain took are given to, before the back end. */
struct wi_need {
	struct wi_cache *cache;
	const struct wi_get *get; /* NULL: the drain serves no get */
	unsigned here;		  /* the local zone of the get */
	size_t got;
	size_t part;	  /* tokens it had and gave back, to wait without any */
	uint64_t pending; /* pages that the last drain left pending */
};

/* Drains until the get has enough, or nothing is left to be drained. */
size_t wi_cache_get_in_need(struct wi_need need, int *error);

/* Counts and reports why the get failed; returns how many tokens it has. */
size_t wi_cache_fail(const struct wi_need *need, enum wi_failure why,
		     int *error);

/* Gives back what is too little, tokens of any zones. Returns how much this
 * adds to the generation. */
uint64_t wi_cache_give_part_back(struct wi_cache *cache, unsigned kind,
				 const uint64_t *tokens, size_t n);

/* Collects the pending sets of this CPU that have evidence by now. */
void wi_cache_collect_here(struct wi_cache *cache);

#endif
