/* SPDX-License-Identifier: MIT */
/*
 * Doors of src/os, and what src/os/rseq.c and src/api/machine.c tell
 * of the machine, for the virtual one.
 */
#include "interleave/os.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/machine.h"
#include "os/rseq.h"
#include "percpu/evidence.h"
#include "interleave/sched.h"

struct interleave_machine interleave_machine;

const char weir_fast_layout_3 = 1;
__thread uint64_t weir_i_thread_burst = UINT64_C(1) << WEIR_MARK_BURST_BIT;

void wi_panic(const char *what)
{
	sched_fail("weir: %s", what);
}

unsigned wi_os_env_level(const char *name)
{
	(void)name;
	return 0;
}

char *wi_os_thread_text(size_t len)
{
	static char text[1024];

	return len <= sizeof(text) ? text : NULL;
}

void wi_os_name_code(const void *address, char *to, size_t len)
{
	(void)address;
	if (len > 0)
		to[0] = '\0';
}

void wi_os_say(const char *what)
{
	(void)what;
}

int wi_os_cancel_put_off(void)
{
	return 0;
}

void wi_os_cancel_allow(int before)
{
	(void)before;
}

/* --- memory: an arena that each run begins anew ------------------------- */

#define ARENA_BYTES (1 << 20)

static _Alignas(4096) char arena[ARENA_BYTES];
static size_t arena_used;

void interleave_reset_memory(void)
{
	arena_used = 0;
}

int wi_os_map(void **out, const struct wi_os_map *map)
{
	size_t bytes = wi_round_up(map->bytes, 4096);

	if (bytes > ARENA_BYTES - arena_used)
		return -ENOMEM;
	*out = memset(arena + arena_used, 0, bytes);
	arena_used += bytes;
	return 0;
}

void wi_os_unmap(void *p, size_t bytes)
{
	(void)p, (void)bytes;
}

int wi_os_map_wiped(void **out, size_t bytes)
{
	return wi_os_map(out, &(struct wi_os_map){ .bytes = bytes });
}

void wi_os_unmap_wiped(void *p, size_t bytes)
{
	(void)p, (void)bytes;
}

int wi_os_share(void **out, size_t bytes, const char *name,
		struct wi_os_shared *file)
{
	(void)out, (void)bytes, (void)name, (void)file;
	return -ENOSYS;
}

void wi_os_unshare(const struct wi_os_shared *file)
{
	(void)file;
}

int wi_os_pid(void)
{
	return 1;
}

int wi_os_prefault(void *p, size_t bytes)
{
	(void)p, (void)bytes;
	return 0;
}

int wi_os_lock(void *p, size_t bytes)
{
	(void)p, (void)bytes;
	return 0;
}

void wi_os_give_up(void *p, size_t bytes)
{
	(void)p, (void)bytes;
}

int wi_os_bind(void *p, size_t bytes, unsigned node)
{
	(void)p, (void)bytes, (void)node;
	return 0;
}

size_t wi_os_huge_size(void)
{
	return 0;
}

int wi_os_huge_free(size_t huge_bytes, uint64_t *nr_free)
{
	(void)huge_bytes, (void)nr_free;
	return -ENOENT;
}

int wi_os_huge_file(int fd, size_t *huge_bytes)
{
	(void)fd;
	*huge_bytes = 0;
	return 0;
}

enum wi_os_limited wi_os_huge_limit(struct wi_os_limit *limit,
				    size_t huge_bytes, bool reserved)
{
	(void)limit, (void)huge_bytes, (void)reserved;
	return WI_OS_NOT_LIMITED;
}

enum wi_os_limited wi_os_cgroup_limit(struct wi_os_limit *limit,
				      const char *controller, const char *file)
{
	(void)limit, (void)controller, (void)file;
	return WI_OS_NOT_LIMITED;
}

bool wi_os_has_swap(void)
{
	return false;
}

uint64_t wi_os_lockable(void)
{
	return UINT64_MAX;
}

void wi_os_why_no_memory(uint64_t bytes, char *buf, size_t len)
{
	(void)bytes, (void)len;
	buf[0] = '\0';
}

/* --- threads and CPUs --------------------------------------------------- */

int wi_os_membarrier_cpu(unsigned cpu)
{
	interleave_point(0, "membarrier");
	if (interleave_machine.no_interrupts[cpu])
		sched_fail("CPU %u is interrupted, which was promised not to "
			   "be",
			   cpu);
	if (interleave_machine.membarrier_fails)
		return -EPERM;
	sched_membarrier(cpu);
	return 0;
}

uint32_t wi_os_tid(void)
{
	return sched_tid();
}

