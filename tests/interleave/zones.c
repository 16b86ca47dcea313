/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of a zone, and of the bits of one block. A thread is a script:
 *
 *   0 to 9, a   claim a run of that order (a: 10)
 *   +           claim up to three pages           f   release the oldest run
 *   h           release a page of the oldest run, which is of order 1 to 8
 *   G           add the last block, which is absent at first
 *   i I         isolate the first block, the last one; if it is vacant, its
 *               pages are the thread's
 *   v           look at that again              r   return it
 *   s S w b B   claim page 3, the run of two at 2, the run of order 7 at 0, the
 *               first block, the first two
 *
 * Who finds nothing, and read the same generation before and after, was right
 * to say so, or it is a failure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interleave/os.h"
#include "interleave/scenarios.h"
#include "os/os.h"
#include "zone/layout.h"

#define BLOCKS_MAX 66
#define RUNS_MAX 16

struct zone_row {
	const char *thread[SCHED_THREADS_MAX]; /* "m 0f": flags, script */
	const char *handler;
	uint16_t nr_blocks;  /* 0: 2 */
	bool grows;	     /* the last one is absent */
	const char *free[4]; /* of the first blocks: "3-5,64-127", "all" */
	const char *held;    /* what thread 0 holds at first: its script */
	uint8_t ready[SCHED_THREADS_MAX]; /* blocks the threads hold, order 9 */
};

static struct {
	const struct zone_row *row;
	struct wi_zone *zone;
	uint8_t owner[BLOCKS_MAX * WI_BLOCK_PAGES]; /* 0: the zone */
	bool touched[BLOCKS_MAX]; /* else it is full, as in the beginning */
	uint64_t nr_out;
	uint32_t cursor[SCHED_THREADS_MAX];
	struct {
		struct run {
			uint64_t page;
			unsigned order;
		} run[RUNS_MAX];
		unsigned n;
	} held[SCHED_THREADS_MAX];
	struct run isolated[SCHED_THREADS_MAX]; /* a block of each thread */
	bool has_isolated[SCHED_THREADS_MAX];	/* its pages are the thread's */
	unsigned nr_isolated;
	unsigned nr_claiming;  /* calls that claim, under way */
	uint64_t nr_releasing; /* pages that calls are giving back */
} z;

#define EVERYBODY 0xff /* owns what was used from the beginning */

static unsigned nr_blocks(void)
{
	return z.row->nr_blocks ? z.row->nr_blocks : 2;
}

static void set_owner(const struct run *run, unsigned from, unsigned to)
{
	const uint64_t nr = UINT64_C(1) << run->order;

	EXPECT(run->page % nr == 0);
	EXPECT(run->page + nr <= (uint64_t)nr_blocks() * WI_BLOCK_PAGES);
	for (uint64_t i = run->page; i < run->page + nr; i++) {
		if (z.owner[i] != from)
			sched_fail("page %llu goes from %u to %u, but %u has "
				   "it",
				   (unsigned long long)i, from, to, z.owner[i]);
		z.owner[i] = (uint8_t)to;
	}
	z.touched[run->page / WI_BLOCK_PAGES] = true;
	z.nr_out += to != 0 ? nr : -nr;
}

/* --- calls --------------------------------------------------------------- */

/* Nothing was found between two equal generations. Then no page can have been
 * free all the time; who is still claiming or releasing may have had them. */
static void check_none(void)
{
	const uint64_t nr_pages = (uint64_t)nr_blocks() * WI_BLOCK_PAGES;
	const uint64_t taken = z.nr_out + z.nr_releasing;

	if (z.nr_claiming == 0 && z.nr_isolated == 0 && taken < nr_pages)
		sched_fail("nothing was found, nothing came back, and %u "
			   "pages are free",
			   (unsigned)(nr_pages - taken));
}

