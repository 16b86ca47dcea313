/* SPDX-License-Identifier: MIT */
/* Plays the rows of lists.h, and knows where every token is. */
#include "interleave/play.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weir/stat.h>

#include "interleave/os.h"
#include "api/pool.h"
#include "api/stat.h"

#define REGION ((char *)0x40000000) /* never touched */
#define WAIT_NS 8000		    /* one leap of the clock is longer */

struct play w;

/* --- where tokens are --------------------------------------------------- */

unsigned play_index_of(uint64_t token)
{
	EXPECT(token >= w.first && token - w.first < w.nr_tokens);
	return (unsigned)(token - w.first);
}

static void move(uint64_t token, unsigned from, unsigned to)
{
	uint8_t *place = &w.place[play_index_of(token)];

	if (*place != from)
		sched_fail("token %u goes from %u to %u, but is at %u",
			   play_index_of(token), from, to, *place);
	*place = (uint8_t)to;
}

/* A token was given to a thread. */
void play_hold(unsigned t, uint64_t token)
{
	move(token, IN, HELD + t);
	w.stays[play_index_of(token)] = false;
	w.held[t].token[w.held[t].n++] = token;
}

/* Its oldest, about to be given back. */
static uint64_t let_go(unsigned t)
{
	uint64_t token = w.held[t].token[0];

	w.held[t].n--;
	memmove(w.held[t].token, w.held[t].token + 1,
		w.held[t].n * sizeof(token));
	move(token, HELD + t, IN);
	return token;
}

static size_t back_end_get(void *context, unsigned list, uint64_t *tokens,
			   size_t n)
{
	size_t got = 0;

	(void)context, (void)list;
	interleave_point((uintptr_t)&w.nr_back, "back end: get");
	while (got < n && w.nr_back > 0) {
		tokens[got] = w.back[--w.nr_back];
		move(tokens[got++], BACK, IN);
	}
	return got;
}

static void back_end_put(void *context, unsigned list, const uint64_t *tokens,
			 size_t n)
{
	(void)context, (void)list;
	interleave_point((uintptr_t)&w.nr_back, "back end: put");
	for (size_t i = 0; i < n; i++) {
		move(tokens[i], IN, BACK);
		w.back[w.nr_back++] = tokens[i];
	}
	if (sched_self() < SCHED_THREADS_MAX)
		w.last_put[sched_self()] = sched_steps();
}

/* --- P2 ----------------------------------------------------------------- */

static void on_lock(void)
{
	w.locked_at = sched_steps();
	w.begun_before = w.lists->drain.begun;
}

static void on_unlock(void)
{
	const struct wi_drain *drain = &w.lists->drain;

	if (drain->begun == w.begun_before || drain->last != drain->begun ||
	    drain->last_request.cpus != NULL ||
	    drain->last_outcome.nr_pending != 0 || w.nr_drains == EVENTS_MAX)
		return;
	w.drains[w.nr_drains++] = (struct span){ w.locked_at, sched_steps() };
}

/* ENOMEM, said by a call that began then, needs a full drain in it during
 * which no put began and returned. */
static void check_empty(uint64_t begin)
{
	if (w.row->never_empty)
		sched_fail("ENOMEM, and there was a token all the time");
	for (unsigned i = 0; i < w.nr_drains; i++) {
		const struct span *drain = &w.drains[i];
		bool quiet = drain->begin >= begin;

		for (unsigned k = 0; k < w.nr_puts; k++)
			quiet &= w.puts[k].begin < drain->begin ||
				 w.puts[k].end > drain->end;
		if (quiet)
			return;
	}
	sched_fail("ENOMEM without a complete drain during which nothing came "
		   "back");
}

/* --- calls -------------------------------------------------------------- */

static void *page_of(uint64_t token)
{
	return REGION + token * PAGE;
}

uint64_t play_token_of(const void *page)
{
	return (uint64_t)((const char *)page - REGION) / PAGE;
}

