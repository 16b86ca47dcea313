/* SPDX-License-Identifier: MIT */
/* A pool's beginning and end: zones, cache, handle. */
#include "api/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/requests.h"
#include "base/trace.h"
#include "os/report.h"

#define LISTED_MAX 16  /* pages that WEIR_DESTROY_LIST prints */
#define NODES_MAX 1024 /* what the kernel can number */

#define REFUSE(...) return (wi_report(__VA_ARGS__), -EINVAL)

/* --- zones ------------------------------------------------------------- */

/*
 * Zones of several nodes begin at multiples of a unit, so that the runs they
 * serve are aligned in the pool: the largest power of two of which each zone
 * has sixteen, and at least a block. A later zone serves no order above its
 * begin's alignment (wi_live_zone_order()). `least` is what a binding to a node
 * must be a multiple of.
 */
static uint64_t zone_unit(uint64_t share, uint64_t least)
{
	uint64_t unit = 512;

	while (unit < UINT64_C(1) << WEIR_ORDER_MAX && unit * 16 <= share)
		unit *= 2;
	return wi_max_u64(unit, least);
}

/* The fewest pages after which a page begins where one of the kernel's does:
 * these are bound to a node as wholes. */
static uint64_t least_unit(const struct wi_pool *pool)
{
	const uint64_t whole =
		wi_max_u64(pool->huge_bytes, (uint64_t)sysconf(_SC_PAGESIZE));
	const unsigned shift = wi_lowest_bit(pool->page_size);

	return wi_max_u64(whole >> shift, 1);
}

/* The size of the huge pages reserved for the pool; 0: none. */
static int find_huge_pages(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	int err = 0;

	if (o->backing == WEIR_BACKING_HUGETLB) {
		pool->huge_bytes = wi_os_huge_size();
		if (pool->huge_bytes == 0)
			err = -EOPNOTSUPP;
	} else if (o->backing == WEIR_BACKING_MEMFD) {
		err = wi_os_huge_file(o->fd, &pool->huge_bytes);
	}
	if (err == -EOPNOTSUPP)
		wi_report("backing: this kernel has no hugetlb pages");
	else if (err != 0)
		wi_report("fd: the system does not say what file %d is "
			  "(errno %d)",
			  o->fd, -err);
	return err;
}

/* The kernel's number of a zone's node, or WEIR_NODE_ANY. A pool of one zone is
 * bound where this process may use other memory: that of nodes without CPUs. */
static int node_of_zone(const struct wi_pool *pool,
			const struct weir_pool_opts *o, unsigned zone)
{
	const struct wi_topology *topology = &pool->machine.topology;

	if (o->node != WEIR_NODE_ANY || o->backing == WEIR_BACKING_REGION)
		return o->node;
	if (pool->nr_zones > 1 ||
	    (topology->nr_nodes == 1 &&
	     wi_cpuset_count(&topology->memory_nodes) > 1))
		return topology->node_id[zone];
	return WEIR_NODE_ANY;
}

/* Which pages of each zone exist: all, or in a pool that can grow an even share
 * of the capacity. */
static int set_bounds(struct wi_pool *pool, const struct weir_pool_opts *o,
		      uint64_t least)
{
	uint64_t bytes[WI_NODES_MAX];

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		bytes[zone] =
			wi_pool_offset_of(pool, wi_pool_zone_pages(pool, zone));
	if (o->max_capacity > o->capacity) {
		pool->grow_bytes = wi_max_u64(512, least) * o->page_size;
		if (o->capacity % pool->grow_bytes != 0 ||
		    o->max_capacity % pool->grow_bytes != 0)
			REFUSE("max_capacity: it and capacity are not "
			       "multiples of %" PRIu64 " bytes (512 pages, and "
			       "whole pages of the kernel's)",
			       pool->grow_bytes);
		wi_pool_share_out(pool, o->capacity, bytes);
	}
	/* Relaxed: no other thread knows the pool. */
	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		wi_store_relaxed(&pool->bounds[zone].bound, bytes[zone]);
	return 0;
}

/* Evaluates the options; how many zones of how many pages: about equal
 * shares. */
