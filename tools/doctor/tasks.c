/* SPDX-License-Identifier: MIT */
/*
 * Threads that interrupt CPUs which should be spared, or may run there; and
 * whether the tick and TLB flushes come there just now.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/rows.h"
#include "doctor/doctor.h"
#include "os/os.h" /* files of /proc whole */

#define WINDOW_NS 250000000
#define TICKS_MAX 5 /* in the window, of a CPU without tick */
#define WORDS 600

/* ---- threads ------------------------------------------------------------- */

struct task {
	int pid;
	char name[20];
	char state;
	unsigned long flags;
	unsigned cpu;
	struct wi_cpuset allowed;
};

#define FLAG_KERNEL 0x00200000ul /* PF_KTHREAD */
#define FLAG_BOUND 0x04000000ul	 /* PF_NO_SETAFFINITY */

/* From /proc/PID/stat: name, state, flags (9th) and CPU (39th). */
static bool read_stat(struct task *task, const char *folder)
{
	char path[80], text[1024], *at, *open;

	snprintf(path, sizeof(path), "%s/stat", folder);
	if (wi_os_read_file(path, text, sizeof(text)) <= 0)
		return false;
	open = strchr(text, '(');
	at = strrchr(text, ')');
	if (!open || !at || at < open)
		return false;
	snprintf(task->name, sizeof(task->name), "%.*s", (int)(at - open - 1),
		 open + 1);
	at += 2;
	task->state = *at;
	for (unsigned field = 3; field < 39; field++) {
		if (field == 9)
			task->flags = strtoul(at, NULL, 10);
		at = strchr(at, ' ');
		if (!at)
			return false;
		at++;
	}
	task->cpu = (unsigned)strtoul(at, NULL, 10);
	return true;
}

static bool read_allowed(struct task *task, const char *folder)
{
	static const char key[] = "Cpus_allowed_list:";
	char path[80], text[8192], *at;

	snprintf(path, sizeof(path), "%s/status", folder);
	if (wi_os_read_file(path, text, sizeof(text)) <= 0)
		return false;
	at = strstr(text, key);
	if (!at)
		return false;
	at += strlen(key);
	at += strspn(at, " \t");
	at[strcspn(at, "\n")] = '\0';
	return wi_cpuset_parse(&task->allowed, at, NULL) == 0;
}

/*
 * Tells of each process (or of each thread of one); false: none was seen. A
 * thread's `stat` is read as if it were a process: in the folder of its
 * process' threads, reading it brings the thread's run time up to date on its
 * run queue, and may interrupt the CPU that it runs on (Linux 6.12).
 */
static bool each_task(const char *folder,
		      void (*each)(void *ctx, struct task *task,
				   const char *folder),
		      void *ctx)
{
	static struct task task;
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	char path[64];
	bool any = false;

	while (dir && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.16s", entry->d_name);
		task.pid = atoi(entry->d_name);
		if (!read_stat(&task, path))
			continue;
		any = true;
		each(ctx, &task, path);
	}
	if (dir)
		closedir(dir);
	return any;
}

/* ---- the kernel's, and irqbalance ---------------------------------------- */

struct census {
	struct wi_cpuset spared, offloaded; /* it has a thread rcuop */
	bool kernel;			    /* its threads are visible */
	int irqbalance;			    /* its number, or 0 */
	unsigned nr_movable;		    /* that may run on spared CPUs */
	char movable[WORDS];
};

static void add_name(char *text, size_t len, const char *name)
{
	size_t used = strlen(text);

	if (used + strlen(name) + 8 < len)
		snprintf(text + used, len - used, "%s%s", used ? ", " : "",
			 name);
}

static void count_task(void *ctx, struct task *task, const char *folder)
{
	struct census *c = ctx;
	unsigned cpu;
	char kind;

	if (strcmp(task->name, "irqbalance") == 0)
		c->irqbalance = task->pid;
	if (!(task->flags & FLAG_KERNEL))
		return;
	c->kernel = true;
	/* rcuop/3, rcuos/3: for the callbacks of CPU 3 */
	if (sscanf(task->name, "rcuo%c/%u", &kind, &cpu) == 2 && kind != 'g')
		wi_cpuset_set(&c->offloaded, cpu);
	if (task->flags & FLAG_BOUND || !read_allowed(task, folder))
		return;
	wi_cpuset_and(&task->allowed, &c->spared);
	if (wi_cpuset_is_empty(&task->allowed))
		return;
	c->nr_movable++;
	add_name(c->movable, sizeof(c->movable), task->name);
}

