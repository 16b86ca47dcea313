/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a file that only looks like a pool's, or a pool's whose owner
 * writes nonsense into it, makes its watcher crash, hang, or read what is not
 * there; or a watcher makes such a file grow.
 *
 * A true pool's file is copied, one thing is made wrong, and the copy is put
 * among this process' descriptors; so the unchanged copy must be taken.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <weir/watch.h>

#include "fault.h"
#include "os/os.h"
#include "api/meta.h"

#define NUMBER 4711 /* of the copy */
#define NO_SEAL 0x40000000

static struct {
	char *bytes; /* of a true pool */
	size_t len;
} model;

static unsigned refused, taken, reads;

/* --- files -------------------------------------------------------------- */

static int file_of_pool(void)
{
	char path[64], target[64];

	for (int fd = 3; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		memset(target, 0, sizeof(target));
		if (readlink(path, target, sizeof(target) - 1) > 0 &&
		    strncmp(target, "/memfd:weir:", 12) == 0)
			return fd;
	}
	return -1;
}

static void make_model(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	struct wi_live *live;
	struct stat st;
	int fd;

	opts.capacity = 3000 * 4096;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK(weir_alloc(pool, 2, 0) != NULL);
	fd = file_of_pool();
	if (fd < 0)
		SKIP("pools cannot be watched on this system");
	CHECK_EQ(fstat(fd, &st), 0);
	model.len = (size_t)st.st_size;
	model.bytes = malloc(model.len);
	CHECK_EQ(pread(fd, model.bytes, model.len, 0), (ssize_t)model.len);
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), 0);
	live = (struct wi_live *)(void *)model.bytes;
	CHECK(wi_live_is_valid(live));
	live->number = NUMBER;
}

/* A memfd with those bytes but for pages of zeros, and those seals; *memory is
 * a mapping that goes on writing it. */
static int put(const char *bytes, size_t len, int seals, char **memory)
{
	static const char zeros[4096];
	int fd = memfd_create("weir:evil", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, (off_t)len), 0);
	for (size_t at = 0; at < len; at += 4096) {
		size_t n = len - at < 4096 ? len - at : 4096;

		if (memcmp(bytes + at, zeros, n) != 0)
			CHECK_EQ(pwrite(fd, bytes + at, n, (off_t)at),
				 (ssize_t)n);
	}
	if (memory != NULL) {
		*memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
			       fd, 0);
		CHECK(*memory != MAP_FAILED);
	}
	if (seals != NO_SEAL)
		CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int64_t pages_of(int fd)
{
	struct stat st;

	CHECK_EQ(fstat(fd, &st), 0);
	return st.st_blocks;
}

static int open_it(struct weir_watch **watch)
{
	const struct weir_watch_id id = { .pid = getpid(), .number = NUMBER };

	return weir_watch_open(watch, &id);
}

static int count(const struct weir_watch_id *id, void *ctx)
{
	(void)id;
	++*(unsigned *)ctx;
	return 0;
}

static unsigned nr_listed(void)
{
	unsigned n = 0;

	CHECK_EQ(weir_watch_list(getpid(), count, &n), 0);
	return n;
}

/* --- reading ------------------------------------------------------------ */

static void read_all(const struct weir_watch *watch)
{
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_watch_info(watch, &info), 0);
	CHECK(memchr(info.name, '\0', sizeof(info.name)) != NULL);
	CHECK_EQ(weir_watch_read(watch, &stat), 0);
	CHECK_EQ(stat.pages, info.bytes / info.page_size);
	CHECK_EQ(stat.nr_zones, info.nr_zones);
	for (unsigned z = 0; z < info.nr_zones; z++) {
		struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;

		CHECK_EQ(weir_watch_read_zone(watch, z, &zone), 0);
		for (unsigned cpu = 0; cpu < info.nr_cpus; cpu++) {
			struct weir_stat_cpu its = WEIR_STAT_CPU_INIT;

			CHECK_EQ(weir_watch_read_cpu(watch, z, cpu, &its), 0);
			CHECK(its.mode <= WEIR_MODE_OFF);
			for (unsigned i = 0; i < WEIR_STAT_LISTS; i++)
				CHECK(its.list[i].count <= WEIR_LIST_MAX &&
				      its.list[i].high <= WEIR_LIST_MAX);
		}
	}
	reads++;
}

