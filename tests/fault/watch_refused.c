/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool cannot be made where the system refuses memory that
 * others may read, or a signal ends a program that made one; or what a watcher
 * is refused makes it fail in another way than documented.
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include <weir/watch.h>

#include "fault.h"
#include "seccomp.h"

static int count(const struct weir_watch_id *id, void *ctx)
{
	(void)id;
	++*(unsigned *)ctx;
	return 0;
}

static unsigned nr_pools(void)
{
	unsigned n = 0;

	CHECK_EQ(weir_watch_list(getpid(), count, &n), 0);
	return n;
}

static struct weir_pool *make(unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = FAULT_PAGES * 4096;
	opts.flags = flags;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	return pool;
}

/* A pool is whole, and watched or not; nothing is left of it. */
static void works(bool watched)
{
	static struct possessions before, after;
	struct weir_pool *pool;

	take_stock(&before);
	take_stock(&before);
	pool = make(0);
	use_up(pool);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	if (watched) /* else the list may be refused as well */
		CHECK_EQ(nr_pools(), 1);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	take_stock(&after);
	CHECK(same_stock(&before, &after));
}

/* --- the owner ---------------------------------------------------------- */

static void refuse(void *arg)
{
	const struct refusal *refusal = arg;

	warm_up();
	works(true);
	seccomp_refuse(refusal, 1);
	works(false);
	if (refusal->nr != SYS_fcntl)
		CHECK_EQ(nr_pools(), 0);
}

