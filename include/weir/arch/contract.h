/* SPDX-License-Identifier: MIT */
/*
 * The contract between weir and one architecture: the layout of a per-CPU area,
 * and what each restartable sequence does.
 *
 * A port implements the functions named below (weir_i_...), each as one
 * restartable sequence (rseq(2)): it runs from its first instruction to its
 * commit on one CPU without being preempted, migrated or interrupted by a
 * signal handler of its thread, or it has no effect. weir/fast.h includes the
 * port; nothing else does.
 *
 *   A CPU's area, WEIR_AREA_BYTES long, offsets only (position independent):
 *
 *        0  +--------------------------------------------+
 *           | null set: a line of zeros, never written   |  offset 0: a set
 *       64  | active | busy | seen | number of the CPU   |  owner + drainer
 *       96  | first | bound                              |  drainer
 *      128  | counters of the slow paths                 |  owner
 *      256  | set 0: headers of its lists                |  owner, while it
 *      320  | set 1: headers of its lists                |  is in use
 *     4096  | set 0: WEIR_NR_LISTS arrays of 512 tokens  |
 *    32768  | set 1: WEIR_NR_LISTS arrays of 512 tokens  |
 *           +--------------------------------------------+
 *
 *   active   63               32 31 30                0
 *           +-------------------+--+-------------------+
 *           | drain number      |Q | offset of the set |
 *           +-------------------+--+-------------------+
 *     Q: this CPU is quiet, its operations announce themselves in busy.
 *     Every exchange of active increments the drain number. All zero names
 *     the null set, which is empty and full at once: caching is off.
 *
 *   header   63               25 24      16 15         0
 *           +-------------------+----------+------------+
 *           | operations        | room     | top        |
 *           +-------------------+----------+------------+
 *     top:  offset in the area of the slot above the last token; its low 12
 *           bits are 8 times the number of tokens, as each array has a page
 *           of its own. room: how many more the list may take; tokens + room
 *           is its limit, `high`. operations moves by 2, its lowest bit is the
 *           number of the set, and it never decreases. One store of the header
 *           commits an operation, and counts it.
 *
 *   busy     63          42 41      33 32 31             0
 *           +--------------+----------+--+----------------+
 *           | thread id    | list     |B | low operations |
 *           +--------------+----------+--+----------------+
 *     0, or the mark of an operation about to change that header, or (B) the
 *     mark of a burst, or of a thread that holds the area (locked mode). The
 *     thread id makes a mark unique; the operations outdate it as soon as the
 *     header moves. Nobody clears another thread's mark.
 *
 *   seen: the last active that a sequence found and left as evidence.
 *
 *   first, bound: the tokens that this area's lists may hold are those from
 *   first on, fewer than `bound` of them (first <= token < first + bound). Both
 *   are written before active names a set for the first time; first is constant
 *   from then on, bound may grow. A push compares within the sequence: before
 *   it the thread may still be moved to a CPU with other bounds.
 *
 * The sequences. `l` is the lists' base and number of CPUs; `list` a constant.
 *
 *   enter:  arm; cpu = this CPU, or leave with WEIR_NONE if >= l->nr_cpus
 *           area = l->areas + cpu * WEIR_AREA_BYTES
 *           a = area->active; h = header of `list` in the set that a names
 *           leave with WEIR_NONE if it is empty (pop) or full (push)
 *           if a is quiet and area->busy is not this thread's burst mark:
 *               leave with WEIR_AGAIN if the thread has no mark yet
 *               exchange {thread, list, operations of h} into busy (full fence)
 *               if area->active is not a: compare-and-swap busy from the
 *               mark to 0, leave with WEIR_AGAIN
 *   abort:  compare-and-swap busy from the mark to 0 if one was written
 *           (release); leave with WEIR_AGAIN
 *   leave:  nothing of the list was written; rseq_cs is left clear where the
 *           code may be unloaded
 *
 *   weir_i_pop        enter; token = slot below top;
 *                       commit: top - 8, room + 1, operations + 2 (release)
 *   weir_i_push       enter, but after loading a: leave with WEIR_NONE if
 *                       `last`, the last byte of what the token stands for
 *                       (or the token), is not within first and bound;
 *                       slot at top = token;
 *                       commit: top + 8, room - 1, operations + 2 (release)
 *                       returns 1, or 0 (full, or not of this area), or -1
 *                       (again)
 *   weir_i_pop_bulk   as pop for min(n, tokens) tokens, the deepest first;
 *                       returns how many, 0 where pop would leave
 *   weir_i_push_bulk  as push for min(n, room) tokens, all within the bounds
 *                       that weir_i_area_bounds() read with this `first`:
 * leaves with WEIR_NONE if the area's first is another; returns how many
 *   weir_i_tick       commit: seen = active (release)
 *   weir_i_burst      nothing on a CPU that is not quiet, or if busy is
 *                       this thread's burst mark already: returns 0; else
 *                       commit: exchange the burst mark into busy (full
 *                       fence); returns the area
 *   weir_i_cpu        no sequence: the CPU that this thread is on now, or
 *                       UINT32_MAX; a guess as soon as it is known
 *
 * The bulk forms return 0 both when the list was empty (or full) and when the
 * sequence was aborted: the caller retries a bounded number of times in its
 * slow path.
 */
