/* SPDX-License-Identifier: MIT */
/*
 * If this fails, the library or a command reads a file for which the kernel
 * enters the run queue of a CPU, or sends an interrupt there: a drain or a look
 * at statistics then interrupts a quiet CPU (P1).
 *
 * Every open() of every thread is looked at by a tracer. The files that must
 * not be read:
 *
 *   /proc/PID/task/TID/stat   brings a thread's run time up to date on its run
 *                             queue, which may reschedule that CPU (Linux 6.12)
 *   .../sched, .../syscall    likewise; waits for the thread to stop
 *   /proc/cpuinfo, cpufreq    ask each CPU for its frequency (before 5.18)
 *   stat_refresh              queues work on each CPU
 *   .../stack                 unwinds a running thread
 */
#include <sys/uio.h>

#include <weir/fast.h>
#include <weir/watch.h>

#include "trace.h"

static unsigned nr_opened, nr_states;

static bool ends_with(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n >= m && strcmp(path + n - m, end) == 0;
}

static void look_at(const char *path)
{
	const bool is_process = strncmp(path, "/proc/", 6) == 0;
	const bool is_thread = is_process && strstr(path, "/task/") != NULL;

	nr_opened++;
	nr_states += is_thread && ends_with(path, "/status");
	CHECK_MSG(!(is_thread && ends_with(path, "/stat")), "reads %s", path);
	CHECK_MSG(!(is_process &&
		    (ends_with(path, "/sched") || ends_with(path, "/syscall") ||
		     ends_with(path, "/stack") ||
		     ends_with(path, "/stat_refresh") ||
		     ends_with(path, "/cpuinfo"))),
		  "reads %s", path);
	CHECK_MSG(strstr(path, "cpufreq") == NULL, "reads %s", path);
}

/* --- the tracer --------------------------------------------------------- */

static void stopped_at_call(void *unused, pid_t pid)
{
	struct user_regs_struct r;
	char path[256] = "";
	struct iovec local = { path, sizeof(path) - 1 }, remote;
	ssize_t got;

	(void)unused;
	CHECK_EQ(ptrace(PTRACE_GETREGS, pid, NULL, &r), 0);
	if (r.orig_rax == SYS_openat)
		remote.iov_base = (void *)r.rsi;
	else if (r.orig_rax == SYS_open)
		remote.iov_base = (void *)r.rdi;
	else
		return;
	/* The page may end before the buffer does. */
	remote.iov_len = sizeof(path) - 1;
	if ((uintptr_t)remote.iov_base % 4096 + remote.iov_len > 4096)
		remote.iov_len = 4096 - (uintptr_t)remote.iov_base % 4096;
	got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	CHECK(got > 0);
	look_at(path);
}

static int trace(void (*body)(void *), void *arg)
{
	const struct tracer tracer = { .at_call = stopped_at_call };

	return trace_run(&tracer, body, arg);
}

/* --- the library -------------------------------------------------------- */

static struct weir_pool *pool;

/* Waits for a mark of the first thread, and asks whether that still exists. */
static void drain(void *unused)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	char cpu[16];

	(void)unused;
	snprintf(cpu, sizeof(cpu), "%d", allowed_cpu(0));
	opts.cpus = cpu;
	opts.wait_ns = 1000000;
	CHECK_EQ(weir_drain(pool, &opts, NULL), -EAGAIN);
	CHECK_EQ(weir_maintain(pool, 100, NULL), -EAGAIN);
}

static int open_watch(const struct weir_watch_id *id, void *ctx)
{
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_watch *watch;

	(void)ctx;
	if (weir_watch_open(&watch, id) == 0) {
		CHECK_EQ(weir_watch_info(watch, &info), 0);
		CHECK_EQ(weir_watch_read(watch, &stat), 0);
		weir_watch_close(watch);
	}
	return 0;
}

static void use_library(void *unused)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_burst burst;
	void *page;

	(void)unused;
	opts.capacity = 1 << 20;
	opts.quiet_cpus = NULL;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	if (weir_set_mode(pool, NULL, WEIR_MODE_QUIET) == -EOPNOTSUPP)
		SKIP("there are no sequences");
	pin(allowed_cpu(0));
	page = weir_alloc(pool, 0, 0);
	weir_burst_begin(pool, &burst);
	weir_free(pool, page, 0);
	run_on(allowed_cpu(1), drain, NULL);
	weir_burst_end(pool, &burst);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK(weir_watch_list(getpid(), open_watch, NULL) >= 0);
	CHECK(weir_watch_list(0, open_watch, NULL) >= 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- the commands that look at CPUs and processes ------------------------ */

static char command[4096];

static void find_command(void)
{
	ssize_t n = readlink("/proc/self/exe", command, sizeof(command) - 8);
	char *slash;

	CHECK(n > 0);
	command[n] = '\0';
	slash = strrchr(command, '/');
	CHECK(slash != NULL);
	strcpy(slash, "/weir");
}

static void run_command(void *arg)
{
	char *const *argv = arg;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	/* It traces its process, which two cannot do at once. */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	execv(command, argv);
	_exit(127);
}

int main(void)
{
	static const char *rows[][5] = {
		{ "weir", "doctor" },
		{ "weir", "doctor", "0" },
		{ "weir", "ps" },
		{ "weir", "metrics" },
		{ "weir", "size", "--capacity", "1M" },
	};
	unsigned nr_commands = 0;
	int status;

	need_two_cpus();
	status = trace(use_library, NULL);
	if (status == 77)
		return 77;
	CHECK_EQ(status, 0);
	CHECK_MSG(nr_states > 0, "no drain asked whether the thread exists");
	find_command();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (access(command, X_OK) != 0)
			break; /* built without */
		status = trace(run_command, (void *)(uintptr_t)rows[i]);
		CHECK(status < 127);
		nr_commands++;
	}
	printf("figures: %u files opened, by the library and %u commands\n",
	       nr_opened, nr_commands);
	return 0;
}
