/* SPDX-License-Identifier: MIT */
/*
 * One row of the demo: one way to rescue pages, one thing the owner does.
 *
 * Interrupts are counted in windows of one rescue (of a few where reading the
 * counters takes long). Beside each lies a window of the same length in which
 * the owner does the same and nobody rescues; which of the two comes first
 * alternates. Both begin only when the owner, unless it sleeps, has just shown
 * that it has its CPU. What other programs send there falls into both alike,
 * so
 *
 *   - the excess of the one sum over the other estimates what rescues cause;
 *   - were they to cause nothing, each window would be as likely to have more
 *     than its neighbour as to have fewer. `chance` is how likely so lopsided
 *     a count is then (a one-sided sign test); bursts do not fool it.
 *
 * Every system call a way makes for a rescue has done its work when it
 * returns, so what it causes falls into the window.
 */
#ifndef WEIR_TOOL_DEMO_ROW_H
#define WEIR_TOOL_DEMO_ROW_H

#include "common/interrupts.h"
#include "demo/owner.h"

#define ROW_STOCK 50 /* free pages, all of them in the owner's list */
#define ROW_RESCUES_MIN 20
/* Interrupts a rescue that count at most: a burst that comes from elsewhere
 * is not to outweigh all other windows. */
#define ROW_CLIP 4

struct row {
	const struct demo_way *way;
	enum owner_scene scene;
	char why_not[64]; /* why it is not here, or "" */

	unsigned attempts;
	unsigned rescued;	 /* of them got pages */
	unsigned collected;	 /* got them when the owner was back */
	uint64_t pages;		 /* by the rescues */
	uint64_t pending;	 /* pages, summed over rescues that failed */
	uint64_t p50_ns, p99_ns; /* of a rescue, or until it failed */

	bool counted;		/* the numbers of interrupts are meant: */
	uint64_t with, without; /* in windows with rescues, in the others */
	double chance;

	uint64_t membarriers; /* as the way itself counts them */
	uint64_t preemptions; /* of the owner, by whomever */
	double op_ns;
	uint64_t faults; /* pages seen in two hands */
	bool lost;	 /* pages were missing at the end */
};

/* Told how far a row is. */
typedef void row_progress(void *ctx, const struct row *row, unsigned percent);

struct row_setting {
	const struct demo_machine *machine;
	struct interrupts *interrupts; /* NULL: they cannot be counted */
	unsigned rescues;	       /* where they are cheap */
	row_progress *progress;
	void *ctx;
};

/* `row` has way and scene; the rest is filled in. 0 or a negative errno. */
int row_run(struct row *row, const struct row_setting *setting);

/* Interrupts per rescue beyond those that came without. */
double row_excess(const struct row *row);

#endif
