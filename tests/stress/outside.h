/* SPDX-License-Identifier: MIT */
/*
 * What a process cannot do to itself. Each variant of a torture runs in a
 * process of its own, and this one, outside of it, stops it and lets it go on
 * (SIGSTOP, SIGCONT), stops single threads wherever they are (ptrace), moves
 * them, and lets them preempt others or be preempted by everybody (SCHED_FIFO,
 * SCHED_IDLE); all where it may. While one thread stands still the others must
 * get on: a watchdog.
 */
#ifndef WEIR_TESTS_OUTSIDE_H
#define WEIR_TESTS_OUTSIDE_H

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "fault/seccomp.h"
#include "torture.h"

/* Long enough for a machine that is busy with other things. */
#define OUTSIDE_WATCHDOG_NS 30000000000u

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OUTSIDE_THREADS_SHARE_LOCKS 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
/* Threads of the sanitizer's own wait for each other. */
#define OUTSIDE_THREADS_SHARE_LOCKS 1
#endif

static inline bool outside_is_pausing(void)
{
	return __atomic_load_n(&shared->pausing, __ATOMIC_ACQUIRE) != 0;
}

static inline uint32_t outside_tid(unsigned i)
{
	return __atomic_load_n(&shared->t[i].tid, __ATOMIC_ACQUIRE);
}

static inline uint64_t outside_steps(unsigned i)
{
	return __atomic_load_n(&shared->t[i].steps, __ATOMIC_RELAXED);
}

/* All but one must make two steps more; not so if they are to stand still. */
static inline void outside_watch(unsigned stopped)
{
	const uint64_t end = now_ns() + OUTSIDE_WATCHDOG_NS;
	uint32_t tid[TORTURERS_MAX];
	uint64_t steps[TORTURERS_MAX];
	const unsigned nr = shared->nr;

	for (unsigned i = 0; i < nr; i++) {
		tid[i] = outside_tid(i);
		steps[i] = outside_steps(i);
	}
	for (unsigned i = 0; i < nr; i++)
		while (i != stopped && tid[i] != 0 &&
		       tid[i] == outside_tid(i) &&
		       outside_steps(i) < steps[i] + 2) {
			if (outside_is_pausing())
				return;
			CHECK_MSG(now_ns() < end,
				  "thread %u waits for thread %u, which stands "
				  "still",
				  i + 1, stopped + 1);
			torture_nap(100000);
		}
}

/* Stops one thread where it is, for a while. */
static inline void outside_freeze(unsigned victim, uint64_t random)
{
	const pid_t tid = (pid_t)outside_tid(victim);
	int status = 0;
	long signal = 0;

	if (tid == 0 || ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0)
		return;
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
		return; /* it has ended */
	shared->freezes++;
#ifndef OUTSIDE_THREADS_SHARE_LOCKS
	if (random % 16 == 0)
		outside_watch(victim);
	else
#endif
		torture_nap(random >> 8 & (random & 0x80 ? 0x3fffff : 0x3ffff));
	if (status >> 16 == 0) /* on its way to a handler */
		signal = WSTOPSIG(status);
	ptrace(PTRACE_DETACH, tid, NULL, signal);
}

/* Another class of scheduling: 0 ordinary, 1 before all, 2 after all. */
static inline void outside_reschedule(unsigned victim, uint64_t random)
{
	static const int policies[] = { SCHED_OTHER, SCHED_FIFO, SCHED_IDLE };
	const pid_t tid = (pid_t)outside_tid(victim);
	const int policy = policies[1 + random % 2];
	struct sched_param param = { .sched_priority = policy == SCHED_FIFO };

	if (tid == 0 || sched_setscheduler(tid, policy, &param) != 0)
		return;
	torture_nap(random >> 8 & (policy == SCHED_FIFO ? 0xfffff : 0x3fffff));
	param.sched_priority = 0;
	sched_setscheduler(tid, SCHED_OTHER, &param);
}

static inline void outside_move(unsigned victim, uint64_t random)
{
	const pid_t tid = (pid_t)outside_tid(victim);
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned i = 0; allowed_cpu(i) >= 0; i++)
		if (random >> i % 32 & 1)
			CPU_SET((size_t)allowed_cpu(i), &set);
	if (tid != 0 && CPU_COUNT(&set) > 0)
		sched_setaffinity(tid, sizeof(set), &set);
}

