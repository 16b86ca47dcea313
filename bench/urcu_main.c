/* SPDX-License-Identifier: MIT */
/*
 * liburcu as the engine of grace periods for the switch that weir makes: the
 * owner works on the list that a pointer names, within a read-side section; a
 * drainer exchanges the pointer for that of an empty list, waits by
 * synchronize_rcu(), and gives the old list's pages to the zone, a stack under
 * a lock. Two flavours: QSBR, whose owner tells that it is between operations
 * once every 16 pairs, and memb, whose grace periods ask the kernel for a
 * barrier on every CPU that runs the process.
 *
 * There is one list, as there is one owner.
 */
#define _LGPL_SOURCE /* its small functions inline, as weir's are */
#include <urcu/urcu-memb.h>
#include <urcu/urcu-qsbr.h>

#include <stdlib.h>
#include <string.h>

#include "drain.h"
#include "peer.h"

#define NONE UINT64_MAX
#define LIMIT 256
#define ZONE_PAGES 16384
#define TELL_EVERY 16 /* pairs, in QSBR */

struct list {
	uint64_t nr;
	uint64_t pages[LIMIT];
} __attribute__((aligned(128)));

struct pool {
	struct list *active; /* exchanged by the drainer */
	struct list lists[2];
	unsigned pairs; /* of the owner */
	pthread_spinlock_t lock __attribute__((aligned(128))); /* of the zone */
	unsigned nr;
	uint64_t zone[ZONE_PAGES];
};

static uint64_t zone_take(struct pool *pool)
{
	uint64_t page = NONE;

	pthread_spin_lock(&pool->lock);
	if (pool->nr > 0)
		page = pool->zone[--pool->nr];
	pthread_spin_unlock(&pool->lock);
	return page;
}

static void zone_give(struct pool *pool, const uint64_t *pages, uint64_t n)
{
	pthread_spin_lock(&pool->lock);
	memcpy(pool->zone + pool->nr, pages, n * sizeof(*pages));
	pool->nr += (unsigned)n;
	pthread_spin_unlock(&pool->lock);
}

static uint64_t flush(struct pool *pool, struct list *old)
{
	uint64_t n = old->nr;

	zone_give(pool, old->pages, n);
	old->nr = 0;
	return n;
}

static bool is_whole(void *context)
{
	const struct pool *pool = context;

	return pool->nr + pool->lists[0].nr + pool->lists[1].nr == ZONE_PAGES;
}

/* The list that the next drain puts into use; there is one drainer. */
static struct list *spare_of(struct pool *pool)
{
	return &pool->lists[pool->active == &pool->lists[0]];
}

static struct pool *make_pool(void)
{
	struct pool *pool = aligned_alloc(128, sizeof(*pool));

	if (pool == NULL) {
		bench_cannot("no memory");
		return NULL;
	}
	memset(pool, 0, sizeof(*pool));
	pool->active = &pool->lists[0];
	pthread_spin_init(&pool->lock, PTHREAD_PROCESS_PRIVATE);
	while (pool->nr < ZONE_PAGES) {
		pool->zone[pool->nr] = (ZONE_PAGES - 1 - pool->nr) * 4096ul;
		pool->nr++;
	}
	return pool;
}

