/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a program near its limits (of address space, locked memory,
 * threads, open files) gets no documented error, loses what it had, or a pool
 * it has already stops working.
 */
#include <grp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "fault.h"
#include "os/os.h"
#include "seccomp.h"

#define NOBODY 65534

/* Told by children, too. */
static struct {
	unsigned kinds, sizes, locked_sizes;
} * told;

static struct weir_pool_opts good(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = 1024 * 4096;
	return opts;
}

static void limit(int resource, rlim_t value)
{
	const struct rlimit limits = { value, value };

	CHECK_EQ(setrlimit((__rlimit_resource_t)resource, &limits), 0);
}

/* Makes a pool and uses it up, or is refused so, and leaves nothing. */
static int try_pool(const struct weir_pool_opts *opts)
{
	static struct possessions before, after;
	struct weir_pool *pool = NULL;
	int err;

	take_stock(&before);
	err = weir_pool_create(&pool, opts);
	if (err == 0) {
		use_up(pool);
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	} else {
		CHECK(weir_last_error()[0] != '\0' && pool == NULL);
	}
	take_stock(&after);
	CHECK(same_stock(&before, &after));
	return err;
}

/* --- address space ----------------------------------------------------- */

static void address_space(void *unused)
{
	static struct possessions has;
	struct weir_pool_opts opts = good();
	struct weir_pool *old;
	unsigned worked = 0, failed = 0;
	char cpu[16];

	(void)unused;
	snprintf(cpu, sizeof(cpu), "%d", allowed_cpu(0));
	pin(allowed_cpu(0));
	CHECK_EQ(try_pool(&opts), 0);
	CHECK_EQ(weir_pool_create(&old, &opts), 0);
	take_stock(&has);
	/* Not a byte more, a little more, and at last enough. */
	for (rlim_t more = 16 << 20; more > 0; more -= 64 << 10) {
		struct rlimit limits = { has.bytes + (2 << 20) + more,
					 RLIM_INFINITY };
		int err;

		CHECK_EQ(setrlimit(RLIMIT_AS, &limits), 0);
		err = try_pool(&opts);
		CHECK(err == 0 || err == -ENOMEM);
		told->sizes++;
		worked += err == 0;
		failed += err != 0;
	}
	CHECK(worked > 10 && failed > 10);
	/* The pool that there is needs no more for anything. */
	limit(RLIMIT_AS, 0);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	      MAP_FAILED);
	for (enum weir_mode mode = WEIR_MODE_ORDINARY; mode <= WEIR_MODE_OFF;
	     mode++) {
		int err = weir_set_mode(old, cpu, mode);

		CHECK(err == 0 || err == -EOPNOTSUPP);
		use_up(old);
		err = weir_drain(old, NULL, NULL);
		CHECK(err == 0);
		CHECK_EQ(weir_maintain(old, 10, NULL), 0);
	}
	CHECK_EQ(weir_pool_create(&(struct weir_pool *){ NULL }, &opts),
		 -ENOMEM);
	use_up(old);
	CHECK_EQ(weir_pool_destroy(old, 0), 0);
	told->kinds++;
}

/* A large pool is refused with words that say which limit, and its figures. */
static void refused_by(int resource, const char *name)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	char limit_text[32];

	opts.capacity = 512 << 20;
	limit(resource, 400 << 20);
	CHECK_EQ(weir_pool_create(&pool, &opts), -ENOMEM);
	snprintf(limit_text, sizeof(limit_text), "%d", 400 << 20);
	CHECK_MSG(strstr(weir_last_error(), name) != NULL &&
			  strstr(weir_last_error(), limit_text) != NULL &&
			  strstr(weir_last_error(), " in all") != NULL,
		  "%s", weir_last_error());
	told->kinds++;
}

static void refused_by_as(void *unused)
{
	(void)unused;
	refused_by(RLIMIT_AS, "RLIMIT_AS");
}

static void refused_by_data(void *unused)
{
	(void)unused;
	refused_by(RLIMIT_DATA, "RLIMIT_DATA");
}

