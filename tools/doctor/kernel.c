/* SPDX-License-Identifier: MIT */
/*
 * Does this process have restartable sequences, does the kernel abort them,
 * and is there a membarrier for them? Where not, why, and what helps.
 */
#include <errno.h>
#if __has_include(<gnu/libc-version.h>)
#include <gnu/libc-version.h>
#endif
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor/doctor.h"
#include "os/os.h"	     /* what the library finds of the kernel */
#include "os/rseq.h"	     /* the same */
#include "percpu/evidence.h" /* the same */

static void check_versions(struct doctor *d)
{
	unsigned v[3] = { 0, 0, 0 };
	struct utsname u;

	if (uname(&u) != 0)
		strcpy(u.release, "unknown");
	if (wi_os_kernel_version(v) == 0)
		doctor_add(d, "kernel", "kernel", DOCTOR_OK, "",
			   "%s (Linux %u.%u.%u)", u.release, v[0], v[1], v[2]);
	else
		doctor_add(d, "kernel", "kernel", DOCTOR_NOTE, "", "%s",
			   u.release);
#ifdef __GLIBC__
	doctor_add(d, "libc", "C library", DOCTOR_OK, "", "glibc %s",
		   gnu_get_libc_version());
#else
	doctor_add(d, "libc", "C library", DOCTOR_NOTE, "", "not glibc");
#endif
}

/* ---- the command line -------------------------------------------------- */

bool doctor_parameter(const char *name, char *value, size_t len)
{
	const size_t name_len = strlen(name);
	char text[4096], *save = NULL;
	bool found = false;

	if (wi_os_read_file("/proc/cmdline", text, sizeof(text)) <= 0)
		return false;
	for (char *word = strtok_r(text, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save)) {
		const char *end = word + name_len;

		if (strncmp(word, name, name_len) != 0 ||
		    (*end != '=' && *end != '\0'))
			continue;
		snprintf(value, len, "%s", *end ? end + 1 : "");
		found = true;
	}
	return found;
}

/* ---- sequences --------------------------------------------------------- */

/* Why this process has no rseq. */
static void add_no_rseq(struct doctor *d)
{
	const char *preload = getenv("LD_PRELOAD");
	const char *why, *advice;

	if (preload && strstr(preload, "vgpreload")) {
		why = "not registered: this runs under valgrind";
		advice = "Run without valgrind; under it weir works in locked "
			 "mode.";
	} else if (syscall(SYS_rseq, NULL, 0, 0, 0) != 0 && errno == EINVAL) {
		why = "another library registered an area that it does not "
		      "export as __rseq_abi";
		advice = "Link the program with "
			 "-Wl,--export-dynamic-symbol=__rseq_abi, or let that "
			 "library leave rseq to the C library.";
	} else {
		why = "refused: an old kernel, or a sandbox forbids rseq(2)";
		advice = "Use Linux 4.18 or later; let the sandbox allow "
			 "rseq and membarrier.";
	}
	doctor_add(d, "rseq", "rseq", DOCTOR_PROBLEM, advice, "%s", why);
}

/* As <linux/auxvec.h> has it since 6.3; by value, for older headers. */
#define RSEQ_FEATURE_SIZE 27
#define RSEQ_LEGACY_BYTES 32
#define RSEQ_SIGNATURE 0x53053053

/* Registering the same area once more changes nothing: it is EBUSY if the
 * length is that of before, EINVAL if not. */
static bool rseq_is_legacy(void)
{
	char *area = (char *)__builtin_thread_pointer() + weir_i_rseq_offset;

	return syscall(SYS_rseq, area, RSEQ_LEGACY_BYTES, 0, RSEQ_SIGNATURE) !=
		       0 &&
	       errno == EBUSY;
}

/* The kernel's second version wants more than the 32 bytes of the first, and
 * tells how many; whoever registers 32 gets the first. */
