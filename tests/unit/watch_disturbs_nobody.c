/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool's owner notices that it is watched from outside: it is
 * interrupted, sleeps, faults or pays for memory that only the watcher wanted
 * (P5). An owner allocates and frees on one CPU, a process on another reads it
 * all the time; then, as a control, that process sends the owner an interrupt
 * instead of each reading.
 *
 * The machine's other programs interrupt CPUs too, so the counts of the owner's
 * CPU are compared with the number of readings and with the control.
 */
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <weir/fast.h>
#include <weir/watch.h>

#include "base/atomic.h"
#include "child.h"
#include "helpers.h"

#define READINGS 1000 /* while the owner ran, or */
#define ENOUGH 200    /* in a time that is limited */
#define AT_ONCE 20    /* between two looks at the interrupts */

enum step { STARTING, WATCHED, CONTROLLED, END };

/* Shared by both. */
static struct {
	event step; /* enum step, told by the watcher */
	event ready;
	uint64_t operations;	 /* of the owner */
	uint64_t faults, sleeps; /* while it was watched */
} * shared;

/* Interrupts of that CPU by others: calls of functions, flushes of TLBs. */
static uint64_t interrupts(int cpu)
{
	char line[16384];
	uint64_t sum = 0;
	int column = -1;
	FILE *file = fopen("/proc/interrupts", "r");

	CHECK(file != NULL && fgets(line, sizeof(line), file) != NULL);
	for (char *at = line, *save; (at = strtok_r(at, " \n", &save)) != NULL;
	     at = NULL) {
		column++;
		if (strncmp(at, "CPU", 3) == 0 && atoi(at + 3) == cpu)
			break;
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		char *at = line + strspn(line, " ");

		if (strncmp(at, "CAL:", 4) != 0 && strncmp(at, "TLB:", 4) != 0)
			continue;
		at += 4;
		for (int i = 0; i < column; i++)
			(void)strtoull(at, &at, 10);
		sum += strtoull(at, &at, 10);
	}
	fclose(file);
	return sum;
}

/* --- the owner ---------------------------------------------------------- */

struct usage {
	uint64_t faults, sleeps;
};

static struct usage usage_now(void)
{
	struct rusage usage;

	CHECK_EQ(getrusage(RUSAGE_SELF, &usage), 0);
	return (struct usage){
		(uint64_t)(usage.ru_minflt + usage.ru_majflt),
		(uint64_t)usage.ru_nvcsw,
	};
}

/* Until the watcher goes on. */
static void work(struct weir_pool *pool, enum step until)
{
	while (!happened(&shared->step, until)) {
		for (unsigned i = 0; i < 1000; i++)
			weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
		__atomic_add_fetch(&shared->operations, 2000, __ATOMIC_RELAXED);
	}
}

static void own(void *arg)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct usage before, after;
	struct weir_pool *pool;

	(void)arg;
	CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
	pin(allowed_cpu(1));
	opts.capacity = UINT64_C(8) << 30; /* most of it was never touched */
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0,
		    0) != 0)
		_exit(77);
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	tell(&shared->ready);
	await(&shared->step, WATCHED);
	usage_now(); /* what it needs itself is there now */
	before = usage_now();
	work(pool, CONTROLLED);
	after = usage_now();
	shared->faults = after.faults - before.faults;
	shared->sleeps = after.sleeps - before.sleeps;
	tell(&shared->ready);
	work(pool, END);
	_exit(0);
}

/* --- the watcher -------------------------------------------------------- */

static struct weir_watch *found;

static int take(const struct weir_watch_id *id, void *ctx)
{
	(void)ctx;
	return weir_watch_open(&found, id) == 0;
}

static void read_once(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;

	CHECK_EQ(weir_watch_info(found, &info), 0);
	CHECK_EQ(weir_watch_read(found, &stat), 0);
	CHECK_EQ(weir_watch_read_zone(found, 0, &zone), 0);
	CHECK_EQ(weir_watch_read_cpu(found, 0, 0, &cpu), 0);
}

static void interrupt_once(void)
{
	CHECK_EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0),
		 0);
}

static uint64_t operations_now(void)
{
	return __atomic_load_n(&shared->operations, __ATOMIC_RELAXED);
}

/* False if the owner did not run all along. */
static bool cost_of_few(void (*once)(void), int cpu, uint64_t *cost)
{
	uint64_t before = interrupts(cpu);

	for (unsigned n = 0; n < AT_ONCE; n++) {
		uint64_t operations = operations_now();
		uint64_t end = now_ns() + 2000000;

		once();
		while (operations_now() == operations)
			if (now_ns() > end)
				return false;
	}
	*cost = interrupts(cpu) - before;
	return true;
}

/* How often the owner's CPU was interrupted by *n of these. Other programs want
 * that CPU, too, and interrupt it: only those count that follow each other
 * while the owner runs. */
static uint64_t cost(void (*once)(void), int cpu, unsigned *n)
{
	const uint64_t end = now_ns() + 20000000000u;
	uint64_t sum = 0, few;

	for (*n = 0; *n < READINGS && now_ns() < end;) {
		if (!cost_of_few(once, cpu, &few))
			continue;
		sum += few;
		*n += AT_ONCE;
	}
	return sum;
}

/* Memory of the pool that there is, in blocks of 512 bytes. */
static uint64_t blocks_of(pid_t pid)
{
	char path[64], target[32];
	struct stat st;

	for (int fd = 3; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		if (readlink(path, target, 12) == 12 &&
		    memcmp(target, "/memfd:weir:", 12) == 0 &&
		    stat(path, &st) == 0)
			return (uint64_t)st.st_blocks;
	}
	return 0;
}

int main(void)
{
	uint64_t watched, controlled, before, faults, sleeps, operations;
	unsigned nr_read, nr_control;
	int cpu = allowed_cpu(1);
	pid_t pid;

	need_two_cpus();
#ifdef WI_TSAN
	SKIP("this sanitizer faults and sleeps by itself");
#endif
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	pin(allowed_cpu(0));
	pid = start_child(own, NULL);
	while (!happened(&shared->ready, 1)) {
		int status;

		if (waitpid(pid, &status, WNOHANG) == pid)
			SKIP("this kernel has no global membarrier");
		sched_yield();
	}
	if (weir_watch_list(pid, take, NULL) != 1)
		SKIP("pools cannot be watched on this system");
	tell(&shared->step);
	before = blocks_of(pid);
	watched = cost(read_once, cpu, &nr_read);
	CHECK_EQ(blocks_of(pid), before);
	tell(&shared->step);
	await(&shared->ready, 2);
	faults = shared->faults;
	sleeps = shared->sleeps;
	operations = operations_now();
	controlled = cost(interrupt_once, cpu, &nr_control);
	tell(&shared->step);
	CHECK_EQ(end_child(pid), 0);
	CHECK(before > 0 && operations > 0);
	CHECK_EQ(faults, 0);
	CHECK_EQ(sleeps, 0);
	if (nr_read < ENOUGH || nr_control < ENOUGH)
		SKIP("owner and watcher hardly run at the same time");
	printf("figures: %u readings beside %" PRIu64 " operations: %" PRIu64
	       " interrupts (control: %" PRIu64 " of %u), %" PRIu64
	       " faults, %" PRIu64 " sleeps\n",
	       nr_read, operations, watched, controlled, nr_control, faults,
	       sleeps);
	CHECK_MSG(controlled >= nr_control / 2, "the control is not counted");
	CHECK_MSG(watched < nr_read / 4,
		  "%u readings, and %" PRIu64 " interrupts", nr_read, watched);
	weir_watch_close(found);
	return 0;
}
