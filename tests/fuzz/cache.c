/* SPDX-License-Identifier: MIT */
/*
 * A token cache before a back end of the fuzzer's own, which may have less
 * than was asked for, or nothing; or with a store of its own, which has room
 * for no more tokens than there are. If this fails, a token was changed, given
 * out twice, or to another list; one that was inside was not found by who may
 * wait; the back end was called as it was not told of; or the end did not give
 * everything back.
 */
#include <weir/cache.h>

#include "fuzz.h"

#define TOKENS 1500 /* of a list */
#define LISTS WEIR_CACHE_LISTS_MAX
#define BULK_MAX 700
#define MOVES_MAX 4
#define OPS_MAX 150

enum place { BACKEND, INSIDE, OUT };

static struct {
	struct weir_cache *cache;
	unsigned nr_lists;
	bool locked, strict;
	bool own;	 /* no back end: its store counts as inside */
	uint8_t mood;	 /* of the back end: how short it falls */
	bool fell_short; /* in this operation */
	unsigned nr_moves, nr_bursts;
	struct weir_burst burst[3];
	uint8_t place[LISTS][TOKENS];
	uint16_t stack[LISTS][TOKENS]; /* in the back end */
	unsigned height[LISTS];
	uint16_t out[LISTS][TOKENS];
	unsigned nr_out[LISTS];
	bool in_call; /* the library may call the back end */
} m;

static uint64_t tokens[BULK_MAX];

/* --- tokens ------------------------------------------------------------ */

/* Every bit pattern that is allowed may be one: mostly such with high bits. */
static uint64_t value(unsigned list, unsigned i)
{
	if (list == 0 && i == 0)
		return WEIR_CACHE_NONE - 2;
	if (list == 1 && i == 0)
		return 0;
	return ((uint64_t)i << 48 | (uint64_t)list << 40 | i) ^
	       UINT64_C(0x0000aa0000000000);
}

static unsigned index_of(unsigned list, uint64_t token)
{
	unsigned i = (unsigned)(token >> 48);

	if (token == value(list, 0))
		i = 0;
	MUST(i < TOKENS && value(list, i) == token);
	return i;
}

static unsigned nr_inside(unsigned list)
{
	return TOKENS - m.height[list] - m.nr_out[list];
}

/* Of a store of its own. */
static unsigned nr_stored(unsigned list)
{
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;

	MUST(weir_cache_stat_read(m.cache, &stat) == 0);
	MUST(m.own || stat.stored[list] == 0);
	return (unsigned)stat.stored[list];
}

/* --- the back end ------------------------------------------------------ */

static size_t get(void *context, unsigned list, uint64_t *to, size_t n)
{
	size_t got = 0, most = n;

	MUST(context == &m && list < m.nr_lists && m.in_call && n > 0);
	if (m.mood == 1)
		most = n / 2;
	else if (m.mood == 2)
		most = 1;
	else if (m.mood == 3)
		most = 0;
	while (got < most && m.height[list] > 0) {
		const unsigned i = m.stack[list][--m.height[list]];

		MUST(m.place[list][i] == BACKEND);
		m.place[list][i] = INSIDE;
		to[got++] = value(list, i);
	}
	m.fell_short |= got < n && m.height[list] > 0;
	return got;
}

static void put(void *context, unsigned list, const uint64_t *from, size_t n)
{
	MUST(context == &m && list < m.nr_lists && m.in_call && n > 0);
	for (size_t k = 0; k < n; k++) {
		const unsigned i = index_of(list, from[k]);

		MUST(m.place[list][i] == INSIDE);
		m.place[list][i] = BACKEND;
		m.stack[list][m.height[list]++] = (uint16_t)i;
	}
}

/* --- operations -------------------------------------------------------- */

static void take(unsigned list, uint64_t token)
{
	const unsigned i = index_of(list, token);

	MUST(m.place[list][i] == INSIDE);
	m.place[list][i] = OUT;
	m.out[list][m.nr_out[list]++] = (uint16_t)i;
}

static uint64_t give(unsigned list, unsigned at)
{
	const unsigned i = m.out[list][at];

	m.place[list][i] = INSIDE;
	m.out[list][at] = m.out[list][--m.nr_out[list]];
	return value(list, i);
}

static void check_failure(int error, unsigned list, unsigned flags, size_t n)
{
	MUST(error == ENOMEM || error == EAGAIN);
	if (flags & WEIR_NOWAIT) {
		MUST(error == EAGAIN);
		return;
	}
	if (error == EAGAIN) {
		/* A back end that has more the next time lets a get lose. */
		MUST(!m.strict || m.fell_short);
		return;
	}
	/* Nothing is left in lists: all that was had went back. */
	MUST(m.fell_short || nr_inside(list) + m.height[list] < n);
	MUST(!m.strict || n > 1 || nr_inside(list) == 0);
}

