/* SPDX-License-Identifier: MIT */
/* A pool's beginning and end: options, memory, zones. */
#include "api/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/sized.h"
#include "base/trace.h"
#include "os/report.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define DEFAULT_PAGE 4096
#define DEFAULT_BATCH 64
#define DEFAULT_WAIT_NS 10000000
#define LISTED_MAX 16  /* pages that WEIR_DESTROY_LIST prints */
#define NODES_MAX 1024 /* what the kernel can number */

#define ALL_POOL_FLAGS                                                         \
	(WEIR_POOL_CHECKED | WEIR_POOL_PREFAULT | WEIR_POOL_LOCK |             \
	 WEIR_POOL_NO_RSEQ | WEIR_POOL_HIDDEN)

/* --- options ----------------------------------------------------------- */

#define REFUSE(...) return (wi_report(__VA_ARGS__), -EINVAL)

static int check_backing(const struct weir_pool_opts *o)
{
	const uint64_t kernel_page = (uint64_t)sysconf(_SC_PAGESIZE);

	if ((unsigned)o->backing > WEIR_BACKING_REGION)
		REFUSE("backing: %d is none of WEIR_BACKING_...",
		       (int)o->backing);
	if (o->backing == WEIR_BACKING_REGION) {
		if (o->region == NULL)
			REFUSE("region: NULL, but backing is "
			       "WEIR_BACKING_REGION");
		if ((uintptr_t)o->region %
		    wi_max_u64(o->page_size, kernel_page))
			REFUSE("region: %p is not aligned to page_size "
			       "%" PRIu64 " and to the kernel's page",
			       o->region, o->page_size);
		if ((uintptr_t)o->region > UINTPTR_MAX - o->capacity)
			REFUSE("region: %p and capacity reach past the address "
			       "space",
			       o->region);
	} else if (o->region != NULL) {
		REFUSE("region: set, but backing is not WEIR_BACKING_REGION");
	}
	if (o->backing == WEIR_BACKING_MEMFD) {
		struct stat st;

		if (fstat(o->fd, &st) != 0)
			REFUSE("fd: %d is not an open file", o->fd);
		if (o->fd_offset % kernel_page)
			REFUSE("fd_offset: %" PRIu64 " is not a multiple of "
			       "the kernel's page",
			       o->fd_offset);
		if (o->fd_offset > (uint64_t)st.st_size ||
		    (uint64_t)st.st_size - o->fd_offset < o->capacity)
			REFUSE("fd: the file has %" PRId64 " bytes, fd_offset "
			       "and capacity need more",
			       (int64_t)st.st_size);
	} else if (o->fd_offset != 0) {
		REFUSE("fd_offset: set, but backing is not "
		       "WEIR_BACKING_MEMFD");
	}
	return 0;
}

/* Copies the caller's options over the defaults, and refuses what makes no
 * sense. */
