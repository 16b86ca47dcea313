/* SPDX-License-Identifier: MIT */
/*
 * x86-64: the sequences of contract.h.
 *
 * Why they look as they do:
 *  - The word before an abort handler is the signature the C library
 *    registered; it is the operand of an undefined instruction (0f b9 3d), so
 *    that disassemblers stay synchronised.
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
 *  - What is unlikely is in subsection 1, behind the code of the section that
 *    the compiler is in, whichever that is. A section with a name may be the
 *    compiler's own (gcc puts cold functions into .text.unlikely), where
 *    pushing it leaves nothing and the commit would run into what is pushed. It
 *    also follows its function into a section group.
 *  - A descriptor belongs to the group of its function, if that is in one
 *    (flag ?), or the linker would keep it where it discards a second copy of
 *    the function. Each operation has a section of its own (unique): the
 *    linker discards it with the function (--gc-sections).
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
 * Registers: rax scratch, rcx whole active or scratch, and the token that is
 * popped, rdx header, r8 mark, r9 low half of active, r10 area. With Q
 * set r9 is 2^31 more than the set's offset, which the displacement takes off
 * again. Three that a function need not save are left for its arguments.
 *
 * Labels: 1 to 2 the first sequence, 4 its abort handler; 31 to 32 the second,
 * 34 its handler; 7 after the commit; 6 empty or full, 9 again.
 */
#ifndef WEIR_FAST_H
#error "include <weir/fast.h>"
#endif

#include <stddef.h>
#include <sys/rseq.h>

#include <weir/arch/tsan.h>

#define WEIR_STR_(x) #x
#define WEIR_STR(x) WEIR_STR_(x)

/*
 * -masm=intel changes how the compiler writes operands (the second of {a|b}),
 * and what it expects after the asm. The sequences are written in AT&T syntax:
 * between BEGIN and END the assembler is switched back to it. An operand in
 * memory is left to the other syntax.
 */
#define WEIR_X86_BEGIN "{|	.att_syntax prefix\n}"
#define WEIR_X86_END "{|	.intel_syntax noprefix\n}"
#define WEIR_X86_REG(name) "{%[" #name "]|%%%[" #name "]}"
#define WEIR_X86_REG32(name) "{%k[" #name "]|%%%k[" #name "]}"
#define WEIR_X86_EITHER(att, intel)                                            \
	"	{" att "|.intel_syntax noprefix\n"                             \
	"	" intel "\n"                                                   \
	"	.att_syntax prefix}\n"

#define WEIR_X86_RSEQ_CPU "%%fs:4(" WEIR_X86_REG(rseq) ")"
#define WEIR_X86_RSEQ_CS "%%fs:8(" WEIR_X86_REG(rseq) ")"

/* Tests put delays here (tests/inject.h); r11 and the flags are free. 0: the
 * header is loaded, no mark stands yet; 1: active is loaded; 2: the mark
 * stands, active is not compared yet; 3: all is ready but the commit; 4:
 * between the two sequences. */
#ifdef WEIR_X86_INJECT
#define WEIR_X86_INJECT_CLOBBERS , "r11"
#else
#define WEIR_X86_INJECT(n)
#define WEIR_X86_INJECT_CLOBBERS
#endif

/* clang-format off */
#define WEIR_X86_DESCRIPTOR(label, start, end, abort)                          \
	"	.pushsection __rseq_cs, \"aw?\", @progbits, unique, %=\n"      \
	"	.balign 32\n"                                                  \
	#label ":	.long 0, 0\n"                                          \
	"	.quad " #start ", (" #end " - " #start "), " #abort "\n"       \
	"	.popsection\n"
#define WEIR_X86_SIGNATURE                                                     \
	"	.byte 0x0f, 0xb9, 0x3d\n"                                      \
	"	.long 0x53053053\n"
/* With a name of its own, for debuggers and profilers. */
#define WEIR_X86_COLD                                                          \
	"	.subsection 1\n"                                               \
	"	.type weir_unlikely.%=, @function\n"                           \
	"weir_unlikely.%=:\n"
#define WEIR_X86_HOT                                                           \
	"	.size weir_unlikely.%=, . - weir_unlikely.%=\n"                \
	"	.previous\n"

