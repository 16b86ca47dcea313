/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a summary loses bits or finds bits that are not set, and
 * every claim that needs it walks the zone.
 */
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "zone/tree.h"

static uint64_t seed = 99;

static const uint64_t sizes[] = { 1,	2,    63,   64,	  65,
				  4095, 4096, 4097, 9999, 262145 };

static struct wi_tree *make(uint64_t nr_bits, uint64_t flip)
{
	struct wi_tree *t = calloc(1, sizeof(*t) + wi_tree_bytes(nr_bits));

	CHECK(t);
	wi_tree_init(t, nr_bits, flip, sizeof(*t));
	CHECK(wi_tree_is_valid(t));
	return t;
}

static uint64_t naive_next(const unsigned char *bits, uint64_t nr, uint64_t at)
{
	while (at < nr && !bits[at])
		at++;
	return at < nr ? at : WI_TREE_NONE;
}

static void check_next(const struct wi_tree *t, const unsigned char *bits)
{
	for (unsigned i = 0; i < 20; i++) {
		uint64_t at = check_random(&seed) % t->nr_bits;

		CHECK_EQ(wi_tree_next(t, at), naive_next(bits, t->nr_bits, at));
	}
	CHECK_EQ(wi_tree_next(t, t->nr_bits), WI_TREE_NONE);
	CHECK_EQ(wi_tree_next(t, UINT32_MAX), WI_TREE_NONE);
}

static uint64_t real_bits(uint64_t nr, uint64_t word)
{
	return wi_low_mask((unsigned)wi_min_u64(64, nr - word * 64));
}

/* Random bits of random words, set and cleared in turns, against an array. */
static void against_array(uint64_t nr, uint64_t flip)
{
	struct wi_tree *t = make(nr, flip);
	unsigned char *bits = malloc(nr);

	CHECK(bits);
	memset(bits, flip != 0, nr);
	check_next(t, bits);
	for (unsigned turn = 0; turn < 2000; turn++) {
		uint64_t word = check_random(&seed) % ((nr + 63) / 64);
		uint64_t mask = check_random(&seed) & real_bits(nr, word);
		uint64_t value =
			turn / 500 % 2 ? 0 : check_random(&seed) & mask;

		if (turn % 2 == 0)
			mask |= real_bits(nr, word);
		wi_tree_put(t, word, mask, value);
		for (unsigned i = 0; i < 64; i++)
			if (mask >> i & 1)
				bits[word * 64 + i] = value >> i & 1;
		if (turn % 16 == 0)
			check_next(t, bits);
	}
	CHECK(wi_tree_is_valid(t));
	free(bits);
	free(t);
}

/* The one bit that is set is found, wherever it is; and then none. */
static void one_bit(uint64_t nr, uint64_t flip)
{
	struct wi_tree *t = make(nr, flip);

	for (uint64_t i = 0; i < (nr + 63) / 64; i++)
		wi_tree_put(t, i, real_bits(nr, i), 0);
	for (unsigned i = 0; i < 50; i++) {
		uint64_t at = check_random(&seed) % nr;
		uint64_t mask = UINT64_C(1) << (at % 64);

		CHECK_EQ(wi_tree_next(t, 0), WI_TREE_NONE);
		wi_tree_put(t, at / 64, mask, mask);
		CHECK(wi_tree_is_valid(t));
		CHECK_EQ(wi_tree_next(t, 0), at);
		CHECK_EQ(wi_tree_next(t, at), at);
		CHECK_EQ(wi_tree_next(t, at + 1), WI_TREE_NONE);
		wi_tree_put(t, at / 64, mask, 0);
	}
	CHECK(wi_tree_is_valid(t));
	free(t);
}

int main(void)
{
	for (unsigned i = 0; i < WI_ARRAY_SIZE(sizes); i++) {
		against_array(sizes[i], 0);
		against_array(sizes[i], UINT64_MAX);
		one_bit(sizes[i], 0);
		one_bit(sizes[i], UINT64_MAX);
	}
	return 0;
}
