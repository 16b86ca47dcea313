/* SPDX-License-Identifier: MIT */
/* Evidence from the words of an area: see evidence.h. */
#include "percpu/evidence.h"

#include "os/os.h"

void wi_exchange_active(struct wi_exchange *exchange, struct wi_area *area,
			uint64_t word)
{
	const uint64_t *header = wi_area_headers(area, wi_active_set(word));

	/* Before the exchange no thread writes this set: a later change of a
	 * header was made by a sequence that loaded the new word. */
	for (unsigned list = 0; list < WEIR_NR_LISTS; list++)
		exchange->header[list] = wi_load_relaxed(&header[list]);
	exchange->word = word;
	/* DRAIN-F1 (partners ARCH-F1, ARCH-F2, LOCKED-F1, LOCKED-A1): the
	 * new active before the load of busy; and all that was written to the
	 * new set before its name. Without: an owner commits to a set whose
	 * drainer saw busy still 0. */
	wi_xchg_full(&area->active, word);
	/* EVIDENCE-A2 (partners ARCH-R2, LOCKED-R2): what the mark protected is
	 * seen once the mark is seen gone. Full, as an acquire alone may pass
	 * the exchange on some CPUs. */
	exchange->busy = wi_load_full(&area->busy);
}

bool wi_evidence_progress(const struct wi_exchange *exchange,
			  const struct wi_area *area)
{
	unsigned set = wi_active_set(exchange->word);

	/* EVIDENCE-A1 (partners ARCH-R1, LOCKED-R1, LOCKED-R3): with the later
	 * operation's commit, or tick, all that earlier ones wrote is seen. */
	if (wi_load_acquire(&area->seen) == exchange->word)
		return true;
	if (set == WI_SET_NULL)
		return false;
	for (unsigned list = 0; list < WEIR_NR_LISTS; list++)
		/* EVIDENCE-A1 */
		if (wi_load_acquire(&area->header[set - WI_SET_0][list]) !=
		    exchange->header[list])
			return true;
	return false;
}

/* May an operation that set this mark still commit to a set taken away? */
static bool mark_protects(const struct wi_area *area, uint64_t mark,
			  unsigned taken)
{
	unsigned set = wi_mark_set(mark);
	unsigned list = wi_mark_list(mark);
	uint64_t header;

	if (mark == 0)
		return false;
	if (wi_mark_is_burst(mark))
		return true;
	if (!(taken & 1u << set) || list >= WEIR_NR_LISTS)
		return false;
	/* EVIDENCE-A1: the commit that outdated the mark, and its slot. */
	header = wi_load_acquire(&area->header[set - WI_SET_0][list]);
	return (uint32_t)wi_header_ops(header) == (uint32_t)mark;
}

bool wi_evidence_not_busy(struct wi_exchange *exchange, struct wi_area *area,
			  unsigned taken)
{
	uint64_t mark = exchange->busy;

	if (!mark_protects(area, mark, taken))
		return true;
	/* EVIDENCE-A2 (partners ARCH-R2, LOCKED-R2). */
	if (wi_load_acquire(&area->busy) != mark)
		return true;
	if (wi_thread_mark(wi_mark_thread(mark)) != wi_own_mark())
		return false;
	/* This thread's own: a burst it is in, or a sequence that was aborted
	 * by the signal whose handler this is. EVIDENCE-R1 (partner
	 * EVIDENCE-A2): as for any clear of a mark. */
	wi_cas_release(&area->busy, &mark, 0);
	return true;
}

bool wi_evidence_is_orphan(const struct wi_exchange *exchange)
{
	uint32_t tid = wi_mark_thread(exchange->busy);

	return tid != 0 && !wi_os_thread_exists(tid);
}

int wi_evidence_membarrier(unsigned cpu)
{
	int err = wi_os_membarrier_cpu(cpu);

	/* EVIDENCE-F1 (partner ARCH-R1): the kernel may have returned early
	 * without a fence; what the aborted sequences stored before their
	 * last commit is read after this. */
	wi_fence_full();
	return err;
}