static int read_opts(struct weir_pool_opts *o,
		     const struct weir_pool_opts *given)
{
	*o = (struct weir_pool_opts)WEIR_POOL_OPTS_INIT;
	if (given == NULL)
		REFUSE("opts: NULL; a pool needs a capacity");
	if (wi_sized_in(WI_SIZED_POOL_OPTS, o, given) != 0)
		return -EINVAL;
	if (o->page_size == 0)
		o->page_size = DEFAULT_PAGE;
	if (o->batch == 0)
		o->batch = DEFAULT_BATCH;
	if (o->wait_ns == 0)
		o->wait_ns = DEFAULT_WAIT_NS;
	if (o->name == NULL)
		o->name = "pool";

	if (!wi_is_pow2(o->page_size) || o->page_size < 256 ||
	    o->page_size > GIB)
		REFUSE("page_size: %" PRIu64 " is not a power of two from 256 "
		       "to 2^30",
		       o->page_size);
	if (o->capacity == 0)
		REFUSE("capacity: 0; it is the pool's size in bytes");
	if (o->capacity % o->page_size)
		REFUSE("capacity: %" PRIu64 " is not a multiple of page_size "
		       "%" PRIu64,
		       o->capacity, o->page_size);
	if (o->capacity > UINT64_C(1) << 46)
		REFUSE("capacity: %" PRIu64 " is more than 2^46 bytes",
		       o->capacity);
	if (o->flags & ~ALL_POOL_FLAGS)
		REFUSE("flags: 0x%x has unknown bits", o->flags);
	if (o->list_limit < -1 || o->list_limit > WEIR_LIST_MAX)
		REFUSE("list_limit: %d is not -1 or from 0 to %d",
		       o->list_limit, WEIR_LIST_MAX);
	if (o->batch > WI_BATCH_MAX)
		REFUSE("batch: %u is more than %d", o->batch, WI_BATCH_MAX);
	if (strlen(o->name) >= sizeof(((struct wi_pool *)0)->name))
		REFUSE("name: longer than 31 bytes");
	if (wi_os_env_is_set("WEIR_CHECKED"))
		o->flags |= WEIR_POOL_CHECKED;
	return check_backing(o);
}

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

/* The size of the huge pages that are set aside for the pool; 0: none. */
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

/* What the options say, and how many zones of how many pages: about equal
 * shares. */
static int set_shape(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	const struct wi_topology *topology = &pool->machine.topology;
	uint64_t nr_pages = o->capacity / o->page_size, share;
	unsigned zones = topology->nr_nodes;
	uint64_t least; /* a huge page is bound as a whole */
	int err;

	pool->bytes = o->capacity;
	pool->page_size = o->page_size;
	pool->page_shift = wi_lowest_bit(o->page_size);
	strcpy(pool->name, o->name);
	if (o->node < WEIR_NODE_ANY || o->node >= NODES_MAX)
		REFUSE("node: %d is neither a node's number nor WEIR_NODE_ANY",
		       o->node);
	if (o->node != WEIR_NODE_ANY || o->backing == WEIR_BACKING_REGION)
		zones = 1;
	err = find_huge_pages(pool, o);
	if (err != 0)
		return err;
	least = pool->huge_bytes / o->page_size;
	while (zones > 1 && nr_pages / zones < UINT64_C(8) * 512)
		zones--;
	share = wi_div_round_up(nr_pages, zones);
	pool->zone_pages = nr_pages;
	if (zones > 1)
		pool->zone_pages = wi_min_u64(
			nr_pages, wi_round_up(share, zone_unit(share, least)));
	pool->nr_zones = (unsigned)wi_div_round_up(nr_pages, pool->zone_pages);
	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		pool->node[zone] = node_of_zone(pool, o, zone);
	return 0;
}

static uint64_t pages_of_zone(const struct wi_pool *pool, unsigned zone)
{
	uint64_t first = zone * pool->zone_pages;

	return wi_min_u64(pool->zone_pages,
			  (pool->bytes >> pool->page_shift) - first);
}

/* --- memory ------------------------------------------------------------ */

/* Says what keeps so many huge pages from being reserved. */
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

static uint64_t floor_pow2(uint64_t n)
{
	return UINT64_C(1) << wi_highest_bit(n);
}

