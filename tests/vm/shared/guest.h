/* SPDX-License-Identifier: MIT */
/*
 * What programs that run in the guest share: they are root there, may change
 * the machine as they like, and the machine ends with them.
 */
#ifndef WEIR_TESTS_VM_GUEST_H
#define WEIR_TESTS_VM_GUEST_H

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "helpers.h"

/* The long form was asked for. */
static inline bool guest_long(void)
{
	const char *word = getenv("WEIR_PROVE");

	return word != NULL && strcmp(word, "1") == 0;
}

/* Writes a file of the kernel's; 0, or errno. */
static inline int guest_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return error;
}

static inline void guest_must_write(const char *path, const char *text)
{
	int error = guest_write(path, text);

	CHECK_MSG(error == 0, "%s: cannot write %s: %s", path, text,
		  strerror(error));
}

/* Its text without the last newline; "" if it cannot be read. */
static inline const char *guest_read(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, len - 1);

	if (fd >= 0)
		close(fd);
	buf[n < 0 ? 0 : n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

/* --- CPUs -------------------------------------------------------------- */

static inline bool guest_is_online(int cpu)
{
	char path[64], text[8];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online",
		 cpu);
	/* CPU 0 may have no such file. */
	return *guest_read(path, text, sizeof(text)) != '0';
}

static inline void guest_plug(int cpu, bool online)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online",
		 cpu);
	guest_must_write(path, online ? "1" : "0");
}

static inline unsigned guest_cpus(void)
{
	return (unsigned)sysconf(_SC_NPROCESSORS_CONF);
}

/* The calling thread may run on all CPUs; isolated ones, too, which a thread
 * does not get by itself. */
static inline void guest_everywhere(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned cpu = 0; cpu < guest_cpus(); cpu++)
		CPU_SET(cpu, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* Begins a program: it is a guest's root, with so many CPUs, all online. */
static inline void guest_begin(unsigned nr_cpus)
{
	if (getuid() != 0 || access("/plan", R_OK) != 0)
		SKIP("this runs in a guest of its own: tests/vm/run");
	if (guest_cpus() < nr_cpus)
		SKIP("this needs %u CPUs, here are %u", nr_cpus, guest_cpus());
	for (unsigned cpu = 1; cpu < guest_cpus(); cpu++)
		if (!guest_is_online((int)cpu))
			guest_plug((int)cpu, true);
	guest_everywhere();
	allowed_cpu(0);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static inline void guest_nap_ms(unsigned ms)
{
	const struct timespec t = { .tv_sec = ms / 1000,
				    .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

#endif
