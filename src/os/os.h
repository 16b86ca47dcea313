/* SPDX-License-Identifier: MIT */
/*
 * The interface to the operating system: the system calls of the library are
 * behind the functions of this header and of rseq.h. (The check of a pool's
 * options in src/api also asks for the kernel's page size and the size of the
 * caller's file.)
 *
 * The header itself uses nothing of the C library, so a freestanding module may
 * include it; a host other than Linux user space supplies its own version of
 * these functions.
 *
 * Conventions: int functions return 0 (or what their comment says) or a
 * negative errno value. None changes errno, so a free that ends here keeps the
 * caller's. None is a cancellation point. No function waits or
 * interrupts another CPU, except where its comment says so.
 */
#ifndef WI_OS_OS_H
#define WI_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- memory (map.c) --------------------------------------------------- */

enum wi_os_backing {
	WI_OS_ANON,	 /* base pages only: MADV_NOHUGEPAGE */
	WI_OS_ANON_HUGE, /* transparent huge pages, if there are any */
	WI_OS_HUGETLB,	 /* reserved huge pages */
	WI_OS_FD,	 /* a file, shared: memfd, hugetlbfs, device */
};

struct wi_os_map {
	size_t bytes; /* rounded up to pages; hugetlb: a multiple of those */
	/* So many, from the first on, a file must have; 0: all. The rest may
	 * come later. Of hugetlb pages none is reserved then: back them before
	 * they are touched, or a touch may be a SIGBUS. */
	size_t sure_bytes;
	size_t align; /* power of two; 0: a page */
	enum wi_os_backing backing;
	size_t huge_bytes; /* hugetlb page size; 0: the default one */
	int fd;
	uint64_t fd_offset;
	bool no_fork; /* a forked child has no mapping there */
	/* May be read before it is written. A page of private memory that was
	 * only read is the kernel's page of zeros, and the first write to it
	 * flushes the TLB of every CPU that runs the process. */
	bool read_first;
};

/*
 * Maps readable and writable memory, without touching any of it. Anonymous
 * memory and files are not reserved (MAP_NORESERVE); hugetlb pages are, so
 * that too few of them fail here with -ENOMEM and not later with SIGBUS. A
 * regular file must have all the bytes, else -EINVAL. sure_bytes changes both.
 */
int wi_os_map(void **out, const struct wi_os_map *map);

/*
 * Unmaps memory. Interrupts every CPU that runs this process when
 * any of the memory had been touched (the kernel flushes their TLBs).
 */
void wi_os_unmap(void *p, size_t bytes);

/*
 * Backs every page now; keeps its content even if other threads write there.
 * -EFAULT where touching a page would be a signal: it may not be written, or a
 * limit of its file or cgroup keeps it from being backed.
 */
int wi_os_prefault(void *p, size_t bytes);

/* Backs every page and keeps it in memory (mlock). */
int wi_os_lock(void *p, size_t bytes);

/* Undoes both, of private memory: gives the pages and their content up. May
 * interrupt every CPU that runs this process. */
void wi_os_give_up(void *p, size_t bytes);

/* Pages backed from now on come from this node (its kernel number) if they
 * can. -ENOSYS where the kernel has no nodes. */
int wi_os_bind(void *p, size_t bytes, unsigned node);

/*
 * The nodes to which the calling thread's memory is bound (MPOL_BIND, as
 * numactl --membind does), node n being bit n % 64 of word n / 64. False if it
 * is bound to none, or the kernel does not say.
 */
bool wi_os_bound_nodes(uint64_t *words, size_t nr_words);

/* The kernel's default hugetlb page size; 0: there is none. */
size_t wi_os_huge_size(void);

/* The page size of a file on hugetlbfs; 0: it is another. */
int wi_os_huge_file(int fd, size_t *huge_bytes);

/* How many hugetlb pages of that size are neither used nor reserved. */
int wi_os_huge_free(size_t huge_bytes, uint64_t *nr_free);

/* ---- memory that a forked child finds wiped (fork.c) ------------------ */

