/* SPDX-License-Identifier: MIT */
/*
 * The floors: the least code that does the core of each job.
 *
 * THIS FILE NEVER CHANGES, and loop.h neither: weir's figures are given as
 * multiples of these, so that they can be compared from one commit, compiler
 * or machine to the next. What is measured besides belongs in another file.
 *
 *   bare    A pop and a push as restartable sequences that can do nothing but
 *           that: arm, load the CPU's number, shift it, load this CPU's list,
 *           load its header, test for empty or full, move the token, store
 *           the header. No check of the CPU's number or of the token, no
 *           modes; rseq_cs stays set; an abort starts over.
 *   spin    The same list under a per-CPU spinlock, as Linux' page allocator
 *           has had it since 6.0: the lock is an exchange in the CPU's own
 *           line and its release a store. The push checks what weir's free
 *           checks: range and alignment.
 *   thread  A list of the thread's own: nothing to agree on with anybody, and
 *           no way to take back what it holds.
 *   copy    32 tokens from a list and back, by copying alone.
 */
#include "floor.h"

#include <stdlib.h>
#include <string.h>

#include <weir/fast.h>

#define SLOTS 512
#define TOKENS 200 /* in each list at the beginning, and between loops */
#define LIMIT 400
#define NONE UINT64_MAX
#define PAGE_BYTES 4096
#define RANGE_BYTES (UINT64_C(64) << 20)

/* header: operations:32 | limit:16 | tokens:16 */
struct bare_list {
	uint64_t header;
	uint64_t pad[7];
	uint64_t slot[SLOTS];
} __attribute__((aligned(64)));

struct bare_cpu {
	struct bare_list *list;
	uint64_t pad[15];
} __attribute__((aligned(128)));

struct spin_cpu {
	uint32_t lock;
	uint32_t tokens, limit;
	uint64_t slot[SLOTS];
} __attribute__((aligned(128)));

struct spin_cpus {
	uint64_t nr;
	struct spin_cpu cpu[];
};

struct thread_list {
	uint32_t tokens, limit;
	uint64_t slot[SLOTS];
};

static struct bare_list bare_list;
static struct spin_cpu *spin_list;
static __thread struct thread_list thread_list;
static uint64_t copy_from[BENCH_BULK], copy_to[BENCH_BULK];

#ifdef WEIR_HAVE_SEQUENCES

/* ---- bare ------------------------------------------------------------- */

#define OPERATION (UINT64_C(1) << 32)

/* clang-format off */
#define BARE_DESCRIPTOR                                                        \
	"	.pushsection __rseq_cs, \"aw?\"\n"                             \
	"	.balign 32\n"                                                  \
	"3:	.long 0, 0\n"                                                  \
	"	.quad 1f, (2f - 1f), 4f\n"                                     \
	"	.popsection\n"
#define BARE_ENTER                                                             \
	"5:	leaq 3b(%%rip), %%rax\n"                                       \
	"	movq %%rax, %%fs:8(%[rseq])\n"                                 \
	"1:	movl %%fs:4(%[rseq]), %%eax\n"                                 \
	"	shlq $7, %%rax\n"                                              \
	"	movq (%[cpus], %%rax), %%rcx\n"                                \
	"	movq (%%rcx), %%rdx\n"
#define BARE_ABORT                                                             \
	"	.subsection 1\n"                                              \
	"	.byte 0x0f, 0xb9, 0x3d\n"                                      \
	"	.long 0x53053053\n"                                            \
	"4:	jmp 5b\n"                                                      \
	"	.previous\n"
/* clang-format on */

BENCH_INLINE uint64_t bare_pop(void *context)
{
	uint64_t token;

	__asm__ __volatile__(BARE_DESCRIPTOR BARE_ENTER
			     "	movzwl %%dx, %k[token]\n"
			     "	testl %k[token], %k[token]\n"
			     "	jz 6f\n"
			     "	movq 56(%%rcx, %[token], 8), %[token]\n"
			     "	addq %[change], %%rdx\n"
			     "	movq %%rdx, (%%rcx)\n"
			     "2:	jmp 7f\n" BARE_ABORT
			     "6:	movq $-1, %[token]\n"
			     "7:\n"
			     : [token] "=&r"(token)
			     : [rseq] "r"(weir_i_rseq_offset),
			       [cpus] "r"(context), [change] "r"(OPERATION - 1)
			     : "rax", "rcx", "rdx", "memory", "cc");
	return token;
}

BENCH_INLINE void bare_push(void *context, uint64_t token)
{
	uint64_t top;

	__asm__ __volatile__(
		BARE_DESCRIPTOR BARE_ENTER
		"	movzwl %%dx, %k[top]\n"
		"	movl %%edx, %%eax\n"
		"	shrl $16, %%eax\n"
		"	cmpl %%eax, %k[top]\n"
		"	jae 6f\n"
		"	movq %[token], 64(%%rcx, %[top], 8)\n"
		"	addq %[change], %%rdx\n"
		"	movq %%rdx, (%%rcx)\n"
		"2:	movl $1, %k[top]\n"
		"	jmp 7f\n" BARE_ABORT "6:	xorl %k[top], %k[top]\n"
		"7:\n"
		: [top] "=&r"(top)
		: [rseq] "r"(weir_i_rseq_offset), [cpus] "r"(context),
		  [token] "r"(token), [change] "r"(OPERATION + 1)
		: "rax", "rcx", "rdx", "memory", "cc");
	if (__builtin_expect(top == 0, 0))
		abort(); /* the loops never fill it */
}

/* ---- spin ------------------------------------------------------------- */

