/* SPDX-License-Identifier: MIT */
/*
 * Settings of the kernel that let it interrupt CPUs which should be spared.
 * Each is read here and now; docs/tuning.md, by the step that an advice names,
 * has the rest.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor/doctor.h"
#include "os/os.h" /* files of /sys and /proc whole */

#define UNBOUND "/sys/devices/virtual/workqueue"
#define THP "/sys/kernel/mm/transparent_hugepage"

struct setting {
	const char *name, *title; /* of the check */
	const char *file;
	const char *marker; /* where this is, a missing file tells that the
			     * kernel lacks the thing */
};

static void add_unknown(struct doctor *d, const struct setting *s, int err)
{
	doctor_beside(d, s->name, s->title, DOCTOR_UNKNOWN, "",
		      "unknown: %s: %s", s->file, strerror(-err));
}

/* Its text; false if a line was added instead. */
static bool read_setting(struct doctor *d, const struct setting *s, char *text,
			 size_t len)
{
	int got = wi_os_read_file(s->file, text, len);

	if (got > 0)
		return true;
	if (got == -ENOENT && access(s->marker, F_OK) == 0)
		doctor_beside(d, s->name, s->title, DOCTOR_OK, "",
			      "this kernel has none (no %s)", s->file);
	else
		add_unknown(d, s, got == 0 ? -ENODATA : got);
	return false;
}

/* The CPUs of a mask as the kernel writes it, "ff,00000003". */
static bool parse_mask(struct wi_cpuset *set, const char *mask)
{
	unsigned cpu = 0;

	wi_cpuset_zero(set);
	for (size_t i = strlen(mask); i-- > 0;) {
		char digit[2] = { mask[i], '\0' }, *end;
		unsigned long bits = strtoul(digit, &end, 16);

		if (mask[i] == ',')
			continue;
		if (*end != '\0' || end == digit)
			return false;
		for (unsigned bit = 0; bit < 4; bit++, cpu++)
			if (bits >> bit & 1)
				wi_cpuset_set(set, cpu);
	}
	return cpu > 0;
}

/* Which CPUs to be spared are in a file's mask (or list)? False if a line was
 * added instead. */
static bool spared_in(struct doctor *d, const struct setting *s, bool is_list,
		      struct wi_cpuset *both)
{
	char text[4096];

	if (!read_setting(d, s, text, sizeof(text)))
		return false;
	if (is_list ? wi_cpuset_parse(both, text, NULL) != 0
		    : !parse_mask(both, text)) {
		add_unknown(d, s, -EINVAL);
		return false;
	}
	wi_cpuset_and(both, &d->spared);
	return true;
}

static void add_mask(struct doctor *d, const struct setting *s,
		     const struct wi_cpuset *both, const char *what,
		     const char *advice)
{
	char list[DOCTOR_LIST];

	if (wi_cpuset_is_empty(both))
		doctor_beside(d, s->name, s->title, DOCTOR_OK, "",
			      "%s: on other CPUs", what);
	else
		doctor_beside(d, s->name, s->title, DOCTOR_NOTE, advice,
			      "%s: on CPU %s, too (%s)", what,
			      doctor_list(both, list), s->file);
}

static void check_mask(struct doctor *d, const struct setting *s, bool is_list,
		       const char *what, const char *advice)
{
	struct wi_cpuset both;

	if (spared_in(d, s, is_list, &both))
		add_mask(d, s, &both, what, advice);
}

/* A number that should be 0; `means` says what it does otherwise. */
static void check_zero(struct doctor *d, const struct setting *s,
		       const char *means, const char *advice)
{
	char text[64];

	if (!read_setting(d, s, text, sizeof(text)))
		return;
	if (strtol(text, NULL, 10) == 0)
		doctor_beside(d, s->name, s->title, DOCTOR_OK, "",
			      "off (%s is %s)", s->file, text);
	else
		doctor_beside(d, s->name, s->title, DOCTOR_NOTE, advice,
			      "%s is %s: %s", s->file, text, means);
}

