/* SPDX-License-Identifier: MIT */
/*
 * x86-64: the sequences of contract.h.
 *
 * Why they look as they do:
 *  - Two sequences for each operation. The first, on every CPU, loads the low
 *    half of active, and leaves if Q is set; it has no other branch taken and
 *    no fence. The second is out of line; it announces and operates. One
 *    sequence for both was slower, by the jump over the announcing.
 *  - In the second one r8 is this thread's burst mark, and from the moment a
 *    mark may stand in busy that mark, without the burst's bit: the abort
 *    handler knows from that bit whether there is a mark to take back. (Not in
 *    a child that a signal's handler forked, which has no areas: nr_cpus is 0
 *    there.) The values of r8 in between are in no busy, or are outdated marks
 *    of this thread.
 *  - Arming comes before the range that it arms, in both. A signal may come
 *    there, whose handler arms the same descriptor: the thread would return
 *    into a range that is armed, which a kernel that debugs rseq takes for a
 *    system call inside it, and kills.
 *  - gcc 12 miscompiles asm goto with outputs (PR113921): pop is a plain asm,
 *    push, which has no output, jumps.
 *  - Stores are not reordered with stores here: the commit is a release
 *    without a fence. (ARCH-R1, ARCH-R2; the fences of xchg are ARCH-F1 and
 *    ARCH-F2; docs/ordering.md has their partners.)
 *
 * Registers: rax scratch, rcx whole active or scratch, and the token that is
 * popped, rdx header, r8 mark, r9 low half of active, r10 area. With Q
 * set r9 is 2^31 more than the set's offset, which the displacement takes off
 * again. Three that a function need not save are left for its arguments.
 *
 * A comment between two instructions says what is true there. The tests put
 * delays at these places.
 */
#ifndef WEIR_FAST_H
#error "include <weir/fast.h>"
#endif

#include <weir/arch/tsan.h>
#include <weir/arch/x86_64_asm.h>

#define WEIR_X86_ACTIVE WEIR_X86_STR(WEIR_AREA_ACTIVE) "(%%r10)"
#define WEIR_X86_BUSY WEIR_X86_STR(WEIR_AREA_BUSY) "(%%r10)"
/* The list's header, in the two sequences of an operation. */
#define WEIR_X86_HEADER "%c[header](%%r10, %%r9)"
#define WEIR_X86_QUIET_HEADER "%c[quiet_header](%%r10, %%r9)"

/* clang-format off */

/*
 *	arm
 * begin:
 *	cpu = this CPU; if (cpu >= nr_cpus) goto none
 *	area = areas + cpu * WEIR_AREA_BYTES
 */
#define WEIR_X86_ENTER                                                         \
	WEIR_X86_DESCRIPTOR("cs", "begin", "end", "abort")                     \
	WEIR_X86_ARM("cs")                                                     \
	WEIR_X86_L("begin") ":\n"                                              \
	"	movl " WEIR_X86_RSEQ_CPU ", %%r10d\n"                          \
	WEIR_X86_EITHER("cmpl %[nr_cpus], %%r10d", "cmp r10d, %[nr_cpus]")     \
	"	jae " WEIR_X86_L("none") "\n"                                  \
	"	imulq $" WEIR_X86_STR(WEIR_AREA_BYTES) ", %%r10, %%r10\n"          \
	WEIR_X86_EITHER("addq %[areas], %%r10", "add r10, %[areas]")           \
	WEIR_TSAN_COMPARE("%%r10", WEIR_X86_L("abort"))

/* mark = that of a burst of this thread: without a thread in it before the
 * thread's first slow path. */
#define WEIR_X86_THREAD                                                        \
	"	movq weir_i_thread_burst@gottpoff(%%rip), %%r8\n"                \
	"	movq %%fs:(%%r8), %%r8\n"

