/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a call is a cancellation point, which weir.h denies; or a
 * thread that is cancelled asynchronously in one keeps what others wait for:
 * the drain mutex, so that all later drains time out and destroying the pool
 * aborts, or a place among those who wait for a page.
 */
#include <weir/fast.h>
#include <weir/request.h>
#include <weir/watch.h>

#include "base/atomic.h"
#include "fault.h"
#include "api/pool.h"

#define PAGES 256

static struct weir_pool *pool;
static struct weir_cache *cache;

/* --- cancellation that acts at cancellation points only ------------------ */

static size_t get_tokens(void *context, unsigned list, uint64_t *tokens,
			 size_t n)
{
	(void)context, (void)list;
	for (size_t i = 0; i < n; i++)
		tokens[i] = i;
	return n;
}

/* A function of the caller's that is a cancellation point. */
static void put_tokens(void *context, unsigned list, const uint64_t *tokens,
		       size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
	pthread_testcancel();
}

static int look(const struct weir_watch_id *id, void *ctx)
{
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;
	struct weir_watch *watch;

	(void)ctx;
	pthread_testcancel();
	if (weir_watch_open(&watch, id) == 0) {
		(void)weir_watch_info(watch, &info);
		weir_watch_close(watch);
	}
	return 0;
}

static void create_both(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_cache_opts cache_opts = WEIR_CACHE_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	cache_opts.backend.get = get_tokens;
	cache_opts.backend.put = put_tokens;
	CHECK_EQ(weir_cache_create(&cache, &cache_opts), 0);
}

static void on_done(struct weir_request *request, void *context)
{
	(void)request;
	++*(unsigned *)context;
	pthread_testcancel();
}

/* Of a pool that has nothing but what is freed here. */
static void ask(void *page)
{
	struct weir_request request = WEIR_REQUEST_INIT;
	unsigned nr_done = 0;
	void *got;

	request.n = 1;
	request.pages = &got;
	request.done = on_done;
	request.context = &nr_done;
	CHECK_EQ(weir_request_submit(pool, &request), 0);
	CHECK_EQ(weir_request_cancel(pool, &request), 0);
	CHECK_EQ(weir_request_submit(pool, &request), 0);
	weir_free(pool, page, 0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(nr_done, 1);
	weir_free(pool, got, 0);
	CHECK_EQ(weir_maintain_start(pool, NULL), 0);
	CHECK_EQ(weir_maintain_stop(pool), 0);
}

static void call_everything(void)
{
	struct weir_pool_opts wrong = WEIR_POOL_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_burst burst;
	void *pages[PAGES + 1];
	size_t n;

	CHECK_EQ(weir_pool_create(&(struct weir_pool *){ NULL }, &wrong),
		 -EINVAL);
	CHECK(weir_last_error()[0] != '\0');
	n = weir_alloc_upto(pool, 0, pages, PAGES + 1, 0);
	CHECK_EQ(n, PAGES);
	CHECK(weir_alloc(pool, 0, 0) == NULL); /* drains, and waits */
	CHECK(weir_last_error() != NULL);
	ask(pages[1]);
	weir_burst_begin(pool, &burst);
	weir_free_bulk(pool, 0, pages + 2, n - 2);
	weir_burst_end(pool, &burst);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_maintain(pool, 10, NULL), 0);
	CHECK_EQ(weir_set_mode(pool, "", WEIR_MODE_OFF), 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK(weir_watch_list(getpid(), look, NULL) >= 0);
	weir_cache_put(cache, 0, weir_cache_get(cache, 0, 0));
	CHECK_EQ(weir_cache_drain(cache, NULL, NULL), 0);
	CHECK_EQ(weir_cache_destroy(cache), 0);
	/* One is out: it is printed. */
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_LIST), -EBUSY);
	CHECK_EQ(weir_pool_destroy(pool,
				   WEIR_DESTROY_LIST | WEIR_DESTROY_FORCE),
		 0);
}

