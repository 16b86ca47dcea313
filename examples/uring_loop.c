/* SPDX-License-Identifier: MIT */
/*
 * Task: as epoll_loop.c, by io_uring: the ring reads the request's eventfd, and
 * waits for a millisecond between two rounds of housekeeping.
 */
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <weir/request.h>
#include <weir/stat.h>

enum { BATCH = 32, PAGES = 48, BATCHES = 300 }; /* one batch at a time */

static struct weir_pool *pool;
static struct io_uring ring;
static int to_device[2], event;

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
	struct __kernel_timespec tick = { .tv_nsec = 1000000 };
	struct weir_request request = WEIR_REQUEST_INIT;
	struct io_uring_cqe *cqe = NULL;
	uint64_t wakes = 1, count;

	request.n = BATCH;
	request.pages = page;
	request.fd = event;
	if (weir_request_submit(pool, &request) == 1)
		return wakes; /* at once: no event will come */
	io_uring_prep_read(io_uring_get_sqe(&ring), event, &count, 8, 0);
	io_uring_submit(&ring);
	for (; io_uring_wait_cqe_timeout(&ring, &cqe, &tick) != 0; wakes++)
		weir_maintain_wait(pool, 0, 0, NULL);
	io_uring_cqe_seen(&ring, cqe);
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
		us = now_us();
		turns += get(page);
		sum += us = now_us() - us;
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

	if (io_uring_queue_init(8, &ring, 0) != 0)
		return puts("skipped: the kernel refuses a ring"), 77;
	opts.capacity = PAGES * 4096;
	opts.list_limit = PAGES;
	must(weir_pool_create(&pool, &opts) == 0, "a pool");
	event = eventfd(0, 0);
	must(pipe(to_device) == 0, "a pipe");
	must(pthread_create(&thread, NULL, device, NULL) == 0, "a thread");
	run("sleeping", get_asleep);
	run("spinning", get_spinning);
	close(to_device[1]);
	pthread_join(thread, NULL);
	return weir_pool_destroy(pool, 0) != 0;
}
