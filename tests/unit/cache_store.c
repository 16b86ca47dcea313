/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a token cache without a back end loses tokens, gives one out
 * twice or changes it, finds no room for one that fits, or takes more than its
 * capacity.
 */
#include <signal.h>
#include <sys/wait.h>

#include <weir/fast.h>

#include "api/token_store.h"
#include "base/atomic.h"
#include "helpers.h"
#include "oracle.h"

#define TOKENS 3000
#define LISTS 2

static struct weir_cache *cache;

static struct weir_cache_opts good(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.capacity = TOKENS;
	opts.nr_lists = LISTS;
	opts.quiet_cpus = "";
	return opts;
}

/* --- options ------------------------------------------------------------ */

static size_t none(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
	return 0;
}

static void drop(void *context, unsigned list, const uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
}

static void must_refuse(const struct weir_cache_opts *opts, const char *field)
{
	CHECK_EQ(weir_cache_create(&cache, opts), -EINVAL);
	CHECK_MSG(strncmp(weir_last_error(), field, strlen(field)) == 0,
		  "%s: \"%s\"", field, weir_last_error());
}

static void options(void)
{
	struct weir_cache_opts opts = good();

	opts.capacity = 0;
	must_refuse(&opts, "capacity: 0");
	opts.capacity = (UINT64_C(1) << 32) + 1;
	must_refuse(&opts, "capacity");
	opts = good();
	opts.backend.get = none;
	must_refuse(&opts, "backend");
	opts.backend.put = drop;
	must_refuse(&opts, "capacity: set");
	opts = good();
	opts.backend.put = drop;
	must_refuse(&opts, "backend");
	opts = good();
	opts.backend.context = &opts;
	must_refuse(&opts, "backend: context");
}

/* --- what goes in comes out ---------------------------------------------- */

/* All values that the interface allows. */
static uint64_t value(unsigned list, uint64_t i)
{
	return i == 0	? WEIR_CACHE_NONE - 2
	       : i == 1 ? 0
			: (i << 40) ^ (UINT64_C(0x8000000000000001) * list);
}

static uint64_t stored(unsigned list)
{
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;

	CHECK_EQ(weir_cache_stat_read(cache, &stat), 0);
	for (unsigned i = LISTS; i < WEIR_CACHE_LISTS_MAX; i++)
		CHECK_EQ(stat.stored[i], 0);
	return stat.stored[list];
}

static void check_all(unsigned list, const uint64_t *tokens)
{
	static uint8_t found[TOKENS];

	memset(found, 0, sizeof(found));
	for (unsigned k = 0; k < TOKENS; k++) {
		uint64_t i = 0;

		while (i < TOKENS && tokens[k] != value(list, i))
			i++;
		CHECK(i < TOKENS);
		CHECK_EQ(found[i]++, 0);
	}
}

static void all_of(unsigned list)
{
	static uint64_t tokens[TOKENS + 1];

	for (unsigned i = 0; i < TOKENS; i++)
		weir_cache_put(cache, list, value(list, i));
	for (unsigned i = 0; i < TOKENS; i++)
		tokens[i] = weir_cache_get(cache, list, 0);
	check_all(list, tokens);
	CHECK_EQ(weir_cache_get(cache, list, 0), WEIR_CACHE_NONE);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(weir_cache_get(cache, list, WEIR_NOWAIT), WEIR_CACHE_NONE);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(stored(list), 0);
	weir_cache_put_bulk(cache, list, tokens, TOKENS);
	CHECK_EQ(weir_cache_get_bulk(cache, list, tokens, TOKENS + 1, 0),
		 -ENOMEM);
	CHECK_EQ(weir_cache_get_bulk(cache, list, tokens, TOKENS, 0), 0);
	check_all(list, tokens);
	for (unsigned i = 0; i < TOKENS; i++)
		weir_fast_cache_put(cache, 0, value(0, i));
	CHECK_EQ(weir_cache_get_upto(cache, 0, tokens, TOKENS, 0), TOKENS);
	check_all(0, tokens);
	weir_cache_put_bulk(cache, list, tokens, TOKENS);
	CHECK_EQ(weir_cache_drain(cache, NULL, NULL), 0);
	CHECK_EQ(stored(list), TOKENS);
	CHECK_EQ(weir_cache_get_upto(cache, list, tokens, TOKENS, 0), TOKENS);
}

static void in_and_out(unsigned flags, enum weir_mode mode)
{
	struct weir_cache_opts opts = good();

	opts.flags = flags;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	CHECK_EQ(weir_cache_get(cache, 0, 0), WEIR_CACHE_NONE);
	CHECK_EQ(errno, ENOMEM); /* it begins empty */
	if (mode != WEIR_MODE_ORDINARY)
		CHECK_EQ(weir_cache_set_mode(cache, NULL, mode), 0);
	for (unsigned list = 0; list < LISTS; list++)
		all_of(list);
	weir_cache_put(cache, 1, 7);
	CHECK_EQ(weir_cache_destroy(cache), 0);
}

/* On one CPU: what other CPUs keep would be missed by who does not wait. */
static void all_in_and_out(void *unused)
{
	(void)unused;
	in_and_out(0, WEIR_MODE_ORDINARY);
	in_and_out(0, WEIR_MODE_OFF);
	in_and_out(WEIR_POOL_NO_RSEQ, WEIR_MODE_ORDINARY);
}

/* --- exact capacities ----------------------------------------------------- */

