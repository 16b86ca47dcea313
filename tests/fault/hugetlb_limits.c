/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool of huge pages ends its program with SIGBUS where a
 * cgroup limits them, or is refused for a reason that is not the true one.
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fault.h"

#define MIB (UINT64_C(1) << 20)
#define GROUP "weir-test-hugetlb"
#define NR_HUGE "/proc/sys/vm/nr_hugepages"
#define NR_FREE "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"

static const char *mount_point; /* of cgroup version 2 */
static char group[128];
static long had;     /* huge pages */
static bool was_off; /* the controller, in cgroups below the root */
static unsigned nr_pools, nr_refused;

/* --- files ------------------------------------------------------------- */

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 &&
		    write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static long number_in(const char *path)
{
	FILE *file = fopen(path, "r");
	long n = -1;

	if (file != NULL && fscanf(file, "%ld", &n) != 1)
		n = -1;
	if (file != NULL)
		fclose(file);
	return n;
}

static bool has_word_in(const char *path, const char *word)
{
	char text[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool has = fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 &&
		   strstr(text, word) != NULL;

	if (fd >= 0)
		close(fd);
	return has;
}

static bool put_number(const char *path, long n)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", n);
	return put(path, text);
}

static bool put_in_group(const char *file, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	return put(path, text);
}

/* --- children ---------------------------------------------------------- */

#define SMALL "8388608" /* bytes: four huge pages */

static struct attempt {
	const char *what;
	uint64_t bytes;
	uint64_t first; /* so many, and the pool grows to the others; 0: all */
	unsigned flags;
	bool is_file; /* of the caller's; else mapped by the pool */
	bool hidden;  /* the child does not see the cgroups above it */
	const char *max, *rsvd_max; /* NULL: no limit */
	const char *why[2];	    /* words of the refusal */
	bool served;
} attempts[] = {
	{ "no limit", 64 * MIB, .served = true },
	{ "limited", 64 * MIB, .max = SMALL, .why = { GROUP, SMALL } },
	{ "within the limit", 8 * MIB, .max = SMALL, .served = true },
	{ "limited, prefault", 64 * MIB, .flags = WEIR_POOL_PREFAULT,
	  .max = SMALL, .why = { GROUP, SMALL } },
	{ "limited, lock", 64 * MIB, .flags = WEIR_POOL_LOCK, .max = SMALL },
	{ "limited, a file", 64 * MIB, .is_file = true, .max = SMALL,
	  .why = { GROUP, SMALL } },
	{ "limited out of sight", 64 * MIB, .hidden = true, .max = SMALL,
	  .why = { "limit" } },
	{ "unlimited out of sight", 64 * MIB, .hidden = true, .served = true },
	{ "reservations limited", 64 * MIB, .rsvd_max = SMALL,
	  .why = { "rsvd.max", GROUP } },
	{ "more than there are", 1024 * MIB, .why = { "vm.nr_hugepages" } },
	{ "grown", 64 * MIB, .first = 2 * MIB, .served = true },
	{ "grown, a file", 64 * MIB, .first = 4 * MIB, .is_file = true,
	  .served = true },
	{ "grown, limited", 64 * MIB, .first = 2 * MIB, .max = SMALL,
	  .why = { GROUP, SMALL } },
	{ "grown, to more than there are", 1024 * MIB, .first = 2 * MIB,
	  .why = { "vm.nr_hugepages" } },
};

/* If it is refused, the pool and the system have what they had. */
static int grow(struct weir_pool *pool, const struct attempt *a, int err)
{
	const long free_before = number_in(NR_FREE);
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_MSG(err == 0, "%s: %d (%s)", a->what, err, weir_last_error());
	err = weir_pool_grow(pool, a->bytes - a->first);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.free * 4096, err == 0 ? a->bytes : a->first);
	if (err != 0)
		CHECK_EQ(number_in(NR_FREE), free_before);
	return err;
}