#ifndef WEIR_ARCH_CONTRACT_H
#define WEIR_ARCH_CONTRACT_H

#ifndef WEIR_FAST_H
#error "include <weir/fast.h>"
#endif

#include <stdint.h>

#define WEIR_NR_LISTS 7
#define WEIR_LIST_MAX 511 /* tokens in a list at most */

#define WEIR_AREA_ACTIVE 64
#define WEIR_AREA_BUSY 72
#define WEIR_AREA_SEEN 80
#define WEIR_AREA_CPU 88
#define WEIR_AREA_FIRST 96
#define WEIR_AREA_BOUND 104
#define WEIR_AREA_SET0 256
#define WEIR_AREA_SET1 320
#define WEIR_AREA_TOKENS 4096
/* A little more than 15 pages: an odd multiple of 128 bytes, so that the areas
 * of many CPUs do not share one set of a cache. */
#define WEIR_AREA_BYTES 61568

#define WEIR_ACTIVE_QUIET_BIT 31
#define WEIR_HEADER_TOP_MASK 0xfff
#define WEIR_HEADER_ROOM_SHIFT 16
#define WEIR_HEADER_ROOM_MASK 0x1ff0000
#define WEIR_HEADER_OPS_SHIFT 25
/* What a pop and a push of one token add to the header. */
#define WEIR_HEADER_POP 0x400fff8
#define WEIR_HEADER_PUSH 0x3ff0008

#define WEIR_MARK_BURST_BIT 32
#define WEIR_MARK_LIST_SHIFT 33
#define WEIR_MARK_THREAD_SHIFT 42

/* The two values that no token may have. */
#define WEIR_NONE UINT64_MAX
#define WEIR_AGAIN (UINT64_MAX - 1)

/* A case for each list: the sequences need it as a constant. */
#define WEIR_I_LIST_SWITCH(list, CASE)                                         \
	switch (list) {                                                        \
		CASE(0)                                                        \
		CASE(1)                                                        \
		CASE(2)                                                        \
		CASE(3)                                                        \
		CASE(4)                                                        \
		CASE(5)                                                        \
		CASE(6)                                                        \
	default:                                                               \
		break;                                                         \
	}

/* What the sequences read of a set of lists; constant while it exists. */
struct weir_i_lists {
	char *areas;
	uint32_t nr_cpus; /* 0: every operation takes the slow path */
};

/* The tokens that an area's lists may hold. */
struct weir_i_bounds {
	uint64_t first, bound;
};

#endif