/* Each flavour: its functions have its name in theirs. */
#define FLAVOUR(flavour, between_operations)                                   \
	BENCH_INLINE uint64_t flavour##_pop(void *context)                     \
	{                                                                      \
		struct pool *pool = context;                                   \
		uint64_t page = NONE;                                          \
		struct list *l;                                                \
                                                                               \
		urcu_##flavour##_read_lock();                                  \
		l = rcu_dereference(pool->active);                             \
		if (__builtin_expect(l->nr > 0, 1))                            \
			page = l->pages[--l->nr];                              \
		urcu_##flavour##_read_unlock();                                \
		return __builtin_expect(page != NONE, 1) ? page                \
							 : zone_take(pool);    \
	}                                                                      \
	BENCH_INLINE void flavour##_push(void *context, uint64_t page)         \
	{                                                                      \
		struct pool *pool = context;                                   \
		bool pushed = false;                                           \
		struct list *l;                                                \
                                                                               \
		urcu_##flavour##_read_lock();                                  \
		l = rcu_dereference(pool->active);                             \
		if (__builtin_expect(l->nr < LIMIT, 1)) {                      \
			l->pages[l->nr++] = page;                              \
			pushed = true;                                         \
		}                                                              \
		urcu_##flavour##_read_unlock();                                \
		if (__builtin_expect(!pushed, 0))                              \
			zone_give(pool, &page, 1);                             \
		between_operations;                                            \
	}                                                                      \
	BENCH_PAIRS(flavour, flavour##_pop, flavour##_push)                    \
	static void flavour##_fill(void *context, unsigned n)                  \
	{                                                                      \
		uint64_t pages[LIMIT];                                         \
                                                                               \
		for (unsigned i = 0; i < n; i++)                               \
			pages[i] = flavour##_pop(context);                     \
		for (unsigned i = 0; i < n; i++)                               \
			flavour##_push(context, pages[i]);                     \
	}                                                                      \
	static void flavour##_some(void *context, unsigned n)                  \
	{                                                                      \
		while (n-- > 0)                                                \
			flavour##_push(context, flavour##_pop(context));       \
	}                                                                      \
	static bool flavour##_drain(void *context,                             \
				    struct bench_drained *drained)             \
	{                                                                      \
		struct pool *pool = context;                                   \
		struct list *old = __atomic_exchange_n(                        \
			&pool->active, spare_of(pool), __ATOMIC_SEQ_CST);      \
                                                                               \
		urcu_##flavour##_synchronize_rcu();                            \
		*drained =                                                     \
			(struct bench_drained){ .pages = flush(pool, old) };   \
		return true;                                                   \
	}                                                                      \
	static __thread bool flavour##_is_in;                                  \
	static bool flavour##_enter(void *context)                             \
	{                                                                      \
		(void)context;                                                 \
		if (!flavour##_is_in)                                          \
			urcu_##flavour##_register_thread();                    \
		flavour##_is_in = true;                                        \
		return true;                                                   \
	}                                                                      \
	static void flavour##_leave(void *context)                             \
	{                                                                      \
		(void)context;                                                 \
		urcu_##flavour##_unregister_thread();                          \
		flavour##_is_in = false;                                       \
	}                                                                      \
	static struct pool *flavour##_open(void)                               \
	{                                                                      \
		static struct pool *pool;                                      \
                                                                               \
		return pool ? pool : (pool = make_pool());                     \
	}                                                                      \
	static void *flavour##_open_way(const struct bench_way *way,           \
					const struct bench_where *where,       \
					unsigned pages)                        \
	{                                                                      \
		(void)way, (void)where, (void)pages;                           \
		return flavour##_open();                                       \
	}                                                                      \
	static void *flavour##_open_peer(const struct bench_where *where,      \
					 uint64_t pages)                       \
	{                                                                      \
		(void)where, (void)pages;                                      \
		return flavour##_open();                                       \
	}                                                                      \
	static const struct bench_way flavour##_way = {                        \
		.open = flavour##_open_way,                                    \
		.enter = flavour##_enter,                                      \
		.leave = flavour##_leave,                                      \
		.fill = flavour##_fill,                                        \
		.pairs = flavour##_some,                                       \
		.drain = flavour##_drain,                                      \
		.is_whole = is_whole,                                          \
	};                                                                     \
	static const struct bench_peer flavour##_peer = {                      \
		.open = flavour##_open_peer,                                   \
		.enter = flavour##_enter,                                      \
		.single = flavour##_single_places,                             \
		.batch = flavour##_batch_places,                               \
	};

FLAVOUR(memb, (void)0)
FLAVOUR(qsbr, {
	if (++pool->pairs % TELL_EVERY == 0)
		urcu_qsbr_quiescent_state();
})

/* An owner of QSBR that computes or sleeps holds drains up for as long. */
#define ROWS(name, flavour)                                                    \
	{ "pair",	"single, " name, bench_peer_pair,                      \
	  BENCH_SINGLE, &flavour##_peer, 60,                                   \
	  15,		"single" },                                            \
		{ "pair",   "batch 16, " name, bench_peer_pair,                \
		  BENCH_16, &flavour##_peer,   60,                             \
		  15,	    "batch 16" },                                      \
		BENCH_DRAIN_ROW("50 pages, " name, &flavour##_way, 50,         \
				BENCH_ALLOCATING),                             \
		BENCH_DRAIN_ROW("50 pages, " name ", computing",               \
				&flavour##_way, 50, BENCH_COMPUTING),          \
		BENCH_DISTURB_ROWS(name, &flavour##_way, 7)

static const struct bench_row rows[] = {
	ROWS("QSBR", qsbr),
	ROWS("memb", memb),
};

int main(int argc, char **argv)
{
	return bench_worker(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
