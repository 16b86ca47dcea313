/* SPDX-License-Identifier: MIT */
/*
 * Reading the small files of sysfs, procfs and cgroups, and writing eventfds.
 * By plain system calls: the C library's open(), read() and write() are
 * cancellation points, and no call of weir is one.
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

static int open_to_read(const char *path)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

long wi_os_count_lines(const char *path)
{
	int saved = errno;
	long lines = 0, got;
	char part[4096];
	int fd = open_to_read(path);

	if (fd < 0)
		return wi_os_failure(saved);
	do {
		got = read_up_to(fd, part, sizeof(part));
		for (long i = 0; i < got; i++)
			lines += part[i] == '\n';
	} while (got == (long)sizeof(part));
	if (got < 0)
		lines = -errno;
	(void)syscall(SYS_close, fd);
	errno = saved;
	return lines;
}

/* Where a search for a line that begins with `prefix` stands. */
struct search {
	const char *prefix;
	size_t matched; /* characters of it that this line has so far */
	bool is_other;	/* this line begins otherwise */
	char *buf;
	size_t len, got;
};

/* The next character of the file; true when the line has ended. */
static bool find_line(struct search *s, char c)
{
	if (!s->is_other && s->prefix[s->matched] == '\0') {
		if (c == '\n')
			return true;
		if (s->got < s->len)
			s->buf[s->got] = c;
		s->got++;
	} else if (c == '\n') {
		s->matched = 0;
		s->is_other = false;
	} else if (!s->is_other && c == s->prefix[s->matched]) {
		s->matched++;
	} else {
		s->is_other = true;
	}
	return false;
}

/* Reads on until the line has ended, or the file; -1 and errno. */
static long search_file(int fd, struct search *s)
{
	char part[512];
	long got;

	do {
		got = read_up_to(fd, part, sizeof(part));
		for (long i = 0; i < got; i++)
			if (find_line(s, part[i]))
				return 0;
	} while (got == (long)sizeof(part));
	return got < 0 ? got : 0;
}

int wi_os_read_line(const char *path, const char *prefix, char *buf, size_t len)
{
	struct search s = { .prefix = prefix, .buf = buf, .len = len };
	int saved = errno, result, fd;

	if (len == 0)
		return -EINVAL;
	buf[0] = '\0';
	fd = open_to_read(path);
	if (fd < 0)
		return wi_os_failure(saved);
	if (search_file(fd, &s) < 0)
		result = wi_os_failure(saved);
	else if (s.is_other || prefix[s.matched] != '\0')
		result = -ENODATA;
	else if (s.got >= len) /* no space for the NUL */
		result = -EFBIG;
	else
		result = (int)s.got;
	buf[result < 0 ? 0 : result] = '\0';
	(void)syscall(SYS_close, fd);
	errno = saved;
	return result;
}

int wi_os_read_file(const char *path, char *buf, size_t len)
{
	int saved = errno, result, fd;
	long got;

	if (len == 0)
		return -EINVAL;
	buf[0] = '\0';
	fd = open_to_read(path);
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

void wi_os_event_add(int fd)
{
	const uint64_t one = 1;
	const int saved = errno;

	(void)syscall(SYS_write, fd, &one, sizeof(one));
	errno = saved;
}
