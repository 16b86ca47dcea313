/* SPDX-License-Identifier: MIT */
/*
 * weir zoneinfo: a pool's zones and lists, in the terms of the kernel's
 * /proc/zoneinfo and /proc/buddyinfo.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/json.h"
#include "common/tool.h"
#include "watch/sample.h"
#include "watch/watched.h"

/* ---- as text ------------------------------------------------------------ */

#define ORDERS_A_LINE 10

/* The largest order of which the zone could have a run. */
static unsigned highest_order(const struct weir_stat_zone *zone)
{
	unsigned order = 0;

	while (order < WEIR_ORDER_MAX && (zone->pages >> (order + 1)) > 0)
		order++;
	return order;
}

/* Like a row of /proc/buddyinfo, but that each order is counted for itself: a
 * run of order 1 is two of order 0 as well. */
static void print_runs(const struct weir_stat_zone *zone)
{
	const unsigned highest = highest_order(zone);

	for (unsigned first = 0; first <= highest; first += ORDERS_A_LINE) {
		unsigned end = first + ORDERS_A_LINE;

		if (end > highest + 1)
			end = highest + 1;
		printf("  %-10s", "order");
		for (unsigned order = first; order < end; order++)
			printf(" %6u", order);
		printf("\n  %-10s", "runs free");
		for (unsigned order = first; order < end; order++) {
			char text[SAMPLE_TEXT];

			printf(" %6s",
			       sample_count(text,
					    (double)zone->free_runs[order]));
		}
		putchar('\n');
	}
}

static void print_cpu(unsigned number, const struct weir_stat_cpu *cpu)
{
	printf("    cpu: %u  %s\n", number, sample_mode(cpu->mode));
	printf("      cached  %8" PRIu64 "    pending %8" PRIu64
	       "    direct  %10" PRIu64 "\n",
	       cpu->cached, cpu->pending, cpu->direct);
	printf("      refills %8" PRIu64 "    flushes %8" PRIu64
	       "    aborts  %10" PRIu64 "\n",
	       cpu->refills, cpu->flushes, cpu->aborts);
	printf("      drains  %8" PRIu64 "    by progress %" PRIu64
	       ", not busy %" PRIu64 ", membarrier %" PRIu64 "; late %" PRIu64
	       "\n",
	       cpu->drains, cpu->by_progress, cpu->by_not_busy,
	       cpu->by_membarrier, cpu->late);
	for (unsigned i = 0; i < WEIR_STAT_LISTS; i++) {
		const struct weir_stat_list *list = &cpu->list[i];

		if (list->high > 0)
			printf("      list of order %-2u  count %5u  high %5u  "
			       "operations %" PRIu64 "\n",
			       list->order, list->count, list->high,
			       list->operations);
	}
}

static void print_zone(const struct sample *sample, unsigned number,
		       const struct watched *pool)
{
	const struct weir_stat_zone *zone = &sample->zone[number];
	char size[SAMPLE_TEXT];
	unsigned unused = 0;

	if (zone->node >= 0)
		printf("Node %d, zone %u\n", zone->node, number);
	else
		printf("Any node, zone %u\n", number);
	printf("  pages free %" PRIu64 "\n       size  %" PRIu64 " (of %s)\n",
	       zone->free, zone->pages,
	       sample_bytes(size, pool->info.page_size));
	if (zone->max_pages > zone->pages)
		printf("       max   %" PRIu64 "\n", zone->max_pages);
	if (zone->isolated > 0)
		printf("       isolated %" PRIu64 "\n", zone->isolated);
	print_runs(zone);
	printf("  lists of CPUs, batch %u\n", pool->info.batch);
	for (unsigned cpu = 0; cpu < sample->nr_cpus; cpu++) {
		const struct weir_stat_cpu *its =
			sample_cpu(sample, number, cpu);

		if (sample_cpu_is_used(its))
			print_cpu(cpu, its);
		else
			unused++;
	}
	if (unused)
		printf("    %u CPU%s without an operation\n", unused,
		       unused == 1 ? "" : "s");
}

static void print_text(const struct sample *sample, const struct watched *pool)
{
	printf("Pool %s, process %d (%s)%s%s\n", pool->name, pool->pid,
	       pool->command, watched_gone(pool) ? ", gone: " : "",
	       watched_gone(pool) ? watched_gone(pool) : "");
	for (unsigned zone = 0; zone < sample->nr_zones; zone++)
		print_zone(sample, zone, pool);
}