/* Arm, find this CPU's area. */
#define WEIR_X86_ENTER                                                         \
	WEIR_X86_DESCRIPTOR(3, 1f, 2f, 4f)                                     \
	"	leaq 3b(%%rip), %%rax\n"                                       \
	"	movq %%rax, " WEIR_X86_RSEQ_CS "\n"                            \
	"1:	movl " WEIR_X86_RSEQ_CPU ", %%r10d\n"                          \
	WEIR_X86_EITHER("cmpl %[nr_cpus], %%r10d", "cmp r10d, %[nr_cpus]")     \
	"	jae 6f\n"                                                      \
	"	imulq $" WEIR_STR(WEIR_AREA_BYTES) ", %%r10, %%r10\n"          \
	WEIR_X86_EITHER("addq %[areas], %%r10", "add r10, %[areas]")           \
	WEIR_TSAN_COMPARE("%%r10", "4f")

#define WEIR_X86_ACTIVE WEIR_STR(WEIR_AREA_ACTIVE) "(%%r10)"
#define WEIR_X86_BUSY WEIR_STR(WEIR_AREA_BUSY) "(%%r10)"
#define WEIR_X86_HEADER "%c[header](%%r10, %%r9)"
#define WEIR_X86_QUIET_HEADER "%c[quiet_header](%%r10, %%r9)"

/* r8 = the mark of a burst of this thread; without a thread in it before the
 * thread's first slow path. */
#define WEIR_X86_THREAD                                                        \
	"	movq weir_thread_burst@gottpoff(%%rip), %%r8\n"                \
	"	movq %%fs:(%%r8), %%r8\n"

/* The header into rdx; `unable` is the mask that is 0 if it is empty or full. */
#define WEIR_X86_LOAD(header, unable)                                          \
	"	movq " header ", %%rdx\n"                                      \
	"	testl $" unable ", %%edx\n"                                    \
	"	jz 6f\n"

/* From the first sequence: arm the second, on the same CPU. */
#define WEIR_X86_ENTER_QUIET(unable)                                           \
	WEIR_X86_DESCRIPTOR(30, 31f, 32f, 34f)                                 \
	"8:\n"                                                                 \
	WEIR_X86_INJECT(4)                                                     \
	WEIR_X86_THREAD                                                        \
	"	leaq 30b(%%rip), %%rax\n"                                      \
	"	movq %%rax, " WEIR_X86_RSEQ_CS "\n"                            \
	"31:	movl " WEIR_X86_RSEQ_CPU ", %%ecx\n"                           \
	WEIR_X86_EITHER("cmpl %[nr_cpus], %%ecx", "cmp ecx, %[nr_cpus]")       \
	"	jae 6f\n"                                                      \
	"	cmpl %%ecx, " WEIR_STR(WEIR_AREA_CPU) "(%%r10)\n"              \
	"	jne 9f\n"                                                      \
	"	movq " WEIR_X86_ACTIVE ", %%rcx\n"                             \
	"	movl %%ecx, %%r9d\n"                                           \
	WEIR_X86_INJECT(1)                                                     \
	"	testl %%r9d, %%r9d\n"                                          \
	"	jns 9f\n"                                                      \
	WEIR_X86_LOAD(WEIR_X86_QUIET_HEADER, unable)

/* Announce the operation (ARCH-F1), but not in a burst of this thread. */
#define WEIR_X86_ANNOUNCE                                                      \
	"	cmpq %%r8, " WEIR_X86_BUSY "\n"                                \
	"	je 35f\n"                                                      \
	WEIR_X86_INJECT(0)                                                     \
	"	btrq $" WEIR_STR(WEIR_MARK_BURST_BIT) ", %%r8\n"               \
	"	testq %%r8, %%r8\n"                                            \
	"	jz 9f\n"                                                       \
	"	movq %%rdx, %%rax\n"                                           \
	"	shrq $" WEIR_STR(WEIR_HEADER_OPS_SHIFT) ", %%rax\n"            \
	"	movl %%eax, %%eax\n"                                           \
	"	orq %%rax, %%r8\n"                                             \
	"	.if %c[header]\n"                                              \
	"	movabsq {%[list_mark]|$%[list_mark]}, %%rax\n"                               \
	"	orq %%rax, %%r8\n"                                             \
	"	.endif\n"                                                      \
	"	movq %%r8, %%rax\n"                                            \
	"	xchgq %%rax, " WEIR_X86_BUSY "\n"                              \
	WEIR_X86_INJECT(2)                                                     \
	"	cmpq %%rcx, " WEIR_X86_ACTIVE "\n"                             \
	"	jne 5f\n"                                                      \
	"35:\n"

