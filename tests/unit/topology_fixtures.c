/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an isolated CPU is interrupted, or a CPU is served from a
 * node that is far away or has no memory.
 */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "os/topology.h"

#define NO_SUCH_CPU 9999

static const struct machine {
	const char *name;
	int result;
	const char *possible, *online, *nohz_full, *isolated, *partition;
	unsigned nr_cpus, nr_nodes;
	struct {
		unsigned cpu, node_id, reason;
	} cpu[5];
} machines[] = {
	{ "sys-two-node",
	  0,
	  "0-15",
	  "0-15",
	  "2-7,10-15",
	  "2-7",
	  "14",
	  16,
	  2,
	  { { 0, 0, 0 },
	    { 2, 0, WI_QUIET_NOHZ_FULL | WI_QUIET_ISOLATED },
	    { 10, 1, WI_QUIET_NOHZ_FULL },
	    { 14, 1, WI_QUIET_NOHZ_FULL | WI_QUIET_CPUSET },
	    { NO_SUCH_CPU, 0, 0 } } },
	/* Nodes 0 and 4 have memory; 6 is near 4; CPU 7 of node 4 is offline,
	 * and so are 10 and 11, of which nothing is known. */
	{ "sys-sparse-nodes",
	  0,
	  "0-11",
	  "0-6,8-9",
	  "",
	  "",
	  "",
	  12,
	  2,
	  { { 3, 0, 0 },
	    { 6, 4, 0 },
	    { 7, 4, 0 },
	    { 9, 4, 0 },
	    { 11, 0, 0 } } },
	/* No has_memory: meminfo tells that node 0 has none. */
	{ "sys-old-nodes",
	  0,
	  "0-3",
	  "0-3",
	  "",
	  "",
	  "",
	  4,
	  1,
	  { { 0, 1, 0 }, { 1, 1, 0 }, { 2, 1, 0 }, { 3, 1, 0 }, { 4, 1, 0 } } },
	{ "sys-no-nohz-file",
	  0,
	  "0-3",
	  "0-3",
	  "",
	  "3",
	  "",
	  4,
	  1,
	  { { 0, 0, 0 }, { 3, 0, WI_QUIET_ISOLATED } } },
	{ "sys-null-nohz", 0, "0-3", "0-2", "", "", "", 4, 1, { { 3, 0, 0 } } },
	{ "sys-malformed",
	  -EINVAL,
	  "0-7",
	  "0-7",
	  "",
	  "",
	  "",
	  8,
	  1,
	  { { 7, 0, 0 } } },
	/* The process' cgroup lies two below the isolated one. */
	{ "sys-partition",
	  0,
	  "0-7",
	  "0-7",
	  "",
	  "",
	  "4-6",
	  8,
	  1,
	  { { 4, 0, WI_QUIET_CPUSET }, { 7, 0, 0 } } },
	/* Version 2 beside version 1; "isolated invalid" is not isolated. */
	{ "sys-hybrid",
	  0,
	  "0-7",
	  "0-7",
	  "",
	  "",
	  "6-7",
	  8,
	  1,
	  { { 5, 0, 0 }, { 6, 0, WI_QUIET_CPUSET } } },
	/* A cpuset leaves out node 1, whose CPUs are nearest to node 0, the
	 * first of two that are as near. Its status file is long. */
	{ "sys-cpuset-mems",
	  0,
	  "0-7",
	  "0-7",
	  "",
	  "",
	  "",
	  8,
	  2,
	  { { 0, 0, 0 }, { 4, 0, 0 }, { 6, 2, 0 }, { 7, 2, 0 } } },
	/* Nodes 252 and 253 are memory of devices. */
	{ "sys-memory-nodes",
	  0,
	  "0-7",
	  "0-7",
	  "",
	  "",
	  "",
	  8,
	  2,
	  { { 0, 0, 0 }, { 3, 0, 0 }, { 4, 8, 0 }, { 7, 8, 0 } } },
	/* No node has both: all memory is used, CPUs have the nearest. */
	{ "sys-far-memory",
	  0,
	  "0-3",
	  "0-3",
	  "",
	  "",
	  "",
	  4,
	  2,
	  { { 0, 2, 0 }, { 3, 2, 0 } } },
	/* Many lines of version 1 before the one that matters. */
	{ "sys-long-cgroup",
	  0,
	  "0-7",
	  "0-7",
	  "",
	  "",
	  "5-6",
	  8,
	  1,
	  { { 4, 0, 0 }, { 5, 0, WI_QUIET_CPUSET }, { 7, 0, 0 } } },
	/* A root partition within an isolated one is balanced again. */
	{ "sys-inner-root",
	  0,
	  "0-7",
	  "0-7",
	  "",
	  "",
	  "",
	  8,
	  1,
	  { { 2, 0, 0 } } },
};

