/* SPDX-License-Identifier: MIT */
/*
 * A mutex whose holder inherits the priority of its waiters, so that a
 * real-time thread that wants to drain does not wait for a drainer that is not
 * scheduled. It checks for errors: locking it twice is reported.
 *
 * Deadlines are of CLOCK_MONOTONIC. The kernel supports those for such a mutex
 * since 5.14 (FUTEX_LOCK_PI2). Before, the wait is on CLOCK_REALTIME, in slices
 * short enough that setting the clock back does little harm.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/assert.h"
#include "base/bits.h"
#include "os/os.h"

#define NS_PER_S UINT64_C(1000000000)
#define SLICE_NS (NS_PER_S / 20)

/*
 * pthread_mutex_clocklock() came with glibc 2.30; musl has none. gcc 12's
 * ThreadSanitizer does not know it either, and would see no lock taken.
 */
#if defined(__has_feature)
#define TSAN_FEATURE __has_feature(thread_sanitizer)
#else
#define TSAN_FEATURE 0
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__) && !TSAN_FEATURE
#define HAS_CLOCKLOCK 1
#else
#define HAS_CLOCKLOCK 0
#endif

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(struct wi_os_mutex),
	       "struct wi_os_mutex is too small for this C library");
_Static_assert(_Alignof(pthread_mutex_t) <= _Alignof(struct wi_os_mutex),
	       "struct wi_os_mutex is aligned too loosely");

static pthread_mutex_t *pthread_inside(struct wi_os_mutex *m)
{
	return (pthread_mutex_t *)(void *)m->opaque;
}

int wi_os_mutex_init(struct wi_os_mutex *m)
{
	pthread_mutexattr_t attr;
	int error = pthread_mutexattr_init(&attr);

	if (error)
		return -error;
	error = pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	if (!error)
		error = pthread_mutexattr_setprotocol(&attr,
						      PTHREAD_PRIO_INHERIT);
	if (!error)
		error = pthread_mutex_init(pthread_inside(m), &attr);
	if (error == ENOTSUP) { /* not in this kernel: better than no mutex */
		error = pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_NONE);
		if (!error)
			error = pthread_mutex_init(pthread_inside(m), &attr);
	}
	pthread_mutexattr_destroy(&attr);
	return -error;
}

void wi_os_mutex_fini(struct wi_os_mutex *m)
{
	if (pthread_mutex_destroy(pthread_inside(m)))
		wi_panic("a mutex was destroyed while it was held");
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
}

/* As pthread_mutex_clocklock() with CLOCK_MONOTONIC, on any kernel. */
static WI_COLD int lock_by_wall_clock(pthread_mutex_t *mutex,
				      uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = wi_os_now_ns(), wait = 0;
		struct timespec wall;
		int error;

		if (now < deadline_ns)
			wait = wi_min_u64(deadline_ns - now, SLICE_NS);
		clock_gettime(CLOCK_REALTIME, &wall);
		wall = timespec_of((uint64_t)wall.tv_sec * NS_PER_S +
				   (uint64_t)wall.tv_nsec + wait);
		error = pthread_mutex_timedlock(mutex, &wall);
		if (error != ETIMEDOUT || wait == 0)
			return error;
	}
}

static int lock_until(pthread_mutex_t *mutex, uint64_t deadline_ns)
{
#if HAS_CLOCKLOCK
	struct timespec deadline = timespec_of(deadline_ns);
	int error = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &deadline);

	if (error != EINVAL && error != ENOSYS && error != ENOTSUP)
		return error;
#endif
	return lock_by_wall_clock(mutex, deadline_ns);
}

int wi_os_mutex_lock(struct wi_os_mutex *m, uint64_t deadline_ns)
{
	int error;

	if (deadline_ns == UINT64_MAX)
		error = pthread_mutex_lock(pthread_inside(m));
	else
		error = lock_until(pthread_inside(m), deadline_ns);
	return -error;
}

bool wi_os_mutex_trylock(struct wi_os_mutex *m)
{
	return pthread_mutex_trylock(pthread_inside(m)) == 0;
}

void wi_os_mutex_unlock(struct wi_os_mutex *m)
{
	if (pthread_mutex_unlock(pthread_inside(m)))
		wi_panic("a mutex was unlocked by a thread without it");
}
