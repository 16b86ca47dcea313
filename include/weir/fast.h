/* SPDX-License-Identifier: MIT */
/*
 * The inline fast path. The interface is the functions whose names begin with
 * weir_fast_; what begins with weir_i_ or WEIR_I_, all of arch/ and the members
 * of the structs are internal, and may be others in the next version.
 *
 * The weir_fast_ functions do what the functions of weir.h and cache.h do,
 * without the call where the order is a constant that has a list (0 to 3, and
 * 9: a block of 512 pages), or the list of a token cache is a constant, and
 * call them for everything else.
 *
 * The sequences are in arch/, their contract in arch/contract.h; the library
 * uses the same ones. An object that includes this header refers to a symbol
 * that names the layout below, so that it does not load with a library that has
 * another.
 *
 * Compiled without optimisation, where list numbers are no constants for the
 * assembler, and without SSE, the functions here are calls. So they are if
 * WEIR_NO_SEQUENCES is defined before this header is included, as needed by
 * files that clang compiles with -masm=intel (gcc's is understood).
 */
#ifndef WEIR_FAST_H
#define WEIR_FAST_H

#include <weir/cache.h>

/* Not instrumented: what instruments takes the address, and then there is a
 * copy in which list numbers are no constants. */
#define WEIR_I_INLINE                                                          \
	static __inline__ __attribute__((always_inline, no_instrument_function))

/* Casts that neither language warns of. */
#ifdef __cplusplus
#define WEIR_I_NULL nullptr
#define WEIR_I_TO(type, value) static_cast<type>(value)
#define WEIR_I_AS(type, pointer) reinterpret_cast<type>(pointer)
#else
#define WEIR_I_NULL NULL
#define WEIR_I_TO(type, value) ((type)(value))
#define WEIR_I_AS(type, pointer) ((type)(pointer))
#endif

#include <weir/arch/contract.h>

#if !defined(__OPTIMIZE__) || (defined(__x86_64__) && !defined(__SSE2__))
#ifndef WEIR_NO_SEQUENCES
#define WEIR_NO_SEQUENCES 1
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Names the layout of struct weir_i_lists, struct weir_pool, struct weir_cache
 * and the areas. */
WEIR_API extern const char weir_fast_layout_3;
__attribute__((used)) static const char *const weir_fast_layout_ref =
	&weir_fast_layout_3;

/* This thread's mark; until its first slow path a mark of no thread, which is
 * never in any busy. */
WEIR_API extern __thread uint64_t weir_i_thread_burst
	__attribute__((tls_model("initial-exec")));

/* From the thread pointer to the area in which the kernel tells a thread its
 * CPU (rseq(2)): the C library's, if that registers its threads. Set before the
 * first pool or cache is made. */
WEIR_API extern const ptrdiff_t weir_i_rseq_offset;

#ifdef __cplusplus
}
#endif

#if defined(__x86_64__) && defined(__LP64__) && !defined(WEIR_NO_SEQUENCES)
#define WEIR_HAVE_SEQUENCES 1
#include <weir/arch/x86_64.h>
#else
#include <weir/arch/generic.h>
#endif

/*
 * The head of a pool's handle, written once at creation. It lies on a page
 * that a fork wipes: in the child every operation goes to its slow path, which
 * refuses.
 */
struct weir_pool {
	struct weir_i_lists lists; /* nr_cpus 0: checked, locked */
	char *base;
	uint64_t bytes;	     /* of addresses: the most that the pool can have */
	uint64_t page_mask;  /* bytes of a page - 1; if these are no power of
			      * two, all ones */
	uint64_t reciprocal; /* 2^64 / bytes of a page, rounded up */
	uint32_t bulk_cpus;  /* lists.nr_cpus; 0: bulks of frees are calls, as
			      * page_size is no power of two */
	void *impl;
};

/* That of a token cache, as the pool's; all zeros in a forked child. */
struct weir_cache {
	struct weir_i_lists lists; /* nr_cpus 0: locked */
	unsigned nr_lists;
	void *impl;
};

