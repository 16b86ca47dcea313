/* SPDX-License-Identifier: MIT */
/*
 * Where the kernel tells each thread its CPU, and reads which sequence is under
 * way: an area of 32 bytes, struct rseq of <linux/rseq.h>, at the same offset
 * from the thread pointer in all threads of a process. A thread has one at
 * most, so a process has one of
 *
 *   the C library's  glibc 2.35 and later registers every thread
 *   a shared one     the symbol __rseq_abi, by which libraries agreed on an
 *                    area before C libraries had one; its owner registers the
 *                    threads that it meets, and weir those that it meets first
 *   weir's own       where there is neither
 *
 * In an area that is not registered the number of the CPU is negative, which
 * sequences take for one without lists: a thread is right without one.
 */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weir/fast.h>

#include "base/atomic.h"
#include "os/internal.h"
#include "os/os.h"

#define SIGNATURE 0x53053053 /* before each abort handler */
#define AREA_BYTES 32
#define UNREGISTER 1

struct area {
	uint32_t cpu_id_start;
	int32_t cpu_id;
	uint64_t rseq_cs;
	uint32_t flags, rest[3];
};

_Static_assert(sizeof(struct area) == AREA_BYTES, "the first version's");

#if defined(__x86_64__) && defined(__LP64__)

/* Weak, all: the first two are glibc's from 2.35 on, the third is missing in
 * programs that are linked statically. */
extern const unsigned int __rseq_size __attribute__((weak));
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern __typeof__(dlsym) dlsym __attribute__((weak));

/* The part of an area that sequences use. */
#define BYTES_NEEDED 20

static __thread struct area own_area
	__attribute__((aligned(AREA_BYTES), tls_model("initial-exec"))) = {
		.cpu_id = -1,
	};

/* weir_i_rseq_offset, which headers declare const: it is set before the first
 * pool or cache is made, and does not change. */
extern ptrdiff_t wi_rseq_offset __asm__("weir_i_rseq_offset");
WEIR_API ptrdiff_t wi_rseq_offset;

static uint8_t owner; /* enum wi_rseq_owner */

static char *thread_pointer(void)
{
	char *tp;

	/* clang 14 lacks __builtin_thread_pointer() for x86-64. */
	__asm__("movq %%fs:0, %0" : "=r"(tp));
	return tp;
}

static struct area *area_at(ptrdiff_t offset)
{
	return (struct area *)(void *)(thread_pointer() + offset);
}

/* 0; -EBUSY: this thread is registered there already; -EINVAL: elsewhere. */
static int register_at(ptrdiff_t offset)
{
	const int saved = errno;

	if (syscall(SYS_rseq, area_at(offset), AREA_BYTES, 0, SIGNATURE) == 0)
		return 0;
	return wi_os_failure(saved);
}

static bool libc_has_registered(void)
{
	if (!&__rseq_size || !&__rseq_offset || __rseq_size < BYTES_NEEDED)
		return false;
	/* Negative: it failed, or this thread gave it back. */
	return ((volatile struct area *)area_at(__rseq_offset))->cpu_id >= 0;
}

/* musl unmaps the stack of a detached thread, where its area lies, while the
 * thread still runs; so there an area is given back when its thread ends. glibc
 * keeps a stack until the kernel has ended the thread. */
#ifdef __GLIBC__
#define GIVE_BACK false
#else
#define GIVE_BACK true
#endif
static pthread_key_t at_exit;

static void give_area_back(void *unused)
{
	(void)unused;
	syscall(SYS_rseq, area_at(wi_rseq_offset), AREA_BYTES, UNREGISTER,
		SIGNATURE);
}

static bool can_give_back(void)
{
	return !GIVE_BACK || pthread_key_create(&at_exit, give_area_back) == 0;
}

static bool take_area(ptrdiff_t offset)
{
	const int err = register_at(offset);

	/* In musl a store to a table of the thread: fit for signal handlers. */
	if (err == 0 && GIVE_BACK)
		pthread_setspecific(at_exit, &at_exit);
	return err == 0 || err == -EBUSY;
}

/* How far from the thread pointer memory of a thread's own may lie that every
 * thread has at one offset; what is further away was allocated. */
#define STATIC_TLS_MAX (1 << 20)

/* The area that libraries share, if one of them has it. */
static bool find_shared(ptrdiff_t *offset)
{
	const char *abi;
	ptrdiff_t at;

	if (&dlsym == NULL)
		return false;
	abi = dlsym(RTLD_DEFAULT, "__rseq_abi");
	if (abi == NULL || (uintptr_t)abi % AREA_BYTES != 0)
		return false;
	at = abi - thread_pointer();
	if (at >= STATIC_TLS_MAX || at <= -STATIC_TLS_MAX)
		return false;
	*offset = at;
	return take_area(at);
}

/* Of the objects of this process: is the first one, the program, that of this
 * file? */
static int is_ours(struct dl_phdr_info *info, size_t size, void *ours)
{
	const char *const here = (const char *)&owner;

	(void)size;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		const char *begin =
			(const char *)info->dlpi_addr + part->p_vaddr;

		if (part->p_type == PT_LOAD && here >= begin &&
		    here < begin + part->p_memsz)
			*(bool *)ours = true;
	}
	return 1; /* look no further */
}

#ifdef WEIR_STAYS_LOADED
#define IS_NODELETE true
#else
#define IS_NODELETE false
#endif

/* The kernel writes a thread's area as long as the thread lives: it must not go
 * away with a plugin. */
static bool stays_loaded(void)
{
	bool stays = IS_NODELETE;

	if (!stays)
		dl_iterate_phdr(is_ours, &stays);
	return stays;
}

enum wi_rseq_owner wi_os_rseq_find(void)
{
	enum wi_rseq_owner found = WI_RSEQ_NONE;
	const ptrdiff_t own = (char *)&own_area - thread_pointer();
	ptrdiff_t offset = own;

	if (libc_has_registered()) {
		offset = __rseq_offset;
		found = WI_RSEQ_LIBC;
	} else if (can_give_back()) {
		if (find_shared(&offset))
			found = WI_RSEQ_SHARED;
		else if (stays_loaded() && take_area(own))
			found = WI_RSEQ_OWN;
	}
	/* Relaxed, both: the first thread does this, or several do, and find
	 * the same. With none it is weir's own, where no CPU is. */
	wi_store_relaxed(&wi_rseq_offset, found == WI_RSEQ_NONE ? own : offset);
	wi_store_relaxed(&owner, (uint8_t)found);
	return found;
}

void wi_os_rseq_register(void)
{
	const uint8_t of = wi_load_relaxed(&owner); /* as above */

	if (of == WI_RSEQ_SHARED || of == WI_RSEQ_OWN)
		(void)take_area(wi_rseq_offset);
}

#else

const ptrdiff_t weir_i_rseq_offset = 0; /* nothing uses it */

enum wi_rseq_owner wi_os_rseq_find(void)
{
	return WI_RSEQ_NONE;
}

void wi_os_rseq_register(void)
{
}

#endif
