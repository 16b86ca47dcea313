/* SPDX-License-Identifier: MIT */
/*
 * The traced process: an owner, which does what it is ordered and traps when it
 * has done it; a helper on its CPU and one on another. Who has what is noted
 * (oracle.h), by kind: pages of the small pool and of the large one, tokens.
 */
#include "step.h"

#include <pthread.h>
#include <string.h>

#include <weir/stat.h>

#include "api/pool.h"
#include "helpers.h"
#include "oracle.h"

#define LIMIT 24
#define NR_TOKENS 256
#define OWNER 1 /* in the oracle; the helpers are 2 and 3 */
#define IN_HANDLER 4
#define DRAIN_NS 50000

/* Orders 0 to 3, and 9; unchecked, checked, and checked whole. */
static struct weir_pool *small[3], *large[3];
static struct weir_cache *cache;
static const unsigned order_of[] = { 0, 1, 2, 3, 9 };
static struct oracle oracle;
static char owners_cpu[16];
static uint8_t token_is_free[NR_TOKENS];

/* What a thread has of the things of the scenario. */
struct bag {
	uint64_t thing[NR_THINGS];
	size_t n;
	uint8_t id;
};
static struct bag bag[5] = { { .id = 0 },
			     { .id = OWNER },
			     { .id = 2 },
			     { .id = 3 },
			     { .id = IN_HANDLER } };

/* --- a back end of tokens ---------------------------------------------- */

static size_t tokens_get(void *context, unsigned list, uint64_t *tokens,
			 size_t n)
{
	size_t got = 0;

	(void)context, (void)list;
	for (uint64_t i = 0; i < NR_TOKENS && got < n; i++)
		if (__atomic_exchange_n(&token_is_free[i], 0, __ATOMIC_SEQ_CST))
			tokens[got++] = i;
	return got;
}

static void tokens_put(void *context, unsigned list, const uint64_t *tokens,
		       size_t n)
{
	(void)context, (void)list;
	for (size_t i = 0; i < n; i++) {
		CHECK(tokens[i] < NR_TOKENS);
		CHECK_MSG(__atomic_exchange_n(&token_is_free[tokens[i]], 1,
					      __ATOMIC_SEQ_CST) == 0,
			  "token %" PRIu64 " came back twice", tokens[i]);
	}
}

/* --- one interface to pools and cache ---------------------------------- */

#define NOW (&shared->now)

static struct weir_pool *pool_now(void)
{
	const unsigned i = NOW->way == CHECKED ? 1 : NOW->way == WHOLE ? 2 : 0;

	return NOW->list == 4 ? large[i] : small[i];
}

static unsigned order_now(void)
{
	return order_of[NOW->list];
}

/* Those of a checked pool are not in its handle. */
static const struct weir_i_lists *lists_now(void)
{
	const struct wi_pool *impl = wi_pool_of(pool_now());

	if (of_tokens(NOW->way))
		return &cache->lists;
	return impl->checks == NULL ? &pool_now()->lists : &impl->checked_lists;
}

static uint64_t *word_of(int cpu, uint64_t offset)
{
	return (uint64_t *)(void *)(lists_now()->areas +
				    (uint64_t)cpu * WEIR_AREA_BYTES + offset);
}

static uint64_t load_word(int cpu, uint64_t offset)
{
	return __atomic_load_n(word_of(cpu, offset), __ATOMIC_ACQUIRE);
}

/* Of the set in use; 0 in the null set. */
static uint64_t header_now(void)
{
	uint64_t set = (uint32_t)load_word(cpu_owner, WEIR_AREA_ACTIVE) &
		       ~(1u << WEIR_ACTIVE_QUIET_BIT);

	return set == 0 ? 0 : load_word(cpu_owner, set + 8 * NOW->list);
}

static uint64_t index_of(uint64_t thing)
{
	const struct weir_pool *pool = pool_now();

	if (of_tokens(NOW->way))
		return thing;
	return (thing - (uint64_t)pool->base) / (pool->page_mask + 1) >>
	       order_now();
}

