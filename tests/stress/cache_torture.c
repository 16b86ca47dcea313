/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a token was handed out twice, or lost, or came from another
 * list or zone than it belongs to, or a drain waits for a CPU that does
 * nothing.
 *
 * As pool_torture, for token caches; the back end is a table that knows which
 * tokens it has. The public cache has one zone: the variants of two zones
 * stand on the internal interface that the pool uses, too.
 *
 *     cache_torture [SECONDS [VARIANT [SEED]]]
 */
#include "outside.h"

#include <weir/cache.h>
#include <weir/fast.h>

#include "cache/cache.h"
#include "oracle.h"
#include "os/os.h"
#include "os/rseq.h"

#define LISTS 3
#define KINDS (LISTS + 1) /* in two zones, one without a list */
#define TOKENS 400	  /* of each kind and zone */
#define ZONES_MAX 2
#define HOLD_MAX 300
#define WAIT_NS 2000000

static const struct variant {
	const char *name;
	enum weir_mode mode;
	unsigned zones, flags;
	bool changes; /* modes change */
	bool store;   /* no back end: the cache keeps the tokens */
} variants[] = {
	{ "ordinary", WEIR_MODE_ORDINARY, 1, 0, false, false },
	{ "quiet", WEIR_MODE_QUIET, 1, 0, false, false },
	{ "all modes", WEIR_MODE_POLLING, 1, 0, true, false },
	{ "locked", WEIR_MODE_ORDINARY, 1, WEIR_POOL_NO_RSEQ, false, false },
	{ "own store", WEIR_MODE_ORDINARY, 1, 0, true, true },
	{ "own store, locked", WEIR_MODE_ORDINARY, 1, WEIR_POOL_NO_RSEQ, false,
	  true },
	{ "two zones, ordinary", WEIR_MODE_ORDINARY, 2, 0, false, false },
	{ "two zones, quiet", WEIR_MODE_QUIET, 2, 0, false, false },
	{ "two zones, locked", WEIR_MODE_ORDINARY, 2, WEIR_POOL_NO_RSEQ, false,
	  false },
};

static const struct variant *variant;
static struct weir_cache *public; /* of one zone, or: */
static struct wi_cache internal;
static void *areas, *units;
static uint64_t came_back;

/* --- the back end ------------------------------------------------------ */

static struct oracle oracle; /* who has it; a byte each */
static uint8_t at_home[ZONES_MAX * KINDS * TOKENS]; /* the back end has it */

static uint64_t number(unsigned zone, unsigned kind, uint64_t i)
{
	return (zone * KINDS + kind) * (uint64_t)TOKENS + i;
}

/* Tokens are 64 bits: use them. */
#define TOKEN_SALT UINT64_C(0xfeedface00000000)

static size_t zone_get(void *ctx, unsigned zone, unsigned kind,
		       uint64_t *tokens, size_t n, uint32_t *cursor)
{
	const uint64_t first = number(zone, kind, 0);
	const uint32_t at = wi_load_relaxed(cursor);
	size_t got = 0;

	(void)ctx;
	CHECK(kind < KINDS && zone < variant->zones);
	for (unsigned i = 0; i < TOKENS && got < n; i++) {
		uint64_t token = first + (at + i) % TOKENS;

		if (wi_load_relaxed(&at_home[token]) &&
		    wi_xchg_acq_rel(&at_home[token], 0))
			tokens[got++] = token ^ TOKEN_SALT;
	}
	wi_store_relaxed(cursor, at + (uint32_t)got);
	return got;
}

static void zone_put(void *ctx, unsigned zone, unsigned kind,
		     const uint64_t *tokens, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++) {
		uint64_t token = tokens[i] ^ TOKEN_SALT;

		CHECK_MSG(token - number(zone, kind, 0) < TOKENS,
			  "zone %u, kind %u gets token %" PRIu64, zone, kind,
			  token);
		CHECK_MSG(wi_load_relaxed(&oracle.owner[token]) == 0,
			  "token %" PRIu64 " goes home while %u has it", token,
			  oracle.owner[token]);
		CHECK_MSG(wi_xchg_acq_rel(&at_home[token], 1) == 0,
			  "token %" PRIu64 " comes home twice", token);
	}
	wi_add_full(&came_back, 1);
}

