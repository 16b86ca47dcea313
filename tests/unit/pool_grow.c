/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool does not get the memory that it is to grow by, or gives
 * out, shows or takes back pages that it does not have; or a growth that is
 * refused changes something.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include <weir/fast.h>
#include <weir/stat.h>
#include <weir/watch.h>

#include "api/pool.h"
#include "child.h"
#include "helpers.h"

#define MIB (UINT64_C(1) << 20)
#define UNIT (512 * UINT64_C(4096))
#define PAGES_MAX 8192

static struct weir_pool *pool;
static char *base;
static void *pages[PAGES_MAX];

static struct weir_pool_opts growing(uint64_t capacity, uint64_t max)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = capacity;
	opts.max_capacity = max;
	opts.name = "growing";
	return opts;
}

static void make(const struct weir_pool_opts *opts)
{
	CHECK_MSG(weir_pool_create(&pool, opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
}

static void destroy(void)
{
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

static void grow(uint64_t bytes)
{
	CHECK_MSG(weir_pool_grow(pool, bytes) == 0, "%s", weir_last_error());
	CHECK_EQ(strcmp(weir_last_error(), ""), 0);
}

/* --- what there is ------------------------------------------------------ */

static void shows(uint64_t bytes, uint64_t max)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_page page = WEIR_STAT_PAGE_INIT;
	struct iovec part;
	size_t range;

	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.pages, bytes / 4096);
	CHECK_EQ(stat.max_pages, max / 4096);
	CHECK_EQ(stat.free + stat.out, stat.pages);
	CHECK_EQ(weir_stat_read_zone(pool, 0, &zone), 0);
	CHECK_EQ(zone.pages, bytes / 4096);
	CHECK_EQ(zone.max_pages, max / 4096);
	CHECK_EQ(weir_pool_range(pool, NULL, &range, NULL), 0);
	CHECK_EQ(range, bytes);
	CHECK_EQ(weir_pool_iovecs(pool, &part, 1), 1);
	CHECK(part.iov_base == base && part.iov_len == bytes);
	CHECK(weir_pool_contains(pool, base + bytes - 1));
	CHECK_EQ(weir_pool_index(pool, base + bytes - 1), bytes / 4096 - 1);
	CHECK(weir_pool_page(pool, bytes / 4096 - 1) == base + bytes - 4096);
	CHECK_EQ(weir_stat_read_page(base + bytes - 1, &page), 0);
	CHECK(!weir_pool_contains(pool, base + bytes));
	CHECK(weir_pool_index(pool, base + bytes) == WEIR_INDEX_NONE);
	CHECK(weir_pool_page(pool, bytes / 4096) == NULL);
	CHECK_EQ(weir_stat_read_page(base + bytes, &page), -ENOENT);
}

/* All pages there are, each of them once; then no more. */
static size_t take_all(size_t n, size_t expected)
{
	while (n < PAGES_MAX && (pages[n] = weir_alloc(pool, 0, 0)) != NULL)
		*(void **)pages[n++] = pool;
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(n, expected);
	return n;
}

/* Freed by the inlined path on another CPU: it keeps them. */
static void free_elsewhere(void *arg)
{
	const size_t *n = arg;
	struct weir_stat_page last = WEIR_STAT_PAGE_INIT;

	for (size_t i = 0; i < *n; i++)
		weir_fast_free(pool, pages[i], 0);
	CHECK_EQ(weir_stat_read_page(pages[*n - 1], &last), 0);
	CHECK_EQ(last.state, WEIR_PAGE_CACHED);
	CHECK_EQ(last.cpu, sched_getcpu());
}

static void grows(unsigned flags)
{
	struct weir_pool_opts opts = growing(4 * UNIT, 16 * UNIT);
	static const unsigned more[] = { 1, 2, 3, 6 };
	struct weir_stat before = WEIR_STAT_INIT, after = before;
	size_t n, last = 4;

	opts.flags = flags;
	make(&opts);
	shows(4 * UNIT, 16 * UNIT);
	n = take_all(0, last * 512);
	for (unsigned i = 0; i < 4; i++) {
		grow(more[i] * UNIT);
		last += more[i];
		shows(last * UNIT, 16 * UNIT);
		n = take_all(n, last * 512);
	}
	weir_stat_read(pool, &before);
	CHECK_EQ(weir_pool_grow(pool, 16 * UNIT), -ENOSPC);
	weir_stat_read(pool, &after);
	CHECK_EQ(memcmp(&before, &after, sizeof(before)), 0);
	if (flags & WEIR_POOL_NO_RSEQ)
		weir_free_bulk(pool, 0, pages, n);
	else
		run_on(allowed_cpu(allowed_cpu(1) >= 0), free_elsewhere, &n);
	shows(last * UNIT, 16 * UNIT);
	destroy();
}

/* Runs across the old end, and more of them than there were pages before. */
static void orders(void)
{
	struct weir_pool_opts opts = growing(UNIT, 64 * UNIT);
	void *run;

	make(&opts);
	CHECK(weir_alloc(pool, 11, 0) == NULL);
	CHECK_EQ(errno, ENOMEM);
	CHECK(strstr(weir_last_error(), "the pool 512") != NULL);
	grow(3 * UNIT);
	run = weir_alloc(pool, 11, 0);
	CHECK(run == base);
	CHECK(weir_alloc(pool, 0, 0) == NULL);
	grow(60 * UNIT);
	CHECK(weir_alloc(pool, 15, 0) == NULL);
	weir_free(pool, run, 11);
	run = weir_alloc(pool, 15, WEIR_NOWAIT);
	CHECK(run == base);
	weir_free(pool, run, 15);
	shows(64 * UNIT, 64 * UNIT);
	destroy();
}

/* --- what is refused ---------------------------------------------------- */

static void refused(uint64_t bytes, int error, const char *why)
{
	struct weir_stat before = WEIR_STAT_INIT, after = before;

	CHECK_EQ(weir_stat_read(pool, &before), 0);
	CHECK_EQ(weir_pool_grow(pool, bytes), error);
	CHECK_MSG(strstr(weir_last_error(), why) != NULL, "\"%s\"",
		  weir_last_error());
	CHECK_EQ(weir_stat_read(pool, &after), 0);
	CHECK_EQ(memcmp(&before, &after, sizeof(before)), 0);
}

static void stale(void *arg)
{
	(void)arg;
	CHECK_EQ(weir_pool_grow(pool, UNIT), -ESTALE);
	CHECK(!weir_pool_contains(pool, base));
}

static void wrong_calls(void)
{
	struct weir_pool_opts opts = growing(2 * UNIT, 4 * UNIT);

	make(&opts);
	refused(0, -EINVAL, "bytes: 0");
	refused(UNIT - 4096, -EINVAL, "multiple of 2097152");
	refused(UINT64_MAX, -EINVAL, "bytes");
	refused(-UNIT, -ENOSPC, "max_capacity");
	refused(3 * UNIT, -ENOSPC, "max_capacity 8388608");
	CHECK_EQ(end_child(start_child(stale, NULL)), 0);
	grow(2 * UNIT);
	refused(UNIT, -ENOSPC, "max_capacity");
	destroy();
	opts.max_capacity = 0;
	make(&opts);
	refused(UNIT, -ENOSPC, "without");
	destroy();
}

static void grow_in_vain(void *arg)
{
	(void)arg;
	CHECK_EQ(weir_pool_grow(pool, UNIT), -ETIMEDOUT);
}

/* Others drain, or grow, for longer than the pool's wait_ns. */
static void others_busy(void)
{
	struct weir_pool_opts opts = growing(2 * UNIT, 4 * UNIT);
	struct wi_pool *impl;

	opts.wait_ns = 1000000;
	make(&opts);
	impl = wi_pool_of(pool);
	CHECK_EQ(wi_drain_lock(&impl->cache.drain, UINT64_MAX), 0);
	run_on(allowed_cpu(0), grow_in_vain, NULL);
	wi_drain_unlock(&impl->cache.drain);
	shows(2 * UNIT, 4 * UNIT);
	CHECK_EQ(wi_os_mutex_lock(&impl->growing, UINT64_MAX), 0);
	run_on(allowed_cpu(0), grow_in_vain, NULL);
	wi_os_mutex_unlock(&impl->growing);
	shows(2 * UNIT, 4 * UNIT);
	grow(2 * UNIT);
	shows(4 * UNIT, 4 * UNIT);
	destroy();
}

static void wrong_options(void)
{
	static const struct {
		uint64_t capacity, max, page_size;
	} wrong[] = {
		{ 4 * UNIT, 3 * UNIT, 4096 },
		{ 4 * UNIT, 4 * UNIT + 4096, 4096 },
		{ 4 * UNIT + 4096, 8 * UNIT, 4096 },
		{ 4 * UNIT, (UINT64_C(1) << 46) + UNIT, 4096 },
		{ 4 * UNIT, 8 * UNIT, 8192 << 3 },
	};

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct weir_pool_opts opts =
			growing(wrong[i].capacity, wrong[i].max);

		opts.page_size = wrong[i].page_size;
		CHECK_EQ(weir_pool_create(&pool, &opts), -EINVAL);
		CHECK_EQ(strncmp(weir_last_error(), "max_capacity", 12), 0);
	}
}