static void claim(unsigned t, unsigned order, size_t n)
{
	const uint64_t before = wi_zone_generation(z.zone);
	uint64_t pages[3];
	size_t got;
	bool none;

	z.nr_claiming++;
	got = wi_zone_claim(z.zone, order, n, pages, &z.cursor[t]);
	for (size_t i = 0; i < got; i++) {
		struct run run = { pages[i], order };

		set_owner(&run, 0, t + 1);
		EXPECT(z.held[t].n < RUNS_MAX);
		z.held[t].run[z.held[t].n++] = run;
	}
	none = got == 0 && order == 0 && wi_zone_generation(z.zone) == before;
	z.nr_claiming--;
	if (none)
		check_none();
}

static void claim_at(unsigned t, char what)
{
	static const struct {
		char what;
		uint64_t page;
		unsigned order;
	} runs[] = { { 's', 3, 0 },
		     { 'S', 2, 1 },
		     { 'w', 0, 7 },
		     { 'b', 0, 9 },
		     { 'B', 0, 10 } };

	for (unsigned i = 0; i < 5; i++) {
		struct run run = { runs[i].page, runs[i].order };
		bool got;

		if (runs[i].what != what)
			continue;
		z.nr_claiming++;
		got = wi_zone_claim_at(z.zone, run.order, run.page);
		z.nr_claiming--;
		if (!got)
			continue;
		set_owner(&run, 0, t + 1);
		EXPECT(z.held[t].n < RUNS_MAX);
		z.held[t].run[z.held[t].n++] = run;
	}
}

/* Gives a run back, whole or as single pages. */
static void release(unsigned t, bool singly)
{
	struct run run;
	size_t bad;

	if (z.held[t].n == 0)
		return;
	run = z.held[t].run[0];
	z.held[t].n--;
	memmove(z.held[t].run, z.held[t].run + 1,
		z.held[t].n * sizeof(struct run));
	set_owner(&run, t + 1, 0);
	z.nr_releasing += UINT64_C(1) << run.order;
	if (!singly) {
		EXPECT(wi_zone_release(z.zone, run.order, &run.page, 1, &bad) ==
		       WI_ZONE_OK);
	} else {
		for (uint64_t i = 0; i < UINT64_C(1) << run.order; i++) {
			uint64_t page = run.page + i;

			EXPECT(wi_zone_release(z.zone, 0, &page, 1, &bad) ==
			       WI_ZONE_OK);
		}
	}
	z.nr_releasing -= UINT64_C(1) << run.order;
}

static void add_last(void)
{
	const struct run run = { (nr_blocks() - 1) * UINT64_C(512),
				 WI_BLOCK_ORDER };

	set_owner(&run, EVERYBODY, 0);
	z.nr_releasing += WI_BLOCK_PAGES;
	wi_zone_add(z.zone, run.page, WI_BLOCK_PAGES);
	z.nr_releasing -= WI_BLOCK_PAGES;
}

static void look_at_isolated(unsigned t)
{
	if (z.has_isolated[t] || !wi_zone_is_vacant(z.zone, z.isolated[t].page))
		return;
	set_owner(&z.isolated[t], 0, t + 1);
	z.has_isolated[t] = true;
}

static void isolate(unsigned t, unsigned block)
{
	z.isolated[t] = (struct run){ block * UINT64_C(512), WI_BLOCK_ORDER };
	z.nr_isolated++;
	wi_zone_isolate(z.zone, z.isolated[t].page);
	look_at_isolated(t);
}

/* Whatever came back has left it isolated. */
static void return_isolated(unsigned t)
{
	EXPECT(wi_zone_is_isolated(z.zone, z.isolated[t].page));
	if (z.has_isolated[t]) {
		EXPECT(wi_zone_is_vacant(z.zone, z.isolated[t].page));
		set_owner(&z.isolated[t], t + 1, 0);
	}
	z.has_isolated[t] = false;
	wi_zone_return(z.zone, z.isolated[t].page);
	z.nr_isolated--;
}

