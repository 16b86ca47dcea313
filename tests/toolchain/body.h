/* SPDX-License-Identifier: MIT */
/*
 * The program: each operation of each kind of code has its effect exactly
 * once, in each mode, inside a burst and outside; while signals whose handler
 * uses the same pool abort sequences; and when the pool is empty or full.
 * toolchain_run() is 0, or what was found is printed. It runs on one CPU: who
 * starts it sees to that.
 */
#ifndef TOOLCHAIN_BODY_H
#define TOOLCHAIN_BODY_H

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define PAGES 600
#define TOKENS 300
#define DISTURBED_NS 5000000
#define INTERVAL_US 20

static struct weir_pool *pool_now;
static struct weir_cache *cache_now;
static int token_is_there[TOKENS]; /* in the back end */
static const struct ops *ops_now, *handler_ops;
static const char *what_now;
static volatile int failed;
static int sequences_expected;
static char cpu_now[16]; /* where all of it runs */
static volatile unsigned long signals_taken;

static void fail(const char *what, unsigned long seen, unsigned long expected)
{
	printf("%s, %s: %s: %lu, not %lu\n",
	       ops_now != TOOLCHAIN_NULL ? ops_now->kind : "-", what_now, what,
	       seen, expected);
	failed = 1;
}

static void expect(const char *what, unsigned long seen, unsigned long expected)
{
	if (seen != expected)
		fail(what, seen, expected);
}

static void expect_done(const char *what, int err)
{
	if (err != 0) {
		printf("%s\n", weir_strerror(err));
		fail(what, 1, 0);
	}
}

static unsigned long pages_out(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	if (weir_stat_read(pool_now, &stat) != 0)
		fail("weir_stat_read", 1, 0);
	return stat.out;
}

static unsigned long tokens_out(void)
{
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;
	unsigned long out = TOKENS;
	unsigned i;

	if (weir_cache_stat_read(cache_now, &stat) != 0)
		fail("weir_cache_stat_read", 1, 0);
	for (i = 0; i < TOKENS; i++)
		out -= token_is_there[i] != 0;
	return out - stat.cached - stat.pending;
}

static unsigned long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return static_cast_ul(t.tv_sec) * 1000000000ul +
	       static_cast_ul(t.tv_nsec);
}

static void use(void *page)
{
	if (page == TOOLCHAIN_NULL)
		fail("no page", 0, 1);
	else
		memset(page, 1, 64);
}

/* One page, two pages, a run, a bulk: as many are out as were taken. */
static void check_effects(const struct ops *ops)
{
	void *a, *b, *pages[BULK];
	unsigned i, k;

	a = ops->get(pool_now);
	expect("out after one page", pages_out(), 1);
	b = ops->get(pool_now);
	expect("out after two pages", pages_out(), 2);
	expect("one page given twice", a == b, 0);
	use(a);
	use(b);
	ops->put(pool_now, a);
	expect("out after a free", pages_out(), 1);
	ops->put(pool_now, b);
	expect("out after two frees", pages_out(), 0);
	a = ops->get_run(pool_now);
	use(a);
	expect("out after a run", pages_out(), 1ul << RUN_ORDER);
	ops->tick(pool_now);
	ops->put_run(pool_now, a);
	expect("out after a run's free", pages_out(), 0);
	expect("bulk", ops->get_bulk(pool_now, pages) == 0, 1);
	expect("out after a bulk", pages_out(), BULK);
	for (i = 0; i < BULK; i++) {
		use(pages[i]);
		for (k = 0; k < i; k++)
			expect("one page twice in a bulk", pages[i] == pages[k],
			       0);
	}
	ops->put_bulk(pool_now, pages);
	expect("out after a bulk's free", pages_out(), 0);
}

/* Takes all that there is, and one more; frees all. */
static void check_limits(const struct ops *ops)
{
	static void *page[PAGES + 1];
	unsigned n = 0, i;

	while (n <= PAGES && (page[n] = ops->get(pool_now)) != TOOLCHAIN_NULL)
		n++;
	/* Others' lists, none of which WEIR_NOWAIT drains, may keep some. */
	if (n == 0 || n > PAGES)
		fail("pages taken", n, PAGES);
	expect("out when all are taken", pages_out(), n);
	for (i = 0; i < n; i++)
		ops->put(pool_now, page[i]);
	expect("out when all are free", pages_out(), 0);
}

