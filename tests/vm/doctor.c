/* SPDX-License-Identifier: MIT */
/*
 * If this fails, `weir doctor` tells people something that is not so.
 *
 * It is run in many situations, made here or by the boot, and each statement
 * is compared with what this program knows from elsewhere: the kernel's
 * command line, system calls, or that it made it so.
 */
#include "shared/guest.h"

#include <gnu/libc-version.h>
#include <linux/membarrier.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/wait.h>

#include "fault/seccomp.h"

#define PART "/sys/fs/cgroup/part"

/* What the child is before it becomes the doctor. */
struct scene {
	const char *name;
	void (*prepare)(void);
};

static const struct scene *scene;
static char text[16384]; /* what it said */
static char row_text[2048];
static int status;
static unsigned statements, scenes;

/* --- asking ------------------------------------------------------------ */

static void examine(const struct scene *its_scene)
{
	int ends[2], state;
	ssize_t n;
	size_t len = 0;
	pid_t child;

	scene = its_scene;
	scenes++;
	CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		if (scene->prepare != NULL)
			scene->prepare();
		execl("/bin/weir", "weir", "doctor", (char *)NULL);
		_exit(126);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(ends[0]);
	CHECK_EQ(waitpid(child, &state, 0), child);
	CHECK(WIFEXITED(state));
	status = WEXITSTATUS(state);
}

/* Does the line begin with a mark and this title? */
static bool is_row(const char *line, const char *title)
{
	return strlen(line) > 26 &&
	       strncmp(line + 9, title, strlen(title)) == 0 &&
	       line[9 + strlen(title)] == ' ' && line[0] != ' ';
}

/* "mark text advice" of the nth row of that title, its lines joined; "" if
 * there is none. */
static const char *row(const char *title, unsigned nth)
{
	const char *line = text;
	size_t len;

	row_text[0] = '\0';
	for (;; line += strcspn(line, "\n") + 1) {
		if (is_row(line, title) && nth-- == 0)
			break;
		if (strchr(line, '\n') == NULL)
			return row_text;
	}
	snprintf(row_text, sizeof(row_text), "%.*s ", (int)strcspn(line, " "),
		 line);
	do {
		len = strlen(row_text);
		snprintf(row_text + len, sizeof(row_text) - len, "%.*s ",
			 (int)strcspn(line, "\n") - 26, line + 26);
		line += strcspn(line, "\n") + 1;
	} while (line[0] == ' ');
	return row_text;
}

__attribute__((format(printf, 2, 3))) static void
expect(const char *title, const char *format, ...)
{
	char words[512];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	statements++;
	for (unsigned i = 0; *row(title, i) != '\0'; i++)
		if (strncmp(row_text, words, strlen(words)) == 0)
			return;
	check_fail(__FILE__, __LINE__,
		   "%s: of \"%s\" it should say: %s\nit says:\n%s", scene->name,
		   title, words, text);
}

/* Exit status and last words follow from the marks. */
static void expect_verdict(bool problem)
{
	CHECK_MSG(status == problem &&
			  (strstr(text, "\nPROBLEM") != NULL ||
			   strncmp(text, "PROBLEM", 7) == 0) == problem,
		  "%s: exit status %d with:\n%s", scene->name, status, text);
	CHECK_MSG((strstr(text, "Remote drains work here.") == NULL) == problem,
		  "%s: last words of:\n%s", scene->name, text);
	statements += 2;
}

/* --- what is so, from elsewhere ---------------------------------------- */

static unsigned nr_cpus;
static cpu_set_t nohz_full, isolated, none;

/* The CPUs that a parameter of the kernel's names: "word,word,2-3,5". */
static void from_command_line(cpu_set_t *set, const char *name)
{
	char line[1024], *at;

	CPU_ZERO(set);
	guest_read("/proc/cmdline", line, sizeof(line));
	at = strstr(line, name);
	if (at == NULL)
		return;
	at += strlen(name);
	at[strcspn(at, " ")] = '\0';
	for (at = strtok(at, ","); at != NULL; at = strtok(NULL, ",")) {
		unsigned first, last;
		int n = sscanf(at, "%u-%u", &first, &last);

		for (unsigned cpu = first; n > 0; cpu++) {
			CPU_SET(cpu, set);
			if (n == 1 || cpu == last)
				break;
		}
	}
}