/* Maps memory of zeros, which each forked child finds zeroed again. */
int wi_os_map_wiped(void **out, size_t bytes);
void wi_os_unmap_wiped(void *p, size_t bytes);

/*
 * Does the kernel wipe it? False after it refused to: then a handler of fork()
 * does it, and a child made otherwise (_Fork, clone) finds its parent's bytes.
 */
bool wi_os_fork_wipes(void);

/* ---- limits of memory (limit.c) --------------------------------------- */

enum wi_os_limited {
	WI_OS_NOT_LIMITED,
	WI_OS_LIMITED,
	WI_OS_MAYBE_LIMITED, /* not all cgroups above can be seen */
};

struct wi_os_limit {
	uint64_t bytes;	  /* of WI_OS_LIMITED: the least */
	char cgroup[160]; /* which says so; its end, if it is longer */
};

/* The value of a controller's file ("memory", "memory.max"): the least of the
 * process' cgroup and those above it. cgroup version 2. */
enum wi_os_limited wi_os_cgroup_limit(struct wi_os_limit *limit,
				      const char *controller, const char *file);

/* The same for hugetlb pages of a size: what may be backed, or reserved. */
enum wi_os_limited wi_os_huge_limit(struct wi_os_limit *limit,
				    size_t huge_bytes, bool reserved);

/* RLIMIT_MEMLOCK, bytes; UINT64_MAX: none. */
uint64_t wi_os_lockable(void);

/* Is there swap space, full or not? */
bool wi_os_has_swap(void);

/* Writes, as a clause for a message, which limit forbids so many more bytes of
 * private memory, with its figures; "" if it is not known. */
void wi_os_why_no_memory(uint64_t bytes, char *buf, size_t len);

/* Does the kernel account memory strictly (vm.overcommit_memory is 2)? True
 * when in doubt. */
bool wi_os_is_accounted(void);

/* ---- memory that others may read (share.c) ---------------------------- */

/* Such a file is called "/memfd:weir:NAME (deleted)" in /proc/PID/fd. */
#define WI_OS_SHARED_PREFIX "weir:"

/* SEAL, SHRINK, GROW, FUTURE_WRITE (Linux 5.1): F_ADD_SEALS. */
#define WI_OS_SEALS (0x1 | 0x2 | 0x4 | 0x10)

struct wi_os_shared {
	int fd; /* -1: none */
	uint32_t uid;
	uint64_t device, inode, bytes;
};

/*
 * Maps zeroed memory, which a forked child does not have, on a file that other
 * processes can open and only read. Fails, and leaves nothing, where there are
 * no such files, or where touching the memory might fail later.
 */
int wi_os_share(void **out, size_t bytes, const char *name,
		struct wi_os_shared *file);

/* Closes the file, unless the program did. The memory stays mapped. */
void wi_os_unshare(const struct wi_os_shared *file);

int wi_os_pid(void);

/* ---- looking at other processes (look.c) ------------------------------ */

/* Calls each() with the numbers that name entries of a folder, as they come
 * (in /proc: ascending), until it returns other than 0, which is returned. */
int wi_os_each_number(const char *path, int (*each)(void *ctx, int number),
		      void *ctx);

struct wi_os_process {
	uint32_t pid;	  /* in its own PID namespace */
	uint32_t uid[4];  /* real, effective, saved, of files */
	bool first_ended; /* its first thread; others may live */
};

/* -ESRCH or -ENOENT: there is none; -EPERM: there is, and /proc hides it. */
int wi_os_process_read(struct wi_os_process *process, int pid);

/* The user here that is the superuser in the process' user namespace, if that
 * is another namespace than the caller's. */
bool wi_os_process_root(int pid, uint32_t *uid);

/* Identifies a process, even if its number is used again. */
struct wi_os_process_file {
	int fd;		/* negative: none */
	bool is_folder; /* its folder in /proc; else a pidfd */
};