/* Makes the pool, and touches each page of it. */
static void try_it(void *arg)
{
	const struct attempt *a = arg;
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	uint64_t n = 0;
	char *page;
	int err;

	CHECK(put_in_group("cgroup.procs", "0"));
	if (a->hidden) {
		CHECK_EQ(unshare(CLONE_NEWCGROUP), 0);
		CHECK(own_mounts());
		CHECK_EQ(mount("none", mount_point, "tmpfs", 0, NULL), 0);
	}
	opts.capacity = a->bytes;
	opts.backing = a->is_file ? WEIR_BACKING_MEMFD : WEIR_BACKING_HUGETLB;
	opts.flags = a->flags;
	if (a->is_file) {
		opts.fd = memfd_create("huge", MFD_HUGETLB);
		CHECK(opts.fd >= 0);
		CHECK_EQ(ftruncate(opts.fd, (off_t)a->bytes), 0);
	}
	if (a->first != 0) {
		opts.capacity = a->first;
		opts.max_capacity = a->bytes;
	}
	err = weir_pool_create(&pool, &opts);
	if (a->first != 0)
		err = grow(pool, a, err);
	CHECK_MSG(err == (a->served ? 0 : -ENOMEM), "%s: %d (%s)", a->what, err,
		  weir_last_error());
	for (unsigned i = 0; i < 2 && a->why[i] != NULL; i++)
		CHECK_MSG(strstr(weir_last_error(), a->why[i]) != NULL,
			  "%s: \"%s\"", a->what, weir_last_error());
	if (err != 0)
		return;
	while ((page = weir_alloc(pool, 9, 0)) != NULL) {
		*(volatile char *)page = 1;
		n++;
	}
	CHECK_EQ(n, a->bytes / (2 * MIB));
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), 0);
}

/* --- the machine ------------------------------------------------------- */

static void clean_up(void)
{
	char path[160];

	(void)rmdir(group);
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", mount_point);
	if (was_off)
		(void)put(path, "-hugetlb");
	(void)put_number(NR_HUGE, had);
}

static void set_up(void)
{
	static const char *const mounts[] = { "/sys/fs/cgroup",
					      "/sys/fs/cgroup/unified" };
	char path[160];

	had = number_in(NR_HUGE);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/cgroup.subtree_control",
			 mounts[i]);
		if (!has_word_in(path, "hugetlb"))
			was_off = true;
		if (put(path, "+hugetlb"))
			mount_point = mounts[i];
	}
	if (mount_point == NULL)
		SKIP("this takes root, and cgroups (version 2) of huge pages");
	snprintf(group, sizeof(group), "%s/" GROUP, mount_point);
	if (mkdir(group, 0755) != 0 && errno != EEXIST)
		SKIP("no cgroup can be made");
	if (!put_number(NR_HUGE, had + 64) || number_in(NR_HUGE) != had + 64) {
		clean_up();
		SKIP("the system has no 64 huge pages of 2 MiB");
	}
}

static void limit(const char *file, const char *bytes)
{
	CHECK(put_in_group(file, bytes == NULL ? "max" : bytes));
}

int main(void)
{
	int failed = 0;

	warm_up();
	set_up();
	for (unsigned i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		struct attempt *a = &attempts[i];
		int status;

		if (CHECK_HAS_ASAN && (a->flags & WEIR_POOL_LOCK)) {
			printf("left out: %s (the sanitizer ignores mlock)\n",
			       a->what);
			continue;
		}
		limit("hugetlb.2MB.max", a->max);
		limit("hugetlb.2MB.rsvd.max", a->rsvd_max);
		status = end_child(start_child(try_it, a));
		if (status != 0)
			printf("%s: ended with %d (1000 + n: by signal n)\n",
			       a->what, status);
		failed += status != 0;
		nr_pools += a->served;
		nr_refused += !a->served;
	}
	clean_up();
	CHECK_EQ(failed, 0);
	printf("figures: %u pools of huge pages used whole, %u refused\n",
	       nr_pools, nr_refused);
	return 0;
}
