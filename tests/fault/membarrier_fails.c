/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a membarrier that was refused (by a sandbox, after a restore
 * from a checkpoint) passes for evidence, and pages are given away under their
 * owner; or the pages of a CPU that nobody could speak for are lost.
 */
#include <sys/mman.h>

#include <weir/cache.h>
#include <weir/fast.h>

#include "fault.h"
#include "oracle.h"
#include "seccomp.h"

#define PAGES 2048

static struct weir_pool *pool;
static struct weir_cache *cache;
static uint64_t tokens_back;
static event filled, go_on;
static char *self;

static void create(const char *quiet)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = quiet;
	opts.wait_ns = 2000000;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
}

static size_t no_token(void *unused, unsigned list, uint64_t *tokens, size_t n)
{
	(void)unused, (void)list, (void)tokens, (void)n;
	return 0;
}

static void take_tokens(void *unused, unsigned list, const uint64_t *tokens,
			size_t n)
{
	(void)unused, (void)list, (void)tokens;
	tokens_back += n;
}

static void create_cache(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend.get = no_token;
	opts.backend.put = take_tokens;
	opts.quiet_cpus = "";
	opts.wait_ns = 2000000;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
}

static void need_sequences(void)
{
	create("");
	if (weir_set_mode(pool, "", WEIR_MODE_ORDINARY) != 0 ||
	    weir_set_mode(pool, "", WEIR_MODE_POLLING) != 0)
		SKIP("there are no sequences, or no membarrier for them");
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- refused from some moment on --------------------------------------- */

/* Leaves pages in its CPU's list, and tells later that it has gone on. */
static void owner(void *unused)
{
	(void)unused;
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	weir_cache_put(cache, 0, 1);
	tell(&filled);
	await(&go_on, 1);
	weir_tick(pool);
	weir_cache_tick(cache);
	tell(&filled);
	await(&go_on, 2);
}

static struct weir_drain_result drain(int expected)
{
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	int err = weir_drain(pool, NULL, &result);

	CHECK_MSG(err == expected, "a drain says %d, not %d", err, expected);
	CHECK_EQ(result.by_membarrier, 0);
	check_whole(pool);
	return result;
}

static void refused_later(void *error)
{
	struct weir_drain_result result;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct runner runner;

	create("");
	create_cache();
	start_on(&runner, allowed_cpu(1), owner, NULL);
	pin(allowed_cpu(0));
	await(&filled, 1);
	seccomp_refuse_one(SYS_membarrier, *(int *)error);

	/* Nothing is known of the owner: its pages wait. */
	result = drain(-EAGAIN);
	CHECK(result.membarriers_failed >= 1);
	CHECK(result.pending > 0 && result.cpus_pending == 1);
	result = drain(-EAGAIN);
	CHECK_EQ(weir_pool_destroy(pool, 0), -EBUSY);
	CHECK(strstr(weir_last_error(), "pending") != NULL);
	CHECK_EQ(weir_cache_destroy(cache), -EBUSY);
	CHECK(strstr(weir_last_error(), "pending") != NULL);

	/* It shows itself: they come back. */
	tell(&go_on);
	await(&filled, 2);
	result = drain(0);
	CHECK(result.by_progress == 1);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.pending, 0);
	CHECK(stat.membarriers_failed >= 1 && stat.by_membarrier == 0);
	CHECK_EQ(weir_cache_destroy(cache), 0);
	CHECK_EQ(tokens_back, 1);
	tell(&go_on);
	finish(&runner);
}

/* --- refused while all work -------------------------------------------- */

static struct oracle oracle;
static bool stop;
static uint64_t pairs;

static void worker(void *id)
{
	void *page[32];
	size_t page_size;
	void *base;

	weir_pool_range(pool, &base, NULL, &page_size);
	for (uint64_t n = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); n++) {
		const unsigned order = n % 4;
		unsigned got = 0;

		for (unsigned i = 0; i < 1 + n % 32; i++) {
			page[got] = weir_fast_alloc(pool, 0, 0);
			if (page[got] == NULL)
				continue;
			oracle_take(
				&oracle,
				(uint64_t)((char *)page[got] - (char *)base) /
					page_size,
				1, *(uint8_t *)id);
			got++;
		}
		if (order == 3)
			sched_yield();
		while (got > 0) {
			got--;
			oracle_give(
				&oracle,
				(uint64_t)((char *)page[got] - (char *)base) /
					page_size,
				1, *(uint8_t *)id);
			weir_fast_free(pool, page[got], 0);
			__atomic_add_fetch(&pairs, 1, __ATOMIC_RELAXED);
		}
	}
}

