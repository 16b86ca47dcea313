/* SPDX-License-Identifier: MIT */
/*
 * CPUs and memory nodes: which exist, which node is nearest to a CPU, and which
 * CPUs are set aside not to be disturbed.
 *
 * Everything is read once, from sysfs and cgroup v2; later changes (hotplug, a
 * new isolated partition) are not followed. What cannot be read is replaced by
 * the least harmful value: no isolation, one node, and the CPUs that the C
 * library counts.
 *
 * Functions here allocate nothing. A struct wi_cpuset is 1 KiB; a struct
 * wi_topology about 23 KiB, too much for a stack: keep it in mapped memory.
 */
#ifndef WI_OS_TOPOLOGY_H
#define WI_OS_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- sets of CPUs (cpuset.c) ------------------------------------------ */

#define WI_CPUS_MAX 8192

struct wi_cpuset {
	uint64_t word[WI_CPUS_MAX / 64];
};

void wi_cpuset_zero(struct wi_cpuset *set);

/* CPUs 0 to n - 1 and no other; n up to WI_CPUS_MAX. */
void wi_cpuset_fill(struct wi_cpuset *set, unsigned n);

/* A CPU beyond WI_CPUS_MAX cannot be set, and is never found in a set. */
void wi_cpuset_set(struct wi_cpuset *set, unsigned cpu);
void wi_cpuset_clear(struct wi_cpuset *set, unsigned cpu);
bool wi_cpuset_test(const struct wi_cpuset *set, unsigned cpu);

/* In place: set = set AND other; set OR other; set without other. */
void wi_cpuset_and(struct wi_cpuset *set, const struct wi_cpuset *other);
void wi_cpuset_or(struct wi_cpuset *set, const struct wi_cpuset *other);
void wi_cpuset_andnot(struct wi_cpuset *set, const struct wi_cpuset *other);

bool wi_cpuset_is_empty(const struct wi_cpuset *set);
unsigned wi_cpuset_count(const struct wi_cpuset *set);

/* The first CPU of the set that is >= from; WI_CPUS_MAX when there is none. */
unsigned wi_cpuset_next(const struct wi_cpuset *set, unsigned from);

/* Is every CPU of a in b? */
bool wi_cpuset_subset(const struct wi_cpuset *a, const struct wi_cpuset *b);

/*
 * Reads the kernel's list syntax: "2-7,9", and "0-15:2/4" for the first 2 of
 * every 4. "" is the empty set. Blanks and a newline may stand at the ends.
 * Anything else is -EINVAL, with a fixed sentence in *why (which may be NULL)
 * and an empty set.
 */
int wi_cpuset_parse(struct wi_cpuset *set, const char *list, const char **why);

/*
 * Writes the set as a list. Its length, or -ENOSPC when len bytes do not hold
 * it and its NUL; then buf is "".
 */
int wi_cpuset_format(const struct wi_cpuset *set, char *buf, size_t len);

/* ---- the machine (topology.c) ----------------------------------------- */

#define WI_NODES_MAX 64

/* Why a CPU must not be interrupted: bits. */
enum wi_quiet_reason {
	WI_QUIET_NOHZ_FULL = 1, /* nohz_full= */
	WI_QUIET_ISOLATED = 2,	/* isolcpus= */
	WI_QUIET_CPUSET = 4,	/* an isolated cgroup v2 partition */
};

struct wi_topology {
	unsigned nr_cpus;  /* highest possible CPU + 1 */
	unsigned nr_nodes; /* those used; at least 1 */

	/* The node of each CPU, from 0 to nr_nodes - 1. A CPU whose node is
	 * not used has the nearest that is; an unknown one has node 0. */
	uint16_t node_of_cpu[WI_CPUS_MAX];

	/* The kernel's numbers of the nodes used: those of memory_nodes that
	 * have CPUs, or all of them when none has. */
	uint16_t node_id[WI_NODES_MAX];

	/* The kernel's numbers of nodes with memory that this process may use,
	 * by its cpuset and by the policy of the calling thread. */
	struct wi_cpuset memory_nodes;

	struct wi_cpuset possible, online;
	struct wi_cpuset allowed; /* the calling thread's affinity */
	struct wi_cpuset nohz_full, isolated, cpuset_isolated;
};

/*
 * Fills *topology from below sys_root (NULL: "/sys"; /proc is looked for
 * beside it, for the process' cgroup). The result is always usable. Returns 0,
 * or the negative errno of reading which CPUs are possible.
 */
int wi_topology_read(struct wi_topology *topology, const char *sys_root);

/* The enum wi_quiet_reason bits of a CPU; 0: it is an ordinary one. */
unsigned wi_topology_quiet_reason(const struct wi_topology *topology,
				  unsigned cpu);

#endif
