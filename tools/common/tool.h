/* SPDX-License-Identifier: MIT */
/*
 * What the commands of the `weir` program share.
 *
 * A command is a function cmd_<name>(argc, argv) whose argv[0] is "weir
 * <name>"; it parses its options by argp and returns the exit status:
 *
 *   0  fine
 *   1  as the command's --help tells
 *   2  usage: TOOL_USAGE, with a line on standard error that says what was
 *      wrong and what to do
 *
 * argp ends the program by itself for --help, --version and wrong options.
 */
#ifndef WEIR_TOOL_TOOL_H
#define WEIR_TOOL_TOOL_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TOOL_OK = 0,
	TOOL_FAILED = 1,
	TOOL_USAGE = 2,
};

int cmd_demo(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_size(int argc, char **argv);
int cmd_watch_cpu(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_zoneinfo(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_bench_worker(int argc, char **argv);

/* Keys of options without a letter; a command's own begin at FIRST. */
enum {
	TOOL_KEY_JSON = 0x100,
	TOOL_KEY_FIRST = 0x110,
};

/* A row of a command's options; its parser calls tool_need_json() for it. */
#define TOOL_OPTION_JSON                                                       \
	{                                                                      \
		"json", TOOL_KEY_JSON, NULL, 0,                                \
			"Print one JSON object instead of text", 0             \
	}

/* -h, for argp; what tool_parse() adds to a command's options. */
extern const struct argp_option tool_options[];

/* As argp_parse(), for the options of a command and those that all have: -h,
 * --help, --usage, --version. */
error_t tool_parse(const struct argp *argp, int argc, char **argv, void *input);

/* Whether standard output is a terminal that shows colours, and the user wants
 * them: NO_COLOR is not set, or is empty. */
bool tool_colours(void);

/* NO_COLOR is set, and not empty (no-color.org). */
bool tool_no_colour(void);

/*
 * Where docs/tuning.md is: where it was installed beside this program, or in
 * the sources it was built from; "" if it is not found.
 */
#define TOOL_PATH 4200
const char *tool_tuning(char path[TOOL_PATH]);

/* Ends the program with status 2 where the tool was built without JSON. */
void tool_need_json(void);

/*
 * Reads the argument of an option as a number from `min` to `max`; ends the
 * program with status 2 and a sentence if it is none.
 */
uint64_t tool_number(struct argp_state *state, const char *option,
		     const char *arg, uint64_t min, uint64_t max);

/* Writes out what was printed. TOOL_OK; TOOL_FAILED, and once a line on
 * standard error, if that is or was impossible. */
int tool_flush(void);

/* Copies text that comes from elsewhere, cut to `size`: every byte that is no
 * printable ASCII, and the backslash, becomes \xNN. */
void tool_harmless(char *out, size_t size, const char *text);

/* "weir: <sentence>" on standard error. Returns TOOL_FAILED. */
int tool_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
