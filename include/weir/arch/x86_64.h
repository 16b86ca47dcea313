/* SPDX-License-Identifier: MIT */
/*
 * x86-64: the sequences of contract.h.
 *
 * Why they look as they do:
 *  - The word before an abort handler is the signature the C library
 *    registered; it stands in an undefined instruction's operand (0f b9 3d),
 *    so that disassemblers stay in step.
 *  - rax holds the address of the descriptor from the arming on, and 0 from
 *    the moment a mark may stand in busy: the abort handler tells by it
 *    whether r8 is a mark to take back. The ordinary path pays nothing.
 *  - An ordinary CPU needs the low half of active alone (set and Q); where Q
 *    is set, the whole word is loaded again and used instead.
 *  - rseq_cs is left clear where the code may be unloaded, which is in shared
 *    objects: a stale rseq_cs would then kill the thread at its next
 *    preemption. In an executable, and in libweir itself (linked nodelete),
 *    the descriptor stays, which saves a store of the three an operation
 *    makes: on a CPU that retires one store a cycle, a quarter of its time.
 *  - gcc 12 miscompiles asm goto with outputs (PR113921): pop is a plain asm,
 *    push, which has no output, jumps.
 *  - Stores are not reordered with stores here: the commit is a release
 *    without a fence. (ARCH-R1, ARCH-R2; the fences of xchg are ARCH-F1 and
 *    ARCH-F2; docs/ordering.md has their partners.)
 *
 * Registers: rax descriptor or 0, rcx active (quiet) or scratch, rdx header,
 * r8 mark, r9 offset of the set, r10 area, r11 scratch.
 */
#ifndef WEIR_FAST_H
#error "include <weir/fast.h>"
#endif

#include <stddef.h>
#include <sys/rseq.h>

#define WEIR_STR_(x) #x
#define WEIR_STR(x) WEIR_STR_(x)

#define WEIR_X86_BURST 0x100000000 /* 1 << WEIR_MARK_BURST_BIT */
#define WEIR_X86_RSEQ_CPU "%%fs:4(%[rseq])"
#define WEIR_X86_RSEQ_CS "%%fs:8(%[rseq])"

/* Tests put delays here (tests/inject.h); r11 and the flags are free. 1: active
 * is loaded; 2: the mark stands, active is not compared yet; 3: all is ready
 * but the commit. */
#ifndef WEIR_X86_INJECT
#define WEIR_X86_INJECT(n)
#endif

/* clang-format off */
#define WEIR_X86_DESCRIPTOR                                                    \
	"	.pushsection __rseq_cs, \"aw\"\n"                              \
	"	.balign 32\n"                                                  \
	"3:	.long 0, 0\n"                                                  \
	"	.quad 1f, (2f - 1f), 4f\n"                                     \
	"	.popsection\n"

/* Arm, find this CPU's area. */
#define WEIR_X86_ENTER                                                         \
	"	leaq 3b(%%rip), %%rax\n"                                       \
	"	movq %%rax, " WEIR_X86_RSEQ_CS "\n"                            \
	"1:	movl " WEIR_X86_RSEQ_CPU ", %%r10d\n"                          \
	"	cmpl %[nr_cpus], %%r10d\n"                                     \
	"	jae 6f\n"                                                      \
	"	imulq $" WEIR_STR(WEIR_AREA_BYTES) ", %%r10, %%r10\n"          \
	"	addq %[areas], %%r10\n"

/* r8 = this thread's id as it stands in a mark, 0 before its first use. */
#define WEIR_X86_THREAD                                                        \
	"	movq weir_thread_mark@gottpoff(%%rip), %%r8\n"                 \
	"	movq %%fs:(%%r8), %%r8\n"

/* Find the header; `unable` is the mask that is 0 in an empty or full list.
 * On a quiet CPU announce the operation (ARCH-F1), unless in a burst. */
