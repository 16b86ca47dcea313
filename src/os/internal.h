/* SPDX-License-Identifier: MIT */
/* Shared by the files of this module; no other module includes it. */
#ifndef WI_OS_INTERNAL_H
#define WI_OS_INTERNAL_H

#include <errno.h>
#include <stdbool.h>

/*
 * The negative errno of a call that has just failed, after putting back the
 * errno the caller of the library had.
 */
static inline int wi_os_failure(int saved_errno)
{
	int error = errno;

	errno = saved_errno;
	return -error;
}

/* A thread's state in the text of /proc/.../status: has it ended? */
bool wi_os_state_is_dead(const char *status);

/*
 * wi_os_kernel_version() from uname's release and version and the contents
 * of /proc/version_signature; the last two may be "".
 */
int wi_os_version_parse(unsigned v[3], const char *release, const char *version,
			const char *signature);

#endif
