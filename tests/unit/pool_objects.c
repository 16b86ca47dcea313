/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool of pages whose size is no power of two gives out a page
 * twice, a part of one, fewer than there are, or a run of two; or a page index,
 * an offset or a statistic means another page.
 */
#include <sys/mman.h>
#include <sys/uio.h>

#include <weir/fast.h>
#include <weir/stat.h>

#include "base/bits.h"
#include "helpers.h"

#define MIB (UINT64_C(1) << 20)

static struct weir_pool *pool;
static char *base;
static uint64_t page, nr_pages;
static void **pages;
static uint8_t *seen;

static void create(uint64_t page_size, uint64_t capacity, unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	size_t bytes, said;

	opts.page_size = page_size;
	opts.capacity = capacity;
	opts.flags = flags;
	opts.quiet_cpus = "";
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_pool_range(pool, (void **)&base, &bytes, &said), 0);
	page = page_size;
	nr_pages = capacity / page_size;
	CHECK_EQ(said, page);
	CHECK_EQ(bytes, nr_pages * page);
	pages = calloc(nr_pages + 1, sizeof(*pages));
	seen = calloc(nr_pages, 1);
	CHECK(pages != NULL && seen != NULL);
}

static void destroy(void)
{
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
	free(pages);
	free(seen);
}

/* Is each page of the first n a page, and another one? Writes its two ends. */
static void check_pages(uint64_t n)
{
	memset(seen, 0, nr_pages);
	for (uint64_t i = 0; i < n; i++) {
		const uint64_t at = (uint64_t)((char *)pages[i] - base);

		CHECK(at % page == 0 && at / page < nr_pages);
		CHECK_EQ(seen[at / page]++, 0);
		CHECK_EQ((uintptr_t)pages[i] % (page & -page), 0);
		CHECK_EQ(weir_pool_index(pool, pages[i]), at / page);
		memcpy(pages[i], &at, sizeof(at));
		memcpy((char *)pages[i] + page - sizeof(at), &at, sizeof(at));
	}
	for (uint64_t i = 0; i < n; i++) {
		const uint64_t at = (uint64_t)((char *)pages[i] - base);

		CHECK(memcmp(pages[i], &at, sizeof(at)) == 0);
		CHECK(memcmp((char *)pages[i] + page - sizeof(at), &at,
			     sizeof(at)) == 0);
	}
}

static void check_none_left(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK(weir_alloc(pool, 0, 0) == NULL);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.pages, nr_pages);
	CHECK_EQ(stat.out, nr_pages);
	CHECK_EQ(stat.free + stat.cached + stat.pending, 0);
}

/* Every page by each way in and out. */
static void all_pages(void)
{
	uint64_t n = 0;

	while (n < nr_pages && (pages[n] = weir_fast_alloc(pool, 0, 0)) != NULL)
		n++;
	CHECK_EQ(n, nr_pages);
	check_pages(n);
	check_none_left();
	for (n = 0; n < nr_pages; n++)
		if (n % 2)
			weir_free(pool, pages[n], 0);
		else
			weir_fast_free(pool, pages[n], 0);
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, nr_pages, 0), 0);
	check_pages(nr_pages);
	check_none_left();
	weir_free_bulk(pool, 0, pages, nr_pages);
	CHECK_EQ(weir_alloc_upto(pool, 0, pages, nr_pages + 1, 0), nr_pages);
	check_pages(nr_pages);
	for (n = 0; n < nr_pages; n += 32)
		weir_fast_free_bulk(pool, 0, pages + n,
				    nr_pages - n < 32 ? nr_pages - n : 32);
	/* The pool's first byte is at offset 0. */
	CHECK_EQ(weir_alloc_offsets(pool, 0, (uint64_t *)(void *)pages,
				    nr_pages, WEIR_ZERO),
		 0);
	for (n = 0; n < nr_pages; n++) {
		CHECK_EQ((uint64_t)(uintptr_t)pages[n] % page, 0);
		CHECK_EQ(base[(uintptr_t)pages[n]], 0);
		CHECK_EQ(base[(uintptr_t)pages[n] + page - 1], 0);
	}
	weir_free_offsets(pool, 0, (uint64_t *)(void *)pages, nr_pages);
}