/* As the kernel writes it. */
static const char *list(const cpu_set_t *set, char buf[64])
{
	size_t len = 0;

	strcpy(buf, CPU_COUNT(set) == 0 ? "none" : "");
	for (unsigned cpu = 0, last; cpu < nr_cpus; cpu = last + 1) {
		last = cpu;
		if (!CPU_ISSET(cpu, set))
			continue;
		while (last + 1 < nr_cpus && CPU_ISSET(last + 1, set))
			last++;
		len += (size_t)snprintf(buf + len, 64 - len, "%s%u",
					len > 0 ? "," : "", cpu);
		if (last > cpu)
			len += (size_t)snprintf(buf + len, 64 - len, "-%u",
						last);
	}
	return buf;
}

static cpu_set_t online(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
		if (guest_is_online((int)cpu))
			CPU_SET(cpu, &set);
	return set;
}

static void expect_cpus(const cpu_set_t *allowed)
{
	char buf[2][64];
	cpu_set_t set = online();

	expect("CPUs", "ok possible 0-%u; online %s; allowed here %s ",
	       nr_cpus - 1, list(&set, buf[0]), list(allowed, buf[1]));
}

static void expect_isolation(const cpu_set_t *partition)
{
	char buf[3][64];
	bool any = CPU_COUNT(&nohz_full) + CPU_COUNT(&isolated) +
			   CPU_COUNT(partition) >
		   0;

	expect("set aside", "%s nohz_full %s; isolcpus %s; isolated cpuset %s ",
	       any ? "ok" : "note", list(&nohz_full, buf[0]),
	       list(&isolated, buf[1]), list(partition, buf[2]));
}

/* Every CPU's mode, those alike in one row. */
static void expect_modes(const cpu_set_t *partition, const char *ordinary)
{
	for (unsigned why = 0; why < 8; why++) {
		char buf[64];
		cpu_set_t set;

		CPU_ZERO(&set);
		for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
			if (why ==
			    (CPU_ISSET(cpu, &nohz_full) ? 1u : 0) +
				    (CPU_ISSET(cpu, &isolated) ? 2u : 0) +
				    (CPU_ISSET(cpu, partition) ? 4u : 0))
				CPU_SET(cpu, &set);
		if (CPU_COUNT(&set) == 0)
			continue;
		if (why == 0)
			expect("mode", "ok %s, for CPU %s: %s ",
			       strcmp(ordinary, "no membarrier") == 0
				       ? "quiet"
				       : "ordinary",
			       list(&set, buf), ordinary);
		else
			expect("mode", "ok quiet, for CPU %s: %s%s%s%s%s ",
			       list(&set, buf), why & 1 ? "nohz_full" : "",
			       why & 1 && why & 6 ? ", " : "",
			       why & 2 ? "isolcpus" : "",
			       why & 2 && why & 4 ? ", " : "",
			       why & 4 ? "isolated cpuset" : "");
	}
}

static void expect_locked(void)
{
	expect("mode", "PROBLEM locked, for CPU ");
	CHECK_MSG(strstr(text, "ordinary, for CPU") == NULL &&
			  strstr(text, "quiet, for CPU") == NULL,
		  "%s: %s", scene->name, text);
}

/* --- situations -------------------------------------------------------- */

static unsigned version[3]; /* of the kernel */