static void take(struct bag *b, const uint64_t *things, size_t n)
{
	CHECK(b->n + n <= NR_THINGS);
	for (size_t i = 0; i < n; i++) {
		oracle_take(&oracle, index_of(things[i]), 1, b->id);
		b->thing[b->n++] = things[i];
	}
}

/* The last n of a bag are about to go back. */
static const uint64_t *give(struct bag *b, size_t n)
{
	CHECK(b->n >= n);
	b->n -= n;
	for (size_t i = 0; i < n; i++)
		oracle_give(&oracle, index_of(b->thing[b->n + i]), 1, b->id);
	return &b->thing[b->n];
}

/* Up to n things by calls, with these flags; how many. */
static size_t get_some(struct bag *b, size_t n, unsigned flags)
{
	uint64_t things[NR_THINGS];

	if (n == 0)
		return 0;
	n = of_tokens(NOW->way)
		    ? weir_cache_get_upto(cache, NOW->list, things, n, flags)
		    : weir_alloc_upto(pool_now(), order_now(),
				      (void **)(void *)things, n, flags);
	take(b, things, n);
	return n;
}

static void put_one(struct bag *b)
{
	uint64_t thing = *give(b, 1);

	if (of_tokens(NOW->way))
		weir_cache_put(cache, NOW->list, thing);
	else
		weir_free(pool_now(), (void *)thing, order_now());
}

static void put_some(struct bag *b, size_t n)
{
	const uint64_t *things = give(b, n);

	if (n == 0)
		return;
	if (of_tokens(NOW->way))
		weir_cache_put_bulk(cache, NOW->list, things, n);
	else
		weir_free_bulk(pool_now(), order_now(),
			       (void *const *)(const void *)things, n);
}

/* By the owner, that is stopped with it. */
static bool mutex_may_be_held(int err)
{
	return (NOW->op == DRAIN || NOW->op == COLLECT) && err == -ETIMEDOUT;
}

static int drain(uint64_t want, uint64_t wait_ns, uint64_t *pending)
{
	struct weir_drain_result r = WEIR_DRAIN_RESULT_INIT;
	const struct weir_drain_opts opts = { .size = sizeof(opts),
					      .want_pages = want,
					      .wait_ns = wait_ns };
	int err = of_tokens(NOW->way) ? weir_cache_drain(cache, &opts, &r)
				      : weir_drain(pool_now(), &opts, &r);

	if (r.by_membarrier + r.membarriers_failed != 0)
		shared->membarriers++;
	CHECK(err == 0 || err == -EAGAIN || mutex_may_be_held(err));
	if (pending != NULL)
		*pending = r.pending;
	return err;
}

static void set_mode(enum mode mode, int expected)
{
	static const enum weir_mode modes[] = {
		WEIR_MODE_ORDINARY, WEIR_MODE_QUIET, WEIR_MODE_POLLING,
		WEIR_MODE_QUIET, WEIR_MODE_OFF
	};
	int err = of_tokens(NOW->way)
			  ? weir_cache_set_mode(cache, owners_cpu, modes[mode])
			  : weir_set_mode(pool_now(), owners_cpu, modes[mode]);

	CHECK(err == 0 || err == expected || mutex_may_be_held(err));
}

static void tick(void)
{
	if (of_tokens(NOW->way))
		weir_cache_tick(cache);
	else
		weir_tick(pool_now());
}

static void burst_begin(struct weir_burst *burst)
{
	if (of_tokens(NOW->way))
		weir_cache_burst_begin(cache, burst);
	else
		weir_burst_begin(pool_now(), burst);
}

static void burst_end(struct weir_burst *burst)
{
	if (of_tokens(NOW->way))
		weir_cache_burst_end(cache, burst);
	else
		weir_burst_end(pool_now(), burst);
}

