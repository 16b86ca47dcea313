/* SPDX-License-Identifier: MIT */
/*
 * How many interrupts other CPUs sent to one CPU: its column of
 * /proc/interrupts, in the rows
 *
 *   Function call interrupts   membarrier, TLB shootdowns, scheduled work
 *   Rescheduling interrupts    a thread was woken or moved there
 *
 * found by these words, as the rows' names differ between architectures. A
 * row "TLB shootdowns" is read too but not added: since Linux 4.8 the row of
 * function calls has them as well.
 *
 * Reading interrupts nobody. It takes some 60 microseconds on a small machine
 * and milliseconds on a big one: keep it out of what is timed.
 */
#ifndef WEIR_TOOL_INTERRUPTS_H
#define WEIR_TOOL_INTERRUPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct interrupts {
	int fd;
	unsigned column; /* of the CPU, from 0 */
	char *text;
	size_t capacity;
};

struct interrupt_counts {
	uint64_t calls;
	uint64_t reschedules;
	uint64_t shootdowns; /* in calls too */
};

/* 0; -ENODATA when the file lacks that CPU or the rows; another -errno. */
int interrupts_open(struct interrupts *in, unsigned cpu);
void interrupts_close(struct interrupts *in);

/* Does the file have a column for that CPU? */
bool interrupts_has(unsigned cpu);

/* 0 or a negative errno. */
int interrupts_read(struct interrupts *in, struct interrupt_counts *counts);

/* Told of each row of the file that has a number for the CPU: its line, from
 * the name to what it is. */
typedef void interrupts_row(void *ctx, const char *line, uint64_t number);

/* 0 or a negative errno. */
int interrupts_each(struct interrupts *in, interrupts_row *row, void *ctx);

/* Those sent by other CPUs between two readings. */
static inline uint64_t interrupts_between(const struct interrupt_counts *from,
					  const struct interrupt_counts *to)
{
	return to->calls - from->calls + to->reschedules - from->reschedules;
}

#endif
