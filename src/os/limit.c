/* SPDX-License-Identifier: MIT */
/*
 * What limits a process' memory: resource limits, strict accounting, cgroups.
 * Read for messages, and to refuse requests that would end in a signal later.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "base/bits.h"
#include "os/internal.h"
#include "os/os.h"

#define PATH_BYTES 4096		     /* the kernel's PATH_MAX: cgroups nest */
#define NO_LIMIT (UINT64_C(1) << 62) /* what "max" may be called */
#define FIRST_NAMESPACE 0xeffffffb   /* of cgroups: its constant inode */

/* ---- cgroups ---------------------------------------------------------- */

/* Hybrid systems mount version 2 beside version 1. */
static const char *const mounts[] = { "/sys/fs/cgroup",
				      "/sys/fs/cgroup/unified" };

/* MOUNT CGROUP "/" FILE; as wi_os_read_file(). */
static WI_COLD int read_cgroup_file(const char *mount, const char *cgroup,
				    const char *file, char *buf, size_t len)
{
	char path[PATH_BYTES];
	int n = snprintf(path, sizeof(path), "%s%s/%s", mount, cgroup, file);

	buf[0] = '\0';
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	return wi_os_read_file(path, buf, len);
}

/* Is it a word of "cpuset cpu io"? */
static bool has_word(const char *words, const char *word)
{
	const size_t len = strlen(word);

	while (*words != '\0') {
		const char *end = strchr(words, ' ');
		const size_t n = end ? (size_t)(end - words) : strlen(words);

		if (n == len && memcmp(words, word, n) == 0)
			return true;
		words += n + (end != NULL);
	}
	return false;
}

static void note_limit(struct wi_os_limit *limit, const char *text,
		       const char *cgroup)
{
	const uint64_t bytes = strtoull(text, NULL, 10);
	const size_t len = strlen(cgroup), most = sizeof(limit->cgroup) - 1;

	if (bytes >= limit->bytes || bytes >= NO_LIMIT)
		return;
	limit->bytes = bytes;
	strcpy(limit->cgroup, len > most ? cgroup + len - most : cgroup);
	if (len == 0)
		strcpy(limit->cgroup, "/");
}

/* From the cgroup at `path` upwards; false if it is not below this mount. */
static bool walk_up(struct wi_os_limit *limit, const char *mount, char *path,
		    const char *file)
{
	char text[64], *slash;
	bool is_there = read_cgroup_file(mount, path, "cgroup.controllers",
					 text, sizeof(text)) != -ENOENT;

	for (;;) {
		if (read_cgroup_file(mount, path, file, text, sizeof(text)) >
			    0 &&
		    text[0] >= '0' && text[0] <= '9')
			note_limit(limit, text, path);
		slash = strrchr(path, '/');
		if (!slash)
			return is_there;
		*slash = '\0';
	}
}

/* Only the root of all cgroups has no type. */
static bool is_root(const char *mount)
{
	char text[64];

	return read_cgroup_file(mount, "", "cgroup.type", text, sizeof(text)) ==
	       -ENOENT;
}

static bool has_controller(const char *mount, const char *controller)
{
	char text[256];

	return read_cgroup_file(mount, "", "cgroup.controllers", text,
				sizeof(text)) > 0 &&
	       has_word(text, controller);
}

/* Elsewhere the process' path does not begin at the root of all. */
static bool is_in_first_namespace(void)
{
	int saved = errno;
	struct stat st;
	bool is = stat("/proc/self/ns/cgroup", &st) == 0 &&
		  st.st_ino == FIRST_NAMESPACE;

	errno = saved;
	return is;
}

enum wi_os_limited wi_os_cgroup_limit(struct wi_os_limit *limit,
				      const char *controller, const char *file)
{
	const bool is_first = is_in_first_namespace();
	char path[PATH_BYTES];
	bool sees_all = false;
	int n;

	*limit = (struct wi_os_limit){ .bytes = UINT64_MAX };
	for (size_t i = 0; i < WI_ARRAY_SIZE(mounts); i++) {
		if (!has_controller(mounts[i], controller) ||
		    (is_root(mounts[i]) && !is_first))
			continue;
		n = wi_os_read_line("/proc/self/cgroup", "0::", path,
				    sizeof(path));
		if (n <= 0)
			break;
		if (path[n - 1] == '/')
			path[n - 1] = '\0';
		if (walk_up(limit, mounts[i], path, file) && is_root(mounts[i]))
			sees_all = true;
	}
	if (limit->bytes != UINT64_MAX)
		return WI_OS_LIMITED;
	return sees_all ? WI_OS_NOT_LIMITED : WI_OS_MAYBE_LIMITED;
}