static void get_tokens(struct bytes *b)
{
	const unsigned list = take_below(b, m.nr_lists);
	const uint8_t how = take_u8(b);
	const unsigned flags = how & 1 ? WEIR_NOWAIT : 0;
	size_t n = 1, got = 0;
	int err;

	m.fell_short = false;
	errno = 0;
	if ((how & 6) == 0) {
		tokens[0] = weir_cache_get(m.cache, list, flags);
		got = tokens[0] != WEIR_CACHE_NONE;
		err = got ? 0 : errno;
	} else if ((how & 6) == 2) {
		n = take_below(b, how & 0x40 ? BULK_MAX : 100);
		err = -weir_cache_get_bulk(m.cache, list, tokens, n, flags);
		got = err == 0 ? n : 0;
	} else {
		n = take_below(b, how & 0x40 ? BULK_MAX : 100);
		got = weir_cache_get_upto(m.cache, list, tokens, n, flags);
		MUST(got <= n);
		err = got > 0 || n == 0 ? 0 : errno;
		n = 1;
	}
	if (err != 0)
		check_failure(err, list, flags, n);
	for (size_t i = 0; i < got; i++)
		take(list, tokens[i]);
}

static void put_tokens(struct bytes *b)
{
	const unsigned list = take_below(b, m.nr_lists);
	const uint8_t how = take_u8(b);
	const unsigned want = take_below(b, how & 2 ? BULK_MAX : 20);
	unsigned n = 0;

	while (n < want && m.nr_out[list] > 0)
		tokens[n++] = give(list, how & 4 ? 0 : m.nr_out[list] - 1);
	errno = 12345;
	if (how & 1)
		weir_cache_put_bulk(m.cache, list, tokens, n);
	else
		for (unsigned i = 0; i < n; i++)
			weir_cache_put(m.cache, list, tokens[i]);
	MUST(errno == 12345);
}

/* How many tokens are in no list and not out. */
static unsigned height(void)
{
	unsigned sum = 0;

	for (unsigned list = 0; list < m.nr_lists; list++)
		sum += m.height[list] + nr_stored(list);
	return sum;
}

static void drain(struct bytes *b)
{
	static const char *const lists[] = { NULL, "0", "1-3", "9999" };
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	const unsigned before = height();
	const uint8_t how = take_u8(b);
	int err;

	opts.cpus = lists[how & 3];
	opts.want_pages = how & 4 ? take_u8(b) : 0;
	err = weir_cache_drain(m.cache, &opts, &result);
	if ((how & 3) == 3) {
		MUST(err == -EINVAL && height() == before);
		return;
	}
	MUST(err == 0 || (err == -EAGAIN && !m.strict));
	MUST(result.pages == height() - before);
	for (unsigned list = 0; list < m.nr_lists && err == 0; list++)
		MUST(opts.cpus != NULL || opts.want_pages != 0 ||
		     nr_inside(list) == nr_stored(list));
}

static void set_mode(struct bytes *b)
{
	static const char *const lists[] = { NULL, "0", "1-3", "0-3" };
	const uint8_t how = take_u8(b);
	const enum weir_mode mode = (enum weir_mode)(how >> 2 & 3);
	int err;

	if (mode == WEIR_MODE_POLLING && !m.locked)
		m.strict = false;
	err = weir_cache_set_mode(m.cache, lists[how & 3], mode);
	if (m.locked && (mode == WEIR_MODE_QUIET || mode == WEIR_MODE_POLLING))
		MUST(err == -EOPNOTSUPP);
	else
		MUST(err == 0 || (err == -EAGAIN && !m.strict));
}

static void between(struct bytes *b)
{
	const uint8_t how = take_u8(b);

	if (how & 1)
		weir_cache_tick(m.cache);
	else if (how & 2 && m.nr_bursts < 3)
		weir_cache_burst_begin(m.cache, &m.burst[m.nr_bursts++]);
	else if (m.nr_bursts > 0)
		weir_cache_burst_end(m.cache, &m.burst[--m.nr_bursts]);
}