/* ---- tick ---------------------------------------------------------------- */

static void check_tick(struct doctor *d)
{
	const struct setting s = { "nohz_full", "nohz_full",
				   "/sys/devices/system/cpu/nohz_full",
				   "/sys/devices/system/cpu/possible" };
	struct wi_cpuset ticking = d->spared;
	char list[DOCTOR_LIST];

	if (access(s.marker, R_OK) != 0) {
		add_unknown(d, &s, -errno);
		return;
	}
	wi_cpuset_andnot(&ticking, &d->topology.nohz_full);
	if (wi_cpuset_is_empty(&ticking))
		doctor_beside(d, s.name, s.title, DOCTOR_OK, "",
			      "all of them: no tick while one thread runs");
	else
		doctor_beside(d, s.name, s.title, DOCTOR_NOTE,
			      doctor_has_nohz_full()
				      ? "Boot with nohz_full= for them (step "
					"1)."
				      : "This kernel has no nohz_full "
					"(CONFIG_NO_HZ_FULL); use another one "
					"(step 1).",
			      "CPU %s: has a tick whenever it works",
			      doctor_list(&ticking, list));
}

/* ---- work and interrupts that may come there ----------------------------- */

/* A workqueue's own mask counts within that of all. */
static void check_workqueues(struct doctor *d)
{
	static const char advice[] =
		"Write a mask of the other CPUs to that file (step 4).";
	static const struct setting all = { "workqueues", "workqueues",
					    UNBOUND "/cpumask", UNBOUND };
	static const struct setting writeback = { "writeback", "writeback",
						  UNBOUND "/writeback/cpumask",
						  UNBOUND };
	struct wi_cpuset unbound, its;
	const bool known = spared_in(d, &all, false, &unbound);

	if (known)
		add_mask(d, &all, &unbound, "unbound work", advice);
	if (!spared_in(d, &writeback, false, &its))
		return;
	if (known)
		wi_cpuset_and(&its, &unbound);
	add_mask(d, &writeback, &its, "writing back of files", advice);
}

static void check_default_irqs(struct doctor *d)
{
	static const struct setting s = { "irq_default", "new interrupts",
					  "/proc/irq/default_smp_affinity",
					  "/proc/irq" };

	check_mask(d, &s, false, "interrupts of devices to come",
		   "Write a mask of the other CPUs to that file, or boot with "
		   "irqaffinity= (step 3).");
}

/* The action of an interrupt, which is a folder in its own; "": none. */
static void read_action(const char *folder, char *action, size_t len)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	action[0] = '\0';
	while (dir && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			snprintf(action, len, "%.63s", entry->d_name);
	if (dir)
		closedir(dir);
}

/* Adds "24 (eth0-rx-1) to CPU 3" if it goes to one to be spared. */
static unsigned add_irq(const struct doctor *d, const char *irq, char *text,
			size_t len)
{
	char path[96], list[DOCTOR_LIST], action[64];
	size_t used = strlen(text);
	struct wi_cpuset cpus;

	snprintf(path, sizeof(path), "/proc/irq/%.16s", irq);
	read_action(path, action, sizeof(action));
	if (action[0] == '\0')
		return 0;
	snprintf(path, sizeof(path), "/proc/irq/%.16s/effective_affinity_list",
		 irq);
	if (wi_os_read_file(path, list, sizeof(list)) <= 0 ||
	    wi_cpuset_parse(&cpus, list, NULL) != 0)
		return 0;
	wi_cpuset_and(&cpus, &d->spared);
	if (wi_cpuset_is_empty(&cpus))
		return 0;
	snprintf(text + used, len - used, "%s%.16s (%s) to CPU %s",
		 used ? "; " : "", irq, action, doctor_list(&cpus, list));
	return 1;
}