/* --- what is refused ---------------------------------------------------- */

static void is_refused(const char *bytes, size_t len, int seals,
		       const char *what)
{
	struct weir_watch *watch = NULL;
	int fd = put(bytes, len, seals, NULL);
	int64_t pages = pages_of(fd);
	int err = open_it(&watch);
	/* Without any seal it may be a pool that is just being made. */
	int expected = seals == NO_SEAL ? -ENOENT : -EPROTO;

	CHECK_MSG(err == expected, "%s: %d instead of %d", what, err, expected);
	CHECK(watch == NULL);
	CHECK_EQ(pages_of(fd), pages);
	close(fd);
	refused++;
}

static void is_taken(const char *bytes, size_t len)
{
	struct weir_watch *watch;
	int fd = put(bytes, len, WI_OS_SEALS, NULL);
	int64_t pages = pages_of(fd);

	CHECK_EQ(nr_listed(), 1);
	CHECK_EQ(open_it(&watch), 0);
	read_all(watch);
	CHECK_MSG(pages_of(fd) == pages, "a watcher made the file grow");
	close(fd);
	read_all(watch);
	weir_watch_close(watch);
	taken++;
}

static void seals(void)
{
	static const int each[] = { F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW,
				    F_SEAL_FUTURE_WRITE };

	for (unsigned i = 0; i < 4; i++)
		is_refused(model.bytes, model.len, WI_OS_SEALS & ~each[i],
			   "a seal is missing");
	is_refused(model.bytes, model.len, NO_SEAL, "no seal");
}

static void sizes(void)
{
	char *bytes = calloc(1, model.len + 8192);
	static const int64_t more[] = { -8, -4096, 8, 4096 };

	CHECK(bytes != NULL);
	memcpy(bytes, model.bytes, model.len);
	for (unsigned i = 0; i < 4; i++)
		is_refused(bytes, (size_t)((int64_t)model.len + more[i]),
			   WI_OS_SEALS, "another size");
	is_refused(bytes, 1, WI_OS_SEALS, "one byte");
	is_refused(bytes, 100, WI_OS_SEALS, "half a descriptor");
	is_refused(bytes, sizeof(struct wi_live), WI_OS_SEALS, "no more");
	free(bytes);
}