static void play(unsigned t, const char *script)
{
	sched_forbid_waiting(true);
	for (; *script != '\0'; script++) {
		interleave_point(0, "between calls");
		if (*script == 'f')
			release(t, false);
		else if (*script == 'h')
			release(t, true);
		else if (strchr("sSwbB", *script) != NULL)
			claim_at(t, *script);
		else if (*script == 'G')
			add_last();
		else if (*script == 'i' || *script == 'I')
			isolate(t, *script == 'i' ? 0 : nr_blocks() - 1);
		else if (*script == 'v')
			look_at_isolated(t);
		else if (*script == 'r')
			return_isolated(t);
		else if (*script == '+')
			claim(t, 0, 3);
		else if (*script == 'a')
			claim(t, 10, 1);
		else
			claim(t, (unsigned)(*script - '0'), 1);
	}
}

static void run_thread(unsigned t)
{
	play(t, strchr(z.row->thread[t], ' ') + 1);
}

static void run_handler(unsigned t)
{
	play(t, z.row->handler);
}

/* --- before and after ----------------------------------------------------- */

/* All blocks are full but for what a row says is free. */
static bool is_free(const char *words, unsigned page)
{
	while (*words != '\0') {
		char *end;
		unsigned long from, to;

		if (strcmp(words, "all") == 0)
			return true;
		from = to = strtoul(words, &end, 10);
		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		if (page >= from && page <= to)
			return true;
		words = *end == ',' ? end + 1 : end;
	}
	return false;
}

static void fill_block(unsigned block)
{
	uint64_t *word = wi_zone_block(z.zone, block)->word;
	uint8_t *owner = &z.owner[block * WI_BLOCK_PAGES];
	unsigned used = WI_BLOCK_PAGES;

	memset(word, 0xff, sizeof(struct wi_block));
	memset(owner, EVERYBODY, WI_BLOCK_PAGES);
	for (unsigned page = 0; page < WI_BLOCK_PAGES; page++) {
		if (block >= 4 || z.row->free[block] == NULL ||
		    !is_free(z.row->free[block], page))
			continue;
		word[page / 64] &= ~(UINT64_C(1) << page % 64);
		owner[page] = 0;
		used--;
	}
	*wi_zone_state(z.zone, block) = used;
	z.nr_out += used;
	wi_zone_settle(z.zone, block, 1);
}

static void make_zone(void)
{
	const uint64_t nr_pages = (uint64_t)nr_blocks() * WI_BLOCK_PAGES;
	struct wi_os_map map = { .bytes = wi_zone_bytes(nr_pages) };
	void *memory;

	EXPECT(wi_os_map(&memory, &map) == 0);
	z.zone = wi_zone_init(memory, nr_pages);
	for (unsigned block = 0; block < nr_blocks() - z.row->grows; block++)
		fill_block(block);
	if (!z.row->grows)
		return;
	wi_zone_leave_out(z.zone, nr_pages - WI_BLOCK_PAGES);
	memset(z.owner + nr_pages - WI_BLOCK_PAGES, EVERYBODY, WI_BLOCK_PAGES);
	z.nr_out += WI_BLOCK_PAGES;
}

/* A thread holds a whole block from the beginning. */
static void give_block(unsigned t, unsigned block)
{
	struct run run = { block * UINT64_C(512), WI_BLOCK_ORDER };

	memset(wi_zone_block(z.zone, block), 0, sizeof(struct wi_block));
	*wi_zone_state(z.zone, block) = wi_state_head(WI_BLOCK_ORDER);
	memset(z.owner + run.page, (int)t + 1, WI_BLOCK_PAGES);
	z.held[t].run[z.held[t].n++] = run;
	z.touched[block] = true;
}

static void add_thread(const char *words)
{
	struct sched_thread_spec spec = { .run = run_thread,
					  .handler = run_handler,
					  .cpu = (unsigned)(*words - '0') };

	while (*++words != ' ')
		spec.may |= *words == 's' ? SCHED_SIGNALS : SCHED_FREEZES;
	sched_add(&spec);
}

