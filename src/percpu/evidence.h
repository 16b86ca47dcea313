/* SPDX-License-Identifier: MIT */
/*
 * evidence: evidence that no operation can still write the sets taken from a
 * CPU.
 *
 * A drainer exchanges a CPU's `active` and must then know that no sequence
 * which loaded an earlier value can still commit. It looks for evidence, the
 * cheapest kind first:
 *
 *   progress    A header of the new set changed since before the exchange, or
 *               `seen` is the very word exchanged in. Only a sequence that
 *               loaded the new word writes either. Sequences on one CPU are
 *               serial, so all earlier ones committed or will be aborted.
 *               Good in every mode.
 *   not busy    `busy`, read after the exchange, is 0, or is a mark that
 *               protects none of the sets taken away: of another set, or of a
 *               header that has moved since, or of a thread that no longer
 *               exists, or of the drainer's own thread, which is not in a
 *               sequence (one that a signal interrupted is aborted); or busy
 *               has changed since. Good only where every sequence announces
 *               itself: the words that named the set were of quiet mode (or of
 *               locked mode, whose marks are those of the holders).
 *   membarrier  The kernel aborts what runs on that CPU. Good in every mode
 *               but the locked one; an interrupt if a thread of this process
 *               runs there now. So it is used only for ordinary CPUs, unless
 *               the caller allows more (may_interrupt of drain.h).
 *
 * No time bound ever stands in for evidence. A failed membarrier is none.
 *
 * How not-busy is sound (the announcing protocol; models/drain-announce):
 *
 *     owner, in one sequence              drainer
 *     load active -> a; load header       exchange active        DRAIN-F1
 *     exchange mark into busy  ARCH-F1    load busy -> w         EVIDENCE-A2
 *     load active; a? else leave          w protects? wait : done
 *     commit header            ARCH-R1    flush
 *
 *   Both exchanges are full fences: if w does not hold the owner's mark, the
 *   owner's second load of active sees the drainer's word, compares unequal
 *   (the drain number differs even if the set is the same again), and leaves.
 *   A mark that was overwritten belongs to a thread that was preempted, whose
 *   sequence the kernel aborts. The commit itself outdates the mark, so a
 *   finished operation clears nothing.
 *
 * Who calls: the holder of the drain mutex. Progress: no function waits, but
 * membarrier for the kernel.
 */
#ifndef WI_PERCPU_EVIDENCE_H
#define WI_PERCPU_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "percpu/area.h"

enum wi_evidence {
	WI_EVIDENCE_NONE,
	WI_EVIDENCE_PROGRESS,
	WI_EVIDENCE_NOT_BUSY,
	WI_EVIDENCE_MEMBARRIER,
	WI_NR_EVIDENCE,
};

/* The state of the last exchange of one CPU's active. */
struct wi_exchange {
	uint64_t word;			/* exchanged into active */
	uint64_t busy;			/* read after it */
	uint64_t header[WEIR_NR_LISTS]; /* of the new set, before it */
};

/* Exchanges active for the word of a set that no thread may write. */
void wi_exchange_active(struct wi_exchange *exchange, struct wi_area *area,
			uint64_t word);

bool wi_evidence_progress(const struct wi_exchange *exchange,
			  const struct wi_area *area);

/* `taken`: bits (1 << set) of the sets taken away. */
bool wi_evidence_not_busy(struct wi_exchange *exchange, struct wi_area *area,
			  unsigned taken);

/* Has the thread ended whose mark the drainer waits for? A system call. */
bool wi_evidence_is_orphan(const struct wi_exchange *exchange);

/* 0 is evidence for that CPU; anything else is not. */
int wi_evidence_membarrier(unsigned cpu);

#endif