static unsigned zone_of(void *ctx, uint64_t token)
{
	(void)ctx;
	return (unsigned)((token ^ TOKEN_SALT) / TOKENS / KINDS);
}

static uint64_t generation(void *ctx)
{
	(void)ctx;
	wi_fence_full();
	return wi_load_acquire(&came_back);
}

/* How many tokens are in no list. */
static uint64_t nr_at_home(void)
{
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;
	uint64_t sum = 0;

	if (variant->store) {
		CHECK_EQ(weir_cache_stat_read(public, &stat), 0);
		for (unsigned list = 0; list < LISTS; list++)
			sum += stat.stored[list];
		return sum;
	}
	for (uint64_t i = 0; i < oracle.nr; i++)
		sum += at_home[i];
	return sum;
}

static size_t public_get(void *ctx, unsigned list, uint64_t *tokens, size_t n)
{
	static uint32_t cursor;
	uint32_t at = wi_load_relaxed(&cursor);

	n = zone_get(ctx, 0, list, tokens, n, &at);
	wi_store_relaxed(&cursor, at);
	return n;
}

static void public_put(void *ctx, unsigned list, const uint64_t *tokens,
		       size_t n)
{
	zone_put(ctx, 0, list, tokens, n);
}

/* --- operations -------------------------------------------------------- */

struct worker {
	uint64_t token[HOLD_MAX];
	unsigned nr;
};

static size_t get(unsigned kind, uint64_t *tokens, size_t n, bool waits,
		  bool some)
{
	const unsigned flags = waits ? 0 : WEIR_NOWAIT;
	const struct wi_get get = {
		.wait_ns = WEIR_WAIT_DEFAULT,
		.kind = kind,
		.flags = (waits ? 0 : WI_GET_NOWAIT) | (some ? WI_GET_SOME : 0),
		.tokens = tokens,
		.n = n,
	};
	int error;

	if (variant->zones > 1)
		return wi_cache_get(&internal, &get, &error);
	kind %= LISTS;
	if (some)
		return weir_cache_get_upto(public, kind, tokens, n, flags);
	if (n > 1)
		return weir_cache_get_bulk(public, kind, tokens, n, flags) ? 0
									   : n;
	tokens[0] = weir_cache_get(public, kind, flags);
	return tokens[0] != WEIR_CACHE_NONE;
}

/* Tokens of one zone and kind. */
static void put(const uint64_t *tokens, size_t n)
{
	const uint64_t its = (tokens[0] ^ TOKEN_SALT) / TOKENS;
	const unsigned zone = (unsigned)its / KINDS;
	const unsigned kind = (unsigned)its % KINDS;

	if (variant->zones > 1)
		wi_cache_put(&internal, zone, kind, tokens, n);
	else if (n == 1)
		weir_cache_put(public, kind, tokens[0]);
	else
		weir_cache_put_bulk(public, kind, tokens, n);
}

static void take(struct torturer *self, const uint64_t *tokens, size_t n)
{
	self->checked += n;
	for (size_t i = 0; i < n; i++)
		oracle_take(&oracle, tokens[i] ^ TOKEN_SALT, 1, self->id);
}

static void get_some(struct torturer *self)
{
	struct worker *w = self->state;
	const uint64_t r = check_random(&self->random);
	uint64_t *tokens = w->token + w->nr;
	size_t n = r % 8 == 0 ? 1 + (r >> 8) % 80 : 1;

	if (w->nr + n > HOLD_MAX)
		return;
	n = get((r >> 16) % KINDS, tokens, n, (r >> 24) % 16 == 0, r >> 32 & 1);
	self->again += n == 0;
	take(self, tokens, n);
	w->nr += (unsigned)n;
}