static bool get_one(unsigned flags, uint64_t *token)
{
	if (w.row->door == CACHE) {
		*token = weir_cache_get(w.cache, 0, flags);
		return *token != WEIR_CACHE_NONE;
	} else {
		void *page = weir_fast_alloc(w.pool, 0, flags);

		*token = play_token_of(page);
		return page != NULL;
	}
}

void play_get(unsigned t, unsigned flags)
{
	const uint64_t begin = sched_steps();
	uint64_t token;

	if (get_one(flags, &token))
		play_hold(t, token);
	else if (errno == ENOMEM)
		check_empty(begin);
	else
		EXPECT(errno == EAGAIN);
}

static void get_some(unsigned t)
{
	uint64_t tokens[3];
	size_t got;

	if (w.row->door == CACHE) {
		got = weir_cache_get_upto(w.cache, 0, tokens, 3, WEIR_NOWAIT);
	} else {
		void *pages[3];

		got = weir_alloc_upto(w.pool, 0, pages, 3, WEIR_NOWAIT);
		for (size_t i = 0; i < got; i++)
			tokens[i] = play_token_of(pages[i]);
	}
	for (size_t i = 0; i < got; i++)
		play_hold(t, tokens[i]);
}

void play_put(unsigned t, unsigned n)
{
	uint64_t tokens[TOKENS_MAX];
	void *pages[TOKENS_MAX];

	for (unsigned i = 0; i < n; i++) {
		tokens[i] = let_go(t);
		pages[i] = page_of(tokens[i]);
	}
	/* A pool without lists there puts into the zone. */
	w.last_put[t] = w.row->door == POOL && w.row->modes[sched_cpu()] == 'x'
				? sched_steps()
				: 0;
	if (n == 1 && w.row->door == CACHE)
		weir_cache_put(w.cache, 0, tokens[0]);
	else if (w.row->door == CACHE)
		weir_cache_put_bulk(w.cache, 0, tokens, n);
	else if (n == 1)
		weir_fast_free(w.pool, pages[0], 0);
	else
		weir_fast_free_bulk(w.pool, 0, pages, n);
	if (w.last_put[t] != 0 && w.nr_puts < EVENTS_MAX)
		w.puts[w.nr_puts++] =
			(struct span){ w.last_put[t], sched_steps() };
}

static int drain(uint64_t want_pages, uint64_t wait_ns)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;

	opts.want_pages = want_pages;
	opts.wait_ns = wait_ns;
	return w.row->door == CACHE ? weir_cache_drain(w.cache, &opts, &result)
				    : weir_drain(w.pool, &opts, &result);
}

static int maintain(void)
{
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;

	EXPECT(w.row->door == POOL);
	return weir_maintain(w.pool, 0, &result);
}

/* What it adds comes back to the zone, for who says that there is none. */
static void add_block(void)
{
	const uint64_t begin = sched_steps();
	int err;

	EXPECT(w.nr_tokens + PAGES <= PLACES_MAX);
	w.nr_tokens += PAGES; /* as others may get them now */
	err = weir_pool_grow(w.pool, (uint64_t)PAGES * PAGE);
	EXPECT(err == 0 || err == -ETIMEDOUT || err == -ENOSPC);
	if (err != 0)
		w.nr_tokens -= PAGES;
	else if (w.nr_puts < EVENTS_MAX)
		w.puts[w.nr_puts++] = (struct span){ begin, sched_steps() };
}

static const struct wi_zone *zone_of_pool(void)
{
	return wi_pool_of(w.pool)->zone[0];
}

/* The block is the caller's if it says so. If it is not, and nobody has done
 * anything since the mark, then just the pages that others hold are out. */
static void isolate(unsigned t)
{
	struct weir_range_result result = WEIR_RANGE_RESULT_INIT;
	int err = weir_range_isolate(w.pool, PAGES, PAGES, &result);
	bool strict = true;
	unsigned held = 0;

	EXPECT(err == 0 || err == -EAGAIN);
	for (unsigned i = 0; i < SCHED_THREADS_MAX && w.row->thread[i]; i++) {
		held += w.held[i].n;
		strict &= i == t || (w.done[i] && w.before_mark[i]);
	}
	if (strict && result.pending == 0)
		EXPECT(result.out == held);
	if (err == 0) {
		for (unsigned i = 0; i < w.nr_tokens; i++)
			move(w.first + i, IN, HELD + t);
		interleave_point(0, "has the block");
		for (unsigned i = 0; i < w.nr_tokens; i++)
			move(w.first + i, HELD + t, IN);
	}
	EXPECT(weir_range_return(w.pool, PAGES, PAGES) == 0);
}

