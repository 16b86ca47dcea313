/* SPDX-License-Identifier: MIT */
/*
 * A store of tokens: the back end of those lists of a token cache whose tokens
 * the cache keeps itself. Bounded, lock-free, for any thread and for signal
 * handlers.
 *
 *	slots	| token |       | token | token |  ...  one for each token
 *	vacant	|   .   | free  |   .   |   .   |  a zone: slots without one
 *	filled	| free  |   .   | free  | free  |  a zone: slots with a token
 *	room	tickets for vacant slots
 *	stored	tickets for filled slots
 *
 *	put:	take n of `room`    claim n vacant slots    store the tokens
 *		release the slots in `filled`               add n to `stored`
 *	get:	take n of `stored`  claim n filled slots    load the tokens
 *		release the slots in `vacant`               add n to `room`
 *
 * Invariants:
 *
 *	S1  A slot is free in `vacant`, or free in `filled`, or belongs to one
 *	    call.
 *	S2  Slots free in `vacant` >= `room` + tickets of it that calls hold;
 *	    likewise `filled` and `stored`. So who has a ticket finds a slot,
 *	    and finds another one when a slot that it saw was taken.
 *	S3  capacity - room <= tokens in the store + tokens that calls of put or
 *	    get are moving. So a put finds room as long as no more than
 *	    `capacity` tokens exist.
 *
 * Which slot a claim finds follows from the zone's search: tokens leave in no
 * particular order. An order would need a place that all CPUs write, and one at
 * which a stopped thread holds up the others.
 *
 * Ordering: a token passes with its slot, by the labels of zone/block.h. S2 is
 * STORE-A1 with STORE-R1.
 *
 * Progress: lock-free. A claim starts over only when another call claimed and
 * another one released slots meanwhile. A stopped thread keeps what it holds,
 * at most a ticket and a slot for each token that it moves.
 *
 * There is no pointer that a thread compares and swaps, hence no ABA: a slot is
 * claimed by setting its bit, whatever happened to it before.
 */
#ifndef WI_API_TOKEN_STORE_H
#define WI_API_TOKEN_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"

#define WI_TOKEN_STORE_MAX (UINT64_C(1) << 32) /* tokens */

struct wi_zone;

struct wi_token_store {
	/* Constant. */
	uint64_t capacity;
	uint64_t *slots;
	struct wi_zone *vacant, *filled;
	/* Written by all calls, each in a line of its own. */
	_Alignas(WI_CACHE_LINE) uint64_t room;
	uint32_t cursor; /* where puts claimed last: a hint */
	_Alignas(WI_CACHE_LINE) uint64_t stored;
};

/* Bytes of zeroed memory, aligned to 64, for that many tokens, 1 to
 * WI_TOKEN_STORE_MAX: 8.3 bytes each and at most 2 KiB. */
size_t wi_token_store_bytes(uint64_t capacity);

/* Begins without tokens. No other call may run. */
void wi_token_store_init(struct wi_token_store *store, void *zeroed,
			 uint64_t capacity);

/* Stores n tokens; false, and nothing stored, if there is no room for them. */
bool wi_token_store_put(struct wi_token_store *store, const uint64_t *tokens,
			size_t n);

/* Takes up to n tokens; fewer only if there were no more at some moment.
 * *cursor: a hint of the caller's, one for each CPU. */
size_t wi_token_store_get(struct wi_token_store *store, uint64_t *tokens,
			  size_t n, uint32_t *cursor);

/* Tokens in the store, but for those that calls are moving. */
uint64_t wi_token_store_count(const struct wi_token_store *store);

#endif