/* One, or those of one zone and kind that were got last. */
static void put_some(struct torturer *self)
{
	struct worker *w = self->state;
	const uint64_t r = check_random(&self->random);
	const uint64_t last = w->nr > 0 ? w->token[w->nr - 1] ^ TOKEN_SALT : 0;
	unsigned n = 0, most = r % 8 == 0 ? 100 : 1;

	while (n < most && n < w->nr &&
	       (w->token[w->nr - 1 - n] ^ TOKEN_SALT) / TOKENS == last / TOKENS)
		n++;
	w->nr -= n;
	for (unsigned i = 0; i < n; i++)
		oracle_give(&oracle, w->token[w->nr + i] ^ TOKEN_SALT, 1,
			    self->id);
	if (n > 0)
		put(w->token + w->nr, n);
}

static void add(uint64_t *total, uint64_t n)
{
	__atomic_fetch_add(total, n, __ATOMIC_RELAXED);
}

static int drain_public(uint64_t want, uint64_t wait_ns)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	int err;

	opts.want_pages = want;
	opts.wait_ns = wait_ns;
	err = weir_cache_drain(public, &opts, &result);
	add(&shared->drains, result.cpus_drained);
	add(&shared->progress, result.by_progress);
	add(&shared->not_busy, result.by_not_busy);
	add(&shared->membarrier, result.by_membarrier);
	add(&shared->late, result.cpus_pending);
	return err;
}

static int drain(uint64_t want, uint64_t wait_ns)
{
	struct wi_drain_request request = {
		.nr_zones = variant->zones,
		.want_pages = want,
		.deadline_ns = wi_after_ns(wi_os_now_ns(), wait_ns),
	};
	struct wi_drain_outcome outcome = { 0 };
	int err;

	if (variant->zones == 1)
		return drain_public(want, wait_ns);
	err = wi_cache_drain(&internal, &request, &outcome, &(bool){ 0 });
	add(&shared->drains, outcome.drained);
	add(&shared->progress, outcome.by[WI_EVIDENCE_PROGRESS]);
	add(&shared->not_busy, outcome.by[WI_EVIDENCE_NOT_BUSY]);
	add(&shared->membarrier, outcome.by[WI_EVIDENCE_MEMBARRIER]);
	add(&shared->late, outcome.nr_pending);
	return err;
}

static void tick(void)
{
	if (variant->zones == 1)
		weir_cache_tick(public);
	else
		wi_percpu_tick_all(&internal.drain);
}

static void burst_begin(struct weir_burst *burst)
{
	if (variant->zones == 1)
		weir_cache_burst_begin(public, burst);
	else
		burst->area = wi_percpu_burst_begin(&internal.drain);
}

static void burst_end(struct weir_burst *burst)
{
	if (variant->zones == 1)
		weir_cache_burst_end(public, burst);
	else
		wi_percpu_burst_end(burst->area);
}

/* --- threads ----------------------------------------------------------- */

static void worker_step(struct torturer *self)
{
	const uint64_t r = check_random(&self->random);
	const bool bursts = r % 8 == 0;
	unsigned n = bursts ? 1 + (unsigned)(r >> 8) % 40 : 1;
	struct weir_burst burst;

	if (bursts && (r >> 52) % 8 == 0)
		torture_hold_stores_up(r);
	if (bursts)
		burst_begin(&burst);
	for (; n > 0; n--) {
		bool more = (self->ops >> 10) % 3 != 0;

		if (check_random(&self->random) % 64 < (more ? 35 : 25))
			get_some(self);
		else
			put_some(self);
		self->ops++;
	}
	if (bursts && (r >> 40) % 32 == 0)
		torture_move(r >> 48);
	if (bursts)
		burst_end(&burst);
	if ((r >> 16) % 8 == 0)
		tick();
	self->tired = (r >> 32) % 2048 == 0;
}