static int set_mode(const char *cpu, char letter)
{
	enum weir_mode mode = letter == 'o'   ? WEIR_MODE_ORDINARY
			      : letter == 'q' ? WEIR_MODE_QUIET
			      : letter == 'y' ? WEIR_MODE_POLLING
					      : WEIR_MODE_OFF;

	return w.row->door == CACHE ? weir_cache_set_mode(w.cache, cpu, mode)
				    : weir_set_mode(w.pool, cpu, mode);
}

static int set_limit(const char *cpu, char digit)
{
	const unsigned limit = (unsigned)(digit - '0');

	return w.row->door == CACHE
		       ? weir_cache_set_limit(w.cache, cpu, 0, limit)
		       : weir_set_limit(w.pool, cpu, 0, limit);
}

static void check_waited(int err)
{
	EXPECT(err == 0 || err == -EAGAIN || err == -ETIMEDOUT);
}

static void begin_burst(unsigned t)
{
	struct weir_burst *burst = &w.held[t].burst[w.held[t].nr_bursts++];

	EXPECT(w.held[t].nr_bursts <= BURSTS_MAX);
	if (w.row->door == CACHE)
		weir_cache_burst_begin(w.cache, burst);
	else
		weir_burst_begin(w.pool, burst);
}

static void end_burst(unsigned t)
{
	struct weir_burst *burst = &w.held[t].burst[--w.held[t].nr_bursts];

	if (w.row->door == CACHE)
		weir_cache_burst_end(w.cache, burst);
	else
		weir_burst_end(w.pool, burst);
}

static void get_pair(unsigned t)
{
	char *page = weir_alloc(w.pool, 1, WEIR_NOWAIT);

	if (page == NULL)
		return;
	play_hold(t, play_token_of(page));
	play_hold(t, play_token_of(page + PAGE));
}

/* Gets without waiting, puts, bursts and ticks wait for nobody. */
static void call_without_waiting(unsigned t, char letter)
{
	sched_forbid_waiting(true);
	if (letter == 'g')
		play_get(t, WEIR_NOWAIT);
	else if (letter == 'B')
		get_some(t);
	else if (letter == 'A')
		get_pair(t);
	else if (letter == 'i')
		asks_look(t);
	else if (letter == 'p' && w.held[t].n > 0)
		play_put(t, 1);
	else if (letter == 'U' && w.held[t].n > 0)
		play_put(t, w.held[t].n);
	else if (letter == 'b')
		begin_burst(t);
	else if (letter == 'e')
		end_burst(t);
	else if (letter == 't' && w.row->door == CACHE)
		weir_cache_tick(w.cache);
	else if (letter == 't')
		weir_fast_tick(w.pool);
	sched_forbid_waiting(false);
}

static void play(unsigned t, const char *script)
{
	for (const char *at = script; *at != '\0'; at++) {
		interleave_point(0, "between calls");
		w.in_call[t] = strchr("nzr", *at) == NULL;
		switch (*at) {
		case 'G':
			play_get(t, 0);
			break;
		case 'd':
			check_waited(drain(0, WEIR_WAIT_DEFAULT));
			break;
		case 'w':
			check_waited(drain(1, 0));
			break;
		case 'D':
			EXPECT(drain(0, UINT64_MAX) == 0);
			break;
		case 'm':
			check_waited(maintain());
			break;
		case 'M':
			asks_maintain();
			break;
		case 'R':
			asks_submit(t, false);
			break;
		case 'K':
			asks_submit(t, true);
			break;
		case 'c':
			asks_cancel(t);
			break;
		case 'a':
			add_block();
			break;
		case 'I':
			isolate(t);
			break;
		case 'q':
		case 'o':
		case 'y':
		case 'x':
			check_waited(set_mode("0", *at));
			break;
		case '1':
		case '2':
		case '3':
			check_waited(set_limit("0", *at));
			break;
		case 'n':
			interleave_relax();
			break;
		case 'z':
			sched_wait_for_others();
			break;
		case 'r':
			interleave_relax();
			if (!sched_others_done())
				at = script - 1;
			break;
		default:
			call_without_waiting(t, *at);
		}
		w.in_call[t] = false;
		w.before_mark[t] = w.row->two_blocks &&
				   !wi_zone_is_isolated(zone_of_pool(), PAGES);
	}
	w.done[t] = true;
}

