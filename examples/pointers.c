/* SPDX-License-Identifier: MIT */
/*
 * Task: share objects that take long to make among threads, by their pointers.
 * There is no back end to write: the cache keeps the pointers that are in no
 * list in a store of its own, which has room for all of them.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/cache.h>

#define OBJECTS 64
#define THREADS 4
#define ROUNDS 100000

struct object {
	unsigned long uses; /* by whoever has it, so no atomics */
	char table[4000];   /* what takes long to make */
};

static struct weir_cache *cache;

static void must(const char *what, int error)
{
	if (error != 0) {
		fprintf(stderr, "%s: %s\n", what, weir_strerror(error));
		exit(1);
	}
}

/* One that is in use by nobody else; NULL: all are. */
static struct object *get(void)
{
	const uint64_t token = weir_cache_get(cache, 0, 0);

	return token == WEIR_CACHE_NONE ? NULL
					: (struct object *)(uintptr_t)token;
}

static void put(struct object *object)
{
	weir_cache_put(cache, 0, (uintptr_t)object);
}

static void *work(void *unused)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct object *object = get();

		if (object == NULL) /* EAGAIN: a CPU has not let go yet */
			continue;
		object->uses++;
		put(object);
	}
	return unused;
}

int main(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;
	unsigned long uses = 0, freed = 0;
	pthread_t thread[THREADS];
	struct object *object;

	opts.capacity = OBJECTS;
	must("a cache", weir_cache_create(&cache, &opts));
	for (int i = 0; i < OBJECTS; i++) {
		object = calloc(1, sizeof(*object));
		must("an object", object == NULL ? ENOMEM : 0);
		put(object);
	}
	for (int i = 0; i < THREADS; i++)
		must("a thread", pthread_create(&thread[i], NULL, work, NULL));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);

	must("a drain", weir_cache_drain(cache, NULL, NULL));
	must("statistics", weir_cache_stat_read(cache, &stat));
	printf("after a drain the store has %lu of %d objects\n",
	       (unsigned long)stat.stored[0], OBJECTS);
	while ((object = get()) != NULL) {
		uses += object->uses;
		freed++;
		free(object);
	}
	printf("%d threads used them %lu times; %lu are freed\n", THREADS, uses,
	       freed);
	must("the end", weir_cache_destroy(cache));
	return freed != OBJECTS;
}