/* Nobody has anything: after a drain it lies in the back end, all of it. */
static void settle(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	uint64_t pending, n = 0;

	CHECK_MSG(drain(0, 2000000000, &pending) == 0 && pending == 0,
		  "the evidence does not come");
	if (of_tokens(NOW->way)) {
		for (unsigned i = 0; i < NR_TOKENS; i++)
			n += token_is_free[i];
		CHECK_MSG(n == NR_TOKENS, "%" PRIu64 " tokens of %d are there",
			  n, NR_TOKENS);
		return;
	}
	CHECK_EQ(weir_stat_read(pool_now(), &stat), 0);
	CHECK_MSG(stat.free == stat.pages && stat.out == 0,
		  "%" PRIu64 " pages are free, %" PRIu64 " out, of %" PRIu64,
		  stat.free, stat.out, stat.pages);
}

/* --- the owner --------------------------------------------------------- */

/* All lists are empty, all things in the back end. */
static void prepare(void)
{
	struct bag *b = &bag[OWNER];
	unsigned room, count;

	if (NOW->mode == OFF) /* it keeps what was before */
		set_mode(NOW->set == 0 ? ORDINARY : QUIET, 0);
	set_mode(NOW->mode, 0);
	/* More at once than the list's batch: all come from the back end. */
	CHECK_EQ(get_some(b, LIMIT + BULK + 1, 0), LIMIT + BULK + 1);
	drain(0, WEIR_WAIT_DEFAULT, NULL);
	room = (unsigned)(header_now() & WEIR_HEADER_ROOM_MASK) >>
	       WEIR_HEADER_ROOM_SHIFT;
	if (room > 0 &&
	    (header_now() >> WEIR_HEADER_OPS_SHIFT & 1) != NOW->set) {
		put_one(b);
		drain(0, WEIR_WAIT_DEFAULT, NULL);
	}
	CHECK(room <= LIMIT);
	count = NOW->fill == EMPTY ? 0 : NOW->fill == PART ? room / 2 : room;
	while (count-- > 0)
		put_one(b);
}

static void operate_calls(struct bag *b)
{
	uint64_t things[BULK];
	int err;

	switch (NOW->op) {
	case GET:
		things[0] = of_tokens(NOW->way)
				    ? weir_cache_get(cache, NOW->list, 0)
				    : (uint64_t)weir_alloc(pool_now(),
							   order_now(), 0);
		CHECK(things[0] != 0 || of_tokens(NOW->way));
		take(b, things, things[0] != WEIR_CACHE_NONE);
		break;
	case PUT:
		put_one(b);
		break;
	case GET_BULK:
		err = of_tokens(NOW->way)
			      ? weir_cache_get_bulk(cache, NOW->list, things,
						    BULK, 0)
			      : weir_alloc_bulk(pool_now(), order_now(),
						(void **)(void *)things, BULK,
						0);
		take(b, things, err == 0 ? BULK : 0);
		break;
	case PUT_BULK:
		put_some(b, BULK);
		break;
	case GET_ONE:
	case COLLECT:
		get_some(b, 1, 0);
		break;
	case PUT_ONE:
		put_some(b, 1);
		break;
	case GET_NOWAIT:
		things[0] =
			of_tokens(NOW->way)
				? weir_cache_get(cache, NOW->list, WEIR_NOWAIT)
				: (uint64_t)weir_alloc(pool_now(), order_now(),
						       WEIR_NOWAIT);
		take(b, things, things[0] != 0 || of_tokens(NOW->way));
		break;
	case TICK:
		tick();
		break;
	case DRAIN:
		drain(0, DRAIN_NS, NULL);
		break;
	default:
		break;
	}
}

static void operate_inlined(const struct inlined *in, struct bag *b)
{
	struct weir_pool *pool = pool_now();
	void *pages[BULK];
	int err;

	switch (NOW->op) {
	case GET:
		pages[0] = in->get(pool, NOW->list);
		take(b, (uint64_t *)(void *)pages, pages[0] != NULL);
		break;
	case PUT:
		in->put(pool, NOW->list, (void *)*give(b, 1));
		break;
	case GET_BULK:
		err = in->get_bulk(pool, NOW->list, pages);
		take(b, (uint64_t *)(void *)pages, err == 0 ? BULK : 0);
		break;
	case PUT_BULK:
		in->put_bulk(pool, NOW->list, (void **)(void *)give(b, BULK));
		break;
	default:
		in->tick(pool);
	}
}