static void add_rseq(struct doctor *d)
{
	static const char *const by[] = {
		[WI_RSEQ_NONE] = "nobody",
		[WI_RSEQ_LIBC] = "the C library",
		[WI_RSEQ_SHARED] = "another library (its __rseq_abi)",
		[WI_RSEQ_OWN] = "weir, as the C library registers none",
	};
	const bool second = getauxval(RSEQ_FEATURE_SIZE) > RSEQ_LEGACY_BYTES;
	const char *version = "second version";

	if (!second)
		version = "legacy version, the only one of this kernel";
	else if (rseq_is_legacy())
		version = "legacy version (this kernel has the second, for "
			  "those that register more than 32 bytes)";
	doctor_add(d, "rseq", "rseq", DOCTOR_OK, "", "registered by %s; %s",
		   by[wi_rseq_owner()], version);
}

/* A kernel with the second version can check every sequence whenever it
 * looks at one, and kills who violates the rules. */
static void check_debugging(struct doctor *d)
{
	static const char file[] = "/sys/kernel/debug/rseq/debug";
	char text[32], value[32];
	const bool read = wi_os_read_file(file, text, sizeof(text)) > 0;
	const bool asked = doctor_parameter("rseq_debug", value, sizeof(value));

	if (!read && getauxval(RSEQ_FEATURE_SIZE) <= RSEQ_LEGACY_BYTES)
		return; /* this kernel has no such mode */
	if (read ? text[0] == '1'
		 : asked && (value[0] == '1' || value[0] == 'y' ||
			     strcmp(value, "on") == 0))
		doctor_add(d, "rseq_debug", "rseq debugging", DOCTOR_NOTE,
			   "For measurements write 0 to "
			   "/sys/kernel/debug/rseq/debug and boot without "
			   "rseq_debug=.",
			   "on: the kernel checks sequences, which takes time");
	else if (read)
		doctor_add(d, "rseq_debug", "rseq debugging", DOCTOR_OK, "",
			   "off");
	else
		doctor_add(d, "rseq_debug", "rseq debugging", DOCTOR_UNKNOWN,
			   "", "unknown: %s cannot be read", file);
}

static bool check_rseq(struct doctor *d)
{
	if (wi_rseq_available()) {
		add_rseq(d);
		check_debugging(d);
		return true;
	}
	if (wi_rseq_owner() != WI_RSEQ_NONE)
		doctor_add(d, "rseq", "rseq", DOCTOR_PROBLEM,
			   "weir has sequences for x86-64, built with "
			   "optimisation and without ThreadSanitizer; else it "
			   "works in locked mode.",
			   "registered, but this build has no sequences");
	else
		add_no_rseq(d);
	return false;
}

static void check_abort(struct doctor *d)
{
	if (!d->may_disturb)
		doctor_add(d, "sequences_abort", "aborts", DOCTOR_NOTE,
			   "Run weir doctor on a CPU that is not set aside.",
			   "not tried: only quiet CPUs are allowed here");
	else if (wi_rseq_aborts())
		doctor_add(d, "sequences_abort", "aborts", DOCTOR_OK, "",
			   "a disturbed sequence is aborted, seen just now");
	else
		doctor_add(d, "sequences_abort", "aborts", DOCTOR_PROBLEM,
			   "The kernel does not abort sequences; use another "
			   "one. weir works in locked mode here.",
			   "a disturbed sequence was never aborted");
}

/* ---- children ----------------------------------------------------------- */

/* The library's constructor has asked the kernel. */
static void check_fork(struct doctor *d)
{
	if (wi_os_fork_wipes())
		doctor_add(d, "fork", "fork", DOCTOR_OK, "",
			   "the kernel wipes a pool's handle in a child");
	else
		doctor_add(d, "fork", "fork", DOCTOR_NOTE,
			   "A child made by _Fork() or clone() must not use "
			   "its parent's pools; nor, in another PID namespace, "
			   "make any.",
			   "the kernel refuses to wipe memory in a child "
			   "(MADV_WIPEONFORK); a handler of fork() does");
}

/* ---- membarrier -------------------------------------------------------- */

