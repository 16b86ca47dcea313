/* SPDX-License-Identifier: MIT */
/*
 * Operations on the lists of the CPU that the thread is on, in every mode: a
 * sequence, or in locked mode the area's trylock.
 *
 * Threads, signals: any. Progress: none waits; an operation that is aborted too
 * often, or does not get the lock, does less than was asked.
 */
#ifndef WI_PERCPU_LIST_H
#define WI_PERCPU_LIST_H

#include "percpu/drain.h"

/* What the sequences need of the areas of a rank, 0 for each CPU's home zone;
 * nr_cpus 0 in locked mode. */
struct weir_i_lists wi_percpu_lists(const struct wi_drain *drain,
				    unsigned rank);

/* The CPU this thread is on, its zone, and its area of a zone. */
unsigned wi_percpu_cpu_here(const struct wi_drain *drain);
unsigned wi_percpu_zone_here(const struct wi_drain *drain);
struct wi_area *wi_percpu_area_here(const struct wi_drain *drain,
				    unsigned zone);

/* Does this CPU have a list of that number now? A hint: the null set has
 * none. */
bool wi_percpu_has_list(const struct wi_drain *drain, unsigned zone,
			unsigned list);

/* The most tokens that this CPU's list may have; in the null set as the lists
 * were made. A hint, at least 1. */
unsigned wi_percpu_limit_here(const struct wi_drain *drain, unsigned zone,
			      unsigned list);

/* Pops up to n tokens from this CPU's list; fewer when it is empty, or has no
 * set. In a pool of several zones the tokens may be of other zones than
 * `zone`, and of several: the thread may have been moved to a CPU at home
 * elsewhere. */
size_t wi_percpu_pop(struct wi_drain *drain, unsigned zone, unsigned list,
		     uint64_t *tokens, size_t n);

/* How many of n tokens of that zone this CPU's list took; fewer when it is
 * full. */
size_t wi_percpu_push(struct wi_drain *drain, unsigned zone, unsigned list,
		      const uint64_t *tokens, size_t n);

/*
 * Refills that follow each other take more each time, and flushes leave less,
 * so that a CPU that only allocates or only frees is seldom in a zone. A drain
 * in between begins anew: what was taken from a list was not used up. Returns
 * how many of these (which: 1 refills, -1 flushes) came right before this one.
 */
unsigned wi_area_count_in_a_row(struct wi_area *area, unsigned list, int which);

/* The next refill or flush is the first of a row. */
void wi_area_end_row(struct wi_area *area, unsigned list);

/*
 * Leaves evidence that this CPU is between operations. An operation that found
 * its list empty or full, or has no list, commits nothing: without this tick a
 * drain could wait for ever for an owner that makes no other operations.
 */
void wi_percpu_tick(const struct wi_drain *drain, unsigned zone);

/*
 * An operation on one zone's area is no evidence for this CPU's areas of other
 * zones, of which a drain may wait for each: those whose active was exchanged
 * since their last tick get one. Also where the CPU is quiet by now: the drain
 * may wait for a set of its polling mode.
 */
void wi_percpu_tick_others(const struct wi_drain *drain, unsigned zone);

void wi_percpu_tick_all(const struct wi_drain *drain);

/* Marks this CPU's area of its home zone for a burst of this thread. The area,
 * or NULL. */
void *wi_percpu_burst_begin(struct wi_drain *drain);
void wi_percpu_burst_end(void *area);

/*
 * Ends the effect of this thread's bursts, on whatever CPU they began, since
 * the current drainer may wait for one of them while this thread is about to
 * wait for that drain. They continue with a fence for each operation. (Locked
 * mode has no bursts. A thread that gets the mutex at once keeps them: a
 * drainer does not wait for itself, EVIDENCE-R1.)
 */
void wi_percpu_drop_bursts(struct wi_drain *drain);

/* The first slow path on a CPU that was not online when the lists were made
 * sets up its area, unless a drain is running: then the next one does. */
void wi_percpu_wake_here(struct wi_drain *drain);

#endif
