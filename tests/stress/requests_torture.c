/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a page that a request got was given to two owners, or a
 * request is completed twice or never, or its struct is touched after it was
 * its caller's again.
 *
 * Loops that never block but in poll() ask for pages, some by eventfd and some
 * by callback, cancel some of it, and give all back; others allocate and free
 * beside them, and drain; a maintenance thread of the library's serves. There
 * are fewer pages than all of them want. Each request lies in memory of its own
 * that is scribbled over when it is its caller's. At the end of each round
 * nobody has a page, and every loop must get what it waits for.
 *
 *     requests_torture [SECONDS [VARIANT]]     SECONDS in all
 */
#include <poll.h>
#include <sys/eventfd.h>

#include <weir/fast.h>
#include <weir/request.h>
#include <weir/stat.h>

#include "helpers.h"
#include "oracle.h"

#define PAGES 256
#define LOOPS 3
#define OTHERS 2
#define ASKED_MAX 16 /* requests of a loop at once */
#define N_MAX 40     /* pages of a request */
#define HELD_MAX 100

static const struct variant {
	const char *name;
	unsigned flags;
	enum weir_mode mode;
} variants[] = {
	{ "ordinary", 0, WEIR_MODE_ORDINARY },
	{ "quiet", 0, WEIR_MODE_QUIET },
	{ "checked", WEIR_POOL_CHECKED, WEIR_MODE_ORDINARY },
	{ "locked", WEIR_POOL_NO_RSEQ, WEIR_MODE_ORDINARY },
};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

static struct weir_pool *pool;
static struct oracle oracle;
static bool stop;
static uint64_t completed, cancelled, at_once, slowest_ns, membarriers;

struct asked {
	struct weir_request request;
	void *pages[N_MAX];
	struct loop *loop;
	uint64_t since_ns;
	bool by_event;
	uint32_t called; /* by the callback, released */
};

struct loop {
	pthread_t thread;
	uint8_t id;
	uint64_t random;
	int fd;
	uint64_t nr_events, nr_read; /* completed by eventfd; read from it */
	struct asked *asked[ASKED_MAX];
	unsigned nr;
};