static bool is_since(unsigned major, unsigned minor)
{
	return version[0] > major ||
	       (version[0] == major && version[1] >= minor);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* "#1 SMP ... Debian 6.1.128-1 (...)", of a new series "Debian 7.3-1". */
static void read_version(void)
{
	struct utsname u;
	const char *debian;

	CHECK_EQ(uname(&u), 0);
	debian = strstr(u.version, "Debian ");
	CHECK(debian != NULL);
	CHECK(sscanf(debian, "Debian %u.%u.%u", &version[0], &version[1],
		     &version[2]) >= 2);
}

static void expect_fix(void)
{
	static const unsigned series[][3] = {
		{ 6, 1, 157 }, { 6, 6, 113 }, { 6, 12, 54 }, { 6, 17, 4 }
	};
	bool has = is_since(6, 18);

	for (unsigned i = 0; i < sizeof(series) / sizeof(series[0]); i++)
		if (version[0] == series[i][0] && version[1] == series[i][1])
			has = version[2] >= series[i][2];
	if (has)
		expect("membarrier fix", "ok in Linux %u.%u.", version[0],
		       version[1]);
	else if (version[0] < 6)
		expect("membarrier fix",
		       "note not in Linux %u.%u: ", version[0], version[1]);
	else
		expect("membarrier fix", "note cannot tell");
}

static void expect_kernel(void)
{
	struct utsname u;

	CHECK_EQ(uname(&u), 0);
	expect("kernel", "ok %s (Linux %u.%u.%u) ", u.release, version[0],
	       version[1], version[2]);
	expect("C library", "ok glibc %s ", gnu_get_libc_version());
	expect_fix();
}

/* By the C library's own word for what it registered. */
static void expect_rseq(void)
{
	const bool kernel_has = getauxval(27 /* AT_RSEQ_FEATURE_SIZE */) > 32;

	expect("rseq", "ok registered by the C library; %s",
	       !kernel_has ? "legacy version, the only one"
	       : __rseq_size > 32
		       ? "second version"
		       : "legacy version (this kernel has the second");
}

/* Each CPU's link to its node, where doctor reads the nodes' lists. */
static void expect_nodes(void)
{
	char words[256] = "", buf[64], path[80];
	size_t len = 0;

	for (unsigned node = 0; node < 8; node++) {
		cpu_set_t set;

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u",
			 node);
		if (access(path, F_OK) != 0)
			break;
		CPU_ZERO(&set);
		for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
			snprintf(path, sizeof(path),
				 "/sys/devices/system/cpu/cpu%u/node%u", cpu,
				 node);
			if (access(path, F_OK) == 0)
				CPU_SET(cpu, &set);
		}
		len += (size_t)snprintf(words + len, sizeof(words) - len,
					"%snode %u, nearest to CPUs %s",
					node > 0 ? "; " : "", node,
					list(&set, buf));
	}
	expect("NUMA", "ok %s ", words);
}

static void everywhere(void)
{
	guest_everywhere();
}

static void as_booted(void)
{
	static const struct scene s = { "as booted", everywhere };
	cpu_set_t all = online();

	CHECK(__rseq_size > 0);
	examine(&s);
	expect_kernel();
	expect_rseq();
	expect("aborts", "ok a disturbed sequence is aborted");
	expect("membarrier", "ok for sequences");
	expect_cpus(&all);
	expect_isolation(&none);
	expect_modes(&none, "not set aside");
	expect_nodes();
	expect_verdict(false);
}

/* The kernel's mode that checks sequences, as a kernel with rseq's second
 * version has it. */
static void debugging(void)
{
	static const char file[] = "/sys/kernel/debug/rseq/debug";
	static const struct scene on = { "rseq debugging", everywhere };
	static const struct scene off = { "no rseq debugging", everywhere };

	if (!exists(file)) {
		CHECK(getauxval(27) <= 32);
		return;
	}
	guest_must_write(file, "1");
	examine(&on);
	expect("rseq debugging", "note on: ");
	expect("aborts", "ok a disturbed sequence is aborted");
	expect_verdict(false);
	guest_must_write(file, "0");
	examine(&off);
	expect("rseq debugging", "ok off ");
}