static void check_irqs(struct doctor *d)
{
	DIR *dir = opendir("/proc/irq");
	const struct dirent *entry;
	unsigned nr = 0, seen = 0;
	char text[900] = "";

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') {
			seen++;
			nr += add_irq(d, entry->d_name, text, sizeof(text));
		}
	if (!dir || seen == 0)
		doctor_beside(d, "irqs", "devices", DOCTOR_UNKNOWN, "",
			      "unknown: /proc/irq lists no interrupt");
	else if (nr == 0)
		doctor_beside(d, "irqs", "devices", DOCTOR_OK, "",
			      "none of %u interrupts goes there", seen);
	else
		doctor_beside(d, "irqs", "devices", DOCTOR_NOTE,
			      "Write a list of other CPUs to their "
			      "smp_affinity_list in /proc/irq; managed ones "
			      "need isolcpus=managed_irq at boot (step 3).",
			      "%u interrupts go there: %s", nr, text);
	if (dir)
		closedir(dir);
}

/* ---- watchdogs and statistics -------------------------------------------- */

static void check_watchdog(struct doctor *d)
{
	static const struct setting on = { "watchdog", "watchdog",
					   "/proc/sys/kernel/watchdog",
					   "/proc/sys/kernel/ostype" };
	static const struct setting mask = {
		"watchdog", "watchdog", "/proc/sys/kernel/watchdog_cpumask",
		"/proc/sys/kernel/ostype"
	};
	char text[64];

	if (!read_setting(d, &on, text, sizeof(text)))
		return;
	if (strtol(text, NULL, 10) == 0)
		doctor_beside(d, on.name, on.title, DOCTOR_OK, "", "off");
	else
		check_mask(d, &mask, true, "lockup detectors",
			   "sysctl kernel.watchdog_cpumask= for the other "
			   "CPUs, or kernel.watchdog=0 (step 5).");
}

static void check_statistics(struct doctor *d)
{
	static const struct setting s = { "vm_stat", "vm.stat_interval",
					  "/proc/sys/vm/stat_interval",
					  "/proc/sys/vm/overcommit_memory" };
	char text[64];
	long seconds;

	if (!read_setting(d, &s, text, sizeof(text)))
		return;
	seconds = strtol(text, NULL, 10);
	if (seconds >= 60)
		doctor_beside(d, s.name, s.title, DOCTOR_OK, "", "%ld s",
			      seconds);
	else
		doctor_beside(d, s.name, s.title, DOCTOR_NOTE,
			      "sysctl vm.stat_interval=120 (step 5).",
			      "%ld s: so often work is queued on a CPU whose "
			      "counters moved (later kernels leave nohz_full "
			      "alone)",
			      seconds);
}

/* ---- pages that move, and the TLB flushes for it ------------------------- */

static void check_khugepaged(struct doctor *d)
{
	static const struct setting s = { "khugepaged", "khugepaged",
					  THP "/enabled", "/sys/kernel/mm" };
	char text[128];

	if (!read_setting(d, &s, text, sizeof(text)))
		return;
	if (strstr(text, "[always]"))
		doctor_beside(d, s.name, s.title, DOCTOR_NOTE,
			      "Write madvise to that file (step 6).",
			      "%s is always: it moves pages of any process",
			      s.file);
	else if (strstr(text, "[madvise]"))
		doctor_beside(d, s.name, s.title, DOCTOR_OK, "",
			      "works only where it is asked to (%s is madvise)",
			      s.file);
	else if (strstr(text, "[never]"))
		doctor_beside(d, s.name, s.title, DOCTOR_OK, "", "off");
	else
		add_unknown(d, &s, -EINVAL);
}

