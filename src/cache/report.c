/* SPDX-License-Identifier: MIT */
#include "cache/report.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include <weir/weir.h>

#include "base/assert.h"
#include "base/bits.h"

static __thread char last_error[256];

void wi_report_nothing(void)
{
	last_error[0] = '\0';
}

int wi_plain_error(int error)
{
	if (error != 0)
		wi_report_nothing();
	return error;
}

void wi_report(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(last_error, sizeof(last_error), format, args);
	va_end(args);
}

const char *weir_last_error(void)
{
	return last_error;
}

void wi_fatal(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	wi_panic(line);
}

const char *weir_strerror(int error)
{
	static const struct {
		int error;
		const char *words;
	} table[] = {
		{ 0, "success" },
		{ EAGAIN, "not now: pages are pending on a CPU that has not "
			  "passed between operations yet, or others were "
			  "faster; try again, or wait longer (wait_ns)" },
		{ ENOMEM, "no memory: every page is in use (or, creating, the "
			  "system refused memory; see weir_last_error())" },
		{ EINVAL, "an argument or option is wrong; weir_last_error() "
			  "tells which" },
		{ EBUSY, "pages of the pool are still allocated; free them, or "
			 "destroy with WEIR_DESTROY_FORCE" },
		{ ESTALE, "the pool belongs to the process that created it; a "
			  "forked child must create its own" },
		{ ETIMEDOUT, "other drains took all the time there was; try "
			     "again, or wait longer (wait_ns)" },
		{ EDEADLK, "this thread is draining already; a back end must "
			   "not drain" },
		{ EOPNOTSUPP, "the kernel, the C library or the machine lacks "
			      "what that needs; see `weir doctor`" },
		{ EPERM, "not permitted; locking memory needs RLIMIT_MEMLOCK "
			 "or CAP_IPC_LOCK, watching a process its user or "
			 "root" },
		{ EBADF, "not an open file descriptor" },
		{ ENOENT, "there is no such pool, or it is gone" },
		{ ESRCH, "there is no such process" },
		{ EACCES, "this process may not look into that one" },
		{ EPROTO, "not a pool that this version can watch: made by "
			  "another version, or not by weir" },
	};

	if (error < 0 && error != INT_MIN)
		error = -error;
	for (size_t i = 0; i < WI_ARRAY_SIZE(table); i++)
		if (table[i].error == error)
			return table[i].words;
	return "an error of the system; see errno(3)";
}