/* Every word of the descriptor that where things lie depends on. */
static void words(void)
{
	static const uint64_t values[] = {
		0,	   1,	       7,
		63,	   64,	       4096,
		1u << 20,  UINT32_MAX, UINT64_MAX / 2,
		UINT64_MAX
	};
	char *bytes = malloc(model.len);
	struct wi_live *live = (struct wi_live *)(void *)bytes;
#define WRONG(field)                                                           \
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {    \
		memcpy(bytes, model.bytes, model.len);                         \
		__typeof__(live->field) was = live->field;                     \
		live->field = (__typeof__(live->field))values[i];              \
		if (live->field != was)                                        \
			is_refused(bytes, model.len, WI_OS_SEALS, #field);     \
	}

	CHECK(bytes != NULL);
	WRONG(version)
	WRONG(bytes)
	WRONG(page_size)
	WRONG(zone_pages)
	WRONG(nr_cpus)
	WRONG(nr_zones)
	WRONG(nr_lists)
	WRONG(layout.totals)
	WRONG(layout.percpu)
	WRONG(layout.areas)
	WRONG(layout.zones)
	WRONG(layout.bytes)
	WRONG(layout.unit_bytes)
	WRONG(layout.area_bytes)
	WRONG(layout.zone_bytes)
#undef WRONG
	memcpy(bytes, model.bytes, model.len);
	live->magic ^= 1;
	is_refused(bytes, model.len, WI_OS_SEALS, "magic");
	memcpy(bytes, model.bytes, model.len);
	memset(live->name, 'x', sizeof(live->name));
	is_refused(bytes, model.len, WI_OS_SEALS, "an endless name");
	memcpy(bytes, model.bytes, model.len);
	live->batch = 65;
	is_refused(bytes, model.len, WI_OS_SEALS, "batch");
	memcpy(bytes, model.bytes, model.len);
	live->limits[2] = 512;
	is_refused(bytes, model.len, WI_OS_SEALS, "limits");
	memcpy(bytes, model.bytes, model.len);
	live->weight[4] = 3;
	is_refused(bytes, model.len, WI_OS_SEALS, "weight");
	free(bytes);
}

/* Of a pool that was destroyed, or is not made yet, there is no more to say. */
static void gone(void)
{
	char *bytes = malloc(model.len);
	struct wi_live *live = (struct wi_live *)(void *)bytes;

	CHECK(bytes != NULL);
	for (unsigned i = 0; i < 3; i++) {
		struct weir_watch *watch;
		int fd;

		memcpy(bytes, model.bytes, model.len);
		if (i == 0)
			live->destroyed = 1;
		else if (i == 1)
			live->magic = 0;
		else
			live->pid++;
		fd = put(bytes, model.len, WI_OS_SEALS, NULL);
		CHECK_EQ(nr_listed(), 0);
		CHECK_EQ(open_it(&watch), -ENOENT);
		close(fd);
		refused++;
	}
	free(bytes);
}

/* A pool cannot have more pages than its descriptor has addresses for. */
static void too_many_present(void)
{
	char *bytes = malloc(model.len);
	const struct wi_live *live = (const struct wi_live *)(void *)bytes;
	struct wi_live_totals *totals;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;
	struct weir_watch *watch;
	int fd;

	CHECK(bytes != NULL);
	memcpy(bytes, model.bytes, model.len);
	totals = (struct wi_live_totals *)(void *)(bytes + live->layout.totals);
	CHECK_EQ(totals->present[0], 3000);
	memset(totals->present, 0xff, sizeof(totals->present));
	fd = put(bytes, model.len, WI_OS_SEALS, NULL);
	CHECK_EQ(open_it(&watch), 0);
	CHECK_EQ(weir_watch_read(watch, &stat), 0);
	CHECK_EQ(stat.pages, 3000);
	CHECK_EQ(weir_watch_info(watch, &info), 0);
	CHECK_EQ(info.bytes, info.max_bytes);
	weir_watch_close(watch);
	close(fd);
	free(bytes);
	taken++;
}

/* Pages that every pool has are not there: reading would make them. */
static void holes(void)
{
	const struct wi_live *live =
		(const struct wi_live *)(const void *)model.bytes;
	char *bytes = malloc(model.len);

	CHECK(bytes != NULL);
	memcpy(bytes, model.bytes, model.len);
	memset(bytes + 4096, 0, live->layout.areas - 4096);
	is_refused(bytes, model.len, WI_OS_SEALS, "no units");
	memcpy(bytes, model.bytes, model.len);
	memset(bytes + live->layout.areas, 0, WEIR_AREA_BYTES);
	is_refused(bytes, model.len, WI_OS_SEALS, "no area");
	free(bytes);
}

static void random_files(unsigned nr)
{
	uint64_t seed = 1;

	for (unsigned i = 0; i < nr; i++) {
		size_t len = 1 + check_random(&seed) % 20000;
		char *bytes = malloc(len + 8);

		CHECK(bytes != NULL);
		for (size_t at = 0; at < len; at += 8) {
			uint64_t word = check_random(&seed);

			memcpy(bytes + at, &word, 8);
		}
		is_refused(bytes, len, WI_OS_SEALS, "random bytes");
		free(bytes);
	}
}

/* --- what is taken ------------------------------------------------------ */

/* Nothing behind the descriptor is believed. */
static void random_content(unsigned nr)
{
	uint64_t seed = 2;
	char *bytes = malloc(model.len);

	CHECK(bytes != NULL);
	for (unsigned i = 0; i < nr; i++) {
		memcpy(bytes, model.bytes, model.len);
		for (size_t at = 4096; at + 8 <= model.len; at += 8) {
			uint64_t word = check_random(&seed);

			if (i % 2 == 0 || word % 64 == 0)
				memcpy(bytes + at, &word, 8);
		}
		is_taken(bytes, model.len);
	}
	free(bytes);
}

/* A pool of 64 TiB in pages of 256 bytes: 37 GB of metadata, of which there are
 * a few pages, and no more are made. */
static void enormous(void)
{
	struct wi_live live;
	struct weir_watch *watch;
	const char one = 1;
	uint64_t start = now_ns();
	int64_t pages;
	int fd = memfd_create("weir:vast", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	memcpy(&live, model.bytes, sizeof(live));
	live.bytes = UINT64_C(1) << 46;
	live.page_size = 64;
	live.zone_pages = UINT64_C(1) << 40;
	live.nr_zones = 1;
	live.layout = wi_live_lay_out(&live);
	CHECK(fd >= 0);
	if (ftruncate(fd, (off_t)live.layout.bytes) != 0)
		SKIP("no file of %" PRIu64 " bytes", live.layout.bytes);
	for (uint64_t at = 4096; at < live.layout.zones; at += 4096)
		CHECK_EQ(pwrite(fd, &one, 1, (off_t)at), 1);
	/* A partial block, whose bits are not there. */
	CHECK_EQ(pwrite(fd, &one, 1,
			(off_t)(live.layout.zones + (UINT64_C(1) << 29) * 64 +
				4096)),
		 1);
	CHECK_EQ(pwrite(fd, &live, sizeof(live), 0), sizeof(live));
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, WI_OS_SEALS), 0);
	pages = pages_of(fd);
	CHECK_EQ(open_it(&watch), 0);
	read_all(watch);
	CHECK_EQ(pages_of(fd), pages);
	CHECK(now_ns() - start < UINT64_C(10000000000));
	weir_watch_close(watch);
	close(fd);
	taken++;
}

