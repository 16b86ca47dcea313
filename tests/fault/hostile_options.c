/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an option that makes no sense passes for one that does, is
 * read beyond its end, overflows, or leaves something behind.
 */
#include <limits.h>
#include <sys/mman.h>

#include <weir/cache.h>

#include "fault.h"

#define GUARDED 8192

static char *guard; /* GUARDED bytes lie before it, nothing after */
static unsigned taken, refused;

static struct weir_pool_opts good(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = 64 * 4096;
	return opts;
}

/* Makes, uses and destroys a pool, or is refused with words. */
static int try_pool(const struct weir_pool_opts *opts)
{
	struct weir_pool *pool = NULL;
	int err = weir_pool_create(&pool, opts);
	void *page;

	CHECK((err == 0) == (pool != NULL));
	CHECK((err == 0) == (weir_last_error()[0] == '\0'));
	if (err != 0) {
		refused++;
		return err;
	}
	taken++;
	page = weir_alloc(pool, 0, 0);
	CHECK(page != NULL);
	weir_free(pool, page, 0);
	check_whole(pool);
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
	return 0;
}

/* --- lists of CPUs ----------------------------------------------------- */

static char long_list[65537], long_garbage[65537], long_number[65537];

static const struct list {
	const char *text;
	bool good;
} lists[] = {
	{ "", true },
	{ " ", true },
	{ "\n", true },
	{ "0", true },
	{ "0\n", true },
	{ " 0", true },
	{ "0 ", true },
	{ "\t0-0 \n", true },
	{ "0,0,0", true },
	{ "000000000000", true },
	{ "0-0:1/1", true },
	{ "0-0:1/4294967296", true },
	{ long_list, true },
	{ ",", false },
	{ "0,", false },
	{ ",0", false },
	{ "0,,0", false },
	{ "0-", false },
	{ "-0", false },
	{ "-1", false },
	{ "+0", false },
	{ "1-0", false },
	{ "0--0", false },
	{ "0-0-0", false },
	{ "0 - 0", false },
	{ "0, 0", false },
	{ "0\n0", false },
	{ "0;0", false },
	{ "0x0", false },
	{ "0.0", false },
	{ "a", false },
	{ "all", false },
	{ "(null)", false },
	{ "\xff\xfe", false },
	{ "0-0:", false },
	{ "0-0:0/1", false },
	{ "0-0:2/1", false },
	{ "0-0:1/0", false },
	{ "0-0:1", false },
	{ "0:1/1", false },
	{ "8191", false },
	{ "8192", false },
	{ "0-8191", false },
	{ "0-4294967295", false },
	{ "4294967296", false },
	{ "18446744073709551616", false },
	{ "0-99999999999999999999", false },
	{ "%s%n", false },
	{ long_garbage, false },
	{ long_number, false },
};

#define NR_LISTS (sizeof(lists) / sizeof(lists[0]))

static size_t no_token(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
	return 0;
}

static void take_tokens(void *context, unsigned list, const uint64_t *tokens,
			size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
}

static struct weir_cache_opts good_cache(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend.get = no_token;
	opts.backend.put = take_tokens;
	return opts;
}

static int try_cache(const struct weir_cache_opts *opts)
{
	struct weir_cache *cache = NULL;
	int err = weir_cache_create(&cache, opts);

	CHECK((err == 0) == (cache != NULL));
	CHECK((err == 0) == (weir_last_error()[0] == '\0'));
	if (err != 0) {
		refused++;
		return err;
	}
	taken++;
	CHECK_EQ(weir_cache_destroy(cache), 0);
	return 0;
}

