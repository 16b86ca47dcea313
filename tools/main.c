/* SPDX-License-Identifier: MIT */
/* weir: one program, several commands. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/version.h>

#include "common/tool.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "demo", cmd_demo, "show a remote drain beside other methods" },
	{ "doctor", cmd_doctor, "report what this machine offers weir" },
	{ "bench", cmd_bench,
	  "measure weir beside floors and other libraries" },
	{ "size", cmd_size, "calculate how many pages a pool needs" },
	{ "watch-cpu", cmd_watch_cpu, "show what interrupts a CPU, and why" },
	{ "ps", cmd_ps, "list running processes that have pools" },
	{ "stat", cmd_stat, "show what a running pool does" },
	{ "zoneinfo", cmd_zoneinfo, "show a running pool's zones and lists" },
	{ "top", cmd_top, "watch a running pool's CPUs on the screen" },
	{ "metrics", cmd_metrics,
	  "print running pools' numbers as OpenMetrics" },
	{ "bench-worker", cmd_bench_worker, NULL }, /* for bench alone */
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

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
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
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
	fputs("\n'weir COMMAND --help' says more about each.", f);
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
		.options = tool_options,
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