static void addresses(void)
{
	const uint64_t step = nr_pages / 1000 + 1;

	for (uint64_t i = 0; i < nr_pages; i += step) {
		CHECK(weir_pool_page(pool, i) == base + i * page);
		CHECK_EQ(weir_pool_index(pool, base + i * page), i);
		CHECK_EQ(weir_pool_index(pool, base + i * page + page / 2), i);
		CHECK_EQ(weir_pool_index(pool, base + (i + 1) * page - 1), i);
	}
	CHECK(weir_pool_page(pool, nr_pages) == NULL);
	CHECK(!weir_pool_contains(pool, base + nr_pages * page));
	CHECK(weir_pool_index(pool, base + nr_pages * page) == WEIR_INDEX_NONE);
}

static void single_pages_only(void)
{
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;

	for (unsigned order = 1; order <= WEIR_ORDER_MAX; order++) {
		CHECK(weir_alloc(pool, order, 0) == NULL);
		CHECK_EQ(errno, EINVAL);
		CHECK(strstr(weir_last_error(), "order 0 only") != NULL);
		CHECK_EQ(weir_alloc_bulk(pool, order, pages, 2, 0), -EINVAL);
		CHECK_EQ(weir_alloc_upto(pool, order, pages, 2, 0), 0);
		CHECK_EQ(errno, EINVAL);
	}
	CHECK(weir_fast_alloc(pool, 1, 0) == NULL);
	CHECK(weir_fast_alloc(pool, 9, WEIR_NOWAIT) == NULL);
	CHECK_EQ(weir_pool_order(pool, page), 0);
	CHECK_EQ(weir_pool_order(pool, page + 1), -EINVAL);
	CHECK(strstr(weir_last_error(), "order 0 only") != NULL);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_stat_read_zone(pool, 0, &zone), 0);
	CHECK_EQ(zone.free, nr_pages);
	CHECK_EQ(zone.free_runs[0], nr_pages);
	CHECK_EQ(weir_stat_read_cpu(pool, 0, (unsigned)allowed_cpu(0), &cpu),
		 0);
	for (unsigned list = 1; list < WEIR_STAT_LISTS; list++)
		CHECK_EQ(cpu.list[list].high, 0);
	for (unsigned order = 1; order <= WEIR_ORDER_MAX; order++)
		CHECK_EQ(zone.free_runs[order], 0);
}

static void one_page(void)
{
	struct weir_stat_page stat = WEIR_STAT_PAGE_INIT;
	char *object = weir_alloc(pool, 0, 0);

	CHECK(object != NULL);
	CHECK_EQ(weir_stat_read_page(object + page - 1, &stat), 0);
	CHECK_EQ(stat.state, WEIR_PAGE_OUT);
	CHECK_EQ(stat.index, (uint64_t)(object - base) / page);
	CHECK_EQ(stat.first, stat.index);
	weir_free(pool, object, 0);
	CHECK_EQ(weir_stat_read_page(object, &stat), 0);
	CHECK(stat.state != WEIR_PAGE_OUT);
	CHECK(strstr(weir_describe(object), "free") != NULL);
}

static void of_size(uint64_t page_size, uint64_t capacity, unsigned flags)
{
	create(page_size, capacity, flags);
	all_pages();
	addresses();
	one_page();
	if (page_size & (page_size - 1))
		single_pages_only();
	else
		CHECK_EQ(weir_pool_order(pool, 2 * page), 1);
	destroy();
}

/* 99 % of what fits, at least. */
static void packets(void)
{
	create(2176, 16 * MIB, 0);
	CHECK(nr_pages * 2176 * 100 >= 16 * MIB * 99);
	all_pages();
	destroy();
}

