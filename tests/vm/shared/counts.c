/* SPDX-License-Identifier: MIT */
#include "shared/counts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

static struct count *row_of(struct counts *counts, const char *name)
{
	struct count *row;

	for (unsigned i = 0; i < counts->nr_rows; i++)
		if (strcmp(counts->row[i].name, name) == 0)
			return &counts->row[i];
	CHECK(counts->nr_rows < COUNTS_ROWS);
	row = &counts->row[counts->nr_rows++];
	snprintf(row->name, sizeof(row->name), "%s", name);
	row->number = 0;
	return row;
}

static void take_row(void *ctx, const char *line, uint64_t number)
{
	char name[8];
	size_t len;

	while (isspace((unsigned char)*line))
		line++;
	len = strcspn(line, ":");
	CHECK(len < sizeof(name));
	memcpy(name, line, len);
	name[len] = '\0';
	row_of(ctx, name)->number = number;
}

void counts_read(struct interrupts *in, struct counts *counts)
{
	counts->nr_rows = 0;
	CHECK_EQ(interrupts_each(in, take_row, counts), 0);
	CHECK(counts->nr_rows > 5);
}

void counts_add(struct counts *sum, const struct counts *from,
		const struct counts *to)
{
	for (unsigned i = 0; i < to->nr_rows; i++) {
		const struct count *row = &to->row[i];

		row_of(sum, row->name)->number +=
			row->number - counts_of(from, row->name);
	}
}

uint64_t counts_of(const struct counts *counts, const char *name)
{
	for (unsigned i = 0; i < counts->nr_rows; i++)
		if (strcmp(counts->row[i].name, name) == 0)
			return counts->row[i].number;
	return 0;
}

uint64_t counts_own(const struct counts *counts)
{
	return counts_of(counts, "LOC") + counts_of(counts, "IWI");
}

uint64_t counts_sent(const struct counts *counts)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < counts->nr_rows; i++)
		sum += counts->row[i].number;
	return sum - counts_own(counts);
}

void counts_print(const struct counts *counts, char *text, unsigned len)
{
	unsigned at = 0;

	snprintf(text, len, "none");
	for (unsigned i = 0; i < counts->nr_rows && at < len; i++)
		if (counts->row[i].number != 0)
			at += (unsigned)snprintf(text + at, len - at,
						 "%s%s %" PRIu64, at ? " " : "",
						 counts->row[i].name,
						 counts->row[i].number);
}