#define WEIR_X86_HEADER(unable)                                                \
	"	movl " WEIR_STR(WEIR_AREA_ACTIVE) "(%%r10), %%r9d\n"           \
	WEIR_X86_INJECT(1)                                                     \
	"	testl %%r9d, %%r9d\n"                                          \
	"	jns 8f\n"                                                      \
	"	movq " WEIR_STR(WEIR_AREA_ACTIVE) "(%%r10), %%rcx\n"           \
	"	movl %%ecx, %%r9d\n"                                           \
	"	andl $0x7fffffff, %%r9d\n"                                     \
	WEIR_X86_THREAD                                                        \
	"	movabsq $" WEIR_STR(WEIR_X86_BURST) ", %%r11\n"               \
	"	addq %%r8, %%r11\n"                                           \
	"	cmpq %%r11, " WEIR_STR(WEIR_AREA_BUSY) "(%%r10)\n"             \
	"	je 8f\n"                                                       \
	"	movq %c[header](%%r10, %%r9), %%rdx\n"                         \
	"	testl $" unable ", %%edx\n"                                    \
	"	jz 6f\n"                                                       \
	"	testq %%r8, %%r8\n"                                            \
	"	jz 9f\n"                                                       \
	"	shrq $" WEIR_STR(WEIR_HEADER_OPS_SHIFT) ", %%rdx\n"            \
	"	movl %%edx, %%edx\n"                                           \
	"	orq %%rdx, %%r8\n"                                             \
	"	movabsq %[list_mark], %%r11\n"                                 \
	"	orq %%r11, %%r8\n"                                             \
	"	movq %%r8, %%r11\n"                                            \
	"	xorl %%eax, %%eax\n"                                           \
	"	xchgq %%r11, " WEIR_STR(WEIR_AREA_BUSY) "(%%r10)\n"            \
	WEIR_X86_INJECT(2)                                                     \
	"	cmpq %%rcx, " WEIR_STR(WEIR_AREA_ACTIVE) "(%%r10)\n"           \
	"	jne 5f\n"                                                      \
	"8:	movq %c[header](%%r10, %%r9), %%rdx\n"                         \
	"	testl $" unable ", %%edx\n"                                    \
	"	jz 6f\n"                                                       \
	WEIR_X86_INJECT(3)

#if defined(__PIC__) && !defined(__PIE__) && !defined(WEIR_STAYS_LOADED)
#define WEIR_X86_DISARM "	movq $0, " WEIR_X86_RSEQ_CS "\n"
#else
#define WEIR_X86_DISARM
#endif
#define WEIR_X86_LEAVE "7:\n" WEIR_X86_DISARM

/* Out of the way: the abort handler (4), active moved (5): take the mark back
 * (ARCH-R2); then `again`. 6: the list is empty or full. 9: no mark yet. */
#define WEIR_X86_ABORT(none, again)                                            \
	"	.pushsection .text.unlikely, \"ax\"\n"                         \
	"	.byte 0x0f, 0xb9, 0x3d\n"                                      \
	"	.long 0x53053053\n"                                            \
	"4:	testq %%rax, %%rax\n"                                          \
	"	jnz 9f\n"                                                      \
	"5:	movq %%r8, %%rax\n"                                            \
	"	xorl %%ecx, %%ecx\n"                                           \
	"	lock cmpxchgq %%rcx, " WEIR_STR(WEIR_AREA_BUSY) "(%%r10)\n"    \
	"9:\n" again                                                           \
	"6:\n" none                                                            \
	"	.popsection\n"
#define WEIR_X86_NO_MARK                                                       \
	"	.pushsection .text.unlikely, \"ax\"\n"                         \
	"	.byte 0x0f, 0xb9, 0x3d\n"                                      \
	"	.long 0x53053053\n"                                            \
	"4:\n"                                                             \
	"6:	jmp 7b\n"                                                      \
	"	.popsection\n"
/* clang-format on */

/*
 * Where the C library keeps rseq, from the thread pointer. It never changes,
 * which the compiler cannot know of a variable: so it may keep the value over
 * the sequences.
 */
WEIR_INLINE ptrdiff_t weir_x86_rseq(void)
{
	ptrdiff_t offset;

	__asm__("movq __rseq_offset@GOTPCREL(%%rip), %[offset]\n\t"
		"movq (%[offset]), %[offset]"
		: [offset] "=r"(offset));
	return offset;
}

#define WEIR_X86_INPUTS(l, list)                                               \
	[rseq] "r"(weir_x86_rseq()), [nr_cpus] "m"((l)->nr_cpus),                \
		[areas] "m"((l)->areas),                                       \
		[header] "i"(8 * (list)),                                      \
		[list_mark] "i"((uint64_t)(list) << WEIR_MARK_LIST_SHIFT)

#define WEIR_X86_CLOBBERS                                                      \
	"rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc"
#define WEIR_X86_COPY_CLOBBERS                                                 \
	"xmm0", "xmm1", "xmm2", "xmm3", WEIR_X86_CLOBBERS

#define WEIR_X86_FAIL(value)                                                   \
	"	movq $" #value ", %[token]\n"                                  \
	"	jmp 7b\n"
#define WEIR_X86_GOTO(label)                                                   \
	WEIR_X86_DISARM                                                        \
	"	jmp %l[" #label "]\n"
