/* SPDX-License-Identifier: MIT */
/*
 * Everything that reads what somebody else wrote: lists of CPUs, the files of
 * /sys and /proc, the kernel's version, /proc/interrupts, structs of options of
 * any size, the command line. The first byte chooses. If this fails, one of
 * them reads past its input, or means something else by it than it says.
 */
#include <weir/cache.h>
#include <weir/stat.h>

#include "fuzz.h"

#include <argp.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/interrupts.h"
#include "common/tool.h"
#include "doctor/doctor.h"
#include "os/internal.h"
#include "os/os.h"
#include "os/topology.h"

#define TEXT 4096

static char text[TEXT];

/* --- lists of CPUs ----------------------------------------------------- */

static bool number(const char **s, unsigned long *n)
{
	char *end;

	if (**s < '0' || **s > '9')
		return false;
	*n = strtoul(*s, &end, 10);
	*s = end;
	return true;
}

/* The grammar once more, in another way. */
static bool reference(const char *s, struct wi_cpuset *set)
{
	wi_cpuset_zero(set);
	s += strspn(s, " \t\r\n");
	if (*s == '\0')
		return true;
	for (;; s++) {
		unsigned long from = 0, to, used = 1, group = 1;

		if (!number(&s, &from))
			return false;
		to = from;
		if (*s == '-') {
			s++;
			if (!number(&s, &to))
				return false;
			if (*s == ':' &&
			    (s++, !number(&s, &used) || *s++ != '/' ||
					  !number(&s, &group) || used == 0 ||
					  used > group))
				return false;
		}
		if (from > to || to > 8191)
			return false;
		for (unsigned long cpu = from; cpu <= to; cpu++)
			if ((cpu - from) % group < used)
				wi_cpuset_set(set, (unsigned)cpu);
		if (*s != ',')
			break;
	}
	s += strspn(s, " \t\r\n");
	return *s == '\0';
}

static void cpulist(struct bytes *b)
{
	static struct wi_cpuset set, other;
	static char out[65536];
	const char *why = NULL;
	const size_t room = take_u8(b);
	char *small;
	int n;

	take_text(b, text, 512);
	if (wi_cpuset_parse(&set, text, &why) != 0) {
		MUST(why != NULL && wi_cpuset_is_empty(&set));
		MUST(!reference(text, &other));
		return;
	}
	MUST(reference(text, &other));
	MUST(memcmp(&set, &other, sizeof(set)) == 0);
	n = wi_cpuset_format(&set, out, sizeof(out));
	MUST(n >= 0 && strlen(out) == (size_t)n);
	MUST(wi_cpuset_parse(&other, out, NULL) == 0);
	MUST(memcmp(&set, &other, sizeof(set)) == 0);
	small = malloc(room + 1); /* of its own, so that one more is seen */
	MUST(small != NULL);
	MUST(wi_cpuset_format(&set, small, room) ==
	     ((size_t)n < room ? n : -ENOSPC));
	free(small);
}

/* --- files of the kernel ----------------------------------------------- */

static struct bytes files; /* what is asked for next is read from these */

/* A file that is missing, or too long, or has what the bytes say; some of it
 * words that would take long to guess. */
static int read_made_up(const char *path, char *buf, size_t len)
{
	static const char *const words[] = {
		"0-3",
		"0-7",
		"1,3",
		"2-5\n0-1",
		"isolated",
		"root",
		"member",
		"0::/a/b",
		"0::/",
		"0::/a\n1:x:/",
		"(null)",
		"0",
		"10 21 31",
		"1023",
		"0-1023",
		"Node 0 MemTotal: 5 kB",
		"MemTotal: 0 kB",
		"8191",
		"[never]",
		"always [madvise] never",
		"",
	};
	const uint8_t how = take_u8(&files);
	size_t n;

	(void)path;
	buf[0] = '\0';
	if (how < 32 || bytes_left(&files) == 0)
		return -ENOENT;
	if (how == 32)
		return -EFBIG;
	if (how < 160)
		n = (size_t)snprintf(
			buf, len, "%s",
			words[how % (sizeof(words) / sizeof(words[0]))]);
	else
		n = take_text(&files, buf, len);
	return n < len ? (int)n : (buf[0] = '\0', -EFBIG);
}

