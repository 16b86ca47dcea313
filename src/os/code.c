/* SPDX-License-Identifier: MIT */
/* Names an address of code for people: the file it is in, and where. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"

/* In libdl before glibc 2.34, and in a static program only if it asks: the
 * address alone has to do where the program has none. */
#pragma weak dladdr

void wi_os_name_code(const void *address, char *to, size_t len)
{
	Dl_info where;
	const char *name;

	if (dladdr == NULL || dladdr(address, &where) == 0 ||
	    where.dli_fname == NULL) {
		snprintf(to, len, "%p", address);
		return;
	}
	name = strrchr(where.dli_fname, '/');
	snprintf(to, len, "%p (%.40s+0x%lx)", address,
		 name != NULL ? name + 1 : where.dli_fname,
		 (unsigned long)((uintptr_t)address -
				 (uintptr_t)where.dli_fbase));
}
