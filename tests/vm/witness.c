/* SPDX-License-Identifier: MIT */
/*
 * If this fails, the kernel ran on a quiet or polling CPU because of a drain.
 *
 * A witness beside /proc/interrupts, which counts only what the kernel thought
 * of counting: the function tracer, on the drained CPU alone, has an entry for
 * each function of the kernel that runs there. The thread there computes in
 * user space, so there must be none. Windows in which the CPU's own timer came
 * (row LOC) are not judged, and are made again. As a control another thread
 * moves to the CPU and back, which the tracer must see each time.
 */
#include "shared/guest.h"

#include <pthread.h>

#include <weir/fast.h>

#include "shared/counts.h"
#include "shared/still.h"

#define TRACING "/sys/kernel/tracing/"
#define CPU 2
#define A_WINDOW 50 /* drains */
#define HOPS 20

static struct weir_pool *pool;
static struct interrupts in;
static uint32_t asked, made, stop;

static uint64_t number_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	CHECK_MSG(at != NULL, "no %s in the tracer's statistics", name);
	return strtoull(at + strlen(name), NULL, 10);
}

/* How many functions ran on the CPU while the tracer was on. */
static uint64_t entries(void)
{
	char path[80], text[1024];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), TRACING "per_cpu/cpu%d/stats", CPU);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	CHECK(n > 0);
	text[n] = '\0';
	close(fd);
	return number_of(text, "entries: ") + number_of(text, "overrun: ");
}

static void forget(void)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), TRACING "per_cpu/cpu%d/trace", CPU);
	fd = open(path, O_WRONLY | O_TRUNC); /* which empties it */
	CHECK(fd >= 0);
	close(fd);
}

/* For the message: what ran there. */
static void print_trace(void)
{
	char path[80], line[256];
	FILE *trace;

	snprintf(path, sizeof(path), TRACING "per_cpu/cpu%d/trace", CPU);
	trace = fopen(path, "r");
	for (unsigned i = 0; i < 60 && trace != NULL &&
			     fgets(line, sizeof(line), trace) != NULL;
	     i++)
		printf("  %s", line);
	if (trace != NULL)
		fclose(trace);
}

static uint64_t own_timer(void)
{
	struct counts counts;

	counts_read(&in, &counts);
	return counts_of(&counts, "LOC");
}

/* False where the kernel has no such tracer. */
static bool trace_the_cpu(void)
{
	char mask[8];

	if (guest_write(TRACING "current_tracer", "function") != 0)
		return false;
	guest_must_write(TRACING "tracing_on", "0");
	snprintf(mask, sizeof(mask), "%x", 1u << CPU);
	guest_must_write(TRACING "tracing_cpumask", mask);
	return true;
}

/* --- the thread there --------------------------------------------------- */

/* Makes a turn when it is asked, which leaves pages in the CPU's list. */
static void *compute(void *unused)
{
	void *page[8];

	pin(CPU);
	while (!happened(&stop, 1)) {
		if (__atomic_load_n(&asked, __ATOMIC_ACQUIRE) ==
		    __atomic_load_n(&made, __ATOMIC_RELAXED)) {
			__asm__ volatile("pause");
			continue;
		}
		for (unsigned i = 0; i < 8; i++)
			page[i] = weir_fast_alloc(pool, 0, WEIR_NOWAIT);
		for (unsigned i = 0; i < 8; i++)
			if (page[i] != NULL)
				weir_fast_free(pool, page[i], 0);
		weir_fast_tick(pool);
		tell(&made);
	}
	return unused;
}

static void ask_turn(void)
{
	const uint32_t before = __atomic_load_n(&made, __ATOMIC_RELAXED);

	tell(&asked);
	await(&made, before + 1);
}

/* --- windows ------------------------------------------------------------ */

static uint64_t drained; /* pages */

static void drain(void)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	int err;

	opts.cpus = "2";
	opts.wait_ns = 100000; /* in polling mode the next turn is evidence */
	err = weir_drain(pool, &opts, &result);
	CHECK_MSG(err == 0 || err == -EAGAIN, "a drain ends with %d", err);
	CHECK_EQ(result.by_membarrier, 0);
	drained += result.pages;
}

/* The functions that ran there in a window of drains and turns. */
static uint64_t window(bool drains)
{
	for (unsigned tries = 0; tries < 50; tries++) {
		uint64_t ticks, ran;

		forget();
		ticks = own_timer();
		guest_must_write(TRACING "tracing_on", "1");
		for (unsigned i = 0; i < A_WINDOW; i++) {
			ask_turn();
			if (drains)
				drain();
		}
		guest_must_write(TRACING "tracing_on", "0");
		ran = entries();
		if (own_timer() != ticks)
			continue;
		if (ran > 0)
			print_trace();
		return ran;
	}
	check_fail(__FILE__, __LINE__,
		   "the CPU's own timer comes all the time");
	return 0;
}

static void judge(enum weir_mode mode, unsigned nr)
{
	static const char *const names[] = { "ordinary", "quiet", "polling" };
	uint64_t with = 0, without = 0;

	CHECK_EQ(weir_set_mode(pool, "2", mode), 0);
	drained = 0;
	for (unsigned i = 0; i < nr; i++) {
		without += window(false);
		with += window(true);
	}
	CHECK_MSG(without == 0,
		  "%" PRIu64 " functions of the kernel without a drain: the "
		  "machine is not still",
		  without);
	CHECK_MSG(with == 0,
		  "%s: %" PRIu64 " functions of the kernel ran in %u drains",
		  names[mode], with, nr * A_WINDOW);
	CHECK_MSG(drained > 0, "%s: the drains got no page", names[mode]);
	printf("  %s: none in %u drains, of %" PRIu64 " pages\n", names[mode],
	       nr * A_WINDOW, drained);
}

/* How many of the hops were seen. */
static unsigned hop(void)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < HOPS; i++) {
		forget();
		guest_must_write(TRACING "tracing_on", "1");
		pin(CPU);
		pin(0);
		guest_must_write(TRACING "tracing_on", "0");
		seen += entries() > 0;
	}
	return seen;
}

int main(void)
{
	const unsigned nr = guest_long() ? 10 : 4;
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	pthread_t thread;
	unsigned seen;

	guest_begin(CPU + 1);
	if (access("/sys/devices/system/cpu/nohz_full", F_OK) != 0)
		SKIP("this needs a CPU without a tick (CONFIG_NO_HZ_FULL)");
	if (!trace_the_cpu())
		SKIP("this needs the kernel's function tracer");
	still_machine();
	opts.capacity = 4 << 20;
	opts.quiet_cpus = "2";
	/* Or the first touch of its memory is a page fault of the thread. */
	opts.flags = WEIR_POOL_PREFAULT;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(interrupts_open(&in, CPU), 0);
	pin(0);
	CHECK_EQ(pthread_create(&thread, NULL, compute, NULL), 0);
	ask_turn();
	drain();	   /* what happens once has happened */
	guest_nap_ms(500); /* until the tick has stopped */
	judge(WEIR_MODE_QUIET, nr);
	judge(WEIR_MODE_POLLING, nr);
	seen = hop();
	CHECK_MSG(seen >= HOPS * 19 / 20, "blind: of %u hops %u were seen",
		  HOPS, seen);
	tell(&stop);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	guest_must_write(TRACING "current_tracer", "nop");
	printf("figures: tracer: 0 functions in %u drains; control: %u of %u "
	       "hops seen\n",
	       2 * nr * A_WINDOW, seen, HOPS);
	return 0;
}
