/* SPDX-License-Identifier: MIT */
/*
 * Task: pass pages from one thread to another. A producer on one CPU allocates
 * pages, 32 at once, and fills them; a consumer on another CPU checks them and
 * frees them there. Both CPUs end up with pages in their lists, and a third
 * thread takes back what either keeps.
 *
 * With a single CPU all of them share it.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/fast.h>
#include <weir/stat.h>

#define BATCH 32
#define BATCHES 501
#define SLOTS 32 /* batches on their way */

static struct weir_pool *pool;
static void *ring[SLOTS][BATCH];
static atomic_uint filled, emptied; /* batches, ever */
static unsigned spoiled; /* pages that did not arrive as they were sent */

static void must(const char *what, int error)
{
	if (error != 0) {
		fprintf(stderr, "%s: %s\n", what, weir_strerror(error));
		exit(1);
	}
}

/* To the first CPU this program may use, or to the second if there is one. */
static void pin(unsigned rank)
{
	cpu_set_t allowed, one;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (size_t cpu = 0, n = 0; cpu < CPU_SETSIZE && n <= rank; cpu++)
		if (CPU_ISSET(cpu, &allowed)) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			n++;
		}
	sched_setaffinity(0, sizeof(one), &one);
}

static void *produce(void *unused)
{
	pin(0);
	for (unsigned n = 0; n < BATCHES; n++) {
		void **page = ring[n % SLOTS];
		struct weir_burst burst;

		while (n - atomic_load(&emptied) == SLOTS)
			sched_yield();
		/* On a quiet CPU a burst announces itself once for all that
		 * is done in it; elsewhere it costs next to nothing. */
		weir_burst_begin(pool, &burst);
		must("allocating",
		     weir_fast_alloc_bulk(pool, 0, page, BATCH, 0));
		weir_burst_end(pool, &burst);
		for (unsigned i = 0; i < BATCH; i++)
			*(unsigned *)page[i] = n * BATCH + i;
		atomic_store(&filled, n + 1);
	}
	return unused;
}

static void *consume(void *unused)
{
	pin(1);
	for (unsigned n = 0; n < BATCHES; n++) {
		void **page = ring[n % SLOTS];

		while (atomic_load(&filled) == n)
			sched_yield();
		for (unsigned i = 0; i < BATCH; i++)
			spoiled += *(unsigned *)page[i] != n * BATCH + i;
		weir_fast_free_bulk(pool, 0, page, BATCH);
		atomic_store(&emptied, n + 1);
	}
	return unused;
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	pthread_t producer, consumer;

	opts.capacity = 16 << 20;
	must("a pool", weir_pool_create(&pool, &opts));
	must("a thread", pthread_create(&producer, NULL, produce, NULL));
	must("a thread", pthread_create(&consumer, NULL, consume, NULL));
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);

	must("draining", weir_drain(pool, NULL, &r));
	weir_stat_read(pool, &stat);
	printf("%d pages went through the pipeline, %u spoiled\n",
	       BATCH * BATCHES, spoiled);
	printf("a drain took %lu from the lists of %u CPUs in %.1f us: "
	       "%lu of %lu free\n",
	       (unsigned long)r.pages, r.cpus_drained, (double)r.ns / 1000,
	       (unsigned long)stat.free, (unsigned long)stat.pages);
	must("the end", weir_pool_destroy(pool, 0));
	return spoiled != 0 || stat.free != stat.pages;
}
