/* SPDX-License-Identifier: MIT */
/*
 * If this fails, the maintenance thread runs on a CPU that must not be
 * disturbed, gets signals that are others', does nothing, or stays after its
 * pool.
 */
#include <dirent.h>
#include <sys/eventfd.h>

#include <weir/request.h>
#include <weir/stat.h>

#include "api/pool.h"
#include "helpers.h"

static struct weir_pool *pool;
static int here, there;

static void create(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = 16 << 20;
	opts.quiet_cpus = "";
	opts.name = "a pool of a long name";
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
}

/* The thread of that name; 0: there is none. */
static pid_t find_thread(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	pid_t tid = 0;

	CHECK(dir != NULL);
	while ((entry = readdir(dir)) != NULL && tid == 0) {
		char path[300], comm[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
			 entry->d_name);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fgets(comm, sizeof(comm), file) != NULL &&
		    strcmp(comm, name) == 0)
			tid = atoi(entry->d_name);
		fclose(file);
	}
	closedir(dir);
	return tid;
}

static pid_t await_thread(void)
{
	const uint64_t end = now_ns() + 30000000000u;
	pid_t tid;

	/* It names itself. */
	while ((tid = find_thread("weir:a pool of \n")) == 0)
		CHECK_MSG(now_ns() < end, "there is no such thread");
	return tid;
}

/* Joining it does not say that the kernel has forgotten it. */
static void await_gone(void)
{
	const uint64_t end = now_ns() + 30000000000u;

	while (find_thread("weir:a pool of \n") != 0)
		CHECK_MSG(now_ns() < end, "the thread does not end");
}

/* A line of its status, as a number. */
static unsigned long long status_of(pid_t tid, const char *key)
{
	char path[64], line[256];
	unsigned long long value = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	file = fopen(path, "re");
	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoull(line + strlen(key), NULL, 16);
	fclose(file);
	return value;
}

static void set_quiet(int cpu, enum weir_mode mode)
{
	char list[16];

	snprintf(list, sizeof(list), "%d", cpu);
	CHECK_EQ(weir_set_mode(pool, list, mode), 0);
}

static void keeps_off_quiet_cpus(void)
{
	cpu_set_t cpus;
	pid_t tid;

	create();
	if (weir_set_mode(pool, NULL, WEIR_MODE_QUIET) == -EOPNOTSUPP) {
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
		return;
	}
	CHECK_EQ(weir_maintain_start(pool, NULL), -ENODEV);
	set_quiet(there, WEIR_MODE_ORDINARY);
	CHECK_EQ(weir_maintain_start(pool, NULL), 0);
	CHECK_EQ(weir_maintain_start(pool, NULL), -EBUSY);
	tid = await_thread();
	CHECK_EQ(sched_getaffinity(tid, sizeof(cpus), &cpus), 0);
	CHECK_EQ(CPU_COUNT(&cpus), 1);
	CHECK(CPU_ISSET((size_t)there, &cpus));
	/* SIGKILL, SIGSTOP and the C library's two cannot be blocked. */
	CHECK_EQ(status_of(tid, "SigBlk:") | 0x180040100, 0xffffffffffffffff);
	CHECK_EQ(weir_maintain_stop(pool), 0);
	await_gone();
	CHECK_EQ(weir_maintain_stop(pool), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* Pages lie in a list of a CPU that goes on working, and nobody calls weir. */
static void completes_requests(void)
{
	struct weir_maintain_opts opts = WEIR_MAINTAIN_OPTS_INIT;
	struct weir_request request = WEIR_REQUEST_INIT;
	static void *page[4096], *got[64];
	uint64_t count;

	create();
	opts.interval_ns = 1000000;
	CHECK_EQ(weir_maintain_start(pool, &opts), 0);
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, 4096, 0), 0);
	request.n = 64;
	request.pages = got;
	request.fd = eventfd(0, EFD_CLOEXEC);
	CHECK_EQ(weir_request_submit(pool, &request), 0);
	weir_free_bulk(pool, 0, page, 64);
	CHECK_EQ(read(request.fd, &count, sizeof(count)), 8);
	CHECK_EQ(weir_request_is_done(&request), 1);
	/* It is ended although pages are allocated. */
	await_thread();
	CHECK_EQ(weir_pool_destroy(pool, 0), -EBUSY);
	await_gone();
	CHECK_EQ(weir_maintain_start(pool, NULL), 0);
	weir_free_bulk(pool, 0, got, 64);
	weir_free_bulk(pool, 0, page + 64, 4096 - 64);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	await_gone();
	close(request.fd);
}

static void keeps_a_reserve(void)
{
	struct weir_maintain_opts opts = WEIR_MAINTAIN_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	const uint64_t end = now_ns() + 30000000000u;

	create();
	opts.interval_ns = 100000;
	opts.reserve_pages = 4096;
	CHECK_EQ(weir_maintain_start(pool, &opts), 0);
	do {
		weir_free(pool, weir_alloc(pool, 0, 0), 0);
		CHECK_EQ(weir_stat_read(pool, &stat), 0);
		CHECK_MSG(now_ns() < end, "%d pages are free", (int)stat.free);
	} while (stat.drains < 3);
	opts.size = 8;
	CHECK_EQ(weir_maintain_stop(pool), 0);
	CHECK_EQ(weir_maintain_start(pool, &opts), -EINVAL);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	two_cpus(&here, &there);
	keeps_off_quiet_cpus();
	completes_requests();
	keeps_a_reserve();
	return 0;
}