static struct wi_topology t;

static void check_set(const char *name, const char *which,
		      const struct wi_cpuset *set, const char *list)
{
	char text[256];

	CHECK(wi_cpuset_format(set, text, sizeof(text)) >= 0);
	CHECK_MSG(!strcmp(text, list), "%s: %s is \"%s\", not \"%s\"", name,
		  which, text, list);
}

static void check_machine(const struct machine *m)
{
	char root[512];
	int result;

	snprintf(root, sizeof(root), WEIR_FIXTURES "/%s/sys", m->name);
	errno = E2BIG;
	result = wi_topology_read(&t, root);
	CHECK_EQ(errno, E2BIG);
	CHECK_MSG(result == m->result, "%s: answers %d", m->name, result);
	check_set(m->name, "possible", &t.possible, m->possible);
	check_set(m->name, "online", &t.online, m->online);
	check_set(m->name, "nohz_full", &t.nohz_full, m->nohz_full);
	check_set(m->name, "isolated", &t.isolated, m->isolated);
	check_set(m->name, "partition", &t.cpuset_isolated, m->partition);
	CHECK_MSG(t.nr_cpus == m->nr_cpus, "%s: %u CPUs", m->name, t.nr_cpus);
	CHECK_MSG(t.nr_nodes == m->nr_nodes, "%s: %u nodes", m->name,
		  t.nr_nodes);
	for (int i = 0; i < 5; i++) {
		unsigned cpu = m->cpu[i].cpu, node = 0, reason;

		if (cpu < WI_CPUS_MAX)
			node = t.node_id[t.node_of_cpu[cpu]];
		/* Rows left out are all zero, which would say CPU 0. */
		if (cpu == 0 && i > 0)
			break;
		reason = wi_topology_quiet_reason(&t, cpu);
		CHECK_MSG(node == m->cpu[i].node_id, "%s: CPU %u: node %u",
			  m->name, cpu, node);
		CHECK_MSG(reason == m->cpu[i].reason, "%s: CPU %u: reason %u",
			  m->name, cpu, reason);
	}
	CHECK(!wi_cpuset_is_empty(&t.allowed));
}

/* Nothing to read at all, as in a bare chroot. */
static void check_nothing(void)
{
	CHECK_EQ(wi_topology_read(&t, WEIR_FIXTURES "/none"), -ENOENT);
	CHECK(t.nr_cpus >= 1 && t.nr_nodes == 1);
	CHECK(wi_cpuset_subset(&t.allowed, &t.possible));
	CHECK(wi_cpuset_is_empty(&t.nohz_full));
	CHECK_EQ(wi_topology_quiet_reason(&t, 0), 0);
}

/* This machine: whatever it is, it must make sense. */
static void check_here(void)
{
	CHECK_EQ(wi_topology_read(&t, NULL), 0);
	CHECK(wi_cpuset_subset(&t.online, &t.possible));
	CHECK(wi_cpuset_subset(&t.allowed, &t.possible));
	CHECK(wi_cpuset_test(&t.possible, t.nr_cpus - 1));
	CHECK_EQ(wi_cpuset_next(&t.possible, t.nr_cpus), WI_CPUS_MAX);
	for (unsigned cpu = 0; cpu < WI_CPUS_MAX; cpu++)
		CHECK(t.node_of_cpu[cpu] < t.nr_nodes);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		check_machine(&machines[i]);
	check_nothing();
	check_here();
	return 0;
}