/* As many mappings as the system allows. */
static void refused_by_count(void *unused)
{
	struct weir_pool_opts opts = good();
	struct weir_pool *pool;
	uint64_t n = 0;

	(void)unused;
	while (n < 300000 &&
	       mmap(NULL, 4096, n & 1 ? PROT_READ : PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		n++;
	if (n == 300000)
		return; /* it allows more than one would like to make */
	CHECK_EQ(weir_pool_create(&pool, &opts), -ENOMEM);
	CHECK_MSG(strstr(weir_last_error(), "vm.max_map_count") != NULL, "%s",
		  weir_last_error());
	told->kinds++;
}

/* A pool fits whose bytes do, whatever its alignment. */
static void little_more(void *unused)
{
	static const enum weir_backing backing[] = { WEIR_BACKING_ANON,
						     WEIR_BACKING_THP };
	static struct possessions has;
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	(void)unused;
	take_stock(&has);
	limit(RLIMIT_AS, has.bytes + (560 << 20));
	opts.capacity = 512 << 20;
	for (unsigned i = 0; i < 2; i++) {
		opts.backing = backing[i];
		CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s",
			  weir_last_error());
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	}
	told->kinds++;
}

/* --- a region that may only be read ------------------------------------ */

/* It cannot be prefaulted, which is an error and no signal, also where the
 * kernel does not know MADV_POPULATE_WRITE. */
static void read_only_region(void *old_kernel)
{
	static const struct refusal populate = {
		.nr = SYS_madvise, .error = EINVAL, .arg = 3, .value = 23
	};
	struct weir_pool_opts opts = good();
	struct weir_pool *pool;
	void *region = mmap(NULL, opts.capacity, PROT_READ,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(region != MAP_FAILED);
	if (*(bool *)old_kernel)
		seccomp_refuse(&populate, 1);
	opts.backing = WEIR_BACKING_REGION;
	opts.region = region;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	opts.flags = WEIR_POOL_PREFAULT;
	CHECK_EQ(weir_pool_create(&pool, &opts), -EINVAL);
	CHECK_MSG(strncmp(weir_last_error(), "region", 6) == 0, "%s",
		  weir_last_error());
	CHECK_EQ(mprotect(region, opts.capacity, PROT_READ | PROT_WRITE), 0);
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	told->kinds++;
}

/* --- locked memory ----------------------------------------------------- */

static void become_nobody(void)
{
	if (geteuid() != 0)
		return;
	CHECK_EQ(setgroups(0, NULL), 0);
	CHECK_EQ(setgid(NOBODY), 0);
	CHECK_EQ(setuid(NOBODY), 0);
}

static uint64_t locked_kib(void)
{
	char kib[64];

	CHECK(wi_os_read_line("/proc/self/status", "VmLck:", kib, sizeof(kib)) >
	      0);
	return strtoull(kib, NULL, 10);
}

static void locked_memory(void *unused)
{
	struct weir_pool_opts opts = good();
	struct weir_pool *pool;
	int err;

	(void)unused;
	become_nobody();
	CHECK_EQ(try_pool(&opts), 0);
	opts.flags = WEIR_POOL_LOCK;
	for (rlim_t bytes = 0; bytes < 4 << 20; bytes += 100000) {
		struct rlimit limits = { bytes, RLIM_INFINITY };

		if (setrlimit(RLIMIT_MEMLOCK, &limits) != 0) {
			CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &limits), 0);
			limits.rlim_cur = bytes;
			if (setrlimit(RLIMIT_MEMLOCK, &limits) != 0)
				break;
		}
		err = try_pool(&opts);
		CHECK_EQ(err, bytes == 0 ? -EPERM : -ENOMEM);
		CHECK(strstr(weir_last_error(), "RLIMIT_MEMLOCK") != NULL);
		CHECK_EQ(locked_kib(), 0);
		told->locked_sizes++;
	}
	opts.flags = 0; /* and without the flag nothing is locked */
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(locked_kib(), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	told->kinds += told->locked_sizes != 0;
}

/* Where it may, pages and all that operations touch are locked. */
static void locked(void *unused)
{
	struct weir_pool_opts opts = good();
	struct weir_pool *pool;
	int err;

	(void)unused;
	opts.flags = WEIR_POOL_LOCK;
	err = weir_pool_create(&pool, &opts);
	if (err != 0) {
		CHECK(err == -ENOMEM || err == -EPERM);
		return;
	}
	/* Pages; and the handle and what it points to, all of it. */
	CHECK(locked_kib() >= 4096 + 4 + 4 + 64);
	CHECK_EQ(munlock(pool, 4096), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	CHECK_EQ(locked_kib(), 0);
	told->kinds++;
}

/* Of the handle, the one page that each operation reads. */
static void locked_handle(void *unused)
{
	struct weir_pool_opts opts = good();
	struct weir_pool *pool;
	uint64_t before;

	(void)unused;
	opts.flags = WEIR_POOL_LOCK;
	if (weir_pool_create(&pool, &opts) != 0)
		return;
	before = locked_kib();
	CHECK_EQ(munlock(pool, 4096), 0);
	CHECK_EQ(locked_kib() + 4, before);
	told->kinds++;
}

/* --- threads and files ------------------------------------------------- */

static void no_threads(void *unused)
{
	struct weir_pool_opts opts = good();
	struct weir_pool *pool;

	(void)unused;
	become_nobody();
	limit(RLIMIT_NPROC, 0); /* the check of sequences has no thread */
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	use_up(pool);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	told->kinds++;
}

static void no_files(void *unused)
{
	struct weir_pool_opts opts = good();
	struct weir_pool *pool;

	(void)unused;
	limit(RLIMIT_NOFILE, 0); /* nothing is known of CPUs and nodes */
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	use_up(pool);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	told->kinds++;
}

/* A thread whose stack is as small as they come does anything. */
static void *on_small_stack(void *arg)
{
	const struct weir_pool_opts *opts = arg;
	struct weir_pool *pool;

	CHECK_EQ(weir_pool_create(&pool, opts), 0);
	for (unsigned i = 0; i < 3; i++)
		use_up(pool);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_OFF), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return NULL;
}

static void small_stack(void)
{
	struct weir_pool_opts opts = good();
	pthread_attr_t attr;
	pthread_t thread;

	CHECK_EQ(pthread_attr_init(&attr), 0);
	CHECK_EQ(pthread_attr_setstacksize(&attr, 48 << 10), 0);
	CHECK_EQ(pthread_create(&thread, &attr, on_small_stack, &opts), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	told->kinds++;
}

int main(void)
{
	told = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(told != MAP_FAILED);
	in_child(no_threads, NULL);
	warm_up();
	for (unsigned old = 0; old < 2; old++)
		in_child(read_only_region, &(bool){ old });
	if (!CHECK_HAS_ASAN) { /* it needs address space, and locks none */
		in_child(address_space, NULL);
		in_child(refused_by_as, NULL);
		in_child(refused_by_data, NULL);
		in_child(refused_by_count, NULL);
		in_child(little_more, NULL);
		in_child(locked, NULL);
		in_child(locked_handle, NULL);
		in_child(locked_memory, NULL);
		small_stack();
	}
	in_child(no_files, NULL);
	printf("figures: %u kinds of limits, %u sizes of address space, %u "
	       "of locked memory\n",
	       told->kinds, told->sizes, told->locked_sizes);
	return 0;
}