static int map_pages(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	struct wi_os_map map = {
		.bytes = o->capacity,
		.no_fork = true,
		/* Runs are aligned in memory, up to the largest there is. */
		.align = wi_min_u64(floor_pow2(o->capacity),
				    o->page_size << WEIR_ORDER_MAX),
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
		if (o->capacity % map.huge_bytes)
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
		map.align = wi_max_u64(GIB, o->page_size);
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
		wi_pool_report_memory(pool, pool->bytes,
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

/*
 * Binds zones to their nodes. A node that the caller named must be had; a
 * kernel without nodes has node 0 only. Otherwise a refusal is no error (many
 * containers forbid the call): memory then comes from the node of the CPU that
 * touches it first, which is as a rule the right one.
 */
static int bind_zones(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	for (unsigned zone = 0; zone < pool->nr_zones; zone++) {
		uint64_t first = zone * pool->zone_pages << pool->page_shift;
		uint64_t bytes = pages_of_zone(pool, zone) << pool->page_shift;
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

/* Locks or backs the metadata, but for the areas of CPUs that are not online,
 * of which there may be many more than of the others. */
static int each_part(struct wi_pool *pool, int (*back)(void *, size_t))
{
	const struct wi_live *live = pool->view.live;
	const struct wi_cpuset *online = &pool->machine.topology.online;
	uint64_t done = 0; /* bytes of it dealt with */
	bool was_online = true;
	int err = 0;

	for (unsigned zone = 0; zone < live->nr_zones; zone++)
		for (unsigned cpu = 0; cpu < live->nr_cpus && err == 0; cpu++) {
			uint64_t at = live->layout.areas +
				      ((uint64_t)zone * live->nr_cpus + cpu) *
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

/* All that an operation may touch. */
static int lock_all(struct wi_pool *pool)
{
	int err = wi_os_lock(pool, sizeof(*pool));

	if (err == 0)
		err = wi_os_lock(pool->handle, sizeof(*pool->handle));
	if (err == 0)
		err = each_part(pool, wi_os_lock);
	if (err == 0 && pool->checks != NULL)
		err = wi_os_lock(pool->checks, wi_pool_nr_pages(pool));
	if (err == 0)
		err = wi_os_lock(pool->base, pool->bytes);
	if (err == -EAGAIN) /* not "try again", as elsewhere in weir */
		err = -ENOMEM;
	if (err == -ENOMEM || err == -EPERM)
		wi_report("flags: WEIR_POOL_LOCK: %" PRIu64 " bytes in all are "
			  "more than RLIMIT_MEMLOCK (ulimit -l) allows, which "
			  "is %" PRIu64 ", or than there is",
			  wi_pool_whole_bytes(pool), wi_os_lockable());
	else if (err != 0)
		wi_report("flags: WEIR_POOL_LOCK: the system refused "
			  "(errno %d)",
			  -err);
	return err;
}

/* Says why not every page can be backed. */
static void report_unbacked(const struct wi_pool *pool,
			    const struct weir_pool_opts *o, int err)
{
	const size_t huge = pool->huge_bytes;
	struct wi_os_limit limit;

	if (err != -EFAULT)
		wi_report("flags: WEIR_POOL_PREFAULT: the system could not "
			  "back all pages (errno %d)",
			  -err);
	else if (o->backing == WEIR_BACKING_REGION)
		wi_report("region: WEIR_POOL_PREFAULT: it may not be written, "
			  "or what it maps cannot be backed");
	else if (huge == 0)
		wi_report("fd: WEIR_POOL_PREFAULT: pages of %d cannot be "
			  "backed",
			  o->fd);
	else if (wi_os_huge_limit(&limit, huge, false) == WI_OS_LIMITED)
		wi_report("backing: hugetlb needs %" PRIu64 " bytes, the limit "
			  "(max) of cgroup %s allows %" PRIu64,
			  pool->bytes, limit.cgroup, limit.bytes);
	else
		wi_report("backing: hugetlb needs %" PRIu64 " bytes, which a "
			  "limit keeps from being used (max of a cgroup that "
			  "is not seen from here)",
			  pool->bytes);
}

/*
 * The kernel promises huge pages when they are mapped, but a limit of a cgroup
 * counts them when they are touched, and then a touch is a SIGBUS. So they are
 * backed at once, unless it is known that there is no such limit.
 */
static bool may_be_limited(const struct wi_pool *pool)
{
	struct wi_os_limit limit;

	return pool->huge_bytes != 0 &&
	       wi_os_huge_limit(&limit, pool->huge_bytes, false) !=
		       WI_OS_NOT_LIMITED;
}

/* Would backing it all have the kernel end processes of the cgroup? */
static int check_memory_limit(const struct wi_pool *pool,
			      const struct weir_pool_opts *o)
{
	const uint64_t need = wi_pool_whole_bytes(pool);
	const bool is_private = o->backing == WEIR_BACKING_ANON ||
				o->backing == WEIR_BACKING_THP;
	struct wi_os_limit limit;

	if (!is_private ||
	    wi_os_cgroup_limit(&limit, "memory", "memory.max") !=
		    WI_OS_LIMITED ||
	    limit.bytes >= need)
		return 0;
	if (!(o->flags & WEIR_POOL_LOCK) && wi_os_has_swap())
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
		err = wi_os_prefault(pool->checks, wi_pool_nr_pages(pool));
	return err != 0 ? err : wi_os_prefault(pool->base, pool->bytes);
}

static int back_now(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	int err = 0;

	if (o->flags & (WEIR_POOL_LOCK | WEIR_POOL_PREFAULT))
		err = check_memory_limit(pool, o);
	if (err != 0)
		return err;
	if (o->flags & WEIR_POOL_LOCK)
		return lock_all(pool);
	if (o->flags & WEIR_POOL_PREFAULT)
		err = prefault_all(pool);
	else if (may_be_limited(pool))
		err = wi_os_prefault(pool->base, pool->bytes);
	if (err == 0)
		return 0;
	report_unbacked(pool, o, err);
	if (err != -EFAULT)
		return err;
	return o->backing == WEIR_BACKING_REGION ? -EINVAL : -ENOMEM;
}

/* --- creation ---------------------------------------------------------- */

static int init_cache(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	const struct wi_live *live = pool->view.live;
	struct wi_cache_config config = {
		.areas = pool->meta + live->layout.areas,
		.memory = pool->meta + live->layout.totals,
		.modes = pool->machine.mode,
		.online = pool->machine.topology.online.word,
		.nr_cpus = pool->machine.topology.nr_cpus,
		.nr_zones = pool->nr_zones,
		.nr_lists = WI_POOL_LISTS,
		.locked = pool->machine.locked,
		.batch = o->batch,
		.wait_ns = o->wait_ns,
		.backend = wi_pool_backend,
	};

	if (pool->nr_zones > 1) {
		config.zone_of_cpu = pool->machine.topology.node_of_cpu;
		for (unsigned cpu = 0; cpu < config.nr_cpus; cpu++)
			pool->machine.topology.node_of_cpu[cpu] %=
				pool->nr_zones;
	}
	config.backend.ctx = pool;
	for (unsigned list = 0; list < WI_POOL_LISTS; list++) {
		config.limits[list] = (uint16_t)live->limits[list];
		config.weight[list] = live->weight[list];
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
	if (pool->checks == NULL && pool->nr_zones == 1 &&
	    pool->machine.settled)
		pool->handle->lists = wi_cache_lists(&pool->cache, 0);
	pool->handle->base = pool->base;
	pool->handle->bytes = pool->bytes;
	pool->handle->page_mask = (uint32_t)(pool->page_size - 1);
	pool->handle->impl = pool;
}

/* Whatever of it there is. */
static void unmake(struct wi_pool *pool)
{
	if (pool->handle != NULL)
		wi_os_unmap_wiped(pool->handle, sizeof(*pool->handle));
	if (pool->owns_pages)
		wi_os_unmap(pool->base, pool->bytes);
	if (pool->checks != NULL)
		wi_os_unmap(pool->checks, wi_pool_nr_pages(pool));
	if (pool->meta != NULL)
		wi_os_unmap(pool->meta, pool->meta_bytes);
	wi_os_unshare(&pool->file);
	wi_os_unmap(pool, sizeof(*pool));
}

static void init_zone(struct wi_pool *pool, unsigned zone)
{
	const struct wi_live *live = pool->view.live;
	const struct wi_live_layout *l = &live->layout;
	const uint64_t nr_pages = pages_of_zone(pool, zone);
	const unsigned order = wi_live_zone_order(live, zone);

	pool->zone[zone] = wi_zone_init(
		pool->meta + l->zones + zone * l->zone_bytes, nr_pages);
	pool->zone_order[zone] = (uint8_t)order;
	for (unsigned i = 0; i <= order; i++)
		pool->nr_runs[i] += nr_pages >> i;
}

static int build(struct wi_pool *pool, const struct weir_pool_opts *o)
{
	int err = wi_pool_map_meta(pool, o);

	if (err == 0)
		err = map_pages(pool, o);
	if (err == 0)
		err = bind_zones(pool, o);
	if (err != 0)
		return err;
	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		init_zone(pool, zone);
	err = make_handle(pool);
	if (err == 0)
		err = back_now(pool, o);
	if (err == 0)
		err = init_cache(pool, o);
	if (err == 0)
		fill_handle(pool);
	return err;
}

/* The pool itself, all zero. */
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

static int create(struct weir_pool **out, const struct weir_pool_opts *given)
{
	struct weir_pool_opts o;
	struct wi_pool *pool;
	int err;

	wi_report_nothing();
	err = read_opts(&o, given);
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
		err = build(pool, &o);
	if (err != 0) {
		unmake(pool);
		return err;
	}
	wi_live_begin((struct wi_live *)(void *)pool->meta);
	wi_pool_make_known(pool);
	*out = pool->handle;
	WI_TRACE(pool_create, &pool->cache.drain, pool->name, pool->handle,
		 pool->bytes, pool->page_size);
	return 0;
}

int weir_pool_create(struct weir_pool **out, const struct weir_pool_opts *given)
{
	int cancel = wi_os_cancel_put_off();
	int err = create(out, given);

	wi_os_cancel_allow(cancel);
	return err;
}

/* --- the end ----------------------------------------------------------- */

uint64_t wi_pool_nr_free(const struct wi_pool *pool)
{
	uint64_t sum = 0;

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		sum += wi_zone_nr_free(pool->zone[zone]);
	return sum;
}

/* Prints the first pages that are out; the lists are empty by now. */
static void list_pages_out(const struct wi_pool *pool)
{
	unsigned listed = 0;
	char line[96];

	for (unsigned zone = 0; zone < pool->nr_zones; zone++)
		for (uint64_t page = 0; page < pages_of_zone(pool, zone);
		     page++) {
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
					  (at << pool->page_shift)));
			wi_os_say(line);
		}
}

static int destroy(struct weir_pool *handle, unsigned flags)
{
	struct wi_pool *pool = wi_pool_of(handle);
	struct wi_drain_request request = { 0 };
	struct wi_drain_outcome outcome = { 0 };
	uint64_t out;

	wi_report_nothing();
	if (pool == NULL)
		return -ESTALE;
	if (flags & ~(WEIR_DESTROY_FORCE | WEIR_DESTROY_LIST))
		REFUSE("flags: 0x%x has unknown bits", flags);
	request.nr_zones = pool->nr_zones;
	request.may_interrupt = true; /* as the unmapping will */
	request.deadline_ns = wi_after_ns(wi_os_now_ns(), pool->cache.wait_ns);
	wi_cache_drain(&pool->cache, &request, &outcome, &(bool){ 0 });
	out = (pool->bytes >> pool->page_shift) - wi_pool_nr_free(pool);
	if (out > 0) {
		wi_report("%" PRIu64 " pages are out, %" PRIu64 " of them "
			  "pending on CPUs that are in use",
			  out, outcome.pending);
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
	WI_TRACE(pool_destroy, &pool->cache.drain, pool->name, out);
	wi_live_end((struct wi_live *)(void *)pool->meta);
	wi_pool_forget(pool);
	unmake(pool);
	return 0;
}

int weir_pool_destroy(struct weir_pool *handle, unsigned flags)
{
	int cancel = wi_os_cancel_put_off();
	int err = destroy(handle, flags);

	wi_os_cancel_allow(cancel);
	return err;
}
