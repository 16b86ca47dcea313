/* SPDX-License-Identifier: MIT */
/*
 * Pools of other processes, read from outside: which exist, and the statistics
 * of weir/stat.h for each. The process that is watched does nothing for it and
 * is not disturbed: no message, no lock, no signal, no interrupt.
 *
 * A pool can be watched by the user its process runs as and by the superuser,
 * unless it was made with WEIR_POOL_HIDDEN or the system refused it a memfd, or
 * its process closed that. A pool of a process with privileges that the watcher
 * lacks (set-user-ID, file capabilities, prctl(PR_SET_DUMPABLE, 0)) can be
 * watched only by the superuser, who needs CAP_SYS_PTRACE over its user
 * namespace. A pool made by a thread with descriptors of its own
 * (unshare(CLONE_FILES)) is not found. Pools are found in /proc, so the process
 * must be visible there: the same PID namespace, or one above it, and no
 * hidepid that hides it.
 *
 * The shared data is not trusted: corrupt counters give wrong statistics, never
 * a memory error.
 */
#ifndef WEIR_WATCH_H
#define WEIR_WATCH_H

#include <stdbool.h>

#include <weir/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_watch; /* a pool of some process, opened for reading */

/* A pool that can be watched. */
struct weir_watch_id {
	int pid;
	uint64_t number; /* distinguishes pools of one process */
	char name[32];
};

enum weir_watch_state {
	WEIR_WATCH_LIVE,
	WEIR_WATCH_DESTROYED, /* by its process */
	WEIR_WATCH_DEAD,      /* its process is gone */
};

struct weir_watch_info {
	size_t size; /* set by the caller, WEIR_WATCH_INFO_INIT */
	int pid;
	enum weir_watch_state state;
	uint64_t number;
	char name[32];
	unsigned nr_cpus, nr_zones;
	unsigned batch; /* pages moved from zone to list at first */
	unsigned flags; /* WEIR_POOL_... */
	bool locked;	/* locked mode: no restartable sequences */
	uint64_t bytes, page_size;
	uint64_t max_bytes; /* that it can grow to */
};

#define WEIR_WATCH_INFO_INIT WEIR_SIZED(weir_watch_info)

/* As weir_pool_opts_init(). */
WEIR_API void weir_watch_info_init(struct weir_watch_info *info, size_t size)
	WEIR_NONNULL(1);

/*
 * Calls each() for every pool of that process that can be watched, or, with pid
 * 0, of every process that the caller may read, in order of pid. Pools that are
 * being created are left out, and so are files that only look like pools. In
 * names, what is not printable ASCII is '?'.
 * Returns what each() returned if that was not 0, which ends the list; else 0,
 * or -ESRCH (no such process), -EPERM (the caller may not read it, or /proc
 * hides it), or the error of a system call.
 * Threads: yes. Signals: no. Calls:
 * getdents64, readlink, openat, fstat, stat, fstatfs, fcntl, pread, close; kill
 * with signal 0, which sends nothing. Interrupts: none.
 */
WEIR_API int
weir_watch_list(int pid, int (*each)(const struct weir_watch_id *id, void *ctx),
		void *ctx) WEIR_NONNULL(2);

/*
 * Opens a pool that weir_watch_list() found; its name is not compared.
 * `*watch` is set on success.
 * Returns 0; -ENOENT: there is no such pool (pools that are being created do
 * not count); -EPROTO: there is none, but a pool of the process that this
 * library does not understand (made by another version, or no pool at all);
 * -EPERM or -EACCES: the caller may not read that process; -ENOMEM; or the
 * error of a system call. Works without pidfd_open as well (Linux before 5.3,
 * or a filter).
 * Threads: yes. Signals: no. Calls: those of weir_watch_list(), pidfd_open,
 * mmap, madvise, lseek, poll. Interrupts: none in the process that is watched.
 */
WEIR_API int weir_watch_open(struct weir_watch **watch,
			     const struct weir_watch_id *id) WEIR_MUST_USE
	WEIR_NONNULL(1, 2);

/* Closes a watch that no thread is using. NULL is ignored. Threads: once.
 * Signals: no. Calls: munmap, close. Interrupts: none in the process that is
 * watched. */
WEIR_API void weir_watch_close(struct weir_watch *watch);

/*
 * What is known of the pool, and whether it still exists.
 * Returns 0, or -EINVAL (no such size).
 * Threads: yes. Signals: yes. Calls: poll; without pidfd_open: openat, pread,
 * close. Interrupts: none.
 */
#if defined(__cplusplus) && defined(__GNUC__) /* the name of the struct too */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
WEIR_API int weir_watch_info(const struct weir_watch *watch,
			     struct weir_watch_info *info) WEIR_NONNULL(1, 2);
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/*
 * As weir_stat_read(), _zone() and _cpu(). For a pool that is gone: its last
 * numbers. Return 0 or -EINVAL.
 * Threads: yes. Signals: yes. Calls: lseek. Interrupts: none.
 */
WEIR_API int weir_watch_read(const struct weir_watch *watch,
			     struct weir_stat *stat) WEIR_NONNULL(1, 2);
WEIR_API int weir_watch_read_zone(const struct weir_watch *watch, unsigned zone,
				  struct weir_stat_zone *stat)
	WEIR_NONNULL(1, 3);
WEIR_API int weir_watch_read_cpu(const struct weir_watch *watch, unsigned zone,
				 unsigned cpu, struct weir_stat_cpu *stat)
	WEIR_NONNULL(1, 4);

#ifdef __cplusplus
}
#endif

#endif
