/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a process whose C library registers no rseq is in locked mode
 * although it need not be; or sequences run on an area that the kernel does not
 * watch, or that is gone, and two threads take one page.
 *
 * This program runs itself anew in each of these ways:
 *   libc        the C library registers
 *   own         nobody does
 *   registered  a library has, whose __rseq_abi is exported
 *   shared      it has not yet, but exports __rseq_abi
 *   hidden      it has, and exports nothing: locked mode
 *   plugin      nobody does, and weir may be unloaded: locked mode
 */
#include <dlfcn.h>
#include <stdlib.h>

#include <weir/fast.h>
#include <weir/stat.h>

#include "child.h"
#include "helpers.h"
#include "oracle.h"
#include "os/rseq.h"
#include "owner.h"

#define PAGES 2048
#define ROUNDS 40
#define OFF "glibc.pthread.rseq=0"

static struct weir_pool *pool;
static struct oracle oracle;
static char *base;
static uint64_t nr_fast; /* operations that were sequences alone */
static unsigned nr_ended;

/* By that library, if it is loaded. */
static int (*register_there)(void);
static const void *(*area_there)(void);

static void create(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	void *start;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_range(pool, &start, NULL, NULL), 0);
	base = start;
}

static uint64_t index_of(const char *page)
{
	return (uint64_t)(page - base) / 4096;
}

/* As a thread that has just begun: its first call is on the inlined path. */
static void work(uint8_t id, unsigned rounds)
{
	void *page[40];
	uint64_t token;

	for (unsigned n = 0; n < rounds; n++) {
		unsigned got = 0, wanted = 1 + n % 40;

		while (got < wanted &&
		       (page[got] = weir_fast_alloc(pool, 0, 0)) != NULL)
			oracle_take(&oracle, index_of(page[got++]), 1, id);
		while (got > 0) {
			oracle_give(&oracle, index_of(page[--got]), 1, id);
			weir_fast_free(pool, page[got], 0);
		}
		token = weir_i_pop(&pool->lists, 0);
		if (token >= WEIR_AGAIN)
			continue;
		__atomic_add_fetch(&nr_fast, 1, __ATOMIC_RELAXED);
		weir_free(pool, base + token, 0);
	}
}

struct worker {
	uint8_t id;
	bool registers; /* by the other library, before its first call */
};

static void *worker(void *arg)
{
	const struct worker *w = arg;

	if (w->registers && register_there != NULL)
		CHECK_EQ(register_there(), 0);
	pin(allowed_cpu(w->id % 2u));
	work(w->id, ROUNDS);
	if (!w->registers && register_there != NULL)
		CHECK_EQ(register_there(), 0); /* weir was first */
	__atomic_add_fetch(&nr_ended, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Threads that begin and end, every second one detached. */
static void see_threads(enum weir_mode mode)
{
	static struct worker workers[4];
	pthread_attr_t attr;

	CHECK_EQ(weir_set_mode(pool, NULL, mode), 0);
	CHECK_EQ(pthread_attr_init(&attr), 0);
	for (unsigned round = 0; round < 40; round++) {
		pthread_t joined[4];

		nr_ended = 0;
		for (unsigned i = 0; i < 4; i++) {
			workers[i] = (struct worker){ (uint8_t)(i + 1),
						      round % 4 >= 2 };
			CHECK_EQ(pthread_attr_setdetachstate(
					 &attr,
					 i % 2 ? PTHREAD_CREATE_DETACHED
					       : PTHREAD_CREATE_JOINABLE),
				 0);
			CHECK_EQ(pthread_create(&joined[i], &attr, worker,
						&workers[i]),
				 0);
		}
		for (unsigned i = 0; i < 10; i++)
			(void)weir_drain(pool, NULL, NULL);
		CHECK_EQ(pthread_join(joined[0], NULL), 0);
		CHECK_EQ(pthread_join(joined[2], NULL), 0);
		await(&nr_ended, 4);
	}
	CHECK_EQ(oracle_out(&oracle), 0);
}

static void see_whole(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_QUIET), 0);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.free, PAGES);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* In a child, which has its parent's registration. */
static void use_in_child(void *unused)
{
	(void)unused;
	create();
	oracle_init(&oracle, "page", PAGES);
	nr_fast = 0;
	work(1, 1000);
	CHECK(nr_fast > 900);
	see_whole();
}

