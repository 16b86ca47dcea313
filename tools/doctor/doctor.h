/* SPDX-License-Identifier: MIT */
/* What `weir doctor` finds out, before it is printed as text or as JSON. */
#ifndef WEIR_TOOL_DOCTOR_H
#define WEIR_TOOL_DOCTOR_H

#include <stdbool.h>

#include "api/machine.h" /* the modes that a pool would choose */
#include "os/topology.h" /* the same CPUs as the library sees */

enum doctor_status {
	DOCTOR_OK,
	DOCTOR_NOTE,	/* worth knowing, weir works */
	DOCTOR_UNKNOWN, /* it cannot be read here */
	DOCTOR_PROBLEM, /* drains fall back to a lesser way */
};

struct doctor_check {
	const char *name;  /* for machines: [a-z0-9_] */
	const char *title; /* for people, up to 15 characters */
	enum doctor_status status;
	char value[2048];   /* printable ASCII */
	const char *advice; /* what to do; "" if nothing */
	bool beside;	    /* not of weir's making, nor its to mend */
};

#define DOCTOR_CHECKS_MAX 64

struct doctor {
	struct doctor_check checks[DOCTOR_CHECKS_MAX];
	unsigned nr_checks;
	struct wi_topology topology; /* with the affinity as it came */
	struct wi_machine machine;   /* the modes the library gives */
	struct wi_cpuset spared;     /* CPUs that nothing should interrupt */
	bool may_disturb; /* this thread is on CPUs that are not quiet */
};

/* Adds a check; its value is formatted. */
void doctor_add(struct doctor *d, const char *name, const char *title,
		enum doctor_status status, const char *advice,
		const char *value, ...) __attribute__((format(printf, 6, 7)));

/* The kernel, the C library, and what they give for sequences. */
void doctor_kernel(struct doctor *d);

/* The value of a parameter on the kernel's command line, the last one; false:
 * it is not there. "" if it has no value. */
bool doctor_parameter(const char *name, char *value, size_t len);

/* Has the kernel CONFIG_NO_HZ_FULL? Where /sys cannot be read: yes. */
bool doctor_has_nohz_full(void);

/* CPUs, which of them are set aside, memory. */
void doctor_cpus(struct doctor *d);
void doctor_memory(struct doctor *d);

/* What else interrupts the CPUs to be spared: the kernel's settings; threads,
 * and the interrupts of a moment. */
void doctor_settings(struct doctor *d);
void doctor_tasks(struct doctor *d);

/* As doctor_add(), for those. */
void doctor_beside(struct doctor *d, const char *name, const char *title,
		   enum doctor_status status, const char *advice,
		   const char *value, ...)
	__attribute__((format(printf, 6, 7)));

/* CPUs as the kernel writes them; "none". */
#define DOCTOR_LIST 512
const char *doctor_list(const struct wi_cpuset *set, char buf[DOCTOR_LIST]);

/* The name of a CPU's mode, and why it has it (into buf). */
const char *doctor_mode(const struct doctor *d, unsigned cpu);
const char *doctor_reason(const struct doctor *d, unsigned cpu, char *buf,
			  unsigned len);

/* The CPUs of the machine with this CPU's mode and reason. */
void doctor_alike(const struct doctor *d, unsigned cpu, struct wi_cpuset *set);

#endif