/* One list, through every call that takes one. */
static void one_list(struct weir_pool *pool, const struct list *list)
{
	struct weir_pool_opts quiet = good(), polling = good();
	struct weir_cache_opts cache = good_cache();
	struct weir_drain_opts drain = WEIR_DRAIN_OPTS_INIT;
	const int expected = list->good ? 0 : -EINVAL;

	quiet.quiet_cpus = polling.polling_cpus = list->text;
	cache.quiet_cpus = drain.cpus = list->text;
	CHECK_MSG(try_pool(&quiet) == expected, "\"%.40s\"", list->text);
	CHECK(list->good || quiet.quiet_cpus == list->text);
	CHECK_MSG(try_pool(&polling) == expected, "\"%.40s\"", list->text);
	CHECK_MSG(try_cache(&cache) == expected, "\"%.40s\"", list->text);
	CHECK_MSG(weir_drain(pool, &drain, NULL) == expected, "\"%.40s\": %s",
		  list->text, weir_last_error());
	CHECK_MSG(weir_set_mode(pool, list->text, WEIR_MODE_OFF) == expected,
		  "\"%.40s\"", list->text);
	CHECK_EQ(weir_set_mode(pool, "", WEIR_MODE_OFF), 0);
}

static void cpu_lists(void)
{
	const struct weir_pool_opts opts = good();
	struct weir_pool *pool;

	for (unsigned i = 0; i + 1 < sizeof(long_list); i += 2)
		memcpy(long_list + i, "0,", 2);
	long_list[sizeof(long_list) - 2] = '\0'; /* not after a comma */
	memset(long_garbage, 'g', sizeof(long_garbage) - 1);
	memset(long_number, '9', sizeof(long_number) - 1);
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	for (unsigned i = 0; i < NR_LISTS; i++)
		one_list(pool, &lists[i]);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- structs of other sizes -------------------------------------------- */

/* The options as a header of `size` bytes has them, up to the guard. */
static struct weir_pool_opts *shortened(size_t size)
{
	const struct weir_pool_opts opts = good();
	const size_t there = size < sizeof(size_t) ? sizeof(size_t) : size;
	char *at = guard - there;

	memset(at, 0, there);
	memcpy(at, &opts, there < sizeof(opts) ? there : sizeof(opts));
	memcpy(at, &size, sizeof(size));
	return (struct weir_pool_opts *)(void *)at;
}

static void sizes_of_options(void)
{
	static const size_t garbage[] = { 4097,	      8192,	    INT_MAX,
					  UINT32_MAX, SIZE_MAX / 2, SIZE_MAX };
	const size_t known = sizeof(struct weir_pool_opts);
	struct weir_pool_opts opts = good();

	for (size_t size = 0; size < known; size++)
		CHECK_EQ(try_pool(shortened(size)),
			 size >= 16 && size % 8 == 0 ? 0 : -EINVAL);
	for (size_t size = known; size <= 4096; size += 8) {
		struct weir_pool_opts *longer = shortened(size);

		CHECK_EQ(try_pool(longer), 0);
		if (size == known)
			continue;
		guard[-1] = 1;
		CHECK_EQ(try_pool(longer), -EINVAL);
		CHECK(strncmp(weir_last_error(), "size", 4) == 0);
	}
	for (unsigned i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		char *at = guard - known; /* what follows cannot be read */

		opts.size = garbage[i];
		memcpy(at, &opts, known);
		CHECK_EQ(try_pool((struct weir_pool_opts *)(void *)at),
			 -EINVAL);
	}
}

/* A struct that begins with its size, of every size, up to the guard. Below
 * `least` the call fails for what is missing. */
#define OTHER_SIZES(type, initial, least, call)                                \
	do {                                                                   \
		const type right = initial;                                    \
		for (size_t size = 0; size <= 4104; size++) {                  \
			const bool is_right = size >= (least) &&               \
					      size <= 4096 && !(size % 8);     \
			type *x =                                              \
				(void *)(guard -                               \
					 (size < 8 ? 8 : (size + 7) / 8 * 8)); \
			memset(x, 0, size);                                    \
			memcpy(x, &right,                                      \
			       size < sizeof(right) ? size : sizeof(right));   \
			memcpy(x, &size, sizeof(size));                        \
			CHECK_EQ(call, is_right ? 0 : -EINVAL);                \
		}                                                              \
		type all = initial, *x = &all;                                 \
		all.size = SIZE_MAX;                                           \
		CHECK_EQ(call, -EINVAL);                                       \
	} while (0)

static void sizes_of_others(void)
{
	const struct weir_pool_opts opts = good();
	struct weir_drain_opts drain = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;
	struct weir_cache_opts cache = good_cache();
	struct weir_pool *pool;

	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	OTHER_SIZES(struct weir_drain_opts, drain, 16,
		    weir_drain(pool, x, NULL));
	OTHER_SIZES(struct weir_drain_result, result, 16,
		    weir_drain(pool, NULL, x));
	OTHER_SIZES(struct weir_drain_result, result, 16,
		    weir_maintain(pool, 0, x));
	OTHER_SIZES(struct weir_stat, stat, 16, weir_stat_read(pool, x));
	OTHER_SIZES(struct weir_stat_zone, zone, 16,
		    weir_stat_read_zone(pool, 0, x));
	OTHER_SIZES(struct weir_stat_cpu, cpu, 16,
		    weir_stat_read_cpu(pool, 0, 0, x));
	OTHER_SIZES(struct weir_cache_opts, cache,
		    offsetof(struct weir_cache_opts, backend.context),
		    try_cache(x));
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- numbers ----------------------------------------------------------- */

static const uint64_t page_sizes[] = {
	0,
	1,
	32,
	64,
	128,
	192,
	255,
	256,
	257,
	512,
	4095,
	4096,
	12288,
	UINT64_C(1) << 30,
	(UINT64_C(1) << 30) + 1,
	UINT64_C(1) << 31,
	UINT64_C(1) << 63,
	UINT64_MAX,
};

static const uint64_t capacities[] = {
	0,
	1,
	255,
	256,
	4095,
	4096,
	4097,
	UINT64_C(1) << 30,
	(UINT64_C(1) << 30) + 256,
	UINT64_C(3) << 30,
	UINT64_C(1) << 40,
	UINT64_C(1) << 46,
	(UINT64_C(1) << 46) + 4096,
	UINT64_C(1) << 47,
	UINT64_C(1) << 62,
	UINT64_C(1) << 63,
	UINT64_MAX - 4095,
	UINT64_MAX,
};

#define NR(array) (sizeof(array) / sizeof((array)[0]))

/* As weir.h says it. */
static bool makes_sense(uint64_t page, uint64_t capacity)
{
	if (page == 0)
		page = 4096;
	if (page < 64 || page > 1 << 30 || page % 64 != 0 || capacity < page ||
	    capacity > UINT64_C(1) << 46)
		return false;
	return (page & (page - 1)) == 0 ? capacity % page == 0
					: capacity <= UINT64_MAX / page;
}

/* A pool is counted as it ends: with very many pages that takes seconds. */
static bool takes_long(const struct weir_pool_opts *o)
{
	return makes_sense(o->page_size, o->capacity) &&
	       o->capacity / (o->page_size ? o->page_size : 4096) > 1 << 28;
}

static void sizes_of_pages(bool all)
{
	for (unsigned i = 0; i < NR(page_sizes); i++)
		for (unsigned j = 0; j < NR(capacities); j++) {
			struct weir_pool_opts opts = good();
			int err;

			opts.page_size = page_sizes[i];
			opts.capacity = capacities[j];
			if (takes_long(&opts) && !all)
				continue;
			err = try_pool(&opts);
			if (!makes_sense(opts.page_size, opts.capacity))
				CHECK_EQ(err, -EINVAL);
			else
				CHECK_MSG(err == 0 ||
						  (err == -ENOMEM &&
						   opts.capacity >=
							   UINT64_C(1) << 40),
					  "%" PRIu64 " pages of %" PRIu64
					  ": %d (%s)",
					  opts.capacity, opts.page_size, err,
					  weir_last_error());
		}
}

/* Every field at once takes a value from here. Huge pools are not locked. */
static void any_options(unsigned rounds)
{
	static const int any[] = { INT_MIN, -2, -1, 0,	 1,   2,
				   3,	    64, 65, 511, 512, INT_MAX };
	static const uint64_t waits[] = { 0, 1, UINT64_MAX };
	char name[40] = "0123456789012345678901234567890123456789";
	uint64_t state = UINT64_C(0x853c49e6748fea9b);

	name[39] = '\0';
	for (unsigned i = 0; i < rounds; i++) {
		struct weir_pool_opts o = good();
		uint64_t r = check_random(&state), s = check_random(&state);
		int err;

		/* Mostly good, or nothing else would be looked at. */
		if (r % 8 == 0)
			o.page_size = page_sizes[s % NR(page_sizes)];
		if (r >> 3 & 1)
			o.capacity = capacities[(s >> 8) % NR(capacities)];
		if ((r >> 4) % 8 == 0)
			o.flags = 1u << (s >> 12) % 32 &
				  ~(WEIR_POOL_LOCK | WEIR_POOL_PREFAULT);
		if ((r >> 7) % 8 == 0)
			o.list_limit = any[(s >> 16) % NR(any)];
		if ((r >> 10) % 8 == 0)
			o.batch = (uint32_t)any[(s >> 20) % NR(any)];
		if ((r >> 13) % 8 == 0)
			o.node = any[(s >> 24) % NR(any)];
		if ((r >> 16) % 16 == 0)
			o.backing = (enum weir_backing)any[(s >> 28) % NR(any)];
		if ((r >> 20) % 16 == 0)
			o.fd_offset = capacities[(s >> 32) % NR(capacities)];
		if ((r >> 24) % 16 == 0)
			o.region = (void *)(uintptr_t)
				capacities[(s >> 36) % NR(capacities)];
		if ((r >> 28) % 8 == 0)
			o.quiet_cpus = lists[(s >> 40) % 12].text;
		if ((r >> 32) % 16 == 0)
			o.polling_cpus = lists[(s >> 44) % NR_LISTS].text;
		o.wait_ns = waits[(r >> 36) % 3];
		o.name = name + (s >> 48) % 40;
		o.fd = -1;
		if (takes_long(&o) || o.capacity / 256 > UINT32_MAX)
			o.capacity = 1 << 20;
		err = try_pool(&o);
		CHECK_MSG(err == 0 || err == -EINVAL || err == -ENOMEM,
			  "%d (%s)", err, weir_last_error());
	}
}

/* --- regions ----------------------------------------------------------- */

static struct weir_pool_opts of_region(void *at)
{
	struct weir_pool_opts opts = good();

	opts.backing = WEIR_BACKING_REGION;
	opts.region = at;
	return opts;
}

static void regions(void)
{
	const size_t bytes = 64 * 4096;
	char *at = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct weir_pool_opts opts;
	struct weir_pool *low, *high;

	CHECK(at != MAP_FAILED);
	/* Misaligned, whatever the page size is. */
	for (size_t off = 1; off < 4096; off *= 2)
		for (uint64_t page = 256; page <= 4096; page *= 4) {
			opts = of_region(at + off);
			opts.page_size = page;
			CHECK_EQ(try_pool(&opts), -EINVAL);
		}
	opts = of_region((void *)(uintptr_t)(UINTPTR_MAX - 4095));
	CHECK_EQ(try_pool(&opts), -EINVAL);

	/* Two pools in one region, and each is whole in itself. */
	opts = of_region(at);
	CHECK_EQ(weir_pool_create(&low, &opts), 0);
	opts = of_region(at + bytes / 2);
	CHECK_EQ(weir_pool_create(&high, &opts), 0);
	use_up(low);
	use_up(high);
	CHECK_EQ(weir_pool_destroy(low, 0), 0);
	use_up(high);
	CHECK_EQ(weir_pool_destroy(high, 0), 0);

	/* Memory that cannot be touched is not touched by itself, and is an
	 * error where it must be. */
	opts = of_region(at);
	for (int way = 0; way < 3; way++) {
		if (way == 0)
			CHECK_EQ(mprotect(at, bytes, PROT_READ), 0);
		else if (way == 1)
			CHECK_EQ(mprotect(at, bytes, PROT_NONE), 0);
		else
			CHECK_EQ(munmap(at, 2 * bytes), 0);
		opts.flags = WEIR_POOL_CHECKED;
		CHECK_EQ(try_pool(&opts), 0);
		opts.flags = WEIR_POOL_PREFAULT;
		CHECK(try_pool(&opts) != 0);
		/* Memory for reading can be locked; a sanitizer locks none. */
		if (way == 0 || CHECK_HAS_ASAN)
			continue;
		opts.flags = WEIR_POOL_LOCK;
		CHECK(try_pool(&opts) != 0);
	}
}

/* --- files ------------------------------------------------------------- */

static void files(void)
{
	struct weir_pool_opts opts = good();
	char path[32];
	int ends[2];

	opts.backing = WEIR_BACKING_MEMFD;
	opts.fd = memfd_create("weir", MFD_ALLOW_SEALING);
	CHECK_EQ(ftruncate(opts.fd, 64 * 4096), 0);
	CHECK_EQ(try_pool(&opts), 0);
	opts.fd_offset = 4096;
	CHECK_EQ(try_pool(&opts), -EINVAL);
	opts.fd_offset = UINT64_MAX - 4095;
	CHECK_EQ(try_pool(&opts), -EINVAL);
	opts.fd_offset = 0;
	/* For reading only. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", opts.fd);
	close(ends[0] = opts.fd); /* the number is free again */
	opts.fd = memfd_create("weir", MFD_ALLOW_SEALING);
	CHECK_EQ(ftruncate(opts.fd, 64 * 4096), 0);
	ends[0] = opts.fd;
	opts.fd = open(path, O_RDONLY);
	if (opts.fd >= 0) {
		CHECK_EQ(try_pool(&opts), -EACCES);
		close(opts.fd);
	}
	opts.fd = ends[0];
	CHECK_EQ(fcntl(opts.fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	CHECK_EQ(try_pool(&opts), -EPERM);
	close(opts.fd);
	CHECK_EQ(try_pool(&opts), -EINVAL); /* closed */
	opts.fd = open("/", O_RDONLY);
	CHECK_EQ(try_pool(&opts), -EINVAL);
	close(opts.fd);
	CHECK_EQ(pipe(ends), 0);
	opts.fd = ends[1];
	CHECK_EQ(try_pool(&opts), -EINVAL);
	close(ends[0]);
	close(ends[1]);
}

int main(int argc, char **argv)
{
	static struct possessions before, after;
	const struct weir_pool_opts opts = good();
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 2000;

	guard = mmap(NULL, GUARDED + 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(guard != MAP_FAILED);
	guard += GUARDED;
	CHECK_EQ(mprotect(guard, 4096, PROT_NONE), 0);
	CHECK_EQ(try_pool(&opts), 0); /* what is done once is done */
	take_stock(&before);
	take_stock(&before);
	cpu_lists();
	sizes_of_options();
	sizes_of_others();
	sizes_of_pages(argc > 1);
	any_options(rounds);
	regions();
	files();
	take_stock(&after);
	CHECK_MSG(same_stock(&before, &after), "%" PRId64 " bytes are left",
		  (int64_t)(after.bytes - before.bytes));
	printf("figures: %u sets of options taken, %u refused with words\n",
	       taken, refused);
	return 0;
}
