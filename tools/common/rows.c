/* SPDX-License-Identifier: MIT */
/* Rows of /proc/interrupts, and what they mean. */
#include "common/rows.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/interrupts.h"

/* ---- meanings ----------------------------------------------------------- */

static const struct watch_meaning meanings[] = {
	{ "Local timer interrupts", "timer tick",
	  "the tick, or a timer that a thread set; nohz_full stops the tick "
	  "while one thread alone is runnable there",
	  1 },
	{ "arch_timer", "timer tick",
	  "the tick, or a timer that a thread set; nohz_full stops the tick "
	  "while one thread alone is runnable there",
	  1 },
	{ "Timer broadcast interrupts", "timer broadcast",
	  "wakes the CPU from a deep sleep that stops its own timer; forbid "
	  "deep C-states",
	  8 },
	{ "Rescheduling interrupts", "reschedule",
	  "another CPU woke or moved a thread there; bind other threads "
	  "elsewhere, take the CPU out of load balancing",
	  2 },
	/* What drains of weir's add to it is shown apart (watch_pools.h). */
	{ "Function call interrupts", "function call",
	  "another CPU had it run something: a TLB flush, membarrier, work of "
	  "the kernel; what of it is TLB says the row of TLB shootdowns",
	  6 },
	{ "TLB shootdowns", "TLB shootdown",
	  "memory of a process that runs there was unmapped, moved or made "
	  "read-only (on x86 counted as function call, too)",
	  6 },
	{ "IRQ work interrupts", "deferred work",
	  "the kernel put something off until it was safe to do: tracing, "
	  "statistics, RCU",
	  5 },
	{ "Non-maskable interrupts", "NMI",
	  "the hard lockup detector, or perf that samples; switch the watchdog "
	  "off there",
	  5 },
	{ "Performance monitoring interrupts", "performance counter",
	  "perf that samples, or the hard lockup detector", 5 },
	{ "Thermal event interrupts", "heat",
	  "the CPU is too hot, or was; look at its cooling and frequency", 8 },
	{ "Machine check polls", "machine check poll",
	  "every five minutes; the machinecheck device's check_interval sets "
	  "it",
	  0 },
	{ "Machine check exceptions", "machine check",
	  "the hardware reports an error: read the kernel's log", 0 },
	{ "Hypervisor callback interrupts", "hypervisor",
	  "the host of this virtual machine has news; what can be done is "
	  "done there",
	  0 },
	{ "Spurious interrupts", "spurious",
	  "their source is unknown; rare ones are harmless", 0 },
};

static const struct watch_meaning device = {
	"", "device", "a device's interrupt; have it served by another CPU", 3
};

static const struct watch_meaning other = {
	"", "other",
	"the architecture's own; the kernel's words are all there "
	"is",
	0
};

#define NR_MEANINGS (sizeof(meanings) / sizeof(meanings[0]))

_Static_assert(NR_MEANINGS + 2 <= WATCH_MEANINGS, "a number for each");

unsigned watch_meaning_number(const struct watch_meaning *meaning)
{
	if (meaning == &device)
		return NR_MEANINGS;
	if (meaning == &other)
		return NR_MEANINGS + 1;
	return (unsigned)(meaning - meanings);
}

static bool ends_with(const char *words, const char *end)
{
	size_t n = strlen(words), m = strlen(end);

	return n >= m && strcmp(words + n - m, end) == 0;
}

const struct watch_meaning *watch_meaning(const char *name, const char *words)
{
	for (size_t i = 0; i < NR_MEANINGS; i++)
		if (ends_with(words, meanings[i].words))
			return &meanings[i];
	return name[0] >= '0' && name[0] <= '9' ? &device : &other;
}

/* ---- rows --------------------------------------------------------------- */

/* What follows the numbers of a line, with single blanks. */
static void copy_words(char *words, const char *line)
{
	const char *at = strchr(line, ':') + 1;
	size_t len = 0;

	for (char *end;; at = end) {
		strtoull(at, &end, 10);
		if (end == at || (*end != ' ' && *end != '\0'))
			break;
	}
	for (at += strspn(at, " "); *at && len + 1 < WATCH_WORDS; at++)
		if (*at != ' ' || at[1] != ' ')
			words[len++] = *at;
	words[len] = '\0';
	for (size_t i = 0; i < len; i++) /* it goes to terminals */
		if (words[i] < ' ' || words[i] > '~')
			words[i] = '?';
}

struct reading {
	struct watch_rows *rows;
	bool failed;
};

static void add_row(void *ctx, const char *line, uint64_t number)
{
	struct reading *reading = ctx;
	struct watch_rows *rows = reading->rows;
	struct watch_row *row;

	if (rows->nr == rows->capacity) {
		unsigned capacity = rows->capacity ? 2 * rows->capacity : 64;

		row = realloc(rows->row, capacity * sizeof(*row));
		if (!row) {
			reading->failed = true;
			return;
		}
		rows->row = row;
		rows->capacity = capacity;
	}
	line += strspn(line, " ");
	/* Sums over all CPUs, which stand in the column of the first. */
	if (strncmp(line, "ERR:", 4) == 0 || strncmp(line, "MIS:", 4) == 0)
		return;
	row = &rows->row[rows->nr++];
	row->number = number;
	snprintf(row->name, sizeof(row->name), "%.*s", (int)strcspn(line, ":"),
		 line);
	copy_words(row->words, line);
}

/* The file is opened anew, as columns move when CPUs come and go. */
int watch_read(struct watch_rows *rows, unsigned cpu)
{
	struct reading reading = { rows, false };
	struct interrupts in;
	int err = interrupts_open(&in, cpu);

	if (err != 0)
		return err;
	rows->nr = 0;
	err = interrupts_each(&in, add_row, &reading);
	interrupts_close(&in);
	return err == 0 && reading.failed ? -ENOMEM : err;
}

void watch_free(struct watch_rows *rows)
{
	free(rows->row);
	*rows = (struct watch_rows){ 0 };
}

uint64_t watch_moved(const struct watch_rows *before,
		     const struct watch_row *row)
{
	for (unsigned i = 0; i < before->nr; i++) {
		const struct watch_row *was = &before->row[i];

		if (strcmp(was->name, row->name) == 0)
			/* A device's row may have begun anew. */
			return row->number >= was->number
				       ? row->number - was->number
				       : row->number;
	}
	return row->number;
}
