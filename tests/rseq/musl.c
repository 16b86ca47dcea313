/* SPDX-License-Identifier: MIT */
/*
 * If this fails, weir gives no fast path to a program of a C library that
 * registers no rseq, or the kernel writes to the stack of a thread that has
 * ended. Compiled by musl.sh; without the helpers of other tests, which are for
 * glibc.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/fast.h>
#include <weir/stat.h>

#define PAGES 4096
#define THREADS 2000

static struct weir_pool *pool;
static uint32_t ended;
static uint64_t nr_fast;

static void fail(const char *what)
{
	printf("%s: %s\n", what, weir_last_error());
	exit(1);
}

static void *work(void *unused)
{
	void *page[20];

	for (unsigned n = 0; n < 50; n++) {
		uint64_t token;

		for (unsigned i = 0; i < 20; i++) {
			page[i] = weir_fast_alloc(pool, 0, 0);
			if (page[i] == NULL)
				fail("a page");
			*(void **)page[i] = page;
		}
		for (unsigned i = 0; i < 20; i++) {
			if (*(void **)page[i] != page)
				fail("a page that two threads have");
			weir_fast_free(pool, page[i], 0);
		}
		token = weir_i_pop(&pool->lists, 0);
		if (token < WEIR_AGAIN) {
			weir_free(pool, pool->base + token, 0);
			__atomic_add_fetch(&nr_fast, 1, __ATOMIC_RELAXED);
		}
	}
	__atomic_add_fetch(&ended, 1, __ATOMIC_RELEASE);
	return unused;
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	pthread_attr_t attr;
	uint32_t started = 0;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "";
	if (weir_pool_create(&pool, &opts) != 0)
		fail("creating a pool");
	if (weir_set_mode(pool, NULL, WEIR_MODE_QUIET) != 0)
		fail("quiet CPUs, which need sequences");
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	while (started < THREADS) {
		pthread_t thread;

		if (started - __atomic_load_n(&ended, __ATOMIC_ACQUIRE) < 8 &&
		    pthread_create(&thread, &attr, work, NULL) == 0)
			started++;
		(void)weir_drain(pool, NULL, NULL);
	}
	while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < THREADS)
		(void)weir_drain(pool, NULL, NULL);
	if (nr_fast < THREADS * 25u)
		fail("hardly an operation was a sequence");
	if (weir_drain(pool, NULL, NULL) != 0 ||
	    weir_stat_read(pool, &stat) != 0 || stat.free != PAGES)
		fail("pages are lost");
	printf("figures: %u detached threads of musl, %llu sequences seen\n",
	       THREADS, (unsigned long long)nr_fast);
	return weir_pool_destroy(pool, 0) != 0;
}
