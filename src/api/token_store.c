/* SPDX-License-Identifier: MIT */
/* Tokens in slots; see token_store.h for the picture and the rules. */
#include "api/token_store.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "zone/zone.h"

#define CHUNK 128 /* slots moved at a time: signal handlers have 8 KiB */

static size_t zone_bytes(uint64_t capacity)
{
	return wi_round_up(wi_zone_bytes(capacity), WI_CACHE_LINE);
}

size_t wi_token_store_bytes(uint64_t capacity)
{
	return 2 * zone_bytes(capacity) +
	       wi_round_up(capacity * sizeof(uint64_t), WI_CACHE_LINE);
}

/* Takes from `least` to `most` tickets; 0 if there are fewer than `least`. */
static size_t draw_tickets(uint64_t *tickets, size_t least, size_t most)
{
	/* Relaxed: the compare-and-swap verifies it, and who sees too few was
	 * not told of more. */
	uint64_t old = wi_load_relaxed(tickets);
	size_t n;

	do {
		n = wi_min_u64(old, most);
		if (n < least)
			return 0;
		/* STORE-A1 (partner STORE-R1): the slots for these tickets are
		 * free in the zone. Without it the claim could search for them
		 * in vain. */
	} while (!wi_cas_acquire(tickets, &old, old - n));
	return n;
}

static void add_tickets(uint64_t *tickets, size_t n)
{
	/* STORE-R1 (partner STORE-A1): after the slots were released. */
	wi_add_full(tickets, n);
}

/* The caller has tickets for them. */
static void claim_slots(struct wi_zone *zone, uint64_t *slots, size_t n,
			uint32_t *cursor)
{
	for (size_t got = 0; got < n;)
		got += wi_zone_claim(zone, 0, n - got, slots + got, cursor);
}

static void release_slots(struct wi_zone *zone, const uint64_t *slots, size_t n)
{
	size_t bad;

	if (wi_zone_release(zone, 0, slots, n, &bad) != WI_ZONE_OK)
		wi_panic("token store: a slot had two owners");
}

void wi_token_store_init(struct wi_token_store *store, void *zeroed,
			 uint64_t capacity)
{
	char *memory = zeroed;
	uint64_t slots[CHUNK];
	uint32_t cursor = 0;

	wi_assert(capacity > 0 && capacity <= WI_TOKEN_STORE_MAX);
	store->capacity = capacity;
	store->vacant = wi_zone_init(memory, capacity);
	store->filled = wi_zone_init(memory + zone_bytes(capacity), capacity);
	store->slots = (uint64_t *)(void *)(memory + 2 * zone_bytes(capacity));
	/* One by one, as they will be released. */
	while (wi_zone_claim(store->filled, 0, CHUNK, slots, &cursor) > 0)
		;
	store->room = capacity;
}

bool wi_token_store_put(struct wi_token_store *store, const uint64_t *tokens,
			size_t n)
{
	uint64_t slots[CHUNK];

	if (draw_tickets(&store->room, n, n) < n)
		return false;
	for (size_t chunk; n > 0; tokens += chunk, n -= chunk) {
		chunk = wi_min_u64(n, CHUNK);
		claim_slots(store->vacant, slots, chunk, &store->cursor);
		for (size_t i = 0; i < chunk; i++)
			store->slots[slots[i]] = tokens[i];
		release_slots(store->filled, slots, chunk);
		add_tickets(&store->stored, chunk);
	}
	return true;
}

size_t wi_token_store_get(struct wi_token_store *store, uint64_t *tokens,
			  size_t n, uint32_t *cursor)
{
	uint64_t slots[CHUNK];
	size_t got = 0, chunk;

	do {
		chunk = draw_tickets(&store->stored, 1,
				     wi_min_u64(n - got, CHUNK));
		if (chunk == 0)
			break;
		claim_slots(store->filled, slots, chunk, cursor);
		for (size_t i = 0; i < chunk; i++)
			tokens[got + i] = store->slots[slots[i]];
		release_slots(store->vacant, slots, chunk);
		add_tickets(&store->room, chunk);
		got += chunk;
	} while (got < n);
	return got;
}

uint64_t wi_token_store_count(const struct wi_token_store *store)
{
	/* Relaxed: outdated when it is returned. */
	return wi_load_relaxed(&store->stored);
}
