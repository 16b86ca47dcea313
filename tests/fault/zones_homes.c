/* SPDX-License-Identifier: MIT */
/*
 * If this fails, the inlined path is not used in a pool of two zones; or a page
 * of one zone lies in a list of the other, because its thread was moved or
 * because it was freed elsewhere; or a freed page of another zone is not kept.
 */
#include <sys/stat.h>

#include <weir/weir.h>

#include "fault.h"

/* What the inlined functions call where they cannot do it themselves. */
static unsigned slow_calls;

static void *slow_alloc(struct weir_pool *pool, unsigned order, unsigned flags)
{
	slow_calls++;
	return weir_alloc(pool, order, flags);
}

static void slow_free(struct weir_pool *pool, void *page, unsigned order)
{
	slow_calls++;
	weir_free(pool, page, order);
}

static int slow_alloc_bulk(struct weir_pool *pool, unsigned order, void **pages,
			   size_t n, unsigned flags)
{
	slow_calls++;
	return weir_alloc_bulk(pool, order, pages, n, flags);
}

static void slow_free_bulk(struct weir_pool *pool, unsigned order,
			   void *const *pages, size_t n)
{
	slow_calls++;
	weir_free_bulk(pool, order, pages, n);
}

#define weir_alloc slow_alloc
#define weir_free slow_free
#define weir_alloc_bulk slow_alloc_bulk
#define weir_free_bulk slow_free_bulk
#include <weir/fast.h>
#undef weir_alloc
#undef weir_free
#undef weir_alloc_bulk
#undef weir_free_bulk
#include <weir/request.h>

#include "api/pool.h"
#include "seccomp.h"

#define BULK 32
#define ROUNDS 20000
#define MOVES 3000
#define PAGES 600

static int cpu[2]; /* at home in zone 0, in zone 1 */
static struct weir_pool *pool;
static void *page[2][PAGES];
static uint32_t started, over;

/* --- two nodes, of a CPU each ------------------------------------------- */

