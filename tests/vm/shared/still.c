/* SPDX-License-Identifier: MIT */
#include "shared/still.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static void set(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY);

	CHECK_MSG(fd >= 0 && write(fd, value, strlen(value)) > 0, "%s: %s",
		  file, strerror(errno));
	close(fd);
}

/* From 6.12 on a deadline server gives threads of the fair class a share of
 * each CPU. It replenishes its budget about once a second by a timer, which
 * fires on CPU 0 and sends the CPU a call and a reschedule interrupt. */
static void stop_server(const char *server)
{
	char file[96];

	for (unsigned cpu = 0;; cpu++) {
		snprintf(file, sizeof(file),
			 "/sys/kernel/debug/sched/%s/cpu%u/runtime", server,
			 cpu);
		if (access(file, F_OK) != 0)
			break;
		set(file, "0");
	}
}

void still_machine(void)
{
	stop_server("fair_server");
	stop_server("ext_server");
	/* A sleeper's timer stays on its CPU: it wakes without help. */
	set("/proc/sys/kernel/timer_migration", "0");
	/* No look once a second whether a CPU has statistics to fold, which
	 * wakes a kernel thread there. */
	set("/proc/sys/vm/stat_interval", "3600");
}