#define WEIR_I_LIST_NONE 7u

/* The list that keeps runs of an order. */
WEIR_I_INLINE unsigned weir_i_list_of_order(unsigned order)
{
	return order <= 3 ? order : order == 9 ? 4u : WEIR_I_LIST_NONE;
}

/* The list of an order that is a constant. */
#define WEIR_I_LIST_OF(order)                                                  \
	(__builtin_constant_p(order) ? weir_i_list_of_order(order)             \
				     : WEIR_I_LIST_NONE)

/* The lists of a pool. */
#define WEIR_I_POOL_SWITCH(list, CASE)                                         \
	switch (list) {                                                        \
		CASE(0)                                                        \
		CASE(1)                                                        \
		CASE(2)                                                        \
		CASE(3)                                                        \
		CASE(4)                                                        \
	default:                                                               \
		break;                                                         \
	}

/* The flags that need no work for a page from a list. */
#define WEIR_I_FLAGS (WEIR_NOWAIT | WEIR_THISNODE | WEIR_RECLAIM)

/* Bytes of a run, less 1. */
WEIR_I_INLINE uint64_t weir_i_run_mask(const struct weir_pool *pool,
				       unsigned order)
{
	return order == 0
		       ? pool->page_mask
		       : ((UINT64_C(1) + pool->page_mask) << (order & 31)) - 1;
}

/*
 * Is an offset in a pool a multiple of page_size, of any size? Then, and only
 * then, the low half of the product, which is the fraction of the quotient, is
 * less than the reciprocal (Lemire, Kaser and Kurz: "Faster remainder by direct
 * computation", 2019). It is so for offsets of pools whose bytes times
 * page_size are at most 2^64; the result for others is of no use.
 */
WEIR_I_INLINE int weir_i_is_multiple(const struct weir_pool *pool,
				     uint64_t offset)
{
	return __builtin_expect(offset * pool->reciprocal < pool->reciprocal,
				1) != 0;
}

/* As weir_alloc(). */
WEIR_I_INLINE void *weir_fast_alloc(struct weir_pool *pool, unsigned order,
				    unsigned flags)
{
#ifdef WEIR_HAVE_SEQUENCES
#define WEIR_I_CASE(list)                                                      \
	case list:                                                             \
		token = weir_i_pop(&pool->lists, list);                        \
		break;
	uint64_t token = WEIR_NONE;

	if (!(flags & ~WEIR_I_FLAGS))
		WEIR_I_POOL_SWITCH(WEIR_I_LIST_OF(order), WEIR_I_CASE)
	if (__builtin_expect(token < WEIR_AGAIN, 1))
		return pool->base + token;
#undef WEIR_I_CASE
#endif
	return weir_alloc(pool, order, flags);
}

/* As weir_free(). */
WEIR_I_INLINE void weir_fast_free(struct weir_pool *pool, void *page,
				  unsigned order)
{
#ifdef WEIR_HAVE_SEQUENCES
#define WEIR_I_CASE(list)                                                      \
	case list:                                                             \
		pushed = weir_i_push(&pool->lists, list, offset, last);        \
		break;
	uint64_t offset =
		WEIR_I_AS(uint64_t, page) - WEIR_I_AS(uint64_t, pool->base);
	uint64_t mask = weir_i_run_mask(pool, order);
	uint64_t last = order == 0 ? offset : offset + mask;
	int pushed = 0;

	/* The mask fails in pools of other sizes than powers of two. */
	if (__builtin_expect((offset & mask) == 0, 1) ||
	    (order == 0 && weir_i_is_multiple(pool, offset)))
		WEIR_I_POOL_SWITCH(WEIR_I_LIST_OF(order), WEIR_I_CASE)
	if (__builtin_expect(pushed > 0, 1))
		return;
	page = WEIR_I_AS(void *, WEIR_I_AS(uintptr_t, pool->base) +
					 offset); /* NULL, perhaps */
#undef WEIR_I_CASE
#endif
	weir_free(pool, page, order);
}

