/* SPDX-License-Identifier: MIT */
/*
 * Words for errors: the reason behind an error value, and the fatal line.
 *
 * What a signal handler may call records a reason as numbers, in a few words of
 * thread-local memory, and weir_last_error() makes text of them when it is
 * called. The text lies in memory that the thread allocates at its first need,
 * so that the library's thread-local memory stays small: it is of the
 * initial-exec model, as calls in a signal handler must not allocate it, and a
 * program that loads the library late has little of that.
 */
#ifndef WI_OS_REPORT_H
#define WI_OS_REPORT_H

#include <stddef.h>
#include <stdint.h>

#define WI_REASON_ARGS 5

/*
 * Writes a reason. A signal handler may have mixed the arguments of two
 * reasons, so they are not trusted: wrong ones must give wrong text and nothing
 * worse.
 */
typedef void (*wi_reason)(char *to, size_t len, const uint64_t *arg);

/* weir_last_error() has nothing to say of the call that begins. */
void wi_report_nothing(void);

/* Returns an error to which there is nothing to add; 0 is none. */
int wi_plain_error(int error);

/* Sets weir_last_error() for this thread. Not for signal handlers. */
__attribute__((format(printf, 1, 2))) void wi_report(const char *format, ...);

/* The same in numbers. For signal handlers too: a few stores. */
void wi_report_reason(wi_reason reason, const uint64_t arg[WI_REASON_ARGS]);

/* Such reasons: arguments of a call that are out of range. */
void wi_report_flags(unsigned flags);
void wi_report_order(unsigned order, unsigned largest);
void wi_report_list(unsigned list, unsigned nr_lists);
void wi_report_cpu(unsigned cpu, unsigned last);
void wi_report_zone(unsigned zone, unsigned last);

/* One line "weir: ..." on standard error, then abort(). Signal-safe enough:
 * formats on the stack. */
__attribute__((format(printf, 1, 2))) _Noreturn void
wi_fatal(const char *format, ...);

#endif