static void topology(struct bytes *b)
{
	static struct doctor d;
	static struct wi_topology again;
	struct wi_topology *t = &d.topology;
	const struct bytes from = *b;
	static char root[4300];
	int err;

	files = from;
	fuzz_machine.read_file = read_made_up;
	errno = 4711;
	err = wi_topology_read(t, NULL);
	MUST(errno == 4711 && err <= 0);
	MUST(t->nr_cpus >= 1 && t->nr_cpus <= WI_CPUS_MAX);
	MUST(t->nr_nodes >= 1 && t->nr_nodes <= WI_NODES_MAX);
	MUST(wi_cpuset_test(&t->possible, t->nr_cpus - 1));
	MUST(wi_cpuset_next(&t->possible, t->nr_cpus) == WI_CPUS_MAX);
	MUST(!wi_cpuset_is_empty(&t->online));
	MUST(wi_cpuset_subset(&t->online, &t->possible));
	MUST(wi_cpuset_subset(&t->nohz_full, &t->possible));
	MUST(wi_cpuset_subset(&t->isolated, &t->possible));
	MUST(wi_cpuset_subset(&t->cpuset_isolated, &t->possible));
	for (unsigned cpu = 0; cpu < WI_CPUS_MAX; cpu++)
		MUST(t->node_of_cpu[cpu] < t->nr_nodes);
	for (unsigned node = 1; node < t->nr_nodes; node++)
		MUST(t->node_id[node] > t->node_id[node - 1]);
	/* What the tool says of it, and of more files. */
	d.nr_checks = 0;
	doctor_cpus(&d);
	doctor_memory(&d);
	MUST(d.nr_checks <= DOCTOR_CHECKS_MAX);
	/* A root that is too long for a path. */
	memset(root, 'r', sizeof(root) - 1);
	root[sizeof(root) - 1] = '\0';
	files = from;
	wi_topology_read(&again, root + take_u8(b));
	MUST(again.nr_cpus >= 1);
	(void)wi_os_huge_size();
	(void)wi_os_thread_exists((uint32_t)getpid());
	fuzz_machine.read_file = NULL;
}

/* --- /proc/interrupts -------------------------------------------------- */

static int interrupts_fd = -1;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	if (strcmp(path, "/proc/interrupts") == 0)
		return dup(interrupts_fd);
	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	return __real_open(path, flags, mode);
}

/* A file that is right, and what must be read from it. */
static size_t right_interrupts(struct bytes *b, unsigned *cpu,
			       struct interrupt_counts *expected)
{
	static const char *const rows[] = { "Function call interrupts",
					    "Rescheduling interrupts",
					    "TLB shootdowns",
					    "IO-APIC 2-edge" };
	const unsigned nr = 1 + take_below(b, 6), mine = take_below(b, nr);
	const unsigned step = 1 + take_below(b, 3);
	size_t n = 0;

	*cpu = mine * step;
	*expected = (struct interrupt_counts){ 0 };
	for (unsigned i = 0; i < nr; i++)
		n += (size_t)sprintf(text + n, "%*sCPU%u", i ? 6 : 12, "",
				     i * step);
	for (unsigned row = 0; row < 4; row++) {
		n += (size_t)sprintf(text + n, "\n%3u:", row);
		for (unsigned i = 0; i < nr; i++) {
			uint64_t value = take_u64(b);

			n += (size_t)sprintf(text + n, " %10llu",
					     (unsigned long long)value);
			if (i == mine && row < 3)
				*(row == 0   ? &expected->calls
				  : row == 1 ? &expected->reschedules
					     : &expected->shootdowns) = value;
		}
		n += (size_t)sprintf(text + n, "   %s", rows[row]);
	}
	return n + (size_t)sprintf(text + n, "\nERR:          0\n");
}

static void interrupts(struct bytes *b)
{
	const bool right = take_u8(b) & 1;
	unsigned cpu = take_u8(b);
	struct interrupt_counts expected, counts;
	struct interrupts in;
	size_t n = right ? right_interrupts(b, &cpu, &expected)
			 : take_text(b, text, TEXT);

	MUST(ftruncate(interrupts_fd, 0) == 0);
	MUST(pwrite(interrupts_fd, text, n, 0) == (ssize_t)n);
	if (interrupts_open(&in, cpu) != 0) {
		MUST(!right);
		return;
	}
	MUST(interrupts_read(&in, &counts) == 0);
	interrupts_close(&in);
	if (right)
		MUST(memcmp(&counts, &expected, sizeof(counts)) == 0);
}

/* --- the kernel's version ---------------------------------------------- */