/*
 * Between pointers and tokens, two at a time: what was stored 8 bytes at a
 * time a moment ago is read so, and what a bulk sequence copies 16 bytes at a
 * time is written so, or the loads would wait for the stores to reach the
 * cache.
 */
typedef uint64_t weir_i_pair __attribute__((vector_size(16), aligned(8)));
/* Of pointers, for the rules of aliasing. */
typedef uint64_t weir_i_pointer_pair
	__attribute__((vector_size(16), aligned(8), may_alias));

#define WEIR_I_BULK_MAX 64 /* pages a bulk form converts at once */

/* The bounds of the area of the CPU that this thread is on now: a guess, which
 * weir_i_push_bulk() compares with the area that it finds. 0: that CPU is none
 * of the first nr_cpus. */
WEIR_I_INLINE int weir_i_area_bounds(const struct weir_i_lists *l,
				     uint32_t nr_cpus,
				     struct weir_i_bounds *bounds)
{
	const uint32_t cpu = weir_i_cpu(l);
	const char *area;

	if (__builtin_expect(cpu >= nr_cpus, 0))
		return 0;
	area = l->areas + WEIR_I_TO(uint64_t, cpu) * WEIR_AREA_BYTES;
	/* ARCH-A1 (partner DRAIN-R1): a bound that is not 0 is that of this
	 * first. Without, it might be taken for that of another zone. */
	bounds->bound = __atomic_load_n(
		WEIR_I_TO(const uint64_t *,
			  WEIR_I_TO(const void *, area + WEIR_AREA_BOUND)),
		__ATOMIC_ACQUIRE);
	/* Relaxed: ordered by ARCH-A1. */
	bounds->first = __atomic_load_n(
		WEIR_I_TO(const uint64_t *,
			  WEIR_I_TO(const void *, area + WEIR_AREA_FIRST)),
		__ATOMIC_RELAXED);
	return 1;
}

/*
 * Offsets of n pages; not 0 if one of them cannot be a run of that order within
 * the bounds, whose first is a multiple of the run.
 *
 * One word collects both errors: a page before the first or behind the last run
 * makes one of two differences negative, and one inside of a run leaves bits of
 * the mask in the first.
 */
WEIR_I_INLINE int weir_i_pages_to_tokens(const struct weir_pool *pool,
					 unsigned order, void *const *pages,
					 size_t n, uint64_t *tokens,
					 struct weir_i_bounds bounds)
{
	const uint64_t first = bounds.first;
	const uint64_t begin = WEIR_I_AS(uint64_t, pool->base) + first;
	const uint64_t mask = weir_i_run_mask(pool, order);
	const uint64_t last = (bounds.bound & ~mask) - mask - 1;
	weir_i_pair wrong = { 0, 0 };
	size_t i;

	for (i = 0; i + 2 <= n; i += 2) {
		weir_i_pair at = { WEIR_I_AS(uint64_t, pages[i]),
				   WEIR_I_AS(uint64_t, pages[i + 1]) };

		at -= begin;
		wrong |= at | (last - at);
		*WEIR_I_TO(weir_i_pair *, WEIR_I_TO(void *, tokens + i)) =
			at + first;
	}
	if (i < n) {
		const uint64_t at = WEIR_I_AS(uint64_t, pages[i]) - begin;

		wrong[0] |= at | (last - at);
		tokens[i] = at + first;
	}
	return ((wrong[0] | wrong[1]) & (mask | UINT64_C(1) << 63)) != 0;
}

/* Adds the base to n offsets, in place. */
WEIR_I_INLINE void weir_i_tokens_to_pages(const struct weir_pool *pool,
					  void **pages, size_t n)
{
	const uint64_t base = WEIR_I_AS(uint64_t, pool->base);
	size_t i;

	for (i = 0; i + 2 <= n; i += 2)
		*WEIR_I_TO(weir_i_pointer_pair *,
			   WEIR_I_TO(void *, pages + i)) += base;
	if (i < n)
		pages[i] =
			WEIR_I_AS(void *, base + WEIR_I_AS(uint64_t, pages[i]));
}