static void run_thread(unsigned t)
{
	play(t, strchr(w.row->thread[t], ' ') + 1);
}

static void run_handler(unsigned t)
{
	play(t, w.row->handler);
}

/* --- before ------------------------------------------------------------- */

static void read_modes(void)
{
	struct interleave_machine *m = &interleave_machine;
	bool may_be_ordinary = false;

	for (unsigned t = 0; t < SCHED_THREADS_MAX; t++)
		may_be_ordinary |= w.row->thread[t] != NULL &&
				   strpbrk(w.row->thread[t], "oqyx") != NULL;
	for (unsigned cpu = 0; cpu < SCHED_CPUS; cpu++) {
		char letter = w.row->modes[cpu];

		m->mode[cpu] = letter == 'q'   ? WI_MODE_QUIET
			       : letter == 'y' ? WI_MODE_POLLING
					       : WI_MODE_ORDINARY;
		m->no_interrupts[cpu] = strchr("qyl", letter) != NULL &&
					(cpu != 0 || !may_be_ordinary);
	}
}

static void make_cache(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend.get = back_end_get;
	opts.backend.put = back_end_put;
	opts.limit[0] = w.row->limit ? w.row->limit : 4;
	opts.batch = w.row->batch ? w.row->batch : 2;
	opts.wait_ns = WAIT_NS;
	opts.flags = w.row->modes[0] == 'l' ? WEIR_POOL_NO_RSEQ : 0;
	EXPECT(weir_cache_create(&w.cache, &opts) == 0);
	for (unsigned i = 0; i < w.nr_tokens; i++)
		w.back[w.nr_back++] = i;
}

/* A pool of which all but a few pages are out. */
static void make_pool(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	void *pages[PAGES];
	const unsigned nr_pages = PAGES << w.row->two_blocks;
	const unsigned nr_out = nr_pages - w.nr_tokens;

	opts.capacity = (uint64_t)nr_pages * PAGE;
	opts.max_capacity = w.row->grows ? 2 * opts.capacity : 0;
	opts.backing = WEIR_BACKING_REGION;
	opts.region = REGION;
	opts.list_limit = w.row->limit ? w.row->limit : 4;
	opts.batch = w.row->batch ? w.row->batch : 2;
	opts.wait_ns = WAIT_NS;
	opts.flags = w.row->modes[0] == 'l' ? WEIR_POOL_NO_RSEQ : 0;
	EXPECT(weir_pool_create(&w.pool, &opts) == 0);
	sched_sit_on(w.row->asleep); /* CPU 0 sleeps on */
	EXPECT(weir_alloc_upto(w.pool, 0, pages, nr_out, WEIR_NOWAIT) ==
	       nr_out);
	sched_sit_on(0);
	w.first = nr_out;
	memset(w.place, IN, sizeof(w.place));
}

/* Words that are only counted with, or those of lists and places in line that
 * no scenario uses. */
