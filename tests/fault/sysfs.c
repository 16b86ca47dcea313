/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a file of the kernel that is missing, unreadable or not what
 * it should be (another kernel, a container, a sandbox) stops programs from
 * making pools, or crashes them.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "fault.h"
#include "seccomp.h"

static const char *const files[] = {
	"devices/system/cpu/possible",
	"devices/system/cpu/online",
	"devices/system/cpu/nohz_full",
	"devices/system/cpu/isolated",
	"devices/system/node/online",
	"devices/system/node/has_memory",
	"devices/system/node/node0/cpulist",
	"devices/system/node/node1/cpulist",
	"devices/system/node/node1/distance",
	"devices/system/node/node0/meminfo",
	"fs/cgroup/cpuset.cpus.isolated",
	"fs/cgroup/cpuset.cpus.partition",
	"fs/cgroup/cpuset.cpus.effective",
	"kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
};

#define NR_FILES (sizeof(files) / sizeof(files[0]))

/* What stands in a file. NULL: it is none, but a folder. */
struct content {
	const char *text;
	size_t bytes;
	unsigned cpus; /* as a list, which of CPUs 0 and 1 it means: bits */
};

#define TEXT(words)                                                            \
	{                                                                      \
		words, sizeof(words) - 1, 0                                    \
	}
#define LIST(words, cpus)                                                      \
	{                                                                      \
		words, sizeof(words) - 1, cpus                                 \
	}

static char zeros[4096], huge[1 << 20], long_line[8191], random_bytes[3000];

static const struct content contents[] = {
	TEXT(""),
	TEXT("\n"),
	TEXT("\n\n\n"),
	LIST("0", 1),
	LIST("0\n", 1),
	LIST("0-1", 3),
	LIST("1\n", 2),
	TEXT("0-"),
	TEXT("-1\n"),
	TEXT("1-0\n"),
	TEXT("0,,1\n"),
	TEXT("0;1\n"),
	TEXT("0-1 isolated\n"),
	TEXT("(null)\n"),
	TEXT("isolated\n"),
	TEXT("root\n"),
	LIST("0-8191\n", 3),
	TEXT("0-8192\n"),
	TEXT("8191\n"),
	TEXT("100-200\n"),
	LIST("0-63:1/2\n", 1),
	TEXT("99999999999999999999\n"),
	TEXT("10 20 30 40 50 60 70 80 90 100\n"),
	TEXT("Node 0 MemTotal: -5 kB\n"),
	LIST("0\0001\n", 1),
	{ zeros, sizeof(zeros), 0 },
	{ huge, sizeof(huge), 0 },
	{ long_line, sizeof(long_line), 1 },
	{ random_bytes, sizeof(random_bytes), 0 },
	{ NULL, 0, 0 },
};

#define NR_CONTENTS (sizeof(contents) / sizeof(contents[0]))

/* Told by children, too. */
static struct {
	unsigned pools; /* made */
	unsigned asked; /* that were asked which CPUs are quiet */
	unsigned row;	/* the one at hand */
} * told;

/* --- folders of one's own ---------------------------------------------- */

static void make_folders(const char *path)
{
	char part[256];

	for (const char *at = strchr(path + 1, '/'); at != NULL;
	     at = strchr(at + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
		CHECK(mkdir(part, 0755) == 0 || errno == EEXIST);
	}
}

static void put_file(const char *file, const struct content *content,
		     unsigned mode)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/sys/%s", file);
	make_folders(path);
	if (unlink(path) != 0)
		(void)rmdir(path);
	if (content->text == NULL) {
		CHECK_EQ(mkdir(path, 0755), 0);
		return;
	}
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, content->text, content->bytes),
		 (ssize_t)content->bytes);
	CHECK_EQ(fchmod(fd, mode), 0);
	close(fd);
}

/* An empty folder for /sys or /proc. */
static void hide(const char *path)
{
	CHECK_EQ(mount("none", path, "tmpfs", 0, NULL), 0);
}

/* --- pools ------------------------------------------------------------- */

#define ANY UINT32_MAX

/* Those of CPUs 0 and 1 are quiet, and the others are not. */
static void check_quiet(struct weir_pool *pool, unsigned cpus)
{
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		int mode = weir_get_mode(pool, cpu);

		CHECK_MSG((mode == WEIR_MODE_QUIET) == (cpus >> cpu & 1),
			  "CPU %u has mode %d", cpu, mode);
	}
	told->asked++;
}

static void one_pool(unsigned flags, unsigned quiet)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	struct weir_stat stat = WEIR_STAT_INIT;

	opts.capacity = 1024 * 4096;
	opts.flags = flags;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	if (quiet != ANY)
		check_quiet(pool, quiet);
	for (unsigned i = 0; allowed_cpu(i) >= 0 && i < 4; i++) {
		pin(allowed_cpu(i));
		weir_free(pool, weir_alloc(pool, 0, 0), 0);
		weir_tick(pool);
	}
	use_up(pool);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK(stat.nr_cpus >= 1 && stat.nr_zones >= 1);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	told->pools++;
}

static void pools(void)
{
	one_pool(0, ANY);
	one_pool(WEIR_POOL_NO_RSEQ, ANY);
}

/* What stands around a file: two nodes, of which the kernel knows one. */
static void put_others(void)
{
	const struct content two = TEXT("0-1\n");

	put_file("devices/system/cpu/possible", &two, 0444);
	put_file("devices/system/node/online", &two, 0444);
	put_file("devices/system/node/has_memory", &two, 0444);
}

