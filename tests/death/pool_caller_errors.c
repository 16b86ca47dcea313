/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an error of the caller that corrupts memory goes unseen where
 * it is said to be seen, or the line it ends with does not help to find it.
 */
#include <weir/fast.h>

#include "death.h"

static struct weir_pool *pool;
static char *base;

#define PAGE 4096
#define PAGES 2048

static void create(unsigned flags, int list_limit)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * PAGE;
	opts.flags = flags;
	opts.list_limit = list_limit;
	opts.name = "victim";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	weir_pool_range(pool, (void **)&base, NULL, NULL);
}

static void unchecked(void)
{
	create(0, 0);
}

static void checked(void)
{
	create(WEIR_POOL_CHECKED, 0);
}

/* --- seen in every pool ------------------------------------------------ */

static void foreign(void)
{
	static char mine[PAGE] __attribute__((aligned(PAGE)));

	unchecked();
	weir_free(pool, mine, 0);
}

static void foreign_inlined(void)
{
	unchecked();
	weir_fast_free(pool, (void *)(uintptr_t)0x123450000, 0);
}

static void below(void)
{
	unchecked();
	weir_free(pool, base - PAGE, 0);
}

static void above(void)
{
	unchecked();
	weir_free(pool, base + PAGES * PAGE, 0);
}

/* Of pages that a growth may still add. */
static void create_growing(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * PAGE;
	opts.max_capacity = 2 * opts.capacity;
	opts.name = "victim";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	weir_pool_range(pool, (void **)&base, NULL, NULL);
}

static void not_yet(void)
{
	create_growing();
	weir_fast_free(pool, base + PAGES * PAGE, 0);
}

static void not_yet_in_bulk(void)
{
	void *pages[2];

	create_growing();
	pages[0] = weir_alloc(pool, 0, 0);
	pages[1] = base + (PAGES + 5) * PAGE;
	weir_fast_free_bulk(pool, 0, pages, 2);
}

/* A run across the end. */
static void not_yet_all(void)
{
	create_growing();
	weir_free(pool, base, 12);
}

static void foreign_in_bulk(void)
{
	void *pages[3];

	unchecked();
	pages[0] = weir_alloc(pool, 0, 0);
	pages[1] = base + PAGES * PAGE;
	pages[2] = weir_alloc(pool, 0, 0);
	weir_free_bulk(pool, 0, pages, 3);
}

static void offset_past_the_end(void)
{
	uint64_t offsets[2] = { 0, UINT64_C(1) << 40 };

	unchecked();
	if (weir_alloc_offsets(pool, 0, offsets, 1, 0) == 0)
		weir_free_offsets(pool, 0, offsets, 2);
}

static void foreign_in_fast_bulk(void)
{
	void *pages[3];

	unchecked();
	pages[0] = weir_alloc(pool, 0, 0);
	pages[1] = weir_alloc(pool, 0, 0);
	pages[2] = base - PAGE;
	weir_fast_free_bulk(pool, 0, pages, 3);
}

static void of_another(void)
{
	struct weir_pool *other;

	unchecked();
	other = pool;
	pool = NULL;
	CHECK_EQ(weir_pool_create(&pool,
				  &(struct weir_pool_opts){
					  .size = sizeof(struct weir_pool_opts),
					  .capacity = 1 << 20,
					  .name = "owner" }),
		 0);
	weir_free(other, weir_alloc(pool, 0, 0), 0);
}

/* Its address is known, as long as no other pool needs the entry. */
static void of_a_destroyed(void)
{
	struct weir_pool *other;
	void *page;

	unchecked();
	other = pool;
	create(0, 0);
	page = weir_alloc(pool, 3, 0);
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), 0);
	weir_free(other, page, 3);
}

static void within(void)
{
	unchecked();
	weir_free(pool, (char *)weir_alloc(pool, 0, 0) + 8, 0);
}

static void within_inlined(void)
{
	unchecked();
	weir_fast_free(pool, (char *)weir_alloc(pool, 0, 0) + 2048, 0);
}

static void misaligned(void)
{
	unchecked();
	weir_free(pool, base + 2 * PAGE, 2);
}

static void large_order(void)
{
	unchecked();
	weir_free(pool, weir_alloc(pool, 0, 0), 19);
}

/* A shift by it would be one by 0. */
static void order_32(void)
{
	unchecked();
	weir_free(pool, weir_alloc(pool, 0, 0), 32);
}

static void past_the_end(void)
{
	unchecked();
	weir_free(pool, base, 12);
}

/* The last page, as a run that has a list. */
static void past_the_end_of(struct weir_pool_opts *opts)
{
	opts->capacity = (PAGES + 1) * PAGE;
	opts->name = "victim";
	CHECK_EQ(weir_pool_create(&pool, opts), 0);
	weir_pool_range(pool, (void **)&base, NULL, NULL);
}

static void past_the_end_list(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	past_the_end_of(&opts);
	weir_free(pool, weir_alloc(pool, 3, 0), 3);
	weir_free(pool, base + PAGES * PAGE, 3);
}

static void past_the_end_inlined(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	past_the_end_of(&opts);
	weir_free(pool, weir_alloc(pool, 1, 0), 1);
	weir_fast_free(pool, base + PAGES * PAGE, 1);
}

/* --- when the page reaches its zone ------------------------------------ */