static void operate_inlined_tokens(const struct inlined *in, struct bag *b)
{
	uint64_t tokens[BULK];
	int err;

	switch (NOW->op) {
	case GET:
		tokens[0] = in->get_token(cache, NOW->list);
		take(b, tokens, tokens[0] != WEIR_CACHE_NONE);
		break;
	case PUT:
		in->put_token(cache, NOW->list, *give(b, 1));
		break;
	case GET_BULK:
		err = in->get_tokens(cache, NOW->list, tokens);
		take(b, tokens, err == 0 ? BULK : 0);
		break;
	case PUT_BULK:
		in->put_tokens(cache, NOW->list, give(b, BULK));
		break;
	default:
		in->tick_tokens(cache);
	}
}

static void operate(void)
{
	struct weir_burst burst;
	bool in_burst = NOW->mode == IN_BURST || NOW->op == BURST;

	if (in_burst)
		burst_begin(&burst);
	switch (NOW->way) {
	case INLINED:
		operate_inlined(&inlined_here, &bag[OWNER]);
		break;
	case PLUGIN:
		operate_inlined(&inlined_plugin, &bag[OWNER]);
		break;
	case TOKENS_INLINED:
		operate_inlined_tokens(&inlined_here, &bag[OWNER]);
		break;
	case TOKENS_PLUGIN:
		operate_inlined_tokens(&inlined_plugin, &bag[OWNER]);
		break;
	default:
		operate_calls(&bag[OWNER]);
	}
	if (in_burst)
		burst_end(&burst);
}

static void on_signal(int number)
{
	struct bag *b = &bag[IN_HANDLER];
	struct weir_burst burst;

	(void)number;
	if (shared->in_handler == HANDLER_BURST)
		burst_begin(&burst);
	get_some(b, 2, WEIR_NOWAIT);
	if (b->n > 0)
		put_one(b);
	if (shared->in_handler == HANDLER_BURST)
		burst_end(&burst);
}

__attribute__((noinline)) static void done(void)
{
	shared->done = true;
	__asm__ __volatile__("int3" ::: "memory");
}

static void meet_tracer(void)
{
	shared->rseq = (uint64_t)(uintptr_t)__builtin_thread_pointer() +
		       (uint64_t)weir_i_rseq_offset;
	shared->owner = (pid_t)syscall(SYS_gettid);
	__atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
	futex_wake(&shared->ready);
	while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) != 2)
		futex_wait(&shared->ready, 1);
}

static void owner(void *unused)
{
	(void)unused;
	meet_tracer();
	for (;;) {
		done();
		if (shared->order == PREPARE)
			prepare();
		else if (shared->order == OPERATE)
			operate();
		else
			settle();
	}
}

/* --- the helpers ------------------------------------------------------- */

/* A mark that protects, and whose owner is outside of all sequences. */
static bool is_marked(int cpu)
{
	uint64_t mark = load_word(cpu, WEIR_AREA_BUSY);
	uint64_t set = mark & 1 ? WEIR_AREA_SET1 : WEIR_AREA_SET0;
	unsigned list = (unsigned)(mark >> WEIR_MARK_LIST_SHIFT) & 0x1ff;

	if (mark == 0)
		return false;
	if (mark >> WEIR_MARK_BURST_BIT & 1)
		return true;
	return (uint32_t)(load_word(cpu, set + 8 * list) >>
			  WEIR_HEADER_OPS_SHIFT) == (uint32_t)mark;
}

