/* SPDX-License-Identifier: MIT */
/*
 * x86-64: what every restartable sequence is made of. How it is armed is in
 * rseq(2); the sequences themselves are in x86_64.h.
 *
 *  - The word before an abort handler is the signature the C library
 *    registered; it is the operand of an undefined instruction (0f b9 3d), so
 *    that disassemblers stay synchronised.
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
 */
#ifndef WEIR_FAST_H
#error "include <weir/fast.h>"
#endif

#define WEIR_X86_STR_(x) #x
#define WEIR_X86_STR(x) WEIR_X86_STR_(x)

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

/* The two words of struct rseq; the operand `rseq` is the thread's offset. */
#define WEIR_X86_RSEQ_CPU "%%fs:4(" WEIR_X86_REG(rseq) ")"
#define WEIR_X86_RSEQ_CS "%%fs:8(" WEIR_X86_REG(rseq) ")"

/* A label of this asm statement: %= is another number in each. */
#define WEIR_X86_L(name) ".Lweir_" name "_%="

/* clang-format off */
/* The descriptor `name` of the instructions from `begin` to before `end`. */
#define WEIR_X86_DESCRIPTOR(name, begin, end, abort)                           \
	"	.pushsection __rseq_cs, \"aw?\", @progbits, unique, %=\n"      \
	"	.balign 32\n"                                                  \
	WEIR_X86_L(name) ":\n"                                                 \
	"	.long 0, 0\n"                                                  \
	"	.quad " WEIR_X86_L(begin) "\n"                                 \
	"	.quad " WEIR_X86_L(end) " - " WEIR_X86_L(begin) "\n"           \
	"	.quad " WEIR_X86_L(abort) "\n"                                 \
	"	.popsection\n"
#define WEIR_X86_ARM(name)                                                     \
	"	leaq " WEIR_X86_L(name) "(%%rip), %%rax\n"                     \
	"	movq %%rax, " WEIR_X86_RSEQ_CS "\n"
#if defined(__PIC__) && !defined(__PIE__) && !defined(WEIR_STAYS_LOADED)
#define WEIR_X86_DISARM "	movq $0, " WEIR_X86_RSEQ_CS "\n"
#else
#define WEIR_X86_DISARM
#endif
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
/* clang-format on */