/* Parts end where a page does. */
static void parts(void)
{
	struct iovec part[4];
	uint64_t sum = 0;
	int n;

	create(3 * MIB + 64, 3000 * MIB, 0);
	n = weir_pool_iovecs(pool, part, 4);
	CHECK_EQ(n, 3);
	for (int i = 0; i < n; i++) {
		CHECK(part[i].iov_base == base + sum);
		CHECK(part[i].iov_len <= 1024 * MIB);
		CHECK_EQ(part[i].iov_len % page, 0);
		sum += part[i].iov_len;
	}
	CHECK_EQ(sum, nr_pages * page);
	destroy();
}

/* A region that is aligned to less than page_size. */
static void in_region(uint64_t page_size, uint64_t alignment)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	const size_t bytes = 8 * MIB;
	char *region = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *got[4];

	CHECK(region != MAP_FAILED);
	region += 4096 - ((uintptr_t)region & 4096); /* to no more than that */
	opts.backing = WEIR_BACKING_REGION;
	opts.region = region;
	opts.page_size = page_size;
	opts.capacity = 4 * page_size;
	if (alignment != 0 && page_size > 4096 &&
	    (page_size & (page_size - 1)) == 0) {
		CHECK_EQ(weir_pool_create(&pool, &opts), -EINVAL);
		CHECK_EQ(strncmp(weir_last_error(), "region", 6), 0);
	}
	opts.alignment = alignment;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_alloc_bulk(pool, 0, got, 4, 0), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ((uint64_t)((char *)got[i] - region) % page_size, 0);
	weir_free_bulk(pool, 0, got, 4);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* A file that ends where the last page does. */
static void in_file(uint64_t page_size)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	char *got[7];

	opts.backing = WEIR_BACKING_MEMFD;
	opts.page_size = page_size;
	opts.capacity = 7 * page_size;
	opts.fd = memfd_create("objects", MFD_CLOEXEC);
	CHECK(opts.fd >= 0);
	CHECK_EQ(ftruncate(opts.fd, (off_t)opts.capacity), 0);
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_alloc_bulk(pool, 0, (void **)got, 7, 0), 0);
	for (unsigned i = 0; i < 7; i++)
		got[i][page_size - 1] = 1;
	weir_free_bulk(pool, 0, (void *const *)got, 7);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	opts.capacity += page_size;
	CHECK_EQ(weir_pool_create(&pool, &opts), -EINVAL);
	CHECK_EQ(strncmp(weir_last_error(), "fd", 2), 0);
	close(opts.fd);
}

static void must_refuse(uint64_t page_size, uint64_t capacity,
			uint64_t alignment, const char *field)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.page_size = page_size;
	opts.capacity = capacity;
	opts.alignment = alignment;
	CHECK_EQ(weir_pool_create(&pool, &opts), -EINVAL);
	CHECK_MSG(strncmp(weir_last_error(), field, strlen(field)) == 0,
		  "%" PRIu64 ": \"%s\"", page_size, weir_last_error());
}

static void options(void)
{
	must_refuse(32, MIB, 0, "page_size");
	must_refuse(96, MIB, 0, "page_size");
	must_refuse(2177, MIB, 0, "page_size");
	must_refuse((UINT64_C(1) << 30) + 64, UINT64_C(1) << 40, 0,
		    "page_size");
	must_refuse(2176, 2175, 0, "capacity");
	must_refuse(4096, 3 * 4096 + 64, 0, "capacity");
	must_refuse(2176, MIB, 256, "alignment");
	must_refuse(2176, MIB, 96, "alignment");
	must_refuse(4096, MIB, 8192, "alignment");
	/* The reciprocal has 64 bits. */
	must_refuse(MIB + 64, UINT64_C(1) << 44, 0, "capacity");
}

