/* SPDX-License-Identifier: MIT */
/*
 * Memory mappings.
 *
 * An aligned mapping is made by reserving a range of addresses without access
 * and mapping over it. None of it has been touched, so this flushes no TLB.
 */
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bits.h"
#include "os/internal.h"
#include "os/os.h"

/* By value, for headers older than the kernel: */
#define MADV_POPULATE_WRITE_ 23 /* Linux 5.14 */
#define MPOL_PREFERRED_ 1	/* <linux/mempolicy.h> */
#define MPOL_BIND_ 2
#define MPOL_MODE_FLAGS_ 0xe000
#define NODES 1024 /* what the kernel can number */
#define HUGETLBFS_MAGIC_ 0x958458f6u

/* A mapping request with its defaults filled in. */
struct plan {
	size_t bytes;
	size_t sure_bytes;
	size_t align;
	int flags; /* of mmap */
	int fd;
};

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* A hugetlb mapping of `huge` pages, all of them reserved if all must be
 * there. */
static int plan_huge(struct plan *plan, size_t huge)
{
	if (!wi_is_pow2(huge) || plan->bytes % huge)
		return -EINVAL;
	if (plan->align < huge)
		plan->align = huge;
	if (plan->sure_bytes >= plan->bytes)
		plan->flags &= ~MAP_NORESERVE;
	return 0;
}

static int plan_hugetlb(struct plan *plan, size_t huge)
{
	if (!huge)
		huge = wi_os_huge_size();
	if (!huge)
		return -ENOTSUP;
	plan->flags |= MAP_HUGETLB;
	plan->flags |= (int)(wi_lowest_bit(huge) << MAP_HUGE_SHIFT);
	return plan_huge(plan, huge);
}

int wi_os_huge_file(int fd, size_t *huge_bytes)
{
	int saved = errno;
	struct statfs fs;

	*huge_bytes = 0;
	if (fstatfs(fd, &fs) != 0)
		return wi_os_failure(saved);
	if ((uint32_t)fs.f_type == HUGETLBFS_MAGIC_)
		*huge_bytes = (size_t)fs.f_bsize;
	return 0;
}

static int plan_fd(struct plan *plan, const struct wi_os_map *map)
{
	struct stat file;
	size_t huge;
	int error;

	if (fstat(map->fd, &file))
		return -errno;
	error = wi_os_huge_file(map->fd, &huge);
	if (error)
		return error;
	if (S_ISREG(file.st_mode)) {
		uint64_t size = (uint64_t)file.st_size;

		/* The rest of its last page is there, too. */
		if (map->fd_offset > size ||
		    plan->sure_bytes > size - map->fd_offset)
			return -EINVAL;
	}
	plan->flags = MAP_SHARED | MAP_NORESERVE;
	plan->fd = map->fd;
	return huge != 0 ? plan_huge(plan, huge) : 0;
}

static int make_plan(struct plan *plan, const struct wi_os_map *map)
{
	size_t page = page_bytes();

	if (map->bytes == 0 || map->bytes > SIZE_MAX / 4)
		return -EINVAL;
	if (map->align &&
	    (!wi_is_pow2(map->align) || map->align > SIZE_MAX / 4))
		return -EINVAL;
	plan->bytes = wi_round_up(map->bytes, page);
	plan->sure_bytes = map->sure_bytes == 0 ? map->bytes : map->sure_bytes;
	plan->align = map->align < page ? page : map->align;
	plan->flags = (map->read_first ? MAP_SHARED : MAP_PRIVATE) |
		      MAP_ANONYMOUS | MAP_NORESERVE;
	plan->fd = -1;
	if (map->backing == WI_OS_HUGETLB)
		return plan_hugetlb(plan, map->huge_bytes);
	if (map->backing == WI_OS_FD)
		return plan_fd(plan, map);
	return 0;
}

static bool is_aligned(const char *p, size_t align)
{
	return ((uintptr_t)p & (align - 1)) == 0;
}

