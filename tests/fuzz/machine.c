/* SPDX-License-Identifier: MIT */
/* The machine the targets run on: see fuzz.h. */
#include "fuzz.h"

#include <sched.h>

#include "os/os.h"

#define TICK_NS 200 /* what reading the clock takes */

struct fuzz_machine fuzz_machine = { .nr_nodes = 1 };

static uint64_t now_ns = 1000000000u;
static int true_cpu[2] = { -1, -1 }; /* those we may use */
static unsigned true_rank;	     /* where we are pinned */

/* The linker's names. */
int __real_wi_os_read_file(const char *path, char *buf, size_t len);
int __wrap_wi_os_read_file(const char *path, char *buf, size_t len);
int __wrap_wi_os_read_line(const char *path, const char *prefix, char *buf,
			   size_t len);
int __real_wi_os_membarrier_cpu(unsigned cpu);
int __wrap_wi_os_membarrier_cpu(unsigned cpu);
int __real_wi_os_current_cpu(void);
int __wrap_wi_os_current_cpu(void);
int __wrap_wi_os_bind(void *p, size_t bytes, unsigned node);
uint64_t __wrap_wi_os_now_ns(void);
void __wrap_wi_os_sleep_ns(uint64_t ns);

/* The library holds no heap; the command line's target loses some. */
const char *__asan_default_options(void);
__attribute__((used)) const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* --- CPUs -------------------------------------------------------------- */

static void pin(unsigned rank)
{
	cpu_set_t set;

	if (true_cpu[0] < 0) {
		unsigned n = 0;

		MUST(sched_getaffinity(0, sizeof(set), &set) == 0);
		for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
			if (CPU_ISSET((size_t)cpu, &set))
				true_cpu[n++] = cpu;
		if (n == 1)
			true_cpu[1] = true_cpu[0];
		true_rank = 2;
	}
	if (rank == true_rank)
		return;
	true_rank = rank;
	CPU_ZERO(&set);
	CPU_SET((size_t)true_cpu[rank], &set);
	MUST(sched_setaffinity(0, sizeof(set), &set) == 0);
}

void fuzz_machine_reset(void)
{
	fuzz_machine = (struct fuzz_machine){ .nr_nodes = 1 };
	pin(0);
}

void fuzz_machine_move(unsigned rank)
{
	if (fuzz_machine.numbered)
		fuzz_machine.cpu = rank % FUZZ_CPUS;
	else
		pin(rank % 2);
}

unsigned fuzz_machine_cpu(void)
{
	return fuzz_machine.numbered ? fuzz_machine.cpu
				     : (unsigned)true_cpu[true_rank];
}

unsigned fuzz_machine_node(unsigned cpu)
{
	return cpu < FUZZ_CPUS ? cpu % fuzz_machine.nr_nodes : 0;
}

int __wrap_wi_os_current_cpu(void)
{
	return fuzz_machine.numbered ? (int)fuzz_machine.cpu
				     : __real_wi_os_current_cpu();
}

int __wrap_wi_os_membarrier_cpu(unsigned cpu)
{
	return fuzz_machine.membarrier_fails ? -EPERM
					     : __real_wi_os_membarrier_cpu(cpu);
}

/* --- files ------------------------------------------------------------- */

static bool ends_with(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n >= m && strcmp(path + n - m, end) == 0;
}

static int read_machine(const char *path, char *buf, size_t len)
{
	if (ends_with(path, "/cpu/possible") || ends_with(path, "/cpu/online"))
		snprintf(buf, len, "0-%d",
			 true_cpu[1] < FUZZ_CPUS ? FUZZ_CPUS - 1 : true_cpu[1]);
	else if (fuzz_machine.nr_nodes == 1)
		return -ENOENT;
	else if (ends_with(path, "/node/online") ||
		 ends_with(path, "/node/has_memory"))
		snprintf(buf, len, "0-1");
	else if (ends_with(path, "/node0/cpulist"))
		snprintf(buf, len, "0,2");
	else if (ends_with(path, "/node1/cpulist"))
		snprintf(buf, len, "1,3");
	else
		return -ENOENT;
	return (int)strlen(buf);
}

int __wrap_wi_os_read_file(const char *path, char *buf, size_t len)
{
	if (strncmp(path, "/proc/self/fd/", 14) == 0)
		return __real_wi_os_read_file(path, buf, len);
	buf[0] = '\0';
	return fuzz_machine.read_file != NULL
		       ? fuzz_machine.read_file(path, buf, len)
		       : read_machine(path, buf, len);
}

int __wrap_wi_os_read_line(const char *path, const char *prefix, char *buf,
			   size_t len)
{
	static char text[1 << 16];
	const char *at = text, *end;
	int got = __wrap_wi_os_read_file(path, text, sizeof(text));

	buf[0] = '\0';
	if (got < 0)
		return got;
	while (strncmp(at, prefix, strlen(prefix)) != 0) {
		at = strchr(at, '\n');
		if (at == NULL)
			return -ENODATA;
		at++;
	}
	at += strlen(prefix);
	end = strchrnul(at, '\n');
	if ((size_t)(end - at) >= len)
		return -EFBIG;
	memcpy(buf, at, (size_t)(end - at));
	buf[end - at] = '\0';
	return (int)(end - at);
}

/* --- memory and time --------------------------------------------------- */

int __wrap_wi_os_bind(void *p, size_t bytes, unsigned node)
{
	(void)bytes;
	if ((uintptr_t)p % 4096 != 0)
		abort(); /* pages of two zones in one of the kernel's */
	return node < fuzz_machine.nr_nodes ? 0 : -EINVAL;
}

uint64_t __wrap_wi_os_now_ns(void)
{
	return now_ns += TICK_NS;
}

void __wrap_wi_os_sleep_ns(uint64_t ns)
{
	now_ns += ns;
}
