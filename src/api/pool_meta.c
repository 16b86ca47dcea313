/* SPDX-License-Identifier: MIT */
/* A pool's metadata: its layout and its memory. */
#include "api/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "os/report.h"

/* Of the lists: their limits, and the pages of a run. */
static void set_limits(const struct wi_pool *pool,
		       const struct weir_pool_opts *o, struct wi_live *live)
{
	unsigned nr_cpus = wi_cpuset_count(&pool->machine.topology.online);
	uint64_t share =
		wi_pool_present_pages(pool, 0) / (8 * wi_max_u64(nr_cpus, 1));

	for (unsigned list = 0; list < WI_POOL_LISTS; list++) {
		unsigned order = wi_pool_order_of_kind(list);
		uint64_t limit = share >> order;

		if (o->list_limit != 0)
			limit = o->list_limit < 0 ? 0 : (unsigned)o->list_limit;
		if (order > pool->order_max)
			limit = 0;
		live->limits[list] = (uint32_t)wi_min_u64(limit, WEIR_LIST_MAX);
		live->weight[list] = 1u << order;
	}
}

static void describe_pool(const struct wi_pool *pool,
			  const struct weir_pool_opts *o, struct wi_live *live)
{
	static uint64_t nr_made;

	*live = (struct wi_live){
		.version = WI_LIVE_VERSION,
		.number = wi_add_relaxed(&nr_made, 1) + 1, /* a count */
		.bytes = pool->bytes,
		.page_size = pool->page_size,
		.zone_pages = pool->zone_pages,
		.pid = (uint32_t)wi_os_pid(),
		.flags = o->flags,
		.nr_cpus = pool->machine.topology.nr_cpus,
		.nr_zones = pool->nr_zones,
		.nr_lists = WI_POOL_LISTS,
		.batch = o->batch,
		.locked = pool->machine.locked,
	};
	strcpy(live->name, pool->name);
	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		live->node[zone] = pool->node[zone];
	set_limits(pool, o, live);
	live->layout = wi_live_lay_out(live);
}

/* In memory that other processes may read, if the options do not forbid it and
 * the system has such memory; otherwise in private memory. */
static int map_shared(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	struct wi_os_map map = { .no_fork = true, .read_first = true };
	struct wi_live live;
	void *memory;
	int err = -EOPNOTSUPP;

	describe_pool(pool, o, &live);
	map.bytes = live.layout.bytes;
	if (!(o->flags & WEIR_POOL_HIDDEN))
		err = wi_os_share(&memory, map.bytes, live.name, &pool->file);
	if (err != 0)
		err = wi_os_map(&memory, &map);
	if (err != 0) {
		pool->meta_bytes = map.bytes;
		wi_pool_report_memory(pool, map.bytes, "bytes for metadata");
		return err;
	}
	*(struct wi_live *)memory = live;
	pool->meta = memory;
	pool->meta_bytes = map.bytes;
	pool->view = (struct wi_view){ .live = memory, .memory = memory };
	return 0;
}

static int map_checks(struct wi_pool *pool)
{
	const uint64_t nr_pages = pool->max_pages;
	const uint64_t after = (nr_pages + 7) & ~UINT64_C(7);
	const bool remembers = wi_os_env_level("WEIR_CHECKED") >= 2;
	const struct wi_os_map map = {
		.bytes = remembers ? after + nr_pages * sizeof(void *)
				   : nr_pages,
		.no_fork = true,
		.read_first = true,
	};
	void *memory;
	int err = wi_os_map(&memory, &map);

	if (err != 0) {
		wi_pool_report_memory(pool, map.bytes,
				      "bytes for WEIR_POOL_CHECKED");
		return err;
	}
	pool->checks = memory;
	pool->checks_bytes = map.bytes;
	if (remembers)
		pool->freed_by = (void *)((char *)memory + after);
	return 0;
}

uint64_t wi_pool_whole_bytes(const struct wi_pool *pool)
{
	return pool->mapped_bytes + pool->meta_bytes + sizeof(*pool) +
	       sizeof(*pool->handle) + pool->checks_bytes;
}

uint64_t wi_pool_backed_bytes(const struct wi_pool *pool)
{
	return wi_pool_whole_bytes(pool) -
	       wi_pool_offset_of(pool,
				 pool->max_pages - wi_pool_nr_pages(pool));
}

void wi_pool_report_memory(const struct wi_pool *pool, uint64_t bytes,
			   const char *what)
{
	char why[160];

	wi_os_why_no_memory(bytes, why, sizeof(why));
	wi_report("capacity: the system refused %" PRIu64 " %s, of %" PRIu64
		  " in all%s%s",
		  bytes, what, wi_pool_whole_bytes(pool),
		  why[0] != '\0' ? ": " : "", why);
}

int wi_pool_map_meta(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	int err = map_shared(pool, o);

	if (err == 0 && (o->flags & WEIR_POOL_CHECKED))
		err = map_checks(pool);
	return err;
}
