/* SPDX-License-Identifier: MIT */
/* What the creation of a pool or a cache needs to know about the machine. */
#ifndef WI_API_MACHINE_H
#define WI_API_MACHINE_H

#include <stdbool.h>

#include "os/rseq.h"
#include "percpu/drain.h"
#include "os/topology.h"

/* In the mapping of the created object: too large for a stack, and unmapping it
 * would interrupt CPUs. */
struct wi_machine {
	struct wi_topology topology;
	struct wi_cpuset quiet, polling;
	uint8_t mode[WI_CPUS_MAX]; /* enum wi_mode */
	bool locked;		   /* no sequences, or not wanted */
	bool settled;		   /* wi_rseq_is_settled() */
};

/*
 * Reads the machine and gives each CPU its mode: from the cpulists (NULL: the
 * CPUs the system isolates are quiet, none is polling); without membarrier
 * those that would be ordinary are quiet. 0, or -EINVAL or -ENOMEM with
 * wi_report().
 */
int wi_machine_read(struct wi_machine *machine, const char *quiet_cpus,
		    const char *polling_cpus, bool no_rseq);

/* A cpulist of the caller's, of CPUs the machine may have; NULL: all. 0, or
 * -EINVAL with wi_report(), which calls it `field`. */
int wi_machine_cpus(struct wi_cpuset *set, unsigned nr_cpus, const char *list,
		    const char *field);

#endif