static void put_file(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/%s", name);
	for (char *p = path + 5; (p = strchr(p, '/')) != NULL; *p++ = '/') {
		*p = '\0';
		CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
	}
	file = fopen(path, "w");
	CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static bool make_nodes(void)
{
	char list[32];

	if (!own_mounts() || mount("none", "/sys", "tmpfs", 0, NULL) != 0)
		return false;
	put_file("devices/system/node/online", "0-1\n");
	put_file("devices/system/node/has_memory", "0-1\n");
	for (int node = 0; node < 2; node++) {
		char name[64];

		snprintf(name, sizeof(name),
			 "devices/system/node/node%d/cpulist", node);
		snprintf(list, sizeof(list), "%d\n", cpu[node]);
		put_file(name, list);
	}
	snprintf(list, sizeof(list), "0-%d\n", cpu[1]);
	put_file("devices/system/cpu/possible", list);
	put_file("devices/system/cpu/online", list);
	may_use_nodes("0-1");
	return true;
}

static unsigned zone_of(const void *at)
{
	return wi_pool_zone_of(wi_pool_of(pool),
			       (uint64_t)((const char *)at - pool->base));
}

/* --- where pages are ----------------------------------------------------- */

/* Each token in a list is of the zone that the list is for. */
static void check_lists(void)
{
	const struct wi_pool *impl = wi_pool_of(pool);

	for (unsigned zone = 0; zone < 2; zone++)
		for (unsigned i = 0; i < 2; i++) {
			struct wi_area *area = wi_drain_area(
				&impl->cache.drain, zone, (unsigned)cpu[i]);

			CHECK_EQ(area->cpu, (unsigned)cpu[i]);
			for (unsigned k = 0; k < 2 * WI_POOL_LISTS; k++) {
				unsigned set = WI_SET_0 + k % 2, list = k / 2;
				size_t n;
				const uint64_t *tokens =
					wi_area_tokens(area, set, list, &n);

				for (size_t at = 0; at < n; at++)
					CHECK_MSG(wi_pool_zone_of(impl,
								  tokens[at]) ==
							  zone,
						  "a page of another zone");
			}
		}
}

static uint64_t cached(unsigned zone, int at)
{
	struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;

	CHECK_EQ(weir_stat_read_cpu(pool, zone, (unsigned)at, &stat), 0);
	return stat.cached;
}

/* --- the inlined path ---------------------------------------------------- */

static void use_inlined(void *arg)
{
	const unsigned zone = *(unsigned *)arg;
	void *pages[BULK];

	/* So that the list has some, and room. */
	CHECK_EQ(weir_alloc_bulk(pool, 0, pages, BULK, 0), 0);
	weir_free_bulk(pool, 0, pages, BULK);
	slow_calls = 0;
	for (unsigned i = 0; i < ROUNDS; i++) {
		void *one = weir_fast_alloc(pool, 0, 0);

		CHECK(one != NULL && zone_of(one) == zone);
		weir_fast_free(pool, one, 0);
		CHECK_EQ(weir_fast_alloc_bulk(pool, 0, pages, BULK, 0), 0);
		for (unsigned k = 0; k < BULK; k++)
			CHECK(zone_of(pages[k]) == zone);
		weir_fast_free_bulk(pool, 0, pages, BULK);
	}
#ifdef WEIR_HAVE_SEQUENCES
	/* Of 80000: sequences that were aborted. */
	if (!wi_pool_of(pool)->machine.locked)
		CHECK_MSG(slow_calls < ROUNDS / 20, "%u slow calls",
			  slow_calls);
#endif
}

/* --- pages of the other zone --------------------------------------------- */

static void take(void *arg)
{
	const unsigned zone = *(unsigned *)arg;

	for (unsigned i = 0; i < PAGES; i++) {
		page[zone][i] = weir_fast_alloc(pool, 0, WEIR_THISNODE);
		CHECK(page[zone][i] != NULL && zone_of(page[zone][i]) == zone);
	}
}

/* Singly and in bulk, those of both zones in turn. */
static void give(void *unused)
{
	void *mixed[BULK];
	unsigned i = 0;

	(void)unused;
	for (; i < 60; i++) {
		weir_fast_free(pool, page[0][i], 0);
		weir_fast_free(pool, page[1][i], 0);
	}
	check_lists();
	for (; i + BULK / 2 <= PAGES; i += BULK / 2) {
		for (unsigned k = 0; k < BULK / 2; k++) {
			mixed[2 * k] = page[0][i + k];
			mixed[2 * k + 1] = page[1][i + k];
		}
		weir_fast_free_bulk(pool, 0, mixed, BULK);
		check_lists();
	}
	for (; i < PAGES; i++) {
		weir_fast_free(pool, page[0][i], 0);
		weir_fast_free(pool, page[1][i], 0);
	}
	check_lists();
}

static void free_elsewhere(void)
{
	run_on(cpu[0], take, &(unsigned){ 0 });
	run_on(cpu[1], take, &(unsigned){ 1 });
	run_on(cpu[0], give, NULL);
	CHECK_MSG(cached(0, cpu[0]) > 0 && cached(1, cpu[0]) > 0,
		  "%" PRIu64 " and %" PRIu64 " pages are kept",
		  cached(0, cpu[0]), cached(1, cpu[0]));
}

/* --- a polling CPU -------------------------------------------------------- */

static void poll_at_home(void *unused)
{
	(void)unused;
	tell(&started);
	while (!happened(&over, 1))
		weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);
}

/* Inlined operations are on the lists of its home zone; a drain gets what it
 * keeps for the other zone all the same. */
static void drain_poller(void)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_stat stat = WEIR_STAT_INIT;
	struct runner runner;

	free_elsewhere();
	started = over = 0;
	start_on(&runner, cpu[0], poll_at_home, NULL);
	await(&started, 1);
	pin(cpu[1]);
	opts.wait_ns = 5000000000u;
	CHECK_EQ(weir_drain(pool, &opts, NULL), 0);
	CHECK_EQ(cached(1, cpu[0]), 0);
	tell(&over);
	finish(&runner);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.pending, 0);
}

/* --- a thread that is moved ---------------------------------------------- */

static void work(void *unused)
{
	void *held[8 * BULK];
	unsigned n = 0, turn = 0;

	(void)unused;
	tell(&started);
	for (; !happened(&over, 1); turn++) {
		if (n + BULK <= 8 * BULK && turn / 64 % 2 == 0) {
			if (turn % 2 == 0) {
				CHECK_EQ(weir_fast_alloc_bulk(pool, 0, held + n,
							      BULK, 0),
					 0);
				n += BULK;
			} else {
				held[n] = weir_fast_alloc(pool, 0, 0);
				CHECK(held[n++] != NULL);
			}
		} else if (n >= BULK && turn % 2 == 0) {
			n -= BULK;
			weir_fast_free_bulk(pool, 0, held + n, BULK);
		} else if (n > 0) {
			weir_fast_free(pool, held[--n], 0);
		}
	}
	while (n > 0)
		weir_fast_free(pool, held[--n], 0);
}