static void set_up(const void *row)
{
	memset(&z, 0, sizeof(z));
	z.row = row;
	make_zone();
	for (unsigned t = 0; t < SCHED_THREADS_MAX && z.row->thread[t]; t++) {
		if (z.row->ready[t] != 0)
			give_block(t, z.row->ready[t]);
		add_thread(z.row->thread[t]);
	}
	if (z.row->held != NULL)
		play(0, z.row->held);
}

static void look(const void *row)
{
	uint64_t nr_pages = (uint64_t)nr_blocks() * WI_BLOCK_PAGES;

	(void)row;
	EXPECT(wi_zone_is_valid(z.zone));
	EXPECT(wi_zone_nr_free(z.zone) == nr_pages - z.nr_out);
	for (uint64_t page = 0; page < nr_pages; page++) {
		if (!z.touched[page / WI_BLOCK_PAGES])
			page |= WI_BLOCK_PAGES - 1;
		else
			EXPECT(wi_zone_is_free(z.zone, page) ==
			       (z.owner[page] == 0));
	}
}

/* --- the scenarios -------------------------------------------------------- */

/* clang-format off */
#define ROW(n, b, ...)                                                         \
	{ .name = n, .group = "zone", .bound = b, .set_up = set_up,            \
	  .look = look, .row = &(const struct zone_row){ __VA_ARGS__ } }

