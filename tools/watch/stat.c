/* SPDX-License-Identifier: MIT */
/* weir stat: a pool's totals, then what happens, interval by interval. */
#include <inttypes.h>
#include <stdio.h>

#include "common/interval.h"
#include "common/measure.h"
#include "common/json.h"
#include "common/tool.h"
#include "watch/sample.h"
#include "watch/watched.h"

/* The lines of names stand again after so many lines. */
#define LINES_A_HEAD 20

/* ---- as text ------------------------------------------------------------ */

static void print_pool(const struct watched *pool)
{
	char page[SAMPLE_TEXT];

	printf("pool %s of process %d (%s): %" PRIu64 " pages of %s, "
	       "%u zone%s, %u CPU%s, %s\n",
	       pool->name, pool->pid, pool->command,
	       pool->info.bytes / pool->info.page_size,
	       sample_bytes(page, pool->info.page_size), pool->info.nr_zones,
	       pool->info.nr_zones == 1 ? "" : "s", pool->info.nr_cpus,
	       pool->info.nr_cpus == 1 ? "" : "s",
	       pool->info.locked ? "locked lists" : "rseq");
}

/* What `weir size --in-use` asks for, with what the lists held then. */
static void print_peak(const struct weir_stat *stat)
{
	printf("peak: %" PRIu64 " pages allocated, cached or pending at "
	       "once\n",
	       stat->peak);
}

/* Only where the program makes any. */
static void print_requests(const struct weir_stat *stat)
{
	if (stat->requests_passes == 0)
		return;
	printf("requests: %" PRIu64 " wait, %" PRIu64 " completed, %" PRIu64
	       " cancelled, %" PRIu64 " passes\n",
	       stat->requests_waiting, stat->requests_completed,
	       stat->requests_cancelled, stat->requests_passes);
}

/* Above the first line, the sums, and above those that follow. */
static void print_head(bool is_sum)
{
	printf("------------ pages ----------  %s\n",
	       is_sum ? "---------- since the pool was made -----------"
		      : "-------------- in each second ----------------");
	printf("%7s %6s %7s %6s %7s %6s %6s %6s %6s %6s %5s\n", "out", "cached",
	       "free", "pend", "ops", "refill", "flush", "direct", "abort",
	       "drain", "fail");
}

/* Counters as they stand, or with `before` what they moved a second. */
static void print_line(const struct sample *before, const struct sample *now)
{
	static const struct sample zero;
	const struct weir_stat *a = &(before ? before : &zero)->stat;
	const struct weir_stat *b = &now->stat;
	const double seconds =
		before ? (double)(now->ns - before->ns) / 1e9 : 1;
	const uint64_t moved[][2] = {
		{ a->operations, b->operations },
		{ a->refills, b->refills },
		{ a->flushes, b->flushes },
		{ a->direct, b->direct },
		{ a->aborts, b->aborts },
		{ a->drains, b->drains },
		{ sample_failures(a), sample_failures(b) },
	};
	static const int width[] = { 7, 6, 6, 6, 6, 6, 5 };
	char t[4][SAMPLE_TEXT];

	printf("%7s %6s %7s %6s", sample_count(t[0], (double)b->out),
	       sample_count(t[1], (double)b->cached),
	       sample_count(t[2], (double)b->free),
	       sample_count(t[3], (double)b->pending));
	for (unsigned i = 0; i < sizeof(width) / sizeof(width[0]); i++)
		printf(" %*s", width[i],
		       sample_count(t[0], sample_rate(moved[i][0], moved[i][1],
						      seconds)));
	putchar('\n');
}

/* ---- as JSON ------------------------------------------------------------ */

#ifdef WEIR_HAVE_JANSSON

static int print_json(const struct watched *pool, const struct sample *before,
		      const struct sample *now)
{
	json_t *object = sample_json_pool(pool);

	json_object_set_new(object, "stat", sample_json_stat(&now->stat));
	if (before) {
		const double seconds = (double)(now->ns - before->ns) / 1e9;

		json_object_set_new(object, "seconds", json_real(seconds));
		json_object_set_new(object, "per_second",
				    sample_json_rates(&before->stat, &now->stat,
						      seconds));
	}
	return json_line(object);
}

#else

static int print_json(const struct watched *pool, const struct sample *before,
		      const struct sample *now)
{
	(void)pool, (void)before, (void)now;
	return TOOL_FAILED; /* tool_need_json() came first */
}

#endif

/* ---- intervals ---------------------------------------------------------- */

static int print(const struct watched_request *asked,
		 const struct watched *pool, const struct sample *before,
		 const struct sample *now)
{
	if (asked->json && print_json(pool, before, now) != TOOL_OK)
		return TOOL_FAILED;
	if (!asked->json)
		print_line(before, now);
	return tool_flush();
}

/* The totals, then rates until it is told to end or the pool is gone. */
static int run(const struct watched_request *asked, struct watched *pool)
{
	struct sample sample[2] = { { 0 }, { 0 } };
	const uint64_t nr_lines = asked->interval_ns == 0 ? 1 : asked->count;
	uint64_t next = measure_now_ns() + asked->interval_ns;
	int status = TOOL_OK;

	for (uint64_t line = 0; nr_lines == 0 || line < nr_lines; line++) {
		struct sample *now = &sample[line % 2];

		if (line > 0) {
			interval_sleep(next, -1);
			if (interval_told_to_end())
				break;
		}
		status = sample_read(now, pool);
		if (status != TOOL_OK)
			break;
		watched_refresh(pool);
		if (watched_gone(pool)) {
			status = watched_tell_gone(pool);
			break;
		}
		if (!asked->json && line == 0) {
			print_peak(&now->stat);
			print_requests(&now->stat);
		}
		if (!asked->json && (line == 0 || line % LINES_A_HEAD == 1))
			print_head(line == 0);
		status = print(asked, pool,
			       line > 0 ? &sample[1 - line % 2] : NULL, now);
		if (status != TOOL_OK)
			break;
		if (line > 0)
			next = interval_next(next, now->ns, asked->interval_ns);
	}
	sample_free(&sample[0]);
	sample_free(&sample[1]);
	return status;
}

/* ---- the command -------------------------------------------------------- */

int cmd_stat(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "interval", 'i', "SECONDS", 0,
		  "Go on, a line every so many; default: the totals only", 0 },
		{ "count", 'n', "N", 0,
		  "End after so many lines; default: at a signal", 0 },
		{ NULL, 'c', NULL, OPTION_ALIAS, NULL, 0 },
		TOOL_OPTION_JSON,
		{ NULL, 0, NULL, 0, NULL, 0 },
	};
	static const char doc[] =
		"Show what a pool of a running process does: first its "
		"totals since it was made, then, with an interval, what "
		"happens in each second. --json prints an object a line.\v"
		"Exit status: 0; 1 when there is no such pool, more "
		"than one, or it is gone; 2 for wrong usage.";
	struct watched_request asked = { 0 };
	struct watched_pools pools;
	int status;

	if (watched_parse(&asked, argc, argv, options, doc) != TOOL_OK)
		return TOOL_USAGE;
	if (asked.count > 0 && asked.interval_ns == 0)
		asked.interval_ns = 1000000000;
	status = watched_open(&pools, asked.what);
	if (status == TOOL_OK)
		status = watched_only(&pools, asked.what);
	if (status == TOOL_OK) {
		interval_begin();
		if (!asked.json)
			print_pool(&pools.pool[0]);
		status = run(&asked, &pools.pool[0]);
	}
	watched_close(&pools);
	return status;
}
