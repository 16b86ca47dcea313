/* SPDX-License-Identifier: MIT */
/* Sets of CPUs, and the kernel's notation for them. */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "os/topology.h"

#define NR_WORDS (WI_CPUS_MAX / 64)

void wi_cpuset_zero(struct wi_cpuset *set)
{
	memset(set, 0, sizeof(*set));
}

void wi_cpuset_fill(struct wi_cpuset *set, unsigned n)
{
	for (unsigned i = 0; i < NR_WORDS; i++)
		set->word[i] = n > i * 64 ? wi_low_mask(n - i * 64) : 0;
}

void wi_cpuset_set(struct wi_cpuset *set, unsigned cpu)
{
	if (cpu < WI_CPUS_MAX)
		set->word[cpu / 64] |= UINT64_C(1) << cpu % 64;
}

void wi_cpuset_clear(struct wi_cpuset *set, unsigned cpu)
{
	if (cpu < WI_CPUS_MAX)
		set->word[cpu / 64] &= ~(UINT64_C(1) << cpu % 64);
}

bool wi_cpuset_test(const struct wi_cpuset *set, unsigned cpu)
{
	return cpu < WI_CPUS_MAX && (set->word[cpu / 64] >> cpu % 64 & 1);
}

void wi_cpuset_and(struct wi_cpuset *set, const struct wi_cpuset *other)
{
	for (unsigned i = 0; i < NR_WORDS; i++)
		set->word[i] &= other->word[i];
}

void wi_cpuset_or(struct wi_cpuset *set, const struct wi_cpuset *other)
{
	for (unsigned i = 0; i < NR_WORDS; i++)
		set->word[i] |= other->word[i];
}

void wi_cpuset_andnot(struct wi_cpuset *set, const struct wi_cpuset *other)
{
	for (unsigned i = 0; i < NR_WORDS; i++)
		set->word[i] &= ~other->word[i];
}

bool wi_cpuset_is_empty(const struct wi_cpuset *set)
{
	return wi_cpuset_next(set, 0) == WI_CPUS_MAX;
}

unsigned wi_cpuset_count(const struct wi_cpuset *set)
{
	unsigned count = 0;

	for (unsigned i = 0; i < NR_WORDS; i++)
		count += wi_popcount(set->word[i]);
	return count;
}

unsigned wi_cpuset_next(const struct wi_cpuset *set, unsigned from)
{
	uint64_t bits;

	if (from >= WI_CPUS_MAX)
		return WI_CPUS_MAX;
	bits = set->word[from / 64] & ~wi_low_mask(from % 64);
	for (unsigned i = from / 64;;) {
		if (bits)
			return i * 64 + wi_lowest_bit(bits);
		if (++i == NR_WORDS)
			return WI_CPUS_MAX;
		bits = set->word[i];
	}
}

bool wi_cpuset_subset(const struct wi_cpuset *a, const struct wi_cpuset *b)
{
	for (unsigned i = 0; i < NR_WORDS; i++)
		if (a->word[i] & ~b->word[i])
			return false;
	return true;
}

/* ---- reading ---------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * Reads a number at *s and moves *s behind it. Numbers too large to be a CPU
 * all read as WI_CPUS_MAX.
 */
static bool take_number(const char **s, unsigned *n)
{
	if (!is_digit(**s))
		return false;
	for (*n = 0; is_digit(**s); ++*s)
		*n = (unsigned)wi_min_u64(*n * 10 + (unsigned)(**s - '0'),
					  WI_CPUS_MAX);
	return true;
}

static bool take_char(const char **s, char c)
{
	if (**s != c)
		return false;
	++*s;
	return true;
}

/*
 * Reads "4", "4-7" or "0-15:2/4" at *s into the set. NULL, or what is wrong.
 */
static const char *take_range(struct wi_cpuset *set, const char **s)
{
	unsigned first, last, used = 1, group = 1;

	if (!take_number(s, &first))
		return "a CPU number was expected";
	last = first;
	if (take_char(s, '-')) {
		if (!take_number(s, &last))
			return "a range has no end";
		if (take_char(s, ':')) {
			if (!take_number(s, &used) || !take_char(s, '/') ||
			    !take_number(s, &group))
				return "a stride is written :USED/GROUP";
			if (used == 0 || used > group)
				return "a stride uses none or more than all "
				       "CPUs of its group";
		}
	}
	if (last < first)
		return "a range ends before it begins";
	if (last >= WI_CPUS_MAX)
		return "a CPU number is above 8191";

	for (unsigned i = 0; i <= last - first; i++)
		if (i % group < used)
			wi_cpuset_set(set, first + i);
	return NULL;
}

_Static_assert(WI_CPUS_MAX == 8192, "a message above says the highest CPU");

static const char *take_list(struct wi_cpuset *set, const char *s)
{
	const char *wrong;

	while (is_blank(*s))
		s++;
	if (!*s)
		return NULL;
	do {
		wrong = take_range(set, &s);
		if (wrong)
			return wrong;
	} while (take_char(&s, ','));
	while (is_blank(*s))
		s++;
	return *s ? "ranges are separated by single commas" : NULL;
}

int wi_cpuset_parse(struct wi_cpuset *set, const char *list, const char **why)
{
	const char *wrong;

	wi_cpuset_zero(set);
	wrong = take_list(set, list);
	if (!wrong)
		return 0;
	wi_cpuset_zero(set);
	if (why)
		*why = wrong;
	return -EINVAL;
}

/* ---- writing ---------------------------------------------------------- */

struct text {
	char *buf;
	size_t len;
	size_t used; /* may pass len; nothing is written there */
};

static void put_char(struct text *text, char c)
{
	if (text->used < text->len)
		text->buf[text->used] = c;
	text->used++;
}

static void put_number(struct text *text, unsigned n)
{
	if (n >= 10)
		put_number(text, n / 10);
	put_char(text, (char)('0' + n % 10));
}

int wi_cpuset_format(const struct wi_cpuset *set, char *buf, size_t len)
{
	struct text text = { .buf = buf, .len = len };
	unsigned first = wi_cpuset_next(set, 0), last;

	while (first < WI_CPUS_MAX) {
		for (last = first; wi_cpuset_test(set, last + 1);)
			last++;
		if (text.used)
			put_char(&text, ',');
		put_number(&text, first);
		if (last > first) {
			put_char(&text, '-');
			put_number(&text, last);
		}
		first = wi_cpuset_next(set, last + 1);
	}
	if (text.used < len) {
		buf[text.used] = '\0';
		return (int)text.used;
	}
	if (len)
		buf[0] = '\0';
	return -ENOSPC;
}