static void skip_what_does_not_matter(void)
{
	struct wi_drain *d = &w.lists->drain;

	sched_skip(&w.lists->waiters[0][2],
		   sizeof(w.lists->waiters) - 2 * sizeof(struct wi_waiter));
	sched_skip(d->total, sizeof(*d->total));
	sched_skip(w.lists->totals, sizeof(*w.lists->totals));
	for (unsigned cpu = 0; cpu < SCHED_CPUS; cpu++) {
		struct wi_area *area = wi_drain_area(d, 0, cpu);

		sched_skip(d->units[cpu].by, sizeof(d->units[cpu].by));
		sched_skip(&d->units[cpu].late, sizeof(uint64_t));
		sched_skip(&d->units[cpu].in_force, 1);
		sched_skip(&d->units[cpu].off, 1);
		sched_skip(&area->null_set, sizeof(area->null_set));
		sched_skip(&area->counters, sizeof(area->counters));
		for (unsigned set = 0; set < 2; set++)
			sched_skip(&area->header[set][1], 7 * sizeof(uint64_t));
	}
}

static void fill(unsigned cpu, unsigned n)
{
	const unsigned nobody = SCHED_THREADS_MAX - 1;

	sched_sit_on(cpu);
	while (w.held[nobody].n < n)
		if (w.row->door == CACHE) {
			uint64_t token = 0;

			EXPECT(back_end_get(NULL, 0, &token, 1) == 1);
			play_hold(nobody, token);
		} else {
			play_get(nobody, 0);
		}
	while (w.held[nobody].n > 0)
		play_put(nobody, 1);
	sched_sit_on(0);
}

static void add_thread(const char *words)
{
	struct sched_thread_spec spec = {
		.run = run_thread,
		.handler = run_handler,
		.cpu = (unsigned)(*words - '0'),
	};

	while (*++words != ' ')
		spec.may |= *words == 'm'   ? SCHED_MOVES
			    : *words == 's' ? SCHED_SIGNALS
			    : *words == 'f' ? SCHED_FREEZES
					    : SCHED_DIES;
	sched_add(&spec);
}

void play_set_up(const void *row)
{
	memset(&w, 0, sizeof(w));
	w.row = row;
	w.nr_tokens = w.row->tokens ? w.row->tokens : 6;
	if (w.row->two_blocks)
		w.nr_tokens = PAGES;
	memset(&interleave_machine, 0, sizeof(interleave_machine));
	interleave_commits = 0;
	read_modes();
	interleave_machine.asleep = w.row->asleep;
	sched_sit_on(0);
	if (w.row->door == CACHE)
		make_cache();
	else
		make_pool();
	_Static_assert(offsetof(struct wi_cache, drain) == 0 &&
			       offsetof(struct wi_drain, mutex) == 0,
		       "the mutex stands at the cache's beginning");
	w.lists = interleave_machine.mutex;
	if (w.row->modes[0] == 'x')
		EXPECT(set_mode("0", 'x') == 0);
	if (w.row->modes[1] == 'x')
		EXPECT(set_mode("1", 'x') == 0);
	if (w.row->waits)
		asks_let_one_wait();
	for (unsigned cpu = 0; cpu < SCHED_CPUS; cpu++)
		if (w.row->fill[cpu] > 0)
			fill(cpu, w.row->fill[cpu]);
	asks_listen();
	skip_what_does_not_matter();
	interleave_machine.membarrier_fails = w.row->membarrier_fails;
	interleave_machine.locked_mutex = on_lock;
	interleave_machine.unlocking_mutex = on_unlock;
	for (unsigned t = 0; t < SCHED_THREADS_MAX && w.row->thread[t]; t++)
		add_thread(w.row->thread[t]);
}

/* --- after -------------------------------------------------------------- */

static bool may_die(const struct list_row *row)
{
	for (unsigned t = 0; t < SCHED_THREADS_MAX; t++) {
		const char *words = row->thread[t];

		if (words != NULL &&
		    memchr(words, 'k', strcspn(words, " ")) != NULL)
			return true;
	}
	return false;
}