/* The same with tokens. */
static void check_tokens(const struct ops *ops)
{
	static uint64_t all[TOKENS + 1];
	uint64_t tokens[BULK];
	const uint64_t a = ops->get_token(cache_now);
	const uint64_t b = ops->get_token(cache_now);
	unsigned i, k, n = 0;

	expect("no token", a < TOKENS && b < TOKENS, 1);
	expect("one token given twice", a == b, 0);
	expect("tokens out after two", tokens_out(), 2);
	ops->put_token(cache_now, a);
	ops->tick_tokens(cache_now);
	ops->put_token(cache_now, b);
	expect("tokens out after two puts", tokens_out(), 0);
	expect("tokens", ops->get_tokens(cache_now, tokens) == 0, 1);
	expect("tokens out after a bulk", tokens_out(), BULK);
	for (i = 0; i < BULK; i++)
		for (k = 0; k < i; k++)
			expect("one token twice in a bulk",
			       tokens[i] == tokens[k], 0);
	ops->put_tokens(cache_now, tokens);
	expect("tokens out after a bulk's put", tokens_out(), 0);
	while (n <= TOKENS &&
	       (all[n] = ops->get_token(cache_now)) != WEIR_CACHE_NONE)
		n++;
	if (n == 0 || n > TOKENS)
		fail("tokens taken", n, TOKENS);
	while (n > 0)
		ops->put_token(cache_now, all[--n]);
	expect("tokens out when all are back", tokens_out(), 0);
}

/* One signal, so long after the last one's handler that this one gets on. */
static void start_timer(long us)
{
	struct itimerval timer;

	memset(&timer, 0, sizeof(timer));
	timer.it_value.tv_usec = us;
	setitimer(ITIMER_REAL, &timer, TOOLCHAIN_NULL);
}

static void on_signal(int number)
{
	void *page = handler_ops->get(pool_now);
	uint64_t token = handler_ops->get_token(cache_now);

	if (token != WEIR_CACHE_NONE)
		handler_ops->put_token(cache_now, token);
	if (page != TOOLCHAIN_NULL)
		handler_ops->put(pool_now, page);
	signals_taken = signals_taken + (number != 0);
	start_timer(INTERVAL_US);
}

static void take_and_give_tokens(const struct ops *ops)
{
	uint64_t tokens[BULK];
	uint64_t a = ops->get_token(cache_now), b = ops->get_token(cache_now);

	expect("one token given twice", a != WEIR_CACHE_NONE && a == b, 0);
	if (a != WEIR_CACHE_NONE)
		ops->put_token(cache_now, a);
	if (b != WEIR_CACHE_NONE)
		ops->put_token(cache_now, b);
	if (ops->get_tokens(cache_now, tokens) == 0)
		ops->put_tokens(cache_now, tokens);
	ops->tick_tokens(cache_now);
}

/* Signals abort sequences; their handler takes and frees pages itself. */
static void check_disturbed(const struct ops *ops)
{
	const unsigned long end = now_ns() + DISTURBED_NS;
	void *pages[BULK];

	signal(SIGALRM, on_signal);
	start_timer(INTERVAL_US);
	do {
		void *a = ops->get(pool_now), *b = ops->get(pool_now);

		expect("one page given twice", a != TOOLCHAIN_NULL && a == b,
		       0);
		if (a != TOOLCHAIN_NULL)
			ops->put(pool_now, a);
		if (b != TOOLCHAIN_NULL)
			ops->put(pool_now, b);
		if (ops->get_bulk(pool_now, pages) == 0)
			ops->put_bulk(pool_now, pages);
		ops->tick(pool_now);
		take_and_give_tokens(ops);
	} while (now_ns() < end && !failed);
	signal(SIGALRM, SIG_IGN);
	start_timer(0);
	expect("out after signals", pages_out(), 0);
	expect("tokens out after signals", tokens_out(), 0);
}

/* Of the pool and of the cache; a second time, as evidence of this CPU may be
 * missing. */
static int set_modes(const struct ops *ops, enum weir_mode mode)
{
	int err = -EAGAIN, turn;

	for (turn = 0; turn < 2 && err == -EAGAIN; turn++) {
		if (turn > 0) {
			ops->tick(pool_now);
			ops->tick_tokens(cache_now);
			weir_free(pool_now, weir_alloc(pool_now, 0, 0), 0);
			weir_cache_put(cache_now, TOKEN_LIST,
				       weir_cache_get(cache_now, TOKEN_LIST,
						      0));
		}
		err = weir_set_mode(pool_now, cpu_now, mode);
		if (err == 0)
			err = weir_cache_set_mode(cache_now, cpu_now, mode);
	}
	return err;
}