/* All that anybody has goes back; the owner is outside of all calls. */
static void give_back(void)
{
	CHECK_MSG(!is_marked(cpu_owner) && !is_marked(cpu_other),
		  "a mark stays behind");
	for (unsigned id = OWNER; id <= IN_HANDLER; id++)
		while (bag[id].n > 0)
			put_some(&bag[id], bag[id].n < 64 ? bag[id].n : 64);
}

/* A drain from afar, of a CPU whose owner stands still. */
static void drain_from_afar(uint64_t want)
{
	int err = drain(want, DRAIN_NS, NULL);

	if (NOW->op != DRAIN && NOW->op != COLLECT &&
	    (NOW->mode == QUIET || NOW->mode == IN_BURST))
		CHECK_MSG(err == 0 || is_marked(cpu_owner),
			  "no evidence, although nothing is announced");
}

/* Operations that never wait. */
static void take_nowait(struct helper *h, struct bag *b)
{
	uint64_t before = now_ns(), now;
	size_t n = 1;

	while (n > 0 || b->n > 0) {
		if (n > 0)
			n = get_some(b, 64, WEIR_NOWAIT);
		else
			put_one(b);
		now = now_ns();
		if (now - before > h->slowest_ns)
			h->slowest_ns = now - before;
		before = now;
	}
}

/* No more than the owner may have in its call is missing, if it is said that
 * there is no more. */
static void take_all(struct bag *b)
{
	size_t all = NR_TOKENS, n;

	if (!of_tokens(NOW->way)) {
		CHECK_EQ(weir_pool_range(pool_now(), NULL, &all, NULL), 0);
		all = all >> 12 >> order_now();
	}
	do
		n = get_some(b, 64, 0);
	while (n > 0);
	CHECK(errno == ENOMEM || errno == EAGAIN);
	for (unsigned id = OWNER; id <= IN_HANDLER; id++)
		n += bag[id].n;
	CHECK_MSG(errno == EAGAIN || n + LIMIT + BULK >= all,
		  "a false ENOMEM: %zu of %zu are out", n, all);
	while (b->n > 0)
		put_some(b, b->n < 64 ? b->n : 64);
}

static void change_mode(enum act act)
{
	const enum mode from_quiet = NOW->set == 0 ? POLLING : ORDINARY;
	const enum mode other[] = { QUIET, from_quiet, QUIET, POLLING,
				    ORDINARY };

	set_mode(act == OFF_AND_ON ? OFF : other[NOW->mode], -EAGAIN);
	if (act != OTHER_MODE)
		set_mode(NOW->mode, -EAGAIN);
	/* From ordinary to another and back may take a membarrier. */
	if (act == THERE_BACK && other[NOW->mode] == ORDINARY)
		shared->membarriers++;
}

/* Tokens in lists of the other CPU, of either set. */
static uint64_t nr_in_lists(void)
{
	uint64_t n = 0;

	for (unsigned list = 0; list < WEIR_NR_LISTS; list++)
		n += (load_word(cpu_other, WEIR_AREA_SET0 + 8 * list) &
		      WEIR_HEADER_TOP_MASK) +
		     (load_word(cpu_other, WEIR_AREA_SET1 + 8 * list) &
		      WEIR_HEADER_TOP_MASK);
	return n / 8;
}

/* The lists of the other CPU are for the tokens of another zone; and again for
 * the owner's, none of which has got there. */
static void change_zone(bool other)
{
	static struct weir_i_bounds own;
	static uint64_t before;
	struct weir_i_bounds *its = (void *)word_of(cpu_other, WEIR_AREA_FIRST);

	if (other) {
		before = nr_in_lists();
		own = *its;
		*its = (struct weir_i_bounds){ UINT64_C(1) << 60, 1 };
	} else {
		*its = own;
		CHECK_MSG(nr_in_lists() <= before,
			  "a token is in a list of another zone");
	}
}

