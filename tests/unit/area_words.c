/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a list's header says something else than the list holds, and
 * tokens are lost or doubled by the next operation: sequences and the lock's
 * operations must agree on every bit.
 */
#include "helpers.h"

#include "os/rseq.h"
#include "percpu/evidence.h"
#include "percpu/area.h"

#define LIST 2 /* any, constant */

static struct wi_area *area;
static struct weir_i_lists lists; /* this CPU's area is `area` */
static bool sequences;

static uint64_t *header_of(unsigned set)
{
	return &wi_area_headers(area, set)[LIST];
}

static uint64_t *header(void)
{
	return header_of(wi_active_set(area->active));
}

static void begin(unsigned limit, bool quiet)
{
	uint16_t limits[WEIR_NR_LISTS];

	for (unsigned i = 0; i < WEIR_NR_LISTS; i++)
		limits[i] = (uint16_t)limit;
	memset(area, 0, sizeof(*area));
	wi_area_init(area, limits, WI_BOUNDS_ANY);
	area->active = wi_active_word(WI_SET_1, quiet, 7);
}

static void check_header(unsigned count, unsigned room, uint64_t ops)
{
	CHECK_EQ(wi_header_count(*header()), count);
	CHECK_EQ(wi_header_room(*header()), room);
	CHECK_EQ(wi_header_ops(*header()), 2 * ops + 1); /* 1: set 1 */
	CHECK_EQ((*header() & 0xffff) / 4096 * 4096,
		 offsetof(struct wi_area, token[1][LIST]));
}

/* --- the same operations by sequences and under the lock --------------- */

static bool locked; /* which of them */

static size_t push(const uint64_t *tokens, size_t n)
{
	if (!locked)
		return n == 1 ? weir_i_push(&lists, LIST, tokens[0],
					    tokens[0]) > 0
			      : weir_i_push_bulk(&lists, LIST, tokens,
						 (unsigned)n, 0);
	CHECK(wi_area_trylock(area, weir_i_thread_burst));
	CHECK(!wi_area_trylock(area, weir_i_thread_burst));
	n = wi_area_push_locked(area, LIST, tokens, n);
	wi_area_unlock(area);
	return n;
}

static size_t pop(uint64_t *tokens, size_t n)
{
	if (!locked && n == 1) {
		tokens[0] = weir_i_pop(&lists, LIST);
		return tokens[0] < WEIR_AGAIN;
	}
	if (!locked)
		return weir_i_pop_bulk(&lists, LIST, tokens, (unsigned)n);
	CHECK(wi_area_trylock(area, weir_i_thread_burst));
	n = wi_area_pop_locked(area, LIST, tokens, n);
	wi_area_unlock(area);
	return n;
}

/* A sequence may be aborted: then nothing happened, and it starts over. */
static size_t must_push(const uint64_t *tokens, size_t n)
{
	size_t done = 0;

	for (unsigned i = 0; i < 100 && done == 0; i++)
		done = push(tokens, n);
	return done;
}

static size_t must_pop(uint64_t *tokens, size_t n)
{
	size_t done = 0;

	for (unsigned i = 0; i < 100 && done == 0; i++)
		done = pop(tokens, n);
	return done;
}

static void order(bool quiet)
{
	uint64_t token;

	begin(3, quiet);
	check_header(0, 3, 0);
	for (uint64_t i = 1; i <= 3; i++) {
		token = i << 60 | i;
		CHECK_EQ(must_push(&token, 1), 1);
		check_header((unsigned)i, 3 - (unsigned)i, i);
	}
	CHECK_EQ(push(&token, 1), 0);
	check_header(3, 0, 3);
	for (uint64_t i = 3; i >= 1; i--) {
		CHECK_EQ(must_pop(&token, 1), 1);
		CHECK_EQ(token, i << 60 | i);
	}
	CHECK_EQ(pop(&token, 1), 0);
	check_header(0, 3, 6);
	/* The other set and the other lists are as they were. */
	CHECK_EQ(wi_header_ops(*header_of(WI_SET_0)), 0);
	for (unsigned list = 0; list < WEIR_NR_LISTS; list++)
		CHECK(list == LIST ||
		      wi_header_ops(area->header[1][list]) == 1);
}

/* n tokens into a list that has `before`, and out again. */
static void bulk(unsigned limit, unsigned before, unsigned n, bool quiet)
{
	uint64_t in[WEIR_LIST_MAX], out[WEIR_LIST_MAX + 1];
	const unsigned fit = n < limit - before ? n : limit - before;
	uint64_t ops = before;

	begin(limit, quiet);
	for (uint64_t i = 0; i < before; i++)
		CHECK_EQ(must_push(&i, 1), 1);
	for (unsigned i = 0; i < n; i++)
		in[i] = 1000 + i;
	CHECK_EQ(must_push(in, n), fit);
	ops += fit > 0;
	check_header(before + fit, limit - before - fit, ops);
	out[fit] = UINT64_C(0xdead);
	if (fit > 0)
		CHECK_EQ(must_pop(out, fit), fit);
	ops += fit > 0;
	check_header(before, limit - before, ops);
	if (fit == 1 && before == 0)
		CHECK_EQ(out[0], 1000);
	for (unsigned i = 0; i < fit; i++) /* the deepest first */
		CHECK_EQ(out[i], 1000 + i);
	CHECK_EQ(out[fit], 0xdead);
	/* More than there are. */
	if (before > 1) {
		CHECK_EQ(must_pop(out, WEIR_LIST_MAX), before);
		for (unsigned i = 0; i < before; i++)
			CHECK_EQ(out[i], i);
	}
}

