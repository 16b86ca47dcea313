/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of a token cache's own store. A thread is a script:
 *
 *   p P   put the oldest token held, or all
 *   g G   get one, or up to three
 *
 * No more tokens exist than the store has room for: so each put must find room,
 * and a get finds a token if one was there all the time.
 */
#include <string.h>

#include "api/token_store.h"
#include "interleave/os.h"
#include "interleave/scenarios.h"
#include "os/os.h"

#define CAPACITY_MAX 1024
#define BULK 3
#define HELD_MAX 8

struct store_row {
	const char *thread[SCHED_THREADS_MAX]; /* "0f pg": flags, script */
	const char *handler;
	uint8_t held[SCHED_THREADS_MAX]; /* tokens at first */
	uint16_t stored;		 /* likewise */
	uint16_t spare;			 /* room for more than there are */
};

static struct {
	const struct store_row *row;
	struct wi_token_store store;
	uint64_t nr;			 /* tokens, from 1 on */
	uint8_t owner[CAPACITY_MAX + 1]; /* 0: the store's; thread + 1 */
	uint64_t held[SCHED_THREADS_MAX][HELD_MAX];
	unsigned nr_held[SCHED_THREADS_MAX];
	uint32_t cursor[SCHED_THREADS_MAX];
	uint64_t nr_put;	 /* by calls that returned, and not yet got */
	unsigned nr_gets, begun; /* under way; ever */
} s;

/* --- calls --------------------------------------------------------------- */

static void put(unsigned t, unsigned n)
{
	uint64_t tokens[HELD_MAX];

	if (n == 0 || s.nr_held[t] < n)
		return;
	memcpy(tokens, s.held[t], n * sizeof(tokens[0]));
	s.nr_held[t] -= n;
	memmove(s.held[t], s.held[t] + n, s.nr_held[t] * sizeof(tokens[0]));
	for (unsigned i = 0; i < n; i++) {
		EXPECT(s.owner[tokens[i]] == t + 1);
		s.owner[tokens[i]] = 0;
	}
	EXPECT(wi_token_store_put(&s.store, tokens, n));
	s.nr_put += n;
}

static void get(unsigned t, unsigned n)
{
	const bool alone = s.nr_gets++ == 0;
	const unsigned begun = ++s.begun;
	const uint64_t there = s.nr_put;
	uint64_t tokens[BULK];
	const size_t got =
		wi_token_store_get(&s.store, tokens, n, &s.cursor[t]);

	for (size_t i = 0; i < got; i++) {
		EXPECT(tokens[i] > 0 && tokens[i] <= s.nr);
		if (s.owner[tokens[i]] != 0)
			sched_fail("token %u was given to %u and to %u",
				   (unsigned)tokens[i], s.owner[tokens[i]],
				   t + 1);
		s.owner[tokens[i]] = (uint8_t)(t + 1);
		s.held[t][s.nr_held[t]++] = tokens[i];
	}
	s.nr_gets--;
	s.nr_put -= got;
	if (alone && begun == s.begun && got < n && got < there)
		sched_fail("%u tokens were there, a get found %u",
			   (unsigned)there, (unsigned)got);
}

static void play(unsigned t, const char *script)
{
	sched_forbid_waiting(true);
	for (; *script != '\0'; script++) {
		interleave_point(0, "between calls");
		if (*script == 'p')
			put(t, 1);
		else if (*script == 'P')
			put(t, s.nr_held[t]);
		else
			get(t, *script == 'G' ? BULK : 1);
	}
}

static void run_thread(unsigned t)
{
	play(t, strchr(s.row->thread[t], ' ') + 1);
}

static void run_handler(unsigned t)
{
	play(t, s.row->handler);
}

/* --- before and after ----------------------------------------------------- */

static void add_thread(unsigned t)
{
	const char *words = s.row->thread[t];
	struct sched_thread_spec spec = { .run = run_thread,
					  .handler = run_handler,
					  .cpu = (unsigned)(*words - '0') };

	while (*++words != ' ')
		spec.may |= *words == 's' ? SCHED_SIGNALS : SCHED_FREEZES;
	for (unsigned i = 0; i < s.row->held[t]; i++) {
		s.held[t][s.nr_held[t]++] = ++s.nr;
		s.owner[s.nr] = (uint8_t)(t + 1);
	}
	sched_add(&spec);
}

static void set_up(const void *row)
{
	struct wi_os_map map;
	uint64_t capacity;
	void *memory;

	memset(&s, 0, sizeof(s));
	s.row = row;
	capacity = s.row->stored + (uint64_t)s.row->spare;
	for (unsigned t = 0; t < SCHED_THREADS_MAX; t++)
		capacity += s.row->held[t];
	map = (struct wi_os_map){ .bytes = wi_token_store_bytes(capacity) };
	EXPECT(wi_os_map(&memory, &map) == 0);
	wi_token_store_init(&s.store, memory, capacity);
	for (unsigned t = 0; t < SCHED_THREADS_MAX && s.row->thread[t]; t++)
		add_thread(t);
	for (unsigned i = 0; i < s.row->stored; i++) {
		uint64_t token = ++s.nr;

		EXPECT(wi_token_store_put(&s.store, &token, 1));
	}
	s.nr_put = s.row->stored;
}

static void look(const void *row)
{
	const uint64_t nr_stored = wi_token_store_count(&s.store);
	uint64_t nr_held = 0;

	(void)row;
	for (unsigned t = 0; t < SCHED_THREADS_MAX; t++)
		nr_held += s.nr_held[t];
	EXPECT(nr_held + nr_stored == s.nr);
	for (uint64_t i = 0; i < nr_stored; i++) {
		s.nr_held[0] = 0;
		get(0, 1);
		EXPECT(s.nr_held[0] == 1);
	}
	EXPECT(wi_token_store_count(&s.store) == 0);
}

/* --- the scenarios -------------------------------------------------------- */

/* clang-format off */
#define ROW(n, b, ...)                                                         \
	{ .name = n, .group = "store", .bound = b, .set_up = set_up,           \
	  .look = look, .row = &(const struct store_row){ __VA_ARGS__ } }

const struct scenario store_scenarios[] = {
	ROW("store-singles", 3, .held = { 1, 1 },
	    .thread = { "0 pg", "1 pg" }),
	ROW("store-three", 2, .held = { 1, 1, 1 },
	    .thread = { "0 pg", "1 pg", "0 pg" }),
	ROW("store-from-it", 3, .stored = 2,
	    .thread = { "0 gp", "1 gp" }),
	ROW("store-bulk", 2, .held = { 3, 0 }, .stored = 2,
	    .thread = { "0 PG", "1 GP" }),
	ROW("store-spare", 2, .held = { 1, 1 }, .spare = 2,
	    .thread = { "0 pgp", "1 pg" }),
	ROW("store-two-blocks", 2, .held = { 2, 2 }, .stored = 511,
	    .thread = { "0 PG", "1 PG" }),
	ROW("store-signal", 2, .held = { 1, 1 }, .stored = 1,
	    .handler = "gp", .thread = { "0s pg", "1 gp" }),
	ROW("store-freeze", 3, .held = { 1, 1 }, .stored = 1,
	    .thread = { "0f pg", "1 pgg" }),
	ROW("store-freeze-three", 2, .held = { 1, 1, 1 },
	    .thread = { "0f pg", "1 pg", "0 pg" }),
};
/* clang-format on */

const unsigned nr_store_scenarios =
	sizeof(store_scenarios) / sizeof(store_scenarios[0]);
