/* SPDX-License-Identifier: MIT */
/*
 * If this fails, maintenance forgets a request although a token came back while
 * it looked, or a get says that there is no token while a request's claim has
 * one that it will give back, or a back end that a pass called can lock itself
 * out.
 */
#include <sys/eventfd.h>

#include <weir/request.h>

#include "helpers.h"

static struct weir_cache *cache;
static int here, there;

/* --- a back end, which does on its next call what a test wants ------------ */

static struct {
	uint64_t token[64];
	unsigned n;
	void (*during)(void); /* called in get, after it looked */
} back;

static size_t back_get(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	void (*during)(void) = back.during;
	size_t got = 0;

	(void)context, (void)list;
	while (got < n && back.n > 0)
		tokens[got++] = back.token[--back.n];
	if (got == 0 && during != NULL) {
		back.during = NULL;
		during();
	}
	return got;
}

static void back_put(void *context, unsigned list, const uint64_t *tokens,
		     size_t n)
{
	(void)context, (void)list;
	for (size_t i = 0; i < n; i++)
		back.token[back.n++] = tokens[i];
}

static void create(unsigned nr_tokens)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend.get = back_get;
	opts.backend.put = back_put;
	opts.quiet_cpus = "";
	opts.wait_ns = 30000000000u; /* on a busy machine */
	memset(&back, 0, sizeof(back));
	while (back.n < nr_tokens) {
		back.token[back.n] = back.n;
		back.n++;
	}
	CHECK_MSG(weir_cache_create(&cache, &opts) == 0, "%s",
		  weir_last_error());
	/* No lists: puts go to the back end. */
	CHECK_EQ(weir_cache_set_mode(cache, NULL, WEIR_MODE_OFF), 0);
}

static void destroy(void)
{
	CHECK_MSG(weir_cache_destroy(cache) == 0, "%s", weir_last_error());
}

static unsigned nr_done;

static void on_done(struct weir_request *request, void *context)
{
	(void)request, (void)context;
	nr_done++;
}

static void ask(struct weir_request *request, uint64_t *tokens, size_t n)
{
	*request = (struct weir_request)WEIR_REQUEST_INIT;
	request->n = n;
	request->tokens = tokens;
	request->done = on_done;
	nr_done = 0;
	CHECK_EQ(weir_cache_request_submit(cache, request), 0);
}

/* --- what comes back while a pass looks ----------------------------------- */

static uint64_t taken[64];
static unsigned nr_taken;

static void give_one_back(void)
{
	weir_cache_put(cache, 0, taken[--nr_taken]);
}

static void take_all(unsigned n)
{
	CHECK_EQ(weir_cache_get_bulk(cache, 0, taken, n, 0), 0);
	nr_taken = n;
}

static void wait_for_next_look(void)
{
	back.during = give_one_back;
}

/* The last look before it returns misses the token, which is there by then. (It
 * looks before it drains, too.) */
static void looks_again(void)
{
	struct weir_request request;
	uint64_t got[1];

	create(1);
	take_all(1);
	ask(&request, got, 1);
	back.during = wait_for_next_look;
	CHECK_EQ(weir_cache_maintain(cache, NULL), 0);
	CHECK_EQ(nr_done, 1);
	weir_cache_put(cache, 0, got[0]);
	destroy();
}

/* A token comes back in each look, and goes again before the next. */
static void give_and_take(void)
{
	uint64_t token = taken[nr_taken - 1];

	give_one_back();
	CHECK_EQ(back.n, 1);
	back.n = 0;
	taken[nr_taken++] = token;
	back.during = give_and_take;
}

static void looks_not_for_ever(void)
{
	struct weir_request request;
	uint64_t got[1];

	create(1);
	take_all(1);
	ask(&request, got, 1);
	back.during = give_and_take;
	CHECK_EQ(weir_cache_maintain(cache, NULL), -EAGAIN);
	CHECK(strstr(weir_last_error(), "requests wait") != NULL);
	back.during = NULL;
	CHECK_EQ(nr_done, 0);
	CHECK_EQ(weir_cache_destroy(cache), -EBUSY);
	CHECK_EQ(weir_cache_request_cancel(cache, &request), 0);
	give_one_back();
	destroy();
}

/* --- what a claim holds for a moment -------------------------------------- */

static event claimed, judged;

static void stay_in_claim(void)
{
	tell(&claimed);
	await(&judged, 1);
}