/* ---- as JSON ------------------------------------------------------------ */

#ifdef WEIR_HAVE_JANSSON

static json_t *lists(const struct weir_stat_cpu *cpu)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < WEIR_STAT_LISTS; i++) {
		const struct weir_stat_list *list = &cpu->list[i];

		if (list->high > 0)
			json_array_append_new(
				array,
				json_pack("{sI sI sI sI}", "order",
					  (json_int_t)list->order, "count",
					  (json_int_t)list->count, "high",
					  (json_int_t)list->high, "operations",
					  sample_json_int(list->operations)));
	}
	return array;
}

static json_t *zone_json(const struct sample *sample, unsigned number)
{
	const struct weir_stat_zone *zone = &sample->zone[number];
	json_t *runs = json_array(), *cpus = json_array();

	for (unsigned order = 0; order <= highest_order(zone); order++)
		json_array_append_new(runs, json_integer(sample_json_int(
						    zone->free_runs[order])));
	for (unsigned cpu = 0; cpu < sample->nr_cpus; cpu++) {
		const struct weir_stat_cpu *its =
			sample_cpu(sample, number, cpu);
		json_t *object = sample_json_cpu(its, cpu);

		json_object_set_new(object, "lists", lists(its));
		json_array_append_new(cpus, object);
	}
	return json_pack("{sI si sI sI sI sI so so}", "zone",
			 (json_int_t)number, "node", zone->node, "pages",
			 sample_json_int(zone->pages), "free",
			 sample_json_int(zone->free), "isolated",
			 sample_json_int(zone->isolated), "max_pages",
			 sample_json_int(zone->max_pages), "free_runs", runs,
			 "cpus", cpus);
}

static void add_json(json_t *pools, const struct sample *sample,
		     const struct watched *pool)
{
	json_t *object = sample_json_pool(pool), *zones = json_array();

	for (unsigned zone = 0; zone < sample->nr_zones; zone++)
		json_array_append_new(zones, zone_json(sample, zone));
	json_object_set_new(object, "stat", sample_json_stat(&sample->stat));
	json_object_set_new(object, "zones", zones);
	json_array_append_new(pools, object);
}

static json_t *begin_json(void)
{
	return json_array();
}

static int end_json(json_t *pools)
{
	return json_finish(json_pack("{so}", "pools", pools));
}

#else

typedef void json_t;

static void add_json(json_t *pools, const struct sample *sample,
		     const struct watched *pool)
{
	(void)pools, (void)sample, (void)pool; /* see tool_need_json() */
}

static json_t *begin_json(void)
{
	return NULL;
}

static int end_json(json_t *pools)
{
	(void)pools;
	return TOOL_FAILED;
}

#endif

/* ---- the command -------------------------------------------------------- */

static int print(struct watched_pools *pools, bool as_json)
{
	json_t *json = as_json ? begin_json() : NULL;
	int status = TOOL_OK;

	for (unsigned i = 0; i < pools->nr && status == TOOL_OK; i++) {
		struct sample sample = { 0 };

		status = sample_read(&sample, &pools->pool[i]);
		watched_refresh(&pools->pool[i]);
		if (status == TOOL_OK && as_json)
			add_json(json, &sample, &pools->pool[i]);
		else if (status == TOOL_OK)
			print_text(&sample, &pools->pool[i]);
		sample_free(&sample);
	}
	if (as_json && end_json(json) != TOOL_OK)
		return TOOL_FAILED;
	return status;
}

int cmd_zoneinfo(int argc, char **argv)
{
	static const char doc[] =
		"Show the zones and lists of running processes' "
		"pools: per zone the pages and runs that are free, per "
		"CPU its mode, what its lists hold and may hold, what "
		"is pending and what was drained.\v"
		"Exit status: 0; 1 when there is no such pool; 2 for "
		"wrong usage.";
	struct watched_request asked = { 0 };
	struct watched_pools pools;
	int status;

	if (watched_parse(&asked, argc, argv, NULL, doc) != TOOL_OK)
		return TOOL_USAGE;
	status = watched_open(&pools, asked.what);
	if (status == TOOL_OK)
		status = print(&pools, asked.json);
	else if (asked.json)
		end_json(begin_json()); /* of no pool */
	watched_close(&pools);
	return status;
}
