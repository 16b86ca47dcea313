/* SPDX-License-Identifier: MIT */
/*
 * Reads CPUs and nodes from sysfs and cgroup v2. Files read, below the root
 * given (all may be missing):
 *
 *   devices/system/cpu/possible online       which CPUs there are
 *   devices/system/cpu/nohz_full isolated    which must not be disturbed
 *   devices/system/node/has_memory online    which nodes there are
 *   devices/system/node/nodeN/cpulist        their CPUs
 *   devices/system/node/nodeN/meminfo        asked when has_memory is missing
 *   devices/system/node/nodeN/distance       for CPUs of nodes without memory
 *   fs/cgroup/cpuset.cpus.isolated           Linux 6.7; the whole machine's
 *   fs/cgroup/PATH/cpuset.cpus.partition     PATH: this process' cgroup and
 *   fs/cgroup/PATH/cpuset.cpus.effective     those above it
 *   ../proc/self/cgroup                      which one that is
 *   ../proc/self/status                      which nodes it may use
 *
 * Buffers live on the stack: about 20 KiB at the deepest. Mapping memory for
 * them would be cheap, but unmapping it interrupts other CPUs.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "os/os.h"
#include "os/topology.h"

#define PATH_BYTES 4096 /* the kernel's PATH_MAX: cgroups nest */
#define LIST_BYTES 8192 /* the longest list of CPUs that is understood */
#define TEXT_BYTES 4096
#define NODE_IDS 1024 /* what the kernel can number */
#define NO_NODE UINT16_MAX

/* ---- reading ---------------------------------------------------------- */

/* Reads root/<the rest>; as wi_os_read_file(). */
__attribute__((format(printf, 4, 0))) static int
read_below_v(const char *root, char *buf, size_t len, const char *format,
	     va_list args)
{
	char path[PATH_BYTES];
	int n = snprintf(path, sizeof(path), "%s/", root), more;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	more = vsnprintf(path + n, sizeof(path) - (size_t)n, format, args);
	if (more < 0 || (size_t)more >= sizeof(path) - (size_t)n)
		return -ENAMETOOLONG;
	return wi_os_read_file(path, buf, len);
}

__attribute__((format(printf, 4, 5))) static int
read_below(const char *root, char *buf, size_t len, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = read_below_v(root, buf, len, format, args);
	va_end(args);
	return n;
}

/* As read_below(), of a file that holds a list; the set is empty after any
 * failure. */
__attribute__((format(printf, 3, 4))) static WI_COLD int
read_set(struct wi_cpuset *set, const char *root, const char *format, ...)
{
	char text[LIST_BYTES];
	va_list args;
	int error;

	wi_cpuset_zero(set);
	va_start(args, format);
	error = read_below_v(root, text, sizeof(text), format, args);
	va_end(args);
	if (error < 0)
		return error;
	return wi_cpuset_parse(set, text, NULL);
}

static unsigned highest_in_set(const struct wi_cpuset *set)
{
	for (unsigned i = WI_CPUS_MAX / 64; i-- > 0;)
		if (set->word[i])
			return i * 64 + wi_highest_bit(set->word[i]);
	return 0;
}

/* ---- CPUs ------------------------------------------------------------- */

static int read_cpus(struct wi_topology *t, const char *root)
{
	int error;

	if (wi_os_affinity(t->allowed.word, WI_ARRAY_SIZE(t->allowed.word)) ||
	    wi_cpuset_is_empty(&t->allowed))
		wi_cpuset_fill(&t->allowed, wi_os_nr_cpus());

	if (read_set(&t->online, root, "devices/system/cpu/online"))
		wi_cpuset_zero(&t->online);
	error = read_set(&t->possible, root, "devices/system/cpu/possible");
	if (!error && wi_cpuset_is_empty(&t->possible))
		error = -EINVAL;
	if (error) {
		t->possible = t->online;
		if (wi_cpuset_is_empty(&t->possible)) {
			wi_cpuset_fill(&t->possible, wi_os_nr_cpus());
			wi_cpuset_or(&t->possible, &t->allowed);
		}
	}
	wi_cpuset_and(&t->online, &t->possible);
	if (wi_cpuset_is_empty(&t->online))
		t->online = t->possible;
	t->nr_cpus = highest_in_set(&t->possible) + 1;
	return error;
}