static void check_kind(const struct ops *ops)
{
	static const struct {
		const char *name;
		enum weir_mode mode;
		int burst;
	} ways[] = {
		{ "quiet", WEIR_MODE_QUIET, 0 },
		{ "in a burst", WEIR_MODE_QUIET, 1 },
		{ "polling", WEIR_MODE_POLLING, 0 },
		{ "lists off", WEIR_MODE_OFF, 0 },
		{ "ordinary", WEIR_MODE_ORDINARY, 0 },
	};
	struct weir_burst burst, token_burst;
	unsigned i, turn;

	ops_now = ops;
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]) && !failed; i++) {
		int err = set_modes(ops, ways[i].mode);

		what_now = ways[i].name;
		if (err == -EOPNOTSUPP && !sequences_expected)
			continue;
		expect_done("weir_set_mode", err);
		if (ways[i].burst) {
			weir_burst_begin(pool_now, &burst);
			weir_cache_burst_begin(cache_now, &token_burst);
		}
		for (turn = 0; turn < 3 && !failed; turn++) {
			check_effects(ops);
			check_tokens(ops);
		}
		if (!failed)
			check_limits(ops);
		if (!failed && ways[i].mode != WEIR_MODE_OFF)
			check_disturbed(ops);
		if (ways[i].burst) {
			weir_cache_burst_end(cache_now, &token_burst);
			weir_burst_end(pool_now, &burst);
		}
	}
}

/* `handler`: what signal handlers use, NULL: the same. */
static void check_kinds(const struct ops *const *ops, const struct ops *handler)
{
	for (; *ops != TOOLCHAIN_NULL && !failed; ops++) {
		handler_ops = handler != TOOLCHAIN_NULL ? handler : *ops;
		check_kind(*ops);
	}
}

/* A pool that was made before main must be able to do what others do. */
static void check_early(struct weir_pool *early)
{
	static int ran;
	int err;

	if (ran++)
		return; /* it is gone since the first run */
	what_now = "a pool made by a constructor";
	if (early == TOOLCHAIN_NULL) {
		fail("not made", 0, 1);
		return;
	}
	err = weir_set_mode(early, cpu_now, WEIR_MODE_QUIET);
	if (sequences_expected)
		expect_done("weir_set_mode", err);
}

static struct weir_pool *make_pool(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool = TOOLCHAIN_NULL;

	opts.capacity = PAGES * 4096ul;
	opts.name = "toolchain";
	opts.quiet_cpus = "";
	if (weir_pool_create(&pool, &opts) != 0) {
		printf("no pool: %s\n", weir_last_error());
		return TOOLCHAIN_NULL;
	}
	return pool;
}

static size_t give_tokens(void *context, unsigned list, uint64_t *tokens,
			  size_t n)
{
	size_t got = 0;
	unsigned i;

	for (i = 0; i < TOKENS && got < n && context != TOOLCHAIN_NULL; i++)
		if (list == TOKEN_LIST &&
		    __atomic_exchange_n(&token_is_there[i], 0,
					__ATOMIC_SEQ_CST) != 0)
			tokens[got++] = i;
	return got;
}

static void take_tokens(void *context, unsigned list, const uint64_t *tokens,
			size_t n)
{
	size_t i;

	for (i = 0; i < n && context != TOOLCHAIN_NULL; i++)
		if (list != TOKEN_LIST || tokens[i] >= TOKENS ||
		    __atomic_exchange_n(&token_is_there[tokens[i]], 1,
					__ATOMIC_SEQ_CST) != 0)
			fail("a token that was not out",
			     static_cast_ul(tokens[i]), TOKENS);
}

static struct weir_cache *make_cache(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	struct weir_cache *cache = TOOLCHAIN_NULL;
	unsigned i;

	for (i = 0; i < TOKENS; i++)
		token_is_there[i] = 1;
	opts.backend.get = give_tokens;
	opts.backend.put = take_tokens;
	opts.backend.context = token_is_there;
	opts.nr_lists = TOKEN_LIST + 1;
	opts.quiet_cpus = "";
	if (weir_cache_create(&cache, &opts) != 0) {
		printf("no cache: %s\n", weir_last_error());
		return TOOLCHAIN_NULL;
	}
	return cache;
}

static void check_initialisers(void)
{
	struct weir_drain_opts drain = WEIR_DRAIN_OPTS_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;
	struct weir_stat_page page = WEIR_STAT_PAGE_INIT;
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;
	struct weir_cache_opts cache = WEIR_CACHE_OPTS_INIT;

	expect("drain", drain.size + drain.want_pages, sizeof(drain));
	expect("drain", drain.wait_ns, WEIR_WAIT_DEFAULT);
	expect("zone", zone.size + zone.pages, sizeof(zone));
	expect("cpu", cpu.size + cpu.cached, sizeof(cpu));
	expect("page", page.size + page.index, sizeof(page));
	expect("info", info.size + info.bytes, sizeof(info));
	expect("cache", cache.size + cache.batch, sizeof(cache));
	expect_done("weir_stat_read_zone",
		    weir_stat_read_zone(pool_now, 0, &zone));
	expect_done("weir_drain", weir_drain(pool_now, &drain, TOOLCHAIN_NULL));
}

