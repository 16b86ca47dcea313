/* SPDX-License-Identifier: MIT */
/*
 * If this fails, the check whether the kernel aborts sequences is wrong: a
 * program has no fast path although they are, or trusts them although they are
 * not and gives pages twice.
 */
#include <weir/fast.h>

#include "fault.h"
#include "os/rseq.h"
#include "seccomp.h"

#define TIMES 60
#define TIMES_MAX 1000

static unsigned nr_checks;

/* A membarrier that does nothing is as if the kernel aborted nothing, as long
 * as this thread keeps its CPU; on a busy machine that may take some tries. */
static void none_is_aborted(void *unused)
{
	const struct refusal nothing = { .nr = SYS_membarrier, .error = 0 };
	unsigned tries = 0;

	(void)unused;
	CHECK(wi_rseq_available()); /* registered before */
	seccomp_refuse(&nothing, 1);
	while (tries++ < TIMES_MAX)
		if (!wi_rseq_aborts()) {
			printf("seen in check %u\n", tries);
			return;
		}
	printf("left out: a kernel that does not abort: this thread never kept "
	       "its CPU for 2 ms\n");
}

int main(void)
{
	if (!wi_rseq_available())
		SKIP("there are no sequences");
	need_two_cpus();
	for (; nr_checks < TIMES; nr_checks++)
		CHECK_MSG(wi_rseq_aborts(), "check %u of %d", nr_checks, TIMES);
	in_child(none_is_aborted, NULL);
	printf("figures: %u checks that found sequences aborted\n", nr_checks);
	return 0;
}