/* ---- quiet CPUs ------------------------------------------------------- */

/* Hybrid systems mount version 2 beside version 1. */
static const char *const cgroup_mounts[] = { "fs/cgroup", "fs/cgroup/unified" };

/*
 * The partition that the cgroup at `path` ("/a/b", cut short on the way) is
 * part of: its own or that of the nearest ancestor that roots one.
 */
static void read_partition(struct wi_cpuset *set, const char *root,
			   const char *mount, char *path)
{
	char text[64], *slash;

	for (;;) {
		int n = read_below(root, text, sizeof(text),
				   "%s%s/cpuset.cpus.partition", mount, path);

		/* "isolated invalid (why)" is not isolated. */
		if (n >= 0 && !strcmp(text, "isolated")) {
			(void)read_set(set, root, "%s%s/cpuset.cpus.effective",
				       mount, path);
			return;
		}
		if (n >= 0 && !strcmp(text, "root"))
			return;
		slash = strrchr(path, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

/*
 * Reads the process' cgroup of version 2, "/a/b", or "" for the root, from the
 * line "0::/a/b", which may stand behind many of version 1.
 */
static WI_COLD bool read_cgroup_path(const char *root, char *path, size_t len)
{
	char file[PATH_BYTES];
	int n = snprintf(file, sizeof(file), "%s/../proc/self/cgroup", root);

	if (n < 0 || (size_t)n >= sizeof(file))
		return false;
	n = wi_os_read_line(file, "0::", path, len);
	if (n <= 0 || path[0] != '/')
		return false;
	if (path[n - 1] == '/')
		path[n - 1] = '\0';
	return true;
}

static WI_COLD void read_cgroups(struct wi_topology *t, const char *root)
{
	char path[PATH_BYTES];
	struct wi_cpuset own;

	wi_cpuset_zero(&t->cpuset_isolated);
	for (size_t i = 0; i < WI_ARRAY_SIZE(cgroup_mounts); i++) {
		const char *mount = cgroup_mounts[i];

		/* From 6.12 on it lists those of isolcpus, too. */
		if (!read_set(&own, root, "%s/cpuset.cpus.isolated", mount)) {
			wi_cpuset_andnot(&own, &t->isolated);
			wi_cpuset_or(&t->cpuset_isolated, &own);
		}
		if (!read_cgroup_path(root, path, sizeof(path)))
			continue;
		wi_cpuset_zero(&own);
		read_partition(&own, root, mount, path);
		wi_cpuset_or(&t->cpuset_isolated, &own);
	}
	wi_cpuset_and(&t->cpuset_isolated, &t->possible);
}

static void read_quiet(struct wi_topology *t, const char *root)
{
	/* nohz_full may be missing, or read "(null)": both mean none. */
	(void)read_set(&t->nohz_full, root, "devices/system/cpu/nohz_full");
	(void)read_set(&t->isolated, root, "devices/system/cpu/isolated");
	wi_cpuset_and(&t->nohz_full, &t->possible);
	wi_cpuset_and(&t->isolated, &t->possible);
	read_cgroups(t, root);
}

unsigned wi_topology_quiet_reason(const struct wi_topology *topology,
				  unsigned cpu)
{
	unsigned reason = 0;

	if (wi_cpuset_test(&topology->nohz_full, cpu))
		reason |= WI_QUIET_NOHZ_FULL;
	if (wi_cpuset_test(&topology->isolated, cpu))
		reason |= WI_QUIET_ISOLATED;
	if (wi_cpuset_test(&topology->cpuset_isolated, cpu))
		reason |= WI_QUIET_CPUSET;
	return reason;
}

/* ---- nodes ------------------------------------------------------------ */

/* "Node 0 MemTotal:  3762388 kB": is it more than none? */
static bool has_memory(const char *root, unsigned node)
{
	static const char key[] = "MemTotal:";
	char text[TEXT_BYTES];
	const char *at;

	if (read_below(root, text, sizeof(text),
		       "devices/system/node/node%u/meminfo", node) < 0)
		return false;
	at = strstr(text, key);
	return at && strtoull(at + sizeof(key) - 1, NULL, 10) > 0;
}

/*
 * The nodes that the kernel lets this process use: those of its cpuset, less
 * those outside of the thread's policy, if that names some. False where the
 * kernel does not say, or names no node.
 */
static WI_COLD bool read_allowed(struct wi_cpuset *set, const char *root)
{
	char path[PATH_BYTES], list[TEXT_BYTES];
	struct wi_cpuset bound;
	const char *key = "Mems_allowed_list:";
	int n = snprintf(path, sizeof(path), "%s/../proc/self/status", root);

	if (n < 0 || (size_t)n >= sizeof(path) ||
	    wi_os_read_line(path, key, list, sizeof(list)) < 0 ||
	    wi_cpuset_parse(set, list, NULL) != 0)
		wi_cpuset_fill(set, NODE_IDS);
	wi_cpuset_zero(&bound);
	if (wi_os_bound_nodes(bound.word, WI_ARRAY_SIZE(bound.word)))
		wi_cpuset_and(set, &bound);
	return !wi_cpuset_is_empty(set);
}

/*
 * Fills *online with all nodes there are, and *memory with those that have
 * memory which this process may use.
 */
static void read_node_ids(struct wi_topology *t, const char *root,
			  struct wi_cpuset *online)
{
	struct wi_cpuset *memory = &t->memory_nodes, allowed;

	if (read_set(online, root, "devices/system/node/online"))
		wi_cpuset_zero(online);
	if (read_set(memory, root, "devices/system/node/has_memory")) {
		*memory = *online;
		for (unsigned node = wi_cpuset_next(memory, 0); node < NODE_IDS;
		     node = wi_cpuset_next(memory, node + 1))
			if (!has_memory(root, node))
				wi_cpuset_clear(memory, node);
	}
	for (unsigned node = wi_cpuset_next(memory, NODE_IDS);
	     node < WI_CPUS_MAX; node = wi_cpuset_next(memory, node + 1))
		wi_cpuset_clear(memory, node);
	wi_cpuset_or(online, memory);
	if (!read_allowed(&allowed, root))
		return;
	wi_cpuset_and(&allowed, memory);
	if (!wi_cpuset_is_empty(&allowed))
		*memory = allowed;
}

/*
 * Gives each CPU the kernel's number of its node, or NO_NODE. A node's cpulist
 * leaves out CPUs that are offline; their own folder still links to their node.
 */
static void read_node_cpus(struct wi_topology *t, const char *root,
			   const struct wi_cpuset *online)
{
	struct wi_cpuset cpus;
	char text[16];

	for (unsigned cpu = 0; cpu < WI_CPUS_MAX; cpu++)
		t->node_of_cpu[cpu] = NO_NODE;
	for (unsigned id = wi_cpuset_next(online, 0); id < NODE_IDS;
	     id = wi_cpuset_next(online, id + 1)) {
		if (read_set(&cpus, root, "devices/system/node/node%u/cpulist",
			     id))
			continue;
		for (unsigned cpu = wi_cpuset_next(&cpus, 0); cpu < WI_CPUS_MAX;
		     cpu = wi_cpuset_next(&cpus, cpu + 1))
			t->node_of_cpu[cpu] = (uint16_t)id;
	}
	if (wi_cpuset_count(online) < 2)
		return;
	for (unsigned cpu = wi_cpuset_next(&t->possible, 0); cpu < WI_CPUS_MAX;
	     cpu = wi_cpuset_next(&t->possible, cpu + 1)) {
		if (t->node_of_cpu[cpu] != NO_NODE)
			continue;
		for (unsigned id = wi_cpuset_next(online, 0); id < NODE_IDS;
		     id = wi_cpuset_next(online, id + 1)) {
			int n = read_below(root, text, sizeof(text),
					   "devices/system/cpu/cpu%u/node%u/"
					   "numastat",
					   cpu, id);

			if (n < 0 && n != -EFBIG) /* EFBIG: it is there */
				continue;
			t->node_of_cpu[cpu] = (uint16_t)id;
			break;
		}
	}
}

/*
 * Chooses the nodes whose memory is used: those with CPUs, or all when none
 * has both. Memory without CPUs is a device's or far away (CXL).
 */
static void choose_nodes(struct wi_topology *t)
{
	struct wi_cpuset with_cpus;

	wi_cpuset_zero(&with_cpus);
	for (unsigned cpu = 0; cpu < WI_CPUS_MAX; cpu++)
		if (t->node_of_cpu[cpu] != NO_NODE)
			wi_cpuset_set(&with_cpus, t->node_of_cpu[cpu]);
	wi_cpuset_and(&with_cpus, &t->memory_nodes);
	if (wi_cpuset_is_empty(&with_cpus))
		with_cpus = t->memory_nodes;

	t->nr_nodes = 0;
	for (unsigned node = wi_cpuset_next(&with_cpus, 0);
	     node < NODE_IDS && t->nr_nodes < WI_NODES_MAX;
	     node = wi_cpuset_next(&with_cpus, node + 1))
		t->node_id[t->nr_nodes++] = (uint16_t)node;
	if (t->nr_nodes == 0) {
		t->node_id[0] = 0;
		t->nr_nodes = 1;
	}
}

/* The index of a node of the kernel's among those used, or NO_NODE. */
static uint16_t node_index(const struct wi_topology *t, unsigned id)
{
	for (unsigned i = 0; i < t->nr_nodes; i++)
		if (t->node_id[i] == id)
			return (uint16_t)i;
	return NO_NODE;
}

/*
 * The used node that is nearest to node `id`, which is not used: its distance
 * file has a number for each node online, in their order.
 */
static uint16_t nearest_node(const struct wi_topology *t, const char *root,
			     const struct wi_cpuset *online, unsigned id)
{
	unsigned long best = ~0ul;
	unsigned other = wi_cpuset_next(online, 0);
	uint16_t nearest = 0;
	char text[TEXT_BYTES], *at = text, *end;

	if (read_below(root, text, sizeof(text),
		       "devices/system/node/node%u/distance", id) < 0)
		return 0;
	for (;;) {
		unsigned long distance = strtoul(at, &end, 10);
		uint16_t index = node_index(t, other);

		if (end == at || other >= NODE_IDS)
			return nearest;
		if (index != NO_NODE && distance < best) {
			best = distance;
			nearest = index;
		}
		at = end;
		other = wi_cpuset_next(online, other + 1);
	}
}

static WI_COLD void read_nodes(struct wi_topology *t, const char *root)
{
	struct wi_cpuset online; /* of node numbers */
	uint16_t index_of[NODE_IDS];

	read_node_ids(t, root, &online);
	read_node_cpus(t, root, &online);
	choose_nodes(t);
	for (unsigned id = 0; id < NODE_IDS; id++) {
		index_of[id] = node_index(t, id);
		if (index_of[id] == NO_NODE && wi_cpuset_test(&online, id))
			index_of[id] = nearest_node(t, root, &online, id);
	}
	for (unsigned cpu = 0; cpu < WI_CPUS_MAX; cpu++)
		t->node_of_cpu[cpu] = t->node_of_cpu[cpu] == NO_NODE
					      ? 0
					      : index_of[t->node_of_cpu[cpu]];
}

int wi_topology_read(struct wi_topology *topology, const char *sys_root)
{
	int saved = errno, error;

	if (!sys_root)
		sys_root = "/sys";
	memset(topology, 0, sizeof(*topology));
	error = read_cpus(topology, sys_root);
	read_quiet(topology, sys_root);
	read_nodes(topology, sys_root);
	errno = saved;
	return error;
}