static void act(struct helper *h, struct bag *b)
{
	struct weir_burst burst;

	switch ((int)h->act) {
	case DRAIN_ALL:
	case DRAIN_SOME:
		drain_from_afar(h->act == DRAIN_SOME);
		break;
	case OFF_AND_ON:
	case OTHER_MODE:
	case THERE_BACK:
		change_mode(h->act);
		break;
	case TAKE_ALL:
		take_all(b);
		break;
	case TAKE_NOWAIT:
		take_nowait(h, b);
		break;
	case SAME_BULK:
		put_some(b, get_some(b, BULK, WEIR_NOWAIT));
		drain(0, DRAIN_NS, NULL);
		break;
	case SAME_CPU:
	case SAME_BURST:
		if (h->act == SAME_BURST)
			burst_begin(&burst);
		if (get_some(b, 2, WEIR_NOWAIT) > 0)
			put_one(b);
		if (h->act == SAME_BURST)
			burst_end(&burst);
		break;
	case MIGRATE_ZONE:
	case CHECK_ZONE:
		change_zone(h->act == MIGRATE_ZONE);
		break;
	case CHECK_UP:
		give_back();
		break;
	case SETTLE_UP:
		settle();
		break;
	default:
		break;
	}
	/* They may have asked membarrier, which does not tell of itself. */
	if (NOW->mode == ORDINARY && h->act != DRAIN_ALL &&
	    h->act != DRAIN_SOME && h->act != TAKE_NOWAIT)
		shared->membarriers++;
}

static void help(void *arg)
{
	struct helper *h = arg;
	struct bag *b = &bag[h == &shared->far ? 2 : 3];

	for (uint32_t n = 0;; n++) {
		while (__atomic_load_n(&h->asked, __ATOMIC_ACQUIRE) == n)
			futex_wait(&h->asked, n);
		act(h, b);
		__atomic_store_n(&h->done, n + 1, __ATOMIC_RELEASE);
		futex_wake(&h->done);
	}
}

/* --- the processes ----------------------------------------------------- */

static struct weir_pool *create_pool(uint64_t pages, const char *checked)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = pages * 4096;
	opts.list_limit = LIMIT;
	opts.quiet_cpus = "";
	opts.wait_ns = 200000;
	setenv("WEIR_CHECKED", checked, 1);
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	return pool;
}

static void create_cache(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend =
		(struct weir_cache_backend){ tokens_get, tokens_put, NULL };
	opts.nr_lists = WEIR_CACHE_LISTS_MAX;
	for (unsigned list = 0; list < WEIR_CACHE_LISTS_MAX; list++)
		opts.limit[list] = LIMIT;
	opts.quiet_cpus = "";
	opts.wait_ns = 200000;
	memset(token_is_free, 1, sizeof(token_is_free));
	CHECK_MSG(weir_cache_create(&cache, &opts) == 0, "%s",
		  weir_last_error());
}

void tracee_main(void)
{
	static const char *const checked[] = { "0", "1", "2" };
	struct runner runner[3];

	snprintf(owners_cpu, sizeof(owners_cpu), "%d", cpu_owner);
	oracle_init(&oracle, "thing", NR_THINGS);
	for (unsigned i = 0; i < 3; i++) {
		small[i] = create_pool(NR_THINGS, checked[i]);
		large[i] = create_pool(48 * 512, checked[i]);
	}
	create_cache();
	signal(SIGUSR1, on_signal);
	start_on(&runner[0], cpu_other, help, &shared->far);
	start_on(&runner[1], cpu_owner, help, &shared->near);
	start_on(&runner[2], cpu_owner, owner, NULL);
	finish(&runner[2]);
}

void tracee_create(void)
{
	struct weir_pool *pool;
	int err;

	/* Its check of sequences wants the CPU to be shared. */
	sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 });
	pin(cpu_owner);
	meet_tracer();
	done();
	pool = create_pool(NR_THINGS, "0");
	/* Membarriers while the tracer has stopped this thread abort nothing:
	 * the check may find that sequences cannot be aborted. */
	err = weir_set_mode(pool, NULL, WEIR_MODE_QUIET);
	CHECK(err == 0 || err == -EOPNOTSUPP);
	weir_free(pool, weir_alloc(pool, 0, 0), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	_exit(0);
}