bool wi_os_thread_exists(uint32_t tid)
{
	interleave_point(0, "ask whether the thread exists");
	return sched_exists(tid);
}

uint64_t wi_os_now_ns(void)
{
	return sched_now_ns();
}

void wi_os_sleep_ns(uint64_t ns)
{
	sched_sleep(ns);
}

int wi_os_current_cpu(void)
{
	return (int)sched_cpu();
}

/* The count of an eventfd is how often each was written. */
void wi_os_event_add(int fd)
{
	interleave_point(0, "write the eventfd");
	if (interleave_machine.event != NULL)
		interleave_machine.event(fd);
}

int wi_os_worker_start(struct wi_os_worker **out, const struct wi_os_work *work)
{
	(void)out, (void)work;
	return -EAGAIN;
}

void wi_os_worker_stop(struct wi_os_worker *worker)
{
	(void)worker;
}

int wi_os_affinity(uint64_t *words, size_t nr_words)
{
	memset(words, 0, nr_words * sizeof(*words));
	words[0] = 1;
	return 0;
}

/* --- the mutex ---------------------------------------------------------- */

struct mutex {
	uint32_t owner; /* a thread's number; 0: nobody */
};

static struct mutex *inside(struct wi_os_mutex *m)
{
	return (struct mutex *)(void *)m->opaque;
}

int wi_os_mutex_init(struct wi_os_mutex *m)
{
	inside(m)->owner = 0;
	interleave_machine.mutex = m;
	return 0;
}

void wi_os_mutex_fini(struct wi_os_mutex *m)
{
	EXPECT(inside(m)->owner == 0);
}

/* The drain mutex, which is made last, has hooks. */
static void got(struct mutex *mutex)
{
	mutex->owner = sched_tid();
	if (mutex == inside(interleave_machine.mutex) &&
	    interleave_machine.locked_mutex != NULL)
		interleave_machine.locked_mutex();
}

int wi_os_mutex_lock(struct wi_os_mutex *m, uint64_t deadline_ns)
{
	struct mutex *mutex = inside(m);

	interleave_point((uintptr_t)m, "lock");
	if (mutex->owner == sched_tid())
		return -EDEADLK;
	while (mutex->owner != 0) {
		if (sched_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		sched_wait(&mutex->owner, 0);
	}
	got(mutex);
	return 0;
}

bool wi_os_mutex_trylock(struct wi_os_mutex *m)
{
	interleave_point((uintptr_t)m, "try to lock");
	if (inside(m)->owner != 0)
		return false;
	got(inside(m));
	return true;
}

void wi_os_mutex_unlock(struct wi_os_mutex *m)
{
	if (m != interleave_machine.mutex &&
	    interleave_machine.unlocking_other != NULL)
		interleave_machine.unlocking_other();
	interleave_point((uintptr_t)m, "unlock");
	EXPECT(inside(m)->owner == sched_tid());
	if (m == interleave_machine.mutex &&
	    interleave_machine.unlocking_mutex != NULL)
		interleave_machine.unlocking_mutex();
	inside(m)->owner = 0;
}

/* --- the machine -------------------------------------------------------- */

bool wi_rseq_available(void)
{
	return true;
}

bool wi_rseq_has_membarrier(void)
{
	return true;
}

/* As in src/os/rseq.c. */
void wi_rseq_thread_init(void)
{
	if (weir_i_thread_burst == UINT64_C(1) << WEIR_MARK_BURST_BIT)
		weir_i_thread_burst =
			wi_burst_mark(wi_thread_mark(wi_os_tid()));
}

int wi_machine_read(struct wi_machine *machine, const char *quiet_cpus,
		    const char *polling_cpus, bool no_rseq)
{
	(void)quiet_cpus, (void)polling_cpus;
	machine->topology.nr_cpus = SCHED_CPUS;
	machine->topology.nr_nodes = 1;
	wi_cpuset_fill(&machine->topology.online, SCHED_CPUS);
	if (interleave_machine.asleep)
		wi_cpuset_clear(&machine->topology.online, 0);
	machine->locked = no_rseq;
	machine->settled = true;
	for (unsigned cpu = 0; cpu < SCHED_CPUS; cpu++)
		machine->mode[cpu] =
			no_rseq ? WI_MODE_LOCKED : interleave_machine.mode[cpu];
	return 0;
}

/* Lists are "0" or "1" here. */
int wi_machine_cpus(struct wi_cpuset *set, unsigned nr_cpus, const char *list,
		    const char *field)
{
	(void)field;
	if (list == NULL) {
		wi_cpuset_fill(set, nr_cpus);
	} else {
		wi_cpuset_zero(set);
		wi_cpuset_set(set, (unsigned)(list[0] - '0'));
	}
	return 0;
}