/* h = header of the list; if (!(h & able)) goto none: it is empty, or full. */
#define WEIR_X86_LOAD(header, able)                                            \
	"	movq " header ", %%rdx\n"                                      \
	"	testl $" able ", %%edx\n"                                      \
	"	jz " WEIR_X86_L("none") "\n"

/*
 * From the first sequence, which found Q set:
 *
 *	mark = burst mark of this thread
 *	arm
 * quiet_begin:
 *	cpu = this CPU; if (cpu >= nr_cpus) goto none
 *	if (cpu != area->cpu) goto again	(moved in between)
 *	a = area->active; if (!quiet(a)) goto again
 *	h = header in the set that a names; if it is empty or full, goto none
 */
#define WEIR_X86_ENTER_QUIET(able)                                             \
	WEIR_X86_DESCRIPTOR("quiet_cs", "quiet_begin", "quiet_end",            \
			    "quiet_abort")                                     \
	WEIR_X86_L("quiet") ":\n"                                              \
	/* between the two sequences */                                        \
	WEIR_X86_THREAD                                                        \
	WEIR_X86_ARM("quiet_cs")                                               \
	WEIR_X86_L("quiet_begin") ":\n"                                        \
	"	movl " WEIR_X86_RSEQ_CPU ", %%ecx\n"                           \
	WEIR_X86_EITHER("cmpl %[nr_cpus], %%ecx", "cmp ecx, %[nr_cpus]")       \
	"	jae " WEIR_X86_L("none") "\n"                                  \
	"	cmpl %%ecx, " WEIR_X86_STR(WEIR_AREA_CPU) "(%%r10)\n"              \
	"	jne " WEIR_X86_L("again") "\n"                                 \
	"	movq " WEIR_X86_ACTIVE ", %%rcx\n"                             \
	"	movl %%ecx, %%r9d\n"                                           \
	/* active is loaded */                                                 \
	"	testl %%r9d, %%r9d\n"                                          \
	"	jns " WEIR_X86_L("again") "\n"                                 \
	WEIR_X86_LOAD(WEIR_X86_QUIET_HEADER, able)

/*
 * Announce the operation, but not in a burst of this thread:
 *
 *	if (area->busy != mark) {
 *		mark &= ~burst; if (mark == 0) goto again
 *		mark |= operations of h | list
 *		exchange(&area->busy, mark)		(ARCH-F1)
 *		if (area->active != a) goto take_back
 *	}
 */
#define WEIR_X86_ANNOUNCE                                                      \
	"	cmpq %%r8, " WEIR_X86_BUSY "\n"                                \
	"	je " WEIR_X86_L("announced") "\n"                              \
	/* no mark stands yet */                                               \
	"	btrq $" WEIR_X86_STR(WEIR_MARK_BURST_BIT) ", %%r8\n"               \
	"	testq %%r8, %%r8\n"                                            \
	"	jz " WEIR_X86_L("again") "\n"                                  \
	"	movq %%rdx, %%rax\n"                                           \
	"	shrq $" WEIR_X86_STR(WEIR_HEADER_OPS_SHIFT) ", %%rax\n"            \
	"	movl %%eax, %%eax\n"                                           \
	"	orq %%rax, %%r8\n"                                             \
	"	.if %c[header]\n"                                              \
	"	movabsq {%[list_mark]|$%[list_mark]}, %%rax\n"                 \
	"	orq %%rax, %%r8\n"                                             \
	"	.endif\n"                                                      \
	"	movq %%r8, %%rax\n"                                            \
	"	xchgq %%rax, " WEIR_X86_BUSY "\n"                              \
	/* the mark stands */                                                  \
	"	cmpq %%rcx, " WEIR_X86_ACTIVE "\n"                             \
	"	jne " WEIR_X86_L("take_back") "\n"                             \
	WEIR_X86_L("announced") ":\n"

/*
 * What may be pushed to this area. After active, whose exchange comes after the
 * bounds are written (DRAIN-F1). It holds in the second sequence too, which
 * goes on with the same area: first is constant, bound only grows.
 */
