/* SPDX-License-Identifier: MIT */
/*
 * Whether this process has restartable sequences and membarrier, and the mark
 * of each of its threads.
 */
#ifndef WI_OS_RSEQ_H
#define WI_OS_RSEQ_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/fast.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "os/os.h"

/*
 * Does what is needed once in a process. The library's constructor calls it,
 * and each creation of a pool or cache, since that constructor may not have
 * run. 0, or a negative errno: nothing may be created.
 */
int wi_rseq_begin(void);

/* Are there restartable sequences, and a membarrier for them? Determined once
 * in a process, which registers with membarrier then. */
bool wi_rseq_available(void);
bool wi_rseq_has_membarrier(void);

/* Whose area sequences use. */
enum wi_rseq_owner wi_rseq_owner(void);

/*
 * Gives this thread its mark, if it has none of this process yet. Each slow
 * path calls it before it uses weir_i_thread_burst. Call after wi_rseq_begin().
 */
void wi_rseq_thread_init(void);

/*
 * May a pool that is made now have a fast path? Not where a thread of this
 * process may still have a mark of the process that forked it. Gives this
 * thread its mark, too.
 */
bool wi_rseq_is_settled(void);

/*
 * Does the kernel abort a sequence when its thread is preempted, or for a
 * membarrier? Runs a long sequence beside a thread that disturbs this CPU.
 * False only if it was disturbed many times and never aborted.
 */
bool wi_rseq_aborts(void);

/* --- marks ------------------------------------------------------------- */

WI_INLINE bool wi_mark_is_burst(uint64_t mark)
{
	return mark >> WEIR_MARK_BURST_BIT & 1;
}

WI_INLINE uint32_t wi_mark_thread(uint64_t mark)
{
	return (uint32_t)(mark >> WEIR_MARK_THREAD_SHIFT);
}

WI_INLINE unsigned wi_mark_list(uint64_t mark)
{
	return (unsigned)(mark >> WEIR_MARK_LIST_SHIFT) & 0x1ff;
}

WI_INLINE uint64_t wi_thread_mark(uint32_t tid)
{
	return (uint64_t)tid << WEIR_MARK_THREAD_SHIFT;
}

WI_INLINE uint64_t wi_burst_mark(uint64_t thread_mark)
{
	return thread_mark | UINT64_C(1) << WEIR_MARK_BURST_BIT;
}

/* The mark of the calling thread, without list and header. */
WI_INLINE uint64_t wi_own_mark(void)
{
	return wi_thread_mark(wi_mark_thread(weir_i_thread_burst));
}

#endif
