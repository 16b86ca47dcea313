/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a free, or an allocation with WEIR_NOWAIT, waits for a stopped
 * thread: a poll loop stalls because some other thread was preempted at the
 * wrong moment.
 */
#include <weir/weir.h>

#include "helpers.h"

static struct weir_pool *pool;
static pthread_t victim;
static event frozen, thaw, rounds;
static bool over;

/* The victim stands still wherever the signal found it. */
static void freeze(int number)
{
	const uint32_t n = frozen + 1; /* it alone writes it */

	(void)number;
	tell(&frozen);
	while (!happened(&thaw, n))
		__asm__ __volatile__("" ::: "memory");
}

/* Is inside of something most of the time. */
static void be_victim(void *unused)
{
	void *pages[40];

	(void)unused;
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		struct weir_burst burst;
		size_t n;

		n = weir_alloc_upto(pool, 0, pages, 40, WEIR_NOWAIT);
		weir_burst_begin(pool, &burst);
		for (size_t i = 0; i < n; i++)
			weir_free(pool, pages[i], 0);
		for (n = 0; n < 10; n++)
			pages[n] = weir_alloc(pool, 0, WEIR_NOWAIT);
		weir_burst_end(pool, &burst);
		while (n > 0)
			weir_free(pool, pages[--n], 0);
		pages[0] = weir_alloc(pool, 5, WEIR_NOWAIT);
		weir_free(pool, pages[0], 5);
		weir_drain(pool, NULL, NULL);
		tell(&rounds);
	}
}

/* Must come to its end although the victim stands still. */
static void use(void *unused)
{
	void *pages[100];

	(void)unused;
	for (unsigned k = 0; k < 3; k++) {
		size_t n = 0;

		while (n < 100 &&
		       (pages[n] = weir_alloc(pool, n % 4, WEIR_NOWAIT)))
			n++;
		while (n-- > 0)
			weir_free(pool, pages[n], n % 4);
		n = weir_alloc_upto(pool, 0, pages, 100, WEIR_NOWAIT);
		weir_free_bulk(pool, 0, pages, n);
		weir_tick(pool);
	}
}

static void torment(int here, int there, unsigned freezes)
{
	struct runner runner;
	uint64_t random = 88172645463325252u;

	frozen = thaw = rounds = 0;
	over = false;
	start_on(&runner, there, be_victim, NULL);
	victim = runner.thread;
	for (unsigned i = 1; i <= freezes; i++) {
		await(&rounds, __atomic_load_n(&rounds, __ATOMIC_ACQUIRE) + 1);
		for (uint64_t n = check_random(&random) % 20000; n > 0; n--)
			__asm__ __volatile__("" ::: "memory");
		pthread_kill(victim, SIGUSR1);
		await(&frozen, i);
		use(NULL);
		if (i % 8 == 0) {
			/* Others that run where it stands. */
			run_on(there, use, NULL);
			/* And one that may wait: until its deadline. */
			weir_free(pool, weir_alloc(pool, 0, 0), 0);
		}
		tell(&thaw);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	finish(&runner);
	(void)here;
}

int main(void)
{
	static const struct {
		enum weir_mode mode;
		unsigned flags;
	} table[] = {
		{ WEIR_MODE_ORDINARY, 0 },
		{ WEIR_MODE_QUIET, 0 },
		{ WEIR_MODE_POLLING, 0 },
		{ WEIR_MODE_ORDINARY, WEIR_POOL_NO_RSEQ },
		{ WEIR_MODE_QUIET, WEIR_POOL_CHECKED },
	};
	int here, there;

	two_cpus(&here, &there);
	pin(here);
	signal(SIGUSR1, freeze);
	alarm(60); /* should a call wait for ever */
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

		opts.capacity = 700 * 4096;
		opts.list_limit = 60;
		opts.quiet_cpus = "";
		opts.flags = table[i].flags;
		opts.wait_ns = 1000000;
		CHECK_EQ(weir_pool_create(&pool, &opts), 0);
		if (weir_set_mode(pool, NULL, table[i].mode) == 0)
			torment(here, there, 40);
		weir_set_mode(pool, NULL, WEIR_MODE_OFF);
		CHECK_MSG(weir_pool_destroy(pool, WEIR_DESTROY_FORCE) == 0,
			  "%s", weir_last_error());
	}
	return 0;
}