static void on_cpu_1(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(1, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void one_cpu_allowed(void)
{
	static const struct scene s = { "on CPU 1", on_cpu_1 };
	bool quiet = CPU_ISSET(1, &nohz_full) || CPU_ISSET(1, &isolated);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(1, &set);
	examine(&s);
	expect_cpus(&set);
	expect_modes(&none, "not set aside");
	expect("aborts", quiet ? "note not tried: only quiet CPUs"
			       : "ok a disturbed sequence");
	expect("membarrier",
	       quiet ? "note registered; not tried" : "ok for sequences");
	expect_verdict(false);
}

static void one_cpu_offline(void)
{
	static const struct scene s = { "a CPU offline", everywhere };
	const int last = (int)nr_cpus - 1;
	cpu_set_t rest;

	guest_plug(last, false);
	rest = online();
	CHECK_EQ(CPU_COUNT(&rest), last);
	examine(&s);
	expect_cpus(&rest);
	expect_modes(&none, "not set aside");
	guest_plug(last, true);
	expect_nodes();
	expect_verdict(false);
}

/* --- without sequences, without membarrier ----------------------------- */

static void without_libc(void)
{
	setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
}

/* A call (with one first argument, or any: -1) fails with that errno. */
static void forbid(unsigned call, int argument, unsigned error)
{
	const struct refusal refusal = {
		.nr = call,
		.error = (int)error,
		.arg = argument < 0 ? 0 : 1,
		.value = (uint32_t)argument,
	};

	seccomp_refuse(&refusal, 1);
}

static void forbid_rseq(void)
{
	forbid(SYS_rseq, -1, EPERM);
}

static void forbid_membarrier(void)
{
	forbid(SYS_membarrier, -1, EPERM);
}

static void no_membarrier(void)
{
	forbid(SYS_membarrier, -1, ENOSYS);
}

static void no_registration(void)
{
	forbid(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ,
	       EPERM);
}

static void no_barriers(void)
{
	forbid(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, EPERM);
}

static void sandboxes(void)
{
	static const struct {
		struct scene scene;
		const char *row, *says;
		bool locked;
	} cases[] = {
		{ { "rseq forbidden", forbid_rseq },
		  "rseq",
		  "PROBLEM refused: an old kernel, or a sandbox forbids",
		  true },
		{ { "membarrier forbidden", forbid_membarrier },
		  "membarrier",
		  "PROBLEM refused: a sandbox forbids it",
		  false },
		{ { "no membarrier", no_membarrier },
		  "membarrier",
		  "PROBLEM the kernel has none",
		  false },
		{ { "no registration", no_registration },
		  "membarrier",
		  "PROBLEM registering for it failed",
		  false },
	};
	static const struct scene fails = { "membarrier fails", no_barriers };
	static const struct scene tunable = { "a tunable", without_libc };

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		examine(&cases[i].scene);
		expect(cases[i].row, "%s", cases[i].says);
		if (cases[i].locked)
			expect_locked();
		else
			expect_modes(&none, "no membarrier");
		expect_verdict(true);
	}
	examine(&fails);
	expect("membarrier", "PROBLEM registered, but fails for CPU ");
	expect_verdict(true);
	/* The C library registers none: weir does. */
	examine(&tunable);
	expect("rseq",
	       "ok registered by weir, as the C library registers none; "
	       "legacy version");
	expect_modes(&none, "not set aside");
	expect_verdict(false);
}

/* --- an isolated partition --------------------------------------------- */

static void enter_partition(void)
{
	guest_must_write(PART "/cgroup.procs", "0");
}

/* CPUs 2 and 3 in a partition of their own, for who is in it. */
static void partition(void)
{
	static const struct scene inside = { "in a partition",
					     enter_partition };
	static const struct scene outside = { "beside one", NULL };
	char words[64];
	cpu_set_t set;

	if (CPU_COUNT(&isolated) > 0)
		return;	       /* those are in no scheduling domain */
	if (!is_since(6, 1)) { /* no kernel before has them */
		examine(&outside);
		statements++;
		CHECK_MSG(strstr(row("set aside", 0), "partition") == NULL,
			  "doctor advises what this kernel lacks: %s", text);
		return;
	}
	guest_must_write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset");
	CHECK(mkdir(PART, 0755) == 0 || errno == EEXIST);
	guest_must_write(PART "/cpuset.cpus", "2-3");
	guest_must_write(PART "/cpuset.cpus.partition", "isolated");
	guest_read(PART "/cpuset.cpus.partition", words, sizeof(words));
	CHECK_MSG(strcmp(words, "isolated") == 0, "partition: %s", words);
	CPU_ZERO(&set);
	CPU_SET(2, &set);
	CPU_SET(3, &set);
	examine(&inside);
	expect_cpus(&set);
	expect_isolation(&set);
	expect_modes(&set, "not set aside");
	expect("aborts", "note not tried: only quiet CPUs");
	expect_verdict(false);
	examine(&outside);
	statements++;
	CHECK_MSG(strstr(row("CPUs", 0), "allowed here 0-1 ") != NULL,
		  "beside a partition: %s", text);
	guest_must_write(PART "/cpuset.cpus.partition", "member");
	CHECK_EQ(rmdir(PART), 0);
}

/* --- memory ------------------------------------------------------------ */

static void limit(rlim_t bytes, bool nobody)
{
	const struct rlimit l = { bytes, bytes };
	void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool may;

	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &l), 0);
	if (nobody)
		CHECK_EQ(setuid(65534), 0);
	may = mlock(p, 1 << 20) == 0;
	CHECK_EQ(may, !nobody || bytes > 1 << 20); /* so it is told below */
}