static int set_shape(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	const struct wi_topology *topology = &pool->machine.topology;
	uint64_t nr_pages = o->max_capacity / o->page_size, share;
	unsigned zones = topology->nr_nodes;
	uint64_t least;
	int err;

	pool->mapped_bytes = o->max_capacity;
	pool->bytes = nr_pages * o->page_size;
	pool->max_pages = nr_pages;
	pool->page_size = o->page_size;
	/* 2^64 / page_size, rounded up. */
	pool->reciprocal = UINT64_MAX / o->page_size + 1;
	pool->order_max = wi_is_pow2(o->page_size) ? WEIR_ORDER_MAX : 0;
	strcpy(pool->name, o->name);
	if (o->node < WEIR_NODE_ANY || o->node >= NODES_MAX)
		REFUSE("node: %d is neither a node's number nor WEIR_NODE_ANY",
		       o->node);
	if (o->node != WEIR_NODE_ANY || o->backing == WEIR_BACKING_REGION)
		zones = 1;
	err = find_huge_pages(pool, o);
	if (err != 0)
		return err;
	least = least_unit(pool);
	while (zones > 1 &&
	       o->capacity / o->page_size / zones < UINT64_C(8) * 512)
		zones--;
	share = wi_div_round_up(nr_pages, zones);
	pool->zone_pages = nr_pages;
	if (zones > 1)
		pool->zone_pages = wi_min_u64(
			nr_pages, wi_round_up(share, zone_unit(share, least)));
	pool->zone_bytes = pool->zone_pages * o->page_size;
	pool->nr_zones = (unsigned)wi_div_round_up(nr_pages, pool->zone_pages);
	for (unsigned zone = 0; zone < pool->nr_zones; zone++) {
		pool->node[zone] = node_of_zone(pool, o, zone);
		pool->bounds[zone].first = zone * pool->zone_bytes;
	}
	return set_bounds(pool, o, least);
}

/* --- creation ---------------------------------------------------------- */

static int init_cache(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	const struct wi_live *live = pool->view.live;
	struct wi_cache_config config = {
		.percpu = {
			.areas = pool->meta + live->layout.areas,
			.memory = pool->meta + live->layout.percpu,
			.modes = pool->machine.mode,
			.online = pool->machine.topology.online.word,
			.nr_cpus = pool->machine.topology.nr_cpus,
			.nr_zones = pool->nr_zones,
			.bounds = pool->bounds,
			.nr_lists = WI_POOL_LISTS,
			.locked = pool->machine.locked,
		},
		.totals = &wi_pool_totals(pool)->cache,
		.batch = o->batch,
		.wait_ns = o->wait_ns,
		.adapts = o->flags & WEIR_POOL_ADAPT,
		.backend = wi_pool_backend,
	};
	struct wi_percpu_config *percpu = &config.percpu;

	if (pool->nr_zones > 1) {
		percpu->zone_of_cpu = pool->machine.topology.node_of_cpu;
		for (unsigned cpu = 0; cpu < percpu->nr_cpus; cpu++)
			pool->machine.topology.node_of_cpu[cpu] %=
				pool->nr_zones;
	}
	config.backend.ctx = pool;
	for (unsigned list = 0; list < WI_POOL_LISTS; list++) {
		percpu->limits[list] = (uint16_t)live->limits[list];
		percpu->weight[list] = live->weight[list];
	}
	return wi_cache_init(&pool->cache, &config);
}

/* The page that a forked child sees as zeros. */
static int make_handle(struct wi_pool *pool)
{
	int err =
		wi_os_map_wiped((void **)&pool->handle, sizeof(*pool->handle));

	if (err != 0)
		wi_pool_report_memory(pool, sizeof(*pool->handle),
				      "bytes for the handle");
	return err;
}