static void take_away(const char *file)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/%s", file);
	CHECK(unlink(path) == 0 || rmdir(path) == 0);
}

static bool modes; /* CPUs can be quiet here */

static const struct refusal bind = { .nr = SYS_mbind }; /* seems to work */

static void bound_pools(void *unused)
{
	(void)unused;
	seccomp_refuse(&bind, 1);
	one_pool(0, ANY);
}

/* The files that name quiet CPUs; a partition names its own elsewhere. */
static bool names_quiet(const char *file)
{
	return strcmp(file, "devices/system/cpu/nohz_full") == 0 ||
	       strcmp(file, "devices/system/cpu/isolated") == 0 ||
	       strcmp(file, "fs/cgroup/cpuset.cpus.isolated") == 0;
}

static void rows_of_file(void *arg)
{
	const char *file = arg;

	may_use_nodes("0-1");
	seccomp_refuse(&bind, 1);
	for (told->row = 0; told->row < NR_CONTENTS; told->row++) {
		const struct content *content = &contents[told->row];

		put_others();
		put_file(file, content, 0444);
		one_pool(0, modes && names_quiet(file) ? content->cpus : ANY);
		take_away(file);
	}
}

static void all_rows(void)
{
	hide("/sys"); /* once: the kernel is slow to mount and to forget */
	for (unsigned file = 0; file < NR_FILES; file++) {
		int status = end_child(start_child(
			rows_of_file, (void *)(uintptr_t)files[file]));

		CHECK_MSG(status == 0, "%s, content %u: ended with %d",
			  files[file], told->row, status);
	}
}

/* Open files; without /proc. */
static unsigned nr_files(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Can others watch a pool (its descriptor is there), and should they? */
static void check_watched(bool expected)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	const unsigned before = nr_files();
	struct weir_pool *pool;

	opts.capacity = 1 << 20;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(nr_files() > before, expected);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* Memory of a file is for where private memory is not promised more. */
static void overcommit(void *text)
{
	char path[] = "/tmp/weir-overcommit-XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0 && write(fd, text, 2) == 2 && close(fd) == 0);
	CHECK(own_mounts());
	CHECK_EQ(mount(path, "/proc/sys/vm/overcommit_memory", NULL, MS_BIND,
		       NULL),
		 0);
	CHECK_EQ(unlink(path), 0);
	check_watched(((const char *)text)[0] != '2');
}

/* A file of /proc that is not there says nothing against it. */
static void no_proc(void *unused)
{
	(void)unused;
	CHECK(own_mounts());
	hide("/proc");
	check_watched(true);
	CHECK_EQ(mlockall(MCL_FUTURE), 0);
	check_watched(true);
}

static void nothing(void *arg)
{
	const unsigned which = *(unsigned *)arg;

	CHECK(own_mounts());
	if (which & 1)
		hide("/sys");
	if (which & 2)
		hide("/proc");
	pools();
}

static void unreadable(void *unused)
{
	(void)unused;
	CHECK(own_mounts());
	hide("/sys");
	for (unsigned i = 0; i < NR_FILES; i++)
		put_file(files[i], &(struct content)TEXT("0\n"), 0);
	CHECK_EQ(setgid(65534), 0);
	CHECK_EQ(setuid(65534), 0);
	CHECK(open("/sys/devices/system/cpu/possible", O_RDONLY) < 0);
	pools();
}

static const char *const fixtures[] = {
	"sys-cpuset-mems",  "sys-far-memory",	"sys-long-cgroup",
	"sys-memory-nodes", "sys-hybrid",	"sys-inner-root",
	"sys-malformed",    "sys-no-nohz-file", "sys-null-nohz",
	"sys-old-nodes",    "sys-partition",	"sys-sparse-nodes",
	"sys-two-node",
};

static void fixture(void *name)
{
	CHECK(fixture_as_sys(name));
	may_use_nodes("0-15");
	bound_pools(NULL);
}

static void may_mount(void *unused)
{
	(void)unused;
	if (!own_mounts() || mount("none", "/sys", "tmpfs", 0, NULL) != 0)
		SKIP("a file system of one's own takes root");
}

static bool has_modes(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	bool has;

	opts.capacity = 1 << 20;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	has = weir_set_mode(pool, NULL, WEIR_MODE_ORDINARY) == 0;
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return has;
}

int main(void)
{
	uint64_t state = 0x5deece66d;

	in_child(may_mount, NULL);
	warm_up();
	modes = has_modes();
	told = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(told != MAP_FAILED);
	memset(huge, '9', sizeof(huge));
	memset(long_line, '0', sizeof(long_line));
	for (size_t i = 0; i < sizeof(random_bytes); i++)
		random_bytes[i] = (char)check_random(&state);
	for (unsigned which = 1; which <= 3; which++)
		in_child(nothing, &which);
	if (!CHECK_HAS_ASAN) /* it needs what is asked for to find out */
		in_child(no_proc, NULL);
	for (unsigned i = 0; i < 3; i++)
		in_child(overcommit, (char[2]){ (char)('0' + i), '\n' });
	in_child(unreadable, NULL);
	for (unsigned i = 0; i < sizeof(fixtures) / sizeof(fixtures[0]); i++)
		in_child(fixture, (void *)(uintptr_t)fixtures[i]);
	CHECK(own_mounts());
	all_rows();
	printf("figures: %zu files of the kernel, %zu contents each; %u pools "
	       "made, of %u it is known which CPUs are quiet\n",
	       NR_FILES, NR_CONTENTS, told->pools, told->asked);
	return 0;
}
