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

static int put(const char *file, const char *text)
{
	char path[96];
	int fd, err = 0;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err = errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* Where calls to one CPU pass: the first of the functions that can be probed.
 * It is gone from 6.12 on. */
static const char *const one[] = {
	"p:vm/call send_call_function_single_ipi to=%di:s32",
	"p:vm/call native_send_call_func_single_ipi to=%di:s32",
};
static const char *const many[] = {
	"p:vm/calls smp_call_function_many_cond mask=+0(%di):x64",
};
static const char *const resched[] = {
	"p:vm/resched native_smp_send_reschedule to=%di:s32",
};

static void probe(const char *const *choices, unsigned nr)
{
	int err = -1;

	for (unsigned i = 0; i < nr && err != 0; i++)
		err = put("kprobe_events", choices[i]);
	if (err != 0)
		printf("sender: %s: %s\n", choices[nr - 1], strerror(err));
}

void sender_watch(void)
{
	int err;

	probe(one, 2);
	probe(many, 1);
	probe(resched, 1);
	err = put("trace_clock", "mono");
	if (err == 0)
		err = put("events/vm/enable", "1");
	if (err != 0)
		printf("sender: %s\n", strerror(err));
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

/* Keeps the last lines about that CPU; how many there were. */
static unsigned collect(char last[LINES][256], unsigned cpu, uint64_t since_ns)
{
	char line[256];
	FILE *trace = fopen(TRACING "trace", "r");
	unsigned n = 0;

	while (trace && fgets(line, sizeof(line), trace))
		if (aims_at(line, cpu) && ns_of(line) >= since_ns)
			memcpy(last[n++ % LINES], line, sizeof(line));
	if (trace)
		fclose(trace);
	return n;
}

bool sender_saw(unsigned cpu, uint64_t since_ns)
{
	char last[LINES][256];

	return collect(last, cpu, since_ns) > 0;
}

void sender_print(unsigned cpu, uint64_t since_ns)
{
	char last[LINES][256];
	const unsigned n = collect(last, cpu, since_ns);

	for (unsigned i = n > LINES ? n - LINES : 0; i < n; i++)
		printf("  sent to CPU %u: %s", cpu, last[i % LINES]);
}
