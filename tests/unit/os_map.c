/* SPDX-License-Identifier: MIT */
/*
 * If this fails, pools get memory that is misaligned, is backed before it is
 * used, or loses what was in it; or making one interrupts other CPUs.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/bits.h"
#include "os/os.h"
#include "os_system.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))
#define MIB ((size_t)1 << 20)

static size_t nr_backed(void *p, size_t bytes)
{
	size_t nr = bytes / PAGE, count = 0;
	unsigned char *in = malloc(nr);

	CHECK(in);
	CHECK_EQ(mincore(p, bytes, in), 0);
	for (size_t i = 0; i < nr; i++)
		count += in[i] & 1;
	free(in);
	return count;
}

static void check_alignment(void)
{
	static const size_t aligns[] = {
		0, 64, 4096, 1 << 16, 1 << 21, 1 << 30
	};
	static const size_t sizes[] = { 1, 4096, 12345, 5 << 20 };

	for (size_t i = 0; i < WI_ARRAY_SIZE(aligns); i++) {
		for (size_t j = 0; j < WI_ARRAY_SIZE(sizes); j++) {
			struct wi_os_map map = { .bytes = sizes[j],
						 .align = aligns[i] };
			void *p;

			CHECK_EQ(wi_os_map(&p, &map), 0);
			CHECK_EQ((uintptr_t)p % PAGE, 0);
			if (aligns[i])
				CHECK_EQ((uintptr_t)p % aligns[i], 0);
			((char *)p)[0] = 1;
			((char *)p)[sizes[j] - 1] = 1;
			wi_os_unmap(p, sizes[j]);
		}
	}
}

static void check_refusals(void)
{
	static const struct wi_os_map wrong[] = {
		{ .bytes = 0 },
		{ .bytes = SIZE_MAX },
		{ .bytes = 4096, .align = 3 },
		{ .bytes = 4096, .align = (size_t)1 << 63 },
		{ .bytes = 4096, .backing = WI_OS_HUGETLB, .huge_bytes = 5000 },
		{ .bytes = 4096, .backing = WI_OS_HUGETLB, .huge_bytes = 8192 },
	};
	struct wi_os_map closed = { .bytes = 4096,
				    .backing = WI_OS_FD,
				    .fd = -1 };
	void *p;

	for (size_t i = 0; i < WI_ARRAY_SIZE(wrong); i++) {
		int error = wi_os_map(&p, &wrong[i]);

		CHECK_MSG(error == -EINVAL, "row %zu answers %d", i, error);
	}
	CHECK_EQ(wi_os_map(&p, &closed), -EBADF);
}

static void check_unbacked(void)
{
	struct wi_os_map map = { .bytes = 64 * MIB, .align = 2 * MIB };
	char *p;

	/* Far more than the machine has: nothing is reserved. */
	struct wi_os_map vast = { .bytes = (size_t)1 << 39 };
	char overcommit[4];
	void *q;

	CHECK_EQ(wi_os_map((void **)&p, &map), 0);
	CHECK_EQ(nr_backed(p, map.bytes), 0);
	p[5 * MIB] = 1; /* a base page, not a huge one */
	CHECK_EQ(nr_backed(p, map.bytes), 1);
	wi_os_unmap(p, map.bytes);

	if (wi_os_read_file("/proc/sys/vm/overcommit_memory", overcommit,
			    sizeof(overcommit)) > 0 &&
	    overcommit[0] == '2')
		return; /* this system reserves in any case */
	CHECK_EQ(wi_os_map(&q, &vast), 0);
	wi_os_unmap(q, vast.bytes);
}

static void check_prefault(void)
{
	struct wi_os_map map = { .bytes = MIB };
	char *p;
	int error;

	CHECK_EQ(wi_os_map((void **)&p, &map), 0);
	p[3 * PAGE] = 'x';
	p[4 * PAGE - 1] = 'y';
	errno = E2BIG;
	CHECK_EQ(wi_os_prefault(p, MIB), 0);
	CHECK_EQ(nr_backed(p, MIB), MIB / PAGE);
	CHECK_EQ(p[3 * PAGE], 'x');
	CHECK_EQ(p[4 * PAGE - 1], 'y');
	CHECK_EQ(p[0], 0);

	error = wi_os_lock(p, 4 * PAGE);
	CHECK_MSG(error == 0 || error == -ENOMEM || error == -EPERM,
		  "mlock answers %d", error);
	error = wi_os_bind(p, MIB, 0);
	CHECK_MSG(error == 0 || error == -ENOSYS || error == -EPERM,
		  "mbind answers %d", error);
	CHECK(wi_os_bind(p, MIB, 1000000) < 0);
	CHECK_EQ(errno, E2BIG);
	wi_os_unmap(p, MIB);
}

