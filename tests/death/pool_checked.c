/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a checked pool does not see what it is made to see, or
 * WEIR_CHECKED does not make one, or makes one where it must not.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <weir/fast.h>
#include <weir/request.h>

#include "death.h"

#define PAGE 4096
#define PAGES 2048

static struct weir_pool *pool;

static void create(unsigned flags, void *region, uint64_t page_size)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * PAGE;
	opts.page_size = page_size;
	opts.flags = flags;
	opts.name = "victim";
	if (region != NULL) {
		opts.backing = WEIR_BACKING_REGION;
		opts.region = region;
	}
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
}

/* By who is no part of the program, as it were: a device, a system call. */
__attribute__((no_sanitize("address"))) static void scribble(char *page,
							     size_t at)
{
	*(volatile char *)(page + at) = 0x41;
}

/* A page that is free, written at that offset. */
static void write_after_free(size_t at)
{
	char *page;

	create(WEIR_POOL_CHECKED, NULL, 0);
	page = weir_alloc(pool, 0, 0);
	weir_free(pool, page, 0);
	scribble(page, at);
}

static void allocate_all(void)
{
	for (unsigned i = 0; i < PAGES; i++)
		CHECK(weir_alloc(pool, 0, 0) != NULL);
}

/* All pages, handed over to a request. */
static void written_before_a_request(void)
{
	struct weir_request request = WEIR_REQUEST_INIT;
	static void *pages[PAGES];

	write_after_free(63);
	request.n = PAGES;
	request.pages = pages;
	request.fd = 0;
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_request_submit(pool, &request), 1);
}

static void written_at_its_begin(void)
{
	write_after_free(63);
	allocate_all();
}

/* In the other line that is filled: the pages' numbers say which. */
static void written_in_its_line(void)
{
	char *page[3];
	uint64_t index;

	create(WEIR_POOL_CHECKED, NULL, 0);
	for (unsigned i = 0; i < 3; i++)
		page[i] = weir_alloc(pool, 0, 0);
	index = weir_pool_index(pool, page[2]);
	CHECK(index % 64 > 1);
	for (unsigned i = 0; i < 3; i++)
		weir_free(pool, page[i], 0);
	scribble(page[2], index % 64 * 64 + 21);
	allocate_all();
}