static void exact(uint64_t capacity)
{
	const size_t bytes = wi_token_store_bytes(capacity);
	struct wi_token_store store = { 0 };
	void *memory = aligned_alloc(64, bytes);
	uint64_t *tokens = calloc(capacity + 1, sizeof(*tokens));
	uint32_t cursor = 0;

	CHECK(memory != NULL && tokens != NULL);
	CHECK(bytes <= capacity * 83 / 10 + 2048);
	memset(memory, 0, bytes);
	wi_token_store_init(&store, memory, capacity);
	for (unsigned round = 0; round < 3; round++) {
		CHECK_EQ(wi_token_store_get(&store, tokens, 1, &cursor), 0);
		CHECK(!wi_token_store_put(&store, tokens, capacity + 1));
		for (uint64_t i = 0; i < capacity; i++)
			tokens[i] = i;
		CHECK(wi_token_store_put(&store, tokens, capacity));
		CHECK(!wi_token_store_put(&store, tokens, 1));
		CHECK_EQ(wi_token_store_count(&store), capacity);
		CHECK_EQ(wi_token_store_get(&store, tokens, capacity + 1,
					    &cursor),
			 capacity);
		for (uint64_t i = 0, sum = 0; i < capacity; i++) {
			sum += tokens[i];
			if (i == capacity - 1)
				CHECK_EQ(sum, capacity * (capacity - 1) / 2);
		}
	}
	free(memory);
	free(tokens);
}

/* --- threads and handlers, as many tokens as there is room ---------------- */

#define WORKERS 4
#define EACH 40
#define CROWD (WORKERS * EACH)

static struct oracle oracle;

static void take(uint64_t token, uint8_t id)
{
	oracle_take(&oracle, token, 1, id);
}

static void on_signal(int number)
{
	const int before = errno;
	uint64_t token = weir_cache_get(cache, 0, WEIR_NOWAIT);

	(void)number;
	if (token != WEIR_CACHE_NONE) {
		take(token, 100);
		oracle_give(&oracle, token, 1, 100);
		weir_cache_put(cache, 0, token);
	}
	errno = before;
}

/* Holds no more than it had at first, so that there is always room. */
static void *work(void *arg)
{
	const uint8_t id = (uint8_t)(1 + (uintptr_t)arg);
	uint64_t random = id, held[EACH];
	unsigned nr = EACH;

	for (unsigned i = 0; i < EACH; i++) {
		held[i] = (id - 1u) * EACH + i;
		take(held[i], id);
	}
	for (unsigned round = 0; round < 30000; round++) {
		const uint64_t r = check_random(&random);
		unsigned n = 1 + (unsigned)(r % EACH);

		if (r & 1 << 20) {
			n = n < nr ? n : nr;
			nr -= n;
			for (unsigned i = 0; i < n; i++)
				oracle_give(&oracle, held[nr + i], 1, id);
			weir_cache_put_bulk(cache, 0, held + nr, n);
		} else {
			n = n < EACH - nr ? n : EACH - nr;
			n = (unsigned)weir_cache_get_upto(cache, 0, held + nr,
							  n, WEIR_NOWAIT);
			for (unsigned i = 0; i < n; i++)
				take(held[nr + i], id);
			nr += n;
		}
		if (round % 64 == 0)
			raise(SIGUSR1);
	}
	for (unsigned i = 0; i < nr; i++)
		oracle_give(&oracle, held[i], 1, id);
	weir_cache_put_bulk(cache, 0, held, nr);
	return NULL;
}

static void crowd(unsigned flags, enum weir_mode mode)
{
	struct weir_cache_opts opts = good();
	pthread_t thread[WORKERS];

	oracle_init(&oracle, "token", CROWD);
	opts.capacity = CROWD;
	opts.limit[0] = 16;
	opts.flags = flags;
	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	CHECK_EQ(weir_cache_set_mode(cache, NULL, mode), 0);
	signal(SIGUSR1, on_signal);
	for (uintptr_t i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, work, (void *)i), 0);
	for (unsigned i = 0; i < 100; i++)
		weir_cache_drain(cache, NULL, NULL);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	CHECK_EQ(weir_cache_drain(cache, NULL, NULL), 0);
	CHECK_EQ(stored(0), CROWD);
	CHECK_EQ(oracle_out(&oracle), 0);
	CHECK_EQ(weir_cache_destroy(cache), 0);
	oracle_fini(&oracle);
}

static void in_child(void)
{
	struct weir_cache_opts opts = good();
	int status;
	pid_t child;

	CHECK_EQ(weir_cache_create(&cache, &opts), 0);
	weir_cache_put(cache, 0, 5);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		weir_cache_put(cache, 0, 6);
		CHECK_EQ(weir_cache_get(cache, 0, 0), WEIR_CACHE_NONE);
		CHECK_EQ(errno, ESTALE);
		CHECK_EQ(weir_cache_destroy(cache), -ESTALE);
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	CHECK_EQ(weir_cache_get(cache, 0, 0), 5);
	CHECK_EQ(weir_cache_destroy(cache), 0);
}

int main(void)
{
	static const uint64_t capacities[] = { 1,   2,	 63,  64,   65,	 511,
					       512, 513, 640, 1000, 5000 };

	options();
	run_on(allowed_cpu(0), all_in_and_out, NULL);
	for (unsigned i = 0; i < WI_ARRAY_SIZE(capacities); i++)
		exact(capacities[i]);
	crowd(0, WEIR_MODE_ORDINARY);
	crowd(0, WEIR_MODE_OFF);
	crowd(WEIR_POOL_NO_RSEQ, WEIR_MODE_ORDINARY);
	in_child();
	return 0;
}
