/* SPDX-License-Identifier: MIT */
/*
 * Task: allocate and free in a signal handler. The signal interrupts the
 * program anywhere, also in the middle of an allocation; the handler allocates
 * a page for a record of its own, without waiting, and passes it to the program
 * on a stack. A malloc there might hang, or break the heap.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include <weir/fast.h>

#define ENOUGH 200	       /* signals */
#define TURNS_MAX 2000000000ul /* where they do not come */

struct record {
	struct record *next;
	unsigned long turn;
};

static struct weir_pool *pool;
static _Atomic(struct record *) records; /* newest first */
static atomic_ulong turn;
static atomic_uint signals, misses;

static void must(const char *what, int error)
{
	if (error != 0) {
		fprintf(stderr, "%s: %s\n", what, weir_strerror(error));
		exit(1);
	}
}

/* errno is the interrupted program's: an allocation that fails sets it. */
static void handle(int number)
{
	const int saved = errno;
	struct record *record = weir_fast_alloc(pool, 0, WEIR_NOWAIT);

	(void)number;
	atomic_fetch_add(&signals, 1);
	if (record == NULL) {
		atomic_fetch_add(&misses, 1);
	} else {
		record->turn = atomic_load(&turn);
		record->next = atomic_load(&records);
		atomic_store(&records, record); /* nobody else is running */
	}
	errno = saved;
}

/* Frees the records that have come; how many. */
static unsigned collect(void)
{
	struct record *record = atomic_exchange(&records, NULL), *next;
	unsigned n = 0;

	for (; record != NULL; record = next, n++) {
		next = record->next;
		weir_fast_free(pool, record, 0);
	}
	return n;
}

int main(void)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = handle };
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	unsigned collected = 0;

	/* Backed now: a handler had better not wait for page faults. */
	opts.capacity = 4 << 20;
	opts.flags = WEIR_POOL_PREFAULT;
	must("a pool", weir_pool_create(&pool, &opts));
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (atomic_load(&signals) < ENOUGH &&
	       atomic_load(&turn) < TURNS_MAX) {
		void *page = weir_fast_alloc(pool, 0, 0);

		if (page == NULL)
			must("a page", errno);
		weir_fast_free(pool, page, 0);
		if (atomic_fetch_add(&turn, 1) % 65536 == 0)
			collected += collect();
	}
	setitimer(ITIMER_REAL, &never, NULL);
	collected += collect();
	printf("%u signals came in %lu allocations and frees; %u left a "
	       "record, %u found no page\n",
	       atomic_load(&signals), atomic_load(&turn), collected,
	       atomic_load(&misses));
	must("the end", weir_pool_destroy(pool, 0));
	return collected + atomic_load(&misses) != atomic_load(&signals);
}