static void twice_without_lists(void)
{
	void *page;

	create(0, -1);
	page = weir_alloc(pool, 0, 0);
	weir_free(pool, page, 0);
	weir_free(pool, page, 0);
}

static void twice_until_the_drain(void)
{
	void *page;

	unchecked();
	page = weir_alloc(pool, 0, 0);
	weir_free(pool, page, 0);
	weir_free(pool, page, 0);
	weir_drain(pool, NULL, NULL);
}

static void block_twice(void)
{
	void *page;

	create(0, -1);
	page = weir_alloc(pool, 10, 0);
	weir_free(pool, page, 10);
	weir_free(pool, page, 10);
}

static void part_of_a_block(void)
{
	create(0, -1);
	weir_free(pool, weir_alloc(pool, 9, 0), 0);
}

static void block_of_parts(void)
{
	create(0, -1);
	CHECK(weir_alloc(pool, 0, 0) != NULL);
	weir_free(pool, base, 9);
}

/* --- at once, in a checked pool ---------------------------------------- */

static void twice_checked(void)
{
	void *page;

	checked();
	page = weir_alloc(pool, 0, 0);
	weir_free(pool, page, 0);
	weir_free(pool, page, 0);
}

static void twice_checked_inlined(void)
{
	void *page;

	checked();
	page = weir_fast_alloc(pool, 0, 0);
	weir_fast_free(pool, page, 0);
	weir_fast_free(pool, page, 0);
}

static void twice_in_one_bulk(void)
{
	void *pages[2];

	checked();
	pages[0] = pages[1] = weir_alloc(pool, 0, 0);
	weir_free_bulk(pool, 0, pages, 2);
}

static void never_allocated(void)
{
	checked();
	weir_free(pool, base + 77 * PAGE, 0);
}

static void smaller_order(void)
{
	checked();
	weir_free(pool, weir_alloc(pool, 2, 0), 1);
}

static void larger_order(void)
{
	char *page;

	checked();
	page = weir_alloc(pool, 3, 0);
	weir_free(pool, page, 3);
	page = weir_alloc(pool, 2, 0);
	while ((page - base) % (8 * PAGE) != 0)
		page = weir_alloc(pool, 2, 0);
	weir_free(pool, page, 3);
}

static const struct {
	const char *name;
	void (*run)(void);
	const char *why;
} cases[] = {
	{ "foreign", foreign, "not a page of this pool" },
	{ "foreign, inlined", foreign_inlined, "0x123450000" },
	{ "below the pool", below, "not a page of this pool" },
	{ "above the pool", above, "not a page of this pool" },
	{ "not there yet", not_yet, "not a page of this pool yet" },
	{ "not there yet, in a bulk", not_yet_in_bulk,
	  "not a page of this pool yet" },
	{ "not all there yet", not_yet_all, "would reach past the pool" },
	{ "foreign in a bulk", foreign_in_bulk, "not a page of this pool" },
	{ "an offset past the end", offset_past_the_end,
	  "not a page of this pool" },
	{ "foreign in an inlined bulk", foreign_in_fast_bulk,
	  "not a page of this pool" },
	{ "another pool's", of_another,
	  "not a page of this pool but of pool \"owner\"" },
	{ "a destroyed pool's", of_a_destroyed,
	  "; it was in pool \"victim\", now destroyed" },
	{ "within a page", within, "not the first byte" },
	{ "within a page, inlined", within_inlined, "not the first byte" },
	{ "misaligned for its order", misaligned, "not the first page" },
	{ "order too large", large_order, "no such order" },
	{ "order 32", order_32, "no such order" },
	{ "past the end", past_the_end, "past the pool" },
	{ "past the end, into a list", past_the_end_list, "past the pool" },
	{ "past the end, inlined", past_the_end_inlined, "past the pool" },
	{ "twice, no lists", twice_without_lists, "free already" },
	{ "twice, at the drain", twice_until_the_drain, "free already" },
	{ "two blocks twice", block_twice, "free already" },
	{ "part of a block", part_of_a_block, "another order" },
	{ "block that was parts", block_of_parts, "order 9" },
	{ "twice, checked", twice_checked, "free already" },
	{ "twice, checked, inlined", twice_checked_inlined, "free already" },
	{ "twice in a bulk, checked", twice_in_one_bulk, "free already" },
	{ "never allocated, checked", never_allocated, "free already" },
	{ "smaller order, checked", smaller_order, "another order" },
	{ "larger order, checked", larger_order, "another order" },
};

/* NULL is no error; nor does a checked pool mind what is right. */
static void nothing_wrong(void)
{
	void *page;

	checked();
	weir_free(pool, NULL, 0);
	weir_fast_free(pool, NULL, 3);
	page = weir_alloc(pool, 3, 0);
	weir_free(pool, page, 3);
	page = weir_alloc(pool, 0, 0);
	weir_free(pool, page, 0);
	if (weir_pool_destroy(pool, 0) != 0)
		abort();
}

int main(void)
{
	char said[64];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		must_die(cases[i].name, cases[i].run,
			 (const char *[]){ "pool \"victim\": ", "freeing 0x",
					   cases[i].why, NULL });
	CHECK_EQ(death_of(nothing_wrong, said, sizeof(said)), 0);
	CHECK_EQ(said[0], 0);
	return 0;
}