/*
 * Is what is pushed of this area? After active, whose exchange comes after the
 * bounds are written (DRAIN-F1). It holds in the second sequence too, which
 * goes on with the same area: first is constant, bound only grows.
 */
#define WEIR_X86_ANY_TOKEN ""
#define WEIR_X86_WITHIN_BOUNDS                                                 \
	"	movq " WEIR_X86_REG(last) ", %%rcx\n"                          \
	"	subq " WEIR_STR(WEIR_AREA_FIRST) "(%%r10), %%rcx\n"            \
	"	cmpq " WEIR_STR(WEIR_AREA_BOUND) "(%%r10), %%rcx\n"            \
	"	jae 6f\n"
#define WEIR_X86_SAME_FIRST                                                    \
	"	cmpq " WEIR_X86_REG(first) ", "                                \
	WEIR_STR(WEIR_AREA_FIRST) "(%%r10)\n"                                  \
	"	jne 6f\n"

/*
 * One operation: `admit` leaves if the token is not of this area;
 * `operate(header)` does it with the header in rdx and commits. `none` and
 * `again` leave.
 */
#define WEIR_X86_OPERATION(unable, admit, operate, none, again)                \
	WEIR_X86_BEGIN                                                         \
	WEIR_X86_ENTER                                                         \
	"	movl " WEIR_X86_ACTIVE ", %%r9d\n"                             \
	WEIR_X86_INJECT(1)                                                     \
	admit                                                                  \
	"	testl %%r9d, %%r9d\n"                                          \
	"	js 8f\n"                                                       \
	WEIR_X86_LOAD(WEIR_X86_HEADER, unable)                                 \
	WEIR_X86_INJECT(3)                                                     \
	operate(WEIR_X86_HEADER)                                               \
	"2:\n"                                                                 \
	"7:\n"                                                                 \
	WEIR_X86_DISARM                                                        \
	WEIR_X86_COLD                                                          \
	WEIR_X86_ENTER_QUIET(unable)                                           \
	WEIR_X86_ANNOUNCE                                                      \
	WEIR_X86_INJECT(3)                                                     \
	operate(WEIR_X86_QUIET_HEADER)                                         \
	"32:	jmp 7b\n"                                                      \
	WEIR_X86_SIGNATURE                                                     \
	"34:	btq $" WEIR_STR(WEIR_MARK_BURST_BIT) ", %%r8\n"                \
	"	jc 9f\n"                                                       \
	WEIR_X86_EITHER("movl %[nr_cpus], %%ecx", "mov ecx, %[nr_cpus]")       \
	"	testl %%ecx, %%ecx\n"                                         \
	"	je 9f\n"                                                       \
	"5:	movq %%r8, %%rax\n" /* take the mark back: ARCH-R2 */          \
	"	xorl %%ecx, %%ecx\n"                                           \
	"	lock cmpxchgq %%rcx, " WEIR_X86_BUSY "\n"                      \
	"	jmp 9f\n"                                                      \
	WEIR_X86_SIGNATURE                                                     \
	"4:\n"                                                                 \
	"9:\n" again                                                           \
	"6:\n" none                                                            \
	WEIR_X86_HOT                                                           \
	WEIR_X86_END

/* The end of a sequence that cannot be empty or full. */
#define WEIR_X86_LEAVE                                                         \
	"7:\n"                                                                 \
	WEIR_X86_DISARM                                                        \
	WEIR_X86_COLD                                                          \
	WEIR_X86_SIGNATURE                                                     \
	"4:\n"                                                                 \
	"6:	jmp 7b\n"                                                      \
	WEIR_X86_HOT                                                           \
	WEIR_X86_END
/* clang-format on */

#if defined(__PIC__) && !defined(__PIE__) && !defined(WEIR_STAYS_LOADED)
#define WEIR_X86_DISARM "	movq $0, " WEIR_X86_RSEQ_CS "\n"
#else
#define WEIR_X86_DISARM
#endif
/* __rseq_offset is declared const: the compiler may keep it over sequences. A
 * late one delays the store that arms, and all loads behind it. */
