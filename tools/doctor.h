/* SPDX-License-Identifier: MIT */
/* What `weir doctor` finds out, before it is printed as text or as JSON. */
#ifndef WEIR_TOOL_DOCTOR_H
#define WEIR_TOOL_DOCTOR_H

#include <stdbool.h>

#include "cache/machine.h"
#include "topology/topology.h"

enum doctor_status {
	DOCTOR_OK,
	DOCTOR_NOTE,	/* worth knowing, weir works */
	DOCTOR_PROBLEM, /* drains fall back to a lesser way */
};

struct doctor_check {
	const char *name;  /* for machines: [a-z0-9_] */
	const char *title; /* for people, up to 15 characters */
	enum doctor_status status;
	char value[1024];
	const char *advice; /* what to do; "" if nothing */
};

#define DOCTOR_CHECKS_MAX 24

struct doctor {
	struct doctor_check checks[DOCTOR_CHECKS_MAX];
	unsigned nr_checks;
	struct wi_topology topology; /* with the affinity as it came */
	struct wi_machine machine;   /* the modes the library gives */
	bool may_disturb; /* this thread is on CPUs that are not quiet */
};

/* Adds a check; its value is formatted. */
void doctor_add(struct doctor *d, const char *name, const char *title,
		enum doctor_status status, const char *advice,
		const char *value, ...) __attribute__((format(printf, 6, 7)));

/* The kernel, the C library, and what they give for sequences. */
void doctor_kernel(struct doctor *d);

/* CPUs, which of them are set aside, memory. */
void doctor_cpus(struct doctor *d);
void doctor_memory(struct doctor *d);

/* The name of a CPU's mode, and why it has it (into buf). */
const char *doctor_mode(const struct doctor *d, unsigned cpu);
const char *doctor_reason(const struct doctor *d, unsigned cpu, char *buf,
			  unsigned len);

/* The CPUs of the machine with this CPU's mode and reason. */
void doctor_alike(const struct doctor *d, unsigned cpu, struct wi_cpuset *set);

#endif