#define WEIR_X86_ANY_TOKEN ""
/* if (last - area->first >= area->bound) goto none */
#define WEIR_X86_WITHIN_BOUNDS                                                 \
	"	movq " WEIR_X86_REG(last) ", %%rcx\n"                          \
	"	subq " WEIR_X86_STR(WEIR_AREA_FIRST) "(%%r10), %%rcx\n"            \
	"	cmpq " WEIR_X86_STR(WEIR_AREA_BOUND) "(%%r10), %%rcx\n"            \
	"	jae " WEIR_X86_L("none") "\n"
/* if (first != area->first) goto none */
#define WEIR_X86_SAME_FIRST                                                    \
	"	cmpq " WEIR_X86_REG(first) ", "                                \
	WEIR_X86_STR(WEIR_AREA_FIRST) "(%%r10)\n"                                  \
	"	jne " WEIR_X86_L("none") "\n"

/*
 * One operation:
 *
 *	enter
 *	a = low half of area->active
 *	admit: leaves if the token is not of this area
 *	if (quiet(a)) goto quiet
 *	h = header in the set that a names; if it is empty or full, goto none
 *	operate on the list, commit
 * end: done:
 *	disarm
 * out of line:
 *	quiet: enter_quiet, announce, operate and commit; quiet_end: goto done
 *	quiet_abort: goto again if mark is a burst's, or there are no areas
 *	take_back: compare and swap area->busy from mark to 0 (ARCH-R2)
 *	again, abort: at_again
 *	none: at_none
 */
#define WEIR_X86_OPERATION(able, admit, operate, at_none, at_again)            \
	WEIR_X86_BEGIN                                                         \
	WEIR_X86_ENTER                                                         \
	"	movl " WEIR_X86_ACTIVE ", %%r9d\n"                             \
	/* active is loaded */                                                 \
	admit                                                                  \
	"	testl %%r9d, %%r9d\n"                                          \
	"	js " WEIR_X86_L("quiet") "\n"                                  \
	WEIR_X86_LOAD(WEIR_X86_HEADER, able)                                   \
	/* all but the commit */                                               \
	operate("", WEIR_X86_HEADER)                                           \
	WEIR_X86_L("end") ":\n"                                                \
	WEIR_X86_L("done") ":\n"                                               \
	WEIR_X86_DISARM                                                        \
	WEIR_X86_COLD                                                          \
	WEIR_X86_ENTER_QUIET(able)                                             \
	WEIR_X86_ANNOUNCE                                                      \
	/* all but the commit */                                               \
	operate("quiet_", WEIR_X86_QUIET_HEADER)                               \
	WEIR_X86_L("quiet_end") ":\n"                                          \
	"	jmp " WEIR_X86_L("done") "\n"                                  \
	WEIR_X86_SIGNATURE                                                     \
	WEIR_X86_L("quiet_abort") ":\n"                                        \
	"	btq $" WEIR_X86_STR(WEIR_MARK_BURST_BIT) ", %%r8\n"                \
	"	jc " WEIR_X86_L("again") "\n"                                  \
	WEIR_X86_EITHER("movl %[nr_cpus], %%ecx", "mov ecx, %[nr_cpus]")       \
	"	testl %%ecx, %%ecx\n"                                          \
	"	je " WEIR_X86_L("again") "\n"                                  \
	WEIR_X86_L("take_back") ":\n"                                          \
	"	movq %%r8, %%rax\n"                                            \
	"	xorl %%ecx, %%ecx\n"                                           \
	"	lock cmpxchgq %%rcx, " WEIR_X86_BUSY "\n" /* ARCH-R2 */        \
	"	jmp " WEIR_X86_L("again") "\n"                                 \
	WEIR_X86_SIGNATURE                                                     \
	WEIR_X86_L("abort") ":\n"                                              \
	WEIR_X86_L("again") ":\n"                                              \
	at_again                                                               \
	WEIR_X86_L("none") ":\n"                                               \
	at_none                                                                \
	WEIR_X86_HOT                                                           \
	WEIR_X86_END