static void no_descriptors(void *unused)
{
	struct rlimit limit;
	struct weir_pool *pool;

	(void)unused;
	warm_up();
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 3;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	pool = make(0); /* not even sysfs can be read */
	use_up(pool);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* A file that is too large is a signal, which nobody expects. */
static void small_files(void *unused)
{
	struct rlimit limit = { 4096, RLIM_INFINITY };

	(void)unused;
	warm_up();
	works(true);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	works(false);
	CHECK_EQ(nr_pools(), 0);
}

/* --- the watcher -------------------------------------------------------- */

static struct weir_watch_id found;

static int keep(const struct weir_watch_id *id, void *ctx)
{
	(void)ctx;
	found = *id;
	return 0;
}

static unsigned nr_files(void)
{
	struct pollfd files[64];
	unsigned nr = 0;

	for (int i = 0; i < 64; i++)
		files[i] = (struct pollfd){ .fd = i };
	CHECK(poll(files, 64, 0) >= 0);
	for (int i = 0; i < 64; i++)
		nr += !(files[i].revents & POLLNVAL);
	return nr;
}

struct failing {
	struct refusal refusal;
	int list, open; /* what they return then */
};

static void watcher(void *arg)
{
	const struct failing *f = arg;
	struct weir_pool *pool = make(0);
	struct weir_watch *watch = NULL;
	unsigned fds;

	CHECK_EQ(weir_watch_list(getpid(), keep, NULL), 0);
	CHECK_EQ(weir_watch_open(&watch, &found), 0);
	weir_watch_close(watch);
	seccomp_refuse(&f->refusal, 1);
	watch = NULL;
	fds = nr_files();
	CHECK_EQ(weir_watch_list(getpid(), keep, NULL), f->list);
	CHECK_EQ(weir_watch_open(&watch, &found), f->open);
	CHECK_EQ(watch != NULL, f->open == 0);
	weir_watch_close(watch);
	CHECK_EQ(nr_files(), fds);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* With too few descriptors to look at a pool it is not said to be absent. */
static void too_few(void *unused)
{
	struct weir_pool *pool = make(0);
	struct rlimit limit;

	(void)unused;
	CHECK_EQ(weir_watch_list(getpid(), keep, NULL), 0);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	/* One for the folder; none for what is in it. */
	limit.rlim_cur = (rlim_t)dup(0) + 1;
	CHECK_EQ(close((int)limit.rlim_cur - 1), 0);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK_EQ(weir_watch_list(getpid(), keep, NULL), -EMFILE);
	CHECK_EQ(weir_watch_list(0, keep, NULL), -EMFILE);
	CHECK_EQ(weir_watch_open(&(struct weir_watch *){ NULL }, &found),
		 -EMFILE);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* The user of that child may have pools elsewhere. */
static int is_not_of(const struct weir_watch_id *id, void *ctx)
{
	const pid_t *pid = ctx;

	CHECK(id->pid != *pid);
	return 0;
}

/* Of a process of another user nothing is told, nor of one that is not. */
static void other_user(void *arg)
{
	const uid_t user = 70000 + (uid_t)getpid(); /* has no other process */
	pid_t *pid = arg;
	unsigned n = 0;

	CHECK_EQ(setgid(user), 0);
	CHECK_EQ(setuid(user), 0);
	CHECK_EQ(weir_watch_list(*pid, count, &n), -EPERM);
	found.pid = *pid;
	CHECK_EQ(weir_watch_open(&(struct weir_watch *){ NULL }, &found),
		 -EPERM);
	CHECK_EQ(n, 0);
	CHECK_EQ(weir_watch_list(0, is_not_of, pid), 0);
}

static void users(void)
{
	struct weir_pool *pool = make(0);
	pid_t pid = getpid();

	if (geteuid() != 0) {
		printf("left out: another user (this needs root)\n");
	} else {
		CHECK_EQ(weir_watch_list(pid, keep, NULL), 0);
		CHECK_EQ(end_child(start_child(other_user, &pid)), 0);
	}
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	static const struct refusal owners[] = {
		{ SYS_memfd_create, EPERM, 0, 0 },
		{ SYS_memfd_create, ENOSYS, 0, 0 },
		{ SYS_memfd_create, EMFILE, 0, 0 },
		{ SYS_ftruncate, EPERM, 0, 0 },
		{ SYS_fchmod, EPERM, 0, 0 },
		{ SYS_fcntl, EINVAL, 0, 0 }, /* seals, of an old kernel */
		{ SYS_prlimit64, EPERM, 0, 0 },
	};
	static const struct failing watchers[] = {
		{ { SYS_pidfd_open, ENOSYS, 0, 0 }, 0, 0 },
		{ { SYS_pidfd_open, EPERM, 0, 0 }, 0, 0 },
		{ { SYS_pidfd_open, EACCES, 0, 0 }, 0, 0 },
		{ { SYS_pidfd_open, EMFILE, 0, 0 }, 0, -EMFILE },
		{ { SYS_openat, EMFILE, 0, 0 }, -EMFILE, -EMFILE },
		{ { SYS_openat, EACCES, 0, 0 }, -EPERM, -EPERM },
		{ { SYS_getdents64, EIO, 0, 0 }, -EIO, -EIO },
		{ { SYS_readlinkat, EACCES, 0, 0 }, -EPERM, -EPERM },
		{ { SYS_readlinkat, EIO, 0, 0 }, 0, -ENOENT },
		{ { SYS_fstatfs, EPERM, 0, 0 }, -EPERM, -EPERM },
		{ { SYS_fstatfs, EIO, 0, 0 }, 0, -ENOENT },
		{ { SYS_fcntl, EINVAL, 0, 0 }, 0, -EPROTO },
		{ { SYS_pread64, EIO, 0, 0 }, -EIO, -EIO },
		{ { SYS_mmap, ENOMEM, 3, PROT_READ }, 0, -ENOMEM },
	};
	const unsigned nr_owners = sizeof(owners) / sizeof(owners[0]);
	const unsigned nr_watchers = sizeof(watchers) / sizeof(watchers[0]);

	struct weir_pool *pool = make(0);

	if (nr_pools() != 1)
		SKIP("pools cannot be watched on this system");
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	users();
	for (unsigned i = 0; i < nr_owners; i++)
		in_child(refuse, (void *)(uintptr_t)&owners[i]);
	in_child(no_descriptors, NULL);
	in_child(small_files, NULL);
	in_child(too_few, NULL);
	for (unsigned i = 0; i < nr_watchers; i++)
		in_child(watcher, (void *)(uintptr_t)&watchers[i]);
	printf("figures: %u refusals to owners, %u to watchers, 2 limits\n",
	       nr_owners, nr_watchers);
	return 0;
}