/* Every CPU passes between operations, so that a drain misses nothing. */
static void drain_all(void)
{
	interleave_machine.locked_mutex = NULL;
	interleave_machine.unlocking_mutex = NULL;
	interleave_machine.membarrier_fails = false;
	check_waited(drain(0, WEIR_WAIT_DEFAULT));
	for (unsigned cpu = 0; cpu < SCHED_CPUS; cpu++) {
		sched_sit_on(cpu);
		if (w.row->door == CACHE)
			weir_cache_tick(w.cache);
		else
			weir_tick(w.pool);
	}
	EXPECT(drain(0, WEIR_WAIT_DEFAULT) == 0);
	for (unsigned cpu = 0; cpu < SCHED_CPUS; cpu++) {
		const struct wi_unit *unit = &w.lists->drain.units[cpu];

		EXPECT(!wi_drain_is_pending(&w.lists->drain, 0, cpu));
		/* The mode asked for last has come into force. */
		EXPECT(unit->wanted_off == unit->off);
		EXPECT(unit->off || unit->in_force == unit->wanted);
	}
}

/* Each operation was counted once. */
static void check_operations(void)
{
	const struct wi_percpu_view view = wi_percpu_view_of(&w.lists->drain);
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < SCHED_CPUS; cpu++) {
		struct wi_percpu_stat its;

		wi_percpu_view_read(&view, 0, cpu, &its);
		sum += its.operations[0];
		EXPECT(its.cached == 0 && its.pending == 0);
	}
	if (w.row->modes[0] != 'l')
		EXPECT(sum == interleave_commits);
}

static unsigned nr_at(unsigned place)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.nr_tokens; i++)
		n += w.place[i] == place;
	return n;
}

static void check_pool(unsigned held)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	EXPECT(weir_stat_read(w.pool, &stat) == 0);
	EXPECT(stat.out == w.first + held);
	EXPECT(stat.free == w.nr_tokens - held);
	EXPECT(wi_zone_is_valid(wi_pool_of(w.pool)->zone[0]));
	for (unsigned cpu = 0; cpu < SCHED_CPUS; cpu++)
		EXPECT(!wi_drain_has_woken(&w.lists->drain, cpu) ||
		       wi_drain_area(&w.lists->drain, 0, cpu)->bounds.bound ==
			       stat.pages * PAGE);
}

void play_look(const void *row)
{
	unsigned held = 0;

	(void)row;
	asks_end();
	for (unsigned t = 0; t < SCHED_THREADS_MAX; t++)
		held += w.held[t].n;
	drain_all();
	check_operations();
	if (may_die(w.row)) /* what its call had is lost */
		return;
	if (w.row->door == POOL) {
		EXPECT(nr_at(IN) == w.nr_tokens - held);
		check_pool(held);
		return;
	}
	EXPECT(nr_at(IN) == 0);
	EXPECT(nr_at(BACK) == w.nr_back);
	EXPECT(nr_at(BACK) + held == w.nr_tokens);
}

/* --- for traces --------------------------------------------------------- */

static bool describe_area(uintptr_t address, unsigned cpu, char *buf)
{
	struct wi_area *area = wi_drain_area(&w.lists->drain, 0, cpu);
	uint64_t at = address - (uintptr_t)area;
	const char *name = at == WEIR_AREA_ACTIVE  ? "active"
			   : at == WEIR_AREA_BUSY  ? "busy"
			   : at == WEIR_AREA_SEEN  ? "seen"
			   : at < WEIR_AREA_SET0   ? "area"
			   : at < WEIR_AREA_SET1   ? "header of set 0"
			   : at < WEIR_AREA_TOKENS ? "header of set 1"
			   : at < 32768		   ? "token of set 0"
						   : "token of set 1";

	if (address < (uintptr_t)area || at >= WEIR_AREA_BYTES)
		return false;
	if (at >= WEIR_AREA_ACTIVE && at < WEIR_AREA_TOKENS)
		snprintf(buf, 64, "%u: %s (%#llx)", cpu, name,
			 *(unsigned long long *)address);
	else
		snprintf(buf, 64, "%u: %s", cpu, name);
	return true;
}

void sched_describe(uintptr_t address, char *buf)
{
	if (w.lists != NULL &&
	    (describe_area(address, 0, buf) || describe_area(address, 1, buf)))
		return;
	snprintf(buf, 64, "%s", address == 0 ? "" : "...");
}
