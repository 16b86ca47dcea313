/* SPDX-License-Identifier: MIT */
/* CPUs and their modes; huge pages, nodes, what may be locked. */
#include <ctype.h>
#include <dirent.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "doctor/doctor.h"
#include "os/os.h" /* the same files, in the same way */

const char *doctor_list(const struct wi_cpuset *set, char buf[DOCTOR_LIST])
{
	if (wi_cpuset_is_empty(set))
		return "none";
	if (wi_cpuset_format(set, buf, DOCTOR_LIST) < 0)
		snprintf(buf, DOCTOR_LIST, "%u CPUs", wi_cpuset_count(set));
	return buf;
}

/* ---- CPUs -------------------------------------------------------------- */

/* A container or sandbox may show none of it. */
static bool has_sysfs(void)
{
	return access("/sys/devices/system/cpu/possible", R_OK) == 0;
}

bool doctor_has_nohz_full(void)
{
	return !has_sysfs() ||
	       access("/sys/devices/system/cpu/nohz_full", F_OK) == 0;
}

/* How this kernel could set CPUs aside. */
static const char *how_to_isolate(void)
{
	/* Isolated partitions came with 6.1. */
	unsigned v[3];
	const bool parts = wi_os_kernel_version(v) != 0 || v[0] > 6 ||
			   (v[0] == 6 && v[1] >= 1);

	if (doctor_has_nohz_full())
		return parts ? "To have quiet CPUs boot with nohz_full= and "
			       "isolcpus=, make an isolated cpuset partition, "
			       "or name them in a pool's quiet_cpus."
			     : "To have quiet CPUs boot with nohz_full= and "
			       "isolcpus=, or name them in a pool's "
			       "quiet_cpus.";
	return parts ? "To have quiet CPUs boot with isolcpus= (this kernel "
		       "has no nohz_full), make an isolated cpuset partition, "
		       "or name them in a pool's quiet_cpus."
		     : "To have quiet CPUs boot with isolcpus= (this kernel "
		       "has no nohz_full), or name them in a pool's "
		       "quiet_cpus.";
}

/*
 * Of isolcpus= "FLAG,FLAG,CPULIST", those CPUs of this machine that it would
 * isolate: all if there is no flag or the flag domain. False: it isolates
 * none, or is not understood.
 */
static bool read_isolcpus(const struct doctor *d, char *value,
			  struct wi_cpuset *set, bool *nohz)
{
	char *at = value;
	bool flags = false, domain = false;

	*nohz = false;
	while (isalpha((unsigned char)*at) && strchr(at, ',')) {
		const size_t len = strcspn(at, ",");

		flags = true;
		domain = domain || (len == 6 && strncmp(at, "domain", 6) == 0);
		*nohz = *nohz || (len == 4 && strncmp(at, "nohz", 4) == 0);
		at += len + 1;
	}
	if ((flags && !domain) || wi_cpuset_parse(set, at, NULL) != 0)
		return false;
	wi_cpuset_and(set, &d->topology.possible);
	return !wi_cpuset_is_empty(set);
}

/* A kernel that does not like isolcpus= drops the whole of it, with a line in
 * its log at most. */
static void check_isolcpus(struct doctor *d)
{
	char value[1024], list[DOCTOR_LIST];
	struct wi_cpuset set;
	bool nohz;

	if (!doctor_parameter("isolcpus", value, sizeof(value)) ||
	    !read_isolcpus(d, value, &set, &nohz))
		return;
	wi_cpuset_andnot(&set, &d->topology.isolated);
	if (wi_cpuset_is_empty(&set))
		return;
	doctor_add(d, "isolcpus", "isolcpus=", DOCTOR_NOTE,
		   nohz ? "Boot with isolcpus=domain,managed_irq,... without "
			  "the flag nohz, and nohz_full= for that: kernels "
			  "without nohz_full, and Linux 7.2 beside nohz_full=, "
			  "drop the whole parameter for it."
			: "Look for isolcpus or Housekeeping in the kernel's "
			  "log (dmesg).",
		   "the kernel was booted with it and has rejected it for "
		   "CPU %s",
		   doctor_list(&set, list));
}

