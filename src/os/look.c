/* SPDX-License-Identifier: MIT */
/*
 * Reads other processes: the entries of /proc, and the files that they share
 * (share.c). Another process may change all of it at any moment, and may have
 * made files that only look like a pool's. So a file is held by O_PATH while it
 * is judged, and opened for reading only if it is a memfd.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "os/internal.h"
#include "os/os.h"

#define TMPFS_MAGIC_ 0x01021994u
#define LINK_PREFIX "/memfd:" WI_OS_SHARED_PREFIX

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* As getdents64() fills it. */
struct entry {
	uint64_t inode;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

static int open_at(const char *path, int flags)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC);
}

void wi_os_close(int fd)
{
	int saved = errno;

	(void)syscall(SYS_close, fd);
	errno = saved;
}

/* --- folders ----------------------------------------------------------- */

/* The number that a name is, or -1. */
static int number_of(const char *name)
{
	char *end;
	long n;

	if (name[0] < '0' || name[0] > '9')
		return -1;
	n = strtol(name, &end, 10);
	return *end != '\0' || n > INT32_MAX ? -1 : (int)n;
}

int wi_os_each_number(const char *path, int (*each)(void *ctx, int number),
		      void *ctx)
{
	_Alignas(struct entry) char buf[4096];
	int saved = errno, result = 0;
	int fd = open_at(path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return wi_os_failure(saved);
	while (result == 0) {
		long got = syscall(SYS_getdents64, fd, buf, sizeof(buf));

		if (got < 0)
			result = wi_os_failure(saved);
		if (got <= 0)
			break;
		for (long at = 0; at < got && result == 0;) {
			const struct entry *entry =
				(const struct entry *)(const void *)(buf + at);
			int number = number_of(entry->name);

			at += entry->bytes;
			if (number >= 0)
				result = each(ctx, number);
		}
	}
	wi_os_close(fd);
	errno = saved;
	return result;
}

/* --- processes --------------------------------------------------------- */

/* The n-th number of the line that begins so; the last one if n is -1. */
static bool find_number(const char *text, const char *key, int n, uint32_t *out)
{
	const char *at = strstr(text, key);
	bool found = false;

	if (at == NULL)
		return false;
	for (at += strlen(key); *at == '\t' || *at == ' '; n--) {
		char *end;
		unsigned long value = strtoul(at, &end, 10);

		if (end == at)
			break;
		*out = (uint32_t)value;
		found = true;
		at = end;
		if (n == 0)
			break;
	}
	return found;
}

/* A file of text whose name is in a folder; the bytes, ended by NUL. */
static long read_text(int folder, const char *name, char *text, size_t len)
{
	int saved = errno, fd;
	long got;

	fd = (int)syscall(SYS_openat, folder, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return wi_os_failure(saved);
	got = wi_os_read_at(fd, text, len - 1, 0);
	wi_os_close(fd);
	if (got >= 0)
		text[got] = '\0';
	return got;
}

/* /proc may hide processes (hidepid) that kill(2), which sends nothing, still
 * distinguishes from none. */
static bool is_hidden(int pid)
{
	int saved = errno;
	bool is = kill(pid, 0) == 0 || errno == EPERM;

	errno = saved;
	return is;
}

int wi_os_process_read(struct wi_os_process *process, int pid)
{
	char path[32], text[8192];
	long got;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	/* What we look for stands early. */
	got = read_text(AT_FDCWD, path, text, sizeof(text));
	if (got == -ENOENT && is_hidden(pid))
		return -EPERM;
	if (got < 0)
		return (int)got;
	process->pid = (uint32_t)pid;
	process->first_ended = strstr(text, "\nState:\tZ") != NULL;
	for (int i = 0; i < 4; i++)
		if (!find_number(text, "\nUid:", i, &process->uid[i]))
			return -ESRCH;
	/* In its own PID namespace. */
	(void)find_number(text, "\nNStgid:", -1, &process->pid);
	return 0;
}

static bool has_our_user_namespace(int pid)
{
	struct stat ours, its;
	int saved = errno;
	char path[32];
	bool has;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	/* When in doubt the answer must be yes: what uid_map says is
	 * then of another namespace than the caller's. */
	has = stat("/proc/self/ns/user", &ours) != 0 || stat(path, &its) != 0 ||
	      (ours.st_dev == its.st_dev && ours.st_ino == its.st_ino);
	errno = saved;
	return has;
}

bool wi_os_process_root(int pid, uint32_t *uid)
{
	char path[32], text[4096], *at = text;

	if (has_our_user_namespace(pid))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	if (read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	/* Lines of three numbers: first user there, first user here, count. */
	while (*at != '\0') {
		unsigned long number[3];

		for (int i = 0; i < 3; i++)
			number[i] = strtoul(at, &at, 10);
		if (number[0] == 0 && number[2] > 0) {
			*uid = (uint32_t)number[1];
			return true;
		}
		at += strcspn(at, "\n");
		at += *at == '\n';
	}
	return false;
}

/* Where pidfd_open(2) is missing (before Linux 5.3), or a filter refuses it,
 * the folder in /proc serves: its file descriptor is bound to the process too.
 */
static int open_folder(int pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return open_at(path, O_RDONLY | O_DIRECTORY);
}

int wi_os_process_open(struct wi_os_process_file *file, int pid)
{
	int saved = errno;

	file->is_folder = false;
	file->fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (file->fd < 0 &&
	    (errno == ENOSYS || errno == EPERM || errno == EACCES)) {
		file->is_folder = true;
		file->fd = open_folder(pid);
		if (file->fd < 0 && errno == ENOENT)
			errno = ESRCH;
	}
	return file->fd < 0 ? wi_os_failure(saved) : 0;
}

static bool is_pidfd_gone(int pidfd)
{
	struct pollfd file = { .fd = pidfd, .events = POLLIN };
	struct timespec no_time = { 0 };
	int saved = errno;
	long n = syscall(SYS_ppoll, &file, 1, &no_time, NULL, 0);

	errno = saved;
	return n > 0 && file.revents & POLLIN;
}

/* As with a pidfd: a zombie process is gone; a process of which only the first
 * thread has ended is not. */
static bool is_folder_gone(int folder)
{
	uint32_t nr_threads = 2; /* unless its state says otherwise */
	char text[4096];
	const char *state;
	long got = read_text(folder, "status", text, sizeof(text));

	if (got <= 0)
		return got == -ENOENT || got == -ESRCH;
	state = strstr(text, "\nState:\t");
	if (state == NULL || (state[8] != 'Z' && state[8] != 'X'))
		return false;
	(void)find_number(text, "\nThreads:", 0, &nr_threads);
	return nr_threads <= 1;
}

bool wi_os_process_is_gone(const struct wi_os_process_file *file)
{
	return file->is_folder ? is_folder_gone(file->fd)
			       : is_pidfd_gone(file->fd);
}

/* --- descriptors ------------------------------------------------------- */

struct descriptors {
	int (*each)(void *ctx, const char *folder, int fd);
	void *ctx;
	char folder[64];
	int pid;
	bool any;
};

static int pass_descriptor(void *ctx, int fd)
{
	struct descriptors *d = ctx;

	d->any = true;
	return d->each(d->ctx, d->folder, fd);
}

static int look_at_thread(void *ctx, int tid)
{
	struct descriptors *d = ctx;
	int result;

	if (d->any || tid == d->pid)
		return 0;
	snprintf(d->folder, sizeof(d->folder), "/proc/%d/task/%d/fd", d->pid,
		 tid);
	result = wi_os_each_number(d->folder, pass_descriptor, d);
	/* It may have ended meanwhile, as the first one has. */
	if (!d->any && (result == -ENOENT || result == -ESRCH))
		return 0;
	return result;
}

int wi_os_each_descriptor(int pid, const struct wi_os_process *process,
			  int (*each)(void *ctx, const char *folder, int fd),
			  void *ctx)
{
	struct descriptors d = { .each = each, .ctx = ctx, .pid = pid };
	char path[32];

	if (!process->first_ended) {
		snprintf(d.folder, sizeof(d.folder), "/proc/%d/fd", pid);
		return wi_os_each_number(d.folder, pass_descriptor, &d);
	}
	/* Its own folder is empty, and belongs to the superuser. */
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	return wi_os_each_number(path, look_at_thread, &d);
}

/* --- files ------------------------------------------------------------- */

/* Does the link of a descriptor name a file of wi_os_share()? The owner's may
 * write, a watcher's may not. 0, -ENOENT, or the error of the refusal. */
static int check_name(const char *path)
{
	char target[sizeof(LINK_PREFIX) - 1];
	long got =
		syscall(SYS_readlinkat, AT_FDCWD, path, target, sizeof(target));
	struct stat link;

	if (got < 0)
		return errno == EACCES || errno == EPERM ? -errno : -ENOENT;
	return got == (long)sizeof(target) &&
			       memcmp(target, LINK_PREFIX, sizeof(target)) ==
				       0 &&
			       lstat(path, &link) == 0 &&
			       (link.st_mode & S_IWUSR)
		       ? 0
		       : -ENOENT;
}

/* A held file that is a memfd of whatever content: 0 or a negative errno. */
static int check_memfd(int held, struct wi_os_shared *file)
{
	struct statfs fs;
	struct stat st;

	if (fstat(held, &st) != 0 || fstatfs(held, &fs) != 0)
		return -errno;
	/* Not of huge pages, of which a hole cannot be read. */
	if (!S_ISREG(st.st_mode) || (uint32_t)fs.f_type != TMPFS_MAGIC_)
		return -EPROTO;
	file->device = st.st_dev;
	file->inode = st.st_ino;
	file->uid = st.st_uid;
	file->bytes = (uint64_t)st.st_size;
	return 0;
}

static int open_held(int held, struct wi_os_shared *file)
{
	char path[32];
	int error = check_memfd(held, file), seals;

	if (error != 0)
		return error;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
	file->fd = open_at(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0)
		return -errno;
	seals = fcntl(file->fd, F_GET_SEALS);
	if (seals < 0 || (seals & WI_OS_SEALS) != WI_OS_SEALS) {
		wi_os_close(file->fd);
		/* All are added at once: a file without any is one of a pool
		 * that is being made. */
		return seals >= 0 && (seals & WI_OS_SEALS) == 0 ? -ENOENT
								: -EPROTO;
	}
	/* Its size is final now. */
	error = check_memfd(file->fd, file);
	if (error != 0)
		wi_os_close(file->fd);
	return error;
}

int wi_os_open_shared(struct wi_os_shared *file, const char *folder, int fd)
{
	int saved = errno, held, error;
	char path[80];

	snprintf(path, sizeof(path), "%.60s/%d", folder, fd);
	error = check_name(path);
	if (error != 0) {
		errno = saved;
		return error;
	}
	held = open_at(path, O_PATH);
	if (held < 0)
		return wi_os_failure(saved);
	error = open_held(held, file);
	wi_os_close(held);
	errno = saved;
	return error;
}

long wi_os_read_at(int fd, void *buf, size_t len, uint64_t at)
{
	int saved = errno;
	size_t done = 0;

	while (done < len) {
		long got = syscall(SYS_pread64, fd, (char *)buf + done,
				   len - done, at + done);

		if (got == 0)
			break;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return wi_os_failure(saved);
		done += (size_t)got;
	}
	errno = saved;
	return (long)done;
}

int wi_os_map_shared(const void **out, const struct wi_os_shared *file)
{
	int saved = errno;
	void *p = mmap(NULL, file->bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE,
		       file->fd, 0);

	if (p == MAP_FAILED)
		return wi_os_failure(saved);
	/* A read maps the page it needs, and no other. */
	(void)madvise(p, file->bytes, MADV_NOHUGEPAGE);
	errno = saved;
	*out = p;
	return 0;
}

bool wi_os_is_backed(int fd, uint64_t at, uint64_t *end)
{
	int saved = errno;
	off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;
	bool is_backed = true;

	*end = UINT64_MAX;
	if (data < 0) { /* only zeros from here on */
		is_backed = errno != ENXIO;
	} else if ((uint64_t)data > at) {
		is_backed = false;
		*end = (uint64_t)data;
	} else {
		hole = lseek(fd, (off_t)at, SEEK_HOLE);
		if (hole > data)
			*end = (uint64_t)hole;
	}
	errno = saved;
	return is_backed;
}