/* The first creation of a process starts a thread, and waits for its end. */
static void first_thread(void *unused)
{
	(void)unused;
	CHECK(freopen("/dev/null", "w", stderr) != NULL);
	setvbuf(stderr, NULL, _IONBF, 0);
	CHECK_EQ(pthread_cancel(pthread_self()), 0);
	create_both();
	call_everything();
	_exit(42);
}

/* --- cancellation at any instruction ------------------------------------- */

static event in_burst, may_end;

static void stay_in_burst(void *unused)
{
	struct weir_burst burst;
	void *page = weir_alloc(pool, 0, 0);

	(void)unused;
	weir_burst_begin(pool, &burst);
	weir_free(pool, page, 0);
	tell(&in_burst);
	await(&may_end, 1);
	weir_burst_end(pool, &burst);
}

static event started;

static void *drain_for_long(void *unused)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;

	(void)unused;
	pin(allowed_cpu(1));
	opts.wait_ns = 100000000;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	tell(&started);
	for (;;)
		(void)weir_drain(pool, &opts, NULL);
	return NULL;
}

static void *wait_for_page(void *unused)
{
	(void)unused;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	tell(&started);
	for (;;)
		unused = weir_alloc(pool, 0, 0);
	return NULL;
}

static void *change_mode(void *unused)
{
	(void)unused;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	tell(&started);
	for (unsigned n = 0;; n++) {
		(void)weir_set_mode(pool, "nonsense", WEIR_MODE_QUIET);
		(void)weir_last_error();
		(void)weir_set_mode(pool, NULL,
				    n % 2 ? WEIR_MODE_QUIET : WEIR_MODE_OFF);
		(void)weir_maintain(pool, 10, NULL);
	}
	return NULL;
}

static void *(*const victims[])(void *) = {
	drain_for_long,
	wait_for_page,
	change_mode,
};

static void cancel(void *(*victim)(void *), useconds_t after)
{
	const uint32_t before = __atomic_load_n(&started, __ATOMIC_ACQUIRE);
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, victim, NULL), 0);
	await(&started, before + 1);
	usleep(after);
	CHECK_EQ(pthread_cancel(thread), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* Nobody is left in the pool. */
static void check_left(void)
{
	const struct wi_cache *impl = &wi_pool_of(pool)->cache;
	int err = weir_drain(pool, NULL, NULL);

	CHECK_MSG(err == 0 || err == -EAGAIN, "a drain says %d", err);
	for (unsigned list = 0; list < WI_POOL_LISTS; list++)
		for (unsigned i = 0; i < WI_NR_WAITERS; i++)
			CHECK_EQ(impl->waiters[list][i].taken, 0);
}

static void any_instruction(void *rounds)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct runner runner;
	uint64_t random = 7;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "";
	opts.wait_ns = 1000000;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	(void)weir_set_mode(pool, NULL, WEIR_MODE_QUIET);
	start_on(&runner, allowed_cpu(0), stay_in_burst, NULL);
	await(&in_burst, 1);
	for (unsigned i = 0; i < *(unsigned *)rounds; i++) {
		cancel(victims[i % 3], check_random(&random) % 3000);
		check_left();
	}
	/* In a drain that still waits. */
	cancel(drain_for_long, 20000);
	check_left();
	tell(&may_end);
	finish(&runner);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), 0);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 150;
	int status = end_child(start_child(first_thread, NULL));

	CHECK_MSG(status == 42,
		  "a thread that is to be cancelled ended with %d", status);
	/* gcc 12's sanitizers fault themselves when a thread is cancelled. */
#ifdef WI_TSAN
	rounds = 0;
#endif
	need_two_cpus();
	if (!CHECK_HAS_ASAN && rounds > 0)
		in_child(any_instruction, &rounds);
	printf("figures: %u threads cancelled at any instruction\n", rounds);
	return 0;
}
