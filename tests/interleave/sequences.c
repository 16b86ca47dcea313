/* SPDX-License-Identifier: MIT */
/*
 * weir/arch/x86_64.h, access by access. What the registers hold keeps its
 * name; the comments give the labels there. What only a thread itself sees
 * (its CPU's number, its mark, the arming) needs no point of its own: whoever
 * comes in between aborts the sequence at the next one.
 */
#include <weir/fast.h>

#include "interleave/sched.h"

uint64_t interleave_commits;

#define BURST (UINT64_C(1) << WEIR_MARK_BURST_BIT)
#define QUIET (UINT32_C(1) << WEIR_ACTIVE_QUIET_BIT)

static uint64_t get(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void set(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_SEQ_CST);
}

static uint64_t *word(char *area, uint64_t offset)
{
	return (uint64_t *)(void *)(area + offset);
}

/* From the header in rdx to the commit; false: aborted. */
static bool operate(struct interleave_op *op, char *area, uint64_t *header,
		    uint64_t rdx)
{
	uint64_t top = rdx & 0xffff;
	uint64_t most = (op->push ? rdx >> 13 : rdx) & 0xff8;
	uint64_t left = most < op->n * 8 ? most : op->n * 8;
	uint64_t *slot = word(area, op->push ? top : top - left);

	for (unsigned i = 0; i < left / 8; i++) {
		if (sched_aborted_at(&slot[i], op->push ? "store the token"
							: "load the token"))
			return false;
		if (op->push)
			set(&slot[i], op->tokens[i]);
		else
			op->tokens[i] = get(&slot[i]);
	}
	rdx += op->push ? left - (left << 13) : (left << 13) - left;
	rdx += UINT64_C(2) << WEIR_HEADER_OPS_SHIFT;
	if (sched_aborted_at(header, "commit"))
		return false;
	set(header, rdx); /* 2, 32 */
	sched_disarm();
	interleave_commits++;
	op->n = (unsigned)(left / 8);
	return true;
}