/*
 * Pops the tokens of up to n runs from this CPU's list, as many as one sequence
 * gives. The library's bulk functions begin with this one and the next, too.
 */
WEIR_I_INLINE size_t weir_i_pop_tokens(const struct weir_pool *pool,
				       unsigned list, uint64_t *tokens,
				       size_t n, unsigned flags)
{
	size_t got = 0;

#ifdef WEIR_HAVE_SEQUENCES
#define WEIR_I_CASE(list)                                                      \
	case list:                                                             \
		got = weir_i_pop_bulk(&pool->lists, list, tokens,              \
				      WEIR_I_TO(unsigned, n));                 \
		break;
	if (!(flags & ~WEIR_I_FLAGS) && n <= WEIR_LIST_MAX)
		WEIR_I_POOL_SWITCH(list, WEIR_I_CASE)
#undef WEIR_I_CASE
#else
	(void)pool, (void)list, (void)tokens, (void)n, (void)flags;
#endif
	return got;
}

/* Pushes up to WEIR_I_BULK_MAX tokens to this CPU's list, as many as one
 * sequence takes, if its bounds begin so; returns how many. */
WEIR_I_INLINE size_t weir_i_push_tokens(const struct weir_pool *pool,
					unsigned list, const uint64_t *tokens,
					size_t n, uint64_t first)
{
#define WEIR_I_CASE(list)                                                      \
	case list:                                                             \
		return weir_i_push_bulk(&pool->lists, list, tokens,            \
					WEIR_I_TO(unsigned, n), first);
	WEIR_I_POOL_SWITCH(list, WEIR_I_CASE)
#undef WEIR_I_CASE
	return 0;
}

/* Pushes up to WEIR_I_BULK_MAX runs to this CPU's list, as many as one sequence
 * takes, and none if one of them cannot be in it; returns how many. */
WEIR_I_INLINE size_t weir_i_push_pages(const struct weir_pool *pool,
				       unsigned list, unsigned order,
				       void *const *pages, size_t n)
{
#ifdef WEIR_HAVE_SEQUENCES
	uint64_t tokens[WEIR_I_BULK_MAX] __attribute__((aligned(16)));
	struct weir_i_bounds bounds;

	if (n <= WEIR_I_BULK_MAX &&
	    weir_i_area_bounds(&pool->lists, pool->bulk_cpus, &bounds) &&
	    weir_i_pages_to_tokens(pool, order, pages, n, tokens, bounds) == 0)
		return weir_i_push_tokens(pool, list, tokens, n, bounds.first);
#else
	(void)pool, (void)list, (void)order, (void)pages, (void)n;
#endif
	return 0;
}

/* As weir_alloc_bulk(). */
WEIR_I_INLINE int weir_fast_alloc_bulk(struct weir_pool *pool, unsigned order,
				       void **pages, size_t n, unsigned flags)
{
	const size_t got = weir_i_pop_tokens(
		pool, WEIR_I_LIST_OF(order),
		WEIR_I_TO(uint64_t *, WEIR_I_TO(void *, pages)), n, flags);
	int err;

	weir_i_tokens_to_pages(pool, pages, got);
	if (__builtin_expect(got == n && n > 0, 1))
		return 0;
	err = weir_alloc_bulk(pool, order, pages + got, n - got,
			      got > 0 ? flags | WEIR_NOWAIT : flags);
	if (err == 0 || got == 0)
		return err;
	/* No call waits while it holds a part. */
	weir_free_bulk(pool, order, pages, got);
	return flags & WEIR_NOWAIT
		       ? err
		       : weir_alloc_bulk(pool, order, pages, n, flags);
}

