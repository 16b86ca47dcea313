/* SPDX-License-Identifier: MIT */
/*
 * The pools of this process, for messages: which pool an address belongs to,
 * and the state of a pool in which an allocation failed.
 *
 * A table that is never unmapped, so that reading it is always safe: the fatal
 * line may be written by a thread that holds nothing, in a signal handler. A
 * thread that reads a pool's own memory through the table holds the entry, and
 * weir_pool_destroy() waits until no thread does. Entries of destroyed pools
 * stay until they are needed, since the message for a late free uses them.
 *
 * A pool that finds no free entry is not known; nothing else depends on it.
 */
#include <stdio.h>
#include <string.h>

#include "api/pool.h"

#define NR_KNOWN 256

enum { FREE, CLAIMED, LIVE, GONE };

static struct wi_known {
	uint32_t state;
	uint32_t holders;
	struct weir_pool *handle;
	uint64_t number; /* of the pools that this process made */
	uintptr_t base;
	uint64_t bytes;
	char name[32];
} table[NR_KNOWN];

/* --- entries ------------------------------------------------------------ */

static bool claim_entry(struct wi_known *known, uint32_t state)
{
	const uint32_t was = state;

	/* Relaxed: for a quick no. An entry that another thread of the parent
	 * holds at a fork stays held for ever in the child. */
	if (wi_load_relaxed(&known->holders) != 0)
		return false;
	/* POOL-F2 (partner POOL-F3): one creator gets it. A holder that found
	 * the last pool valid marked the entry before that pool was destroyed,
	 * so the second look sees it. */
	if (!wi_cas_full(&known->state, &state, CLAIMED))
		return false;
	if (wi_load_full(&known->holders) == 0) /* POOL-F2 */
		return true;
	wi_xchg_full(&known->state, was);
	return false;
}

static struct wi_known *claim_any(void)
{
	for (uint32_t state = FREE; state <= GONE; state += GONE - FREE)
		for (unsigned i = 0; i < NR_KNOWN; i++)
			if (claim_entry(&table[i], state))
				return &table[i];
	return NULL;
}

/*
 * Writes to every entry, once. A page of the table that was only read is the
 * kernel's page of zeros; the first write to it then flushes the TLB of every
 * CPU that runs a thread of this process, quiet ones as well.
 */
static void touch_table(void)
{
	static uint32_t touched;

	if (wi_load_relaxed(&touched)) /* relaxed: twice is as good */
		return;
	/* Relaxed: a creation that finds an entry held takes another. (A
	 * compiler may make a plain load of an addition of 0.) */
	for (unsigned i = 0; i < NR_KNOWN; i++) {
		wi_add_relaxed(&table[i].holders, 1);
		wi_add_relaxed(&table[i].holders, -1);
	}
	wi_store_relaxed(&touched, 1);
}

void wi_pool_make_known(struct wi_pool *pool)
{
	struct wi_known *known;

	touch_table();
	known = claim_any();
	pool->known = known;
	if (known == NULL)
		return;
	/* Relaxed, all: readers use none of it before LIVE. */
	wi_store_relaxed(&known->handle, pool->handle);
	wi_store_relaxed(&known->number, pool->view.live->number);
	wi_store_relaxed(&known->base, (uintptr_t)pool->base);
	wi_store_relaxed(&known->bytes, pool->bytes);
	memcpy(known->name, pool->name, sizeof(known->name));
	/* POOL-F2 (partner POOL-F3): LIVE after the rest of the entry. */
	wi_xchg_full(&known->state, LIVE);
}

void wi_pool_forget(struct wi_pool *pool)
{
	struct wi_known *known = pool->known;

	if (known == NULL)
		return;
	/* POOL-F2 (partner POOL-F3): either this thread sees the holder below,
	 * or the holder sees GONE; and what a holder read comes before the
	 * unmapping.
	 */
	wi_xchg_full(&known->state, GONE);
	while (wi_load_full(&known->holders) != 0) /* POOL-F2 */
		wi_os_sleep_ns(10000);
}

/* --- readers ------------------------------------------------------------ */

static bool hold_entry(struct wi_known *known)
{
	/* POOL-F3 (partner POOL-F2): the holder's mark before it reads the
	 * entry. */
	wi_add_full(&known->holders, 1);
	/* In a forked child the handle is wiped, and the rest is not mapped. */
	if (wi_load_full(&known->state) == LIVE && /* POOL-F3 */
	    wi_pool_of(known->handle) != NULL)
		return true;
	wi_sub_full(&known->holders, 1); /* POOL-F3 */
	return false;
}

const struct wi_pool *wi_pool_hold(const void *handle, uint64_t number)
{
	for (unsigned i = 0; i < NR_KNOWN; i++) {
		struct wi_known *known = &table[i];

		/* Relaxed: a number is used once, and checked again. */
		if (wi_load_relaxed(&known->number) != number ||
		    wi_load_relaxed(&known->handle) != handle || number == 0)
			continue;
		if (!hold_entry(known))
			return NULL;
		/* Relaxed: it does not change while the entry is held. */
		if (wi_load_relaxed(&known->number) == number)
			return wi_pool_of(known->handle);
		wi_sub_full(&known->holders, 1); /* POOL-F3 */
		return NULL;
	}
	return NULL;
}

const struct wi_pool *wi_pool_hold_of(const void *page)
{
	for (unsigned i = 0; i < NR_KNOWN; i++) {
		struct wi_known *known = &table[i];
		const struct wi_pool *pool;

		/* Relaxed, both: looked at again in the pool. */
		if ((uintptr_t)page - wi_load_relaxed(&known->base) >=
			    wi_load_relaxed(&known->bytes) ||
		    !hold_entry(known))
			continue;
		pool = wi_pool_of(known->handle);
		if (wi_pool_has(pool, (uintptr_t)page - (uintptr_t)pool->base))
			return pool;
		wi_sub_full(&known->holders, 1); /* POOL-F3 */
	}
	return NULL;
}

void wi_pool_let_go(const struct wi_pool *pool)
{
	/* POOL-F3 (partner POOL-F2): what was read, before the mark is
	 * cleared. */
	wi_sub_full(&pool->known->holders, 1);
}

void wi_pool_say_whose(const void *page, char *to, size_t len)
{
	to[0] = '\0';
	for (unsigned i = 0; i < NR_KNOWN; i++) {
		struct wi_known *known = &table[i];
		const uint64_t at =
			(uintptr_t)page - wi_load_relaxed(&known->base);

		/* Relaxed, all: for messages only. */
		if (at >= wi_load_relaxed(&known->bytes))
			continue;
		if (wi_load_relaxed(&known->state) == GONE && to[0] == '\0')
			snprintf(to, len,
				 "; it was in pool \"%.31s\", now destroyed",
				 known->name);
		if (wi_load_relaxed(&known->state) != LIVE ||
		    !hold_entry(known))
			continue;
		snprintf(to, len, " but of pool \"%.31s\"", known->name);
		wi_sub_full(&known->holders, 1); /* POOL-F3 */
		return;
	}
}
