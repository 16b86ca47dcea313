/* SPDX-License-Identifier: MIT */
/*
 * Concurrency Kit: pages in a stack that all threads share, under ck_spinlock,
 * and in its lock-free ck_stack.
 */
#include <stdint.h>
#include <stdlib.h>

#include <ck_spinlock.h>
#include <ck_stack.h>

#include "peer.h"

#define NONE UINT64_MAX

struct locked {
	ck_spinlock_t lock __attribute__((aligned(128)));
	uint64_t nr;
	uint64_t pages[];
};

struct lockless {
	ck_stack_t stack __attribute__((aligned(128)));
	ck_stack_entry_t pages[]; /* a page is its entry's address */
};

/* ---- under a lock -------------------------------------------------------- */

BENCH_INLINE uint64_t locked_pop(void *context)
{
	struct locked *s = context;
	uint64_t page = NONE;

	ck_spinlock_lock(&s->lock);
	if (s->nr > 0)
		page = s->pages[--s->nr];
	ck_spinlock_unlock(&s->lock);
	return page;
}

BENCH_INLINE void locked_push(void *context, uint64_t page)
{
	struct locked *s = context;

	ck_spinlock_lock(&s->lock);
	s->pages[s->nr++] = page;
	ck_spinlock_unlock(&s->lock);
}

BENCH_INLINE void locked_get(void *context, void **pages)
{
	struct locked *s = context;

	ck_spinlock_lock(&s->lock);
	if (s->nr < BENCH_BULK)
		abort(); /* there are more than are ever out */
	s->nr -= BENCH_BULK;
	for (unsigned i = 0; i < BENCH_BULK; i++)
		pages[i] = (void *)(uintptr_t)s->pages[s->nr + i];
	ck_spinlock_unlock(&s->lock);
}

BENCH_INLINE void locked_put(void *context, void **pages)
{
	struct locked *s = context;

	ck_spinlock_lock(&s->lock);
	for (unsigned i = 0; i < BENCH_BULK; i++)
		s->pages[s->nr + i] = (uint64_t)(uintptr_t)pages[i];
	s->nr += BENCH_BULK;
	ck_spinlock_unlock(&s->lock);
}

/* ---- ck_stack --------------------------------------------------------------
 */

BENCH_INLINE uint64_t lockless_pop(void *context)
{
	struct lockless *s = context;

	return (uint64_t)(uintptr_t)ck_stack_pop_mpmc(&s->stack);
}

BENCH_INLINE void lockless_push(void *context, uint64_t page)
{
	struct lockless *s = context;

	ck_stack_push_mpmc(&s->stack, (ck_stack_entry_t *)(uintptr_t)page);
}

BENCH_PEER(locked, locked_pop, locked_push)
BENCH_PEER_BULK(locked, locked_get, locked_put)
BENCH_PEER(lockless, lockless_pop, lockless_push)

/* ---- what they work on ------------------------------------------------------
 */

static void *make_locked(uint64_t pages)
{
	struct locked *s = aligned_alloc(
		128,
		(sizeof(*s) + pages * sizeof(s->pages[0]) + 127) / 128 * 128);

	if (s == NULL)
		return NULL;
	ck_spinlock_init(&s->lock);
	for (s->nr = 0; s->nr < pages; s->nr++)
		s->pages[s->nr] = s->nr * 4096;
	return s;
}

static void *make_lockless(uint64_t pages)
{
	struct lockless *s = aligned_alloc(
		128,
		(sizeof(*s) + pages * sizeof(s->pages[0]) + 127) / 128 * 128);

	if (s == NULL)
		return NULL;
	ck_stack_init(&s->stack);
	for (uint64_t i = 0; i < pages; i++)
		ck_stack_push_mpmc(&s->stack, &s->pages[i]);
	return s;
}

/* One of each size. */
static void *open_one(void *(*make)(uint64_t), void *known[4],
		      uint64_t sizes[4], uint64_t pages)
{
	unsigned i = 0;

	while (sizes[i] != 0 && sizes[i] != pages)
		if (++i == 4)
			abort(); /* raise it */
	if (known[i] == NULL)
		known[i] = make(pages);
	sizes[i] = pages;
	if (known[i] == NULL)
		bench_cannot("no memory");
	return known[i];
}

static void *open_locked(const struct bench_where *where, uint64_t pages)
{
	static void *known[4];
	static uint64_t sizes[4];

	(void)where;
	return open_one(make_locked, known, sizes, pages);
}

static void *open_lockless(const struct bench_where *where, uint64_t pages)
{
	static void *known[4];
	static uint64_t sizes[4];

	(void)where;
	return open_one(make_lockless, known, sizes, pages);
}

static const struct bench_peer spinlock = {
	.open = open_locked,
	BENCH_PEER_CODE(locked),
	BENCH_PEER_BULK_CODE(locked),
};

static const struct bench_peer stack = { .open = open_lockless,
					 BENCH_PEER_CODE(lockless) };

static const struct bench_row rows[] = {
	BENCH_PEER_PAIR_ROWS(&spinlock),
	BENCH_PEER_BULK_PAIR_ROWS(&spinlock),
	BENCH_PEER_ROWS(&spinlock),
	BENCH_PEER_BULK_ROWS(&spinlock),
	{ "pair", "single, ck_stack", bench_peer_pair, BENCH_SINGLE, &stack, 60,
	  15, "single" },
	{ "pair", "batch 16, ck_stack", bench_peer_pair, BENCH_16, &stack, 60,
	  15, "batch 16" },
	{ "cross", "single, ck_stack", bench_peer_cross, 0, &stack, 15, 5,
	  "a line there and back" },
	{ "scale", "1 thread, ck_stack", bench_peer_scale, 1, &stack, 7, 3,
	  NULL },
	{ "scale", "2 threads, ck_stack", bench_peer_scale, 2, &stack, 7, 3,
	  NULL },
};

int main(int argc, char **argv)
{
	return bench_worker(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