/* --- where the memory comes from ---------------------------------------- */

static bool is_backed(const void *at, size_t bytes)
{
	static unsigned char there[PAGES_MAX];

	CHECK_EQ(mincore((void *)(uintptr_t)at, bytes, there), 0);
	for (size_t i = 0; i < bytes / 4096; i++)
		if (!(there[i] & 1))
			return false;
	return true;
}

static void files(unsigned flags)
{
	struct weir_pool_opts opts = growing(2 * UNIT, 6 * UNIT);

	opts.backing = WEIR_BACKING_MEMFD;
	opts.flags = flags;
	opts.fd = memfd_create("weir", 0);
	CHECK_EQ(ftruncate(opts.fd, 2 * (off_t)UNIT - 4096), 0);
	CHECK_EQ(weir_pool_create(&pool, &opts), -EINVAL);
	CHECK_EQ(ftruncate(opts.fd, 2 * (off_t)UNIT), 0);
	make(&opts);
	refused(UNIT, -EINVAL, "fd");
	CHECK_EQ(ftruncate(opts.fd, 3 * (off_t)UNIT), 0);
	refused(2 * UNIT, -EINVAL, "fd");
	grow(UNIT);
	CHECK_EQ(take_all(0, 3 * 512), 3 * 512);
	weir_free_bulk(pool, 0, pages, (size_t)3 * 512);
	shows(3 * UNIT, 6 * UNIT);
	destroy();
	close(opts.fd);
}

