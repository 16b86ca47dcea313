/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool cannot be watched from outside, or shows its watcher
 * other numbers than its owner, or is watched where it must not be.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <weir/request.h>
#include <weir/watch.h>

#include "base/atomic.h"
#include "child.h"
#include "helpers.h"

#define PAGES 5000
#define FEW_PAGES 1500 /* 8 MiB is what a user may lock by default */

static struct weir_pool *make_of(uint64_t pages, const char *name,
				 unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = pages * 4096;
	opts.list_limit = 40;
	opts.name = name;
	opts.flags = flags;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	return pool;
}

static struct weir_pool *make(const char *name, unsigned flags)
{
	return make_of(PAGES, name, flags);
}

/* --- what is found ------------------------------------------------------ */

static struct weir_watch_id ids[8];
static unsigned nr_ids;

static int note(const struct weir_watch_id *id, void *ctx)
{
	(void)ctx;
	CHECK(nr_ids < 8);
	ids[nr_ids++] = *id;
	return 0;
}

static unsigned list(int pid)
{
	nr_ids = 0;
	CHECK_EQ(weir_watch_list(pid, note, NULL), 0);
	return nr_ids;
}

/* The one pool of that name, opened. */
static struct weir_watch *watch_one(int pid, const char *name)
{
	struct weir_watch *watch = NULL;

	list(pid);
	for (unsigned i = 0; i < nr_ids; i++) {
		if (strcmp(ids[i].name, name) != 0)
			continue;
		CHECK_EQ(ids[i].pid, pid);
		CHECK(watch == NULL);
		CHECK_EQ(weir_watch_open(&watch, &ids[i]), 0);
	}
	CHECK_MSG(watch != NULL, "no pool \"%s\"", name);
	return watch;
}

static struct weir_watch_info info_of(const struct weir_watch *watch)
{
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;

	CHECK_EQ(weir_watch_info(watch, &info), 0);
	return info;
}

/* The owner and the watcher read the same, of a pool that rests. */
static void same(const struct weir_pool *pool, const struct weir_watch *watch)
{
	struct weir_stat mine = WEIR_STAT_INIT, its = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &mine), 0);
	CHECK_EQ(weir_watch_read(watch, &its), 0);
	CHECK_EQ(memcmp(&mine, &its, sizeof(mine)), 0);
	for (unsigned z = 0; z < mine.nr_zones; z++) {
		struct weir_stat_zone a = WEIR_STAT_ZONE_INIT, b = a;

		CHECK_EQ(weir_stat_read_zone(pool, z, &a), 0);
		CHECK_EQ(weir_watch_read_zone(watch, z, &b), 0);
		CHECK_EQ(memcmp(&a, &b, sizeof(a)), 0);
		for (unsigned cpu = 0; cpu < mine.nr_cpus; cpu++) {
			struct weir_stat_cpu c = WEIR_STAT_CPU_INIT, d = c;

			CHECK_EQ(weir_stat_read_cpu(pool, z, cpu, &c), 0);
			CHECK_EQ(weir_watch_read_cpu(watch, z, cpu, &d), 0);
			CHECK_EQ(memcmp(&c, &d, sizeof(c)), 0);
		}
	}
}

static void wrong_arguments(const struct weir_watch *watch)
{
	struct weir_watch_info info = { .size = 3 };
	struct weir_stat stat = { .size = 8 };
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;

	CHECK_EQ(weir_watch_info(watch, &info), -EINVAL);
	CHECK_EQ(weir_watch_read(watch, &stat), -EINVAL);
	CHECK_EQ(weir_watch_read_zone(watch, 64, &zone), -EINVAL);
	CHECK_EQ(weir_watch_read_cpu(watch, 64, 0, &cpu), -EINVAL);
	CHECK_EQ(weir_watch_read_cpu(watch, 0, UINT32_MAX, &cpu), -EINVAL);
}

