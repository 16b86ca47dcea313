/* SPDX-License-Identifier: MIT */
/*
 * The pools that a command line means, opened for reading (weir/watch.h).
 *
 * What another process says of itself, its own name and its pools' names, is
 * not trusted: it is kept here with every byte that is no printable ASCII
 * written as \xNN, and only that is printed.
 */
#ifndef WEIR_TOOL_WATCH_WATCHED_H
#define WEIR_TOOL_WATCH_WATCHED_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/watch.h>

#define WATCHED_NAME 128    /* of a pool: 31 bytes of \xNN, and more */
#define WATCHED_COMMAND 256 /* of a process */

struct watched {
	int pid;
	uint64_t number;
	char name[WATCHED_NAME];
	char command[WATCHED_COMMAND];
	struct weir_watch *watch;
	struct weir_watch_info info; /* as of the last watched_refresh() */
};

struct watched_pools {
	struct watched *pool;
	unsigned nr, capacity;
	unsigned nr_strange; /* made by a library that ours does not know */
	unsigned nr_refused; /* processes that may not be looked into */
};

/*
 * Opens the pools that `what` means: PID, NAME (of pools, or of the program),
 * PID/NAME, PID/NUMBER, or NULL for each that there is. Returns TOOL_OK, or
 * TOOL_FAILED when there is none (then also a line on standard error says why
 * and what to do).
 */
int watched_open(struct watched_pools *pools, const char *what);
void watched_close(struct watched_pools *pools);

/* As many files as the process may have; watched_open() does it. */
void watched_raise_limit(void);

/* TOOL_OK if there is just one; else a line on standard error lists them. */
int watched_only(const struct watched_pools *pools, const char *what);

/* Looks whether the pool still exists. */
void watched_refresh(struct watched *pool);

/* Why it does not, as "its process has ended"; NULL if it does. */
const char *watched_gone(const struct watched *pool);

/* Says on standard error what a list leaves out and should not, if anything. */
void watched_tell_left_out(const struct watched_pools *pools);

/* Says so on standard error. Returns TOOL_FAILED. */
int watched_tell_gone(const struct watched *pool);

/* What the command line of such a command asks for. */
struct watched_request {
	const char *what;     /* for watched_open() */
	uint64_t interval_ns; /* left alone if none is given */
	uint64_t count;	      /* likewise */
	bool json;
};

/*
 * Reads [PID|NAME], --json and, where `options` has them, -i and -c; `options`
 * NULL: --json is the only one. TOOL_OK or TOOL_USAGE, if argp has not ended
 * the program.
 */
int watched_parse(struct watched_request *request, int argc, char **argv,
		  const struct argp_option *options, const char *doc);

#endif
