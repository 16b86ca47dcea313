/* SPDX-License-Identifier: MIT */
/* The environment, which a program with more rights than its user ignores. */
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

unsigned wi_os_env_level(const char *name)
{
	const char *value = secure_getenv(name);

	if (value == NULL || value[0] == '\0' || strcmp(value, "0") == 0)
		return 0;
	return strcmp(value, "2") == 0 ? 2 : 1;
}