/* As weir_alloc_upto(). */
WEIR_I_INLINE size_t weir_fast_alloc_upto(struct weir_pool *pool,
					  unsigned order, void **pages,
					  size_t n, unsigned flags)
{
	const size_t got = weir_i_pop_tokens(
		pool, WEIR_I_LIST_OF(order),
		WEIR_I_TO(uint64_t *, WEIR_I_TO(void *, pages)), n, flags);

	weir_i_tokens_to_pages(pool, pages, got);
	if (__builtin_expect(got == n && n > 0, 1))
		return n;
	/* The call takes them again, and those of the zone: it counts and
	 * fails as one request. */
	if (got > 0)
		weir_free_bulk(pool, order, pages, got);
	return weir_alloc_upto(pool, order, pages, n, flags);
}

/* As weir_free_bulk(). */
WEIR_I_INLINE void weir_fast_free_bulk(struct weir_pool *pool, unsigned order,
				       void *const *pages, size_t n)
{
	const size_t done =
		weir_i_push_pages(pool, WEIR_I_LIST_OF(order), order, pages, n);

	if (__builtin_expect(done == n, 1))
		return;
	weir_free_bulk(pool, order, pages + done, n - done);
}

/* As weir_tick(). */
WEIR_I_INLINE void weir_fast_tick(struct weir_pool *pool)
{
#ifdef WEIR_HAVE_SEQUENCES
	if (__builtin_expect(pool->lists.nr_cpus != 0, 1)) {
		weir_i_tick(&pool->lists);
		return;
	}
#endif
	weir_tick(pool);
}

/* --- token caches ------------------------------------------------------ */

/* The flags that need no work for a token from a list. */
#define WEIR_I_TOKEN_FLAGS (WEIR_NOWAIT | WEIR_RECLAIM)

/* Has one of n tokens the highest bit, as both values that no token may have?
 */
WEIR_I_INLINE int weir_i_tokens_are_high(const uint64_t *tokens, size_t n)
{
#define WEIR_I_PAIR(k)                                                         \
	(*WEIR_I_TO(const weir_i_pointer_pair *,                               \
		    WEIR_I_TO(const void *, tokens + i + 2 * (k))))
	weir_i_pair any = { 0, 0 };
	size_t i;

	for (i = 0; i < n - n % 8; i += 8)
		any |= (WEIR_I_PAIR(0) | WEIR_I_PAIR(1)) |
		       (WEIR_I_PAIR(2) | WEIR_I_PAIR(3));
	for (i = n - n % 8; i < n; i++)
		any[0] |= tokens[i];
	return ((any[0] | any[1]) >> 63) != 0;
#undef WEIR_I_PAIR
}

#ifdef WEIR_HAVE_SEQUENCES
/*
 * What this CPU's list can do at once, by one sequence. The library's calls
 * try the same before all else. A list that does not exist does nothing: the
 * slow path refuses it.
 */

/* A token; WEIR_NONE, WEIR_AGAIN. */
WEIR_I_INLINE uint64_t weir_i_try_get_token(const struct weir_cache *cache,
					    unsigned list, unsigned flags)
{
#define WEIR_I_CASE(k)                                                         \
	case k:                                                                \
		return weir_i_pop(&cache->lists, k);
	if (list < cache->nr_lists && !(flags & ~WEIR_I_TOKEN_FLAGS))
		WEIR_I_LIST_SWITCH(list, WEIR_I_CASE)
#undef WEIR_I_CASE
	return WEIR_NONE;
}

/* More than 0: done. The bounds exclude the values that no token may have. */
WEIR_I_INLINE int weir_i_try_put_token(const struct weir_cache *cache,
				       unsigned list, uint64_t token)
{
#define WEIR_I_CASE(k)                                                         \
	case k:                                                                \
		return weir_i_push(&cache->lists, k, token, token);
	if (list < cache->nr_lists)
		WEIR_I_LIST_SWITCH(list, WEIR_I_CASE)
#undef WEIR_I_CASE
	return 0;
}

