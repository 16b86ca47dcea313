/* SPDX-License-Identifier: MIT */
/* The environment, which a program with more rights than its user ignores. */
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

bool wi_os_env_is_set(const char *name)
{
	const char *value = secure_getenv(name);

	return value != NULL && value[0] != '\0' && strcmp(value, "0") != 0;
}
