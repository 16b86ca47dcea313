/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a maintenance thread that the system refuses leaves something
 * behind, or keeps its pool from being used.
 */
#include <weir/request.h>

#include "fault.h"
#include "os/os.h"
#include "seccomp.h"

static struct weir_pool *pool;

static void without_threads(void *arg)
{
	const int error = *(const int *)arg;
	const struct refusal refusals[] = {
		{ .nr = SYS_clone, .error = error },
		{ .nr = SYS_clone3, .error = error },
	};
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	long before;

	opts.capacity = 4 << 20;
	opts.quiet_cpus = "";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	/* The C library keeps the stack of a thread that it could not start. */
	CHECK_EQ(weir_maintain_start(pool, NULL), 0);
	CHECK_EQ(weir_maintain_stop(pool), 0);
	seccomp_refuse(refusals, 2);
	before = wi_os_count_lines("/proc/self/maps");
	for (unsigned i = 0; i < 10; i++) {
		CHECK_EQ(weir_maintain_start(pool, NULL), -error);
		CHECK(strstr(weir_last_error(), "refused a thread") != NULL);
	}
	CHECK(wi_os_count_lines("/proc/self/maps") <= before);
	CHECK_EQ(weir_maintain_stop(pool), 0);
	CHECK_EQ(weir_maintain(pool, 0, NULL), 0);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
}

int main(void)
{
	in_child(without_threads, &(int){ EAGAIN });
	in_child(without_threads, &(int){ EPERM });
	return 0;
}