/* What an operation does that leaves: its token is a value that none has; */
#define WEIR_X86_FAIL(value)                                                   \
	"	movq $" #value ", " WEIR_X86_REG(token) "\n"                   \
	"	jmp " WEIR_X86_L("done") "\n"
/* it goes to a label of its function; */
#define WEIR_X86_GOTO(label)                                                   \
	WEIR_X86_DISARM                                                        \
	"	jmp %l[" #label "]\n"
/* a bulk form moved nothing, which its pointer tells: back where it began. */
#define WEIR_X86_GIVE_UP_BULK                                                  \
	"	movq " WEIR_X86_REG(tokens) ", " WEIR_X86_REG(moved) "\n"      \
	"	jmp " WEIR_X86_L("done") "\n"

/* token = slot below top; commit: h + WEIR_HEADER_POP (ARCH-R1) */
#define WEIR_X86_POP(way, header)                                              \
	"	movzwl %%dx, " WEIR_X86_REG32(token) "\n"                      \
	"	movq -8(%%r10, " WEIR_X86_REG(token) "), " WEIR_X86_REG(token) \
	"\n"                                                                   \
	"	addq $" WEIR_X86_STR(WEIR_HEADER_POP) ", %%rdx\n"                  \
	"	movq %%rdx, " header "\n"

/* slot at top = token; commit: h + WEIR_HEADER_PUSH (ARCH-R1) */
#define WEIR_X86_PUSH(way, header)                                             \
	"	movzwl %%dx, %%ecx\n"                                          \
	"	movq " WEIR_X86_REG(token) ", (%%r10, %%rcx)\n"                \
	"	addq $" WEIR_X86_STR(WEIR_HEADER_PUSH) ", %%rdx\n"                 \
	"	movq %%rdx, " header "\n"

/* Legacy forms would stall where the program uses the wide registers. */
#ifdef __AVX__
#define WEIR_X86_MOVUPS "	vmovups "
#else
#define WEIR_X86_MOVUPS "	movups "
#endif

/*
 * rcx is in bytes what the list has, or has room for:
 *
 *	left = min(left, rcx)
 *	rcx = area + top; r11 = left / 8 << WEIR_HEADER_ROOM_SHIFT
 */
#define WEIR_X86_AT_MOST                                                       \
	"	cmpq %%rcx, " WEIR_X86_REG(left) "\n"                          \
	"	cmovaq %%rcx, " WEIR_X86_REG(left) "\n"                        \
	"	movzwl %%dx, %%ecx\n"                                          \
	"	addq %%r10, %%rcx\n"                                           \
	"	movq " WEIR_X86_REG(left) ", %%r11\n"                          \
	"	shlq $13, %%r11\n"

/* Copies `left` bytes, a multiple of 8: lines of 64, then tokens; commits h
 * (ARCH-R1). */
