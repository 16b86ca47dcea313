/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an operation that says "Calls: none" makes a system call: a
 * poll loop enters the kernel, or a program in a sandbox is killed. Here any
 * call but exit kills. Requests wait all the time, which a free must not try to
 * complete.
 */
#include <weir/fast.h>
#include <weir/request.h>

#include "fault.h"
#include "seccomp.h"

#define PAGES 4096
#define TOKENS 1000

static struct weir_pool *pool;
static struct weir_cache *cache, *storing; /* without a back end */
static void *pages[PAGES];

struct row {
	const char *name;
	enum weir_mode mode;
	unsigned flags;
	unsigned zero;
};

static const struct row rows[] = {
	{ "ordinary", WEIR_MODE_ORDINARY, 0, 0 },
	{ "quiet", WEIR_MODE_QUIET, 0, 0 },
	{ "polling", WEIR_MODE_POLLING, 0, 0 },
	{ "off", WEIR_MODE_OFF, 0, 0 },
	{ "zeroed", WEIR_MODE_ORDINARY, 0, WEIR_ZERO },
	{ "checked", WEIR_MODE_ORDINARY, WEIR_POOL_CHECKED, 0 },
	{ "locked", WEIR_MODE_ORDINARY, WEIR_POOL_NO_RSEQ, 0 },
};

#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static size_t next_token(void *context, unsigned list, uint64_t *tokens,
			 size_t n)
{
	uint64_t *next = context;

	(void)list;
	for (size_t i = 0; i < n; i++)
		tokens[i] = (*next)++;
	return n;
}

static void forget_tokens(void *context, unsigned list, const uint64_t *tokens,
			  size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
}

static void never(struct weir_request *request, void *context)
{
	(void)request, (void)context;
	abort();
}

/* For all of the pool in runs of order 9, one with a callback and one with an
 * eventfd: never met when somebody looks. */
static void let_requests_wait(void)
{
	static struct weir_request request[2];
	static void *runs[2][PAGES / 512];
	void *page = weir_alloc(pool, 0, 0);

	for (unsigned i = 0; i < 2; i++) {
		request[i] = (struct weir_request)WEIR_REQUEST_INIT;
		request[i].order = 9;
		request[i].n = PAGES / 512;
		request[i].pages = runs[i];
		request[i].done = i == 0 ? never : NULL;
		request[i].fd = i == 0 ? -1 : STDOUT_FILENO;
		CHECK_EQ(weir_request_submit(pool, &request[i]), 0);
	}
	weir_free(pool, page, 0);
}

static void make(const struct row *row)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_cache_opts cache_opts = WEIR_CACHE_OPTS_INIT;
	static uint64_t next;
	int err;

	opts.capacity = PAGES * 4096;
	opts.flags = row->flags | WEIR_POOL_PREFAULT;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	cache_opts.backend.get = next_token;
	cache_opts.backend.put = forget_tokens;
	cache_opts.backend.context = &next;
	cache_opts.flags = row->flags & WEIR_POOL_NO_RSEQ;
	CHECK_EQ(weir_cache_create(&cache, &cache_opts), 0);
	cache_opts.backend = (struct weir_cache_backend){ NULL, NULL, NULL };
	cache_opts.capacity = TOKENS;
	CHECK_EQ(weir_cache_create(&storing, &cache_opts), 0);
	for (uint64_t token = 0; token < TOKENS; token++)
		weir_cache_put(storing, 0, token);
	err = weir_set_mode(pool, NULL, row->mode);
	CHECK(err == 0 || err == -EOPNOTSUPP);
	(void)weir_cache_set_mode(cache, NULL, row->mode);
	(void)weir_cache_set_mode(storing, NULL, row->mode);
	let_requests_wait();
}

/* Plain returns, for CHECK would print: a number tells where. */
#define TRY(expr)                                                              \
	do {                                                                   \
		if (!(expr))                                                   \
			return __LINE__;                                       \
	} while (0)

static int singles(unsigned zero)
{
	void *page;

	for (unsigned i = 0; i < 100; i++) {
		TRY((page = weir_fast_alloc(pool, 0, WEIR_NOWAIT | zero)));
		weir_fast_free(pool, page, 0);
		TRY((page = weir_alloc(pool, 2, zero)));
		weir_free(pool, page, 2);
		TRY((page = weir_fast_alloc(pool, 9, zero)));
		weir_fast_free(pool, page, 9);
		TRY((page = weir_alloc(pool, 5, WEIR_NOWAIT | zero)));
		weir_free(pool, page, 5);
		weir_fast_tick(pool);
		weir_tick(pool);
	}
	return 0;
}

static bool strict; /* the kernel's own mode, or a filter */

/* Drains this CPU's lists of other orders, and then finds nothing. (It reads
 * the clock, which strict mode does not allow.) */
static int reclaim(size_t *n)
{
	while (*n < PAGES && (pages[*n] = weir_alloc(pool, 0, WEIR_RECLAIM)))
		++*n;
	TRY(*n == PAGES);
	TRY(weir_alloc(pool, 0, WEIR_RECLAIM) == NULL);
	TRY(errno == ENOMEM);
	weir_free(pool, pages[0], 0);
	TRY(weir_alloc(pool, 9, WEIR_RECLAIM) == NULL);
	TRY((pages[0] = weir_alloc(pool, 0, WEIR_RECLAIM)) != NULL);
	return 0;
}