static void version(struct bytes *b)
{
	const unsigned major = take_u8(b), minor = take_u8(b),
		       patch = take_u8(b);
	char release[128], built[128], signature[128];
	unsigned v[3];

	if (take_u8(b) & 1) {
		take_text(b, release, sizeof(release));
		take_text(b, built, sizeof(built));
		take_text(b, signature, sizeof(signature));
		(void)wi_os_version_parse(v, release, built, signature);
		return;
	}
	snprintf(release, sizeof(release), "%u.%u.%u-x", major, minor, patch);
	MUST(wi_os_version_parse(v, release, "", "") == 0);
	MUST(v[0] == major && v[1] == minor && v[2] == patch);
	snprintf(release, sizeof(release), "%u.%u.0-31-amd64", major, minor);
	snprintf(built, sizeof(built), "#1 SMP Debian %u.%u.%u-1 (x)", major,
		 minor, patch);
	MUST(wi_os_version_parse(v, release, built, "") == 0);
	MUST(v[2] == patch);
}

/* --- structs of options ------------------------------------------------ */

static size_t backend_get(void *context, unsigned list, uint64_t *tokens,
			  size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
	return 0;
}

static void backend_put(void *context, unsigned list, const uint64_t *tokens,
			size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
}

/* May a header of some version give a struct that size? */
static bool is_size(size_t size)
{
	return size >= 16 && size <= 4096 && size % 8 == 0;
}

/* A copy of as many bytes as the struct says it has, and no more. */
static void *of_its_size(const void *known, size_t bytes, size_t size)
{
	char *copy = calloc(1, size < sizeof(size_t) ? sizeof(size_t) : size);

	MUST(copy != NULL);
	memcpy(copy, known, size < bytes ? size : bytes);
	memcpy(copy, &size, sizeof(size));
	return copy;
}

static const char *take_string(struct bytes *b, char *buf, size_t len)
{
	if ((take_u8(b) & 1) == 0)
		return NULL;
	take_text(b, buf, len);
	return buf;
}

static void pool_opts(struct bytes *b)
{
	static _Alignas(65536) char region[65536];
	struct weir_pool_opts o = WEIR_POOL_OPTS_INIT, *copy;
	struct weir_pool *pool;
	const uint8_t how = take_u8(b);
	char quiet[64], polling[64], name[64];
	size_t size = sizeof(o);
	int err;

	o.page_size = how & 1 ? UINT64_C(1) << take_u8(b) % 64 : 0;
	o.page_size += how & 2 ? take_u8(b) : 0;
	o.capacity = how & 4 ? take_u64(b) : take_u8(b) * UINT64_C(4096);
	o.backing = (enum weir_backing)(take_u8(b) % 7);
	o.flags = take_u8(b) & ~(WEIR_POOL_PREFAULT | WEIR_POOL_LOCK);
	o.fd = how & 8 ? interrupts_fd : -1;
	o.fd_offset = how & 16 ? take_u64(b) : 0;
	o.node = how & 32 ? (int)take_u16(b) - 2 : WEIR_NODE_ANY;
	o.region = o.backing == WEIR_BACKING_REGION || how & 64
			   ? region + (how & 128 ? take_u8(b) : 0)
			   : NULL;
	o.list_limit = (int16_t)take_u16(b);
	o.batch = take_u8(b);
	o.quiet_cpus = take_string(b, quiet, sizeof(quiet));
	o.polling_cpus = take_string(b, polling, sizeof(polling));
	o.name = take_string(b, name, sizeof(name));
	if (take_u8(b) & 1)
		size = take_u8(b) * 2u;
	copy = of_its_size(&o, sizeof(o), size);
	if (size > sizeof(o))
		((char *)copy)[size - 1] = (char)(take_u8(b) & 1);
	/* The end of larger ones, which is checked block by block, takes
	 * seconds. */
	if (size < offsetof(struct weir_pool_opts, backing))
		o.page_size = 4096;
	if (o.capacity <= UINT64_C(1) << 46 && o.page_size >= 64 &&
	    o.capacity / o.page_size > UINT64_C(1) << 30) {
		free(copy);
		return;
	}
	err = weir_pool_create(&pool, copy);
	if (err == 0) {
		MUST(is_size(size) && o.capacity > 0);
		MUST(size < sizeof(o) || o.batch <= 64);
		MUST(size < sizeof(o) || o.list_limit >= -1);
		MUST(weir_pool_destroy(pool, 0) == 0);
	} else {
		MUST(err == -EINVAL || err == -ENOMEM || err == -EOPNOTSUPP);
		MUST(strchr(weir_last_error(), ':') != NULL);
	}
	free(copy);
}

