/* SPDX-License-Identifier: MIT */
/*
 * If this fails, CPUs that do not exist yet cost memory or time of each drain,
 * or a CPU that comes online later gets no lists, or loses what is put there;
 * or a thread that is cancelled while it gives them keeps the drain mutex.
 */
#include <sys/mman.h>

#include "cache/cache.h"
#include "helpers.h"
#include "os/rseq.h"

#define NR_CPUS 1024

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#define UNDER_SANITIZER                                                        \
	(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define UNDER_SANITIZER 0
#endif

static struct wi_cache cache;
static char *areas;
static int here, there; /* of these two, `here` was online */
static uint64_t nr_home;

static size_t get(void *ctx, unsigned zone, unsigned kind, uint64_t *tokens,
		  size_t n, uint32_t *cursor)
{
	(void)ctx, (void)zone, (void)kind, (void)tokens, (void)n, (void)cursor;
	return 0;
}

static void put(void *ctx, unsigned zone, unsigned kind, const uint64_t *tokens,
		size_t n)
{
	(void)ctx, (void)zone, (void)kind, (void)tokens;
	nr_home += n;
}

static uint64_t generation(void *ctx)
{
	(void)ctx;
	return nr_home;
}

/* Pages of the areas that were touched. */
static unsigned nr_touched(void)
{
	const size_t nr = (wi_percpu_areas_bytes(NR_CPUS, 1) + 4095) / 4096;
	unsigned char *is_there = malloc(nr);
	unsigned n = 0;

	CHECK_EQ(mincore(areas, nr * 4096, is_there), 0);
	for (size_t i = 0; i < nr; i++)
		n += is_there[i] & 1;
	free(is_there);
	return n;
}

static void create(enum wi_mode mode)
{
	static uint8_t modes[NR_CPUS];
	static uint64_t online[NR_CPUS / 64];
	static struct wi_cache_totals totals;
	struct wi_cache_config config = {
		.percpu.modes = modes,
		.percpu.online = online,
		.percpu.nr_cpus = NR_CPUS,
		.percpu.nr_zones = 1,
		.percpu.nr_lists = 1,
		.percpu.limits = { 60 },
		.percpu.weight = { 1 },
		.totals = &totals,
		.batch = 16,
		.wait_ns = 1000000000,
		.backend = { .get = get, .put = put, .generation = generation },
	};
	size_t bytes = wi_round_up(wi_percpu_bytes(NR_CPUS, 1), 64);

	config.percpu.locked = mode == WI_MODE_LOCKED;
	memset(modes, mode, sizeof(modes));
	memset(online, 0, sizeof(online));
	online[here / 64] |= UINT64_C(1) << here % 64;
	areas = mmap(NULL, wi_percpu_areas_bytes(NR_CPUS, 1),
		     PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	CHECK(areas != MAP_FAILED);
	madvise(areas, wi_percpu_areas_bytes(NR_CPUS, 1), MADV_NOHUGEPAGE);
	config.percpu.areas = areas;
	config.percpu.memory = aligned_alloc(64, bytes);
	memset(config.percpu.memory, 0, bytes);
	memset(&cache, 0, sizeof(cache));
	CHECK_EQ(wi_cache_init(&cache, &config), 0);
	nr_home = 0;
}

static void destroy(void)
{
	wi_cache_fini(&cache);
	munmap(areas, wi_percpu_areas_bytes(NR_CPUS, 1));
	free(cache.drain.total);
}

static struct wi_drain_outcome drain(void)
{
	struct wi_drain_request request = { .nr_zones = 1 };
	struct wi_drain_outcome outcome;

	request.may_interrupt = true; /* nobody operates there meanwhile */
	request.deadline_ns = now_ns() + 1000000000;
	CHECK_EQ(wi_cache_drain(&cache, &request, &outcome, &(bool){ 0 }), 0);
	return outcome;
}

static void put_one(void *unused)
{
	uint64_t token = 5;

	(void)unused;
	wi_cache_put(&cache, 0, 0, &token, 1);
	wi_percpu_tick_all(&cache.drain);
}

static void get_without_waiting(void *unused)
{
	uint64_t token;
	const struct wi_get one = { .wait_ns = WEIR_WAIT_DEFAULT,
				    .flags = WI_GET_NOWAIT,
				    .tokens = &token,
				    .n = 1 };
	int error;

	(void)unused;
	CHECK_EQ(wi_cache_get(&cache, &one, &error), 0);
	CHECK_EQ(error, EAGAIN);
}

static unsigned count_there(void)
{
	struct wi_area *area = wi_drain_area(&cache.drain, 0, (unsigned)there);
	unsigned set = wi_active_set(area->active);

	return wi_header_count(wi_area_headers(area, set)[0]);
}

static void see(enum wi_mode mode, void (*first)(void *))
{
	struct wi_drain_outcome outcome;
	unsigned touched;

	create(mode);
	touched = nr_touched();
	CHECK_MSG(touched <= 4, "%u pages", touched);
	outcome = drain();
	CHECK_EQ(outcome.cpus_empty, NR_CPUS);
	CHECK_EQ(nr_touched(), touched);
	/* While somebody drains it stays asleep: the token goes home. */
	CHECK(wi_drain_trylock(&cache.drain));
	run_on(there, put_one, NULL);
	CHECK_EQ(nr_home, 1);
	CHECK_EQ(wi_drain_has_woken(&cache.drain, (unsigned)there), false);
	wi_drain_unlock(&cache.drain);
	/* Then whatever comes first wakes it, with its own mode. */
	run_on(there, first, NULL);
	CHECK(wi_drain_has_woken(&cache.drain, (unsigned)there));
	CHECK_EQ(wi_active_is_quiet(
			 wi_drain_area(&cache.drain, 0, (unsigned)there)
				 ->active),
		 mode == WI_MODE_QUIET);
	run_on(there, put_one, NULL);
	CHECK(count_there() >= 1);
	outcome = drain();
	CHECK(outcome.pages >= 1);
	CHECK_EQ(outcome.cpus_drained, 1);
	CHECK_EQ(outcome.cpus_empty, NR_CPUS - 1);
	CHECK_EQ(count_there(), 0);
	destroy();
}

/* A mode set before is the one it wakes in. */
static void sleeping_mode(enum wi_mode mode, bool off)
{
	struct wi_drain_request request = { .nr_zones = 1 };
	struct wi_drain_outcome outcome;

	create(WI_MODE_ORDINARY);
	request.set_mode = true;
	request.mode = mode;
	request.set_off = off;
	CHECK_EQ(wi_cache_drain(&cache, &request, &outcome, &(bool){ 0 }), 0);
	CHECK(nr_touched() <= 4);
	run_on(there, put_one, NULL);
	CHECK_EQ(count_there(), off ? 0 : 1);
	CHECK_EQ(nr_home, off ? 1 : 0);
	CHECK_EQ(cache.drain.units[there].off, off);
	CHECK_EQ(wi_active_is_quiet(
			 wi_drain_area(&cache.drain, 0, (unsigned)there)
				 ->active),
		 mode == WI_MODE_QUIET && !off);
	drain();
	CHECK_EQ(nr_home, 1);
	destroy();
}

/* --- cancelled while it wakes a CPU -------------------------------------- */

/* The waker holds the mutex when it first touches the area. */
static void on_touch(int signal)
{
	(void)signal;
	CHECK_EQ(mprotect(areas, wi_percpu_areas_bytes(NR_CPUS, 1),
			  PROT_READ | PROT_WRITE),
		 0);
	CHECK_EQ(pthread_cancel(pthread_self()), 0);
}

static void *wake(void *unused)
{
	(void)unused;
	pin(there);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	put_one(NULL);
	return NULL;
}

static void cancelled(void)
{
	struct sigaction before, action = { .sa_handler = on_touch };
	pthread_t thread;
	void *result;

	create(WI_MODE_LOCKED);
	CHECK_EQ(sigaction(SIGSEGV, &action, &before), 0);
	CHECK_EQ(mprotect(areas, wi_percpu_areas_bytes(NR_CPUS, 1), PROT_NONE),
		 0);
	CHECK_EQ(pthread_create(&thread, NULL, wake, NULL), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
	CHECK_EQ(sigaction(SIGSEGV, &before, NULL), 0);
	drain();
	destroy();
}

int main(void)
{
	two_cpus(&here, &there);
	pin(here);
	/* gcc 12's sanitizers fault themselves when a thread is cancelled. */
	if (!UNDER_SANITIZER)
		cancelled();
	see(WI_MODE_LOCKED, put_one);
	see(WI_MODE_LOCKED, get_without_waiting);
	if (!wi_rseq_available())
		return 0;
	see(WI_MODE_QUIET, put_one);
	see(WI_MODE_QUIET, get_without_waiting);
	see(WI_MODE_POLLING, put_one);
	sleeping_mode(WI_MODE_QUIET, false);
	sleeping_mode(WI_MODE_POLLING, false);
	sleeping_mode(WI_MODE_ORDINARY, true);
	return 0;
}