/* Refills and flushes, to the last page and beyond, and back. */
static int all_out(void)
{
	size_t n = 0;

	while ((pages[n] = weir_fast_alloc(pool, 0, WEIR_NOWAIT)) != NULL)
		if (++n == PAGES)
			break;
	TRY(n > PAGES / 2);
	n += weir_alloc_upto(pool, 0, pages + n, PAGES - n, WEIR_NOWAIT);
	TRY(weir_alloc(pool, 0, WEIR_NOWAIT) == NULL);
	TRY(errno == EAGAIN);
	TRY(strict || reclaim(&n) == 0);
	for (size_t i = 0; i < n; i++)
		weir_fast_free(pool, pages[i], 0);
	TRY(weir_fast_alloc_bulk(pool, 0, pages, 600, WEIR_NOWAIT) == 0);
	weir_fast_free_bulk(pool, 0, pages, 600);
	TRY(weir_fast_alloc_bulk(pool, 1, pages, 32, 0) == 0);
	weir_fast_free_bulk(pool, 1, pages, 32);
	n = weir_fast_alloc_upto(pool, 0, pages, 600, WEIR_NOWAIT);
	TRY(n == 600);
	weir_fast_free_bulk(pool, 0, pages, n);
	return 0;
}

static int in_bursts(void)
{
	struct weir_burst outer, inner;
	void *page;

	for (unsigned i = 0; i < 100; i++) {
		weir_burst_begin(pool, &outer);
		weir_burst_begin(pool, &inner);
		TRY((page = weir_fast_alloc(pool, 0, 0)));
		weir_burst_end(pool, &inner);
		weir_fast_free(pool, page, 0);
		weir_burst_end(pool, &outer);
	}
	return 0;
}

static int look(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;

	TRY(weir_stat_read(pool, &stat) == 0);
	TRY(stat.out == 0);
	TRY(weir_stat_read_zone(pool, 0, &zone) == 0);
	for (unsigned i = 0; i < stat.nr_cpus; i++) {
		TRY(weir_stat_read_cpu(pool, 0, i, &cpu) == 0);
		TRY(weir_get_mode(pool, i) >= 0);
	}
	TRY(weir_pool_range(pool, NULL, NULL, NULL) == 0);
	TRY(weir_alloc(pool, 77, 0) == NULL);
	TRY(weir_last_error()[0] != '\0');
	TRY(weir_strerror(-ENOMEM)[0] != '\0');
	return 0;
}

static int with_tokens(void)
{
	struct weir_burst burst;
	uint64_t token[64];

	weir_cache_burst_begin(cache, &burst);
	for (unsigned i = 0; i < 1000; i++)
		weir_cache_put(cache, 0, weir_cache_get(cache, 0, WEIR_NOWAIT));
	weir_cache_burst_end(cache, &burst);
	for (unsigned i = 0; i < 30; i++) {
		TRY(weir_cache_get_bulk(cache, 0, token, 64, WEIR_NOWAIT) == 0);
		weir_cache_put_bulk(cache, 0, token, 64);
		weir_cache_put_bulk(cache, 0, token, 64);
	}
	TRY(weir_cache_get_upto(cache, 0, token, 64, 0) == 64);
	weir_cache_tick(cache);
	return 0;
}

/* More than a list holds. */
static int with_store(void)
{
	static uint64_t token[TOKENS];

	for (unsigned i = 0; i < 30; i++) {
		TRY(weir_cache_get_bulk(storing, 0, token, TOKENS / 2,
					WEIR_NOWAIT) == 0);
		weir_cache_put_bulk(storing, 0, token, TOKENS / 2);
	}
	TRY(weir_cache_get_upto(storing, 0, token, TOKENS, 0) == TOKENS);
	for (unsigned i = 0; i < TOKENS; i++)
		weir_cache_put(storing, 0, token[i]);
	return 0;
}

static int everything(unsigned zero)
{
	int line = singles(zero);

	if (line == 0)
		line = all_out();
	if (line == 0)
		line = in_bursts();
	if (line == 0)
		line = look();
	if (line == 0)
		line = with_tokens();
	if (line == 0)
		line = with_store();
	return line;
}

static void without_calls(void *arg)
{
	const struct row *row = arg;
	int line;

	pin(allowed_cpu(0)); /* what another CPU kept would need membarrier */
	make(row);
	CHECK_EQ(everything(row->zero), 0); /* gettid, once a thread */
	fflush(NULL);
	if (!strict)
		seccomp_only_exit();
	else if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
		SKIP("this kernel has no strict mode");
	line = everything(row->zero);
	syscall(SYS_exit, line == 0 ? 0 : line % 64 + 1);
}

/* The filter kills who makes a call; else all of this shows nothing. */
static void with_a_call(void *arg)
{
	make(arg);
	seccomp_only_exit();
	(void)weir_drain(pool, NULL, NULL);
	(void)syscall(SYS_getppid);
}

int main(void)
{
	for (unsigned i = 0; i < 2 * NR_ROWS; i++) {
		const struct row *row = &rows[i / 2];
		int status;

		strict = i % 2;
		status = end_child(
			start_child(without_calls, (void *)(uintptr_t)row));
		if (status == 77)
			return 77;
		CHECK_MSG(status == 0,
			  "%s: ended with %d (1031: a system call; else 1 + "
			  "the line, modulo 64)",
			  row->name, status);
	}
	CHECK_EQ(end_child(
			 start_child(with_a_call, (void *)(uintptr_t)&rows[0])),
		 1000 + SIGSYS);
	printf("figures: %zu kinds of pools and caches, worked with where any "
	       "system call kills, twice\n",
	       NR_ROWS);
	return 0;
}
