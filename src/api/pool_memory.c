/* SPDX-License-Identifier: MIT */
/* The memory of a pool's pages: mapped, bound to nodes, locked, backed. */
#include "api/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "os/report.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define REFUSE(...) return (wi_report(__VA_ARGS__), -EINVAL)

/* Reports what keeps that many huge pages from being reserved. */
static void report_huge(const struct wi_pool *pool,
			const struct weir_pool_opts *o, int err)
{
	const size_t huge = pool->huge_bytes;
	const uint64_t need = o->capacity / huge;
	struct wi_os_limit limit;
	uint64_t have = 0;

	if (err != -ENOMEM || wi_os_huge_free(huge, &have) != 0)
		wi_report("backing: the system refused hugetlb pages "
			  "(errno %d)",
			  -err);
	else if (have < need)
		wi_report("backing: hugetlb needs %" PRIu64
			  " pages of %zu KiB, %" PRIu64
			  " are free; raise vm.nr_hugepages",
			  need, huge / 1024, have);
	else if (wi_os_huge_limit(&limit, huge, true) == WI_OS_LIMITED)
		wi_report("backing: hugetlb needs %" PRIu64 " bytes, "
			  "rsvd.max of cgroup %s allows %" PRIu64,
			  o->capacity, limit.cgroup, limit.bytes);
	else
		wi_report("backing: hugetlb needs %" PRIu64
			  " pages of %zu KiB, which are free: a limit of this "
			  "process keeps them (cgroup rsvd.max, cpuset)",
			  need, huge / 1024);
}

static uint64_t pages_bytes(const struct wi_pool *pool)
{
	return wi_pool_offset_of(pool, wi_pool_nr_pages(pool));
}

static char *end_of_zone(const struct wi_pool *pool, unsigned zone)
{
	return pool->base + pool->bounds[zone].first +
	       wi_pool_present_bytes(pool, zone);
}

static uint64_t floor_pow2(uint64_t n)
{
	return UINT64_C(1) << wi_highest_bit(n);
}

/* The largest power of two that divides it. */
static uint64_t lowest_pow2(uint64_t n)
{
	return UINT64_C(1) << wi_lowest_bit(n);
}

/* Up to the last page that exists at first. */
static uint64_t sure_bytes(const struct wi_pool *pool)
{
	uint64_t end = 0;

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		end = wi_max_u64(end,
				 pool->bounds[zone].first +
					 wi_pool_present_bytes(pool, zone));
	return end;
}

int wi_pool_map_pages(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	struct wi_os_map map = {
		.bytes = pool->mapped_bytes, /* as they are unmapped */
		.sure_bytes = pool->grow_bytes == 0 ? 0 : sure_bytes(pool),
		.no_fork = true,
		/* Runs are aligned in memory, up to the largest run of the
		 * pool. */
		.align = wi_min_u64(floor_pow2(pool->bytes),
				    lowest_pow2(o->page_size)
					    << pool->order_max),
	};
	int err;

	if (o->backing == WEIR_BACKING_REGION) {
		pool->base = o->region;
		return 0;
	}
	switch (o->backing) {
	case WEIR_BACKING_THP:
		map.backing = WI_OS_ANON_HUGE;
		map.align = wi_max_u64(map.align, 2 * MIB);
		break;
	case WEIR_BACKING_HUGETLB:
		map.backing = WI_OS_HUGETLB;
		map.huge_bytes = pool->huge_bytes;
		if (pool->mapped_bytes % map.huge_bytes)
			REFUSE("capacity: not a multiple of the huge page of "
			       "%zu bytes",
			       map.huge_bytes);
		break;
	case WEIR_BACKING_MEMFD:
		map.backing = WI_OS_FD;
		map.fd = o->fd;
		map.fd_offset = o->fd_offset;
		break;
	default:
		map.backing = WI_OS_ANON;
	}
	err = wi_os_map((void **)&pool->base, &map);
	if (err == -ENOMEM && map.align > GIB) { /* the largest pools */
		map.align = GIB;		 /* page_size is not more */
		err = wi_os_map((void **)&pool->base, &map);
	}
	pool->owns_pages = err == 0;
	pool->private_pages = err == 0 && map.backing != WI_OS_FD;
	if (err == 0)
		return 0;
	if (pool->huge_bytes != 0)
		report_huge(pool, o, err);
	else if (o->backing == WEIR_BACKING_MEMFD && err != -ENOMEM)
		wi_report("fd: the system refused to map %d (errno %d)", o->fd,
			  -err);
	else
		wi_pool_report_memory(pool, pool->mapped_bytes,
				      "bytes of address space");
	return err;
}

/* Why memory cannot be bound to the node that the caller named. */
static void report_node(const struct wi_pool *pool, int node, int err)
{
	const struct wi_topology *topology = &pool->machine.topology;
	char nodes[128];

	if (wi_cpuset_test(&topology->memory_nodes, (unsigned)node) ||
	    wi_cpuset_is_empty(&topology->memory_nodes) ||
	    wi_cpuset_format(&topology->memory_nodes, nodes, sizeof(nodes)) < 0)
		wi_report("node: memory cannot be bound to node %d (errno %d)",
			  node, -err);
	else
		wi_report("node: %d has no memory that this process may use; "
			  "nodes with such memory: %s",
			  node, nodes);
}