struct scribbler {
	uint64_t *words;
	size_t nr;
	bool stop;
};

static void scribble(void *arg)
{
	struct scribbler *s = arg;
	uint64_t seed = 3;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		uint64_t r = check_random(&seed);
		size_t at = r % 3 != 0 ? r / 4 % s->nr : r / 4 % 64;

		__atomic_store_n(&s->words[at], check_random(&seed),
				 __ATOMIC_RELAXED);
	}
}

/* All of it, the descriptor too, changes while it is judged and read. */
static void changing(uint64_t ms)
{
	struct scribbler s = { .nr = model.len / 8 };
	struct runner runner;
	struct weir_watch *watch;
	const uint64_t end = now_ns() + ms * 1000000;
	char *memory;
	int fd = put(model.bytes, model.len, WI_OS_SEALS, &memory);

	CHECK_EQ(open_it(&watch), 0);
	s.words = (uint64_t *)(void *)memory;
	start_on(&runner, allowed_cpu(allowed_cpu(1) < 0 ? 0 : 1), scribble,
		 &s);
	while (now_ns() < end) {
		struct weir_watch *again;

		read_all(watch);
		memcpy(memory, model.bytes, sizeof(struct wi_live));
		if (open_it(&again) == 0) {
			read_all(again);
			weir_watch_close(again);
			taken++;
		} else {
			refused++;
		}
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	finish(&runner);
	weir_watch_close(watch);
	munmap(memory, model.len);
	close(fd);
}

int main(int argc, char **argv)
{
	const unsigned times = argc > 1 ? (unsigned)atoi(argv[1]) : 1;

	make_model();
	CHECK_EQ(nr_listed(), 0);
	is_taken(model.bytes, model.len);
	seals();
	sizes();
	words();
	gone();
	too_many_present();
	holes();
	random_files(20 * times);
	random_content(20 * times);
	enormous();
	changing(500 * times);
	CHECK_EQ(nr_listed(), 0);
	free(model.bytes);
	printf("figures: %u files refused, %u taken, %u reads\n", refused,
	       taken, reads);
	return 0;
}
