/* SPDX-License-Identifier: MIT */
/*
 * Every row of /proc/interrupts for one CPU: not only the rows an interrupt
 * is expected in, so that none goes unseen because it came by another way.
 */
#ifndef WEIR_VM_COUNTS_H
#define WEIR_VM_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/interrupts.h"

#define COUNTS_ROWS 64

struct counts {
	unsigned nr_rows;
	struct count {
		char name[8]; /* LOC, RES, CAL, ... or the number of a line */
		uint64_t number;
	} row[COUNTS_ROWS];
};

/* The test fails if it cannot be read. */
void counts_read(struct interrupts *in, struct counts *counts);

/* Adds to `sum` what came between two readings. */
void counts_add(struct counts *sum, const struct counts *from,
		const struct counts *to);

/* Of one row; 0 if there is none of that name. */
uint64_t counts_of(const struct counts *counts, const char *name);

/* What the CPU raises on itself: its timer's, and interrupt work (IWI), since
 * work that another CPU queues for it comes as CAL. */
uint64_t counts_own(const struct counts *counts);

/* All others. */
uint64_t counts_sent(const struct counts *counts);

/* "LOC 12 RES 1", the rows that are not 0. */
void counts_print(const struct counts *counts, char *text, unsigned len);

#endif