static void fill_handle(struct wi_pool *pool)
{
	if (pool->machine.settled)
		*(pool->checks == NULL ? &pool->handle->lists
				       : &pool->checked_lists) =
			wi_percpu_lists(&pool->cache.drain, 0);
	if (pool->checks != NULL)
		wi_pool_check_begin(pool);
	pool->handle->base = pool->base;
	pool->handle->bytes = pool->bytes;
	pool->handle->page_mask = UINT64_MAX;
	pool->handle->reciprocal = pool->reciprocal;
	if (pool->order_max > 0) {
		pool->handle->page_mask = pool->page_size - 1;
		pool->handle->bulk_cpus = pool->handle->lists.nr_cpus;
	}
	pool->handle->impl = pool;
}

/* As much of it as exists. */
static void unmake_pool(struct wi_pool *pool)
{
	if (pool->handle != NULL)
		wi_os_unmap_wiped(pool->handle, sizeof(*pool->handle));
	if (pool->owns_pages)
		wi_os_unmap(pool->base, pool->mapped_bytes);
	if (pool->checks != NULL)
		wi_os_unmap(pool->checks, pool->checks_bytes);
	if (pool->meta != NULL)
		wi_os_unmap(pool->meta, pool->meta_bytes);
	wi_os_unshare(&pool->file);
	wi_os_unmap(pool, sizeof(*pool));
}

static void init_zone(struct wi_pool *pool, unsigned zone)
{
	const struct wi_live *live = pool->view.live;
	const struct wi_live_layout *l = &live->layout;
	const uint64_t nr_pages = wi_pool_zone_pages(pool, zone);
	const uint64_t present = wi_pool_present_pages(pool, zone);

	pool->zone[zone] = wi_zone_init(
		pool->meta + l->zones + zone * l->zone_bytes, nr_pages);
	if (present < nr_pages)
		wi_zone_leave_out(pool->zone[zone], present);
	pool->zone_order[zone] = (uint8_t)wi_live_zone_order(live, zone);
	wi_pool_count_pages(pool, zone, 0);
}

static int build_pool(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	int err = wi_os_mutex_init(&pool->growing);

	if (err == 0)
		err = wi_os_mutex_init(&pool->marks_mutex);
	if (err == 0)
		err = wi_pool_map_meta(pool, o);

	if (err == 0)
		err = wi_pool_map_pages(pool, o);
	if (err == 0)
		err = wi_pool_bind_zones(pool, o);
	if (err != 0)
		return err;
	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		init_zone(pool, zone);
	err = make_handle(pool);
	if (err == 0)
		err = wi_pool_back_now(pool, o);
	if (err == 0)
		err = init_cache(pool, o);
	if (err == 0)
		fill_handle(pool);
	return err;
}

/* The pool itself, all zeros. */
static int map_pool(struct wi_pool **pool)
{
	const struct wi_os_map map = { .bytes = sizeof(**pool),
				       .no_fork = true };
	char why[160];
	void *memory;
	int err = wi_os_map(&memory, &map);

	if (err == 0) {
		*pool = memory;
		(*pool)->file.fd = -1;
		return 0;
	}
	wi_os_why_no_memory(map.bytes, why, sizeof(why));
	wi_report("the system refused %zu bytes for the pool itself%s%s",
		  map.bytes, why[0] != '\0' ? ": " : "", why);
	return err;
}

static int create_pool(struct weir_pool **out,
		       const struct weir_pool_opts *given)
{
	struct weir_pool_opts o;
	struct wi_pool *pool;
	int err;

	wi_report_nothing();
	err = wi_pool_read_opts(&o, given);
	if (err != 0)
		return err;
	err = map_pool(&pool);
	if (err != 0)
		return err;
	err = wi_machine_read(&pool->machine, o.quiet_cpus, o.polling_cpus,
			      o.flags & WEIR_POOL_NO_RSEQ);
	if (err == 0)
		err = set_shape(pool, &o);
	if (err == 0)
		err = build_pool(pool, &o);
	if (err != 0) {
		unmake_pool(pool);
		return err;
	}
	wi_live_begin((struct wi_live *)(void *)pool->meta);
	wi_pool_make_known(pool);
	*out = pool->handle;
	WI_TRACE(pool_create, &pool->cache.drain, pool->name, pool->handle,
		 wi_pool_offset_of(pool, wi_pool_nr_pages(pool)),
		 pool->page_size);
	return 0;
}