static bool is_stopping(void)
{
	return __atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

static void add_to(uint64_t *sum, uint64_t n)
{
	__atomic_add_fetch(sum, n, __ATOMIC_RELAXED);
}

static void take_run(void *page, unsigned order, uint8_t id)
{
	oracle_take(&oracle, weir_pool_index(pool, page), UINT64_C(1) << order,
		    id);
	*(uint8_t *)page = id;
}

static void give_run(void *page, unsigned order, uint8_t id)
{
	CHECK_EQ(*(uint8_t *)page, id);
	oracle_give(&oracle, weir_pool_index(pool, page), UINT64_C(1) << order,
		    id);
}

/* --- loops --------------------------------------------------------------- */

static void on_done(struct weir_request *request, void *context)
{
	struct asked *asked = context;
	const uint64_t one = 1;

	CHECK(request == &asked->request);
	CHECK_EQ(__atomic_load_n(&asked->called, __ATOMIC_RELAXED), 0);
	/* A callback that wakes its loop by itself. The loop may free it now.
	 */
	const int fd = asked->loop->fd;

	__atomic_store_n(&asked->called, 1, __ATOMIC_RELEASE);
	CHECK_EQ(write(fd, &one, sizeof(one)), 8);
}

/* All of a request is there: it is used, and given back. */
static void use(struct loop *loop, struct asked *asked)
{
	const unsigned order = asked->request.order;
	const uint64_t ns = now_ns() - asked->since_ns;
	uint64_t slowest = __atomic_load_n(&slowest_ns, __ATOMIC_RELAXED);

	while (ns > slowest &&
	       !__atomic_compare_exchange_n(&slowest_ns, &slowest, ns, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	for (size_t i = 0; i < asked->request.n; i++)
		take_run(asked->pages[i], order, loop->id);
	for (size_t i = 0; i < asked->request.n; i++)
		give_run(asked->pages[i], order, loop->id);
	weir_free_bulk(pool, order, asked->pages, asked->request.n);
	memset(asked, 0xee, sizeof(*asked));
	free(asked);
}

static void forget(struct loop *loop, unsigned i)
{
	loop->asked[i] = loop->asked[--loop->nr];
}

static void ask(struct loop *loop)
{
	const uint64_t r = check_random(&loop->random);
	struct asked *asked = calloc(1, sizeof(*asked));
	struct weir_request *request = &asked->request;

	CHECK(asked != NULL);
	*request = (struct weir_request)WEIR_REQUEST_INIT;
	request->order = r % 8 == 0 ? (unsigned)(r >> 8) % 4 : 0;
	request->n = 1 + (r >> 16) % (N_MAX >> request->order);
	request->pages = asked->pages;
	asked->loop = loop;
	asked->since_ns = now_ns();
	asked->by_event = r >> 32 & 1;
	if (asked->by_event) {
		request->fd = loop->fd;
	} else {
		request->done = on_done;
		request->context = asked;
	}
	switch (weir_request_submit(pool, request)) {
	case 1:
		add_to(&at_once, 1);
		use(loop, asked);
		break;
	case 0:
		loop->asked[loop->nr++] = asked;
		break;
	default:
		CHECK_MSG(false, "submit: %s", weir_last_error());
	}
}

static bool is_back(struct asked *asked)
{
	if (asked->by_event)
		return weir_request_is_done(&asked->request) == 1;
	return __atomic_load_n(&asked->called, __ATOMIC_ACQUIRE) != 0;
}

static void collect(struct loop *loop)
{
	uint64_t n;

	if (read(loop->fd, &n, sizeof(n)) == sizeof(n))
		loop->nr_read += n;
	for (unsigned i = loop->nr; i-- > 0;) {
		struct asked *asked = loop->asked[i];

		if (!is_back(asked))
			continue;
		forget(loop, i);
		loop->nr_events++;
		add_to(&completed, 1);
		use(loop, asked);
	}
}

static void cancel_one(struct loop *loop)
{
	const unsigned i = (unsigned)check_random(&loop->random) % loop->nr;
	struct asked *asked = loop->asked[i];
	int err = weir_request_cancel(pool, &asked->request);

	CHECK(err == 0 || err == -EALREADY);
	if (err != 0)
		return; /* it is collected later */
	forget(loop, i);
	add_to(&cancelled, 1);
	memset(asked, 0xee, sizeof(*asked));
	free(asked);
}

/* Until it has an event. Twenty seconds are a lost wake-up. */
static void sleep_in_poll(struct loop *loop)
{
	struct pollfd poll_for = { .fd = loop->fd, .events = POLLIN };

	CHECK_MSG(poll(&poll_for, 1, 20000) == 1, "%u requests wait for ever",
		  loop->nr);
}

static void *run_loop(void *arg)
{
	struct loop *loop = arg;

	while (!is_stopping()) {
		const uint64_t r = check_random(&loop->random);

		if (loop->nr < ASKED_MAX && r % 4 != 0)
			ask(loop);
		else if (loop->nr > 0 && r % 16 == 0)
			cancel_one(loop);
		else if (loop->nr == ASKED_MAX)
			sleep_in_poll(loop);
		collect(loop);
	}
	/* All that it waits for comes, and each event once. */
	while (loop->nr > 0 || loop->nr_read < loop->nr_events) {
		sleep_in_poll(loop);
		collect(loop);
	}
	CHECK_EQ(loop->nr_read, loop->nr_events);
	return NULL;
}

/* --- beside them ---------------------------------------------------------- */

static void *run_other(void *arg)
{
	struct loop *self = arg;
	void *held[HELD_MAX];
	unsigned nr = 0;

	while (!is_stopping()) {
		const uint64_t r = check_random(&self->random);

		if (r % 8 < 5 && nr < HELD_MAX) {
			held[nr] = weir_fast_alloc(
				pool, 0, r % 64 == 0 ? 0 : WEIR_NOWAIT);
			if (held[nr] != NULL)
				take_run(held[nr++], 0, self->id);
		} else if (nr > 0) {
			give_run(held[--nr], 0, self->id);
			weir_fast_free(pool, held[nr], 0);
		}
		if (r >> 32 & 0xfff)
			continue;
		CHECK(weir_drain(pool, NULL, NULL) != -EDEADLK);
		usleep(100);
	}
	while (nr > 0) {
		give_run(held[--nr], 0, self->id);
		weir_free(pool, held[nr], 0);
	}
	return NULL;
}

/* --- one variant ---------------------------------------------------------- */

static bool create(const struct variant *variant)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_maintain_opts maintain = WEIR_MAINTAIN_OPTS_INIT;

	opts.capacity = PAGES * 4096;
	opts.flags = variant->flags;
	opts.quiet_cpus = "";
	opts.name = variant->name;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	maintain.interval_ns = 300000;
	CHECK_EQ(weir_maintain_start(pool, &maintain), 0);
	if (weir_set_mode(pool, NULL, variant->mode) == 0)
		return true;
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	return false;
}

static void run(const struct variant *variant, double seconds)
{
	static struct loop loops[LOOPS + OTHERS];
	struct weir_stat stat = WEIR_STAT_INIT;

	printf("%s\n", variant->name);
	if (!create(variant))
		return;
	oracle_init(&oracle, "page", PAGES);
	stop = false;
	for (unsigned i = 0; i < LOOPS + OTHERS; i++) {
		loops[i] = (struct loop){ .id = (uint8_t)(i + 1),
					  .random = now_ns() | 1 };
		loops[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		CHECK_EQ(pthread_create(&loops[i].thread, NULL,
					i < LOOPS ? run_loop : run_other,
					&loops[i]),
			 0);
	}
	usleep((useconds_t)(seconds * 1e6));
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (unsigned i = LOOPS + OTHERS; i-- > 0;) {
		pthread_join(loops[i].thread, NULL);
		close(loops[i].fd);
	}
	CHECK_EQ(oracle_out(&oracle), 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.requests_waiting, 0);
	membarriers += stat.membarriers;
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
	oracle_fini(&oracle);
}

int main(int argc, char **argv)
{
	const double seconds = argc > 1 ? atof(argv[1]) : 4;
	const char *only = argc > 2 ? argv[2] : NULL;

	for (unsigned i = 0; i < VARIANTS; i++)
		if (only == NULL || strcmp(only, variants[i].name) == 0)
			run(&variants[i],
			    only != NULL ? seconds : seconds / VARIANTS);
	CHECK(completed > 0 && cancelled > 0 && at_once > 0);
	printf("figures: %" PRIu64 " requests waited and were completed, "
	       "%" PRIu64 " at once, %" PRIu64 " cancelled, slowest %.1f ms, "
	       "%" PRIu64 " membarriers\n",
	       completed, at_once, cancelled, (double)slowest_ns / 1e6,
	       membarriers);
	return 0;
}