void doctor_cpus(struct doctor *d)
{
	const struct wi_topology *t = &d->topology;
	bool none = wi_cpuset_is_empty(&t->nohz_full) &&
		    wi_cpuset_is_empty(&t->isolated) &&
		    wi_cpuset_is_empty(&t->cpuset_isolated);
	char possible[DOCTOR_LIST], online[DOCTOR_LIST], allowed[DOCTOR_LIST];

	doctor_add(d, "cpus", "CPUs", DOCTOR_OK, "",
		   "possible %s; online %s; allowed here %s",
		   doctor_list(&t->possible, possible),
		   doctor_list(&t->online, online),
		   doctor_list(&t->allowed, allowed));
	if (!has_sysfs()) {
		doctor_add(d, "isolation", "set aside", DOCTOR_NOTE,
			   "Name CPUs that are set aside in a pool's "
			   "quiet_cpus. All that is said here of CPUs, nodes "
			   "and modes is a guess.",
			   "cannot tell: /sys cannot be read");
		return;
	}
	doctor_add(d, "isolation", "set aside", none ? DOCTOR_NOTE : DOCTOR_OK,
		   none ? how_to_isolate() : "",
		   "nohz_full %s; isolcpus %s; isolated cpuset %s",
		   doctor_list(&t->nohz_full, possible),
		   doctor_list(&t->isolated, online),
		   doctor_list(&t->cpuset_isolated, allowed));
	check_isolcpus(d);
}

const char *doctor_mode(const struct doctor *d, unsigned cpu)
{
	switch (d->machine.mode[cpu]) {
	case WI_MODE_LOCKED:
		return "locked";
	case WI_MODE_QUIET:
		return "quiet";
	case WI_MODE_POLLING:
		return "polling";
	default:
		return "ordinary";
	}
}

const char *doctor_reason(const struct doctor *d, unsigned cpu, char *buf,
			  unsigned len)
{
	static const struct {
		unsigned bit;
		const char *name;
	} why[] = {
		{ WI_QUIET_NOHZ_FULL, "nohz_full" },
		{ WI_QUIET_ISOLATED, "isolcpus" },
		{ WI_QUIET_CPUSET, "isolated cpuset" },
	};
	unsigned bits = wi_topology_quiet_reason(&d->topology, cpu);

	buf[0] = '\0';
	if (d->machine.mode[cpu] == WI_MODE_LOCKED)
		return "no working restartable sequences";
	for (unsigned i = 0; i < sizeof(why) / sizeof(why[0]); i++)
		if (bits & why[i].bit)
			snprintf(buf + strlen(buf), len - strlen(buf), "%s%s",
				 buf[0] ? ", " : "", why[i].name);
	if (bits != 0)
		return buf;
	return d->machine.mode[cpu] == WI_MODE_QUIET ? "no membarrier"
						     : "not set aside";
}

void doctor_alike(const struct doctor *d, unsigned cpu, struct wi_cpuset *set)
{
	const struct wi_topology *t = &d->topology;
	unsigned why = wi_topology_quiet_reason(t, cpu);

	wi_cpuset_zero(set);
	for (unsigned i = wi_cpuset_next(&t->possible, 0); i < WI_CPUS_MAX;
	     i = wi_cpuset_next(&t->possible, i + 1))
		if (d->machine.mode[i] == d->machine.mode[cpu] &&
		    wi_topology_quiet_reason(t, i) == why)
			wi_cpuset_set(set, i);
}

/* ---- memory ------------------------------------------------------------ */

/* "always [madvise] never": the word in brackets. */
static void check_thp(struct doctor *d)
{
	char text[128], *word = NULL;

	if (wi_os_read_file("/sys/kernel/mm/transparent_hugepage/enabled", text,
			    sizeof(text)) > 0)
		word = strchr(text, '[');
	if (!word && !has_sysfs()) {
		doctor_add(d, "thp", "THP", DOCTOR_NOTE,
			   "WEIR_BACKING_THP asks the kernel all the same.",
			   "cannot tell: /sys cannot be read");
		return;
	}
	if (!word) {
		doctor_add(d, "thp", "THP", DOCTOR_NOTE,
			   "The kernel has no transparent huge pages; "
			   "WEIR_BACKING_THP gives small ones.",
			   "none");
		return;
	}
	word++;
	word[strcspn(word, "]")] = '\0';
	if (strcmp(word, "never") == 0)
		doctor_add(d, "thp", "THP", DOCTOR_NOTE,
			   "WEIR_BACKING_THP gives small pages until root "
			   "writes madvise to "
			   "/sys/kernel/mm/transparent_hugepage/enabled.",
			   "never");
	else
		doctor_add(d, "thp", "THP", DOCTOR_OK, "", "%s", word);
}