static int see_owner(enum wi_rseq_owner owner)
{
	const int32_t *area;
	unsigned ended = 0;

	CHECK_EQ(wi_rseq_owner(), owner);
	create();
	oracle_init(&oracle, "page", PAGES);
	for (enum weir_mode mode = WEIR_MODE_ORDINARY;
	     mode <= WEIR_MODE_POLLING; mode++, ended += 160) {
		see_threads(mode);
		/* Nobody polls any more. */
		(void)weir_set_mode(pool, NULL, WEIR_MODE_QUIET);
		for (unsigned i = 0; i < 2; i++) {
			pin(allowed_cpu(i));
			(void)weir_flush(pool);
		}
	}
	/* Most are: the rest are the first of a thread, and aborts. */
	CHECK_MSG(nr_fast > ended * ROUNDS / 2u,
		  "only %" PRIu64 " operations were sequences", nr_fast);
	if (area_there != NULL) {
		area = area_there();
		CHECK_MSG(owner == WI_RSEQ_SHARED && area[1] >= 0,
			  "the kernel writes another area");
	}
	see_whole();
	CHECK_EQ(end_child(start_child(use_in_child, NULL)), 0);
	printf("%u threads\n", ended);
	return 0;
}

/* All of it works, in locked mode. */
static int see_locked(void)
{
	CHECK_EQ(wi_rseq_owner(), WI_RSEQ_NONE);
	create();
	CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_QUIET), -EOPNOTSUPP);
	oracle_init(&oracle, "page", PAGES);
	work(1, 1000);
	CHECK_EQ(nr_fast, 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return 0;
}

/* Stores the address of a function, as POSIX has it. */
static void find_function(void *handle, const char *name, void *function)
{
	*(void **)function = dlsym(handle, name);
}

static int see(const char *way)
{
	find_function(RTLD_DEFAULT, "owner_register", &register_there);
	find_function(RTLD_DEFAULT, "owner_area", &area_there);
	if (strcmp(way, "libc") == 0)
		return see_owner(WI_RSEQ_LIBC);
	if (strcmp(way, "own") == 0)
		return see_owner(WI_RSEQ_OWN);
	if (strcmp(way, "hidden") == 0)
		return see_locked();
	return see_owner(WI_RSEQ_SHARED);
}

struct way {
	const char *name, *preload;
	bool off, registers;
	const char *program; /* NULL: this one, which is told the name */
};

static void start(void *arg)
{
	const struct way *way = arg;
	const char *program = way->program ? way->program : "/proc/self/exe";
	char name[] = "owners", word[sizeof(PLUGIN)];
	char *argv[] = { name, word, NULL };

	snprintf(word, sizeof(word), "%s", way->program ? PLUGIN : way->name);
	if (way->off)
		setenv("GLIBC_TUNABLES", OFF, 1);
	if (way->preload != NULL)
		setenv("LD_PRELOAD", way->preload, 1);
	if (way->registers)
		setenv("RSEQ_OWNER", "1", 1);
	execv(program, argv);
	_exit(1);
}

int main(int argc, char **argv)
{
	static struct way ways[] = {
		{ "libc", NULL, false, false, NULL },
		{ "own", NULL, true, false, NULL },
		{ "registered", OWNER, true, true, NULL },
		{ "shared", OWNER, true, false, NULL },
		{ "hidden", HIDDEN_OWNER, true, true, NULL },
		{ "plugin", NULL, true, false, HOST },
	};
	const unsigned nr = sizeof(ways) / sizeof(ways[0]);

	if (argc > 1)
		return see(argv[1]);
#ifndef WEIR_HAVE_SEQUENCES
	SKIP("no sequences in this build");
#endif
	need_two_cpus();
	if (wi_rseq_owner() != WI_RSEQ_LIBC)
		SKIP("the C library registers no rseq here");
	for (unsigned i = 0; i < nr; i++) {
		printf("%s: ", ways[i].name);
		CHECK_EQ(end_child(start_child(start, &ways[i])), 0);
		printf("as it should be\n");
	}
	printf("figures: %u ways to be registered or not\n", nr);
	return 0;
}