static void regions(void)
{
	struct weir_pool_opts opts = growing(2 * UNIT, 4 * UNIT);

	opts.backing = WEIR_BACKING_REGION;
	opts.region = mmap(NULL, 4 * UNIT, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(opts.region != MAP_FAILED);
	CHECK_EQ(mprotect(opts.region, 2 * UNIT, PROT_READ | PROT_WRITE), 0);
	make(&opts);
	CHECK_EQ(mprotect(base + 2 * UNIT, UNIT, PROT_READ | PROT_WRITE), 0);
	grow(UNIT);
	CHECK_EQ(take_all(0, 3 * 512), 3 * 512);
	weir_free_bulk(pool, 0, pages, (size_t)3 * 512);
	destroy();
	munmap(opts.region, 4 * UNIT);
}

static void prefaulted(void)
{
	struct weir_pool_opts opts = growing(2 * UNIT, 6 * UNIT);

	opts.flags = WEIR_POOL_PREFAULT;
	make(&opts);
	CHECK(is_backed(base, 2 * UNIT));
	CHECK(!is_backed(base + 2 * UNIT, UNIT));
	grow(2 * UNIT);
	CHECK(is_backed(base, 4 * UNIT));
	CHECK(!is_backed(base + 4 * UNIT, 2 * UNIT));
	destroy();
	opts.flags = 0;
	make(&opts);
	grow(2 * UNIT);
	CHECK(!is_backed(base + 2 * UNIT, UNIT));
	destroy();
}

/* As a user who may lock less than the pool is to have: in a child. */
static void locked(void *arg)
{
	struct weir_pool_opts opts = growing(UNIT, 16 * UNIT);
	struct rlimit limit = { 7 * MIB, 7 * MIB };

	(void)arg;
	opts.flags = WEIR_POOL_LOCK;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
	    (getuid() == 0 && setresuid(65534, 65534, 65534) != 0) ||
	    weir_pool_create(&pool, &opts) != 0) {
		printf("left out: locked memory (7 MiB cannot be the limit)\n");
		return;
	}
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
	refused(14 * UNIT, -ENOMEM, "MEMLOCK");
	CHECK(!is_backed(base + UNIT, UNIT));
	grow(UNIT);
	CHECK(is_backed(base, 2 * UNIT));
	destroy();
}

