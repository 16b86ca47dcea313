/* SPDX-License-Identifier: MIT */
/* Threads, CPUs, clocks and membarrier. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "os/internal.h"
#include "os/os.h"

/* <linux/membarrier.h> since 5.10; by value, for older headers. */
#define MEMBARRIER_RSEQ (1 << 7)
#define MEMBARRIER_REGISTER_RSEQ (1 << 8)
#define MEMBARRIER_ONE_CPU (1 << 0)

static int sys_membarrier(int command, unsigned flags, unsigned cpu)
{
	int saved = errno;

	if (syscall(SYS_membarrier, command, flags, cpu) < 0)
		return wi_os_failure(saved);
	return 0;
}

int wi_os_membarrier_register(void)
{
	return sys_membarrier(MEMBARRIER_REGISTER_RSEQ, 0, 0);
}

int wi_os_membarrier_cpu(unsigned cpu)
{
	return sys_membarrier(MEMBARRIER_RSEQ, MEMBARRIER_ONE_CPU, cpu);
}

uint32_t wi_os_tid(void)
{
	return (uint32_t)syscall(SYS_gettid);
}

/* Has the process ended, or this thread of it, as far as its state says? */
bool wi_os_state_is_dead(const char *status)
{
	static const char key[] = "\nState:\t";
	const char *at = strstr(status, key);
	char state = at ? at[sizeof(key) - 1] : '\0';

	return state == 'Z' || state == 'X';
}

/*
 * The first thread of a process stays, as a zombie that tgkill still finds,
 * when it ends before the others. Its state is read from `status`: for `stat`
 * the kernel updates the thread's run time on the run queue of its
 * CPU, and Linux 6.12 may then interrupt that CPU to schedule anew. `status`
 * touches no run queue. The state is the second or third line, behind a name
 * of at most 64 bytes (16, escaped).
 */
static bool is_zombie(uint32_t tid)
{
	char path[48], status[512];
	long got;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%u/status",
		 (unsigned)tid);
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = wi_os_read_at(fd, status, sizeof(status) - 1, 0);
	wi_os_close(fd);
	if (got <= 0)
		return false;
	status[got] = '\0';
	return wi_os_state_is_dead(status);
}

bool wi_os_thread_exists(uint32_t tid)
{
	int saved = errno;
	long pid = getpid();
	bool exists;

	if (syscall(SYS_tgkill, pid, (long)tid, 0L) < 0)
		return wi_os_failure(saved) != -ESRCH;
	exists = (long)tid != pid || !is_zombie(tid);
	errno = saved;
	return exists;
}

uint64_t wi_os_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void wi_os_sleep_ns(uint64_t ns)
{
	struct timespec wait = { .tv_sec = (time_t)(ns / 1000000000u),
				 .tv_nsec = (long)(ns % 1000000000u) };
	int saved = errno;

	/* By system call: nanosleep() is a cancellation point. */
	(void)syscall(SYS_nanosleep, &wait, NULL);
	errno = saved;
}

/* ---- cancellation ------------------------------------------------------ */

enum { WAS_ENABLED = 1, WAS_ASYNCHRONOUS = 2 };

/*
 * POSIX allows cancellation in both calls. The type is changed too, as the
 * state is not enough: glibc 2.36 cancels a thread that has disabled
 * cancellation, if the signal was under way while it was still enabled and
 * asynchronous.
 */
int wi_os_cancel_put_off(void)
{
	int state = PTHREAD_CANCEL_ENABLE, type = PTHREAD_CANCEL_DEFERRED;

	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return (type == PTHREAD_CANCEL_DEFERRED ? 0 : WAS_ASYNCHRONOUS) |
	       (state == PTHREAD_CANCEL_DISABLE ? 0 : WAS_ENABLED);
}

/* The type last: a cancellation that came meanwhile takes effect with it. */
void wi_os_cancel_allow(int before)
{
	int unused;

	if (before & WAS_ENABLED)
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &unused);
	if (before & WAS_ASYNCHRONOUS)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &unused);
}

/* ---- CPUs ------------------------------------------------------------- */

int wi_os_current_cpu(void)
{
	int saved = errno, cpu = sched_getcpu();

	return cpu < 0 ? wi_os_failure(saved) : cpu;
}

int wi_os_affinity(uint64_t *words, size_t nr_words)
{
	int saved = errno;
	long bytes;

	/* The kernel fills as many whole longs as it has CPUs. */
	memset(words, 0, nr_words * sizeof(*words));
	bytes = syscall(SYS_sched_getaffinity, 0, nr_words * sizeof(*words),
			words);
	return bytes < 0 ? wi_os_failure(saved) : 0;
}

unsigned wi_os_nr_cpus(void)
{
	int saved = errno;
	long n = sysconf(_SC_NPROCESSORS_CONF);

	errno = saved;
	return n < 1 ? 1 : (unsigned)n;
}

/* ---- the kernel's version --------------------------------------------- */

/* How many numbers, up to 3, stand at s with dots between; others become 0. */
static int read_numbers(unsigned v[3], const char *s)
{
	char *end;

	v[0] = v[1] = v[2] = 0;
	for (int i = 0; i < 3; i++) {
		if (*s < '0' || *s > '9')
			return i;
		v[i] = (unsigned)strtoul(s, &end, 10);
		if (*end != '.')
			return i + 1;
		s = end + 1;
	}
	return 3;
}

/* Takes the third number from s if its first two are those of v. */
static bool refine_version(unsigned v[3], const char *s)
{
	unsigned found[3];

	if (read_numbers(found, s) < 3 || found[0] != v[0] || found[1] != v[1])
		return false;
	v[2] = found[2];
	return true;
}

int wi_os_version_parse(unsigned v[3], const char *release, const char *version,
			const char *signature)
{
	static const char debian[] = "Debian ";
	const char *at;

	if (read_numbers(v, release) < 2)
		return -EINVAL;
	if (v[2] != 0)
		return 0;

	/* Debian: "6.1.0-31-amd64", "#1 SMP ... Debian 6.1.128-1 (...)". */
	at = strstr(version, debian);
	if (at && refine_version(v, at + sizeof(debian) - 1))
		return 0;

	/* Ubuntu: "Ubuntu 5.15.0-91.101-generic 5.15.131". */
	at = strrchr(signature, ' ');
	if (at)
		refine_version(v, at + 1);
	return 0;
}

int wi_os_kernel_version(unsigned v[3])
{
	int saved = errno;
	struct utsname name;
	char signature[256];

	if (uname(&name))
		return wi_os_failure(saved);
	if (wi_os_read_file("/proc/version_signature", signature,
			    sizeof(signature)) < 0)
		signature[0] = '\0';
	return wi_os_version_parse(v, name.release, name.version, signature);
}