/* The CPUs of the kernel's parameter rcu_nocbs; false: it was not given. */
static bool read_nocbs(const struct doctor *d, struct wi_cpuset *set)
{
	char value[1024];

	if (!doctor_parameter("rcu_nocbs", value, sizeof(value)))
		return false;
	if (value[0] == '\0' || strcmp(value, "all") == 0) {
		*set = d->topology.possible;
		return true;
	}
	return wi_cpuset_parse(set, value, NULL) == 0;
}

/* Without a thread rcuop/N its callbacks run there; with one they may, for
 * kernels that can offload later have one for every CPU. */
static void add_rcu(struct doctor *d, const struct census *c)
{
	struct wi_cpuset own = d->spared, unsaid = d->spared, named;
	char list[DOCTOR_LIST];
	const bool given = read_nocbs(d, &named);

	wi_cpuset_andnot(&own, &c->offloaded);
	wi_cpuset_and(&unsaid, &c->offloaded);
	wi_cpuset_andnot(&unsaid, &d->topology.nohz_full);
	if (given) {
		wi_cpuset_andnot(&unsaid, &named);
		wi_cpuset_or(&own, &unsaid);
		wi_cpuset_zero(&unsaid);
	}
	if (!wi_cpuset_is_empty(&own))
		doctor_beside(d, "rcu", "RCU callbacks", DOCTOR_NOTE,
			      "Boot with rcu_nocbs= or nohz_full= for them "
			      "(step 1).",
			      "run on CPU %s itself", doctor_list(&own, list));
	else if (!wi_cpuset_is_empty(&unsaid))
		doctor_beside(d, "rcu", "RCU callbacks", DOCTOR_UNKNOWN,
			      "Boot with rcu_nocbs= for them (step 1).",
			      "unknown: there are threads rcuo, but neither "
			      "rcu_nocbs= nor nohz_full names CPU %s",
			      doctor_list(&unsaid, list));
	else
		doctor_beside(d, "rcu", "RCU callbacks", DOCTOR_OK, "",
			      "run elsewhere, by threads rcuo");
}

static void add_kernel(struct doctor *d, const struct census *c)
{
	if (!c->kernel) {
		doctor_beside(d, "rcu", "RCU callbacks", DOCTOR_UNKNOWN, "",
			      "unknown: the kernel's threads are not visible");
		doctor_beside(d, "kthreads", "kernel threads", DOCTOR_UNKNOWN,
			      "",
			      "unknown: the kernel's threads are not visible");
		return;
	}
	add_rcu(d, c);
	if (c->nr_movable == 0)
		doctor_beside(d, "kthreads", "kernel threads", DOCTOR_OK, "",
			      "those that can be moved are elsewhere");
	else
		doctor_beside(d, "kthreads", "kernel threads", DOCTOR_NOTE,
			      "Bind them elsewhere with taskset, or boot with "
			      "isolcpus=domain (steps 1 and 4).",
			      "%u that can be moved may run there: %s",
			      c->nr_movable, c->movable);
}

/* irqbalance spares isolcpus and nohz_full by itself. */
static void add_irqbalance(struct doctor *d, const struct census *c,
			   bool visible)
{
	struct wi_cpuset rest = d->spared;
	char list[DOCTOR_LIST];

	wi_cpuset_andnot(&rest, &d->topology.nohz_full);
	wi_cpuset_andnot(&rest, &d->topology.isolated);
	if (!visible)
		doctor_beside(d, "irqbalance", "irqbalance", DOCTOR_UNKNOWN, "",
			      "unknown: /proc shows no process");
	else if (c->irqbalance == 0)
		doctor_beside(d, "irqbalance", "irqbalance", DOCTOR_OK, "",
			      "does not run, as far as this process sees");
	else if (wi_cpuset_is_empty(&rest))
		doctor_beside(d, "irqbalance", "irqbalance", DOCTOR_OK, "",
			      "runs (%d); all are in isolcpus or nohz_full, "
			      "which it spares",
			      c->irqbalance);
	else
		doctor_beside(
			d, "irqbalance", "irqbalance", DOCTOR_NOTE,
			"Stop it, or set IRQBALANCE_BANNED_CPULIST for it "
			"(step 3).",
			"runs (%d), and knows of CPU %s only if it was "
			"told",
			c->irqbalance, doctor_list(&rest, list));
}