int wi_pool_bind_zones(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	for (unsigned zone = 0; zone < pool->nr_zones; zone++) {
		uint64_t first = zone * pool->zone_bytes;
		uint64_t bytes =
			wi_pool_offset_of(pool, wi_pool_zone_pages(pool, zone));
		int node = pool->node[zone], err;

		if (node == WEIR_NODE_ANY || !pool->owns_pages)
			continue;
		err = wi_os_bind(pool->base + first, bytes, (unsigned)node);
		if (err == 0 || (err == -ENOSYS && o->node == 0))
			continue;
		if (o->node != WEIR_NODE_ANY) {
			report_node(pool, node, err);
			return err == -ENOSYS ? -EINVAL : err;
		}
		pool->node[zone] = WEIR_NODE_ANY;
		((struct wi_live *)(void *)pool->meta)->node[zone] =
			WEIR_NODE_ANY;
	}
	return 0;
}

/* Locks or backs the metadata, except the areas of CPUs that are not online,
 * which may be many more than the others. */
static int each_part(struct wi_pool *pool, int (*back)(void *, size_t))
{
	const struct wi_live *live = pool->view.live;
	const struct wi_cpuset *online = &pool->machine.topology.online;
	uint64_t done = 0; /* bytes of it done */
	bool was_online = true;
	int err = 0;

	for (unsigned rank = 0; rank < live->nr_zones; rank++)
		for (unsigned cpu = 0; cpu < live->nr_cpus && err == 0; cpu++) {
			uint64_t at = live->layout.areas +
				      ((uint64_t)rank * live->nr_cpus + cpu) *
					      WEIR_AREA_BYTES;
			bool is_online = wi_cpuset_test(online, cpu);

			if (was_online && !is_online)
				err = back(pool->meta + done,
					   wi_round_up(at, 4096) - done);
			if (!is_online)
				done = (at + WEIR_AREA_BYTES) / 4096 * 4096;
			was_online = is_online;
		}
	if (err == 0)
		err = back(pool->meta + done, pool->meta_bytes - done);
	return err;
}

/* Locks or backs the pages that exist. */
static int each_zone(struct wi_pool *pool, int (*back)(void *, size_t))
{
	int err = 0;

	for (unsigned zone = 0; zone < pool->nr_zones && err == 0; zone++)
		err = back(pool->base + pool->bounds[zone].first,
			   wi_pool_present_bytes(pool, zone));
	return err;
}

/* Reports why memory cannot be locked, so many bytes in all; the error to
 * return. */
static int report_unlocked(uint64_t bytes, int err)
{
	if (err == -EAGAIN) /* not "try again", as elsewhere in weir */
		err = -ENOMEM;
	if (err == -ENOMEM || err == -EPERM)
		wi_report("flags: WEIR_POOL_LOCK: %" PRIu64 " bytes in all are "
			  "more than RLIMIT_MEMLOCK (ulimit -l) allows, which "
			  "is %" PRIu64 ", or than there is",
			  bytes, wi_os_lockable());
	else if (err != 0)
		wi_report("flags: WEIR_POOL_LOCK: the system refused "
			  "(errno %d)",
			  -err);
	return err;
}

/* Everything that an operation may touch. */
static int lock_all(struct wi_pool *pool)
{
	int err = wi_os_lock(pool, sizeof(*pool));

	if (err == 0)
		err = wi_os_lock(pool->handle, sizeof(*pool->handle));
	if (err == 0)
		err = each_part(pool, wi_os_lock);
	if (err == 0 && pool->checks != NULL)
		err = wi_os_lock(pool->checks, pool->checks_bytes);
	if (err == 0)
		err = each_zone(pool, wi_os_lock);
	return report_unlocked(wi_pool_backed_bytes(pool), err);
}

/* Reports why not every page can be backed, so many bytes in all; the error to
 * return. */
static int report_unbacked(const struct wi_pool *pool, uint64_t bytes, int err)
{
	const bool is_region = !pool->owns_pages;
	const size_t huge = pool->huge_bytes;
	struct wi_os_limit limit;

	if (err != -EFAULT)
		wi_report("flags: WEIR_POOL_PREFAULT: the system could not "
			  "back all pages (errno %d)",
			  -err);
	else if (is_region)
		wi_report("region: WEIR_POOL_PREFAULT: it may not be written, "
			  "or what it maps cannot be backed");
	else if (huge == 0)
		wi_report("fd: WEIR_POOL_PREFAULT: pages of the file cannot be "
			  "backed");
	else if (wi_os_huge_limit(&limit, huge, false) == WI_OS_LIMITED)
		wi_report("backing: hugetlb needs %" PRIu64 " bytes, the limit "
			  "(max) of cgroup %s allows %" PRIu64,
			  bytes, limit.cgroup, limit.bytes);
	else if (pool->grow_bytes != 0)
		wi_report("backing: hugetlb needs %" PRIu64 " bytes, which are "
			  "not there (raise vm.nr_hugepages), or a limit keeps "
			  "from being used",
			  bytes);
	else
		wi_report("backing: hugetlb needs %" PRIu64 " bytes, which a "
			  "limit keeps from being used (max of a cgroup that "
			  "is not seen from here)",
			  bytes);
	if (err != -EFAULT)
		return err;
	return is_region ? -EINVAL : -ENOMEM;
}

