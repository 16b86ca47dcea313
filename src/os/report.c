/* SPDX-License-Identifier: MIT */
#include "os/report.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include <weir/weir.h>

#include "base/assert.h"
#include "base/bits.h"
#include "os/os.h"

#define TEXT_BYTES 384

/* This thread's; NULL: there is none. */
static __thread struct {
	wi_reason reason;
	uint64_t arg[WI_REASON_ARGS];
} last_error __attribute__((tls_model("initial-exec")));

/* --- reasons ------------------------------------------------------------ */

void wi_report_reason(wi_reason reason, const uint64_t arg[WI_REASON_ARGS])
{
	for (unsigned i = 0; i < WI_REASON_ARGS; i++)
		last_error.arg[i] = arg[i];
	last_error.reason = reason;
}

static void report_two(wi_reason reason, uint64_t a, uint64_t b)
{
	wi_report_reason(reason, (const uint64_t[WI_REASON_ARGS]){ a, b });
}

static void say_flags(char *to, size_t len, const uint64_t *arg)
{
	snprintf(to, len, "flags: 0x%x has unknown bits", (unsigned)arg[0]);
}

static void say_order(char *to, size_t len, const uint64_t *arg)
{
	snprintf(to, len, "order: %u, the largest is %u", (unsigned)arg[0],
		 (unsigned)arg[1]);
}

static void say_list(char *to, size_t len, const uint64_t *arg)
{
	snprintf(to, len, "list: %u, the cache has %u", (unsigned)arg[0],
		 (unsigned)arg[1]);
}

static void say_cpu(char *to, size_t len, const uint64_t *arg)
{
	snprintf(to, len, "cpu: %u cannot exist here, the last is %u",
		 (unsigned)arg[0], (unsigned)arg[1]);
}

static void say_zone(char *to, size_t len, const uint64_t *arg)
{
	snprintf(to, len, "zone: there is no %u, the last is %u",
		 (unsigned)arg[0], (unsigned)arg[1]);
}

void wi_report_flags(unsigned flags)
{
	report_two(say_flags, flags, 0);
}

void wi_report_order(unsigned order, unsigned largest)
{
	report_two(say_order, order, largest);
}

void wi_report_list(unsigned list, unsigned nr_lists)
{
	report_two(say_list, list, nr_lists);
}

void wi_report_cpu(unsigned cpu, unsigned last)
{
	report_two(say_cpu, cpu, last);
}

void wi_report_zone(unsigned zone, unsigned last)
{
	report_two(say_zone, zone, last);
}

/* The text exists already. */
static void say_text(char *to, size_t len, const uint64_t *arg)
{
	(void)to, (void)len, (void)arg;
}

static void say_no_memory(char *to, size_t len, const uint64_t *arg)
{
	(void)arg;
	snprintf(to, len, "there was no memory for the reason");
}

/* --- the last error ----------------------------------------------------- */

void wi_report_nothing(void)
{
	last_error.reason = NULL;
}

int wi_plain_error(int error)
{
	if (error != 0)
		wi_report_nothing();
	return error;
}

void wi_report(const char *format, ...)
{
	int cancel = wi_os_cancel_put_off(); /* it would keep the heap */
	char *text = wi_os_thread_text(TEXT_BYTES);
	va_list args;

	va_start(args, format);
	if (text != NULL)
		vsnprintf(text, TEXT_BYTES, format, args);
	va_end(args);
	last_error.reason = text != NULL ? say_text : say_no_memory;
	wi_os_cancel_allow(cancel);
}

static const char *say_reason(wi_reason reason)
{
	char *text = wi_os_thread_text(TEXT_BYTES);

	if (text == NULL)
		return "there is no memory for the reason";
	reason(text, TEXT_BYTES, last_error.arg);
	last_error.reason = say_text; /* the same text until the next call */
	return text;
}

const char *weir_last_error(void)
{
	const wi_reason reason = last_error.reason;
	const char *text = "";
	int cancel;

	if (reason == NULL)
		return text;
	/* It would keep the heap, or a pool that it looks at. */
	cancel = wi_os_cancel_put_off();
	text = say_reason(reason);
	wi_os_cancel_allow(cancel);
	return text;
}

/* --- the fatal line ----------------------------------------------------- */

void wi_fatal(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	wi_panic(line);
}

/* --- what error values mean --------------------------------------------- */

const char *weir_strerror(int error)
{
	static const struct {
		int error;
		const char *words;
	} table[] = {
		{ 0, "success" },
		{ EAGAIN, "not now: nothing in the list and zones for "
			  "WEIR_NOWAIT, or pages pending on CPUs without "
			  "evidence, or taken by other threads; "
			  "weir_last_error() says which; try again, without "
			  "WEIR_NOWAIT, or wait longer (wait_ns)" },
		{ ENOMEM, "no memory: no page or run as large as asked for is "
			  "free, or the pool is smaller than that; from a "
			  "creation: the system refused memory; "
			  "weir_last_error() says which" },
		{ EINVAL, "an argument or option is wrong; weir_last_error() "
			  "says which" },
		{ EBUSY, "pages of the pool are still allocated, or a CPU's "
			 "lists in use; free them and let their threads end, "
			 "or destroy the pool with WEIR_DESTROY_FORCE; or "
			 "requests wait: cancel them; or what was started is "
			 "under way already" },
		{ ESTALE, "the pool belongs to the process that created it; a "
			  "forked child must create its own" },
		{ ETIMEDOUT, "other drains ran until the deadline; try again, "
			     "or wait longer (wait_ns)" },
		{ EDEADLK, "this thread is draining already, or in a callback "
			   "of a request, or called by a pass; a back end must "
			   "not drain, nor submit" },
		{ EALREADY, "the request was completed" },
		{ ENODEV, "every CPU that this thread may use is quiet or "
			  "polling" },
		{ EOPNOTSUPP, "the kernel, the C library or the machine does "
			      "not support that; see `weir doctor`" },
		{ EPERM, "not permitted; locking memory needs RLIMIT_MEMLOCK "
			 "or CAP_IPC_LOCK, watching a process its user or "
			 "root" },
		{ EBADF, "not an open file descriptor" },
		{ ENOENT, "there is no such pool, or it is gone" },
		{ ESRCH, "there is no such process" },
		{ EACCES, "this process has no permission to read that one" },
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
