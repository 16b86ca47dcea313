/* SPDX-License-Identifier: MIT */
/* Stops and lets go: see step.h. */
#include "step.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A frozen owner must not hold anybody up for as long. */
#define PATIENCE_S 60

static void futex(const uint32_t *word, int op, uint32_t value)
{
	const struct timespec slice = { .tv_nsec = 200000000 };

	syscall(SYS_futex, word, op, value, &slice, NULL, 0);
}

/* Until it is no longer so, or for a while. */
void futex_wait(const uint32_t *word, uint32_t value)
{
	futex(word, FUTEX_WAIT, value);
}

void futex_wake(const uint32_t *word)
{
	futex(word, FUTEX_WAKE, INT_MAX);
}

static void ended(struct trace *t, int status)
{
	kill(t->process, SIGKILL);
	CHECK_MSG(false, "the tracee ended with %s %d",
		  WIFSIGNALED(status) ? "signal" : "status",
		  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static uint64_t ip_of(struct trace *t)
{
	return (uint64_t)ptrace(PTRACE_PEEKUSER, t->thread,
				offsetof(struct user, regs.rip), 0);
}

/* To the next stop, of a thread that runs. */
static uint64_t await_stop(struct trace *t)
{
	int status, signal;

	for (;;) {
		CHECK_EQ(waitpid(t->thread, &status, __WALL), t->thread);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return ENDED;
		if (!WIFSTOPPED(status))
			ended(t, status);
		signal = WSTOPSIG(status);
		if (signal == SIGTRAP)
			break;
		CHECK_MSG(signal != SIGSEGV && signal != SIGABRT,
			  "the owner got signal %d at %#" PRIx64, signal,
			  ip_of(t));
		if (status >> 16 == PTRACE_EVENT_STOP)
			signal = 0;
		ptrace(PTRACE_CONT, t->thread, 0, signal);
	}
	if (shared->done) {
		shared->done = false;
		return DONE;
	}
	return ip_of(t) - 1;
}

void trace_begin(struct trace *t, void (*body)(void))
{
	char path[64];

	memset(shared, 0, sizeof(*shared));
	fflush(stdout);
	t->process = fork();
	CHECK(t->process >= 0);
	if (t->process == 0) {
		body();
		_exit(2);
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)t->process);
	t->memory = open(path, O_RDWR | O_CLOEXEC);
	for (unsigned i = 0;
	     __atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) == 0; i++) {
		int status;

		futex_wait(&shared->ready, 0);
		if (waitpid(-1, &status, WNOHANG | __WALL) > 0)
			ended(t, status);
		CHECK_MSG(i < 5 * PATIENCE_S, "the tracee does not begin");
	}
	t->thread = shared->owner;
	if (t->memory < 0 ||
	    ptrace(PTRACE_SEIZE, t->thread, 0, PTRACE_O_EXITKILL) != 0) {
		int error = errno;

		kill(t->process, SIGKILL);
		SKIP("no thread may be traced here: %s", strerror(error));
	}
	__atomic_store_n(&shared->ready, 2, __ATOMIC_RELEASE);
	futex_wake(&shared->ready);
	CHECK_EQ(await_stop(t), DONE);
}

void trace_end(struct trace *t)
{
	kill(t->process, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		; /* its traced thread, too */
	close(t->memory);
}

void trace_set_ip(struct trace *t, uint64_t at)
{
	CHECK_EQ(ptrace(PTRACE_POKEUSER, t->thread,
			offsetof(struct user, regs.rip), at),
		 0);
}

uint64_t trace_go(struct trace *t, int signal)
{
	CHECK_EQ(ptrace(PTRACE_CONT, t->thread, 0, signal), 0);
	return await_stop(t);
}

void trace_write(struct trace *t, uint64_t at, const void *bytes, size_t n)
{
	CHECK_EQ(pwrite(t->memory, bytes, n, (off_t)at), (ssize_t)n);
}

void trace_set_traps(struct trace *t, bool all)
{
	for (unsigned i = 0; i < nr_texts; i++)
		trace_write(t, texts[i].at,
			    all ? texts[i].traps : texts[i].clean,
			    texts[i].bytes);
}

void trace_trap(struct trace *t, uint64_t at, bool set)
{
	for (unsigned i = 0; i < nr_texts; i++) {
		const struct text *text = &texts[i];

		if (at - text->at < text->bytes)
			trace_write(t, at,
				    (set ? text->traps : text->clean) + at -
					    text->at,
				    1);
	}
}

uint64_t trace_rseq_cs(struct trace *t, uint64_t value)
{
	const uint64_t at = shared->rseq + 8;
	uint64_t was;

	CHECK_EQ(pread(t->memory, &was, sizeof(was), (off_t)at), sizeof(was));
	trace_write(t, at, &value, sizeof(value));
	return was;
}

void trace_ask(struct trace *t, struct helper *helper, enum act act)
{
	uint32_t n = helper->asked + 1, done;

	helper->act = act;
	__atomic_store_n(&helper->asked, n, __ATOMIC_RELEASE);
	futex_wake(&helper->asked);
	for (unsigned i = 0;
	     (done = __atomic_load_n(&helper->done, __ATOMIC_ACQUIRE)) != n;
	     i++) {
		int status;

		futex_wait(&helper->done, done);
		if (waitpid(-1, &status, WNOHANG | __WALL) > 0)
			ended(t, status);
		CHECK_MSG(i < 5 * PATIENCE_S,
			  "a stopped thread holds up another's act %d",
			  (int)act);
	}
}