/* Not 0: all n. A part goes back, as no call waits while it holds one. */
WEIR_I_INLINE int weir_i_try_get_tokens(struct weir_cache *cache, unsigned list,
					uint64_t *tokens, size_t n,
					unsigned flags)
{
#define WEIR_I_CASE(k)                                                         \
	case k:                                                                \
		got = weir_i_pop_bulk(&cache->lists, k, tokens,                \
				      WEIR_I_TO(unsigned, n));                 \
		break;
	size_t got = 0;

	if (list < cache->nr_lists && n <= WEIR_LIST_MAX &&
	    !(flags & ~WEIR_I_TOKEN_FLAGS))
		WEIR_I_LIST_SWITCH(list, WEIR_I_CASE)
	if (__builtin_expect(got == n, 1))
		return n != 0;
	if (got > 0)
		weir_cache_put_bulk(cache, list, tokens, got);
#undef WEIR_I_CASE
	return 0;
}

/* How many, of tokens that are none of the two values. */
WEIR_I_INLINE size_t weir_i_try_put_tokens(const struct weir_cache *cache,
					   unsigned list,
					   const uint64_t *tokens, size_t n)
{
#define WEIR_I_CASE(k)                                                         \
	case k:                                                                \
		return weir_i_push_bulk(&cache->lists, k, tokens,              \
					WEIR_I_TO(unsigned, n), 0);
	if (list < cache->nr_lists && n <= WEIR_LIST_MAX)
		WEIR_I_LIST_SWITCH(list, WEIR_I_CASE)
#undef WEIR_I_CASE
	return 0;
}
#endif

/* As weir_cache_get(). */
WEIR_I_INLINE uint64_t weir_fast_cache_get(struct weir_cache *cache,
					   unsigned list, unsigned flags)
{
#ifdef WEIR_HAVE_SEQUENCES
	uint64_t token = WEIR_NONE;

	if (__builtin_constant_p(list))
		token = weir_i_try_get_token(cache, list, flags);
	if (__builtin_expect(token < WEIR_AGAIN, 1))
		return token;
#endif
	return weir_cache_get(cache, list, flags);
}

/* As weir_cache_put(). */
WEIR_I_INLINE void weir_fast_cache_put(struct weir_cache *cache, unsigned list,
				       uint64_t token)
{
#ifdef WEIR_HAVE_SEQUENCES
	int pushed = 0;

	if (__builtin_constant_p(list))
		pushed = weir_i_try_put_token(cache, list, token);
	if (__builtin_expect(pushed > 0, 1))
		return;
#endif
	weir_cache_put(cache, list, token);
}

/* As weir_cache_get_bulk(). */
WEIR_I_INLINE int weir_fast_cache_get_bulk(struct weir_cache *cache,
					   unsigned list, uint64_t *tokens,
					   size_t n, unsigned flags)
{
#ifdef WEIR_HAVE_SEQUENCES
	if (__builtin_constant_p(list) &&
	    weir_i_try_get_tokens(cache, list, tokens, n, flags))
		return 0;
#endif
	return weir_cache_get_bulk(cache, list, tokens, n, flags);
}

/* As weir_cache_put_bulk(). */
WEIR_I_INLINE void weir_fast_cache_put_bulk(struct weir_cache *cache,
					    unsigned list,
					    const uint64_t *tokens, size_t n)
{
	size_t done = 0;

#ifdef WEIR_HAVE_SEQUENCES
	/* The call looks at each that is high. */
	if (__builtin_constant_p(list) && !weir_i_tokens_are_high(tokens, n))
		done = weir_i_try_put_tokens(cache, list, tokens, n);
	if (__builtin_expect(done == n && n != 0, 1))
		return;
#endif
	weir_cache_put_bulk(cache, list, tokens + done, n - done);
}

/* As weir_cache_tick(). */
WEIR_I_INLINE void weir_fast_cache_tick(struct weir_cache *cache)
{
#ifdef WEIR_HAVE_SEQUENCES
	if (__builtin_expect(cache->lists.nr_cpus != 0, 1)) {
		weir_i_tick(&cache->lists);
		return;
	}
#endif
	weir_cache_tick(cache);
}

#endif