#define WEIR_X86_INPUTS(l, list)                                               \
	[rseq] "r"(__rseq_offset), [nr_cpus] "m"((l)->nr_cpus),                \
		[areas] "m"((l)->areas), [header] "i"(8 * (list)),             \
		[quiet_header] "i"(8l * (list)-0x80000000l),                   \
		[list_mark] "i"(UINT64_C(1) * (list) << WEIR_MARK_LIST_SHIFT)  \
			WEIR_TSAN_INPUT

/* Beside rcx, which is an output of some. */
#define WEIR_X86_CLOBBERS                                                      \
	"rax", "rdx", "r8", "r9", "r10", "memory", "cc" WEIR_X86_INJECT_CLOBBERS
#define WEIR_X86_COPY_CLOBBERS                                                 \
	"rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", \
		"xmm3", "memory", "cc"

#define WEIR_X86_FAIL(value)                                                   \
	"	movq $" #value ", " WEIR_X86_REG(token) "\n"                   \
							"	jmp 7b\n"
#define WEIR_X86_GOTO(label)                                                   \
	WEIR_X86_DISARM                                                        \
	"	jmp %l[" #label "]\n"
/* A bulk form moved nothing: its pointer tells, set back to where it began. */
#define WEIR_X86_GIVE_UP_BULK                                                  \
	"	movq " WEIR_X86_REG(tokens) ", " WEIR_X86_REG(                 \
		moved) "\n"                                                    \
		       "	jmp 7b\n"

/* clang-format off */
#define WEIR_X86_POP(header)                                                   \
	"	movzwl %%dx, " WEIR_X86_REG32(token) "\n"                      \
	"	movq -8(%%r10, " WEIR_X86_REG(token) "), " WEIR_X86_REG(token) \
	"\n"                                                                   \
	"	addq $" WEIR_STR(WEIR_HEADER_POP) ", %%rdx\n"                  \
	"	movq %%rdx, " header "\n" /* ARCH-R1 */

#define WEIR_X86_PUSH(header)                                                  \
	"	movzwl %%dx, %%ecx\n"                                          \
	"	movq " WEIR_X86_REG(token) ", (%%r10, %%rcx)\n"                \
	"	addq $" WEIR_STR(WEIR_HEADER_PUSH) ", %%rdx\n"                 \
	"	movq %%rdx, " header "\n" /* ARCH-R1 */

/* Legacy forms would stall where the program uses the wide registers. */
#ifdef __AVX__
#define WEIR_X86_MOVUPS "	vmovups "
#else
#define WEIR_X86_MOVUPS "	movups "
#endif

/* %[left], in bytes, becomes at most what the list has (or has room for), in
 * rcx. */
#define WEIR_X86_AT_MOST                                                       \
	"	cmpq %%rcx, " WEIR_X86_REG(left) "\n"                          \
	"	cmovaq %%rcx, " WEIR_X86_REG(left) "\n"                        \
	"	movzwl %%dx, %%ecx\n"                                          \
	"	addq %%r10, %%rcx\n"                                           \
	"	movq " WEIR_X86_REG(left) ", %%r11\n"                          \
	"	shlq $13, %%r11\n" /* as many tokens, where room stands */

/* Copies %[left] bytes, a multiple of 8, and commits rdx. */
#define WEIR_X86_COPY(from, to, header)                                        \
	"10:	subq $64, " WEIR_X86_REG(left) "\n"                            \
	"	jb 11f\n"                                                      \
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
	"	jmp 10b\n"                                                     \
	"11:	addq $64, " WEIR_X86_REG(left) "\n"                            \
	"	jz 13f\n"                                                      \
	"12:	movq (" from "), %%r11\n"                                      \
	"	movq %%r11, (" to ")\n"                                        \
	"	addq $8, " from "\n"                                           \
	"	addq $8, " to "\n"                                             \
	"	subq $8, " WEIR_X86_REG(left) "\n"                             \
	"	jnz 12b\n"                                                     \
	"13:	movq %%rdx, " header "\n" /* ARCH-R1 */

#define WEIR_X86_POP_BULK(header)                                              \
	"	movl %%edx, %%ecx\n"                                           \
	"	andl $0xfff, %%ecx\n"                                          \
	WEIR_X86_AT_MOST                                                       \
	"	subq " WEIR_X86_REG(left) ", %%rcx\n"                          \
	"	leaq 0x4000000(%%rdx, %%r11), %%rdx\n"                         \
	"	subq " WEIR_X86_REG(left) ", %%rdx\n"                          \
	WEIR_X86_COPY("%%rcx", WEIR_X86_REG(moved), header)

