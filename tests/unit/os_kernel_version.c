/* SPDX-License-Identifier: MIT */
/*
 * If this fails, `weir doctor` calls a kernel without the rseq fix a good one,
 * or the other way round.
 */
#include "os/internal.h"
#include "os/os.h"
#include "os_system.h"

static const struct {
	const char *release, *version, *signature;
	int result;
	unsigned v[3];
} rows[] = {
	{ "6.18.44-fc-v657", "#1 SMP PREEMPT", "", 0, { 6, 18, 44 } },
	{ "6.12", "#1", "", 0, { 6, 12, 0 } },
	{ "6.12-rc3", "#1", "", 0, { 6, 12, 0 } },
	{ "6.1.0-31-amd64",
	  "#1 SMP PREEMPT_DYNAMIC Debian 6.1.128-1 (2025-02)",
	  "",
	  0,
	  { 6, 1, 128 } },
	{ "6.1.0-31-rt-amd64",
	  "#1 SMP PREEMPT_RT Debian 6.1.128-1",
	  "",
	  0,
	  { 6, 1, 128 } },
	{ "6.1.0-1", "#1 Debian 5.10.3-1", "", 0, { 6, 1, 0 } },
	{ "6.1.0-1", "#1 Debian oddity", "", 0, { 6, 1, 0 } },
	{ "5.15.0-91-generic",
	  "#101-Ubuntu SMP",
	  "Ubuntu 5.15.0-91.101-generic 5.15.131",
	  0,
	  { 5, 15, 131 } },
	{ "5.14.0-362.8.1.el9_3.x86_64", "#1 SMP", "", 0, { 5, 14, 0 } },
	{ "6.6.30.1", "#1", "", 0, { 6, 6, 30 } },
	{ "", "", "", -EINVAL, { 0, 0, 0 } },
	{ "linux", "", "", -EINVAL, { 0, 0, 0 } },
	{ "6", "", "", -EINVAL, { 6, 0, 0 } },
};

int main(void)
{
	unsigned v[3];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int result = wi_os_version_parse(
			v, rows[i].release, rows[i].version, rows[i].signature);

		CHECK_MSG(result == rows[i].result &&
				  !memcmp(v, rows[i].v, sizeof(v)),
			  "\"%s\" is %d, %u.%u.%u", rows[i].release, result,
			  v[0], v[1], v[2]);
	}
	CHECK_EQ(wi_os_kernel_version(v), 0);
	CHECK(v[0] >= 3);
	return 0;
}