/* Of page 0 that is the last one. */
static void written_at_its_end(void)
{
	write_after_free(4095);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* Nowhere near the two lines. */
static void written_anywhere(void)
{
	write_after_free(2001);
	allocate_all();
}

static void written_in_a_run(void)
{
	char *page;

	create(WEIR_POOL_CHECKED, NULL, 0);
	page = weir_alloc(pool, 3, 0);
	weir_free(pool, page, 3);
	scribble(page, 5 * PAGE + 17);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK(weir_alloc(pool, 11, WEIR_ZERO) != NULL);
}

static void written_and_destroyed(void)
{
	write_after_free(0);
	weir_pool_destroy(pool, 0);
}

static void inside_of_a_run(void)
{
	char *page;

	create(WEIR_POOL_CHECKED, NULL, 0);
	page = weir_alloc(pool, 2, 0);
	weir_free(pool, page + PAGE, 0);
}

/* One page of eight, freed with order 2: its neighbours are in use. */
static void wrong_order(void)
{
	char *page;

	create(0, NULL, 0);
	do
		page = weir_alloc(pool, 0, 0);
	while ((uintptr_t)page % (4 * PAGE) != 0);
	for (unsigned i = 0; i < 8; i++)
		CHECK(weir_alloc(pool, 0, 0) != NULL);
	weir_free(pool, page, 2);
}

static void too_small_order(void)
{
	create(0, NULL, 0);
	weir_free(pool, weir_alloc(pool, 2, 0), 0);
}

static void twice(void)
{
	void *page;

	create(0, NULL, 0);
	page = weir_fast_alloc(pool, 0, 0);
	weir_fast_free(pool, page, 0);
	weir_fast_free(pool, page, 0);
}

static void twice_in_bulk(void)
{
	void *page;

	create(0, NULL, 0);
	page = weir_alloc(pool, 2, 0);
	weir_free_bulk(pool, 2, &page, 1);
	weir_free(pool, page, 2);
}

static void twice_as_offset(void)
{
	uint64_t offset;

	create(0, NULL, 0);
	CHECK_EQ(weir_alloc_offsets(pool, 0, &offset, 1, 0), 0);
	weir_free_offsets(pool, 0, &offset, 1);
	weir_free_offsets(pool, 0, &offset, 1);
}

static void twice_late(void)
{
	twice();
	weir_drain(pool, NULL, NULL);
}

static const struct {
	const char *name;
	void (*run)(void);
	const char *env;
	const char *words[4];
} cases[] = {
	{ "written at its begin",
	  written_at_its_begin,
	  NULL,
	  { "allocating 0x", "written after it was freed",
	    "byte 63 is 0x41" } },
	{ "written before a request gets it",
	  written_before_a_request,
	  NULL,
	  { "allocating 0x", "written after it was freed",
	    "byte 63 is 0x41" } },
	{ "written at its begin, all filled",
	  written_at_its_begin,
	  "2",
	  { "allocating 0x", "written after it was freed",
	    "byte 63 is 0x41" } },
	{ "written in its line",
	  written_in_its_line,
	  NULL,
	  { "allocating 0x", "written after it was freed", "is 0x41" } },
	{ "written in its line, all filled",
	  written_in_its_line,
	  "2",
	  { "allocating 0x", "written after it was freed", "is 0x41" } },
	{ "written at its end",
	  written_at_its_end,
	  NULL,
	  { "destroying 0x", "byte 4095 is 0x41" } },
	{ "written anywhere, all filled",
	  written_anywhere,
	  "2",
	  { "allocating 0x", "written after it was freed",
	    "byte 2001 is 0x41, freed by the call before 0x",
	    "(death_pool_checked+0x" } },
	{ "written in a run",
	  written_in_a_run,
	  NULL,
	  { "allocating 0x", "written after it was freed",
	    "byte 17 is 0x41" } },
	{ "written, then destroyed",
	  written_and_destroyed,
	  NULL,
	  { "destroying 0x", "written after it was freed", "byte 0 is 0x41" } },
	{ "inside of a run",
	  inside_of_a_run,
	  NULL,
	  { "freeing 0x", "inside of a run" } },
	{ "larger order, by the environment",
	  wrong_order,
	  "1",
	  { "(order 2)", "another order: 0" } },
	{ "smaller order, by the environment",
	  too_small_order,
	  "yes",
	  { "(order 0)", "another order: 2" } },
	{ "twice, by the environment", twice, "1", { "it is free already" } },
	{ "twice, with the site",
	  twice,
	  "2",
	  { "it is free already, freed by the call before 0x",
	    "(death_pool_checked+0x" } },
	{ "twice, with the site of a bulk",
	  twice_in_bulk,
	  "2",
	  { "it is free already, freed by the call before 0x",
	    "(death_pool_checked+0x" } },
	{ "twice, with the site of offsets",
	  twice_as_offset,
	  "2",
	  { "it is free already, freed by the call before 0x",
	    "(death_pool_checked+0x" } },
	{ "twice, seen late",
	  twice_late,
	  NULL,
	  { "it is free already", "WEIR_CHECKED=1" } },
	{ "twice, seen late as well", twice_late, "0", { "WEIR_CHECKED=1" } },
	{ "twice, and once more", twice_late, "", { "WEIR_CHECKED=1" } },
};

/* --- what is right stays right ------------------------------------------ */

/* Not filled: it need not even be memory. */
static void unmapped_region(void)
{
	void *region = mmap(NULL, PAGES * PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *page;

	create(WEIR_POOL_CHECKED, region, 0);
	for (unsigned i = 0; i < 3; i++) {
		page = weir_alloc(pool, 2, 0);
		weir_free(pool, page, 2);
	}
	if (weir_pool_destroy(pool, 0) != 0)
		abort();
}

/* Runs of all orders from pages of all orders, written to their ends. */
static void orders(void)
{
	static const uint64_t sizes[] = { 256, PAGE, 131072 };

	for (unsigned s = 0; s < 3; s++) {
		create(WEIR_POOL_CHECKED, NULL, sizes[s]);
		for (unsigned order = 0; order < 6; order++)
			for (unsigned i = 0; i < 20; i++) {
				size_t bytes = (size_t)sizes[s] << order;
				char *run = weir_alloc(pool, order,
						       i % 2 ? WEIR_ZERO : 0);

				if (run == NULL || (i % 2 && run[bytes / 2]))
					abort();
				memset(run, 1, bytes);
				weir_free(pool, run, order);
				if (i % 7 == 0 &&
				    weir_drain(pool, NULL, NULL) != 0)
					abort();
			}
		if (weir_pool_destroy(pool, 0) != 0)
			abort();
	}
}

/* --- a program with more rights than its user --------------------------- */

static char self[64] = "/tmp/weir-test-XXXXXX";

static void run_self(void)
{
	setenv("WEIR_CHECKED", "1", 1);
	execl(self, self, "twice", (char *)NULL);
	abort();
}

static void setuid_program(void)
{
	char said[256], command[128];
	int fd;

	if (geteuid() != 0) {
		printf("not root: no program with more rights\n");
		return;
	}
	fd = mkstemp(self);
	CHECK(fd >= 0);
	close(fd);
	snprintf(command, sizeof(command), "cp /proc/%d/exe %s", (int)getpid(),
		 self);
	CHECK_EQ(system(command), 0);
	CHECK_EQ(chmod(self, 0755), 0);
	/* As it is, the variable works. */
	CHECK_EQ(WTERMSIG(death_of(run_self, said, sizeof(said))), SIGABRT);
	CHECK_EQ(chown(self, 65534, 65534), 0);
	CHECK_EQ(chmod(self, 04755), 0);
	CHECK_EQ(death_of(run_self, said, sizeof(said)), 0);
	unlink(self);
}

int main(int argc, char **argv)
{
	char said[4096];

	if (argc > 1 && strcmp(argv[1], "twice") == 0) {
		twice();
		_exit(0); /* nothing that a sanitizer does at its end */
	}
	unsetenv("WEIR_CHECKED");
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *words[6] = { "pool \"victim\": " };

		memcpy(words + 1, cases[i].words, sizeof(cases[i].words));
		if (cases[i].env != NULL)
			setenv("WEIR_CHECKED", cases[i].env, 1);
		must_die(cases[i].name, cases[i].run, words);
		unsetenv("WEIR_CHECKED");
	}
	CHECK_EQ(death_of(unmapped_region, said, sizeof(said)), 0);
	CHECK_EQ(death_of(orders, said, sizeof(said)), 0);
	setuid_program();
	return 0;
}
