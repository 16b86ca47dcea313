/* SPDX-License-Identifier: MIT */
/* Commands that go on until they were told to end, interval by interval. */
#ifndef WEIR_TOOL_INTERVAL_H
#define WEIR_TOOL_INTERVAL_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

/* Reads the argument of --interval, in ns; ends the program with status 2 and
 * a sentence if it is none. */
uint64_t interval_parse(struct argp_state *state, const char *arg);

/* From now on SIGINT and SIGTERM come while interval_sleep() waits only; they
 * tell the command to end. */
void interval_begin(void);
bool interval_told_to_end(void);

/*
 * Waits until measure_now_ns() reaches `ns`, or it is told to end, or something
 * can be read from `fd` (-1: nothing is). It is told to end, too, when nobody
 * reads its output any more. A signal of another kind ends the
 * wait as well if there is an fd. True: there may be something to read.
 */
bool interval_sleep(uint64_t ns, int fd);

/* The end of the interval after the one that was to end at `ns`: in step, and
 * later than `now` also when that is late. */
uint64_t interval_next(uint64_t ns, uint64_t now, uint64_t interval_ns);

#endif
