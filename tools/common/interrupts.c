/* SPDX-License-Identifier: MIT */
#include "common/interrupts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_CAPACITY 65536

static bool grow(struct interrupts *in)
{
	size_t capacity = in->capacity ? 2 * in->capacity : FIRST_CAPACITY;
	char *text = realloc(in->text, capacity);

	if (!text)
		return false;
	in->text = text;
	in->capacity = capacity;
	return true;
}

/* The whole file, NUL-terminated. */
static int read_text(struct interrupts *in)
{
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (len + 1 >= in->capacity && !grow(in))
			return -ENOMEM;
		n = pread(in->fd, in->text + len, in->capacity - len - 1,
			  (off_t)len);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	in->text[len] = '\0';
	return 0;
}

/* Which of the words "CPU0 CPU1 CPU3 ..." is this CPU's? */
static int find_column(struct interrupts *in, unsigned cpu)
{
	char *at = in->text;

	for (unsigned column = 0; *at && *at != '\n'; column++) {
		at += strspn(at, " ");
		if (strncmp(at, "CPU", 3) != 0)
			break;
		if (strtoul(at + 3, &at, 10) == cpu) {
			in->column = column;
			return 0;
		}
	}
	return -ENODATA;
}

/* The column's number in a line "NAME:  1  2  3  what it is". */
static bool number_in_line(const struct interrupts *in, const char *line,
			   uint64_t *number)
{
	const char *colon = strchr(line, ':');
	char *at;

	if (!colon)
		return false;
	at = (char *)colon + 1;
	for (unsigned column = 0;; column++) {
		char *end;
		uint64_t value = strtoull(at, &end, 10);

		if (end == at)
			return false;
		if (column == in->column) {
			*number = value;
			return true;
		}
		at = end;
	}
}

static bool ends_with(const char *line, const char *words)
{
	size_t n = strlen(line), m = strlen(words);

	return n >= m && strcmp(line + n - m, words) == 0;
}

int interrupts_each(struct interrupts *in, interrupts_row *row, void *ctx)
{
	int err = read_text(in);
	uint64_t number;

	if (err != 0)
		return err;
	for (char *line = in->text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (number_in_line(in, line, &number))
			row(ctx, line, number);
	}
	return 0;
}

struct reading {
	struct interrupt_counts *counts;
	unsigned found;
};

static void read_row(void *ctx, const char *line, uint64_t number)
{
	struct reading *reading = ctx;

	if (ends_with(line, "Function call interrupts")) {
		reading->counts->calls = number;
		reading->found++;
	} else if (ends_with(line, "Rescheduling interrupts")) {
		reading->counts->reschedules = number;
		reading->found++;
	} else if (ends_with(line, "TLB shootdowns")) {
		reading->counts->shootdowns = number;
	}
}

int interrupts_read(struct interrupts *in, struct interrupt_counts *counts)
{
	struct reading reading = { counts, 0 };
	int err;

	*counts = (struct interrupt_counts){ 0 };
	err = interrupts_each(in, read_row, &reading);
	return err != 0 ? err : reading.found == 2 ? 0 : -ENODATA;
}

int interrupts_open(struct interrupts *in, unsigned cpu)
{
	struct interrupt_counts counts;
	int err;

	*in = (struct interrupts){ 0 };
	in->fd = open("/proc/interrupts", O_RDONLY | O_CLOEXEC);
	if (in->fd < 0)
		return -errno;
	err = read_text(in);
	if (err == 0)
		err = find_column(in, cpu);
	if (err == 0)
		err = interrupts_read(in, &counts);
	if (err != 0)
		interrupts_close(in);
	return err;
}

bool interrupts_has(unsigned cpu)
{
	struct interrupts in = { .fd = -1 };
	bool has = false;

	in.fd = open("/proc/interrupts", O_RDONLY | O_CLOEXEC);
	if (in.fd >= 0)
		has = read_text(&in) == 0 && find_column(&in, cpu) == 0;
	interrupts_close(&in);
	return has;
}

void interrupts_close(struct interrupts *in)
{
	if (in->fd >= 0)
		close(in->fd);
	free(in->text);
	*in = (struct interrupts){ .fd = -1 };
}
