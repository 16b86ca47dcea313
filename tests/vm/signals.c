/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a signal whose handler uses weir kills a thread that was
 * inside an operation, or a page is given out twice.
 *
 * Threads on an ordinary, a quiet and a polling CPU take and give back pages;
 * another thread sends them signals all the time, whose handler does the same.
 * Where the kernel can check sequences (rseq debugging) it does: it kills who
 * returns from a handler into the range of a sequence that is armed.
 */
#include "shared/guest.h"

#include <pthread.h>

#include <weir/fast.h>

#define DEBUGGING "/sys/kernel/debug/rseq/debug"
#define THREADS 3
#define PAGES 512

static struct weir_pool *pool;
static uint32_t owners[PAGES]; /* how many have the page: 0 or 1 */
static char *base;
static pthread_t thread[THREADS];
static uint32_t stop, started;
static uint64_t operations[THREADS], handled;

/* Not inlined, and give() is last in handlers: so a handler leaves armed the
 * very sequence before which it may have interrupted its thread. */
__attribute__((noinline)) static void *take(void)
{
	return weir_fast_alloc(pool, 0, WEIR_NOWAIT);
}

__attribute__((noinline)) static void give(void *page)
{
	weir_fast_free(pool, page, 0);
}

static void operate(void)
{
	char *page[3];
	unsigned n;

	for (n = 0; n < 3; n++) {
		page[n] = take();
		if (page[n] == NULL)
			break;
		CHECK_EQ(__atomic_exchange_n(&owners[(page[n] - base) / 4096],
					     1, __ATOMIC_RELAXED),
			 0);
	}
	while (n-- > 0) {
		__atomic_store_n(&owners[(page[n] - base) / 4096], 0,
				 __ATOMIC_RELAXED);
		give(page[n]);
	}
}

static void handler(int number)
{
	(void)number;
	operate();
	__atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
}

static void *work(void *arg)
{
	const unsigned cpu = (unsigned)(uintptr_t)arg;
	struct weir_burst burst;

	pin((int)cpu);
	tell(&started);
	for (uint64_t i = 0; !happened(&stop, 1); i++) {
		if (i % 8 == 7)
			weir_burst_begin(pool, &burst);
		operate();
		if (i % 8 == 7)
			weir_burst_end(pool, &burst);
		if (i % 16 == 0)
			weir_fast_tick(pool);
		operations[cpu - 1]++;
	}
	return NULL;
}

int main(void)
{
	const double seconds = guest_long() ? 30 : 4;
	const struct sigaction action = { .sa_handler = handler };
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	const bool debugging = guest_write(DEBUGGING, "1") == 0;
	uint64_t end, random = now_ns() | 1, sent = 0;

	guest_begin(THREADS + 1);
	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "2";
	opts.polling_cpus = "3";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_range(pool, (void **)&base, NULL, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	pin(0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, work,
					(void *)(i + 1)),
			 0);
	while (!happened(&started, THREADS))
		guest_nap_ms(1);
	end = now_ns() + (uint64_t)(seconds * 1e9);
	while (now_ns() < end) {
		/* Mostly to the quiet one, which has the longest sequences. */
		pthread_kill(thread[sent % 8 == 0   ? 0
				    : sent % 8 == 1 ? 2
						    : 1],
			     SIGUSR1);
		sent++;
		for (uint64_t n = 200 + check_random(&random) % 300; n > 0; n--)
			__asm__ volatile("");
	}
	tell(&stop);
	for (unsigned i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
		CHECK(operations[i] > 100);
	}
	CHECK(handled > 100);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	guest_write(DEBUGGING, "0");
	printf("figures: %" PRIu64 " signals during %" PRIu64 " operations, "
	       "rseq debugging %s\n",
	       handled, operations[0] + operations[1] + operations[2],
	       debugging ? "on" : "not in this kernel");
	return 0;
}
