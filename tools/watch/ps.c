/* SPDX-License-Identifier: MIT */
/* weir ps: the pools of this machine's processes. */
#include <inttypes.h>
#include <stdio.h>

#include "common/json.h"
#include "common/tool.h"
#include "watch/sample.h"
#include "watch/watched.h"

static void print_text(const struct watched_pools *pools)
{
	printf("%7s %5s %5s %9s %7s %9s %7s %-6s %4s  %s\n", "PID", "SIZE",
	       "PAGE", "OUT", "CACHED", "FREE", "PENDING", "LISTS", "CPUS",
	       "POOL (COMMAND)");
	for (unsigned i = 0; i < pools->nr; i++) {
		const struct watched *pool = &pools->pool[i];
		struct weir_stat stat = WEIR_STAT_INIT;
		char size[SAMPLE_TEXT], page[SAMPLE_TEXT];

		weir_watch_read(pool->watch, &stat);
		printf("%7d %5s %5s %9" PRIu64 " %7" PRIu64 " %9" PRIu64
		       " %7" PRIu64 " %-6s %4u  %s (%s)\n",
		       pool->pid, sample_bytes(size, pool->info.bytes),
		       sample_bytes(page, pool->info.page_size), stat.out,
		       stat.cached, stat.free, stat.pending,
		       pool->info.locked ? "locked" : "rseq",
		       pool->info.nr_cpus, pool->name, pool->command);
	}
}

#ifdef WEIR_HAVE_JANSSON

static int print_json(const struct watched_pools *pools)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < pools->nr; i++) {
		json_t *object = sample_json_pool(&pools->pool[i]);
		struct weir_stat stat = WEIR_STAT_INIT;

		weir_watch_read(pools->pool[i].watch, &stat);
		json_object_set_new(object, "stat", sample_json_stat(&stat));
		json_array_append_new(array, object);
	}
	return json_finish(json_pack("{so}", "pools", array));
}

#else

static int print_json(const struct watched_pools *pools)
{
	(void)pools;
	return TOOL_FAILED; /* tool_need_json() came first */
}

#endif

int cmd_ps(int argc, char **argv)
{
	static const char doc[] =
		"List the pools of running processes: their size, and "
		"how many pages are allocated, in lists of CPUs, free, "
		"and pending.\v"
		"Exit status: 0; 1 when there are none; 2 for wrong "
		"usage.";
	struct watched_request asked = { 0 };
	struct watched_pools pools;
	int status;

	if (watched_parse(&asked, argc, argv, NULL, doc) != TOOL_OK)
		return TOOL_USAGE;
	status = watched_open(&pools, asked.what);
	if (asked.json) {
		if (print_json(&pools) != TOOL_OK)
			status = TOOL_FAILED;
	} else if (status == TOOL_OK) {
		print_text(&pools);
	}
	if (status == TOOL_OK)
		watched_tell_left_out(&pools);
	watched_close(&pools);
	return status;
}