/* One whose page_size is no power of two. */
static void objects(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_watch *watch;
	struct weir_pool *pool;
	void *pages[100];

	opts.capacity = 16 << 20;
	opts.page_size = 2176;
	opts.name = "objects";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	watch = watch_one(getpid(), "objects");
	CHECK_EQ(info_of(watch).page_size, 2176);
	CHECK_EQ(info_of(watch).bytes, (16 << 20) / 2176 * 2176);
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, 100, 0), 0);
	same(pool, watch);
	weir_free_bulk(pool, 0, pages, 100);
	same(pool, watch);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	weir_watch_close(watch);
}

/* For all pages, one of which is out. */
static void with_a_request(struct weir_pool *pool, unsigned nr_pages,
			   const struct weir_watch *watch)
{
	static void *pages[PAGES];
	struct weir_request request = WEIR_REQUEST_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	void *page = weir_alloc(pool, 0, 0);

	request.n = nr_pages;
	request.pages = pages;
	request.fd = 0;
	CHECK_EQ(weir_request_submit(pool, &request), 0);
	same(pool, watch);
	CHECK_EQ(weir_watch_read(watch, &stat), 0);
	CHECK_EQ(stat.requests_waiting, 1);
	CHECK_EQ(weir_request_cancel(pool, &request), 0);
	CHECK_EQ(weir_watch_read(watch, &stat), 0);
	CHECK_EQ(stat.requests_cancelled, 1);
	weir_free(pool, page, 0);
}

/* Its own process is watched like any other. */
static void round_trip(unsigned nr_pages, unsigned flags)
{
	static void *pages[PAGES];
	struct weir_pool *pool = make_of(nr_pages, "round \x1b[trip", flags);
	struct weir_watch *watch = watch_one(getpid(), "round ?[trip");
	struct weir_watch_info info = info_of(watch);

	CHECK_EQ(info.state, WEIR_WATCH_LIVE);
	CHECK_EQ(info.pid, getpid());
	CHECK_EQ(info.number, ids[0].number);
	CHECK_EQ(strcmp(info.name, ids[0].name), 0);
	CHECK_EQ(info.bytes, nr_pages * 4096);
	CHECK_EQ(info.page_size, 4096);
	CHECK_EQ(info.batch, 64);
	CHECK_EQ(info.flags, flags);
	CHECK(!(flags & WEIR_POOL_NO_RSEQ) || info.locked);
	wrong_arguments(watch);
	CHECK_EQ(list(getpid()), 1); /* the watcher's own file is no pool */
	same(pool, watch);
	for (unsigned order = 0; order <= 10 && nr_pages >> order >= 2;
	     order++) {
		unsigned n = order < 6 && nr_pages >> order >= 60 ? 60 : 2;

		CHECK_EQ(weir_alloc_bulk(pool, order, pages, n, 0), 0);
		same(pool, watch);
		weir_free_bulk(pool, order, pages, n / 2);
		same(pool, watch);
		weir_free_bulk(pool, order, pages + n / 2, n - n / 2);
	}
	CHECK(weir_alloc(pool, 18, 0) == NULL);
	with_a_request(pool, nr_pages, watch);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	same(pool, watch);
	CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_OFF), 0);
	same(pool, watch);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	CHECK_EQ(info_of(watch).state, WEIR_WATCH_DESTROYED);
	CHECK_EQ(weir_watch_open(&(struct weir_watch *){ NULL }, &ids[0]),
		 -ENOENT);
	weir_watch_close(watch);
}

/* The pages and their metadata, both locked. */
static bool may_lock(uint64_t pages)
{
	struct rlimit limit;

	CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	return geteuid() == 0 || limit.rlim_cur == RLIM_INFINITY ||
	       limit.rlim_cur >= pages * 4096 + (1 << 20);
}

/* --- another process ---------------------------------------------------- */

struct owner {
	int ready[2], go_on[2];
};

static void wait_for(int fd)
{
	char byte;

	CHECK_EQ(read(fd, &byte, 1), 1);
}

static void say(int fd)
{
	CHECK_EQ(write(fd, "", 1), 1);
}

static void owner(void *arg)
{
	struct owner *o = arg;
	int err = prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct weir_pool *pool = make("another", 0);
	void *page = weir_alloc(pool, 3, 0);

	CHECK(page != NULL && err == 0);
	say(o->ready[1]);
	wait_for(o->go_on[0]);
	weir_free(pool, page, 3);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	pool = make("a second", 0);
	CHECK(weir_alloc(pool, 2, 0) != NULL);
	say(o->ready[1]);
	wait_for(o->go_on[0]);
}