enum wi_os_limited wi_os_huge_limit(struct wi_os_limit *limit,
				    size_t huge_bytes, bool reserved)
{
	const char *kind = reserved ? "rsvd.max" : "max";
	char file[64];

	if (huge_bytes >= 1u << 30)
		snprintf(file, sizeof(file), "hugetlb.%zuGB.%s",
			 huge_bytes >> 30, kind);
	else if (huge_bytes >= 1u << 20)
		snprintf(file, sizeof(file), "hugetlb.%zuMB.%s",
			 huge_bytes >> 20, kind);
	else
		snprintf(file, sizeof(file), "hugetlb.%zuKB.%s",
			 huge_bytes >> 10, kind);
	return wi_os_cgroup_limit(limit, "hugetlb", file);
}

/* ---- accounting ------------------------------------------------------- */

/*
 * May far more memory be mapped than exists? Where memory is accounted the
 * kernel refuses. Mapped without access and unlocked first: in a program that
 * locks all its memory (mlockall) it would be backed at once.
 */
static bool can_map_too_much(void)
{
	const size_t mib = (size_t)1 << 20;
	int saved = errno;
	struct sysinfo info;
	size_t bytes = (size_t)1 << 45;
	bool can;
	void *p;

	if (sysinfo(&info) == 0)
		bytes = wi_min_u64(bytes, 4 * (info.totalram + info.totalswap) *
						  info.mem_unit);
	bytes = wi_round_up(bytes, mib);
	p = mmap(NULL, bytes, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	can = p != MAP_FAILED && munlock(p, bytes) == 0 &&
	      mprotect(p, bytes, PROT_READ | PROT_WRITE) == 0;
	if (p != MAP_FAILED)
		munmap(p, bytes);
	errno = saved;
	return can;
}

bool wi_os_has_swap(void)
{
	int saved = errno;
	struct sysinfo info;
	bool has = sysinfo(&info) == 0 && info.totalswap > 0;

	errno = saved;
	return has;
}

bool wi_os_is_accounted(void)
{
	char text[16];

	if (wi_os_read_file("/proc/sys/vm/overcommit_memory", text,
			    sizeof(text)) > 0)
		return text[0] == '2';
	return !can_map_too_much(); /* no /proc here */
}

/* ---- why memory was refused ------------------------------------------- */

/* A number of KiB in a file of /proc, in bytes; 0: it is not there. */
static uint64_t kib_in(const char *path, const char *key)
{
	char text[64];

	if (wi_os_read_line(path, key, text, sizeof(text)) <= 0)
		return 0;
	return strtoull(text, NULL, 10) * 1024;
}

/* Does a resource limit forbid it, given what the process uses already? */
static bool is_over(int resource, const char *key, uint64_t bytes,
		    uint64_t *limit, uint64_t *has)
{
	struct rlimit its;
	int saved = errno;

	if (getrlimit(resource, &its) != 0) {
		errno = saved;
		return false;
	}
	*limit = its.rlim_cur;
	*has = kib_in("/proc/self/status", key);
	return its.rlim_cur != RLIM_INFINITY &&
	       (*has > *limit || bytes > *limit - *has);
}

uint64_t wi_os_lockable(void)
{
	struct rlimit limit;
	int saved = errno;
	bool is_known = getrlimit(RLIMIT_MEMLOCK, &limit) == 0;

	errno = saved;
	return is_known ? limit.rlim_cur : UINT64_MAX;
}

void wi_os_why_no_memory(uint64_t bytes, char *buf, size_t len)
{
	uint64_t limit, has;
	char text[16];

	buf[0] = '\0';
	if (is_over(RLIMIT_AS, "VmSize:", bytes, &limit, &has))
		snprintf(buf, len,
			 "RLIMIT_AS (ulimit -v) is %" PRIu64
			 ", of which the process has %" PRIu64,
			 limit, has);
	else if (is_over(RLIMIT_DATA, "VmData:", bytes, &limit, &has))
		snprintf(buf, len,
			 "RLIMIT_DATA (ulimit -d) is %" PRIu64
			 ", of which the process has %" PRIu64,
			 limit, has);
	else if (wi_os_read_file("/proc/sys/vm/overcommit_memory", text,
				 sizeof(text)) > 0 &&
		 text[0] == '2')
		snprintf(buf, len,
			 "vm.overcommit_memory is 2, CommitLimit %" PRIu64
			 ", of which %" PRIu64 " are committed",
			 kib_in("/proc/meminfo", "CommitLimit:"),
			 kib_in("/proc/meminfo", "Committed_AS:"));
	else if (wi_os_read_file("/proc/sys/vm/max_map_count", text,
				 sizeof(text)) > 0 &&
		 wi_os_count_lines("/proc/self/maps") >= atol(text))
		snprintf(buf, len,
			 "vm.max_map_count is %s, and the process has as many "
			 "mappings",
			 text);
}
