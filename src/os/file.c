/* SPDX-License-Identifier: MIT */
/*
 * Reading the small files of sysfs, procfs and cgroups. By plain system calls:
 * the C library's open() and read() are cancellation points, and no call of
 * weir is one.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/internal.h"
#include "os/os.h"

/* Fills buf to its end or the file's; the number of bytes, or -1 and errno. */
static long read_up_to(int fd, char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		long got = syscall(SYS_read, fd, buf + done, len - done);

		if (got == 0)
			break;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		done += (size_t)got;
	}
	return (long)done;
}

int wi_os_read_file(const char *path, char *buf, size_t len)
{
	int saved = errno, result, fd;
	long got;

	if (len == 0)
		return -EINVAL;
	buf[0] = '\0';
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return wi_os_failure(saved);

	got = read_up_to(fd, buf, len);
	if (got < 0) {
		result = wi_os_failure(saved);
		got = 0;
	} else if ((size_t)got == len) { /* no room for the NUL */
		result = -EFBIG;
		got = 0;
	} else {
		if (got > 0 && buf[got - 1] == '\n')
			got--;
		result = (int)got;
	}
	buf[got] = '\0';

	(void)syscall(SYS_close, fd);
	errno = saved;
	return result;
}