static void maintain(void *unused)
{
	(void)unused;
	CHECK_EQ(weir_cache_maintain(cache, NULL), 0);
}

/* The request wants two of one token. */
static void no_false_empty(void)
{
	struct weir_request request;
	struct runner runner;
	uint64_t got[2];

	create(1);
	ask(&request, got, 2);
	CHECK_EQ(back.n, 1);
	back.during = stay_in_claim;
	claimed = judged = 0;
	start_on(&runner, there, maintain, NULL);
	await(&claimed, 1);
	CHECK_EQ(weir_cache_get(cache, 0, 0), WEIR_CACHE_NONE);
	CHECK_EQ(errno, EAGAIN);
	tell(&judged);
	finish(&runner);
	CHECK_EQ(back.n, 1);
	CHECK_EQ(weir_cache_request_cancel(cache, &request), 0);
	destroy();
}

/* --- a back end that does what it must not -------------------------------- */

static struct weir_request other;
static int refusals;

static void submit_from_get(void)
{
	static uint64_t tokens[1];

	other = (struct weir_request)WEIR_REQUEST_INIT;
	other.n = 1;
	other.tokens = tokens;
	other.done = on_done;
	refusals = weir_cache_request_submit(cache, &other) == -EDEADLK;
	refusals += weir_cache_request_cancel(cache, &other) == -EDEADLK;
	refusals += weir_cache_maintain(cache, NULL) == -EDEADLK;
}

static void refuses_the_back_end(void)
{
	struct weir_request request;
	uint64_t got[1];

	create(0);
	back.during = submit_from_get;
	ask(&request, got, 1);
	CHECK_EQ(refusals, 3);
	CHECK_EQ(weir_cache_request_cancel(cache, &request), 0);
	destroy();
}

/* --- by an eventfd -------------------------------------------------------- */

static void by_a_get_that_drains(void)
{
	const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct weir_request request = WEIR_REQUEST_INIT;
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;
	uint64_t got[1], n;

	create(2);
	take_all(2);
	request.n = 1;
	request.tokens = got;
	request.fd = fd;
	CHECK_EQ(weir_cache_request_submit(cache, &request), 0);
	give_one_back();
	CHECK_EQ(weir_cache_get_bulk(cache, 0, taken + 1, 2, 0), -ENOMEM);
	CHECK_EQ(read(fd, &n, sizeof(n)), 8);
	CHECK_EQ(n, 1);
	CHECK_EQ(weir_request_is_done(&request), 1);
	CHECK_EQ(weir_cache_stat_read(cache, &stat), 0);
	CHECK_EQ(stat.requests_completed, 1);
	CHECK_EQ(stat.requests_waiting, 0);
	weir_cache_put(cache, 0, got[0]);
	give_one_back();
	close(fd);
	destroy();
}

/* --- by the maintenance thread ------------------------------------------- */

/* Nobody else calls the back end meanwhile, which has no lock. */
static void by_the_thread(void)
{
	const int fd = eventfd(0, EFD_CLOEXEC);
	struct weir_maintain_opts opts = WEIR_MAINTAIN_OPTS_INIT;
	struct weir_request request = WEIR_REQUEST_INIT;
	uint64_t got[1], n;

	create(1);
	take_all(1);
	request.n = 1;
	request.tokens = got;
	request.fd = fd;
	CHECK_EQ(weir_cache_request_submit(cache, &request), 0);
	give_one_back();
	opts.reserve_pages = 1;
	CHECK_EQ(weir_cache_maintain_start(cache, &opts), -EINVAL);
	opts.reserve_pages = 0;
	opts.interval_ns = 100000;
	CHECK_EQ(weir_cache_maintain_start(cache, &opts), 0);
	CHECK_EQ(weir_cache_maintain_start(cache, &opts), -EBUSY);
	CHECK_EQ(read(fd, &n, sizeof(n)), 8);
	CHECK_EQ(weir_request_is_done(&request), 1);
	CHECK_EQ(weir_cache_maintain_stop(cache), 0);
	CHECK_EQ(weir_cache_maintain_start(cache, NULL), 0);
	weir_cache_put(cache, 0, got[0]);
	close(fd);
	destroy();
}

int main(void)
{
	two_cpus(&here, &there);
	pin(here);
	looks_again();
	looks_not_for_ever();
	no_false_empty();
	refuses_the_back_end();
	by_a_get_that_drains();
	by_the_thread();
	return 0;
}