/* 2 means that it stopped, and has taken apart what it merged. */
static void check_ksm(struct doctor *d)
{
	static const struct setting s = { "ksm", "ksm",
					  "/sys/kernel/mm/ksm/run",
					  "/sys/kernel/mm" };
	char text[64];

	if (!read_setting(d, &s, text, sizeof(text)))
		return;
	if (strcmp(text, "1") == 0)
		doctor_beside(d, s.name, s.title, DOCTOR_NOTE,
			      "Write 0 to that file (step 6).",
			      "%s is 1: ksmd write-protects pages and merges "
			      "them",
			      s.file);
	else
		doctor_beside(d, s.name, s.title, DOCTOR_OK, "",
			      "off (%s is %s)", s.file, text);
}

static void check_moves(struct doctor *d)
{
	static const struct setting compaction = {
		"compaction", "compaction",
		"/proc/sys/vm/compaction_proactiveness",
		"/proc/sys/vm/overcommit_memory"
	};
	static const struct setting locked = {
		"compact_locked", "locked pages",
		"/proc/sys/vm/compact_unevictable_allowed",
		"/proc/sys/vm/overcommit_memory"
	};
	static const struct setting numa = { "numa_balancing", "NUMA balancing",
					     "/proc/sys/kernel/numa_balancing",
					     "/proc/sys/kernel/ostype" };

	check_khugepaged(d);
	check_zero(d, &compaction,
		   "kcompactd moves pages although none are needed",
		   "sysctl vm.compaction_proactiveness=0 (step 6).");
	check_zero(d, &locked, "compaction moves locked pages",
		   "sysctl vm.compact_unevictable_allowed=0 (step 6).");
	check_ksm(d);
	check_zero(d, &numa,
		   "the kernel unmaps pages to see which CPUs use them",
		   "sysctl kernel.numa_balancing=0 (step 6).");
}

/* ---- the deadline server ------------------------------------------------- */

/*
 * From 6.12 on a deadline server has a share of each CPU for threads of the
 * fair class. In 6.12 its timer sends a CPU in nohz_full a call and a
 * reschedule interrupt about once a second, though nothing waits there; 7.2
 * was not seen to do it. Between them it is not known.
 */
static void check_server(struct doctor *d)
{
	static const char folder[] = "/sys/kernel/debug/sched/fair_server";
	struct wi_cpuset served;
	char path[96], text[32], list[DOCTOR_LIST];
	unsigned v[3];

	if (wi_os_kernel_version(v) != 0 || v[0] < 6 || v[0] > 7 ||
	    (v[0] == 6 && v[1] < 12) || (v[0] == 7 && v[1] >= 2))
		return;
	if (access(folder, R_OK | X_OK) != 0) {
		if (errno == ENOENT &&
		    access("/sys/kernel/debug/sched", F_OK) == 0)
			return; /* the kernel has none */
		doctor_beside(d, "fair_server", "deadline server",
			      DOCTOR_UNKNOWN, "", "unknown: %s: %s", folder,
			      strerror(errno));
		return;
	}
	wi_cpuset_zero(&served);
	for (unsigned cpu = wi_cpuset_next(&d->spared, 0); cpu < WI_CPUS_MAX;
	     cpu = wi_cpuset_next(&d->spared, cpu + 1)) {
		snprintf(path, sizeof(path), "%s/cpu%u/runtime", folder, cpu);
		if (wi_os_read_file(path, text, sizeof(text)) > 0 &&
		    strtoull(text, NULL, 10) > 0)
			wi_cpuset_set(&served, cpu);
	}
	if (wi_cpuset_is_empty(&served))
		doctor_beside(d, "fair_server", "deadline server", DOCTOR_OK,
			      "", "off there");
	else
		doctor_beside(d, "fair_server", "deadline server", DOCTOR_NOTE,
			      "Write 0 to the CPU's runtime in that folder "
			      "(step 5).",
			      "on for CPU %s (%s): in some kernels its timer "
			      "interrupts them about once a second",
			      doctor_list(&served, list), folder);
}

void doctor_settings(struct doctor *d)
{
	check_tick(d);
	check_workqueues(d);
	check_default_irqs(d);
	check_irqs(d);
	check_watchdog(d);
	check_statistics(d);
	check_server(d);
	check_moves(d);
}