/* ---- a moment of interrupts ---------------------------------------------- */

struct moment {
	struct watch_rows before, after;
	unsigned cpu;
	bool unread; /* /proc/interrupts does not have it */
	uint64_t ticks, flushes;
};

static uint64_t moved(const struct moment *m, const char *words)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->after.nr; i++)
		if (strcmp(m->after.row[i].words, words) == 0)
			sum += watch_moved(&m->before, &m->after.row[i]);
	return sum;
}

/* Whatever the architecture calls it. */
static bool is_timer(const struct watch_row *row)
{
	const char *what = watch_meaning(row->name, row->words)->what;

	return strcmp(what, "timer tick") == 0;
}

static uint64_t ticks_of(const struct moment *m)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->after.nr; i++)
		if (is_timer(&m->after.row[i]))
			sum += watch_moved(&m->before, &m->after.row[i]);
	return sum;
}

/* Threads that are runnable on one CPU. */
struct crowd {
	unsigned cpu, nr;
	char names[WORDS / 2];
};

static void count_runnable(void *ctx, struct task *task, const char *folder)
{
	struct crowd *crowd = ctx;
	char name[40];

	(void)folder;
	if (task->state != 'R' || task->cpu != crowd->cpu ||
	    task->pid == getpid())
		return;
	crowd->nr++;
	snprintf(name, sizeof(name), "%s (%d)", task->name, task->pid);
	add_name(crowd->names, sizeof(crowd->names), name);
}

static void count_threads(void *ctx, struct task *task, const char *folder)
{
	char path[80];

	(void)task;
	snprintf(path, sizeof(path), "%s/task", folder);
	/* each_task() keeps one task, which is not looked at after this. */
	each_task(path, count_runnable, ctx);
}

static void add_tick(struct doctor *d, const struct moment *m)
{
	const bool full = wi_cpuset_test(&d->topology.nohz_full, m->cpu);
	struct crowd crowd = { .cpu = m->cpu };

	each_task("/proc", count_threads, &crowd);
	doctor_beside(d, "tick", "tick", DOCTOR_NOTE,
		      !doctor_has_nohz_full()
			      ? "This kernel has no nohz_full: every CPU has a "
				"tick while it works."
		      : !full ? "Boot with nohz_full= (step 1)."
		      : crowd.nr > 1
			      ? "Only a thread that runs alone has no tick: "
				"bind the others elsewhere (steps 1 and 9)."
			      : "In nohz_full, and yet: look for timers that "
				"threads set, POSIX CPU timers, perf (step 1).",
		      "CPU %u had %llu timer interrupts in 0.25 s; runnable "
		      "there: %u%s%s",
		      m->cpu, (unsigned long long)m->ticks, crowd.nr,
		      crowd.nr ? ", " : "", crowd.names);
}

/* Lines for a few CPUs, a word for the others. */
#define LINES_MAX 4

static void add_flushes(struct doctor *d, const struct moment *m, unsigned nr)
{
	struct wi_cpuset set;
	char list[DOCTOR_LIST];
	uint64_t flushes = 0;

	wi_cpuset_zero(&set);
	for (unsigned i = 0; i < nr; i++) {
		flushes += m[i].flushes;
		if (m[i].flushes > 0)
			wi_cpuset_set(&set, m[i].cpu);
	}
	if (flushes == 0)
		doctor_beside(d, "tlb", "TLB flushes", DOCTOR_OK, "",
			      "none in 0.25 s");
	else
		doctor_beside(d, "tlb", "TLB flushes", DOCTOR_NOTE,
			      "The process that runs there unmaps or protects "
			      "memory (munmap, mprotect, madvise, free), or "
			      "the kernel moves its pages: the lines above; "
			      "steps 6 and 9.",
			      "%llu in 0.25 s, at CPU %s",
			      (unsigned long long)flushes,
			      doctor_list(&set, list));
}