static const char *size_name(uint64_t kib, char buf[32])
{
	if (kib >= 1048576)
		snprintf(buf, 32, "%llu GiB", (unsigned long long)kib >> 20);
	else if (kib >= 1024)
		snprintf(buf, 32, "%llu MiB", (unsigned long long)kib >> 10);
	else
		snprintf(buf, 32, "%llu KiB", (unsigned long long)kib);
	return buf;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The sizes of hugetlb pages the kernel knows, in KiB, ascending. */
static unsigned hugetlb_sizes(uint64_t *kib, unsigned max)
{
	DIR *dir = opendir("/sys/kernel/mm/hugepages");
	const struct dirent *entry;
	unsigned nr = 0;

	while (dir && nr < max && (entry = readdir(dir))) {
		unsigned long long size;

		if (sscanf(entry->d_name, "hugepages-%llukB", &size) == 1)
			kib[nr++] = size;
	}
	if (dir)
		closedir(dir);
	qsort(kib, nr, sizeof(*kib), compare);
	return nr;
}

static void check_hugetlb(struct doctor *d)
{
	uint64_t kib[16], nr_free, total = 0;
	unsigned nr = hugetlb_sizes(kib, 16);
	char text[DOCTOR_LIST] = "none", name[32];
	size_t len = 0;

	if (!has_sysfs()) {
		doctor_add(d, "hugetlb", "hugetlb", DOCTOR_NOTE,
			   "A pool with WEIR_BACKING_HUGETLB is refused when "
			   "too few are free.",
			   "cannot tell: /sys cannot be read");
		return;
	}
	for (unsigned i = 0; i < nr && len < sizeof(text) - 64; i++) {
		if (wi_os_huge_free((size_t)kib[i] << 10, &nr_free) != 0)
			continue;
		total += nr_free;
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s%llu of %s free", len ? "; " : "",
					(unsigned long long)nr_free,
					size_name(kib[i], name));
	}
	doctor_add(d, "hugetlb", "hugetlb", total ? DOCTOR_OK : DOCTOR_NOTE,
		   total ? ""
			 : "For WEIR_BACKING_HUGETLB root sets pages aside: "
			   "sysctl vm.nr_hugepages=N.",
		   "%s", text);
}

static void check_nodes(struct doctor *d)
{
	const struct wi_topology *t = &d->topology;
	struct wi_cpuset others = t->memory_nodes; /* of node numbers */
	char text[1024], cpus[DOCTOR_LIST];
	size_t len = 0;

	for (unsigned n = 0; n < t->nr_nodes; n++)
		wi_cpuset_clear(&others, t->node_id[n]);
	for (unsigned n = 0; n < t->nr_nodes && len < sizeof(text) - 1; n++) {
		struct wi_cpuset set;

		wi_cpuset_zero(&set);
		for (unsigned cpu = 0; cpu < t->nr_cpus; cpu++)
			if (wi_cpuset_test(&t->possible, cpu) &&
			    t->node_of_cpu[cpu] == n)
				wi_cpuset_set(&set, cpu);
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%snode %u, nearest to CPUs %s",
					n ? "; " : "", t->node_id[n],
					doctor_list(&set, cpus));
	}
	if (wi_cpuset_is_empty(&others))
		doctor_add(d, "nodes", "NUMA", DOCTOR_OK, "", "%s", text);
	else
		doctor_add(d, "nodes", "NUMA", DOCTOR_OK, "",
			   "%s; memory without CPUs, for pools that name its "
			   "node: %s",
			   text, doctor_list(&others, cpus));
}

/* May this process lock whatever it likes? /proc may not be there to ask. */
static bool may_lock_all(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &head, data) == 0 &&
	       (data[0].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

static void check_memlock(struct doctor *d)
{
	struct rlimit limit;
	char name[32];

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return;
	if (limit.rlim_cur == RLIM_INFINITY)
		doctor_add(d, "memlock", "memlock", DOCTOR_OK, "", "unlimited");
	else if (may_lock_all())
		doctor_add(d, "memlock", "memlock", DOCTOR_OK, "",
			   "%s, and CAP_IPC_LOCK, which lifts it",
			   size_name(limit.rlim_cur >> 10, name));
	else
		doctor_add(d, "memlock", "memlock", DOCTOR_NOTE,
			   "WEIR_POOL_LOCK locks at most so much: raise it "
			   "(ulimit -l, LimitMEMLOCK=) or grant CAP_IPC_LOCK.",
			   "%s", size_name(limit.rlim_cur >> 10, name));
}

void doctor_memory(struct doctor *d)
{
	check_thp(d);
	check_hugetlb(d);
	check_nodes(d);
	check_memlock(d);
}