static void in_handler(struct torturer *self)
{
	const uint64_t r = check_random(&self->handler_random);
	struct weir_burst burst;
	const int before = errno;
	uint64_t tokens[8];
	size_t n;

	if (r & 1)
		burst_begin(&burst);
	n = get((r >> 8) % KINDS, tokens, 1 + (r >> 16) % 8, false, false);
	take(self, tokens, n);
	for (size_t i = 0; i < n; i++) {
		oracle_give(&oracle, tokens[i] ^ TOKEN_SALT, 1, self->id);
		put(&tokens[i], 1);
	}
	if (r & 1)
		burst_end(&burst);
	errno = before;
}

/* Those whose modes change: all (NULL), or those that this process may use, if
 * they are not all. On others nobody passes by, which polling needs. */
static const char *changing_cpus(char list[CPU_SETSIZE * 5])
{
	size_t len = 0;

	if (torture.nr_cpus == wi_os_nr_cpus())
		return NULL;
	for (unsigned i = 0; i < torture.nr_cpus; i++)
		len += (size_t)snprintf(list + len, CPU_SETSIZE * 5 - len,
					"%s%d", i > 0 ? "," : "",
					torture.cpu[i]);
	return list;
}

static void drainer_step(struct torturer *self)
{
	static const uint64_t waits[] = { 0, 1000, 20000, 200000 };
	const uint64_t r = check_random(&self->random);
	int err = drain(r & 1 ? 1 + (r >> 8) % 200 : 0, waits[r >> 16 & 3]);

	CHECK_MSG(err == 0 || err == -EAGAIN || err == -ETIMEDOUT, "drain: %d",
		  err);
	if (variant->changes && r >> 32 & 1) {
		char list[CPU_SETSIZE * 5];

		err = weir_cache_set_mode(public, changing_cpus(list),
					  (enum weir_mode)(r >> 40 & 3));
		CHECK_MSG(err == 0 || err == -EAGAIN || err == -ETIMEDOUT ||
				  err == -EOPNOTSUPP,
			  "weir_cache_set_mode: %d", err);
	}
	torture_nap(r >> 48 & 0xffff);
}

/* --- looking ----------------------------------------------------------- */

static void look(void)
{
	int err;

	for (unsigned i = 0; variant->changes && i < torture.nr_cpus; i++) {
		torture_pin(&torture.cpu[i]);
		drain(0, 1);
		tick();
	}
	torture_pin(NULL);
	err = drain(0, 2000000000);
	CHECK_MSG(err == 0, "all stand still, a drain says %d", err);
	CHECK_EQ(nr_at_home() + oracle_out(&oracle),
		 variant->zones * TOKENS *
			 (variant->zones > 1 ? KINDS : LISTS));
}

/* --- one variant ------------------------------------------------------- */

static void create_internal(void)
{
	static uint8_t modes[CPU_SETSIZE];
	static uint16_t zones[CPU_SETSIZE];
	static const struct weir_i_bounds bounds[] = {
		{ TOKEN_SALT, TOKENS * KINDS },
		{ TOKEN_SALT + TOKENS * KINDS, TOKENS * KINDS },
	};
	static struct wi_cache_totals totals;
	struct wi_cache_config config = {
		.percpu.modes = modes,
		.percpu.bounds = bounds,
		.percpu.zone_of_cpu = zones,
		.percpu.nr_cpus = wi_os_nr_cpus(),
		.percpu.nr_zones = 2,
		.percpu.nr_lists = LISTS,
		.percpu.locked = variant->flags != 0 || !wi_rseq_available(),
		.percpu.limits = { 60, 100, 5 },
		.percpu.weight = { 1, 1, 1 },
		.totals = &totals,
		.batch = 16,
		.wait_ns = WAIT_NS,
		.backend = { .get = zone_get,
			     .put = zone_put,
			     .generation = generation,
			     .zone_of = zone_of },
	};

	memset(modes,
	       config.percpu.locked ? WI_MODE_LOCKED : (int)variant->mode,
	       sizeof(modes));
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		zones[cpu] = cpu % 2;
	areas = aligned_alloc(
		4096,
		wi_round_up(wi_percpu_areas_bytes(config.percpu.nr_cpus, 2),
			    4096));
	units = aligned_alloc(
		64, wi_round_up(wi_percpu_bytes(config.percpu.nr_cpus, 2), 64));
	CHECK(areas != NULL && units != NULL);
	memset(areas, 0, wi_percpu_areas_bytes(config.percpu.nr_cpus, 2));
	memset(units, 0, wi_percpu_bytes(config.percpu.nr_cpus, 2));
	config.percpu.areas = areas;
	config.percpu.memory = units;
	memset(&internal, 0, sizeof(internal));
	CHECK_EQ(wi_cache_init(&internal, &config), 0);
}