static void other_opts(struct bytes *b)
{
	struct weir_cache_opts o = WEIR_CACHE_OPTS_INIT, *copy;
	struct weir_drain_opts drain = WEIR_DRAIN_OPTS_INIT, *drain_copy;
	struct weir_drain_result result = { .size = 0 }, *result_copy;
	char quiet[64], polling[64];
	struct weir_cache *cache;
	const size_t size = take_u8(b), result_size = take_u8(b);
	const bool right = take_u8(b) & 1;
	int err;

	o.backend.get = take_u8(b) & 1 ? NULL : backend_get;
	o.backend.put = backend_put;
	o.nr_lists = take_u8(b) % 10;
	o.flags = take_u8(b);
	for (unsigned i = 0; i < WEIR_CACHE_LISTS_MAX; i++)
		o.limit[i] = take_u16(b) % 600;
	o.batch = take_u8(b);
	o.quiet_cpus = take_string(b, quiet, sizeof(quiet));
	o.polling_cpus = take_string(b, polling, sizeof(polling));
	copy = of_its_size(&o, sizeof(o), right ? sizeof(o) : size);
	err = weir_cache_create(&cache, copy);
	free(copy);
	if (err != 0) {
		MUST(err == -EINVAL && weir_last_error()[0] != '\0');
		return;
	}
	MUST(right || is_size(size));
	MUST(!right || (o.nr_lists <= WEIR_CACHE_LISTS_MAX && o.batch <= 64));
	drain.cpus = take_string(b, quiet, sizeof(quiet));
	drain_copy = of_its_size(&drain, sizeof(drain), size);
	result_copy = of_its_size(&result, sizeof(result), result_size);
	err = weir_cache_drain(cache, drain_copy, result_copy);
	if (!is_size(size) || !is_size(result_size))
		MUST(err == -EINVAL && weir_last_error()[0] != '\0');
	free(drain_copy);
	free(result_copy);
	MUST(weir_cache_destroy(cache) == 0);
}

/* --- the command line -------------------------------------------------- */

/*
 * main() of tools/, up to where a command has read its options: then its
 * argp_parse() fails. Where argp would end the program we jump out; what the
 * command held is lost, so that ends after a while.
 */
#define LOST_MAX 20000
static unsigned nr_lost;
static jmp_buf out;
static unsigned depth;

int weir_tool_main(int argc, char **argv);
error_t __real_argp_parse(const struct argp *argp, int argc, char **argv,
			  unsigned flags, int *index, void *input);
error_t __wrap_argp_parse(const struct argp *argp, int argc, char **argv,
			  unsigned flags, int *index, void *input);
void __wrap_tool_need_json(void);
void __wrap_argp_error(const struct argp_state *state, const char *format, ...);
void __wrap_argp_state_help(const struct argp_state *state, FILE *f,
			    unsigned flags);

error_t __wrap_argp_parse(const struct argp *argp, int argc, char **argv,
			  unsigned flags, int *index, void *input)
{
	const bool is_command = depth++ > 0;
	error_t err = __real_argp_parse(argp, argc, argv,
					flags | ARGP_NO_EXIT | ARGP_NO_ERRS |
						ARGP_NO_HELP,
					index, input);

	return is_command ? EINVAL : err;
}

void __wrap_tool_need_json(void)
{
}

void __wrap_argp_error(const struct argp_state *state, const char *format, ...)
{
	(void)state, (void)format;
	longjmp(out, 2);
}

void __wrap_argp_state_help(const struct argp_state *state, FILE *f,
			    unsigned flags)
{
	(void)state, (void)f, (void)flags;
	longjmp(out, 3);
}

static void command_line(struct bytes *b)
{
	static const char *const words[] = {
		"demo",	     "doctor",	"bench", "help",     "--json",
		"--rescues", "--cpu=1", "--cpu", "--strict", "--rescues=7",
		"--quick",   "--usage", "1",	 "-1",	     "x",
	};
	static char store[8][64];
	static char *argv[10]; /* these outlive a jump */
	static int argc;

	strcpy(store[0], "weir");
	argv[0] = store[0];
	argc = 1;
	while (argc < 8 && bytes_left(b) > 0) {
		const uint8_t how = take_u8(b);

		if (how < 128)
			strcpy(store[argc], words[how % 15]);
		else
			take_text(b, store[argc], sizeof(store[argc]));
		argv[argc] = store[argc];
		argc++;
	}
	argv[argc] = NULL;
	depth = 0;
	if (nr_lost == LOST_MAX)
		return;
	if (setjmp(out) != 0)
		nr_lost++;
	else
		MUST(weir_tool_main(argc, argv) == TOOL_USAGE);
}

/* ----------------------------------------------------------------------- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	interrupts_fd = memfd_create("interrupts", MFD_CLOEXEC);
	MUST(interrupts_fd >= 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(struct bytes *) = {
		cpulist,   topology,   interrupts,   version,
		pool_opts, other_opts, command_line,
	};
	struct bytes b = { data, data + size };

	fuzz_machine_reset();
	parsers[take_u8(&b) % (sizeof(parsers) / sizeof(parsers[0]))](&b);
	return 0;
}
