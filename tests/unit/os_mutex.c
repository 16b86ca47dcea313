/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a drainer waits beyond its deadline, or a real-time thread
 * waits for one that is not scheduled.
 */
#include <linux/futex.h>
#include <sys/syscall.h>

#include "os/os.h"
#include "os_system.h"

#define MS UINT64_C(1000000)

struct holder {
	struct wi_os_mutex *m;
	pthread_t thread;
	_Atomic uint32_t tid;
	atomic_bool release;
};

static void *hold(void *arg)
{
	struct holder *h = arg;

	CHECK_EQ(wi_os_mutex_lock(h->m, UINT64_MAX), 0);
	atomic_store(&h->tid, wi_os_tid());
	while (!atomic_load(&h->release))
		usleep(500);
	wi_os_mutex_unlock(h->m);
	return NULL;
}

static void hold_begin(struct holder *h, struct wi_os_mutex *m)
{
	h->m = m;
	atomic_init(&h->tid, 0);
	atomic_init(&h->release, false);
	CHECK_EQ(pthread_create(&h->thread, NULL, hold, h), 0);
	while (!atomic_load(&h->tid))
		usleep(500);
}

static void hold_end(struct holder *h)
{
	atomic_store(&h->release, true);
	CHECK_EQ(pthread_join(h->thread, NULL), 0);
}

static void check_alone(struct wi_os_mutex *m)
{
	CHECK_EQ(wi_os_mutex_lock(m, UINT64_MAX), 0);
	CHECK_EQ(wi_os_mutex_lock(m, UINT64_MAX), -EDEADLK);
	CHECK_EQ(wi_os_mutex_lock(m, wi_os_now_ns() + MS), -EDEADLK);
	CHECK(!wi_os_mutex_trylock(m));
	wi_os_mutex_unlock(m);

	/* A deadline that has passed still takes a free mutex. */
	CHECK_EQ(wi_os_mutex_lock(m, 0), 0);
	wi_os_mutex_unlock(m);
	CHECK_EQ(wi_os_mutex_lock(m, wi_os_now_ns() + MS), 0);
	wi_os_mutex_unlock(m);
	CHECK(wi_os_mutex_trylock(m));
	wi_os_mutex_unlock(m);
}

static void check_deadline(struct wi_os_mutex *m)
{
	struct holder h;
	uint64_t before, after;

	hold_begin(&h, m);
	CHECK(!wi_os_mutex_trylock(m));
	CHECK_EQ(wi_os_mutex_lock(m, 0), -ETIMEDOUT);
	before = wi_os_now_ns();
	CHECK_EQ(wi_os_mutex_lock(m, before + 30 * MS), -ETIMEDOUT);
	after = wi_os_now_ns();
	CHECK_MSG(after - before >= 30 * MS, "gave up after %" PRIu64 " ns",
		  after - before);
	CHECK_MSG(after - before < 2000 * MS, "waited %" PRIu64 " ns",
		  after - before);

	/* Longer than one slice of the wait by wall clock. */
	before = wi_os_now_ns();
	CHECK_EQ(wi_os_mutex_lock(m, before + 130 * MS), -ETIMEDOUT);
	CHECK(wi_os_now_ns() - before >= 130 * MS);

	atomic_store(&h.release, true);
	CHECK_EQ(wi_os_mutex_lock(m, wi_os_now_ns() + 10000 * MS), 0);
	wi_os_mutex_unlock(m);
	hold_end(&h);
}

/* The priority the kernel gives a thread now: field 18 of its stat. */
static int priority_of(uint32_t tid)
{
	char path[64], text[1024], state;
	int priority;

	snprintf(path, sizeof(path), "/proc/self/task/%u/stat", tid);
	CHECK(wi_os_read_file(path, text, sizeof(text)) > 0);
	CHECK_EQ(sscanf(strrchr(text, ')'),
			") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u "
			"%*d %*d %d",
			&state, &priority),
		 2);
	return priority;
}

static void *wait_urgently(void *arg)
{
	struct sched_param urgent = { .sched_priority = 10 };
	struct wi_os_mutex *m = arg;

	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &urgent))
		return (void *)"real-time priorities are not ours to take";
	CHECK_EQ(wi_os_mutex_lock(m, UINT64_MAX), 0);
	wi_os_mutex_unlock(m);
	return NULL;
}

static void check_inheritance(struct wi_os_mutex *m)
{
	struct holder h;
	pthread_t waiter;
	void *why = NULL;
	int priority = 0;

	hold_begin(&h, m);
	CHECK_EQ(pthread_create(&waiter, NULL, wait_urgently, m), 0);
	for (int i = 0; i < 2000 && priority >= 0; i++) {
		usleep(1000);
		if (pthread_tryjoin_np(waiter, &why) == 0)
			break;
		priority = priority_of(atomic_load(&h.tid));
	}
	if (why) {
		printf("inheritance not seen: %s\n", (char *)why);
		hold_end(&h);
		return;
	}
	CHECK_MSG(priority == -11, "the holder runs at priority %d", priority);
	hold_end(&h);
	CHECK_EQ(pthread_join(waiter, NULL), 0);
}

/* Before Linux 5.14: only wall-clock deadlines. */
static void on_old_kernel(void *arg)
{
	if (!system_refuse(SYS_futex, 1, 0x7f, FUTEX_LOCK_PI2, ENOSYS))
		_exit(77);
	check_deadline(arg);
}

int main(void)
{
	struct wi_os_mutex m;
	int status;

	CHECK_EQ(wi_os_mutex_init(&m), 0);
	check_alone(&m);
	status = end_child(start_child(on_old_kernel, &m));
	CHECK_MSG(status == 0 || status == 77, "on an old kernel: %d", status);
	check_deadline(&m);
	check_inheritance(&m);
	wi_os_mutex_fini(&m);
	return 0;
}