static uint64_t out_of(const struct weir_watch *watch)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_watch_read(watch, &stat), 0);
	CHECK_EQ(stat.free + stat.cached + stat.pending + stat.out, PAGES);
	return stat.out;
}

/* Destroyed, then killed: the last numbers stay. */
static void other_process(void)
{
	struct weir_watch *first, *second;
	struct owner o;
	pid_t pid;

	CHECK(pipe(o.ready) == 0 && pipe(o.go_on) == 0);
	pid = start_child(owner, &o);
	wait_for(o.ready[0]);
	first = watch_one(pid, "another");
	CHECK_EQ(info_of(first).state, WEIR_WATCH_LIVE);
	CHECK_EQ(out_of(first), 8);
	say(o.go_on[1]);
	wait_for(o.ready[0]);
	CHECK_EQ(info_of(first).state, WEIR_WATCH_DESTROYED);
	CHECK_EQ(out_of(first), 0);
	second = watch_one(pid, "a second");
	CHECK_EQ(nr_ids, 1);
	CHECK(info_of(second).number != info_of(first).number);
	CHECK_EQ(out_of(second), 4);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(end_child(pid), 1000 + SIGKILL);
	CHECK_EQ(info_of(second).state, WEIR_WATCH_DEAD);
	CHECK_EQ(info_of(first).state, WEIR_WATCH_DESTROYED);
	CHECK_EQ(out_of(second), 4);
	CHECK_EQ(weir_watch_list(pid, note, NULL), -ESRCH);
	CHECK_EQ(weir_watch_open(&(struct weir_watch *){ NULL }, &ids[0]),
		 -ENOENT);
	weir_watch_close(first);
	weir_watch_close(second);
}

/* --- what must not be --------------------------------------------------- */