static void add_no_membarrier(struct doctor *d)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	const char *why;

	if (commands < 0)
		why = errno == ENOSYS ? "the kernel has none"
				      : "refused: a sandbox forbids it";
	else if (!(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ))
		why = "none for sequences: it came with Linux 5.10";
	else
		why = "registering for it failed";
	doctor_add(d, "membarrier", "membarrier", DOCTOR_PROBLEM,
		   "Use Linux 5.10 or later and let the sandbox allow "
		   "membarrier(2). Until then every CPU is quiet: correct, "
		   "but each operation announces itself.",
		   "%s", why);
}

static bool check_membarrier(struct doctor *d)
{
	int cpu, err;

	if (!wi_rseq_has_membarrier()) {
		add_no_membarrier(d);
		return false;
	}
	if (!d->may_disturb) {
		doctor_add(d, "membarrier", "membarrier", DOCTOR_NOTE,
			   "Run weir doctor on a CPU that is not set aside.",
			   "registered; not tried: only quiet CPUs are "
			   "allowed here");
		return true;
	}
	cpu = wi_os_current_cpu();
	err = cpu < 0 ? cpu : wi_os_membarrier_cpu((unsigned)cpu);
	if (err != 0)
		doctor_add(d, "membarrier", "membarrier", DOCTOR_PROBLEM,
			   "Drains of ordinary CPUs will wait for progress; "
			   "look for a sandbox that forbids it.",
			   "registered, but fails for CPU %d: %s", cpu,
			   strerror(-err));
	else
		doctor_add(d, "membarrier", "membarrier", DOCTOR_OK, "",
			   "for sequences, on one CPU at a time; works");
	return true;
}

/*
 * "rseq: Protect event mask against membarrier IPI", commit 6eb350a22331 of
 * September 2025: before it a membarrier that arrives at a bad moment can fail
 * to abort a sequence. It is in 6.18, and in these stable releases of October
 * 2025; it did not apply to 5.15 and 5.10 and no later attempt was found.
 */
static bool has_fix(const unsigned v[3])
{
	static const unsigned since[][3] = {
		{ 6, 1, 157 },
		{ 6, 6, 113 },
		{ 6, 12, 54 },
		{ 6, 17, 4 },
	};

	for (unsigned i = 0; i < sizeof(since) / sizeof(since[0]); i++)
		if (v[0] == since[i][0] && v[1] == since[i][1])
			return v[2] >= since[i][2];
	return v[0] > 6 || (v[0] == 6 && v[1] >= 18);
}

static void check_fix(struct doctor *d)
{
	unsigned v[3] = { 6, 0, 0 }; /* if it is unknown: may have it */

	if (wi_os_kernel_version(v) == 0 && has_fix(v))
		doctor_add(d, "membarrier_fix", "membarrier fix", DOCTOR_OK, "",
			   "in Linux %u.%u.%u: no abort is lost", v[0], v[1],
			   v[2]);
	else if (v[0] < 6)
		doctor_add(d, "membarrier_fix", "membarrier fix", DOCTOR_NOTE,
			   "Use 6.1.157 or later. Without it an abort can, "
			   "rarely, be lost. Quiet and polling CPUs never "
			   "need it.",
			   "not in Linux %u.%u: kernel.org has it from 6.1.157 "
			   "on",
			   v[0], v[1]);
	else
		doctor_add(
			d, "membarrier_fix", "membarrier fix", DOCTOR_NOTE,
			"Look for \"rseq: Protect event mask against "
			"membarrier IPI\" (6eb350a22331) in the kernel's "
			"changelog. Without it an abort can, rarely, be lost. "
			"Quiet and polling CPUs never need it.",
			"cannot tell: kernel.org has it from 6.1.157, "
			"6.6.113, 6.12.54, 6.17.4 and 6.18 on; a "
			"distribution may have added it to others");
}

void doctor_kernel(struct doctor *d)
{
	check_versions(d);
	if (!check_rseq(d))
		return; /* the rest is of no use without */
	check_abort(d);
	if (check_membarrier(d))
		check_fix(d);
	check_fork(d);
}
