/* SPDX-License-Identifier: MIT */
#include "shared/sender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing/"
#define LINES 12

static void put(const char *file, const char *text)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("sender: %s: %s\n", file, strerror(errno));
	if (fd >= 0)
		close(fd);
}

void sender_watch(void)
{
	put("kprobe_events",
	    "p:vm/call send_call_function_single_ipi to=%di:s32");
	put("kprobe_events",
	    "p:vm/calls smp_call_function_many_cond mask=+0(%di):x64");
	put("kprobe_events", "p:vm/resched native_smp_send_reschedule "
			     "to=%di:s32");
	put("trace_clock", "mono");
	put("events/vm/enable", "1");
}

/* Does the line name that CPU, alone or in a mask? */
static bool aims_at(const char *line, unsigned cpu)
{
	const char *to = strstr(line, " to="), *mask = strstr(line, " mask=");

	if (to)
		return strtoul(to + 4, NULL, 10) == cpu;
	return mask && strtoull(mask + 6, NULL, 16) >> cpu & 1;
}

/* The time of "  name-pid  [cpu] flags  seconds.microseconds: event: ..." */
static uint64_t ns_of(const char *line)
{
	const char *cpu = strchr(line, '[');
	double seconds;

	if (!cpu || sscanf(cpu, "[%*[^]]] %*s %lf", &seconds) != 1)
		return 0;
	return (uint64_t)(seconds * 1e9);
}

void sender_print(unsigned cpu, uint64_t since_ns)
{
	static char last[LINES][256];
	char line[256];
	FILE *trace = fopen(TRACING "trace", "r");
	unsigned n = 0;

	if (!trace)
		return;
	while (fgets(line, sizeof(line), trace))
		if (aims_at(line, cpu) && ns_of(line) >= since_ns)
			memcpy(last[n++ % LINES], line, sizeof(line));
	fclose(trace);
	for (unsigned i = n > LINES ? n - LINES : 0; i < n; i++)
		printf("  sent to CPU %u: %s", cpu, last[i % LINES]);
}
