/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a forked child works on its parent's pool instead of failing
 * cleanly.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "os/os.h"
#include "os_system.h"

static void read_byte(void *p)
{
	struct rlimit none = { 0, 0 };

	/* The default action, whatever a sanitizer has installed; no core. */
	signal(SIGSEGV, SIG_DFL);
	setrlimit(RLIMIT_CORE, &none);
	_exit(*(volatile char *)p);
}

static int child_reads(const struct wi_os_map *map)
{
	char *p;
	int status;

	CHECK_EQ(wi_os_map((void **)&p, map), 0);
	p[0] = 7;
	status = end_child(start_child(read_byte, p));
	CHECK_EQ(p[0], 7);
	wi_os_unmap(p, map->bytes);
	return status;
}

static void child_reads_wiped(void)
{
	char *p;

	CHECK_EQ(wi_os_map_wiped((void **)&p, 100), 0);
	CHECK_EQ(p[0], 0);
	CHECK_EQ(p[99], 0);
	p[0] = p[99] = 7;
	CHECK_EQ(end_child(start_child(read_byte, p)), 0);
	CHECK_EQ(end_child(start_child(read_byte, p + 99)), 0);
	CHECK_EQ(p[0], 7);
	wi_os_unmap_wiped(p, 100);
	/* Whole pages, so that what else is needed goes behind them. */
	CHECK_EQ(wi_os_map_wiped((void **)&p, 8192), 0);
	p[8191] = 7;
	CHECK_EQ(end_child(start_child(read_byte, p + 8191)), 0);
	wi_os_unmap_wiped(p, 8192);
}

int main(void)
{
	struct wi_os_map map = { .bytes = 4096 };

	CHECK_EQ(child_reads(&map), 7);
	map.no_fork = true;
	CHECK_EQ(child_reads(&map), 1000 + SIGSEGV);

	/* A file's memory can be kept from a child, too. */
	map.backing = WI_OS_FD;
	map.fd = memfd_create("os_fork", 0);
	CHECK(map.fd >= 0);
	CHECK_EQ(ftruncate(map.fd, 4096), 0);
	CHECK_EQ(child_reads(&map), 1000 + SIGSEGV);
	map.no_fork = false;
	CHECK_EQ(child_reads(&map), 7);
	child_reads_wiped();
	return 0;
}