/* A bulk form moved nothing: its pointer tells, set back to where it began. */
#define WEIR_X86_GIVE_UP_BULK                                                  \
	"	movq %[tokens], %[moved]\n"                                    \
	"	jmp 7b\n"

WEIR_INLINE uint64_t weir_seq_pop(const struct weir_lists *l,
				  const unsigned list)
{
	uint64_t token;

	__asm__ __volatile__(
		WEIR_X86_DESCRIPTOR WEIR_X86_ENTER
		WEIR_X86_HEADER("0xfff")
		"	movzwl %%dx, %k[token]\n"
		"	movq -8(%%r10, %[token]), %[token]\n"
		"	addq $" WEIR_STR(WEIR_HEADER_POP) ", %%rdx\n"
		"	movq %%rdx, %c[header](%%r10, %%r9)\n" /* ARCH-R1 */
		"2:\n"
		WEIR_X86_LEAVE
		WEIR_X86_ABORT(WEIR_X86_FAIL(-1), WEIR_X86_FAIL(-2))
		: [token] "=&r"(token)
		: WEIR_X86_INPUTS(l, list)
		: WEIR_X86_CLOBBERS);
	return token;
}

WEIR_INLINE int weir_seq_push(const struct weir_lists *l, const unsigned list,
			      uint64_t token)
{
	__asm__ goto(
		WEIR_X86_DESCRIPTOR WEIR_X86_ENTER
		WEIR_X86_HEADER("0x1ff0000")
		"	movzwl %%dx, %%ecx\n"
		"	movq %[token], (%%r10, %%rcx)\n"
		"	addq $" WEIR_STR(WEIR_HEADER_PUSH) ", %%rdx\n"
		"	movq %%rdx, %c[header](%%r10, %%r9)\n" /* ARCH-R1 */
		"2:\n"
		WEIR_X86_LEAVE
		WEIR_X86_ABORT(WEIR_X86_GOTO(full), WEIR_X86_GOTO(again))
		:
		: WEIR_X86_INPUTS(l, list), [token] "r"(token)
		: WEIR_X86_CLOBBERS
		: full, again);
	return 1;
full:
	return 0;
again:
	return -1;
}

/* Legacy forms would stall where the program uses the wide registers. */
#ifdef __AVX__
#define WEIR_X86_MOVUPS "	vmovups "
#else
#define WEIR_X86_MOVUPS "	movups "
#endif

/* Copies %[left] bytes, a multiple of 8, and commits the header in rdx. */
#define WEIR_X86_COPY(from, to)                                                \
	"10:	subq $64, %[left]\n"                                           \
	"	jb 11f\n"                                                      \
	WEIR_X86_MOVUPS "(" from "), %%xmm0\n"                                   \
	WEIR_X86_MOVUPS "16(" from "), %%xmm1\n"                                 \
	WEIR_X86_MOVUPS "32(" from "), %%xmm2\n"                                 \
	WEIR_X86_MOVUPS "48(" from "), %%xmm3\n"                                 \
	WEIR_X86_MOVUPS "%%xmm0, (" to ")\n"                                     \
	WEIR_X86_MOVUPS "%%xmm1, 16(" to ")\n"                                   \
	WEIR_X86_MOVUPS "%%xmm2, 32(" to ")\n"                                   \
	WEIR_X86_MOVUPS "%%xmm3, 48(" to ")\n"                                   \
	"	addq $64, " from "\n"                                          \
	"	addq $64, " to "\n"                                            \
	"	jmp 10b\n"                                                     \
	"11:	addq $64, %[left]\n"                                           \
	"	jz 13f\n"                                                      \
	"12:	movq (" from "), %%r11\n"                                      \
	"	movq %%r11, (" to ")\n"                                        \
	"	addq $8, " from "\n"                                           \
	"	addq $8, " to "\n"                                             \
	"	subq $8, %[left]\n"                                            \
	"	jnz 12b\n"                                                     \
	"13:	movq %%rdx, %c[header](%%r10, %%r9)\n" /* ARCH-R1 */           \
	"2:\n"

