/* SPDX-License-Identifier: MIT */
/*
 * Task: put per-CPU lists with remote drains in front of objects of one's own:
 * buffers of an array behind a mutex, a token being a buffer's index. With a
 * mutex in the back end, signal handlers must not use the cache.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/cache.h>

#define BUFFERS 1024
#define THREADS 4
#define ROUNDS 4000
#define HELD 100 /* by a thread, at most */

/* Where buffers are that neither a list nor a thread has. */
static struct depot {
	pthread_mutex_t mutex;
	unsigned long calls;
	size_t count;
	uint64_t index[BUFFERS];
} depot = { .mutex = PTHREAD_MUTEX_INITIALIZER };
static char buffer[BUFFERS][256];
static struct weir_cache *cache;

static void must(const char *what, int error)
{
	if (error != 0) {
		fprintf(stderr, "%s: %s\n", what, weir_strerror(error));
		exit(1);
	}
}

/* The back end, two functions. They are called by whoever finds its list empty
 * or full, or drains; by several threads at once. */
static size_t depot_get(void *context, unsigned list, uint64_t *tokens,
			size_t n)
{
	struct depot *d = context;
	size_t i = 0;

	(void)list;
	pthread_mutex_lock(&d->mutex);
	while (i < n && d->count > 0)
		tokens[i++] = d->index[--d->count];
	d->calls++;
	pthread_mutex_unlock(&d->mutex);
	return i;
}

static void depot_put(void *context, unsigned list, const uint64_t *tokens,
		      size_t n)
{
	struct depot *d = context;

	(void)list;
	pthread_mutex_lock(&d->mutex);
	for (size_t i = 0; i < n; i++)
		d->index[d->count++] = tokens[i];
	d->calls++;
	pthread_mutex_unlock(&d->mutex);
}

/* n buffers. EAGAIN: others were faster, or a CPU has not let go yet. */
static void get(uint64_t *tokens, size_t n)
{
	int err;

	while ((err = weir_cache_get_bulk(cache, 0, tokens, n, 0)) == -EAGAIN)
		;
	must("getting buffers", err);
}

static void *work(void *unused)
{
	uint64_t mine[HELD];

	for (size_t round = 0; round < ROUNDS; round++) {
		size_t n = 1 + round % HELD;

		get(mine, n);
		for (size_t i = 0; i < n; i++)
			buffer[mine[i]][0]++;
		weir_cache_put_bulk(cache, 0, mine, n);
	}
	return unused;
}

int main(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	static uint64_t all[BUFFERS];
	pthread_t thread[THREADS];

	for (; depot.count < BUFFERS; depot.count++)
		depot.index[depot.count] = depot.count;
	opts.backend.get = depot_get;
	opts.backend.put = depot_put;
	opts.backend.context = &depot;
	must("a cache", weir_cache_create(&cache, &opts));
	for (int i = 0; i < THREADS; i++)
		must("a thread", pthread_create(&thread[i], NULL, work, NULL));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);

	printf("%d bulk gets and puts made %lu calls of the depot, which has "
	       "%zu of %d buffers now\n",
	       2 * THREADS * ROUNDS, depot.calls, depot.count, BUFFERS);
	get(all, BUFFERS);
	weir_cache_put_bulk(cache, 0, all, BUFFERS);
	must("a drain", weir_cache_drain(cache, NULL, NULL));
	printf("one thread got them all; after a drain %zu are back home\n",
	       depot.count);
	must("the end", weir_cache_destroy(cache));
	return depot.count != BUFFERS;
}
