/* SPDX-License-Identifier: MIT */
/* A program without weir, which loads a plugin that has it: see owners.c. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	int (*try_quiet)(void);
	void *plugin = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_LOCAL);
	int err;

	if (plugin == NULL)
		return fprintf(stderr, "%s\n", dlerror()), 1;
	*(void **)&try_quiet = dlsym(plugin, "plugin_try_quiet");
	err = try_quiet == NULL ? 1 : try_quiet();
	if (err != -EOPNOTSUPP)
		return fprintf(stderr, "weir_set_mode: %d\n", err), 1;
	return dlclose(plugin) != 0;
}
