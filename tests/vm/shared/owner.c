/* SPDX-License-Identifier: MIT */
#include "shared/owner.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <weir/fast.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "check.h"
#include "os/os.h"

#define TURN_PAGES 8
#define RARE_NS 400000
#define SLEEP_NS 1000000
#define STUCK_NS UINT64_C(60000000000)

const char *const scene_name[NR_SCENES] = {
	"allocating", "rarely",	   "computing",	 "asleep",
	"together",   "in bursts", "burst held",
};

/* --- on the isolated CPU ------------------------------------------------- */

static void turn(struct owner *owner)
{
	void *page[TURN_PAGES];
	unsigned n = 0;

	/* Relaxed, here and below: numbers, which nothing is ordered by. */
	for (unsigned want = 1 + wi_load_relaxed(&owner->turns) % TURN_PAGES;
	     n < want; n++) {
		page[n] = weir_fast_alloc(owner->pool, 0, WEIR_NOWAIT);
		if (!page[n])
			break;
	}
	while (n > 0)
		weir_fast_free(owner->pool, page[--n], 0);
}

static void told_turn(struct owner *owner)
{
	turn(owner);
	/* To owner_await_turn(): the pages are there. */
	__atomic_fetch_add(&owner->turns, 1, __ATOMIC_RELEASE);
}

static void burst_turn(struct owner *owner)
{
	struct weir_burst burst;

	weir_burst_begin(owner->pool, &burst);
	turn(owner);
	turn(owner);
	weir_burst_end(owner->pool, &burst);
	__atomic_fetch_add(&owner->turns, 1, __ATOMIC_RELEASE); /* as above */
}

static void compute(void)
{
	for (unsigned i = 0; i < 50; i++)
		wi_cpu_relax();
}

static void rare_turn(struct owner *owner)
{
	const uint64_t next = wi_os_now_ns() + RARE_NS;

	told_turn(owner);
	while (!wi_load_relaxed(&owner->end) && wi_os_now_ns() < next)
		compute();
}

/* Every other one only frees a page, which finds no list empty and so does not
 * tick: the tick of the first turn stays what a drain finds. */
static void asked_turn(struct owner *owner)
{
	if (wi_load_relaxed(&owner->asked) == wi_load_relaxed(&owner->turns)) {
		compute();
		return;
	}
	if (owner->scene == BURST_HELD) {
		if (owner->turns > 0)
			weir_burst_end(owner->pool, &owner->burst);
		weir_burst_begin(owner->pool, &owner->burst);
		turn(owner);
		/* As in told_turn(). */
		wi_store_release(&owner->turns, owner->turns + 1);
		return;
	}
	if (owner->held) {
		weir_fast_free(owner->pool, owner->held, 0);
		owner->held = NULL;
	} else {
		turn(owner);
		owner->held = weir_fast_alloc(owner->pool, 0, WEIR_NOWAIT);
	}
	if (owner->turns == 0)
		weir_fast_tick(owner->pool);
	wi_store_release(&owner->turns, owner->turns + 1); /* as above */
}

/* Makes the turns, while another thread of this CPU may compute. */
static void sleep_and_turn(struct owner *owner)
{
	wi_store_relaxed(&owner->tid, wi_os_tid());
	while (!wi_load_relaxed(&owner->end)) {
		told_turn(owner);
		wi_os_sleep_ns(SLEEP_NS);
	}
}

static void *main_thread(void *arg)
{
	struct owner *owner = arg;

	if (owner->scene == ASLEEP)
		sleep_and_turn(owner);
	while (!wi_load_relaxed(&owner->end)) {
		if (owner->scene == IN_BURSTS)
			burst_turn(owner);
		else if (owner->scene == RARELY)
			rare_turn(owner);
		else if (owner->scene == COMPUTING && owner->helped)
			compute();
		else if (owner->scene == COMPUTING ||
			 owner->scene == BURST_HELD)
			asked_turn(owner);
		else
			told_turn(owner);
	}
	return NULL;
}