/* 0 or a negative errno. */
int wi_os_process_open(struct wi_os_process_file *file, int pid);
bool wi_os_process_is_gone(const struct wi_os_process_file *file);

/*
 * Calls each() for each open descriptor of a process, with the folder of /proc
 * that lists it, as wi_os_each_number(). Threads share descriptors: the first
 * thread is read, or when it has ended, another one.
 */
int wi_os_each_descriptor(int pid, const struct wi_os_process *process,
			  int (*each)(void *ctx, const char *folder, int fd),
			  void *ctx);

/*
 * Opens what descriptor `fd` in that folder names, for reading. -ENOENT: not a
 * file of wi_os_share() by its name, or one without any seal, which is being
 * made; -EPROTO: not such a file by its kind or its seals; -EPERM or -EACCES:
 * the caller has no permission.
 */
int wi_os_open_shared(struct wi_os_shared *file, const char *folder, int fd);

/* Reads up to len bytes; returns how many. */
long wi_os_read_at(int fd, void *buf, size_t len, uint64_t at);

/* Maps all of it read-only. */
int wi_os_map_shared(const void **out, const struct wi_os_shared *file);

/* Does the file have a page at `at`, or only zeros? *end: where that changes.
 * True when in doubt. */
bool wi_os_is_backed(int fd, uint64_t at, uint64_t *end);

void wi_os_close(int fd);

/* ---- threads and CPUs (thread.c) -------------------------------------- */

/*
 * Registers the process for wi_os_membarrier_cpu(). Interrupts every CPU that
 * runs one of its threads, once, and waits for them; when there is a single
 * thread, neither.
 */
int wi_os_membarrier_register(void);

/*
 * When this returns 0, every restartable sequence of this process that was
 * under way on that CPU has ended or will be aborted, and that CPU executed a
 * full fence if it runs one of the process' threads. Interrupts that CPU then,
 * and no other. A failure is no evidence. Success does not imply a fence: the
 * kernel returns early when it sees a single user of the address space or a
 * single CPU online, so the caller executes a fence of its own.
 */
int wi_os_membarrier_cpu(unsigned cpu);

/* The kernel's number of the calling thread; never 0. */
uint32_t wi_os_tid(void);

/*
 * False only when this process has no such thread any more. The kernel touches
 * no run queue for it: asking about a thread of a quiet CPU must not interrupt
 * that CPU.
 */
bool wi_os_thread_exists(uint32_t tid);

/* CLOCK_MONOTONIC. */
uint64_t wi_os_now_ns(void);

/* Sleeps for ns, or until a signal handler has run. */
void wi_os_sleep_ns(uint64_t ns);

/* ---- where sequences find the CPU (rseq_area.c) ----------------------- */

enum wi_rseq_owner {
	WI_RSEQ_NONE,	/* the kernel refuses, or somebody has registered an
			 * area that is not known */
	WI_RSEQ_LIBC,	/* the C library registers every thread */
	WI_RSEQ_SHARED, /* __rseq_abi, of another library */
	WI_RSEQ_OWN,	/* weir's */
};

/* Determines whose area the threads of this process use, sets
 * weir_i_rseq_offset, and registers the calling thread if nobody else does. */
enum wi_rseq_owner wi_os_rseq_find(void);

/* Registers the calling thread, where weir is to do that. One system call; fit
 * for signal handlers. */
void wi_os_rseq_register(void);

/* ---- CPUs (thread.c) -------------------------------------------------- */

/* The CPU this thread was on a moment ago, or a negative errno. */
int wi_os_current_cpu(void);

/*
 * The calling thread's affinity, CPU n being bit n % 64 of word n / 64. Words
 * beyond the kernel's CPUs are 0; -EINVAL when the kernel has more CPUs than
 * nr_words can name.
 */
int wi_os_affinity(uint64_t *words, size_t nr_words);

/* How many CPUs the C library counts as configured; at least 1. */
unsigned wi_os_nr_cpus(void);

/*
 * The kernel's version. Distributions that keep the third number at 0 have the
 * true one elsewhere; it is found for Debian and Ubuntu, not for others.
 */