/* Nothing is said of a CPU that was not read. True: there are others. */
static bool add_unread(struct doctor *d, const struct moment *m, unsigned nr)
{
	struct wi_cpuset set;
	char list[DOCTOR_LIST];
	unsigned unread = 0;

	wi_cpuset_zero(&set);
	for (unsigned i = 0; i < nr; i++)
		if (m[i].unread) {
			wi_cpuset_set(&set, m[i].cpu);
			unread++;
		}
	if (unread == 0)
		return true;
	doctor_list(&set, list);
	doctor_beside(d, "tick", "tick", DOCTOR_UNKNOWN, "",
		      "unknown: /proc/interrupts does not list CPU %s", list);
	doctor_beside(d, "tlb", "TLB flushes", DOCTOR_UNKNOWN, "",
		      "unknown: /proc/interrupts does not list CPU %s", list);
	return unread < nr;
}

static void add_moment(struct doctor *d, struct moment *m, unsigned nr)
{
	unsigned ticking = 0;

	if (!add_unread(d, m, nr))
		return;
	for (unsigned i = 0; i < nr; i++) {
		m[i].ticks = ticks_of(&m[i]);
		m[i].flushes = moved(&m[i], "TLB shootdowns");
		if (m[i].ticks > TICKS_MAX && ticking++ < LINES_MAX)
			add_tick(d, &m[i]);
	}
	if (ticking == 0)
		doctor_beside(d, "tick", "tick", DOCTOR_OK, "",
			      "stood still for 0.25 s, but for %d at most",
			      TICKS_MAX);
	else if (ticking > LINES_MAX)
		doctor_beside(d, "tick", "tick", DOCTOR_NOTE, "",
			      "and %u CPUs more", ticking - LINES_MAX);
	add_flushes(d, m, nr);
}

/* Else nothing can be said of ticks. */
static bool has_timer(const struct watch_rows *rows)
{
	for (unsigned i = 0; i < rows->nr; i++)
		if (is_timer(&rows->row[i]))
			return true;
	return false;
}

static int read_moment(struct doctor *d, struct moment *m, unsigned nr,
		       bool after)
{
	unsigned cpu = wi_cpuset_next(&d->spared, 0);

	for (unsigned i = 0; i < nr;
	     i++, cpu = wi_cpuset_next(&d->spared, cpu + 1)) {
		struct watch_rows *rows = after ? &m[i].after : &m[i].before;
		int err = watch_read(rows, cpu);

		m[i].cpu = cpu;
		if (err == -ENODATA || (err == 0 && !has_timer(rows)))
			m[i].unread = true;
		else if (err != 0)
			return err;
	}
	return 0;
}

static void look_a_moment(struct doctor *d)
{
	const unsigned nr = wi_cpuset_count(&d->spared);
	struct moment *m = calloc(nr, sizeof(*m));
	int err = m ? read_moment(d, m, nr, false) : -1;

	if (err == 0) {
		wi_os_sleep_ns(WINDOW_NS);
		err = read_moment(d, m, nr, true);
	}
	if (err == 0) {
		add_moment(d, m, nr);
	} else {
		doctor_beside(d, "tick", "tick", DOCTOR_UNKNOWN, "",
			      "unknown: /proc/interrupts does not show it");
		doctor_beside(d, "tlb", "TLB flushes", DOCTOR_UNKNOWN, "",
			      "unknown: /proc/interrupts does not show it");
	}
	for (unsigned i = 0; m && i < nr; i++) {
		watch_free(&m[i].before);
		watch_free(&m[i].after);
	}
	free(m);
}

void doctor_tasks(struct doctor *d)
{
	static struct census c;
	bool visible;

	c.spared = d->spared;
	visible = each_task("/proc", count_task, &c);
	add_kernel(d, &c);
	add_irqbalance(d, &c, visible);
	look_a_moment(d);
}