static void move_about(void)
{
	struct runner runner;

	started = over = 0;
	start_on(&runner, cpu[0], work, NULL);
	await(&started, 1);
	for (unsigned i = 0; i < MOVES; i++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((size_t)cpu[i % 2], &set);
		CHECK_EQ(pthread_setaffinity_np(runner.thread, sizeof(set),
						&set),
			 0);
	}
	tell(&over);
	finish(&runner);
	check_lists();
}

/* --- requests ------------------------------------------------------------ */

/* One takes more than a zone has. The other wants a block more than there is,
 * and gives back those of both zones. */
static void ask_both(void)
{
	static void *pages[9000];
	struct weir_request request = WEIR_REQUEST_INIT, blocks = request;
	struct weir_stat stat = WEIR_STAT_INIT;
	unsigned of_zone[2] = { 0, 0 };
	void *one, *other;

	pin(cpu[1]);
	request.n = 9000;
	request.pages = pages;
	request.fd = 0;
	CHECK_EQ(weir_request_submit(pool, &request), 1);
	for (unsigned i = 0; i < 9000; i++)
		of_zone[zone_of(pages[i])]++;
	CHECK_EQ(of_zone[1], 8192); /* that of this CPU first */
	CHECK_EQ(of_zone[0], 9000 - 8192);
	weir_free_bulk(pool, 0, pages, 9000);
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	CHECK((one = weir_alloc(pool, 5, 0)) != NULL);
	pin(cpu[0]);
	CHECK((other = weir_alloc(pool, 5, 0)) != NULL);
	CHECK(zone_of(one) != zone_of(other));
	blocks.order = 9;
	blocks.n = 31;
	blocks.pages = pages;
	blocks.fd = 0;
	CHECK_EQ(weir_request_submit(pool, &blocks), 0);
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	CHECK_EQ(stat.out, 64);
	weir_free(pool, one, 5);
	CHECK_EQ(weir_request_cancel(pool, &blocks), 0);
	CHECK_EQ(weir_request_submit(pool, &blocks), 1);
	weir_free_bulk(pool, 9, pages, 31);
	weir_free(pool, other, 5);
}

/* --- in every mode ------------------------------------------------------- */

static void two_nodes(void *unused)
{
	static const struct refusal bind = { .nr = SYS_mbind };
	static const unsigned flags[] = { 0, WEIR_POOL_NO_RSEQ };
	static const enum weir_mode modes[] = {
		WEIR_MODE_ORDINARY,
		WEIR_MODE_QUIET,
		WEIR_MODE_POLLING,
	};

	(void)unused;
	if (!make_nodes())
		SKIP("a file system of one's own takes root");
	seccomp_refuse(&bind, 1);
	for (unsigned i = 0; i < 2; i++) {
		struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
		struct weir_stat stat = WEIR_STAT_INIT;

		opts.capacity = 64 << 20;
		opts.flags = flags[i];
		opts.quiet_cpus = "";
		opts.list_limit = 200;
		CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s",
			  weir_last_error());
		CHECK_EQ(weir_stat_read(pool, &stat), 0);
		CHECK_EQ(stat.nr_zones, 2);
		ask_both();
		for (unsigned k = 0; k < (flags[i] == 0 ? 3 : 1); k++) {
			int err = weir_set_mode(pool, NULL, modes[k]);

			/* Nothing is in use, and nothing ticks. */
			CHECK(err == 0 || err == -EAGAIN || err == -EOPNOTSUPP);
			run_on(cpu[0], use_inlined, &(unsigned){ 0 });
			run_on(cpu[1], use_inlined, &(unsigned){ 1 });
			free_elsewhere();
			drain_poller();
			move_about();
		}
		check_whole(pool);
		CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	}
}

int main(void)
{
	need_two_cpus();
	cpu[0] = allowed_cpu(0);
	cpu[1] = allowed_cpu(1);
	warm_up();
	in_child(two_nodes, NULL);
	return 0;
}