#define WEIR_X86_COPY(from, to, way, header)                                   \
	WEIR_X86_L(way "line") ":\n"                                           \
	"	subq $64, " WEIR_X86_REG(left) "\n"                            \
	"	jb " WEIR_X86_L(way "rest") "\n"                               \
	WEIR_X86_MOVUPS "(" from "), %%xmm0\n"                                 \
	WEIR_X86_MOVUPS "16(" from "), %%xmm1\n"                               \
	WEIR_X86_MOVUPS "32(" from "), %%xmm2\n"                               \
	WEIR_X86_MOVUPS "48(" from "), %%xmm3\n"                               \
	WEIR_X86_MOVUPS "%%xmm0, (" to ")\n"                                   \
	WEIR_X86_MOVUPS "%%xmm1, 16(" to ")\n"                                 \
	WEIR_X86_MOVUPS "%%xmm2, 32(" to ")\n"                                 \
	WEIR_X86_MOVUPS "%%xmm3, 48(" to ")\n"                                 \
	"	addq $64, " from "\n"                                          \
	"	addq $64, " to "\n"                                            \
	"	jmp " WEIR_X86_L(way "line") "\n"                              \
	WEIR_X86_L(way "rest") ":\n"                                           \
	"	addq $64, " WEIR_X86_REG(left) "\n"                            \
	"	jz " WEIR_X86_L(way "commit") "\n"                             \
	WEIR_X86_L(way "token") ":\n"                                          \
	"	movq (" from "), %%r11\n"                                      \
	"	movq %%r11, (" to ")\n"                                        \
	"	addq $8, " from "\n"                                           \
	"	addq $8, " to "\n"                                             \
	"	subq $8, " WEIR_X86_REG(left) "\n"                             \
	"	jnz " WEIR_X86_L(way "token") "\n"                             \
	WEIR_X86_L(way "commit") ":\n"                                         \
	"	movq %%rdx, " header "\n"

/*
 *	k = min(n, tokens of h)
 *	copy k tokens from the slot k below top
 *	commit: top - 8k, room + k, operations + 2
 */
#define WEIR_X86_POP_BULK(way, header)                                         \
	"	movl %%edx, %%ecx\n"                                           \
	"	andl $" WEIR_X86_STR(WEIR_HEADER_TOP_MASK) ", %%ecx\n"             \
	WEIR_X86_AT_MOST                                                       \
	"	subq " WEIR_X86_REG(left) ", %%rcx\n"                          \
	"	leaq 0x4000000(%%rdx, %%r11), %%rdx\n"                         \
	"	subq " WEIR_X86_REG(left) ", %%rdx\n"                          \
	WEIR_X86_COPY("%%rcx", WEIR_X86_REG(moved), way, header)

/*
 *	k = min(n, room of h)
 *	copy k tokens to the slot at top
 *	commit: top + 8k, room - k, operations + 2
 */
#define WEIR_X86_PUSH_BULK(way, header)                                        \
	"	movl %%edx, %%ecx\n"                                           \
	"	shrl $13, %%ecx\n"                                             \
	"	andl $0xff8, %%ecx\n"                                          \
	WEIR_X86_AT_MOST                                                       \
	"	subq %%r11, %%rdx\n"                                           \
	"	leaq 0x4000000(%%rdx, " WEIR_X86_REG(left) "), %%rdx\n"        \
	WEIR_X86_COPY(WEIR_X86_REG(moved), "%%rcx", way, header)

/* clang-format on */

/*
 * The offset of the thread's rseq area. A compiler may keep it over sequences:
 * a late one delays the store that arms, and all loads behind it. It may not
 * load it before it has l, and so not before a pool was made: hence the asm,
 * which has l as an operand.
 */
WEIR_I_INLINE ptrdiff_t weir_i_rseq(const struct weir_i_lists *l)
{
	ptrdiff_t offset;

#ifdef __clang__
	/* It would load an operand in memory anew after each sequence. */
	__asm__("movq (%[word]), %[offset]"
		: [offset] "=r"(offset)
		: [word] "r"(&weir_i_rseq_offset), "r"(l));
#else
	__asm__("mov{q %[word], %[offset]| %[offset], %[word]}"
		: [offset] "=r"(offset)
		: [word] "m"(weir_i_rseq_offset), "r"(l));
#endif
	return offset;
}

#define WEIR_X86_PLAIN_INPUTS(l)                                               \
	[rseq] "r"(weir_i_rseq(l)), [nr_cpus] "m"((l)->nr_cpus),               \
		[areas] "m"((l)->areas)WEIR_TSAN_INPUT