static void hidden(void)
{
	struct weir_pool *pool = make("hidden", WEIR_POOL_HIDDEN);

	CHECK_EQ(list(getpid()), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* The descriptor of the pool's file; -1: there is none. */
static int file_of(const char *name)
{
	char path[64], target[128], wanted[128];

	snprintf(wanted, sizeof(wanted), "/memfd:weir:%s (deleted)", name);
	for (int fd = 0; fd < 256; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		if (strcmp(target, wanted) == 0)
			return fd;
	}
	return -1;
}

/* A child has the descriptor, and can do nothing with it but read. */
static void child(void *arg)
{
	struct stat st;
	char path[64], byte = 1;
	int fd = *(int *)arg, again;

	CHECK_EQ(list(getpid()), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0400);
	CHECK_EQ(pwrite(fd, &byte, 1, 5000), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(ftruncate(fd, 0), -1);
	CHECK_EQ(ftruncate(fd, st.st_size * 2), -1);
	CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			   4096),
		 -1);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
	      MAP_FAILED);
	CHECK_EQ(errno, EPERM);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC); /* the superuser may */
	CHECK(again < 0 || mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
				again, 0) == MAP_FAILED);
	CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void fork_child(void)
{
	struct weir_pool *pool = make("parent", 0);
	int fd = file_of("parent");

	CHECK(fd > 2);
	CHECK_EQ(list(getpid()), 1);
	CHECK_EQ(end_child(start_child(child, &fd)), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	CHECK_EQ(file_of("parent"), -1);
	CHECK_EQ(fcntl(fd, F_GETFD), -1);
}

/* The program closes the descriptor, and another file gets its number. */
static void closed_meanwhile(void)
{
	struct weir_pool *pool = make("closed", 0);
	int fd = file_of("closed"), other;

	CHECK(fd > 2);
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(list(getpid()), 0);
	other = open("/dev/null", O_RDONLY);
	CHECK(other >= 0 && (other == fd || dup2(other, fd) == fd));
	for (unsigned i = 0; i < 1000; i++)
		weir_free(pool, weir_alloc(pool, i % 4, 0), i % 4);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	CHECK(fcntl(fd, F_GETFD) >= 0);
	close(fd);
}

/* As 0, 1 or 2 it would be taken for standard output. */
static void no_standard_files(void *unused)
{
	struct weir_pool *pool;
	bool is_free;

	(void)unused;
	close(0);
	close(1);
	pool = make("standard", 0);
	is_free = fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0;
	CHECK(is_free && file_of("standard") > 2);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- no addresses ------------------------------------------------------- */

/* No word of the file lies in anything this process has mapped. */
__attribute__((unused)) static void no_address(unsigned flags)
{
	struct weir_pool *pool = make("numbers", flags);
	int fd = file_of("numbers");
	unsigned long long range[512][2];
	struct stat st;
	unsigned nr = 0, nr_words = 0;
	static void *pages[PAGES];
	const uint64_t *words;
	char line[512];
	FILE *maps;

	CHECK_EQ(weir_alloc_upto(pool, 0, pages, 3000, 0), 3000);
	for (unsigned i = 0; i < 3000; i++)
		weir_free(pool, pages[i], 0);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	weir_free(pool, weir_alloc(pool, 1, 0), 1);
	CHECK_EQ(fstat(fd, &st), 0);
	words = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(words != MAP_FAILED);
	maps = fopen("/proc/self/maps", "r");
	CHECK(maps != NULL);
	while (nr < 512 && fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%llx-%llx", &range[nr][0], &range[nr][1]) !=
		    2)
			continue;
		/* The shadow of a sanitizer is where numbers are, too. */
		nr += range[nr][1] - range[nr][0] < UINT64_C(1) << 36;
	}
	fclose(maps);
	CHECK(nr > 5 && nr < 512);
	for (size_t i = 0; i < (size_t)st.st_size / 8; i++) {
		nr_words += words[i] != 0;
		for (unsigned m = 0; m < nr; m++)
			CHECK_MSG(words[i] < range[m][0] ||
					  words[i] >= range[m][1],
				  "word %zu is an address: %#" PRIx64, i,
				  words[i]);
	}
	CHECK(nr_words > 100);
	munmap((void *)(uintptr_t)words, (size_t)st.st_size);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* Others may have pools as well: ours ends the list. */
static int stop(const struct weir_watch_id *id, void *ctx)
{
	int *last = ctx;

	CHECK(id->pid >= *last);
	*last = id->pid;
	return id->pid == getpid() ? 77 : 0;
}

static int fail(const struct weir_watch_id *id, void *ctx)
{
	(void)id;
	return *(int *)ctx;
}

int main(void)
{
	struct weir_pool *pool = make("is it there", 0);
	int pid = 0;

	if (file_of("is it there") < 0)
		SKIP("this system has no memfd that can be sealed for good, or "
		     "accounts memory strictly");
	CHECK_EQ(weir_watch_list(getpid(), stop, &pid), 77);
	CHECK_EQ(pid, getpid());
	CHECK_EQ(weir_watch_list(-1, stop, &pid), -ESRCH);
	for (int error = -200; error < 0; error++)
		CHECK_EQ(weir_watch_list(getpid(), fail, &error), error);
	pid = 0;
	CHECK_EQ(weir_watch_list(0, stop, &pid), 77);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	pid = 0;
	CHECK_EQ(weir_watch_list(0, stop, &pid), 0);
	round_trip(PAGES, 0);
	round_trip(PAGES, WEIR_POOL_NO_RSEQ);
	round_trip(PAGES, WEIR_POOL_CHECKED);
	objects();
	if (may_lock(FEW_PAGES))
		round_trip(FEW_PAGES, WEIR_POOL_LOCK);
	else
		printf("left out: a locked pool (ulimit -l is below 7 MiB)\n");
	other_process();
	hidden();
	fork_child();
	closed_meanwhile();
	CHECK_EQ(end_child(start_child(no_standard_files, NULL)), 0);
#ifdef WI_TSAN
	printf("left out: addresses (this sanitizer maps where numbers are)\n");
#else
	no_address(0);
	no_address(WEIR_POOL_NO_RSEQ);
	no_address(WEIR_POOL_CHECKED);
#endif
	return 0;
}