static bool create_public(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	int err;

	if (variant->store)
		opts.capacity = TOKENS; /* not one more than there are */
	else
		opts.backend = (struct weir_cache_backend){ public_get,
							    public_put, NULL };
	opts.nr_lists = LISTS;
	opts.flags = variant->flags;
	opts.limit[0] = 60;
	opts.limit[1] = 100;
	opts.limit[2] = 5;
	opts.batch = 16;
	opts.quiet_cpus = "";
	opts.wait_ns = WAIT_NS;
	CHECK_MSG(weir_cache_create(&public, &opts) == 0, "%s",
		  weir_last_error());
	err = weir_cache_set_mode(public, NULL, variant->mode);
	if (err == -EOPNOTSUPP)
		CHECK_EQ(weir_cache_destroy(public), 0);
	for (unsigned list = 0; err == 0 && variant->store && list < LISTS;
	     list++)
		for (uint64_t i = 0; i < TOKENS; i++)
			weir_cache_put(public, list,
				       number(0, list, i) ^ TOKEN_SALT);
	return err == 0;
}

static void run(double seconds)
{
	static struct worker workers[5];

	printf("%s\n", variant->name);
	fflush(stdout);
	oracle_init(&oracle, "token", number(variant->zones, 0, 0));
	memset(at_home, 0, sizeof(at_home));
	memset(at_home, 1, oracle.nr);
	if (variant->zones == 1)
		memset(at_home + LISTS * TOKENS, 0, TOKENS);
	if (variant->zones > 1) {
		create_internal();
	} else if (!create_public()) {
		printf("  skipped: there are no sequences\n");
		oracle_fini(&oracle);
		return;
	}
	torture_init(in_handler);
	for (unsigned i = 0; i < 5; i++) {
		workers[i].nr = 0;
		torture_add(worker_step, true, &workers[i]);
	}
	torture_add(drainer_step, false, NULL);
	torture_add(drainer_step, false, NULL);
	torture_add(torture_perturb, false, NULL);
	printf("  %u looks\n", torture_for(seconds, look));
	for (unsigned i = 0; i < 5; i++)
		while (workers[i].nr > 0)
			put_some(&torture.t[i]);
	CHECK_EQ(oracle_out(&oracle), 0);
	look();
	if (variant->zones > 1) {
		wi_cache_fini(&internal);
		free(areas);
		free(units);
	} else {
		CHECK_EQ(weir_cache_destroy(public), 0);
	}
	oracle_fini(&oracle);
}

int main(int argc, char **argv)
{
	const unsigned nr = sizeof(variants) / sizeof(variants[0]);
	const struct outside_options o = outside_init(argc, argv, 18, nr);

	for (variant = variants; variant < variants + nr; variant++)
		if (o.only == NULL || strcmp(o.only, variant->name) == 0)
			outside_run(run, o.seconds);
	outside_figures("tokens checked");
	return 0;
}