const struct scenario zone_scenarios[] = {
	ROW("zone-singles", 3, .free = { "3-4" },
	    .thread = { "0 0f", "1 0f" }),
	ROW("zone-singles-three", 2, .free = { "3-4" },
	    .thread = { "0 0f", "1 0f", "0 0" }),
	ROW("zone-last-page", 2, .free = { "3" },
	    .thread = { "0 0f0", "1 0f0", "0 0" }),
	ROW("zone-bulk", 2, .free = { "3-5,70" },
	    .thread = { "0 +ff", "1 +f" }),
	ROW("zone-whole-block-bits", 3, .free = { "all" },
	    .thread = { "0 0f", "1 9f" }),
	ROW("zone-blocks", 2, .free = { "all", "all" },
	    .thread = { "0 9f", "1 9f", "0 0f" }),
	ROW("zone-two-blocks", 3, .free = { "all", "all" },
	    .thread = { "0 af", "1 9f" }),
	ROW("zone-two-blocks-singles", 2, .free = { "all", "all" },
	    .thread = { "0 a", "1 0f", "0 9f" }),
	ROW("zone-run-rolls-back", 2, .free = { "0-1,3" },
	    .thread = { "0 1", "1 0", "0 0" }),
	ROW("zone-run-against-single", 3, .free = { "0-3" },
	    .thread = { "0 1f", "1 0f" }),
	ROW("zone-words-roll-back", 2, .free = { "0-127,130" },
	    .thread = { "0 7", "1 0", "0 0" }),
	ROW("zone-words-against-words", 2, .free = { "0-255" },
	    .thread = { "0 7f", "1 8" , "0 6"}),
	ROW("zone-run-in-parts", 3, .free = { "4-7" },
	    .thread = { "0 1h", "1 0f" }),
	ROW("zone-classes", 3, .free = { "9" }, .held = "0",
	    .thread = { "0 f0", "1 0f" }),
	ROW("zone-classes-three", 2, .free = { "9-10" }, .held = "0",
	    .thread = { "0 f", "1 0", "0 0" }),
	ROW("zone-rest-of-block", 3, .free = { "all" }, .held = "0",
	    .thread = { "0 f", "1 0" }),
	ROW("zone-block-back", 2, .free = { NULL }, .ready = { 1 },
	    .thread = { "0 f", "1 9f", "0 0" }),
	ROW("zone-upper-level", 2, .nr_blocks = 65, .free = { NULL },
	    .ready = { 64 }, .thread = { "0 f", "1 9f" }),
	ROW("zone-upper-level-two", 2, .nr_blocks = 66, .free = { NULL },
	    .ready = { 64, 65 }, .thread = { "0 f", "1 f" }),
	ROW("zone-upper-level-again", 2, .nr_blocks = 65, .free = { NULL },
	    .ready = { 64 }, .thread = { "0 f9", "1 9f" }),
	ROW("zone-signal", 2, .free = { "3-6" }, .handler = "0f",
	    .thread = { "0s 0f1", "1 0f" }),
	ROW("zone-freeze", 2, .free = { "3-6" },
	    .thread = { "0f 0f", "1 0f1f", "0 0" }),
	ROW("zone-freeze-block", 2, .free = { "all" },
	    .thread = { "0f 9f", "1 0f", "0 9f" }),
	ROW("zone-grows", 3, .grows = true, .free = { "3" },
	    .thread = { "0 G", "1 0f0" }),
	ROW("zone-grows-block", 2, .grows = true, .free = { "all" },
	    .thread = { "0 G", "1 9f", "0 a" }),
	ROW("zone-grows-empty", 3, .grows = true, .free = { NULL },
	    .thread = { "0 G", "1 00" }),
	ROW("zone-grows-upper-level", 2, .grows = true, .nr_blocks = 65,
	    .free = { NULL }, .thread = { "0 G", "1 0", "0 9" }),
	ROW("zone-grows-beside-release", 2, .grows = true, .nr_blocks = 3,
	    .free = { NULL }, .ready = { 1 }, .thread = { "0 f", "1 G0" }),
	ROW("zone-at-page", 3, .free = { "2-3" },
	    .thread = { "0 sf", "1 0f" }),
	ROW("zone-at-last-page", 2, .free = { "3" },
	    .thread = { "0 sf", "1 0f0", "0 0" }),
	ROW("zone-at-run", 2, .free = { "2-3,9" },
	    .thread = { "0 Sf", "1 0f", "0 0" }),
	ROW("zone-at-two", 3, .free = { "2-3" },
	    .thread = { "0 Sf", "1 sf" }),
	ROW("zone-at-words", 2, .free = { "0-127,130" },
	    .thread = { "0 wf", "1 0", "0 0" }),
	ROW("zone-at-block", 2, .free = { "all", "all" },
	    .thread = { "0 Bf", "1 bf", "0 0" }),
	ROW("zone-at-isolated", 2, .free = { "all" },
	    .thread = { "0 bf", "1 ir", "0 0f" }),
	ROW("zone-isolates", 3, .free = { NULL, "3-4" },
	    .thread = { "0 Ivr", "1 0f" }),
	ROW("zone-isolates-free", 3, .free = { NULL, "all" },
	    .thread = { "0 Ivr", "1 0f" }),
	ROW("zone-isolates-run", 2, .free = { NULL, "all" },
	    .thread = { "0 Ivr", "1 1f", "0 7" }),
	ROW("zone-isolates-blocks", 2, .free = { "all", "all" },
	    .thread = { "0 Ir", "1 af", "0 9f" }),
	ROW("zone-isolates-held", 3, .free = { NULL }, .ready = { 1 },
	    .thread = { "0 f", "1 Ivr" }),
	ROW("zone-isolates-held-page", 3, .free = { NULL, "all" }, .held = "0",
	    .thread = { "0 f", "1 Ivr", "0 0" }),
	ROW("zone-isolates-head", 2, .free = { "all", "all" }, .held = "a",
	    .thread = { "0 f", "1 ivr", "0 9" }),
	ROW("zone-isolates-inner", 2, .free = { "all", "all" }, .held = "a",
	    .thread = { "0 f", "1 Ivr", "0 9" }),
	ROW("zone-isolates-empty", 3, .free = { NULL, "all" },
	    .thread = { "0 Ir", "1 00" }),
	ROW("zone-isolates-both", 2, .free = { "all", "all" },
	    .thread = { "0 ivr", "1 Ivr", "0 0f" }),
	ROW("zone-isolates-freeze", 2, .free = { NULL, "3-4" },
	    .thread = { "0f Ir", "1 0f", "0 0f" }),
};
/* clang-format on */

const unsigned nr_zone_scenarios =
	sizeof(zone_scenarios) / sizeof(zone_scenarios[0]);
