/* SPDX-License-Identifier: MIT */
/*
 * Task: a pool that begins small and grows on demand. One thread works and says
 * when it found nothing; another, which may wait for memory, makes the pool
 * larger beside it. Pages keep their addresses, and the inlined path stays.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/fast.h>
#include <weir/stat.h>

#define MIB ((uint64_t)1 << 20)
#define PAGES 10000 /* that the work needs: 40 MB */

static struct weir_pool *pool;
static void *page[PAGES];
static int wanted; /* more pages; -1: the work is done */

static void *keep_growing(void *arg)
{
	int asked, err, n = 0;

	(void)arg;
	while ((asked = __atomic_load_n(&wanted, __ATOMIC_ACQUIRE)) >= 0) {
		if (asked == 0) {
			sched_yield();
			continue;
		}
		err = weir_pool_grow(pool, 8 * MIB);
		if (err != 0 && err != -ETIMEDOUT) {
			fprintf(stderr, "grow: %s\n", weir_last_error());
			exit(1);
		}
		n += err == 0;
		__atomic_store_n(&wanted, 0, __ATOMIC_RELEASE);
	}
	printf("the pool grew %d times\n", n);
	return NULL;
}

static void *alloc_page(void)
{
	void *p;

	while ((p = weir_fast_alloc(pool, 0, WEIR_NOWAIT)) == NULL) {
		__atomic_store_n(&wanted, 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&wanted, __ATOMIC_ACQUIRE) != 0)
			sched_yield();
	}
	return p;
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	pthread_t grower;

	opts.capacity = 4 * MIB;
	opts.max_capacity = 1024 * MIB; /* addresses, not memory */
	opts.list_limit = 64;		/* for the pool that it will be */
	opts.name = "growing";
	if (weir_pool_create(&pool, &opts) != 0) {
		fprintf(stderr, "a pool: %s\n", weir_last_error());
		return 1;
	}
	if (pthread_create(&grower, NULL, keep_growing, NULL) != 0)
		return 1;
	for (int i = 0; i < PAGES; i++)
		page[i] = alloc_page();
	weir_stat_read(pool, &stat);
	printf("%d pages allocated of %llu; it may have %llu\n", PAGES,
	       (unsigned long long)stat.pages,
	       (unsigned long long)stat.max_pages);
	for (int i = 0; i < PAGES; i++)
		weir_fast_free(pool, page[i], 0);
	__atomic_store_n(&wanted, -1, __ATOMIC_RELEASE);
	pthread_join(grower, NULL);
	return weir_pool_destroy(pool, 0) != 0;
}