static void root_64k(void)
{
	limit(64 << 10, false);
}

static void nobody_64k(void)
{
	limit(64 << 10, true);
}

static void nobody_unlimited(void)
{
	limit(RLIM_INFINITY, true);
}

/* PREEMPT_RT has none. */
static void set_thp(const char *word)
{
	static const char thp[] = "/sys/kernel/mm/transparent_hugepage/enabled";

	if (access(thp, F_OK) == 0)
		guest_must_write(thp, word);
}

static void expect_thp(const char *word)
{
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0)
		expect("THP", "note none ");
	else
		expect("THP", "%s %s ",
		       strcmp(word, "never") == 0 ? "note" : "ok", word);
}

static void memory(void)
{
	static const struct scene s[] = {
		{ "memlock of root", root_64k },
		{ "memlock", nobody_64k },
		{ "no memlock", nobody_unlimited },
		{ "huge pages", NULL },
	};
	static const char huge[] =
		"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

	examine(&s[0]);
	expect("memlock", "ok 64 KiB, and CAP_IPC_LOCK");
	set_thp("never");
	examine(&s[1]);
	expect("memlock", "note 64 KiB WEIR_POOL_LOCK");
	expect_thp("never");
	expect("hugetlb", "note 0 of 2 MiB free");
	set_thp("madvise");
	examine(&s[2]);
	expect("memlock", "ok unlimited ");
	expect_thp("madvise");
	set_thp("always");
	guest_must_write(huge, "3");
	examine(&s[3]);
	expect_thp("always");
	expect("hugetlb", "ok 3 of 2 MiB free");
	guest_must_write(huge, "0");
}

/* --- what else interrupts ---------------------------------------------- */

/* A process of two threads: one runs on a CPU to be spared, another has the
 * TLB there flushed. */
static void *flush(void *arg)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pin(0);
	for (;;) {
		*p = 1;
		madvise(p, 4096, MADV_DONTNEED);
		guest_nap_ms(5);
	}
	return arg;
}

static pid_t spin(int cpu, bool flushes)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child != 0)
		return child;
	if (flushes) {
		pthread_t thread;

		CHECK_EQ(pthread_create(&thread, NULL, flush, NULL), 0);
	}
	pin(cpu);
	for (;;)
		;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	CHECK_EQ(waitpid(child, NULL, 0), child);
}

static void busy_cpu(int cpu)
{
	static const struct scene one = { "one thread", everywhere };
	static const struct scene two = { "two threads", everywhere };
	static const struct scene maps = { "unmapping", everywhere };
	pid_t first = spin(cpu, false), second;

	guest_nap_ms(1000); /* until the tick has stopped */
	examine(&one);
	expect("tick", "ok stood still");
	expect("TLB flushes", "ok none");
	second = spin(cpu, false);
	guest_nap_ms(300);
	examine(&two);
	expect("tick", "note CPU %d had ", cpu);
	CHECK_MSG(strstr(row("tick", 0), "runnable there: 2, doctor (") != NULL,
		  "two threads: %s", text);
	end(first);
	end(second);
	first = spin(cpu, true);
	guest_nap_ms(300);
	examine(&maps);
	expect("TLB flushes", "note ");
	CHECK_MSG(strstr(row_text, "at CPU ") != NULL, "unmapping: %s", text);
	end(first);
}