static uint64_t *drains; /* shared */

static void refused_at_work(void *seconds)
{
	struct runner runner[4];
	uint8_t id[4] = { 1, 2, 3, 4 };
	uint64_t end = now_ns() + (uint64_t)(*(double *)seconds * 1e9);
	struct weir_stat stat = WEIR_STAT_INIT;

	create("");
	oracle_init(&oracle, "page", PAGES);
	for (unsigned i = 0; i < 4; i++)
		start_on(&runner[i], allowed_cpu(i % 2), worker, &id[i]);
	seccomp_refuse_one(SYS_membarrier, EPERM);
	for (; now_ns() < end; ++*drains) {
		int err = weir_drain(pool, NULL, NULL);

		CHECK(err == 0 || err == -EAGAIN);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 4; i++)
		finish(&runner[i]);
	CHECK_EQ(oracle_out(&oracle), 0);
	check_whole(pool);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.by_membarrier, 0);
	drains[1] += pairs;
	/* Whoever is on a CPU speaks for it. */
	(void)weir_drain(pool, NULL, NULL);
	for (unsigned i = 0; i < 2; i++) {
		pin(allowed_cpu(i));
		weir_tick(pool);
	}
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* --- refused from the start -------------------------------------------- */

/* In a program that was started without: every CPU is quiet. */
static int never_had(void)
{
	struct runner runner;
	char cpu[16];

	create("");
	if (weir_set_mode(pool, "", WEIR_MODE_QUIET) == -EOPNOTSUPP)
		SKIP("there are no sequences");
	for (unsigned i = 0; allowed_cpu(i) >= 0; i++)
		CHECK_EQ(weir_get_mode(pool, (unsigned)allowed_cpu(i)),
			 WEIR_MODE_QUIET);
	CHECK_EQ(weir_set_mode(pool, NULL, WEIR_MODE_ORDINARY), -EOPNOTSUPP);
	CHECK(weir_last_error()[0] != '\0');
	use_up(pool);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0); /* wherever it ran */
	create_cache();
	start_on(&runner, allowed_cpu(1), owner, NULL);
	pin(allowed_cpu(0));
	await(&filled, 1);
	CHECK_EQ(drain(0).by_not_busy, 1);
	tell(&go_on);
	await(&filled, 2);
	tell(&go_on);
	finish(&runner);
	use_up(pool);
	/* This thread's own CPU can be known of without another's help. */
	snprintf(cpu, sizeof(cpu), "%d", allowed_cpu(0));
	CHECK_EQ(weir_set_mode(pool, cpu, WEIR_MODE_POLLING), 0);
	use_up(pool);
	CHECK_EQ(weir_set_mode(pool, cpu, WEIR_MODE_OFF), 0);
	use_up(pool);
	CHECK_EQ(weir_cache_destroy(cache), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return 0;
}

static void start_without(void *error)
{
	char word[] = "never-had";
	char *argv[] = { self, word, NULL };

	seccomp_refuse_one(SYS_membarrier, *(int *)error);
	execv("/proc/self/exe", argv);
	_exit(1);
}

int main(int argc, char **argv)
{
	static int errors[] = { EPERM, ENOSYS, EINVAL };
	unsigned nr_errors = 0;
	double seconds = argc > 1 ? atof(argv[1]) : 1;

	self = argv[0];
	need_two_cpus();
	if (argc > 1 && strcmp(argv[1], "never-had") == 0)
		return never_had();
	need_sequences();
	drains = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(drains != MAP_FAILED);
	for (; nr_errors < sizeof(errors) / sizeof(errors[0]); nr_errors++) {
		in_child(refused_later, &errors[nr_errors]);
		in_child(start_without, &errors[nr_errors]);
	}
	in_child(refused_at_work, &seconds);
	printf("figures: %u errors of membarrier, later and from the start; "
	       "%" PRIu64 " drains without, %" PRIu64 " pages\n",
	       nr_errors, drains[0], drains[1]);
	return 0;
}