static inline void outside_step(pid_t child, uint64_t *random)
{
	const uint64_t r = check_random(random);
	const unsigned nr = __atomic_load_n(&shared->nr, __ATOMIC_ACQUIRE);
	const unsigned victim = nr > 0 ? (unsigned)(r >> 8) % nr : 0;

	if (nr == 0 || outside_is_pausing()) {
		torture_nap(200000);
		return;
	}
	switch (r % 16) {
	case 0:
		shared->stops++;
		kill(child, SIGSTOP);
		torture_nap(r >> 16 & 0x7fffff);
		kill(child, SIGCONT);
		break;
	case 1:
	case 2:
		if (shared->t[victim].works)
			outside_reschedule(victim, r >> 16);
		break;
	case 3:
	case 4:
		if (shared->t[victim].works)
			outside_move(victim, r >> 16);
		break;
	default:
		outside_freeze(victim, r >> 16);
	}
	torture_nap(check_random(random) & 0x3fffff);
}

/* On a terminal, each second: what is done so far. */
static inline void outside_progress(uint64_t start)
{
	static uint64_t next;
	uint64_t ops = 0;

	if (now_ns() < next || !isatty(STDERR_FILENO))
		return;
	next = now_ns() + 1000000000u;
	for (unsigned i = 0; i < TORTURERS_MAX; i++)
		ops += __atomic_load_n(&shared->t[i].ops, __ATOMIC_RELAXED);
	fprintf(stderr,
		"  %3u s  %.1f M operations, %" PRIu64 " threads stopped\r",
		(unsigned)((now_ns() - start) / 1000000000u), (double)ops / 1e6,
		shared->freezes);
}

/* Runs one variant in a process of its own; the program ends if that fails. */
static inline void outside_run(void (*run)(double), double seconds)
{
	const uint64_t start = now_ns();
	uint64_t random = shared->seed ^ UINT64_C(0x9e3779b97f4a7c15);
	int status = 0;
	pid_t child;

	allowed_cpu(0);
	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm((unsigned)(seconds * 4) + 100);
		run(seconds);
		exit(0);
	}
	torture_hurry(2);
	while (waitpid(child, &status, WNOHANG) != child) {
		outside_step(child, &random);
		outside_progress(start);
	}
	if (WIFSIGNALED(status))
		check_fail(__FILE__, __LINE__, "ended by signal %d (%s)",
			   WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) != 0)
		exit(WEXITSTATUS(status));
}

/* The arguments: [SECONDS [VARIANT [SEED]]]. SECONDS is for each variant. */
struct outside_options {
	double seconds;
	const char *only; /* variant, or NULL */
};

static inline struct outside_options outside_init(int argc, char **argv,
						  double in_all, unsigned nr)
{
	struct outside_options o = { .seconds = in_all };

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	if (argc > 2 && argv[2][0] != '\0')
		o.only = argv[2];
	if (argc > 1)
		o.seconds = atof(argv[1]);
	o.seconds /= o.only != NULL ? 1 : nr;
	shared->seed = argc > 3 ? strtoull(argv[3], NULL, 0) : now_ns();
	printf("seed %" PRIu64 "\n", shared->seed);
	return o;
}

/* This program once more, in a process that the kernel gives no sequences;
 * false if this is that process. */
static inline bool outside_run_without_rseq(double seconds)
{
	char words[32], seed[32];
	int status = 0;
	pid_t child;

	if (getenv("WITHOUT_RSEQ") != NULL)
		return false;
	snprintf(words, sizeof(words), "%f", seconds);
	snprintf(seed, sizeof(seed), "%" PRIu64, shared->seed);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("WITHOUT_RSEQ", "1", 1);
		seccomp_refuse_one(SYS_rseq, ENOSYS);
		execl("/proc/self/exe", "torture", words, "ordinary", seed,
		      (char *)NULL);
		_exit(127);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK_MSG(status == 0, "without rseq: status %#x", (unsigned)status);
	return true;
}

/* The last line; a cache does not tell of aborts. */
static inline void outside_figures(const char *things)
{
	char aborts[40] = "";

	if (shared->aborts > 0)
		snprintf(aborts, sizeof(aborts), " %" PRIu64 " aborts,",
			 shared->aborts);
	printf("%" PRIu64 " signals, %" PRIu64 " threads stopped, %" PRIu64
	       " times all, %" PRIu64 " made anew; %" PRIu64 " ENOMEM, %" PRIu64
	       " other failures\n",
	       shared->signals, shared->freezes, shared->stops, shared->lives,
	       shared->empty, shared->again);
	printf("figures: %.1f M ops, %" PRIu64 " drains (%" PRIu64
	       " progress %" PRIu64 " idle %" PRIu64 " barrier %" PRIu64
	       " late),%s %.0f M %s\n",
	       (double)shared->ops / 1e6, shared->drains, shared->progress,
	       shared->not_busy, shared->membarrier, shared->late, aborts,
	       (double)shared->checked / 1e6, things);
}

#endif