static void errors(void)
{
	errno = 0;
	MUST(weir_cache_get(m.cache, m.nr_lists, 0) == WEIR_CACHE_NONE);
	MUST(errno == EINVAL);
	MUST(weir_cache_get_bulk(m.cache, 0, tokens, 1, 2) == -EINVAL);
	MUST(weir_cache_get_upto(m.cache, LISTS, tokens, 1, 0) == 0);
	MUST(weir_cache_set_mode(m.cache, NULL, (enum weir_mode)4) == -EINVAL);
}

/* --- a run ------------------------------------------------------------- */

static void fill_store(unsigned list)
{
	for (unsigned i = 0; i < TOKENS; i++) {
		m.place[list][i] = INSIDE;
		weir_cache_put(m.cache, list, value(list, i));
	}
	m.height[list] = 0;
}

/* Gets what is left in it. */
static void empty_store(unsigned list)
{
	unsigned left = nr_inside(list);

	while (left-- > 0)
		take(list, weir_cache_get(m.cache, list, WEIR_NOWAIT));
	MUST(weir_cache_get(m.cache, list, WEIR_NOWAIT) == WEIR_CACHE_NONE);
}

static void begin(struct bytes *b)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	const uint8_t how = take_u8(b);
	uint8_t lists;

	fuzz_machine_reset();
	m.locked = how & 1;
	lists = take_u8(b);
	m.nr_lists = 1 + lists % LISTS;
	m.own = lists >= 0xc0;
	m.nr_moves = m.nr_bursts = 0;
	m.mood = 0;
	fuzz_machine.numbered = m.locked;
	fuzz_machine.membarrier_fails = (how & 0x0e) == 0x0e;
	if (m.own)
		opts.capacity = TOKENS;
	else
		opts.backend = (struct weir_cache_backend){ get, put, &m };
	opts.nr_lists = m.nr_lists;
	opts.flags = m.locked ? WEIR_POOL_NO_RSEQ : 0;
	opts.batch = how & 0x10 ? take_below(b, 65) : 0;
	opts.quiet_cpus = how & 0x20 ? "0-3" : how & 0x40 ? "1" : "";
	opts.polling_cpus = (how & 0x86) == 0x86 ? "0" : "";
	m.strict = m.locked || (!fuzz_machine.membarrier_fails &&
				opts.polling_cpus[0] == '\0');
	for (unsigned list = 0; list < m.nr_lists; list++) {
		opts.limit[list] = (uint16_t)(how & 0x80 ? take_u8(b) : 0);
		if (opts.limit[list] > 200) /* larger ones, too */
			opts.limit[list] += 255;
		for (unsigned i = 0; i < TOKENS; i++) {
			m.place[list][i] = BACKEND;
			m.stack[list][i] = (uint16_t)i;
		}
		m.height[list] = TOKENS;
		m.nr_out[list] = 0;
	}
	m.in_call = true;
	MUST(weir_cache_create(&m.cache, &opts) == 0);
	for (unsigned list = 0; m.own && list < m.nr_lists; list++)
		fill_store(list);
}

static void finish(void)
{
	while (m.nr_bursts > 0)
		weir_cache_burst_end(m.cache, &m.burst[--m.nr_bursts]);
	for (unsigned rank = FUZZ_CPUS; rank-- > 0 && !m.strict;) {
		fuzz_machine_move(rank);
		weir_cache_tick(m.cache);
		weir_cache_drain(m.cache, NULL, NULL);
	}
	fuzz_machine.membarrier_fails = false;
	/* CPUs 2 and 3 have no tokens where CPUs are true, but may have polled:
	 * then there is no evidence of them until the end. */
	MUST(weir_cache_drain(m.cache, NULL, NULL) == 0 || !m.strict);
	for (unsigned list = 0; list < m.nr_lists; list++)
		MUST(nr_inside(list) == nr_stored(list));
	for (unsigned list = 0; m.own && list < m.nr_lists; list++)
		empty_store(list);
	MUST(weir_cache_destroy(m.cache) == 0);
	m.in_call = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = { data, data + size };

	begin(&b);
	for (unsigned ops = 0; bytes_left(&b) > 0 && ops < OPS_MAX; ops++) {
		const unsigned op = take_u8(&b) % 16;

		if (op < 5)
			get_tokens(&b);
		else if (op < 9)
			put_tokens(&b);
		else if (op == 9)
			drain(&b);
		else if (op == 10)
			set_mode(&b);
		else if (op == 11)
			m.mood = take_u8(&b) % 6;
		else if (op == 12)
			between(&b);
		else if (op == 13)
			errors();
		else if (m.locked || m.nr_moves++ < MOVES_MAX)
			fuzz_machine_move(take_u8(&b));
	}
	finish();
	return 0;
}
