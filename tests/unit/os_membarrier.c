/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a membarrier meant for one CPU reaches others, or fails where
 * the kernel has it.
 */
#include "os/os.h"
#include "os_system.h"

static void fence_cpu0(void)
{
	for (int i = 0; i < 500; i++)
		CHECK_EQ(wi_os_membarrier_cpu(0), 0);
}

static void fence_cpu1(void)
{
	for (int i = 0; i < 500; i++)
		CHECK_EQ(wi_os_membarrier_cpu(1), 0);
}

int main(void)
{
	int error;

	errno = E2BIG;
	error = wi_os_membarrier_register();
	CHECK_EQ(errno, E2BIG);
	if (error) {
		CHECK(error < 0);
		CHECK(wi_os_membarrier_cpu(0) < 0);
		SKIP("membarrier cannot be registered here: %d", error);
	}
	CHECK_EQ(wi_os_membarrier_register(), 0); /* again is no harm */
	CHECK_EQ(wi_os_membarrier_cpu(0), 0);

	system_compare("membarrier of CPU 0", fence_cpu0, fence_cpu1);
	return 0;
}
