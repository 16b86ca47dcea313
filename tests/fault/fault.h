/* SPDX-License-Identifier: MIT */
/*
 * What the fault tests share: children in which something fails, what a
 * process has mapped and open, and the proof that a pool is whole.
 */
#ifndef WEIR_TESTS_FAULT_FAULT_H
#define WEIR_TESTS_FAULT_FAULT_H

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <weir/stat.h>
#include <weir/weir.h>

#include "child.h"
#include "helpers.h"

/* --- children ---------------------------------------------------------- */

/* The child must end well; one that skipped (it said why) skips the test. */
static inline void in_child(void (*body)(void *), void *arg)
{
	int status = end_child(start_child(body, arg));

	if (status == 77)
		exit(77);
	CHECK_MSG(status == 0, "a child ended with %d (1000 + n: by signal n)",
		  status);
}

/* --- what this process has --------------------------------------------- */

#define RANGES_MAX 2048

struct possessions {
	unsigned nr;
	uint64_t range[RANGES_MAX][2]; /* mapped addresses, joined */
	uint64_t bytes;
	unsigned fds;
};

static inline void note_range(struct possessions *has, const char *line)
{
	unsigned long long from, to;

	if (strstr(line, "[stack]") != NULL || strstr(line, "[heap]") != NULL ||
	    sscanf(line, "%llx-%llx", &from, &to) != 2)
		return;
	has->bytes += to - from;
	if (has->nr > 0 && has->range[has->nr - 1][1] == from) {
		has->range[has->nr - 1][1] = to;
		return;
	}
	CHECK(has->nr < RANGES_MAX);
	has->range[has->nr][0] = from;
	has->range[has->nr++][1] = to;
}

/* What is mapped, and how many files are open; without allocating. */
static inline void take_stock(struct possessions *has)
{
	static char text[1 << 19];
	struct pollfd files[256];
	size_t len = 0;
	ssize_t got;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	while ((got = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)got;
	close(fd);
	CHECK(len < sizeof(text) - 1);
	text[len] = '\0';
	*has = (struct possessions){ 0 };
	for (char *line = text, *end; *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		CHECK(end != NULL);
		*end = '\0';
		note_range(has, line);
	}
	for (int i = 0; i < 256; i++)
		files[i] = (struct pollfd){ .fd = i };
	CHECK(poll(files, 256, 0) >= 0);
	for (int i = 0; i < 256; i++)
		has->fds += !(files[i].revents & POLLNVAL);
}

static inline bool same_stock(const struct possessions *a,
			      const struct possessions *b)
{
	return a->nr == b->nr && a->fds == b->fds &&
	       memcmp(a->range, b->range, a->nr * sizeof(a->range[0])) == 0;
}

/* --- pools ------------------------------------------------------------- */

#define FAULT_PAGES 2048 /* of a pool that use_up() can take whole */

/* A free page of each, and the sum: nothing is lost, nothing out. */
static inline void check_whole(struct weir_pool *pool)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.out, 0);
	CHECK_EQ(stat.free + stat.cached + stat.pending, stat.pages);
}

/* Takes every page out, each once, and gives them back. */
static inline void use_up(struct weir_pool *pool)
{
	static void *pages[FAULT_PAGES + 1];
	static uint8_t seen[FAULT_PAGES];
	struct weir_stat stat = WEIR_STAT_INIT;
	size_t page_size, n = 0;
	void *base;

	CHECK_EQ(weir_pool_range(pool, &base, NULL, &page_size), 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK(stat.pages <= FAULT_PAGES);
	memset(seen, 0, sizeof(seen));
	while ((pages[n] = weir_alloc(pool, 0, 0)) != NULL) {
		uint64_t at =
			(uint64_t)((char *)pages[n] - (char *)base) / page_size;

		CHECK(at < stat.pages && !seen[at]);
		seen[at] = 1;
		*(volatile char *)pages[n] = 1;
		n++;
		CHECK(n <= stat.pages);
	}
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(n, stat.pages);
	for (size_t i = 0; i < n; i++)
		weir_free(pool, pages[i], 0);
	check_whole(pool);
}

/* A pool before all others, so that what is done once in a process is done:
 * the check of sequences, which starts a thread. */
static inline void warm_up(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = 1 << 20;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- a file system of one's own ---------------------------------------- */

/* From now on mounts of this process are its own; false: not permitted. */
static inline bool own_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* A folder of the fixtures stands for /sys. */
static inline bool fixture_as_sys(const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s/sys", WEIR_FIXTURES, name);
	return own_mounts() && mount(path, "/sys", NULL, MS_BIND, NULL) == 0;
}

/* This process may use the memory of these nodes, says its status file. */
static inline void may_use_nodes(const char *list)
{
	char path[] = "/tmp/weir-status-XXXXXX", line[64];
	int fd = mkstemp(path);
	int n = snprintf(line, sizeof(line), "Mems_allowed_list:\t%s\n", list);

	CHECK(fd >= 0 && write(fd, line, (size_t)n) == n && close(fd) == 0);
	CHECK_EQ(mount(path, "/proc/self/status", NULL, MS_BIND, NULL), 0);
	CHECK_EQ(unlink(path), 0);
}

#endif