int wi_os_kernel_version(unsigned v[3]);

/* Writes "weir: WHAT" and a new line to standard error, at once (panic.c). */
void wi_os_say(const char *what);

/* Writes "ADDRESS (FILE+OFFSET)" for an address of code, which addr2line reads;
 * the address alone where the file is not known. For lines that end a process:
 * it may take the dynamic linker's locks. */
void wi_os_name_code(const void *address, char *to, size_t len);

/* ---- cancellation (thread.c) ------------------------------------------ */

/*
 * Between these two calls cancellation of this thread is deferred. Asynchronous
 * cancellation may end a thread at any instruction, also while it holds what
 * other threads wait for: a mutex, a waiter's place, the C library's heap. And
 * functions of the caller's that are called in between may be cancellation
 * points. The calls may nest; pass the returned value to the second.
 */
int wi_os_cancel_put_off(void);
void wi_os_cancel_allow(int before);

/* ---- a thread of the library's own (worker.c) -------------------------- */

struct wi_os_worker;

struct wi_os_work {
	void (*step)(void *ctx); /* called again and again, until it is ended */
	void *ctx;
	uint64_t interval_ns; /* from the end of a call to the next */
	const uint64_t *cpus; /* CPU n is bit n % 64 of word n / 64 */
	size_t nr_words;
	const char *name; /* to 15 bytes */
};

/* Starts a thread with that name, on these CPUs, that blocks all signals. */
int wi_os_worker_start(struct wi_os_worker **out,
		       const struct wi_os_work *work);

/* Waits until step() has returned and the thread has ended. Not from step(). */
void wi_os_worker_stop(struct wi_os_worker *worker);

/* ---- a mutex that inherits priority (mutex.c) ------------------------- */

struct wi_os_mutex {
	_Alignas(8) unsigned char opaque[64];
};

int wi_os_mutex_init(struct wi_os_mutex *m);
void wi_os_mutex_fini(struct wi_os_mutex *m);

/*
 * Waits until wi_os_now_ns() reaches deadline_ns at most. UINT64_MAX is no
 * deadline; with a past one it does not wait. Returns 0, -ETIMEDOUT, or
 * -EDEADLK when this thread holds it already. Not for signal handlers.
 */
int wi_os_mutex_lock(struct wi_os_mutex *m, uint64_t deadline_ns);
bool wi_os_mutex_trylock(struct wi_os_mutex *m);
void wi_os_mutex_unlock(struct wi_os_mutex *m);

/* ---- text (text.c) ----------------------------------------------------- */

/*
 * Memory of `len` bytes, always the same number, that is the calling thread's
 * until it ends: allocated by malloc() at the first call, NULL if that fails.
 * Not for signal handlers.
 */
char *wi_os_thread_text(size_t len);

/* ---- the environment (env.c) ------------------------------------------- */

/* What a variable asks for: 0 if it is not set, "" or "0"; 2 if it is "2"; else
 * 1. 0 in a program that has more rights than its user (secure_getenv). */
unsigned wi_os_env_level(const char *name);

/* ---- files (file.c) --------------------------------------------------- */

/* Adds 1 to the count of an eventfd(2). A failure is not reported: a count at
 * its end wakes its reader anyway. */
void wi_os_event_add(int fd);

/*
 * Reads a small file whole, NUL-terminated and without the trailing newline.
 * Returns its length, or a negative errno; -EFBIG when it does not fit, since
 * half a list of CPUs would be a wrong list. Needs no heap.
 */
int wi_os_read_file(const char *path, char *buf, size_t len);

/* The number of lines of a file, or a negative errno. */
long wi_os_count_lines(const char *path);

/*
 * The rest of the first line that begins with `prefix`, NUL-terminated, of a
 * file of any length. Its length, or a negative errno: -ENODATA when there is
 * no such line, -EFBIG when the rest does not fit. Needs no heap.
 */
int wi_os_read_line(const char *path, const char *prefix, char *buf,
		    size_t len);

#endif