/*
 * The kernel promises huge pages when they are mapped, but a limit of a cgroup
 * counts them when they are touched, and then a touch is a SIGBUS. So they are
 * backed at once, unless it is known that there is no such limit.
 */
static bool may_be_limited(const struct wi_pool *pool)
{
	struct wi_os_limit limit;

	if (pool->grow_bytes != 0) /* none was reserved */
		return pool->huge_bytes != 0;
	return pool->huge_bytes != 0 &&
	       wi_os_huge_limit(&limit, pool->huge_bytes, false) !=
		       WI_OS_NOT_LIMITED;
}

/* Would the kernel kill processes of the cgroup if all of it were backed? */
static int check_memory_limit(const struct wi_pool *pool, unsigned flags,
			      uint64_t need)
{
	struct wi_os_limit limit;

	if (!pool->private_pages || pool->huge_bytes != 0 ||
	    wi_os_cgroup_limit(&limit, "memory", "memory.max") !=
		    WI_OS_LIMITED ||
	    limit.bytes >= need)
		return 0;
	if (!(flags & WEIR_POOL_LOCK) && wi_os_has_swap())
		return 0;
	wi_report("capacity: %" PRIu64 " bytes are to be backed, memory.max of "
		  "cgroup %s is %" PRIu64,
		  need, limit.cgroup, limit.bytes);
	return -ENOMEM;
}

static int prefault_all(struct wi_pool *pool)
{
	int err = each_part(pool, wi_os_prefault);

	if (err == 0 && pool->checks != NULL)
		err = wi_os_prefault(pool->checks, pool->checks_bytes);
	return err != 0 ? err : each_zone(pool, wi_os_prefault);
}

int wi_pool_back_now(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	int err = 0;

	if (o->flags & (WEIR_POOL_LOCK | WEIR_POOL_PREFAULT))
		err = check_memory_limit(pool, o->flags,
					 wi_pool_backed_bytes(pool));
	if (err != 0)
		return err;
	if (o->flags & WEIR_POOL_LOCK)
		return lock_all(pool);
	if (o->flags & WEIR_POOL_PREFAULT)
		err = prefault_all(pool);
	else if (may_be_limited(pool))
		err = each_zone(pool, wi_os_prefault);
	return err == 0 ? 0 : report_unbacked(pool, pages_bytes(pool), err);
}

/* --- growth ------------------------------------------------------------- */

/* Does the file have so many bytes, which a touch needs? One that has the last
 * has all. */
static int check_file(const struct wi_pool *pool, char *p, uint64_t bytes)
{
	const bool is_file = pool->owns_pages && !pool->private_pages;
	/* Growths are multiples of it. */
	const size_t last = (size_t)sysconf(_SC_PAGESIZE);

	if (!is_file || pool->huge_bytes != 0 ||
	    wi_os_prefault(p + bytes - last, last) == 0)
		return 0;
	wi_report("fd: the file is too short for %" PRIu64 " bytes more, or "
		  "cannot be backed there",
		  bytes);
	return -EINVAL;
}

/* The pages that a zone gets: locked, backed, or only found to be there. */
static int back_range(const struct wi_pool *pool, char *p, uint64_t bytes)
{
	const unsigned flags = pool->view.live->flags;
	int err = check_file(pool, p, bytes);

	if (err != 0)
		return err;
	if (flags & WEIR_POOL_LOCK) {
		err = wi_os_lock(p, bytes);
		if (err != 0)
			err = report_unlocked(
				wi_pool_backed_bytes(pool) + bytes, err);
	} else if ((flags & WEIR_POOL_PREFAULT) || pool->huge_bytes != 0) {
		err = wi_os_prefault(p, bytes);
		if (err != 0)
			err = report_unbacked(pool, pages_bytes(pool) + bytes,
					      err);
	}
	return err;
}

int wi_pool_back_more(struct wi_pool *pool, const uint64_t *more)
{
	const unsigned flags = pool->view.live->flags;
	uint64_t sum = 0;
	int err = 0;

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		sum += more[zone];
	if (flags & (WEIR_POOL_LOCK | WEIR_POOL_PREFAULT))
		err = check_memory_limit(pool, flags,
					 wi_pool_backed_bytes(pool) + sum);
	for (unsigned zone = 0; zone < pool->nr_zones && err == 0; zone++)
		if (more[zone] > 0)
			err = back_range(pool, end_of_zone(pool, zone),
					 more[zone]);
	if (err != 0 && pool->private_pages)
		for (unsigned zone = 0; zone < pool->nr_zones; zone++)
			wi_os_give_up(end_of_zone(pool, zone), more[zone]);
	return err;
}