BENCH_INLINE struct spin_cpu *spin_lock(struct spin_cpus *cpus)
{
	uint32_t cpu;
	struct spin_cpu *c;

	__asm__ __volatile__("movl %%fs:4(%[rseq]), %[cpu]"
			     : [cpu] "=r"(cpu)
			     : [rseq] "r"(weir_i_rseq_offset));
	if (__builtin_expect(cpu >= cpus->nr, 0))
		return NULL;
	c = &cpus->cpu[cpu];
	if (__builtin_expect(
		    __atomic_exchange_n(&c->lock, 1, __ATOMIC_ACQUIRE) != 0, 0))
		return NULL;
	return c;
}

BENCH_INLINE uint64_t spin_pop(void *context)
{
	struct spin_cpu *c = spin_lock(context);
	uint64_t token = NONE;

	if (__builtin_expect(c == NULL, 0))
		return NONE;
	if (__builtin_expect(c->tokens != 0, 1))
		token = c->slot[--c->tokens];
	__atomic_store_n(&c->lock, 0, __ATOMIC_RELEASE);
	return token;
}

BENCH_INLINE void spin_push(void *context, uint64_t token)
{
	struct spin_cpu *c;

	if (__builtin_expect(token >= RANGE_BYTES, 0) ||
	    __builtin_expect((token & (PAGE_BYTES - 1)) != 0, 0))
		abort();
	c = spin_lock(context);
	if (__builtin_expect(c == NULL, 0))
		return;
	if (__builtin_expect(c->tokens < c->limit, 1))
		c->slot[c->tokens++] = token;
	__atomic_store_n(&c->lock, 0, __ATOMIC_RELEASE);
}

#else /* the loops are there, floor_init() refuses */

BENCH_INLINE uint64_t bare_pop(void *context)
{
	(void)context;
	return NONE;
}

BENCH_INLINE void bare_push(void *context, uint64_t token)
{
	(void)context, (void)token;
}

#define spin_pop bare_pop
#define spin_push bare_push

#endif

/* ---- thread, copy ----------------------------------------------------- */

/* The compiler must not keep the list in registers from one call to the next,
 * as it could not in a program that does something in between. */
BENCH_INLINE void forget(void)
{
	__asm__ __volatile__("" ::: "memory");
}

BENCH_INLINE uint64_t thread_pop(void *context)
{
	struct thread_list *l = &thread_list;

	(void)context;
	forget();
	if (__builtin_expect(l->tokens == 0, 0))
		return NONE;
	return l->slot[--l->tokens];
}

BENCH_INLINE void thread_push(void *context, uint64_t token)
{
	struct thread_list *l = &thread_list;

	(void)context;
	forget();
	if (__builtin_expect(l->tokens < l->limit, 1))
		l->slot[l->tokens++] = token;
}

BENCH_INLINE void copy_get(void *context, uint64_t *tokens)
{
	(void)context;
	memcpy(tokens, copy_from, sizeof(copy_from));
	__asm__ __volatile__("" ::"r"(tokens) : "memory");
}

BENCH_INLINE void copy_put(void *context, uint64_t *tokens)
{
	(void)context;
	memcpy(copy_to, tokens, sizeof(copy_to));
	forget();
}

BENCH_PAIRS(floor_bare, bare_pop, bare_push)
BENCH_PAIRS(floor_spin, spin_pop, spin_push)
BENCH_PAIRS(floor_thread, thread_pop, thread_push)
BENCH_BULKS(floor_copy, uint64_t, copy_get, copy_put)

/* ---- what they work on ------------------------------------------------ */

#ifdef WEIR_HAVE_SEQUENCES

static void fill(uint64_t *slot)
{
	for (uint64_t i = 0; i < SLOTS; i++)
		slot[i] = i * PAGE_BYTES;
}

bool floor_init(struct floor_lists *lists)
{
	struct bare_cpu *bare;
	struct spin_cpus *spin;
	uint32_t cpu;

	__asm__ __volatile__("movl %%fs:4(%[rseq]), %[cpu]"
			     : [cpu] "=r"(cpu)
			     : [rseq] "r"(weir_i_rseq_offset));
	if ((int32_t)cpu < 0) /* it is not registered */
		return false;
	bare = aligned_alloc(128, sizeof(*bare) * (cpu + 1));
	spin = aligned_alloc(128,
			     sizeof(*spin) + sizeof(spin->cpu[0]) * (cpu + 1));
	if (bare == NULL || spin == NULL) {
		free(bare);
		free(spin);
		return false;
	}
	for (unsigned i = 0; i <= cpu; i++)
		bare[i].list = &bare_list;
	bare_list.header = (uint64_t)LIMIT << 16 | TOKENS;
	fill(bare_list.slot);
	spin->nr = cpu + 1;
	spin_list = &spin->cpu[cpu];
	spin_list->lock = 0;
	spin_list->tokens = TOKENS;
	spin_list->limit = LIMIT;
	fill(spin_list->slot);
	thread_list.tokens = TOKENS;
	thread_list.limit = LIMIT;
	fill(thread_list.slot);
	*lists = (struct floor_lists){ .bare = bare, .spin = spin };
	return true;
}

bool floor_is_whole(void)
{
	return (bare_list.header & 0xffff) == TOKENS &&
	       spin_list->tokens == TOKENS && thread_list.tokens == TOKENS;
}

#else

bool floor_init(struct floor_lists *lists)
{
	(void)lists;
	return false;
}

bool floor_is_whole(void)
{
	return spin_list == NULL && bare_list.header == 0;
}

#endif
