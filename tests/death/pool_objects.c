/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pointer that is not the first byte of a page passes for one
 * in a pool whose page_size is no power of two, or a run of several pages does.
 */
#include <stdbool.h>

#include <weir/fast.h>

#include "death.h"

static const uint64_t sizes[] = { 192, 2176, 4096 + 64, (1 << 20) + 64 };

static struct weir_pool *pool;
static char *base;
static uint64_t page, size;
static unsigned flags;

static void create(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.page_size = size;
	opts.capacity = 33 * size + size / 2;
	opts.flags = flags;
	opts.name = "victim";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, &page), 0);
}

/* A page that is allocated, and so many bytes more. */
static char *at(uint64_t bytes)
{
	char *object;

	create();
	object = weir_alloc(pool, 0, 0);
	CHECK(object != NULL);
	return object + bytes;
}

static void next_byte(void)
{
	char *p = at(1);

	weir_free(pool, p, 0);
}

static void next_byte_inlined(void)
{
	char *p = at(1);

	weir_fast_free(pool, p, 0);
}

static void next_line(void)
{
	char *p = at(64);

	weir_free(pool, p, 0);
}

static void next_line_inlined(void)
{
	char *p = at(64);

	weir_fast_free(pool, p, 0);
}

/* A multiple of the largest power of two in it. */
static void as_aligned(void)
{
	char *p = at(size & -size);

	weir_fast_free(pool, p, 0);
}

static void last_byte(void)
{
	char *p = at(size - 1);

	weir_free(pool, p, 0);
}

static void middle(void)
{
	char *p = at(size / 64 / 2 * 64);

	weir_fast_free(pool, p, 0);
}

static void put_bulk(bool inlined)
{
	void *pages[8];

	create();
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, 8, 0), 0);
	pages[5] = (char *)pages[5] + 64;
	if (inlined)
		weir_fast_free_bulk(pool, 0, pages, 8);
	else
		weir_free_bulk(pool, 0, pages, 8);
}

static void in_bulk(void)
{
	put_bulk(false);
}

static void in_bulk_inlined(void)
{
	put_bulk(true);
}

static void in_offsets(void)
{
	uint64_t offsets[3];

	create();
	CHECK_EQ(weir_alloc_offsets(pool, 0, offsets, 3, 0), 0);
	offsets[2] += 64;
	weir_free_offsets(pool, 0, offsets, 3);
}

static void below(void)
{
	create();
	weir_fast_free(pool, base - size, 0);
}

/* In what is left behind the last page. */
static void behind(void)
{
	create();
	weir_fast_free(pool, base + 33 * size, 0);
}

/* No two pages at once. */
static void of_order_1(void)
{
	char *p = at(0);

	weir_free(pool, p, 1);
}

static void of_order_1_inlined(void)
{
	char *p = at(0);

	weir_fast_free(pool, p, 1);
}

/* The first page, whose offset 0 is a multiple of anything. */
static void of_order_9_at_0(void)
{
	create();
	weir_fast_free(pool, base, 9);
}

static void in_bulk_of_order_1(void)
{
	void *pages[2];

	create();
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, 2, 0), 0);
	weir_fast_free_bulk(pool, 1, pages, 2);
}

/* --- written after they were freed, always at the same offset ----------- */

/* By who is no part of the program, as it were. */
__attribute__((no_sanitize("address"))) static void scribble(uint64_t offset)
{
	for (uint64_t i = 0; i < 33; i++)
		*(volatile char *)(base + i * size + offset) = 1;
}

/* Each line of a page is one that is filled, in some page. */
static void write_all(uint64_t offset)
{
	void *pages[33];

	create();
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, 33, 0), 0);
	weir_free_bulk(pool, 0, pages, 33);
	scribble(offset);
	if (weir_alloc_bulk(pool, 0, pages, 33, 0) != 0)
		return;
}

static unsigned line;

static void in_a_line(void)
{
	write_all(line * 64 + line % 64);
}

#define FIRST "not the first byte of a page"
#define OTHER "not a page of this pool"
#define ORDER "no such order in a pool whose page_size is no power of two"

static const struct {
	const char *name, *why;
	void (*run)(void);
} cases[] = {
	{ "the next byte", FIRST, next_byte },
	{ "the next byte, inlined", FIRST, next_byte_inlined },
	{ "the next line", FIRST, next_line },
	{ "the next line, inlined", FIRST, next_line_inlined },
	{ "as aligned as a page", FIRST, as_aligned },
	{ "the last byte", FIRST, last_byte },
	{ "the middle", FIRST, middle },
	{ "a line in a bulk", FIRST, in_bulk },
	{ "a line in an inlined bulk", FIRST, in_bulk_inlined },
	{ "a line in a bulk of offsets", FIRST, in_offsets },
	{ "below", OTHER, below },
	{ "behind", OTHER, behind },
	{ "of order 1", ORDER, of_order_1 },
	{ "of order 1, inlined", ORDER, of_order_1_inlined },
	{ "page 0 of order 9", ORDER, of_order_9_at_0 },
	{ "a bulk of order 1", ORDER, in_bulk_of_order_1 },
};

int main(void)
{
	static const unsigned all_flags[] = { 0, WEIR_POOL_CHECKED,
					      WEIR_POOL_NO_RSEQ };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (unsigned k = 0; k < 3; k++) {
			size = sizes[i];
			flags = all_flags[k];
			for (unsigned c = 0;
			     c < sizeof(cases) / sizeof(cases[0]); c++)
				must_die(cases[c].name, cases[c].run,
					 (const char *[]){
						 "pool \"victim\"", "freeing",
						 cases[c].why, NULL });
		}
	flags = WEIR_POOL_CHECKED;
	size = 2176; /* 34 lines, of which 33 are not the first */
	for (line = 0; line < 34; line++)
		must_die("the same offset in all pages", in_a_line,
			 (const char *[]){ "pool \"victim\"",
					   "written after it was freed",
					   NULL });
	return 0;
}