static void *second_thread(void *arg)
{
	struct owner *owner = arg;

	while (owner->scene == BURST_HELD && !wi_load_relaxed(&owner->end))
		compute();

	if (owner->helped)
		sleep_and_turn(owner);
	while (!wi_load_relaxed(&owner->end))
		told_turn(owner);
	return NULL;
}

/* --- from afar ----------------------------------------------------------- */

static void start(struct owner *owner, void *(*run)(void *))
{
	pthread_attr_t attr;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(owner->cpu, &set);
	CHECK_EQ(pthread_attr_init(&attr), 0);
	CHECK_EQ(pthread_attr_setaffinity_np(&attr, sizeof(set), &set), 0);
	CHECK_EQ(pthread_create(&owner->thread[owner->nr_threads++], &attr, run,
				owner),
		 0);
	pthread_attr_destroy(&attr);
}

static void await_turns(struct owner *owner, uint32_t first, uint32_t n)
{
	const uint64_t until = wi_os_now_ns() + STUCK_NS;

	/* Acquires what the owner freed; of no use but to be sure. */
	while (wi_load_acquire(&owner->turns) - first < n) {
		CHECK_MSG(wi_os_now_ns() < until,
			  "CPU %u, %s: no turn in a minute", owner->cpu,
			  scene_name[owner->scene]);
		wi_os_sleep_ns(100000);
	}
}

/* Does the kernel say that the thread sleeps? Not by its file stat: that brings
 * the thread's run time up to date, on the CPU where it runs. */
static bool is_asleep(uint32_t tid)
{
	char path[48], status[4096];

	snprintf(path, sizeof(path), "/proc/self/task/%u/status", tid);
	CHECK(wi_os_read_file(path, status, sizeof(status)) > 0);
	return strstr(status, "\nState:\tS") != NULL;
}

void owner_start(struct owner *owner)
{
	owner->asked = 1;
	if (owner->scene == BURST_HELD)
		wi_store_release(&owner->first, 1); /* to owner_be_first() */
	else
		start(owner, main_thread);
	if (owner->scene == TOGETHER || owner->scene == BURST_HELD ||
	    owner->helped)
		start(owner, second_thread);
	await_turns(owner, 0, 1);
}

void owner_be_first(struct owner *owner)
{
	cpu_set_t set;

	/* Acquires what owner_start() was given. */
	while (wi_load_acquire(&owner->first) != 1)
		wi_os_sleep_ns(1000000);
	CPU_ZERO(&set);
	CPU_SET(owner->cpu, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
	main_thread(owner);
	weir_burst_end(owner->pool, &owner->burst);
	wi_store_release(&owner->first, 2); /* to owner_stop() */
}

void owner_await_turn(struct owner *owner)
{
	const bool sleeps = owner->scene == ASLEEP || owner->helped;

	await_turns(owner, wi_load_relaxed(&owner->turns), sleeps ? 1 : 2);
	/* A sleeper makes its turn within microseconds of waking. */
	while (sleeps && !is_asleep(wi_load_relaxed(&owner->tid)))
		wi_cpu_relax();
}

void owner_ask_turn(struct owner *owner)
{
	const uint32_t turns = wi_load_relaxed(&owner->turns);

	wi_store_relaxed(&owner->asked, turns + 1);
	await_turns(owner, turns, 1);
}

void owner_stop(struct owner *owner)
{
	wi_store_relaxed(&owner->end, true);
	for (unsigned i = 0; i < owner->nr_threads; i++)
		CHECK_EQ(pthread_join(owner->thread[i], NULL), 0);
	/* Acquires the end of the burst. */
	while (owner->scene == BURST_HELD &&
	       wi_load_acquire(&owner->first) != 2)
		wi_os_sleep_ns(1000000);
	weir_free(owner->pool, owner->held, 0);
}
