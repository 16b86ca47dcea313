/* SPDX-License-Identifier: MIT */
/*
 * Memory that other processes may read: a memfd, which they find among this
 * process' descriptors. Once it is sealed no process can map it writable,
 * change its size or punch holes into it; only the mapping made here writes it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/internal.h"
#include "os/os.h"

/* By value, for headers older than the kernel: */
#define MFD_NOEXEC_SEAL_ 0x8u /* Linux 6.3 */

/* A file larger than the process' limit would raise a signal, not fail. */
static bool is_over_limit(size_t bytes)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < bytes;
}

/* Not as 0, 1 or 2, in case the program has closed one of these. */
static int above_standard(int fd)
{
	int higher;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	(void)syscall(SYS_close, fd);
	return higher;
}

static int make_file(const char *name)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	char full[64];
	int fd;

	snprintf(full, sizeof(full), WI_OS_SHARED_PREFIX "%s", name);
	fd = (int)syscall(SYS_memfd_create, full, flags | MFD_NOEXEC_SEAL_);
	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_memfd_create, full, flags);
	return above_standard(fd);
}

/* Maps the file for good; NULL and errno. */
static void *map_and_seal(int fd, size_t bytes)
{
	void *p;

	if (fchmod(fd, S_IRUSR) != 0 || ftruncate(fd, (off_t)bytes) != 0)
		return NULL;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, bytes, MADV_DONTFORK) != 0 ||
	    fcntl(fd, F_ADD_SEALS, WI_OS_SEALS) != 0) {
		int error = errno;

		munmap(p, bytes);
		errno = error;
		return NULL;
	}
	(void)madvise(p, bytes, MADV_NOHUGEPAGE); /* as private memory */
	return p;
}

int wi_os_share(void **out, size_t bytes, const char *name,
		struct wi_os_shared *file)
{
	int saved = errno, error;
	struct stat st;
	void *p = NULL;

	file->fd = -1;
	/*
	 * With strict accounting the kernel promises private memory as it is
	 * mapped, but pages of a file only one by one, and a page it cannot
	 * give is a SIGBUS.
	 */
	if (wi_os_is_accounted() || is_over_limit(bytes)) {
		errno = saved;
		return -EOPNOTSUPP;
	}
	file->fd = make_file(name);
	if (file->fd < 0)
		return wi_os_failure(saved);
	if (fstat(file->fd, &st) == 0)
		p = map_and_seal(file->fd, bytes);
	if (p == NULL) {
		error = wi_os_failure(saved);
		(void)syscall(SYS_close, file->fd);
		errno = saved;
		file->fd = -1;
		return error;
	}
	file->device = st.st_dev;
	file->inode = st.st_ino;
	*out = p;
	errno = saved;
	return 0;
}

void wi_os_unshare(const struct wi_os_shared *file)
{
	int saved = errno;
	struct stat st;

	/* Some programs close all descriptors and open others. */
	if (file->fd >= 0 && fstat(file->fd, &st) == 0 &&
	    st.st_dev == file->device && st.st_ino == file->inode)
		(void)syscall(SYS_close, file->fd);
	errno = saved;
}

int wi_os_pid(void)
{
	return (int)getpid();
}