WEIR_INLINE unsigned weir_seq_pop_bulk(const struct weir_lists *l,
				       const unsigned list, uint64_t *tokens,
				       unsigned n)
{
	uint64_t *to = tokens;
	uint64_t left = (uint64_t)n * 8;

	__asm__ __volatile__(
		WEIR_X86_DESCRIPTOR WEIR_X86_ENTER
		WEIR_X86_HEADER("0xfff")
		"	movl %%edx, %%ecx\n"
		"	andl $0xfff, %%ecx\n"
		"	cmpq %%rcx, %[left]\n"
		"	cmovaq %%rcx, %[left]\n" /* 8 * min(n, tokens) */
		"	movzwl %%dx, %%ecx\n"
		"	addq %%r10, %%rcx\n"
		"	subq %[left], %%rcx\n"
		"	movq %[left], %%r11\n"
		"	shlq $13, %%r11\n" /* room + as many */
		"	leaq 0x4000000(%%rdx, %%r11), %%rdx\n"
		"	subq %[left], %%rdx\n"
		WEIR_X86_COPY("%%rcx", "%[moved]")
		WEIR_X86_LEAVE
		WEIR_X86_ABORT(WEIR_X86_GIVE_UP_BULK, WEIR_X86_GIVE_UP_BULK)
		: [moved] "+&r"(to), [left] "+&r"(left)
		: WEIR_X86_INPUTS(l, list), [tokens] "r"(tokens)
		: WEIR_X86_COPY_CLOBBERS);
	return (unsigned)(to - tokens);
}

WEIR_INLINE unsigned weir_seq_push_bulk(const struct weir_lists *l,
					const unsigned list,
					const uint64_t *tokens, unsigned n)
{
	const uint64_t *from = tokens;
	uint64_t left = (uint64_t)n * 8;

	__asm__ __volatile__(
		WEIR_X86_DESCRIPTOR WEIR_X86_ENTER
		WEIR_X86_HEADER("0x1ff0000")
		"	movl %%edx, %%ecx\n"
		"	shrl $13, %%ecx\n"
		"	andl $0xff8, %%ecx\n" /* 8 * room */
		"	cmpq %%rcx, %[left]\n"
		"	cmovaq %%rcx, %[left]\n"
		"	movzwl %%dx, %%ecx\n"
		"	addq %%r10, %%rcx\n"
		"	movq %[left], %%r11\n"
		"	shlq $13, %%r11\n"
		"	subq %%r11, %%rdx\n"
		"	leaq 0x4000000(%%rdx, %[left]), %%rdx\n"
		WEIR_X86_COPY("%[moved]", "%%rcx")
		WEIR_X86_LEAVE
		WEIR_X86_ABORT(WEIR_X86_GIVE_UP_BULK, WEIR_X86_GIVE_UP_BULK)
		: [moved] "+&r"(from), [left] "+&r"(left)
		: WEIR_X86_INPUTS(l, list), [tokens] "r"(tokens)
		: WEIR_X86_COPY_CLOBBERS);
	return (unsigned)(from - tokens);
}

WEIR_INLINE void weir_seq_tick(const struct weir_lists *l)
{
	__asm__ __volatile__(
		WEIR_X86_DESCRIPTOR WEIR_X86_ENTER
		"	movq " WEIR_STR(WEIR_AREA_ACTIVE) "(%%r10), %%rcx\n"
		"	movq %%rcx, " WEIR_STR(WEIR_AREA_SEEN) "(%%r10)\n"
		"2:\n"
		WEIR_X86_LEAVE
		WEIR_X86_NO_MARK
		:
		: [rseq] "r"(weir_x86_rseq()), [nr_cpus] "m"(l->nr_cpus),
		  [areas] "m"(l->areas)
		: "rax", "rcx", "r10", "memory", "cc");
}

WEIR_INLINE char *weir_seq_burst(const struct weir_lists *l)
{
	char *area = NULL;

	__asm__ __volatile__(
		WEIR_X86_DESCRIPTOR WEIR_X86_ENTER
		"	cmpl $0, " WEIR_STR(WEIR_AREA_ACTIVE) "(%%r10)\n"
		"	jns 6f\n"
		WEIR_X86_THREAD
		"	testq %%r8, %%r8\n"
		"	jz 6f\n"
		"	btsq $" WEIR_STR(WEIR_MARK_BURST_BIT) ", %%r8\n"
		"	cmpq %%r8, " WEIR_STR(WEIR_AREA_BUSY) "(%%r10)\n"
		"	je 6f\n"
		"	xchgq %%r8, " WEIR_STR(WEIR_AREA_BUSY) "(%%r10)\n"
		"2:	movq %%r10, %[area]\n" /* ARCH-F2 */
		WEIR_X86_LEAVE
		WEIR_X86_NO_MARK
		: [area] "+&r"(area)
		: [rseq] "r"(weir_x86_rseq()), [nr_cpus] "m"(l->nr_cpus),
		  [areas] "m"(l->areas)
		: "rax", "r8", "r10", "memory", "cc");
	return area;
}