/* An offset, by the reciprocal and by division. */
static void must_agree(const struct weir_pool *handle, uint64_t size,
		       uint64_t at)
{
	CHECK_MSG(!weir_i_is_multiple(handle, at) == (at % size != 0),
		  "%" PRIu64 " of %" PRIu64, at, size);
	CHECK_MSG(wi_mul_high(at, handle->reciprocal) == at / size,
		  "%" PRIu64 " of %" PRIu64, at, size);
}

/* The largest pool that pages of this size may have. */
static void reciprocal(uint64_t size, uint64_t *random)
{
	const struct weir_pool handle = { .reciprocal = UINT64_MAX / size + 1 };
	const uint64_t most = UINT64_MAX / size < UINT64_C(1) << 46
				      ? UINT64_MAX / size
				      : UINT64_C(1) << 46;
	const uint64_t nr = most / size;

	for (unsigned i = 0; i < 40; i++) {
		const uint64_t r = check_random(random);
		const uint64_t at = size * (i < 10   ? i % nr
					    : i < 20 ? nr - 1 - i % nr % 10
						     : r % nr);

		must_agree(&handle, size, at);
		must_agree(&handle, size, at + 1);
		must_agree(&handle, size, at + size - 1);
		must_agree(&handle, size, at + 64);
		must_agree(&handle, size, at + (r >> 32) % size);
	}
}

static void reciprocals(void)
{
	uint64_t random = 88172645463325252u;

	for (uint64_t size = 64; size <= 300000; size += 64)
		reciprocal(size, &random);
	for (unsigned i = 0; i < 20000; i++)
		reciprocal(64 + check_random(&random) % (1 << 24) * 64,
			   &random);
	reciprocal((UINT64_C(1) << 30) - 64, &random);
}

/* As large as it may be, if there are so many addresses. */
static void largest(uint64_t page_size)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	int err;

	opts.page_size = page_size;
	opts.capacity = UINT64_MAX / page_size;
	err = weir_pool_create(&pool, &opts);
	if (err == -ENOMEM) {
		printf("left out: %s\n", weir_last_error());
		return;
	}
	CHECK_MSG(err == 0, "%s", weir_last_error());
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	create(page_size, UINT64_MAX / page_size, 0);
	addresses();
	destroy();
}

/* No other offset of a small pool passes for a page. */
static void every_offset(uint64_t page_size)
{
	create(page_size, 300 * page_size, 0);
	for (uint64_t at = 0; at < nr_pages * page_size; at++)
		CHECK(!weir_i_is_multiple(pool, at) == (at % page_size != 0));
	destroy();
}

/* On one CPU: what other CPUs keep would be missed by who does not wait. */
static void all_sizes(void *unused)
{
	static const uint64_t sizes[] = { 64,	     192,  2176,   4160,
					  MIB + 64,  128,  256,	   3 * 4096,
					  4096 - 64, 8256, 3 * MIB };
	static const unsigned flags[] = {
		0,
		WEIR_POOL_CHECKED,
		WEIR_POOL_NO_RSEQ,
		WEIR_POOL_CHECKED | WEIR_POOL_NO_RSEQ,
		WEIR_POOL_PREFAULT,
	};

	(void)unused;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (unsigned k = 0; k < 5; k++)
			of_size(sizes[i],
				sizes[i] < MIB ? 4 * MIB : 40 * sizes[i],
				flags[k]);
	packets();
}

int main(void)
{
	options();
	run_on(allowed_cpu(0), all_sizes, NULL);
	parts();
	in_region(2176, 0);
	in_region(2176, 64);
	in_region(8192, 4096);
	in_region(65536, 64);
	in_file(2176);
	in_file(64);
	in_file(4160);
	reciprocals();
	largest(8 * MIB + 64);
	largest((UINT64_C(1) << 30) - 64);
	every_offset(192);
	every_offset(2176);
	every_offset(4160);
	return 0;
}