/* Settings as they are changed here. */
static void settings(const cpu_set_t *spared)
{
	static const struct scene s[] = { { "well set", everywhere },
					  { "ill set", everywhere } };
	static const char work[] = "/sys/devices/virtual/workqueue/cpumask";
	static const char stat[] = "/proc/sys/vm/stat_interval";
	static const char irq[] = "/proc/irq/default_smp_affinity";
	char buf[64];

	guest_must_write(work, "1");
	guest_must_write(stat, "120");
	guest_must_write(irq, "1");
	guest_must_write("/proc/sys/vm/compaction_proactiveness", "0");
	examine(&s[0]);
	expect("workqueues", "ok unbound work: on other CPUs");
	expect("vm.stat_interval", "ok 120 s");
	expect("new interrupts", "ok interrupts of devices to come: on other");
	expect("compaction", "ok off");
	guest_must_write(work, "f");
	guest_must_write(stat, "1");
	guest_must_write(irq, "f");
	guest_must_write("/proc/sys/vm/compaction_proactiveness", "20");
	examine(&s[1]);
	expect("workqueues", "note unbound work: on CPU %s, too",
	       list(spared, buf));
	expect("vm.stat_interval", "note 1 s: ");
	expect("new interrupts",
	       "note interrupts of devices to come: on CPU %s, too",
	       list(spared, buf));
	expect("compaction",
	       "note /proc/sys/vm/compaction_proactiveness is 20");
}

/* Of some kernels; its timer interrupts CPUs in nohz_full. */
static void server(const cpu_set_t *spared)
{
	static const char folder[] = "/sys/kernel/debug/sched/fair_server";
	static const struct scene on = { "as booted, beside", everywhere };
	static const struct scene off = { "no server", everywhere };
	char buf[64], path[96];

	if (!exists(folder) || is_since(7, 2))
		return;
	examine(&on);
	expect("deadline server", "note on for CPU %s (", list(spared, buf));
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
		snprintf(path, sizeof(path), "%s/cpu%u/runtime", folder, cpu);
		guest_must_write(path, "0");
	}
	examine(&off);
	expect("deadline server", "ok off there ");
}

static void beside(void)
{
	static const struct scene s = { "what else", everywhere };
	cpu_set_t spared, nocbs, tick;
	char buf[64];

	CPU_OR(&spared, &nohz_full, &isolated);
	CPU_XOR(&tick, &spared, &nohz_full);
	from_command_line(&nocbs, "rcu_nocbs=");
	examine(&s);
	if (CPU_COUNT(&spared) == 0) {
		expect("interrupts", "ok none is set aside");
		return;
	}
	if (CPU_COUNT(&tick) == 0)
		expect("nohz_full", "ok all of them");
	else
		expect("nohz_full", "note CPU %s: has a tick",
		       list(&tick, buf));
	if (CPU_EQUAL(&spared, &nocbs))
		expect("RCU callbacks", "ok run elsewhere");
	settings(&spared);
	server(&spared);
	for (int cpu = 1; cpu < (int)nr_cpus; cpu++)
		if (CPU_ISSET((size_t)cpu, &nohz_full)) {
			busy_cpu(cpu);
			break;
		}
}

int main(void)
{
	guest_begin(2);
	nr_cpus = guest_cpus();
	if (access("/bin/weir", X_OK) != 0)
		SKIP("the guest has no weir command");
	read_version();
	from_command_line(&nohz_full, "nohz_full=");
	if (!exists("/sys/devices/system/cpu/nohz_full"))
		CPU_ZERO(&nohz_full); /* the kernel ignores it */
	from_command_line(&isolated, "isolcpus=");
	as_booted();
	debugging();
	one_cpu_allowed();
	one_cpu_offline();
	sandboxes();
	if (nr_cpus == 4)
		partition();
	memory();
	beside();
	printf("figures: %u statements of weir doctor were so, in %u "
	       "situations\n",
	       statements, scenes);
	return 0;
}