int weir_pool_create(struct weir_pool **out, const struct weir_pool_opts *given)
{
	int cancel = wi_os_cancel_put_off();
	int err = create_pool(out, given);

	wi_os_cancel_allow(cancel);
	return err;
}

/* --- destruction
 * ----------------------------------------------------------- */

uint64_t wi_pool_nr_free(const struct wi_pool *pool)
{
	uint64_t sum = 0;

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		sum += wi_zone_nr_free(pool->zone[zone]);
	return sum;
}

uint64_t wi_pool_nr_isolated(const struct wi_pool *pool)
{
	uint64_t sum = 0;

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		sum += wi_zone_nr_isolated(pool->zone[zone]);
	return sum;
}

/* Prints the first pages that are allocated; the lists are empty by now. */
static void list_pages_out(const struct wi_pool *pool)
{
	unsigned listed = 0;
	char line[96];

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		for (uint64_t page = 0;
		     page < wi_pool_present_pages(pool, zone); page++) {
			uint64_t at = zone * pool->zone_pages + page;

			if (wi_zone_is_free(pool->zone[zone], page))
				continue;
			if (listed++ == LISTED_MAX) {
				snprintf(line, sizeof(line),
					 "pool \"%s\": and more", pool->name);
				wi_os_say(line);
				return;
			}
			snprintf(line, sizeof(line),
				 "pool \"%s\": page %p is out", pool->name,
				 (void *)(pool->base +
					  wi_pool_offset_of(pool, at)));
			wi_os_say(line);
		}
}

static int destroy_pool(struct weir_pool *handle, unsigned flags)
{
	struct wi_pool *pool = wi_pool_of(handle);
	struct wi_drain_request request = { 0 };
	struct wi_drain_outcome outcome = { 0 };
	uint64_t out, isolated;
	int err;

	wi_report_nothing();
	if (pool == NULL)
		return -ESTALE;
	if (flags & ~(WEIR_DESTROY_FORCE | WEIR_DESTROY_LIST))
		REFUSE("flags: 0x%x has unknown bits", flags);
	err = wi_public_may_end(&pool->cache);
	if (err != 0)
		return err;
	if (wi_pool_is_shrinking(pool)) {
		wi_report("this is the function that watermarks call");
		return -EDEADLK;
	}
	wi_public_stop_maintaining(&pool->maintainer);
	request.nr_zones = pool->nr_zones;
	request.may_interrupt = true; /* as the unmapping will */
	request.deadline_ns = wi_after_ns(wi_os_now_ns(), pool->cache.wait_ns);
	wi_cache_drain(&pool->cache, &request, &outcome, &(bool){ 0 });
	isolated = wi_pool_nr_isolated(pool);
	out = wi_pool_nr_pages(pool) - wi_pool_nr_free(pool) - isolated;
	if (out > 0 || isolated > 0) {
		wi_report("%" PRIu64 " pages are out, %" PRIu64 " of them "
			  "pending on CPUs that are in use; %" PRIu64
			  " are isolated",
			  out, outcome.pending, isolated);
		if (flags & WEIR_DESTROY_LIST)
			list_pages_out(pool);
		if (!(flags & WEIR_DESTROY_FORCE))
			return -EBUSY;
	}
	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		wi_assert_whole(wi_zone_is_valid(pool->zone[zone]));
	if (pool->checks != NULL)
		wi_pool_check_all(pool);
	wi_cache_fini(&pool->cache);
	wi_os_mutex_fini(&pool->marks_mutex);
	wi_os_mutex_fini(&pool->growing);
	WI_TRACE(pool_destroy, &pool->cache.drain, pool->name, out);
	wi_live_end((struct wi_live *)(void *)pool->meta);
	wi_pool_forget(pool);
	unmake_pool(pool);
	return 0;
}

int weir_pool_destroy(struct weir_pool *handle, unsigned flags)
{
	int cancel, err;

	if (handle == NULL)
		return 0;
	cancel = wi_os_cancel_put_off();
	err = destroy_pool(handle, flags);
	wi_os_cancel_allow(cancel);
	return err;
}
