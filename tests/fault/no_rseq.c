/* SPDX-License-Identifier: MIT */
/*
 * If this fails, weir relies on sequences that the kernel does not watch: in a
 * process where it refuses them, or in a thread that gave its own
 * back; and two threads take one page.
 */
#include <weir/fast.h>

#include "fault.h"
#include "oracle.h"
#include "seccomp.h"

#define PAGES 2048

static struct weir_pool *pool;
static struct oracle oracle;
static event out, go_on;
static char *base;

static void create(unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	void *start;

	opts.capacity = PAGES * 4096;
	opts.flags = flags;
	opts.quiet_cpus = "";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_range(pool, &start, NULL, NULL), 0);
	base = start;
}

static void storm(uint8_t id, unsigned rounds)
{
	void *page[40];

	for (unsigned n = 0; n < rounds; n++) {
		unsigned got = 0, wanted = 1 + n % 40;

		while (got < wanted &&
		       (page[got] = weir_fast_alloc(pool, 0, 0)) != NULL)
			oracle_take(&oracle,
				    (uint64_t)((char *)page[got++] - base) /
					    4096,
				    1, id);
		while (got > 0) {
			oracle_give(&oracle,
				    (uint64_t)((char *)page[--got] - base) /
					    4096,
				    1, id);
			weir_fast_free(pool, page[got], 0);
		}
	}
}

/* --- a process without ------------------------------------------------- */

static void work(void *id)
{
	storm(*(uint8_t *)id, 3000);
}

/* Locked mode, and all of it works. */
static int without(void)
{
	struct runner runner[4];
	uint8_t id[4] = { 1, 2, 3, 4 };

	create(0);
	CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_QUIET), -EOPNOTSUPP);
	CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_POLLING), -EOPNOTSUPP);
	CHECK_EQ(weir_get_mode(pool, 0), WEIR_MODE_ORDINARY);
	use_up(pool);
	oracle_init(&oracle, "page", PAGES);
	for (unsigned i = 0; i < 4; i++) {
		int cpu = allowed_cpu(i % 2);

		start_on(&runner[i], cpu >= 0 ? cpu : allowed_cpu(0), work,
			 &id[i]);
	}
	/* Who holds a CPU's lists may be preempted for longer than a drain
	 * waits. */
	for (unsigned i = 0; i < 50; i++) {
		int err = weir_drain(pool, NULL, NULL);

		CHECK(err == 0 || err == -EAGAIN);
	}
	for (unsigned i = 0; i < 4; i++)
		finish(&runner[i]);
	CHECK_EQ(oracle_out(&oracle), 0);
	use_up(pool);
	CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_OFF), 0);
	use_up(pool);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return 0;
}

static void start_without(void *how)
{
	char name[] = "no_rseq", word[] = "without";
	char *argv[] = { name, word, NULL };

	seccomp_refuse_one(SYS_rseq, *(int *)how);
	execv("/proc/self/exe", argv);
	_exit(1);
}

/* --- a thread without -------------------------------------------------- */

#ifdef WEIR_HAVE_SEQUENCES

/* Gives the C library's registration of this thread back. */
static bool unregister(void)
{
	char *area = (char *)__builtin_thread_pointer() + weir_i_rseq_offset;

	/* 32 bytes, or as many as a C library of later kernels registers. */
	for (unsigned bytes = 32; bytes <= 256; bytes++)
		if (syscall(SYS_rseq, area, bytes, 1, 0x53053053) == 0)
			return true;
	return false;
}

static void bare_thread(void *unused)
{
	struct weir_burst burst;
	void *pages[64];

	(void)unused;
	if (!unregister())
		SKIP("the C library's rseq cannot be given back");
	tell(&out);
	storm(9, 3000);
	weir_burst_begin(pool, &burst);
	CHECK_EQ(weir_fast_alloc_bulk(pool, 0, pages, 64, 0), 0);
	weir_fast_free_bulk(pool, 0, pages, 64);
	weir_burst_end(pool, &burst);
	weir_fast_tick(pool);
	weir_tick(pool);
	for (unsigned order = 0; order < 10; order++) {
		pages[0] = weir_alloc(pool, order, 0);
		CHECK(pages[0] != NULL);
		weir_free(pool, pages[0], order);
	}
	/* It drains others, who have sequences. */
	for (unsigned i = 0; i < 50; i++) {
		int err = weir_drain(pool, NULL, NULL);

		CHECK(err == 0 || err == -EAGAIN);
	}
	tell(&go_on);
}

static void beside_it(void *unused)
{
	(void)unused;
	await(&out, 1);
	while (!happened(&go_on, 1))
		storm(1, 10);
}

static void one_without(void *arg)
{
	const enum weir_mode mode = *(enum weir_mode *)arg;
	const unsigned flags = mode == WEIR_MODE_OFF ? WEIR_POOL_CHECKED : 0;
	struct runner runner[2];

	create(flags);
	if (weir_set_mode(pool, NULL, mode) != 0)
		SKIP("there are no sequences, or no membarrier for them");
	oracle_init(&oracle, "page", PAGES);
	start_on(&runner[0], allowed_cpu(0), bare_thread, NULL);
	start_on(&runner[1], allowed_cpu(0), beside_it, NULL);
	finish(&runner[0]);
	finish(&runner[1]);
	CHECK_EQ(oracle_out(&oracle), 0);
	check_whole(pool);
	/* A polling CPU needs an operation there. */
	pin(allowed_cpu(0));
	weir_tick(pool);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

#endif

int main(int argc, char **argv)
{
	static int ways[] = { ENOSYS, EPERM, EINVAL };
	unsigned nr_ways = 0, modes = 0;

	if (argc > 1 && strcmp(argv[1], "without") == 0)
		return without();
	for (; nr_ways < sizeof(ways) / sizeof(ways[0]); nr_ways++)
		in_child(start_without, &ways[nr_ways]);
#ifdef WEIR_HAVE_SEQUENCES
	for (enum weir_mode mode = WEIR_MODE_ORDINARY; mode <= WEIR_MODE_OFF;
	     mode++, modes++)
		in_child(one_without, &mode);
#endif
	printf("figures: %u ways for a process to have no rseq, %u modes with "
	       "a "
	       "thread without\n",
	       nr_ways, modes);
	return 0;
}
