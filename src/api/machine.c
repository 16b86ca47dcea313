/* SPDX-License-Identifier: MIT */
#include "api/machine.h"

#include <errno.h>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#else
#define __libc_single_threaded 0 /* glibc before 2.32 does not know */
#endif

#include "os/report.h"
#include "os/rseq.h"

int wi_machine_cpus(struct wi_cpuset *set, unsigned nr_cpus, const char *list,
		    const char *field)
{
	const char *why;

	if (list == NULL) {
		wi_cpuset_fill(set, nr_cpus);
		return 0;
	}
	if (wi_cpuset_parse(set, list, &why) != 0) {
		wi_report("%s: \"%.60s\" is no list of CPUs: %s", field, list,
			  why);
		return -EINVAL;
	}
	if (wi_cpuset_next(set, nr_cpus) < WI_CPUS_MAX) {
		wi_report("%s: CPU %u cannot exist here, the last is %u", field,
			  wi_cpuset_next(set, nr_cpus), nr_cpus - 1);
		return -EINVAL;
	}
	return 0;
}

/*
 * Sequences, if they work. Whether the kernel really aborts them is checked
 * once, and only while there is no other thread and this CPU is not quiet: the
 * check takes a second thread and interrupts this CPU. Where it was not made,
 * the sequences are trusted; `weir doctor` checks too.
 */
static bool sequences_work(const struct wi_machine *machine)
{
	static uint8_t checked; /* 0: not yet, 1: they work, 2: they do not */
	uint8_t known = wi_load_relaxed(&checked); /* a fact; any order does */

	if (!wi_rseq_available())
		return false;
	if (known == 0 && __libc_single_threaded &&
	    !wi_cpuset_test(&machine->quiet, (unsigned)wi_os_current_cpu())) {
		known = wi_rseq_aborts() ? 1 : 2;
		wi_store_relaxed(&checked, known); /* as above */
	}
	return known != 2;
}

static enum wi_mode mode_of(const struct wi_machine *machine, unsigned cpu)
{
	if (machine->locked)
		return WI_MODE_LOCKED;
	if (wi_cpuset_test(&machine->polling, cpu))
		return WI_MODE_POLLING;
	if (wi_cpuset_test(&machine->quiet, cpu) || !wi_rseq_has_membarrier())
		return WI_MODE_QUIET;
	return WI_MODE_ORDINARY;
}

int wi_machine_read(struct wi_machine *machine, const char *quiet_cpus,
		    const char *polling_cpus, bool no_rseq)
{
	struct wi_topology *topology = &machine->topology;
	int err = wi_rseq_begin();

	if (err != 0) {
		wi_report("the system refused a page for the process");
		return err;
	}
	machine->settled = wi_rseq_is_settled();
	wi_topology_read(topology, NULL);
	if (polling_cpus == NULL)
		polling_cpus = "";
	err = wi_machine_cpus(&machine->polling, topology->nr_cpus,
			      polling_cpus, "polling_cpus");
	if (err != 0)
		return err;
	if (quiet_cpus != NULL) {
		err = wi_machine_cpus(&machine->quiet, topology->nr_cpus,
				      quiet_cpus, "quiet_cpus");
		if (err != 0)
			return err;
	} else {
		wi_cpuset_zero(&machine->quiet);
		for (unsigned cpu = 0; cpu < topology->nr_cpus; cpu++)
			if (wi_topology_quiet_reason(topology, cpu) != 0)
				wi_cpuset_set(&machine->quiet, cpu);
	}
	machine->locked = no_rseq || !sequences_work(machine);
	for (unsigned cpu = 0; cpu < topology->nr_cpus; cpu++)
		machine->mode[cpu] = (uint8_t)mode_of(machine, cpu);
	return 0;
}