/* 34, and 5: not in a sequence any more. */
static enum interleave_result take_back(const struct weir_i_lists *l,
					char *area, uint64_t r8)
{
	uint64_t *busy = word(area, WEIR_AREA_BUSY);

	if (l->nr_cpus != 0) {
		interleave_point((uintptr_t)busy, "take the mark back");
		__atomic_compare_exchange_n(busy, &r8, 0, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	return INTERLEAVE_AGAIN;
}

/* 8: the second sequence, on a quiet CPU. */
static enum interleave_result operate_quietly(struct interleave_op *op,
					      char *area, uint64_t unable)
{
	struct sched_sequence sequence;
	uint64_t *active = word(area, WEIR_AREA_ACTIVE);
	uint64_t *busy = word(area, WEIR_AREA_BUSY);
	uint64_t r8 = weir_i_thread_burst, rcx, rdx, *header;

	interleave_point((uintptr_t)area, "begin to announce");
	sched_arm(&sequence);
	if (sched_cpu() >= op->lists->nr_cpus ||
	    sched_cpu() != *(uint32_t *)(void *)(area + WEIR_AREA_CPU)) {
		sched_disarm();
		return INTERLEAVE_AGAIN;
	}
	if (sched_aborted_at(active, "load active"))
		return INTERLEAVE_AGAIN;
	rcx = get(active);
	if (!((uint32_t)rcx & QUIET)) {
		sched_disarm();
		return INTERLEAVE_AGAIN;
	}
	header = word(area, ((uint32_t)rcx & ~QUIET) + 8 * op->list);
	if (sched_aborted_at(header, "load the header"))
		return INTERLEAVE_AGAIN;
	rdx = get(header);
	if (!(rdx & unable)) {
		sched_disarm();
		return INTERLEAVE_NONE;
	}
	if (sched_aborted_at(busy, "look for a burst"))
		return INTERLEAVE_AGAIN;
	if (get(busy) != r8) { /* 31 */
		r8 &= ~BURST;
		if (r8 == 0) {
			sched_disarm();
			return INTERLEAVE_AGAIN;
		}
		r8 |= (uint32_t)(rdx >> WEIR_HEADER_OPS_SHIFT);
		r8 |= (uint64_t)op->list << WEIR_MARK_LIST_SHIFT;
		if (sched_aborted_at(busy, "mark"))
			return take_back(op->lists, area, r8);
		__atomic_exchange_n(busy, r8, __ATOMIC_SEQ_CST);
		if (sched_aborted_at(active, "load active again"))
			return take_back(op->lists, area, r8);
		if (get(active) != rcx) {
			sched_disarm();
			return take_back(op->lists, area, r8);
		}
	}
	if (operate(op, area, header, rdx)) /* 35 */
		return INTERLEAVE_DONE;
	return r8 & BURST ? INTERLEAVE_AGAIN : take_back(op->lists, area, r8);
}

/* Is what is pushed of this area? Not that of a CPU which the thread has been
 * moved from since the caller looked. */
static bool admits(const struct interleave_op *op, char *area)
{
	const uint64_t first = get(word(area, WEIR_AREA_FIRST));

	if (!op->push)
		return true;
	return op->bulk ? op->first == first
			: op->last - first < get(word(area, WEIR_AREA_BOUND));
}

uint32_t interleave_cpu(void)
{
	return sched_cpu();
}

enum interleave_result interleave_operate(struct interleave_op *op)
{
	const uint64_t unable =
		op->push ? WEIR_HEADER_ROOM_MASK : WEIR_HEADER_TOP_MASK;
	struct sched_sequence sequence;
	uint64_t *header, rdx;
	uint32_t r9;
	char *area;

	sched_arm(&sequence);
	if (sched_cpu() >= op->lists->nr_cpus) {
		sched_disarm();
		return INTERLEAVE_NONE;
	}
	area = op->lists->areas + sched_cpu() * (uint64_t)WEIR_AREA_BYTES;
	if (sched_aborted_at(area + WEIR_AREA_ACTIVE, "load active"))
		return INTERLEAVE_AGAIN;
	r9 = (uint32_t)get(word(area, WEIR_AREA_ACTIVE));
	if (!admits(op, area)) {
		sched_disarm();
		return INTERLEAVE_NONE;
	}
	if (r9 & QUIET) {
		sched_disarm();
		return operate_quietly(op, area, unable);
	}
	header = word(area, r9 + 8 * op->list);
	if (sched_aborted_at(header, "load the header"))
		return INTERLEAVE_AGAIN;
	rdx = get(header);
	if (!(rdx & unable)) {
		sched_disarm();
		return INTERLEAVE_NONE;
	}
	return operate(op, area, header, rdx) ? INTERLEAVE_DONE
					      : INTERLEAVE_AGAIN;
}

void interleave_tick(const struct weir_i_lists *l)
{
	for (unsigned tries = 0; tries < 64; tries++) {
		struct sched_sequence sequence;
		uint64_t rcx;
		char *area;

		sched_arm(&sequence);
		if (sched_cpu() >= l->nr_cpus) {
			sched_disarm();
			return;
		}
		area = l->areas + sched_cpu() * (uint64_t)WEIR_AREA_BYTES;
		if (sched_aborted_at(area + WEIR_AREA_ACTIVE, "load active"))
			continue;
		rcx = get(word(area, WEIR_AREA_ACTIVE));
		if (sched_aborted_at(area + WEIR_AREA_SEEN, "tick"))
			continue;
		set(word(area, WEIR_AREA_SEEN), rcx);
		sched_disarm();
		return;
	}
}

char *interleave_burst(const struct weir_i_lists *l)
{
	struct sched_sequence sequence;
	uint64_t r8, *busy;
	char *area;

	sched_arm(&sequence);
	if (sched_cpu() >= l->nr_cpus) {
		sched_disarm();
		return NULL;
	}
	area = l->areas + sched_cpu() * (uint64_t)WEIR_AREA_BYTES;
	if (sched_aborted_at(area + WEIR_AREA_ACTIVE, "load active"))
		return NULL;
	r8 = weir_i_thread_burst;
	if (!((uint32_t)get(word(area, WEIR_AREA_ACTIVE)) & QUIET) || r8 == 0) {
		sched_disarm();
		return NULL;
	}
	r8 |= BURST;
	busy = word(area, WEIR_AREA_BUSY);
	if (sched_aborted_at(busy, "look for a burst"))
		return NULL;
	if (get(busy) == r8) {
		sched_disarm();
		return NULL;
	}
	if (sched_aborted_at(busy, "mark a burst"))
		return NULL;
	__atomic_exchange_n(busy, r8, __ATOMIC_SEQ_CST);
	sched_disarm();
	return area;
}
