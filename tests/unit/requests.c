/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a request gets too few pages or the wrong ones, is completed
 * twice or never, touches a struct that is its caller's again, or passes nest.
 */
#include <sys/eventfd.h>

#include <weir/request.h>
#include <weir/stat.h>

#include "api/pool.h"
#include "child.h"
#include "helpers.h"

#define PAGES 512

static struct weir_pool *pool;
static void *page[PAGES];

static void create(unsigned flags)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.quiet_cpus = "";
	opts.flags = flags;
	opts.wait_ns = 30000000000u; /* on a busy machine */
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
}

static void destroy(void)
{
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

static void take_all(void)
{
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, PAGES, 0), 0);
}

static struct weir_stat stat_now(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	return stat;
}

/* A request, where its pages go, and how often it was completed. */
struct asked {
	struct weir_request request;
	void *pages[16];
	unsigned done;
	unsigned at; /* the how manyth */
};

static unsigned nr_done;

static void on_done(struct weir_request *request, void *context)
{
	struct asked *asked = context;

	CHECK(request == &asked->request);
	asked->done++;
	asked->at = ++nr_done;
}

static struct weir_request *ask(struct asked *asked, unsigned order, size_t n)
{
	*asked = (struct asked){ .request = WEIR_REQUEST_INIT };
	asked->request.order = order;
	asked->request.n = n;
	asked->request.pages = asked->pages;
	asked->request.done = on_done;
	asked->request.context = asked;
	return &asked->request;
}

static struct weir_request *ask_event(struct asked *asked, size_t n, int fd)
{
	ask(asked, 0, n);
	asked->request.done = NULL;
	asked->request.fd = fd;
	return &asked->request;
}

static void give_back(const struct asked *asked)
{
	weir_free_bulk(pool, asked->request.order, asked->pages,
		       asked->request.n);
}

/* --- one request --------------------------------------------------------- */

static void completed_at_once(void)
{
	struct asked a;

	CHECK_EQ(weir_request_is_done(ask(&a, 3, 4)), 0);
	CHECK_EQ(weir_request_submit(pool, &a.request), 1);
	CHECK_EQ(a.done, 0); /* nothing else comes */
	CHECK_EQ(weir_request_is_done(&a.request), 1);
	CHECK_EQ(weir_request_cancel(pool, &a.request), -EALREADY);
	for (unsigned i = 0; i < 4; i++)
		CHECK(weir_pool_index(pool, a.pages[i]) % 8 == 0);
	give_back(&a);
}

