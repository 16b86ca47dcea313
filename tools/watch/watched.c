/* SPDX-License-Identifier: MIT */
#include "watch/watched.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/watch.h" /* processes that refuse, which no call lists */
#include "common/interval.h"
#include "common/tool.h"
#include "os/os.h" /* a file of /proc whole */

/* As a thread of the process wrote it, up to 15 bytes. */
static void read_program(char *out, size_t size, int pid)
{
	char path[64];
	int len;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	len = wi_os_read_file(path, out, size);
	if (len < 0)
		snprintf(out, size, "?");
	else if (len > 0 && out[len - 1] == '\n')
		out[len - 1] = '\0';
}

/* ---- which -------------------------------------------------------------- */

struct search {
	struct watched_pools *pools;
	const char *name; /* of the pool, or its number; NULL: any */
	int pid;	  /* 0: any; then the name may be the program's */
	int err;
};

/* The kernel keeps so many bytes of a program's name. */
#define PROGRAM_MAX 15

/* NAME means this text, as it is or as it is shown. */
static bool is_name(const char *name, const char *raw)
{
	char shown[WATCHED_NAME];

	tool_harmless(shown, sizeof(shown), raw);
	return strcmp(name, raw) == 0 || strcmp(name, shown) == 0;
}

static bool is_program(const char *name, int pid)
{
	char program[64];

	read_program(program, sizeof(program), pid);
	return is_name(name, program) ||
	       (strlen(program) == PROGRAM_MAX &&
		strncmp(name, program, PROGRAM_MAX) == 0);
}

static bool is_meant(const struct search *search, const char *raw_name,
		     const struct weir_watch_id *id)
{
	char number[24];

	if (!search->name || is_name(search->name, raw_name))
		return true;
	if (!search->pid)
		return is_program(search->name, id->pid);
	snprintf(number, sizeof(number), "%" PRIu64, id->number);
	return strcmp(search->name, number) == 0;
}

static int add(struct watched_pools *pools, const struct weir_watch_id *id,
	       const char *raw_name)
{
	struct watched *pool;
	char program[64];
	int err;

	if (pools->nr == pools->capacity) {
		unsigned capacity = pools->capacity ? 2 * pools->capacity : 8;

		pool = realloc(pools->pool, capacity * sizeof(*pool));
		if (!pool)
			return -ENOMEM;
		pools->pool = pool;
		pools->capacity = capacity;
	}
	pool = &pools->pool[pools->nr];
	*pool = (struct watched){ .pid = id->pid, .number = id->number };
	tool_harmless(pool->name, sizeof(pool->name), raw_name);
	err = weir_watch_open(&pool->watch, id);
	if (err != 0)
		return err;
	read_program(program, sizeof(program), id->pid);
	tool_harmless(pool->command, sizeof(pool->command), program);
	watched_refresh(pool);
	pools->nr++;
	return 0;
}

/* A pool that is watched takes two descriptors. */
void watched_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int look_at(const struct weir_watch_id *id, const char *raw_name,
		   void *ctx)
{
	struct search *search = ctx;
	int err;

	if (!is_meant(search, raw_name, id))
		return 0;
	err = add(search->pools, id, raw_name);
	if (err == -EPROTO)
		search->pools->nr_strange++;
	else if (err != 0 && err != -ENOENT) /* it may have just gone */
		search->err = err;
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE ? err : 0;
}

/* ---- what is wrong ------------------------------------------------------ */

static bool lacks_ptrace(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2] = { { 0 } };

	return syscall(SYS_capget, &head, data) == 0 &&
	       !(data[0].effective & 1u << CAP_SYS_PTRACE);
}

/* Who may look where the caller may not. */
static const char *who_may(void)
{
	if (geteuid() != 0)
		return "only its user and root may (sudo), and only root where "
		       "the program has privileges of its own";
	return lacks_ptrace()
		       ? "that takes CAP_SYS_PTRACE, which this root lacks"
		       : "not even this root may";
}

static void print_refused(char text[160], const struct watched_pools *pools)
{
	text[0] = '\0';
	if (pools->nr_refused == 0)
		return;
	if (geteuid() == 0)
		snprintf(text, 160,
			 " (%u process%s may not be looked into: %s)",
			 pools->nr_refused, pools->nr_refused == 1 ? "" : "es",
			 who_may());
	else
		snprintf(text, 160,
			 " (those of other users are shown to root: sudo)");
}

static int fail_process(int pid, int err, const char *what)
{
	if (err == -ESRCH)
		return tool_error("there is no process %s; 'weir ps' lists "
				  "those that have pools",
				  what);
	if (err == -EPERM || err == -EACCES)
		return tool_error("no permission to look into process %d: %s",
				  pid, who_may());
	return tool_error("process %d: %s", pid, strerror(-err));
}

static int fail_empty(const struct search *search, int pid)
{
	char shown[WATCHED_NAME], refused[160];

	if (search->pools->nr_strange)
		return tool_error("%u pool%s made by another version of weir: "
				  "use that version's command",
				  search->pools->nr_strange,
				  search->pools->nr_strange == 1 ? " was"
								 : "s were");
	if (search->err == -EPERM || search->err == -EACCES)
		return tool_error("no permission to look at that pool: %s",
				  who_may());
	if (search->err != 0)
		return tool_error("cannot look at that pool: %s",
				  strerror(-search->err));
	tool_harmless(shown, sizeof(shown), search->name ? search->name : "");
	if (pid && search->name)
		return tool_error("process %d has no pool '%s'; 'weir ps %d' "
				  "lists its pools",
				  pid, shown, pid);
	if (pid)
		return tool_error("process %d has no pool that can be watched: "
				  "it uses no weir, or hides its pools",
				  pid);
	print_refused(refused, search->pools);
	if (search->name)
		return tool_error("there is no pool or program '%s'; 'weir ps' "
				  "lists those that there are%s",
				  shown, refused);
	return tool_error("no process has a pool that can be watched%s",
			  refused);
}

