/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a pool takes memory of a node that the process may not use, or
 * that has no CPUs, without being asked; or is refused in a container; or has
 * its program ended where a cgroup limits memory.
 *
 * Nodes 0 and 1 have two CPUs each, node 2 has none. A cgroup stands for the
 * container.
 */
#include "shared/guest.h"

#include <linux/mempolicy.h>

#include <weir/stat.h>
#include <weir/weir.h>

#include "child.h"
#include "fault/seccomp.h"

#define ROOT "/sys/fs/cgroup"
#define MIB (UINT64_C(1) << 20)
#define NODES 3

static struct weir_pool *pool;
static unsigned nr_cases;

/* --- the container ----------------------------------------------------- */

/* This process is in a cgroup in which a file says so, from now on. */
static void enter(const char *file, const char *text)
{
	char path[128];

	CHECK(mkdir(ROOT "/box", 0755) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), ROOT "/box/%s", file);
	guest_must_write(path, text);
	guest_must_write(ROOT "/box/cgroup.procs", "0");
}

/* --- pools ------------------------------------------------------------- */

static struct weir_pool_opts opts_of(uint64_t bytes, int node)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = bytes;
	opts.node = node;
	return opts;
}

/* As many zones, of these nodes; -2 ends the list. */
static void expect_zones(uint64_t bytes, int node, const int *nodes)
{
	const struct weir_pool_opts opts = opts_of(bytes, node);
	struct weir_stat stat = WEIR_STAT_INIT;
	unsigned n = 0;

	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	CHECK_EQ(weir_stat_read(pool, &stat), 0);
	for (; nodes[n] != -2; n++) {
		struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;

		CHECK_EQ(weir_stat_read_zone(pool, n, &zone), 0);
		CHECK_EQ(zone.node, nodes[n]);
	}
	CHECK_EQ(stat.nr_zones, n);
}

/* Every page lies on one of these nodes (bits). */
static void expect_pages(unsigned nodes)
{
	uint64_t on[NODES] = { 0 };
	void *page;

	while ((page = weir_alloc(pool, 0, 0)) != NULL) {
		int node = -1;

		*(volatile char *)page = 1;
		CHECK_EQ(syscall(SYS_move_pages, 0, 1ul, &page, NULL, &node, 0),
			 0);
		CHECK(node >= 0 && node < NODES);
		on[node]++;
	}
	for (unsigned node = 0; node < NODES; node++)
		CHECK_MSG((on[node] > 0) == (nodes >> node & 1),
			  "%" PRIu64 " pages on node %u", on[node], node);
	CHECK_EQ(weir_pool_destroy(pool, WEIR_DESTROY_FORCE), 0);
}

static void expect_refusal(const struct weir_pool_opts *opts, int error,
			   const char *why)
{
	int err = weir_pool_create(&pool, opts);

	CHECK_MSG(err == error, "%d: %s", err, weir_last_error());
	CHECK_MSG(strstr(weir_last_error(), why) != NULL, "%s",
		  weir_last_error());
}

#define ZONES(...)                                                             \
	(const int[])                                                          \
	{                                                                      \
		__VA_ARGS__, -2                                                \
	}

/* --- nodes ------------------------------------------------------------- */

static void free_choice(void)
{
	expect_zones(96 * MIB, WEIR_NODE_ANY, ZONES(0, 1));
	expect_pages(1 << 0 | 1 << 1);
	for (int node = 0; node < NODES; node++) {
		expect_zones(32 * MIB, node, ZONES(node));
		expect_pages(1u << node);
	}
}

