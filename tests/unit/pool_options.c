/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a wrong option is taken for a right one, or the message does
 * not say which of them was wrong; or a right one makes no pool.
 */
#include <sys/mman.h>

#include <weir/stat.h>

#include "helpers.h"

static struct weir_pool *pool;

static struct weir_pool_opts good(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = 1 << 20;
	return opts;
}

/* --- what is refused --------------------------------------------------- */

/* Each sets one thing wrong, and names it. */
#define WRONG(name, ...)                                                       \
	static const char *wrong_##name(struct weir_pool_opts *o)              \
	{                                                                      \
		__VA_ARGS__;                                                   \
		return #name;                                                  \
	}

static char region[8192] __attribute__((aligned(4096)));

WRONG(size, o->size = 8)
WRONG(capacity, o->capacity = 0)
WRONG(page_size, o->page_size = 32)
WRONG(alignment, o->alignment = 8192)
WRONG(backing, o->backing = (enum weir_backing)99)
WRONG(flags, o->flags = 0x100)
WRONG(fd, o->backing = WEIR_BACKING_MEMFD; o->fd = -1)
WRONG(node, o->node = -2)
WRONG(fd_offset, o->fd_offset = 4096)
WRONG(region, o->backing = WEIR_BACKING_REGION)
WRONG(quiet_cpus, o->quiet_cpus = "1-x")
WRONG(polling_cpus, o->polling_cpus = "3-1")
WRONG(list_limit, o->list_limit = 512)
WRONG(batch, o->batch = 65)
WRONG(name, o->name = "a name of exactly thirty-two byt")

static const char *odd_capacity(struct weir_pool_opts *o)
{
	o->capacity = 5000;
	return "capacity";
}

static const char *huge_capacity(struct weir_pool_opts *o)
{
	o->capacity = UINT64_C(1) << 62;
	return "capacity";
}

static const char *odd_page(struct weir_pool_opts *o)
{
	o->page_size = 3 * 4096 + 32;
	return "page_size";
}

static const char *large_page(struct weir_pool_opts *o)
{
	o->capacity = o->page_size = UINT64_C(1) << 31;
	return "page_size";
}

static const char *negative_limit(struct weir_pool_opts *o)
{
	o->list_limit = -2;
	return "list_limit";
}

static const char *odd_region(struct weir_pool_opts *o)
{
	o->backing = WEIR_BACKING_REGION;
	o->region = region + 64;
	return "region";
}

static const char *stray_region(struct weir_pool_opts *o)
{
	o->region = region;
	return "region";
}

static const char *far_cpu(struct weir_pool_opts *o)
{
	o->quiet_cpus = "4095";
	return "quiet_cpus";
}

static const char *far_polling_cpu(struct weir_pool_opts *o)
{
	o->polling_cpus = "100000000000";
	return "polling_cpus";
}

static const char *short_file(struct weir_pool_opts *o)
{
	o->backing = WEIR_BACKING_MEMFD;
	o->fd = memfd_create("weir", 0);
	CHECK_EQ(ftruncate(o->fd, 4096), 0);
	return "fd";
}

static const char *absent_node(struct weir_pool_opts *o)
{
	o->node = 1000;
	return "node";
}

static void refused(void)
{
	static const char *(*const wrong[])(struct weir_pool_opts *) = {
		wrong_size,	  wrong_capacity,   wrong_page_size,
		wrong_alignment,  wrong_backing,    wrong_flags,
		wrong_fd,	  wrong_node,	    wrong_fd_offset,
		wrong_region,	  wrong_quiet_cpus, wrong_polling_cpus,
		wrong_list_limit, wrong_batch,	    wrong_name,
		odd_capacity,	  huge_capacity,    odd_page,
		large_page,	  negative_limit,   odd_region,
		stray_region,	  far_cpu,	    far_polling_cpu,
		short_file,	  absent_node,
	};

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct weir_pool_opts opts = good();
		const char *field = wrong[i](&opts);
		int err = weir_pool_create(&pool, &opts);

		CHECK_MSG(err == -EINVAL, "row %u, %s: %d (%s)", i, field, err,
			  weir_last_error());
		CHECK_MSG(strncmp(weir_last_error(), field, strlen(field)) == 0,
			  "row %u, %s: \"%s\"", i, field, weir_last_error());
	}
	CHECK_EQ(weir_pool_create(&pool, NULL), -EINVAL);
}

/* --- what is taken ----------------------------------------------------- */

/* Makes the pool, takes every page out and back. */
static void use(const struct weir_pool_opts *opts)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	size_t bytes, page_size, n = 0;
	static void *pages[4096];
	void *base;

	CHECK_MSG(weir_pool_create(&pool, opts) == 0, "%s", weir_last_error());
	CHECK_EQ(strcmp(weir_last_error(), ""), 0);
	CHECK_EQ(weir_pool_range(pool, &base, &bytes, &page_size), 0);
	CHECK_EQ(bytes, opts->capacity);
	CHECK_EQ(page_size, opts->page_size ? opts->page_size : 4096);
	while (n < 4096 && (pages[n] = weir_alloc(pool, 0, 0)) != NULL) {
		CHECK_EQ(((char *)pages[n] - (char *)base) %
				 (ptrdiff_t)page_size,
			 0);
		*(volatile char *)pages[n] = 1;
		n++;
	}
	if (bytes / page_size < 4096) {
		CHECK_EQ(n, bytes / page_size);
		CHECK_EQ(errno, ENOMEM);
	}
	weir_free_bulk(pool, 0, pages, n);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.pages, bytes / page_size);
	CHECK_EQ(stat.out, 0);
	if (opts->list_limit == -1)
		CHECK_EQ(stat.operations + stat.cached, 0);
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