/* Addresses without access, at `hint` if they are free; NULL and errno. */
static char *reserve_at(char *hint, size_t bytes)
{
	char *p = mmap(hint, bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Reserves a longer range and cuts it to an aligned one. */
static char *reserve_and_trim(size_t bytes, size_t align)
{
	size_t whole = bytes + align - page_bytes(), head, tail;
	char *p = reserve_at(NULL, whole);

	if (!p)
		return NULL;
	head = (size_t)(wi_round_up((uintptr_t)p, align) - (uintptr_t)p);
	tail = whole - head - bytes;
	if (head)
		munmap(p, head);
	if (tail)
		munmap(p + head + bytes, tail);
	return p + head;
}

/*
 * An aligned range of addresses without access; NULL and errno. Reserves no
 * more than that at any time if the address that the kernel chooses is aligned,
 * or the next aligned one below it is free: RLIMIT_AS counts every byte.
 */
static char *reserve_aligned(size_t bytes, size_t align)
{
	char *p = reserve_at(NULL, bytes);

	if (!p || is_aligned(p, align))
		return p;
	munmap(p, bytes);
	p = reserve_at(p - ((uintptr_t)p & (align - 1)), bytes);
	if (!p || is_aligned(p, align))
		return p;
	munmap(p, bytes);
	return reserve_and_trim(bytes, align);
}

/* Advice to the kernel about newly mapped memory. */
static int advise_kernel(char *p, const struct plan *plan,
			 const struct wi_os_map *map)
{
	/* A kernel without transparent huge pages refuses both, which is
	 * harmless. */
	if (map->backing == WI_OS_ANON)
		(void)madvise(p, plan->bytes, MADV_NOHUGEPAGE);
	else if (map->backing == WI_OS_ANON_HUGE)
		(void)madvise(p, plan->bytes, MADV_HUGEPAGE);

	if (map->no_fork && madvise(p, plan->bytes, MADV_DONTFORK))
		return -errno;
	return 0;
}

#ifndef MAP_FIXED_NOREPLACE /* Linux 4.17; before, only a hint */
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/*
 * Maps over a reservation, which is gone if that fails. The mmap of a file may
 * fail after the kernel has cleared the range, where another thread may have
 * mapped something by then. So for a file the range is unmapped first, and
 * -EEXIST reports that another thread took it in between.
 */
static int map_over(char *at, const struct plan *plan, uint64_t fd_offset)
{
	const bool is_file = plan->fd >= 0;
	char *p;
	int error;

	if (is_file)
		munmap(at, plan->bytes);
	p = mmap(at, plan->bytes, PROT_READ | PROT_WRITE,
		 plan->flags | (is_file ? MAP_FIXED_NOREPLACE : MAP_FIXED),
		 plan->fd, (off_t)fd_offset);
	if (p == at)
		return 0;
	error = p == MAP_FAILED ? -errno : -EEXIST;
	if (p != MAP_FAILED)
		munmap(p, plan->bytes);
	else if (!is_file)
		munmap(at, plan->bytes);
	return error;
}

static int map_planned(void **out, const struct plan *plan,
		       const struct wi_os_map *map)
{
	int error = -EEXIST;
	char *at = NULL;

	for (int tries = 0; error == -EEXIST && tries < 100; tries++) {
		at = reserve_aligned(plan->bytes, plan->align);
		if (!at)
			return -errno;
		error = map_over(at, plan, map->fd_offset);
	}
	if (error)
		return error == -EEXIST ? -ENOMEM : error;
	error = advise_kernel(at, plan, map);
	if (error) {
		munmap(at, plan->bytes);
		return error;
	}
	*out = at;
	return 0;
}

int wi_os_map(void **out, const struct wi_os_map *map)
{
	int saved = errno;
	struct plan plan;
	int error = make_plan(&plan, map);

	if (!error)
		error = map_planned(out, &plan, map);
	errno = saved;
	return error;
}

void wi_os_unmap(void *p, size_t bytes)
{
	int saved = errno;

	/* It can fail only by splitting a mapping when there are too many. */
	(void)munmap(p, bytes);
	errno = saved;
}

/*
 * Without MADV_POPULATE_WRITE: adds 0 to a word of each page, atomically. The
 * kernel does it (FUTEX_WAKE_OP), since there a page that cannot be backed is
 * an error, where here it would be a signal. It wakes no thread (0, and 0 if
 * the word is -1).
 */
static int touch_pages(char *p, size_t bytes)
{
	const unsigned add_nothing = 1u << 28 | 0xfff; /* ADD 0, CMP_EQ -1 */
	size_t page = page_bytes();

	for (size_t at = 0; at < bytes; at += page)
		if (syscall(SYS_futex, p + at, FUTEX_WAKE_OP_PRIVATE, 0, NULL,
			    p + at, add_nothing) < 0)
			return -errno;
	return 0;
}

int wi_os_prefault(void *p, size_t bytes)
{
	int saved = errno, error = 0;

	for (int tries = 0; tries < 1000; tries++) {
		if (!madvise(p, bytes, MADV_POPULATE_WRITE_))
			return 0;
		error = wi_os_failure(saved);
		if (error != -EINTR && error != -EAGAIN)
			break;
	}
	if (error != -EINVAL)
		return error;
	/* Unknown, even for no bytes; or p may not be written. */
	error = -EFAULT;
	if (madvise(p, 0, MADV_POPULATE_WRITE_))
		error = touch_pages(p, bytes);
	errno = saved;
	return error;
}

int wi_os_lock(void *p, size_t bytes)
{
	int saved = errno;

	return mlock(p, bytes) ? wi_os_failure(saved) : 0;
}

void wi_os_give_up(void *p, size_t bytes)
{
	int saved = errno;

	/* Both may fail, by limits of a mapping's parts, or before Linux 5.18
	 * for hugetlb pages: then the pages stay. */
	(void)munlock(p, bytes);
	(void)madvise(p, bytes, MADV_DONTNEED);
	errno = saved;
}

int wi_os_bind(void *p, size_t bytes, unsigned node)
{
	enum { WORD_BITS = 8 * sizeof(unsigned long) };
	unsigned long mask[NODES / WORD_BITS] = { 0 };
	int saved = errno;

	if (node >= NODES)
		return -EINVAL;
	mask[node / WORD_BITS] = 1ul << node % WORD_BITS;
	/* The kernel reads one bit fewer than it is passed. */
	if (syscall(SYS_mbind, p, bytes, MPOL_PREFERRED_, mask, NODES + 1ul, 0))
		return wi_os_failure(saved);
	return 0;
}

bool wi_os_bound_nodes(uint64_t *words, size_t nr_words)
{
	uint64_t mask[NODES / 64] = { 0 };
	int saved = errno, mode = 0;
	/* The kernel writes whole words of NODES bits at most. */
	long error =
		syscall(SYS_get_mempolicy, &mode, mask, NODES + 0ul, NULL, 0ul);

	errno = saved;
	if (error != 0 || (mode & ~MPOL_MODE_FLAGS_) != MPOL_BIND_)
		return false;
	for (size_t i = 0; i < nr_words; i++)
		words[i] = i < NODES / 64 ? mask[i] : 0;
	return true;
}

/* ---- explicit huge pages ---------------------------------------------- */

size_t wi_os_huge_size(void)
{
	static const char key[] = "\nHugepagesize:";
	char text[8192];
	const char *at;

	if (wi_os_read_file("/proc/meminfo", text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, key);
	return at ? (size_t)strtoull(at + sizeof(key) - 1, NULL, 10) * 1024 : 0;
}

static int huge_count(size_t huge_bytes, const char *what, uint64_t *count)
{
	char path[96], text[32];
	int error;

	snprintf(path, sizeof(path),
		 "/sys/kernel/mm/hugepages/hugepages-%zukB/%s",
		 huge_bytes / 1024, what);
	error = wi_os_read_file(path, text, sizeof(text));
	if (error < 0)
		return error;
	*count = strtoull(text, NULL, 10);
	return 0;
}

int wi_os_huge_free(size_t huge_bytes, uint64_t *nr_free)
{
	uint64_t free_pages, reserved;
	int saved = errno;
	int error = huge_count(huge_bytes, "free_hugepages", &free_pages);

	if (!error)
		error = huge_count(huge_bytes, "resv_hugepages", &reserved);
	errno = saved;
	if (error)
		return error;
	*nr_free = free_pages > reserved ? free_pages - reserved : 0;
	return 0;
}
