/* SPDX-License-Identifier: MIT */
/* weir: one program, several commands. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/version.h>

#include "tool.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "demo", cmd_demo, "show a remote drain beside the other ways" },
	{ "doctor", cmd_doctor, "tell what this machine offers weir" },
	{ "bench", cmd_bench,
	  "measure weir beside floors and other libraries" },
	{ "size", cmd_size, "tell how many pages a pool needs" },
	{ "watch-cpu", cmd_watch_cpu, "tell what interrupts a CPU, and why" },
	{ "ps", cmd_ps, "list running processes that have pools" },
	{ "stat", cmd_stat, "tell what a running pool does" },
	{ "zoneinfo", cmd_zoneinfo,
	  "tell of a running pool's zones and lists" },
	{ "top", cmd_top, "watch a running pool's CPUs on the screen" },
	{ "metrics", cmd_metrics,
	  "print running pools' numbers as OpenMetrics" },
	{ "bench-worker", cmd_bench_worker, NULL }, /* for bench alone */
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

int tool_error(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("weir: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return TOOL_FAILED;
}

int tool_flush(void)
{
	static bool told;

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return TOOL_OK;
	if (!told && errno != 0)
		tool_error("cannot write the output: %s", strerror(errno));
	else if (!told)
		tool_error("cannot write the output");
	told = true;
	return TOOL_FAILED;
}

uint64_t tool_number(struct argp_state *state, const char *option,
		     const char *arg, uint64_t min, uint64_t max)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(arg, &end, 10);
	if (errno != 0 || end == arg || *end != '\0' || arg[0] == '-' ||
	    value < min || value > max)
		argp_error(state,
			   "--%s takes a number from %llu to %llu, not '%s'",
			   option, (unsigned long long)min,
			   (unsigned long long)max, arg);
	return value;
}

/* ---- what all commands share -------------------------------------------- */

/* --help and its kin come from argp; it has no -h. */
static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	if (key != 'h')
		return ARGP_ERR_UNKNOWN;
	argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
	return 0;
}

static const struct argp_option common_options[] = {
	{ NULL, 'h', NULL, 0, "The same as --help", -1 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const struct argp common = {
	.options = common_options,
	.parser = parse_common,
};

error_t tool_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	const struct argp_child children[] = {
		{ &common, 0, NULL, 0 },
		{ NULL, 0, NULL, 0 },
	};
	struct argp all = *argp;

	all.children = children;
	return argp_parse(&all, argc, argv, 0, NULL, input);
}

bool tool_no_colour(void)
{
	const char *wish = getenv("NO_COLOR");

	return wish && *wish;
}

bool tool_colours(void)
{
	const char *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && !tool_no_colour() && terminal &&
	       *terminal && strcmp(terminal, "dumb") != 0;
}

const char *tool_tuning(char path[TOOL_PATH])
{
	static const char *const places[] = {
		"/../share/doc/weir/tuning.md",
		"/../share/doc/weir/tuning.md.gz",
		"/../docs/tuning.md", /* of a build tree */
	};
	char folder[4096];
	ssize_t len = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	char *slash;

	path[0] = '\0';
	if (len <= 0)
		return path;
	folder[len] = '\0';
	slash = strrchr(folder, '/');
	if (!slash)
		return path;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char whole[TOOL_PATH], *real;

		snprintf(whole, sizeof(whole), "%s%s", folder, places[i]);
		real = realpath(whole, NULL);
		if (real)
			snprintf(path, TOOL_PATH, "%s", real);
		free(real);
		if (path[0])
			break;
	}
	return path;
}

/* ---- commands ------------------------------------------------------------ */

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* What the command line asks for. */
struct request {
	const struct command *command;
	int argc;
	char **argv;
};

/* `weir help` is `weir --help`, `weir help X` is `weir X --help`. */
static void ask_help(struct argp_state *state, struct request *request)
{
	static char option[] = "--help";
	static char *argv[] = { NULL, option, NULL };

	if (request->argc < 2 || strcmp(request->argv[1], "help") == 0)
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
	request->command = find(request->argv[1]);
	if (!request->command)
		argp_error(state, "no command '%s'", request->argv[1]);
	request->argc = 2;
	request->argv = argv;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *request = state->input;

	switch (key) {
	case 'h':
		return parse_common(key, arg, state);
	case ARGP_KEY_ARG:
		request->argv = state->argv + state->next - 1;
		request->argc = state->argc - state->next + 1;
		state->next = state->argc; /* the rest is the command's */
		request->command = find(arg);
		if (strcmp(arg, "help") == 0)
			ask_help(state, request);
		else if (!request->command)
			argp_error(state, "no command '%s'", arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which command?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Runs a command with its own argv[0], which its messages begin with. */
static int run(const struct command *command, int argc, char **argv)
{
	char name[32];

	snprintf(name, sizeof(name), "weir %s", command->name);
	argv[0] = name;
	return command->run(argc, argv);
}

/* The list of commands, at the end of --help. */
static char *list_commands(int key, const char *text, void *input)
{
	char *list;
	size_t len;
	FILE *f;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	f = open_memstream(&list, &len);
	if (!f)
		return (char *)text;
	fputs("Commands:\n", f);
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (commands[i].what)
			fprintf(f, "  %-11s%s\n", commands[i].name,
				commands[i].what);
	fputs("\n'weir COMMAND --help' tells more of each.", f);
	fclose(f);
	return list;
}

/* Where a standard descriptor is closed, the next file that is opened would be
 * taken for it. What stands there instead can neither be read nor written. */
static void fill_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_PATH);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* However the program ends: output that got lost is a failure. */
static void check_output(void)
{
	if (tool_flush() != TOOL_OK)
		_exit(TOOL_FAILED);
}

int main(int argc, char **argv)
{
	const struct argp argp = {
		.options = common_options,
		.parser = parse,
		.args_doc = "COMMAND [OPTION...]",
		.doc = "A page allocator whose per-CPU lists any thread can "
		       "drain without interrupting the CPU.\v.",
		.help_filter = list_commands,
	};
	static char name[] = "weir";
	struct request request = { NULL, 0, NULL };
	fill_standard_files();
	atexit(check_output);
	argp_program_version = "weir " WEIR_VERSION;
	argp_err_exit_status = TOOL_USAGE;
	if (argc > 0)
		argv[0] = name; /* messages begin with it */
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &request) != 0 ||
	    !request.command)
		return TOOL_USAGE;
	return run(request.command, request.argc, request.argv);
}