static void *call_get(struct weir_pool *pool)
{
	return weir_alloc(pool, 0, WEIR_NOWAIT);
}

static void call_put(struct weir_pool *pool, void *page)
{
	weir_free(pool, page, 0);
}

static void *call_get_run(struct weir_pool *pool)
{
	return weir_alloc(pool, RUN_ORDER, WEIR_NOWAIT);
}

static void call_put_run(struct weir_pool *pool, void *run)
{
	weir_free(pool, run, RUN_ORDER);
}

static int call_get_bulk(struct weir_pool *pool, void **pages)
{
	return weir_alloc_bulk(pool, 0, pages, BULK, WEIR_NOWAIT);
}

static void call_put_bulk(struct weir_pool *pool, void **pages)
{
	weir_free_bulk(pool, 0, pages, BULK);
}

static uint64_t call_get_token(struct weir_cache *cache)
{
	return weir_cache_get(cache, TOKEN_LIST, WEIR_NOWAIT);
}

static void call_put_token(struct weir_cache *cache, uint64_t token)
{
	weir_cache_put(cache, TOKEN_LIST, token);
}

static int call_get_tokens(struct weir_cache *cache, uint64_t *tokens)
{
	return weir_cache_get_bulk(cache, TOKEN_LIST, tokens, BULK,
				   WEIR_NOWAIT);
}

static void call_put_tokens(struct weir_cache *cache, const uint64_t *tokens)
{
	weir_cache_put_bulk(cache, TOKEN_LIST, tokens, BULK);
}

static const struct ops call_ops = {
	"call",		 call_get,	 call_put,	  call_get_run,
	call_put_run,	 call_get_bulk,	 call_put_bulk,	  weir_tick,
	call_get_token,	 call_put_token, call_get_tokens, call_put_tokens,
	weir_cache_tick,
};

#define PLAIN __attribute__((noinline))
#define NOTHING
DEFINE_OPS(plain, PLAIN, NOTHING, NOTHING);
#define HOT __attribute__((noinline, hot))
DEFINE_OPS(hot, HOT, NOTHING, NOTHING);
#define COLD __attribute__((noinline, cold))
DEFINE_OPS(cold, COLD, NOTHING, NOTHING);
#define IF_UNLIKELY if (__builtin_expect(toolchain_one, 0)) {
#define END_UNLIKELY }
DEFINE_OPS(unlikely, PLAIN, IF_UNLIKELY, END_UNLIKELY);
/* As the kernel's .init.text: a section that no compiler knows. */
#define ELSEWHERE __attribute__((noinline, section("toolchain_odd")))
DEFINE_OPS(elsewhere, ELSEWHERE, NOTHING, NOTHING);

static const struct ops *const own_ops[] = {
	&call_ops,     &plain_ops,     &hot_ops,       &cold_ops,
	&unlikely_ops, &elsewhere_ops, TOOLCHAIN_NULL,
};

/* What both languages do; `more` are the kinds of C++. */
static int run(const struct ops *const *more, struct weir_pool **early)
{
	failed = 0;
	snprintf(cpu_now, sizeof(cpu_now), "%d", sched_getcpu());
	ops_now = handler_ops = &call_ops;
	what_now = "beginning";
	pool_now = make_pool();
	cache_now = make_cache();
	if (pool_now == TOOLCHAIN_NULL || cache_now == TOOLCHAIN_NULL)
		return 1;
	sequences_expected =
		weir_set_mode(pool_now, cpu_now, WEIR_MODE_QUIET) == 0;
	check_initialisers();
	check_early(*early);
	check_kinds(own_ops, TOOLCHAIN_NULL);
	/* A handler must not throw. */
	check_kinds(second_ops(), &cold_ops);
	check_kinds(more, &plain_ops);
	what_now = "end";
	if (!failed)
		expect_done("weir_cache_destroy",
			    weir_cache_destroy(cache_now));
	if (!failed)
		expect_done("weir_pool_destroy",
			    weir_pool_destroy(pool_now, 0));
	if (*early != TOOLCHAIN_NULL)
		weir_pool_destroy(*early, 0);
	*early = TOOLCHAIN_NULL;
	printf("%s, %lu signals, %s\n", failed ? "FAILED" : "ok", signals_taken,
	       sequences_expected ? "sequences" : "no sequences here");
	fflush(stdout);
	return failed;
}

/* A pool that stays, of which the last use is a call or, `inlined`, an inlined
 * one. */
static int run_last(int inlined)
{
	struct weir_pool *pool = make_pool();
	const struct ops *ops = inlined ? &plain_ops : &call_ops;

	if (pool == TOOLCHAIN_NULL)
		return 1;
	ops->put(pool, ops->get(pool));
	return 0;
}

#endif