/* More huge pages than any machine reserves for nobody. */
static void huge(void)
{
	struct weir_pool_opts opts = growing(2 * MIB, UINT64_C(1) << 40);
	int err;

	opts.backing = WEIR_BACKING_HUGETLB;
	err = weir_pool_create(&pool, &opts);
	if (err != 0) {
		CHECK(err == -EOPNOTSUPP || err == -ENOMEM);
		CHECK(strstr(weir_last_error(), "hugetlb") != NULL);
		printf("no huge pages here\n");
		return;
	}
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
	refused((UINT64_C(1) << 40) - 2 * MIB, -ENOMEM, "hugetlb");
	shows(2 * MIB, UINT64_C(1) << 40);
	destroy();
}

/* --- others that look on ------------------------------------------------- */

static struct weir_watch_id found;

static int note(const struct weir_watch_id *id, void *ctx)
{
	(void)ctx;
	found = *id;
	return 1;
}

static void watched(void)
{
	struct weir_pool_opts opts = growing(2 * UNIT, 2048 * UNIT);
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;
	struct weir_stat mine = WEIR_STAT_INIT, its = WEIR_STAT_INIT;
	struct weir_watch *watch;

	make(&opts);
	if (weir_watch_list(getpid(), note, NULL) != 1) {
		destroy();
		return; /* this system lets nobody watch */
	}
	CHECK_EQ(weir_watch_open(&watch, &found), 0);
	for (unsigned units = 2; units <= 2048; units *= 4) {
		CHECK_EQ(weir_watch_info(watch, &info), 0);
		CHECK_EQ(info.bytes, units * UNIT);
		CHECK_EQ(info.max_bytes, 2048 * UNIT);
		CHECK_EQ(weir_stat_read(pool, &mine), 0);
		CHECK_EQ(weir_watch_read(watch, &its), 0);
		CHECK_EQ(memcmp(&mine, &its, sizeof(mine)), 0);
		CHECK_EQ(its.free, units * 512);
		if (units * 4 <= 2048)
			grow(units * 3 * UNIT);
	}
	weir_watch_close(watch);
	destroy();
}

/* A pool that may become large costs little until it does. */
static void large(void)
{
	struct weir_pool_opts opts = growing(64 * UNIT, UINT64_C(1) << 40);
	struct weir_stat stat = WEIR_STAT_INIT;
	uint64_t start = now_ns(), made;

	make(&opts);
	made = now_ns();
	grow(UINT64_C(64) << 30);
	printf("64 GiB more of 1 TiB: made in %.0f us, grown in %.0f us\n",
	       (double)(made - start) / 1000, (double)(now_ns() - made) / 1000);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.free, (64 + 32768) * 512);
	destroy();
}

int main(void)
{
	grows(0);
	grows(WEIR_POOL_CHECKED);
	grows(WEIR_POOL_NO_RSEQ);
	orders();
	wrong_calls();
	others_busy();
	wrong_options();
	files(0);
	files(WEIR_POOL_PREFAULT);
	regions();
	prefaulted();
	if (CHECK_HAS_ASAN || CHECK_HAS_TSAN)
		printf("left out: locked memory (sanitizers ignore mlock)\n");
	else
		CHECK_EQ(end_child(start_child(locked, NULL)), 0);
	huge();
	watched();
	large();
	return 0;
}
