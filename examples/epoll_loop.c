/* SPDX-License-Identifier: MIT */
/*
 * Task: an event loop that sleeps while its pool is empty. It leaves a request
 * with the pool, whose eventfd wakes epoll; every millisecond it does the
 * pool's housekeeping, as nobody else does. Beside it, a loop that tries all
 * the time.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <weir/request.h>
#include <weir/stat.h>

enum { BATCH = 32, PAGES = 48, BATCHES = 300 }; /* one batch at a time */

static struct weir_pool *pool;
static int to_device[2], epoll;
static struct epoll_event event = { .events = EPOLLIN };

static void must(int ok, const char *what)
{
	if (!ok)
		_exit((fprintf(stderr, "%s: %s\n", what, weir_last_error()),
		       1));
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Has each batch for a millisecond, and frees it into its own CPU's list. */
static void *device(void *unused)
{
	void *page[BATCH];

	while (read(to_device[0], page, sizeof(page)) > 0) {
		usleep(1000);
		weir_free_bulk(pool, 0, page, BATCH);
	}
	return unused;
}

static unsigned long get_asleep(void **page)
{
	struct weir_request request = WEIR_REQUEST_INIT;
	unsigned long wakes = 1;
	eventfd_t count;

	request.n = BATCH;
	request.pages = page;
	request.fd = event.data.fd;
	if (weir_request_submit(pool, &request) == 1)
		return wakes; /* at once: no event will come */
	for (; epoll_wait(epoll, &event, 1, 1) == 0; wakes++)
		weir_maintain_wait(pool, 0, 0, NULL);
	must(eventfd_read(event.data.fd, &count) == 0, "the count");
	must(weir_request_is_done(&request), "the request");
	return wakes;
}

static unsigned long get_spinning(void **page)
{
	for (unsigned long tries = 1;; tries++)
		if (weir_alloc_bulk(pool, 0, page, BATCH, WEIR_RECLAIM) == 0)
			return tries;
}

static void run(const char *name, unsigned long (*get)(void **page))
{
	const double cpu = (double)clock() / CLOCKS_PER_SEC;
	struct weir_stat before = WEIR_STAT_INIT, after = WEIR_STAT_INIT;
	double us, sum = 0, most = 0;
	unsigned long turns = 0;
	void *page[BATCH];

	weir_stat_read(pool, &before);
	for (unsigned i = 0; i < BATCHES; i++) {
		us = -now_us();
		turns += get(page);
		us += now_us();
		sum += us;
		most = us > most ? us : most;
		must(write(to_device[1], page, sizeof(page)) > 0, "a write");
	}
	weir_stat_read(pool, &after);
	printf("%s: %lu turns, %.0f us a batch, %.0f at most, %.0f "
	       "membarriers, %.0f ms of CPU time\n",
	       name, turns, sum / BATCHES, most,
	       (double)(after.membarriers - before.membarriers),
	       ((double)clock() / CLOCKS_PER_SEC - cpu) * 1e3);
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	pthread_t thread;

	opts.capacity = PAGES * 4096;
	opts.list_limit = PAGES;
	must(weir_pool_create(&pool, &opts) == 0, "a pool");
	must(pipe(to_device) == 0, "a pipe");
	must(pthread_create(&thread, NULL, device, NULL) == 0, "a thread");
	event.data.fd = eventfd(0, 0);
	epoll = epoll_create1(0);
	epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
	run("sleeping", get_asleep);
	run("spinning", get_spinning);
	close(to_device[1]);
	pthread_join(thread, NULL);
	return weir_pool_destroy(pool, 0) != 0;
}