/* What may only be read, or lies past the end of its file: no signal. */
static void check_prefault_fails(void)
{
	const struct wi_os_map map = { .bytes = 4 * PAGE };
	int fd = memfd_create("os_map", 0);
	char *p;

	CHECK_EQ(wi_os_map((void **)&p, &map), 0);
	p[0] = 'x';
	CHECK_EQ(mprotect(p + 2 * PAGE, PAGE, PROT_READ), 0);
	errno = E2BIG;
	CHECK_EQ(wi_os_prefault(p, 4 * PAGE), -EFAULT);
	CHECK_EQ(wi_os_prefault(p, 2 * PAGE), 0);
	CHECK_EQ(p[0], 'x');
	CHECK_EQ(mprotect(p, 4 * PAGE, PROT_NONE), 0);
	CHECK_EQ(wi_os_prefault(p, 4 * PAGE), -EFAULT);
	CHECK_EQ(errno, E2BIG);
	wi_os_unmap(p, 4 * PAGE);

	CHECK(fd >= 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK_EQ(wi_os_prefault(p, PAGE), -EFAULT);
	CHECK_EQ(munmap(p, PAGE), 0);
	close(fd);
}

/* Before Linux 5.14 there is no MADV_POPULATE_WRITE. */
static void on_old_kernel(void *arg)
{
	(void)arg;
	if (!system_refuse(SYS_madvise, 2, ~0u, 23, EINVAL))
		_exit(77);
	check_prefault();
	check_prefault_fails();
}

/* Where address space is limited, a mapping takes its own bytes of it. */
static void with_little_space(void *arg)
{
	struct wi_os_map map = { .bytes = 512 * MIB, .align = 512 * MIB };
	char text[64];
	struct rlimit limit;
	void *p;

	(void)arg;
	CHECK(wi_os_read_line("/proc/self/status", "VmSize:", text,
			      sizeof(text)) > 0);
	limit.rlim_cur = strtoull(text, NULL, 10) * 1024;
	if (limit.rlim_cur > (rlim_t)1 << 40)
		return; /* a sanitizer's shadow */
	limit.rlim_cur += 513 * MIB;
	limit.rlim_max = RLIM_INFINITY;
	CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
	for (unsigned i = 0; i < 20; i++) {
		CHECK_EQ(wi_os_map(&p, &map), 0);
		CHECK_EQ((uintptr_t)p % map.align, 0);
		wi_os_unmap(p, map.bytes);
		/* Another place the next time. */
		CHECK(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0) != MAP_FAILED);
	}
	map.bytes = 600 * MIB;
	CHECK_EQ(wi_os_map(&p, &map), -ENOMEM);
}

static void check_fd(void)
{
	int fd = memfd_create("os_map", 0);
	struct wi_os_map map = { .bytes = 2 * PAGE,
				 .align = MIB,
				 .backing = WI_OS_FD,
				 .fd = fd,
				 .fd_offset = PAGE };
	char *p, *q;

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, (off_t)(3 * PAGE)), 0);
	CHECK_EQ(wi_os_map((void **)&p, &map), 0);
	CHECK_EQ((uintptr_t)p % MIB, 0);
	CHECK_EQ(wi_os_map((void **)&q, &map), 0);
	p[0] = 'w';
	CHECK_EQ(q[0], 'w'); /* shared, at the same offset */
	CHECK_EQ(wi_os_prefault(q, 2 * PAGE), 0);
	CHECK_EQ(q[0], 'w');
	wi_os_unmap(p, 2 * PAGE);
	wi_os_unmap(q, 2 * PAGE);

	map.fd_offset = 2 * PAGE; /* one page short */
	CHECK_EQ(wi_os_map((void **)&p, &map), -EINVAL);
	map.fd_offset = 4 * PAGE;
	CHECK_EQ(wi_os_map((void **)&p, &map), -EINVAL);
	close(fd);
}

static void check_huge(void)
{
	size_t huge = wi_os_huge_size();
	struct wi_os_map map = { .backing = WI_OS_HUGETLB, .bytes = huge };
	uint64_t nr_free = 0, nr_left = 0;
	void *p;
	int error;

	if (!huge || wi_os_huge_free(huge, &nr_free)) {
		CHECK(wi_os_map(&p, &map) < 0);
		return;
	}
	error = wi_os_map(&p, &map);
	if (nr_free == 0) {
		CHECK_EQ(error, -ENOMEM); /* here, not as a signal later */
		return;
	}
	CHECK_EQ(error, 0);
	CHECK_EQ((uintptr_t)p % huge, 0);
	CHECK_EQ(wi_os_huge_free(huge, &nr_left), 0);
	CHECK(nr_left < nr_free);
	*(volatile char *)p = 1;
	wi_os_unmap(p, huge);
	CHECK(wi_os_huge_free(4096 * 3, &nr_left) < 0);
}

static void map_1000(bool touched)
{
	struct wi_os_map map = { .bytes = MIB, .align = 2 * MIB };
	void *p;

	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(wi_os_map(&p, &map), 0);
		if (touched)
			*(volatile char *)p = 1;
		wi_os_unmap(p, MIB);
	}
}

static void map_untouched(void)
{
	map_1000(false);
}

static void map_touched(void)
{
	map_1000(true);
}

int main(void)
{
	int status;

	check_alignment();
	check_refusals();
	check_unbacked();
	check_prefault();
	check_prefault_fails();
	status = end_child(start_child(on_old_kernel, NULL));
	CHECK_MSG(status == 0 || status == 77, "on an old kernel: %d", status);
	status = end_child(start_child(with_little_space, NULL));
	CHECK_MSG(status == 0, "with little space: %d", status);
	check_fd();
	check_huge();
	system_compare("mapping", map_untouched, map_touched);
	return 0;
}