#define WEIR_X86_INPUTS(l, list)                                               \
	WEIR_X86_PLAIN_INPUTS(l), [header] "i"(8 * (list)),                    \
		[quiet_header] "i"(8l * (list)-0x80000000l),                   \
		[list_mark] "i"(UINT64_C(1) * (list) << WEIR_MARK_LIST_SHIFT)

/* Beside rcx, which is an output of some. */
#define WEIR_X86_CLOBBERS "rax", "rdx", "r8", "r9", "r10", "memory", "cc"
#define WEIR_X86_COPY_CLOBBERS                                                 \
	"rcx", "r11", "xmm0", "xmm1", "xmm2", "xmm3", WEIR_X86_CLOBBERS

/* The text of a bulk form is longer than what ISO C demands of every compiler.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"

WEIR_I_INLINE uint32_t weir_i_cpu(const struct weir_i_lists *l)
{
	uint32_t cpu;

	__asm__ __volatile__(WEIR_X86_BEGIN
			     "	movl " WEIR_X86_RSEQ_CPU
			     ", " WEIR_X86_REG32(cpu) "\n" WEIR_X86_END
			     : [cpu] "=r"(cpu)
			     : [rseq] "r"(weir_i_rseq(l)));
	return cpu;
}

WEIR_I_INLINE uint64_t weir_i_pop(const struct weir_i_lists *l,
				  const unsigned list)
{
	uint64_t token;

	WEIR_TSAN_BEGIN(l);
	__asm__ __volatile__(WEIR_X86_OPERATION("0xfff", WEIR_X86_ANY_TOKEN,
						WEIR_X86_POP, WEIR_X86_FAIL(-1),
						WEIR_X86_FAIL(-2))
			     : [token] "=&c"(token)
			     : WEIR_X86_INPUTS(l, list)
			     : WEIR_X86_CLOBBERS);
	WEIR_TSAN_END();
	return token;
}

WEIR_I_INLINE int weir_i_push(const struct weir_i_lists *l, const unsigned list,
			      uint64_t token, uint64_t last)
{
	WEIR_TSAN_BEGIN(l);
	__asm__ goto(
		WEIR_X86_OPERATION("0x1ff0000", WEIR_X86_WITHIN_BOUNDS,
				   WEIR_X86_PUSH, WEIR_X86_GOTO(full),
				   WEIR_X86_GOTO(again))
		:
		: WEIR_X86_INPUTS(l, list), [token] "r"(token), [last] "r"(last)
		: "rcx", WEIR_X86_CLOBBERS
		: full, again);
	return 1;
full:
	return 0;
again:
	return -1;
}

WEIR_I_INLINE unsigned weir_i_pop_bulk(const struct weir_i_lists *l,
				       const unsigned list, uint64_t *tokens,
				       unsigned n)
{
	uint64_t *moved = tokens;
	uint64_t left = UINT64_C(8) * n;

	WEIR_TSAN_BEGIN(l);
	__asm__ __volatile__(WEIR_X86_OPERATION("0xfff", WEIR_X86_ANY_TOKEN,
						WEIR_X86_POP_BULK,
						WEIR_X86_GIVE_UP_BULK,
						WEIR_X86_GIVE_UP_BULK)
			     : [moved] "+&r"(moved), [left] "+&r"(left)
			     : WEIR_X86_INPUTS(l, list), [tokens] "r"(tokens)
			     : WEIR_X86_COPY_CLOBBERS);
	WEIR_TSAN_END();
	return WEIR_I_TO(unsigned, moved - tokens);
}

WEIR_I_INLINE unsigned weir_i_push_bulk(const struct weir_i_lists *l,
					const unsigned list,
					const uint64_t *tokens, unsigned n,
					uint64_t first)
{
	const uint64_t *moved = tokens;
	uint64_t left = UINT64_C(8) * n;

	WEIR_TSAN_BEGIN(l);
	__asm__ __volatile__(
		WEIR_X86_OPERATION("0x1ff0000", WEIR_X86_SAME_FIRST,
				   WEIR_X86_PUSH_BULK, WEIR_X86_GIVE_UP_BULK,
				   WEIR_X86_GIVE_UP_BULK)
		: [moved] "+&r"(moved), [left] "+&r"(left)
		: WEIR_X86_INPUTS(l, list), [tokens] "r"(tokens),
		  [first] "r"(first)
		: WEIR_X86_COPY_CLOBBERS);
	WEIR_TSAN_END();
	return WEIR_I_TO(unsigned, moved - tokens);
}

/* clang-format off */

