/* SPDX-License-Identifier: MIT */
/*
 * Messages: the reason behind an error value, and the fatal line.
 *
 * Functions that signal handlers may call record a reason as numbers, in a few
 * words of thread-local memory, and weir_last_error() makes text of them when
 * it is called. The text is in memory that the thread allocates when it first
 * needs it, so that the library's thread-local memory stays small: that is of
 * the initial-exec model, since a signal handler must not allocate it, and a
 * program that loads the library late has little of it.
 */
#ifndef WI_OS_REPORT_H
#define WI_OS_REPORT_H

#include <stddef.h>
#include <stdint.h>

#define WI_REASON_ARGS 5

/*
 * Writes a reason. A signal handler may have mixed the arguments of two
 * reasons, so they are not trusted: wrong ones give wrong text, never a memory
 * error.
 */
typedef void (*wi_reason)(char *to, size_t len, const uint64_t *arg);

/* Clears the reason when a call begins. */
void wi_report_nothing(void);

/* Returns an error that needs no message, and clears the reason. */
int wi_plain_error(int error);

/* Sets weir_last_error() for this thread. Not for signal handlers. */
__attribute__((format(printf, 1, 2))) void wi_report(const char *format, ...);

/* The same in numbers. For signal handlers too: a few stores. */
void wi_report_reason(wi_reason reason, const uint64_t arg[WI_REASON_ARGS]);

/* Reasons of this kind: arguments of a call that are out of range. */
void wi_report_flags(unsigned flags);
void wi_report_order(unsigned order, unsigned largest);
void wi_report_list(unsigned list, unsigned nr_lists);
void wi_report_cpu(unsigned cpu, unsigned last);
void wi_report_zone(unsigned zone, unsigned last);

/* Prints one line "weir: ..." on standard error, then aborts. Formats on the
 * stack, so that signal handlers may call it. */
__attribute__((format(printf, 1, 2))) _Noreturn void
wi_fatal(const char *format, ...);

#endif