#define WEIR_X86_PUSH_BULK(header)                                             \
	"	movl %%edx, %%ecx\n"                                           \
	"	shrl $13, %%ecx\n"                                             \
	"	andl $0xff8, %%ecx\n"                                          \
	WEIR_X86_AT_MOST                                                       \
	"	subq %%r11, %%rdx\n"                                           \
	"	leaq 0x4000000(%%rdx, " WEIR_X86_REG(left) "), %%rdx\n"        \
	WEIR_X86_COPY(WEIR_X86_REG(moved), "%%rcx", header)
/* clang-format on */

WEIR_INLINE uint32_t weir_seq_cpu(void)
{
	uint32_t cpu;

	__asm__ __volatile__(WEIR_X86_BEGIN
			     "	movl " WEIR_X86_RSEQ_CPU
			     ", " WEIR_X86_REG32(cpu) "\n" WEIR_X86_END
			     : [cpu] "=r"(cpu)
			     : [rseq] "r"(__rseq_offset));
	return cpu;
}

WEIR_INLINE uint64_t weir_seq_pop(const struct weir_lists *l,
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

WEIR_INLINE int weir_seq_push(const struct weir_lists *l, const unsigned list,
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

WEIR_INLINE unsigned weir_seq_pop_bulk(const struct weir_lists *l,
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
	return WEIR_TO(unsigned, moved - tokens);
}

WEIR_INLINE unsigned weir_seq_push_bulk(const struct weir_lists *l,
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
	return WEIR_TO(unsigned, moved - tokens);
}

#define WEIR_X86_PLAIN_INPUTS(l)                                               \
	[rseq] "r"(__rseq_offset), [nr_cpus] "m"((l)->nr_cpus),                \
		[areas] "m"((l)->areas)WEIR_TSAN_INPUT

/* clang-format off */
WEIR_INLINE void weir_seq_tick(const struct weir_lists *l)
{
	uint32_t tries = 64; /* one lost would be waited for */

	WEIR_TSAN_BEGIN(l);
	__asm__ __volatile__(
		WEIR_X86_BEGIN
		"70:\n"
		WEIR_X86_ENTER
		"	movq " WEIR_X86_ACTIVE ", %%rcx\n"
		"	movq %%rcx, " WEIR_STR(WEIR_AREA_SEEN) "(%%r10)\n"
		"2:\n" /* ARCH-R1 */
		"7:\n"
		WEIR_X86_DISARM
		WEIR_X86_COLD
		WEIR_X86_SIGNATURE
		"4:	decl " WEIR_X86_REG(tries) "\n"
		"	jnz 70b\n"
		"6:	jmp 7b\n"
		WEIR_X86_HOT
		WEIR_X86_END
		: [tries] "+&r"(tries)
		: WEIR_X86_PLAIN_INPUTS(l)
		: "rax", "rcx", "r10", "memory", "cc");
}

WEIR_INLINE char *weir_seq_burst(const struct weir_lists *l)
{
	char *area = WEIR_NULL;

	WEIR_TSAN_BEGIN(l);
	__asm__ __volatile__(
		WEIR_X86_BEGIN
		WEIR_X86_ENTER
		"	cmpl $0, " WEIR_X86_ACTIVE "\n"
		"	jns 6f\n"
		WEIR_X86_THREAD
		"	testq %%r8, %%r8\n"
		"	jz 6f\n"
		"	btsq $" WEIR_STR(WEIR_MARK_BURST_BIT) ", %%r8\n"
		"	cmpq %%r8, " WEIR_X86_BUSY "\n"
		"	je 6f\n"
		"	xchgq %%r8, " WEIR_X86_BUSY "\n" /* ARCH-F2 */
		"2:	movq %%r10, " WEIR_X86_REG(area) "\n"
		WEIR_X86_LEAVE
		: [area] "+&r"(area)
		: WEIR_X86_PLAIN_INPUTS(l)
		: "rax", "r8", "r10", "memory", "cc");
	WEIR_TSAN_END();
	return area;
}
/* clang-format on */