/*
 * again:
 *	enter
 *	commit: area->seen = area->active (ARCH-R1)
 * abort:
 *	up to 64 times, for one lost would be waited for: goto again
 */
WEIR_I_INLINE void weir_i_tick(const struct weir_i_lists *l)
{
	uint32_t tries = 64;

	WEIR_TSAN_BEGIN(l);
	__asm__ __volatile__(
		WEIR_X86_BEGIN
		WEIR_X86_L("again") ":\n"
		WEIR_X86_ENTER
		"	movq " WEIR_X86_ACTIVE ", %%rcx\n"
		"	movq %%rcx, " WEIR_X86_STR(WEIR_AREA_SEEN) "(%%r10)\n"
		WEIR_X86_L("end") ":\n"
		WEIR_X86_L("done") ":\n"
		WEIR_X86_DISARM
		WEIR_X86_COLD
		WEIR_X86_SIGNATURE
		WEIR_X86_L("abort") ":\n"
		"	decl " WEIR_X86_REG(tries) "\n"
		"	jnz " WEIR_X86_L("again") "\n"
		WEIR_X86_L("none") ":\n"
		"	jmp " WEIR_X86_L("done") "\n"
		WEIR_X86_HOT
		WEIR_X86_END
		: [tries] "+&r"(tries)
		: WEIR_X86_PLAIN_INPUTS(l)
		: "rax", "rcx", "r10", "memory", "cc");
}

/*
 *	enter
 *	if (!quiet(area->active)) goto none
 *	mark = burst mark of this thread; if it has none yet, goto none
 *	if (area->busy == mark) goto none
 *	commit: exchange(&area->busy, mark) (ARCH-F2)
 * none, abort:
 */
WEIR_I_INLINE char *weir_i_burst(const struct weir_i_lists *l)
{
	char *area = WEIR_I_NULL;

	WEIR_TSAN_BEGIN(l);
	__asm__ __volatile__(
		WEIR_X86_BEGIN
		WEIR_X86_ENTER
		"	cmpl $0, " WEIR_X86_ACTIVE "\n"
		"	jns " WEIR_X86_L("none") "\n"
		WEIR_X86_THREAD
		"	testq %%r8, %%r8\n"
		"	jz " WEIR_X86_L("none") "\n"
		"	btsq $" WEIR_X86_STR(WEIR_MARK_BURST_BIT) ", %%r8\n"
		"	cmpq %%r8, " WEIR_X86_BUSY "\n"
		"	je " WEIR_X86_L("none") "\n"
		"	xchgq %%r8, " WEIR_X86_BUSY "\n"
		WEIR_X86_L("end") ":\n"
		"	movq %%r10, " WEIR_X86_REG(area) "\n"
		WEIR_X86_L("done") ":\n"
		WEIR_X86_DISARM
		WEIR_X86_COLD
		WEIR_X86_SIGNATURE
		WEIR_X86_L("abort") ":\n"
		WEIR_X86_L("none") ":\n"
		"	jmp " WEIR_X86_L("done") "\n"
		WEIR_X86_HOT
		WEIR_X86_END
		: [area] "+&r"(area)
		: WEIR_X86_PLAIN_INPUTS(l)
		: "rax", "r8", "r10", "memory", "cc");
	WEIR_TSAN_END();
	return area;
}
/* clang-format on */

#pragma GCC diagnostic pop
