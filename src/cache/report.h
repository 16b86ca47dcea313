/* SPDX-License-Identifier: MIT */
/* Words for errors: the reason behind an error value, and the fatal line. */
#ifndef WI_CACHE_REPORT_H
#define WI_CACHE_REPORT_H

/* weir_last_error() has nothing to tell of the call that begins. */
void wi_report_nothing(void);

/* Returns an error to which there is nothing to add; 0 is none. */
int wi_plain_error(int error);

/* Sets weir_last_error() for this thread. */
__attribute__((format(printf, 1, 2))) void wi_report(const char *format, ...);

/* One line "weir: ..." on standard error, then abort(). Signal-safe enough:
 * formats on the stack. */
__attribute__((format(printf, 1, 2))) _Noreturn void
wi_fatal(const char *format, ...);

#endif