static void completed_by_maintain(void)
{
	struct asked a, twice;

	take_all();
	CHECK_EQ(weir_request_submit(pool, ask(&a, 0, 2)), 0);
	CHECK_EQ(weir_request_submit(pool, &a.request), -EBUSY);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(a.done, 0);
	weir_free(pool, page[0], 0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(a.done, 0); /* one is not enough, and is nobody's */
	CHECK_EQ(stat_now().free, 1);
	weir_free(pool, page[1], 0);
	CHECK_EQ(a.done, 0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(a.done, 1);
	CHECK(a.pages[0] != a.pages[1]);
	CHECK(a.pages[0] == page[0] || a.pages[0] == page[1]);
	CHECK(a.pages[1] == page[0] || a.pages[1] == page[1]);
	CHECK_EQ(stat_now().requests_completed, 2); /* and that at once */
	/* Its struct may be used again. */
	memcpy(&twice, &a, sizeof(a));
	give_back(&twice);
	CHECK_EQ(weir_request_submit(pool, &a.request), 0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(a.done, 2);
	give_back(&a);
	weir_free_bulk(pool, 0, page + 2, PAGES - 2);
}

static void cancelled(void)
{
	struct asked a;

	take_all();
	CHECK_EQ(weir_request_cancel(pool, ask(&a, 0, 1)), 0);
	CHECK_EQ(weir_request_submit(pool, &a.request), 0);
	CHECK_EQ(stat_now().requests_waiting, 1);
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), -EBUSY);
	CHECK_EQ(weir_request_cancel(pool, &a.request), 0);
	CHECK_EQ(weir_request_is_done(&a.request), 0);
	CHECK_EQ(stat_now().requests_waiting, 0);
	CHECK_EQ(stat_now().requests_cancelled, 1);
	weir_free_bulk(pool, 0, page, PAGES);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(a.done, 0);
}

/* --- several ------------------------------------------------------------- */

static void oldest_first(void)
{
	struct asked large, first, second;

	take_all();
	nr_done = 0;
	CHECK_EQ(weir_request_submit(pool, ask(&large, 0, 16)), 0);
	CHECK_EQ(weir_request_submit(pool, ask(&first, 0, 1)), 0);
	CHECK_EQ(weir_request_submit(pool, ask(&second, 0, 1)), 0);
	weir_free(pool, page[0], 0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(first.at, 1);
	CHECK_EQ(second.done, 0);
	weir_free_bulk(pool, 0, page + 1, 17);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0); /* a drain will do */
	CHECK_EQ(large.at, 2);
	CHECK_EQ(second.at, 3);
	give_back(&large);
	give_back(&first);
	give_back(&second);
	weir_free_bulk(pool, 0, page + 18, PAGES - 18);
}

static void by_eventfd(void)
{
	struct asked a, b, c;
	const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t n = 0;
	void *other;

	take_all();
	CHECK_EQ(weir_request_submit(pool, ask_event(&a, 1, fd)), 0);
	CHECK_EQ(weir_request_submit(pool, ask_event(&b, 1, fd)), 0);
	CHECK_EQ(weir_request_submit(pool, ask(&c, 0, 1)), 0);
	CHECK(read(fd, &n, sizeof(n)) < 0 && errno == EAGAIN);
	weir_free_bulk(pool, 0, page, 4);
	/* An allocation that drains serves them, but calls nobody back. */
	CHECK((other = weir_alloc(pool, 0, WEIR_NOWAIT)) != NULL);
	CHECK_EQ(weir_alloc_bulk(pool, 0, page, 4, 0), -ENOMEM);
	CHECK_EQ(read(fd, &n, sizeof(n)), 8);
	CHECK_EQ(n, 2);
	CHECK_EQ(weir_request_is_done(&a.request), 1);
	CHECK_EQ(weir_request_is_done(&b.request), 1);
	CHECK_EQ(c.done, 0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(c.done, 1);
	weir_free(pool, other, 0);
	give_back(&a);
	give_back(&b);
	give_back(&c);
	weir_free_bulk(pool, 0, page + 4, PAGES - 4);
	close(fd);
}

/* --- callbacks ------------------------------------------------------------ */

#define CHAIN 10

static struct asked chain[CHAIN];
static unsigned depth, deepest;

/* Frees what it got, and asks for the next. */
static void on_link(struct weir_request *request, void *context)
{
	struct asked *asked = context;

	deepest = ++depth > deepest ? depth : deepest;
	asked->done++;
	CHECK_EQ(weir_pool_destroy(pool, 0), -EDEADLK);
	CHECK_EQ(weir_maintain(pool, 0, NULL), -EDEADLK);
	CHECK_EQ(weir_maintain_stop(pool), -EDEADLK);
	weir_free(pool, asked->pages[0], 0);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	if (++asked < chain + CHAIN) {
		ask(asked, 0, 1)->done = on_link;
		CHECK_EQ(weir_request_submit(pool, &asked->request), 0);
		CHECK_EQ(asked->done, 0);
	}
	/* As its caller may. */
	memset(request, 0xee, sizeof(*request));
	depth--;
}

static void callbacks_submit(void)
{
	take_all();
	ask(chain, 0, 1)->done = on_link;
	CHECK_EQ(weir_request_submit(pool, &chain[0].request), 0);
	weir_free(pool, page[0], 0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	for (unsigned i = 0; i < CHAIN; i++)
		CHECK_MSG(chain[i].done == 1, "%u of %u were completed", i,
			  CHAIN);
	CHECK_EQ(deepest, 1);
	weir_free_bulk(pool, 0, page + 1, PAGES - 1);
}

static void on_cancel(struct weir_request *request, void *context)
{
	struct asked *asked = context;

	CHECK(request == &asked->request);
	asked->done++;
	CHECK_EQ(weir_request_cancel(pool, &asked[1].request), -EALREADY);
	CHECK_EQ(weir_request_cancel(pool, &asked[2].request), 0);
}

static void callbacks_cancel(void)
{
	struct asked a[3];

	take_all();
	ask(&a[0], 0, 1)->done = on_cancel;
	CHECK_EQ(weir_request_submit(pool, &a[0].request), 0);
	CHECK_EQ(weir_request_submit(pool, ask(&a[1], 0, 1)), 0);
	CHECK_EQ(weir_request_submit(pool, ask(&a[2], 0, 1)), 0);
	weir_free_bulk(pool, 0, page, 2);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(a[0].done, 1);
	CHECK_EQ(a[1].done, 1);
	CHECK_EQ(a[2].done, 0);
	give_back(&a[0]);
	give_back(&a[1]);
	weir_free_bulk(pool, 0, page + 2, PAGES - 2);
}

/* --- what is refused ------------------------------------------------------ */

static void refused(void)
{
	struct weir_request none = WEIR_REQUEST_INIT;
	struct asked a;

	none.n = 1;
	none.pages = a.pages;
	CHECK_EQ(weir_request_submit(pool, &none), -EINVAL); /* neither */
	ask(&a, 0, 1)->fd = 0;
	CHECK_EQ(weir_request_submit(pool, &a.request), -EINVAL); /* both */
	CHECK_EQ(weir_request_submit(pool, ask(&a, 0, 0)), -EINVAL);
	CHECK_EQ(weir_request_submit(pool, ask(&a, 19, 1)), -EINVAL);
	CHECK_EQ(weir_request_submit(pool, ask(&a, 0, PAGES + 1)), -ENOMEM);
	CHECK_EQ(weir_request_submit(pool, ask(&a, 10, 1)), -ENOMEM);
	ask(&a, 0, 1)->size = 64;
	CHECK_EQ(weir_request_submit(pool, &a.request), -EINVAL);
	ask(&a, 0, 1)->pages = NULL;
	CHECK_EQ(weir_request_submit(pool, &a.request), -EINVAL);
	CHECK(strstr(weir_last_error(), "pages") != NULL);
}

static struct asked in_child;

static void child(void *unused)
{
	(void)unused;
	CHECK_EQ(weir_request_cancel(pool, &in_child.request), -ESTALE);
	CHECK_EQ(weir_request_submit(pool, &in_child.request), -ESTALE);
	CHECK_EQ(weir_maintain_start(pool, NULL), -ESTALE);
	CHECK_EQ(weir_maintain_stop(pool), -ESTALE);
}

static void in_a_child(void)
{
	take_all();
	CHECK_EQ(weir_request_submit(pool, ask(&in_child, 0, 1)), 0);
	CHECK_EQ(end_child(start_child(child, NULL)), 0);
	CHECK_EQ(weir_request_cancel(pool, &in_child.request), 0);
	weir_free_bulk(pool, 0, page, PAGES);
}

int main(void)
{
	static const unsigned flags[] = { 0, WEIR_POOL_CHECKED,
					  WEIR_POOL_NO_RSEQ };

	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		create(flags[i]);
		completed_at_once();
		completed_by_maintain();
		cancelled();
		oldest_first();
		by_eventfd();
		callbacks_submit();
		callbacks_cancel();
		refused();
		in_a_child();
		destroy();
	}
	return 0;
}
