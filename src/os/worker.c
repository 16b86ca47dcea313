/* SPDX-License-Identifier: MIT */
/*
 * A thread of the library's own, which calls a function at intervals. It is in
 * a condition's wait between two calls, on CLOCK_MONOTONIC, and can be told to
 * end there.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "base/bits.h"
#include "os/internal.h"
#include "os/os.h"

#define NS_PER_S UINT64_C(1000000000)

struct wi_os_worker {
	struct wi_os_work work; /* without cpus, which the caller keeps */
	char name[16];
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t told;
	bool is_told; /* to end; under the mutex */
};

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
}

/* With the mutex: until the time has come, or it is told to end. */
static void wait_for_turn(struct wi_os_worker *worker)
{
	const uint64_t now = wi_os_now_ns();
	const struct timespec until =
		to_timespec(now + wi_min_u64(worker->work.interval_ns,
					     (uint64_t)INT64_MAX - now));
	int error = 0;

	while (!worker->is_told && error == 0)
		error = pthread_cond_timedwait(&worker->told, &worker->mutex,
					       &until);
}

static void *run_worker(void *arg)
{
	struct wi_os_worker *worker = arg;

	pthread_setname_np(pthread_self(), worker->name);
	pthread_mutex_lock(&worker->mutex);
	while (!worker->is_told) {
		pthread_mutex_unlock(&worker->mutex);
		worker->work.step(worker->work.ctx);
		pthread_mutex_lock(&worker->mutex);
		wait_for_turn(worker);
	}
	pthread_mutex_unlock(&worker->mutex);
	return NULL;
}

/* musl has no such function. Nor has it sequences, so that no CPU is set aside:
 * all those of the caller are meant, whose affinity is inherited. */
static int set_cpus(pthread_attr_t *attr, const struct wi_os_work *work)
{
#ifdef __GLIBC__
	return pthread_attr_setaffinity_np(
		attr, work->nr_words * sizeof(*work->cpus),
		(const cpu_set_t *)(const void *)work->cpus);
#else
	(void)attr, (void)work;
	return 0;
#endif
}

/* The calling thread's signal mask is inherited. */
static int create_thread(struct wi_os_worker *worker,
			 const struct wi_os_work *work)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int error = pthread_attr_init(&attr);

	if (error != 0)
		return -error;
	error = set_cpus(&attr, work);
	if (error == 0) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		error = pthread_create(&worker->thread, &attr, run_worker,
				       worker);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	pthread_attr_destroy(&attr);
	return -error;
}

static void fill_worker(struct wi_os_worker *worker,
			const struct wi_os_work *work)
{
	pthread_condattr_t attr;

	worker->work = *work;
	for (size_t i = 0; i + 1 < sizeof(worker->name) && work->name[i]; i++)
		worker->name[i] = work->name[i];
	pthread_mutex_init(&worker->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&worker->told, &attr);
	pthread_condattr_destroy(&attr);
}

int wi_os_worker_start(struct wi_os_worker **out, const struct wi_os_work *work)
{
	const struct wi_os_map map = { .bytes = sizeof(**out),
				       .no_fork = true };
	void *memory;
	int err = wi_os_map(&memory, &map);

	if (err != 0)
		return err;
	*out = memory;
	fill_worker(*out, work);
	err = create_thread(*out, work);
	if (err != 0)
		wi_os_unmap(memory, map.bytes);
	return err;
}

void wi_os_worker_stop(struct wi_os_worker *worker)
{
	pthread_mutex_lock(&worker->mutex);
	worker->is_told = true;
	pthread_cond_signal(&worker->told);
	pthread_mutex_unlock(&worker->mutex);
	pthread_join(worker->thread, NULL);
	wi_os_unmap(worker, sizeof(*worker));
}