/* "PID", "PID/NAME" or "NAME": the pid (0: none, -1: no process has it), and
 * the name or NULL. */
static int split(const char *what, const char **name)
{
	size_t digits;
	unsigned long pid;

	*name = NULL;
	if (!what)
		return 0;
	digits = strspn(what, "0123456789");
	if (digits == 0 || (what[digits] != '\0' && what[digits] != '/')) {
		*name = what;
		return 0;
	}
	if (what[digits] == '/')
		*name = what + digits + 1;
	errno = 0;
	pid = strtoul(what, NULL, 10);
	return errno != 0 || pid == 0 || pid > INT_MAX ? -1 : (int)pid;
}

int watched_open(struct watched_pools *pools, const char *what)
{
	struct search search = { .pools = pools };
	struct wi_watch_listing listing = { .each = look_at, .ctx = &search };
	char shown[WATCHED_NAME];
	const int pid = split(what, &search.name);
	int err = -ESRCH;

	*pools = (struct watched_pools){ 0 };
	search.pid = pid;
	watched_raise_limit();
	if (pid >= 0)
		err = wi_watch_list(&listing, pid);
	pools->nr_refused = listing.nr_refused;
	tool_harmless(shown, sizeof(shown), what ? what : "");
	if (err != 0)
		watched_close(pools);
	if (err == -ENOMEM || err == -EMFILE || err == -ENFILE)
		return tool_error("cannot open all pools: %s", strerror(-err));
	if (err != 0 && pid == 0)
		return tool_error("cannot list processes in /proc: %s",
				  strerror(-err));
	if (err != 0)
		return fail_process(pid, err, shown);
	return pools->nr ? TOOL_OK : fail_empty(&search, pid);
}

void watched_close(struct watched_pools *pools)
{
	for (unsigned i = 0; i < pools->nr; i++)
		weir_watch_close(pools->pool[i].watch);
	free(pools->pool);
	*pools = (struct watched_pools){ 0 };
}

static bool share_name(const struct watched *a, const struct watched *b)
{
	return a != b && a->pid == b->pid && strcmp(a->name, b->name) == 0;
}

/* How a command line means this pool and no other. */
static void print_way(FILE *f, const struct watched_pools *pools,
		      const struct watched *pool)
{
	for (unsigned i = 0; i < pools->nr; i++)
		if (share_name(pool, &pools->pool[i])) {
			fprintf(f, " %d/%" PRIu64, pool->pid, pool->number);
			return;
		}
	fprintf(f, " '%d/%s'", pool->pid, pool->name);
}

int watched_only(const struct watched_pools *pools, const char *what)
{
	char shown[WATCHED_NAME];

	if (pools->nr == 1)
		return TOOL_OK;
	tool_harmless(shown, sizeof(shown), what ? what : "");
	if (what)
		tool_error("'%s' fits %u pools; say which:", shown, pools->nr);
	else
		tool_error("there are %u pools; say which:", pools->nr);
	for (unsigned i = 0; i < pools->nr && i < 20; i++) {
		print_way(stderr, pools, &pools->pool[i]);
		fprintf(stderr, "  of %s\n", pools->pool[i].command);
	}
	if (pools->nr > 20)
		fputs(" and more, which 'weir ps' lists\n", stderr);
	return TOOL_FAILED;
}

void watched_refresh(struct watched *pool)
{
	pool->info.size = sizeof(pool->info);
	weir_watch_info(pool->watch, &pool->info);
}

const char *watched_gone(const struct watched *pool)
{
	switch (pool->info.state) {
	case WEIR_WATCH_LIVE:
		return NULL;
	case WEIR_WATCH_DESTROYED:
		return "its process has destroyed it";
	default:
		return "its process has ended";
	}
}

void watched_tell_left_out(const struct watched_pools *pools)
{
	char refused[160];

	if (pools->nr_strange)
		fprintf(stderr,
			"weir: left out %u of another version of weir\n",
			pools->nr_strange);
	if (geteuid() != 0 || !lacks_ptrace())
		return; /* there are always some, and the user knows */
	print_refused(refused, pools);
	if (refused[0])
		fprintf(stderr, "weir: this may not be all%s\n", refused);
}

int watched_tell_gone(const struct watched *pool)
{
	return tool_error("the pool %s of process %d is gone: %s", pool->name,
			  pool->pid, watched_gone(pool));
}

/* ---- command lines ------------------------------------------------------ */

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct watched_request *request = state->input;

	switch (key) {
	case 'i':
		request->interval_ns = interval_parse(state, arg);
		return 0;
	case 'n':
	case 'c':
		request->count =
			tool_number(state, "count", arg, 1, UINT32_MAX);
		return 0;
	case TOOL_KEY_JSON:
		tool_need_json();
		request->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (request->what)
			argp_error(state, "one pool or process: PID, NAME or "
					  "PID/NAME");
		request->what = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int watched_parse(struct watched_request *request, int argc, char **argv,
		  const struct argp_option *options, const char *doc)
{
	static const struct argp_option only_json[] = {
		TOOL_OPTION_JSON,
		{ NULL, 0, NULL, 0, NULL, 0 },
	};
	const struct argp argp = {
		.options = options ? options : only_json,
		.parser = parse,
		.args_doc = "[PID|NAME]",
		.doc = doc,
	};

	return tool_parse(&argp, argc, argv, request) == 0 ? TOOL_OK
							   : TOOL_USAGE;
}
