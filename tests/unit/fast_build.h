/* SPDX-License-Identifier: MIT */
/* Builds programs that use the installed kind of weir: its headers, and the
 * shared library beside the test's own program. */
#ifndef WEIR_TESTS_FAST_BUILD_H
#define WEIR_TESTS_FAST_BUILD_H

#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char build_dir[] = "/tmp/weir-test-XXXXXX";
static char library_dir[PATH_MAX];

static inline void build_clean(void)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "rm -rf %s", build_dir);
	if (system(command) != 0)
		perror(command);
}

static inline void build_begin(void)
{
	char library[PATH_MAX + 16];
	struct stat st;
	ssize_t n;

	if (CHECK_HAS_ASAN || CHECK_HAS_TSAN)
		SKIP("programs that a compiler makes need no sanitizer's "
		     "library");
	n = readlink("/proc/self/exe", library_dir, sizeof(library_dir) - 1);
	CHECK(n > 0);
	library_dir[n] = '\0';
	dirname(library_dir);
	snprintf(library, sizeof(library), "%s/libweir.so", library_dir);
	if (stat(library, &st) != 0)
		SKIP("there is no libweir.so beside this program");
	if (system("cc --version >/dev/null 2>&1") != 0)
		SKIP("there is no cc");
	CHECK(mkdtemp(build_dir) != NULL);
	atexit(build_clean);
}

static inline void build_source(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", build_dir, name);
	file = fopen(path, "w");
	CHECK(file != NULL);
	fputs(text, file);
	CHECK_EQ(fclose(file), 0);
}

/* 0, or what the shell says. `how` is the compiler and its flags. */
static inline int build(const char *how, const char *source, const char *out)
{
	char command[3 * PATH_MAX];

	snprintf(
		command, sizeof(command),
		"cd %s && %s -Wall -Wextra -Werror -I%s/../../include %s -o %s "
		"-L%s -Wl,-rpath,%s -lweir -lpthread",
		build_dir, how, WEIR_FIXTURES, source, out, library_dir,
		library_dir);
	return system(command);
}

#endif
