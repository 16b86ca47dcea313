/* SPDX-License-Identifier: MIT */
#include "demo/owner.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h" /* what two threads share */
#include "common/measure.h"
#include "os/os.h" /* gettid, a file of /proc whole */

/* Of OWNER_MEASURE: the median of so many rounds of so many pairs. */
#define MEASURE_ROUNDS 101
#define MEASURE_PAIRS 1000

static void futex(uint32_t *word, int operation, uint32_t value)
{
	syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL,
		NULL, 0);
}

void owner_mark(struct owner *owner, uint64_t page, enum page_mark from,
		enum page_mark to)
{
	/* Relaxed: see the oracle in demo_owner.h. */
	if (page >= DEMO_PAGES ||
	    wi_load_relaxed(&owner->marks[page]) != (uint8_t)from)
		wi_add_relaxed(&owner->faults, 1); /* a count */
	else
		wi_store_relaxed(&owner->marks[page], (uint8_t)to);
}

/* --- the owner's side ---------------------------------------------------- */

static void fill(struct owner *owner)
{
	for (unsigned i = 0; i < owner->nr_stock; i++) {
		owner_mark(owner, owner->stock[i], PAGE_IN_USE, PAGE_FREE);
		owner->way->put(owner->pool, owner->stock[i]);
	}
	owner->nr_stock = 0;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void measure(struct owner *owner)
{
	uint64_t ns[MEASURE_ROUNDS];

	for (unsigned i = 0; i < MEASURE_ROUNDS; i++) {
		uint64_t start = measure_now_ns();

		owner->way->pairs(owner->pool, MEASURE_PAIRS);
		ns[i] = measure_now_ns() - start;
	}
	qsort(ns, MEASURE_ROUNDS, sizeof(ns[0]), compare);
	owner->op_ns = (double)ns[MEASURE_ROUNDS / 2] / (2 * MEASURE_PAIRS);
}

static void account(struct owner *owner)
{
	struct rusage usage;

	if (getrusage(RUSAGE_THREAD, &usage) == 0)
		owner->preemptions = (uint64_t)usage.ru_nivcsw;
}

static void carry_out(struct owner *owner, enum owner_order order)
{
	switch (order) {
	case OWNER_FILL:
		fill(owner);
		break;
	case OWNER_TICK:
		if (owner->way->tick)
			owner->way->tick(owner->pool);
		break;
	case OWNER_MEASURE:
		measure(owner);
		break;
	case OWNER_ACCOUNT:
		account(owner);
		break;
	case OWNER_PAUSE:
		owner->scene = OWNER_COMPUTING;
		break;
	case OWNER_ANSWER:
	case OWNER_QUIT:
		break;
	}
}

static void allocate(struct owner *owner)
{
	uint64_t page = owner->way->get(owner->pool);

	if (page == DEMO_NONE)
		return; /* it was rescued: work goes on without */
	owner_mark(owner, page, PAGE_FREE, PAGE_OF_OWNER);
	owner_mark(owner, page, PAGE_OF_OWNER, PAGE_FREE);
	owner->way->put(owner->pool, page);
}

static void compute(void)
{
	static volatile uint64_t result;
	uint64_t x = result;

	for (unsigned i = 0; i < 50; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	result = x;
}

/* What the owner does while it has no order. */
static void play(struct owner *owner, uint32_t done)
{
	switch (owner->scene) {
	case OWNER_ALLOCATING:
		allocate(owner);
		break;
	case OWNER_COMPUTING:
		compute();
		break;
	default:
		futex(&owner->ordered, FUTEX_WAIT, done);
		break;
	}
}

static void *owner_main(void *arg)
{
	struct owner *owner = arg;
	uint32_t done = 0;

	wi_store_relaxed(&owner->tid, wi_os_tid()); /* before `done` below */
	for (;;) {
		enum owner_order order;

		/* Acquires what stands beside the order. */
		while (wi_load_acquire(&owner->ordered) == done)
			play(owner, done);
		order = owner->order;
		carry_out(owner, order);
		/* To who waits for it. */
		wi_store_release(&owner->done, ++done);
		if (order == OWNER_QUIT)
			return NULL;
	}
}

/* --- the other side ------------------------------------------------------ */

/* Does the kernel say that the thread sleeps? By `status`: to read `stat` may
 * interrupt the owner's CPU (src/os/thread.c). */
static bool is_asleep(const struct owner *owner)
{
	char path[48], status[8192];
	const char *state;

	snprintf(path, sizeof(path), "/proc/self/task/%u/status", owner->tid);
	if (wi_os_read_file(path, status, sizeof(status)) < 0)
		return true;
	state = strstr(status, "\nState:\t");
	return state && state[8] == 'S';
}

void owner_do(struct owner *owner, enum owner_order order)
{
	const uint32_t number = owner->ordered + 1;
	const bool sleeps = owner->scene == OWNER_ASLEEP; /* until PAUSE */
	unsigned spins = 0;

	owner->order = order;
	/* To the owner, with the order and the stock. */
	wi_store_release(&owner->ordered, number);
	if (sleeps)
		futex(&owner->ordered, FUTEX_WAKE, INT_MAX);
	/* Acquires what the owner did. */
	while (wi_load_acquire(&owner->done) != number) {
		wi_cpu_relax();
		if (++spins % 65536 == 0)
			sched_yield();
	}
	if (sleeps && order != OWNER_PAUSE && order != OWNER_QUIT)
		while (!is_asleep(owner))
			wi_cpu_relax();
}

int owner_start(struct owner *owner)
{
	size_t bytes = CPU_ALLOC_SIZE(owner->cpu + 1);
	cpu_set_t *set = CPU_ALLOC(owner->cpu + 1);
	pthread_attr_t attr;
	int err;

	if (!set)
		return -ENOMEM;
	CPU_ZERO_S(bytes, set);
	CPU_SET_S(owner->cpu, bytes, set);
	pthread_attr_init(&attr);
	err = pthread_attr_setaffinity_np(&attr, bytes, set);
	if (err == 0)
		err = pthread_create(&owner->thread, &attr, owner_main, owner);
	pthread_attr_destroy(&attr);
	CPU_FREE(set);
	return -err;
}

void owner_stop(struct owner *owner)
{
	owner_do(owner, OWNER_QUIT);
	pthread_join(owner->thread, NULL);
}