static void bulks(bool quiet)
{
	for (unsigned n = 1; n <= 64; n++) {
		bulk(WEIR_LIST_MAX, 0, n, quiet);
		bulk(100, 61, n, quiet);
		bulk(64, 1, n, quiet);
	}
	bulk(WEIR_LIST_MAX, 0, WEIR_LIST_MAX, quiet);
	bulk(WEIR_LIST_MAX, WEIR_LIST_MAX - 1, 5, quiet);
	bulk(WEIR_LIST_MAX, WEIR_LIST_MAX, 5, quiet);
	bulk(1, 0, 3, quiet);
}

static void null_set(bool quiet)
{
	uint64_t tokens[4] = { 1, 2, 3, 4 };

	begin(8, quiet);
	area->active = wi_active_word(WI_SET_NULL, quiet, 8);
	CHECK_EQ(push(tokens, 1), 0);
	CHECK_EQ(push(tokens, 4), 0);
	CHECK_EQ(pop(tokens, 1), 0);
	CHECK_EQ(pop(tokens, 4), 0);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(area->null_set[i], 0);
	/* Under the lock a failure is evidence already. */
	CHECK_EQ(area->seen, locked ? area->active : 0);
}

static void no_room(void)
{
	uint64_t token = 1;

	begin(0, false);
	CHECK_EQ(push(&token, 1), 0);
	CHECK_EQ(pop(&token, 1), 0);
	check_header(0, 0, 0);
}

/* Limits change and lists are emptied; operations stay (I3). */
static void reset(void)
{
	const uint64_t tokens[3] = { 5, 6, 7 };
	const uint64_t *held;
	size_t n;

	begin(8, false);
	CHECK_EQ(must_push(tokens, 3), 3);
	held = wi_area_tokens(area, WI_SET_1, LIST, &n);
	CHECK_EQ(n, 3);
	CHECK_EQ(memcmp(held, tokens, sizeof(tokens)), 0);
	wi_area_reset(area, WI_SET_1, LIST, 20);
	check_header(0, 20, 1);
	wi_area_tokens(area, WI_SET_1, LIST, &n);
	CHECK_EQ(n, 0);
	/* Operations go round without touching the rest. */
	*header() |= UINT64_MAX << WEIR_HEADER_OPS_SHIFT;
	CHECK_EQ(must_push(tokens, 1), 1);
	CHECK_EQ(wi_header_ops(*header()), 1);
	CHECK_EQ(wi_header_count(*header()), 1);
	CHECK_EQ(wi_header_room(*header()), 19);
}

static void words(void)
{
	for (unsigned set = 0; set < WI_NR_SETS; set++)
		for (unsigned quiet = 0; quiet < 2; quiet++) {
			uint64_t word = wi_active_word(set, quiet, UINT32_MAX);

			CHECK_EQ(wi_active_set(word), set);
			CHECK_EQ(word >> 31 & 1, quiet);
			CHECK_EQ(word >> 32, UINT32_MAX);
		}
	/* The largest thread number Linux gives fits. */
	CHECK_EQ(wi_mark_thread(wi_burst_mark(wi_thread_mark(4194303))),
		 4194303);
	CHECK(wi_mark_is_burst(wi_burst_mark(wi_thread_mark(1))));
	CHECK(!wi_mark_is_burst(wi_thread_mark(4194303)));
}

/* The mark a sequence leaves on a quiet CPU names the header it changed. */
static void mark(void)
{
	uint64_t token = 9;

	begin(4, true);
	CHECK_EQ(must_push(&token, 1), 1);
	CHECK_EQ(area->busy, wi_own_mark() |
				     (uint64_t)LIST << WEIR_MARK_LIST_SHIFT |
				     1); /* no operations, set 1 */
	CHECK_EQ(wi_mark_list(area->busy), LIST);
	CHECK_EQ(wi_mark_set(area->busy), WI_SET_1);
	/* In a burst there is none. */
	area->busy = weir_i_thread_burst;
	CHECK_EQ(must_push(&token, 1), 1);
	CHECK_EQ(area->busy, weir_i_thread_burst);
	/* Nor on an ordinary CPU. */
	begin(4, false);
	CHECK_EQ(must_push(&token, 1), 1);
	CHECK_EQ(area->busy, 0);
	/* A failing operation leaves none. */
	begin(0, true);
	CHECK_EQ(push(&token, 1), 0);
	CHECK_EQ(area->busy, 0);
}

int main(void)
{
	area = aligned_alloc(64, sizeof(*area));
	CHECK(area != NULL);
	pin(allowed_cpu(0));
	wi_rseq_thread_init();
	lists.areas = (char *)area - (size_t)allowed_cpu(0) * WEIR_AREA_BYTES;
	lists.nr_cpus = (uint32_t)allowed_cpu(0) + 1;
	sequences = wi_rseq_available();

	words();
	for (unsigned i = 0; i < 3; i++) {
		const bool quiet = i == 1;

		locked = i == 2;
		if (!locked && !sequences)
			continue;
		order(quiet);
		bulks(quiet);
		null_set(quiet);
		no_room();
		reset();
		if (!locked)
			mark();
	}
	free(area);
	return 0;
}