/* 0 is the kernel's node 0, and the initialiser names none. */
static void nodes(void)
{
	static const int node[] = { WEIR_NODE_ANY, 0 };

	CHECK_EQ(good().node, WEIR_NODE_ANY);
	for (unsigned i = 0; i < 2; i++) {
		struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
		struct weir_pool_opts opts = good();
		int err;

		opts.node = node[i];
		err = weir_pool_create(&pool, &opts);
		if (err == -EPERM && node[i] == 0)
			continue; /* where memory cannot be bound */
		CHECK_MSG(err == 0, "%s", weir_last_error());
		CHECK_EQ(weir_stat_read_zone(pool, 0, &zone), 0);
		CHECK_EQ(zone.node, node[i]);
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	}
}

/* The next version's options are longer: fine while what is new is not set. */
static void later_version(void)
{
	struct {
		struct weir_pool_opts opts;
		uint64_t later[4];
	} longer = { good(), { 0 } };

	longer.opts.size = sizeof(longer);
	use(&longer.opts);
	longer.later[2] = 1;
	CHECK_EQ(weir_pool_create(&pool, &longer.opts), -EINVAL);
	CHECK_EQ(strncmp(weir_last_error(), "size", 4), 0);
}

static void page_sizes(void)
{
	for (unsigned shift = 6; shift <= 30; shift++) {
		struct weir_pool_opts opts = good();

		opts.page_size = UINT64_C(1) << shift;
		opts.capacity = 5 * opts.page_size;
		use(&opts);
		opts.capacity = opts.page_size; /* of one page */
		use(&opts);
	}
}

static void limits(void)
{
	static const int32_t limit[] = { -1, 1, 2, 3, 511 };
	static const uint32_t batch[] = { 1, 2, 64 };

	for (unsigned i = 0; i < 15; i++) {
		struct weir_pool_opts opts = good();

		opts.capacity = 1537 * 4096; /* odd */
		opts.list_limit = limit[i % 5];
		opts.batch = batch[i / 5];
		use(&opts);
	}
}

static void backings(void)
{
	struct weir_pool_opts opts = good();
	const int fd = memfd_create("weir", 0);
	void *page;
	int err;

	opts.backing = WEIR_BACKING_THP;
	use(&opts);
	opts.backing = WEIR_BACKING_MEMFD;
	opts.fd = fd;
	opts.fd_offset = 8192;
	CHECK_EQ(ftruncate(fd, (1 << 20) + 8192), 0);
	use(&opts);
	CHECK_EQ(lseek(fd, 8192, SEEK_SET), 8192);
	CHECK_EQ(read(fd, &(char){ 0 }, 1), 1);
	opts.fd_offset = 100;
	CHECK_EQ(weir_pool_create(&pool, &opts), -EINVAL);
	CHECK_EQ(strncmp(weir_last_error(), "fd_offset", 9), 0);
	close(fd);

	opts = good();
	opts.backing = WEIR_BACKING_REGION;
	opts.region = region;
	opts.capacity = sizeof(region);
	use(&opts); /* and leaves it mapped: */
	region[0] = region[4096] = 1;

	/* More huge pages than any machine reserves for nobody. */
	opts = good();
	opts.backing = WEIR_BACKING_HUGETLB;
	opts.capacity = UINT64_C(1) << 42;
	err = weir_pool_create(&pool, &opts);
	CHECK(err == -ENOMEM || err == -EOPNOTSUPP);
	CHECK(err == -EOPNOTSUPP ||
	      strstr(weir_last_error(), "nr_hugepages") != NULL);

	opts = good();
	opts.flags = WEIR_POOL_PREFAULT;
	use(&opts);
	opts.flags = WEIR_POOL_LOCK;
	err = weir_pool_create(&pool, &opts);
	CHECK(err == 0 || strstr(weir_last_error(), "MEMLOCK") != NULL);
	if (err == 0) {
		page = weir_alloc(pool, 0, 0);
		weir_free(pool, page, 0);
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	}
}

/* Memory that nobody touches costs nothing. */
static void large(void)
{
	struct weir_pool_opts opts = good();
	uint64_t start = now_ns();

	opts.capacity = UINT64_C(64) << 30;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	printf("a pool of 64 GiB is made in %.0f us\n",
	       (double)(now_ns() - start) / 1000);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	opts.capacity = (UINT64_C(1) << 40) + 4096;
	use(&opts);
}

static void cpus(void)
{
	struct weir_pool_opts opts = good();
	char list[16];

	snprintf(list, sizeof(list), "%d", allowed_cpu(0));
	opts.quiet_cpus = list;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	if (weir_set_mode(pool, "", WEIR_MODE_QUIET) == 0)
		CHECK_EQ(weir_get_mode(pool, (unsigned)allowed_cpu(0)),
			 WEIR_MODE_QUIET);
	CHECK_EQ(weir_get_mode(pool, 1 << 20), -EINVAL);
	CHECK_EQ(weir_set_mode(pool, "0-", WEIR_MODE_OFF), -EINVAL);
	CHECK_EQ(weir_set_mode(pool, NULL, (enum weir_mode)77), -EINVAL);
	CHECK_EQ(weir_pool_destroy(pool, 0x80), -EINVAL);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	opts.quiet_cpus = "";
	opts.polling_cpus = list;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	if (weir_set_mode(pool, "", WEIR_MODE_QUIET) == 0)
		CHECK_EQ(weir_get_mode(pool, (unsigned)allowed_cpu(0)),
			 WEIR_MODE_POLLING);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	refused();
	later_version();
	nodes();
	page_sizes();
	limits();
	backings();
	large();
	cpus();
	return 0;
}