static void one_node(void)
{
	struct weir_pool_opts opts = opts_of(64 * MIB, 1);

	enter("cpuset.mems", "0");
	expect_zones(64 * MIB, WEIR_NODE_ANY, ZONES(WEIR_NODE_ANY));
	expect_pages(1 << 0);
	expect_zones(64 * MIB, 0, ZONES(0));
	expect_pages(1 << 0);
	expect_refusal(&opts, -EINVAL, "such memory: 0");
	opts.backing = WEIR_BACKING_THP;
	opts.node = WEIR_NODE_ANY;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

static void one_with_cpus(void)
{
	enter("cpuset.mems", "0,2");
	pin(1); /* whichever CPU touches the pages */
	expect_zones(64 * MIB, WEIR_NODE_ANY, ZONES(0));
	expect_pages(1 << 0);
	pin(3);
	expect_zones(64 * MIB, WEIR_NODE_ANY, ZONES(0));
	expect_pages(1 << 0);
	expect_zones(64 * MIB, 2, ZONES(2));
	expect_pages(1 << 2);
}

static void none_with_cpus(void)
{
	enter("cpuset.mems", "2");
	expect_zones(64 * MIB, WEIR_NODE_ANY, ZONES(WEIR_NODE_ANY));
	expect_pages(1 << 2);
}

static void both(void)
{
	enter("cpuset.mems", "0-1");
	expect_zones(64 * MIB, WEIR_NODE_ANY, ZONES(0, 1));
	expect_pages(1 << 0 | 1 << 1);
}

/* numactl --membind=1 */
static void bound_thread(void)
{
	const unsigned long mask = 1ul << 1;

	CHECK_EQ(syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 64ul), 0);
	expect_zones(64 * MIB, WEIR_NODE_ANY, ZONES(WEIR_NODE_ANY));
	expect_pages(1 << 1);
}

/* Without mbind pages come from where they are touched, and no node is said. */
static void unbound(void)
{
	const struct weir_pool_opts named = opts_of(64 * MIB, 1);

	seccomp_refuse_one(SYS_mbind, EPERM);
	expect_zones(64 * MIB, WEIR_NODE_ANY,
		     ZONES(WEIR_NODE_ANY, WEIR_NODE_ANY));
	pin(0);
	expect_pages(1 << 0);
	expect_refusal(&named, -EPERM, "node");
}

/* --- a limit of memory ------------------------------------------------- */

static void little_memory(void)
{
	static const unsigned flags[] = { WEIR_POOL_PREFAULT, WEIR_POOL_LOCK };
	struct weir_pool_opts opts = opts_of(64 * MIB, WEIR_NODE_ANY);

	enter("memory.max", "20000000");
	for (unsigned i = 0; i < 2; i++) {
		opts.flags = flags[i];
		expect_refusal(&opts, -ENOMEM, "memory.max of cgroup /box");
	}
	opts.flags = 0; /* it is not used up */
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	opts.flags = WEIR_POOL_PREFAULT;
	opts.capacity = 8 * MIB;
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

/* ----------------------------------------------------------------------- */

static void (*body_of_child)(void);

static void run(void *unused)
{
	(void)unused;
	body_of_child();
}

static void in_box(const char *name, void (*body)(void))
{
	int status;

	body_of_child = body;
	status = end_child(start_child(run, NULL));

	if (status == 77)
		exit(77);
	CHECK_MSG(status == 0, "%s: ended with %d", name, status);
	(void)rmdir(ROOT "/box");
	nr_cases++;
}

int main(void)
{
	if (access("/sys/devices/system/node/node2", F_OK) != 0)
		SKIP("this needs three nodes");
	guest_must_write(ROOT "/cgroup.subtree_control", "+cpuset");
	guest_must_write(ROOT "/cgroup.subtree_control", "+memory");
	in_box("all nodes", free_choice);
	in_box("node 0", one_node);
	in_box("nodes 0 and 2", one_with_cpus);
	in_box("node 2", none_with_cpus);
	in_box("nodes 0 and 1", both);
	in_box("bound to node 1", bound_thread);
	in_box("no mbind", unbound);
	in_box("little memory", little_memory);
	printf("figures: %u containers and their pools\n", nr_cases);
	return 0;
}
