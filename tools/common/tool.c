/* SPDX-License-Identifier: MIT */
#include "common/tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int tool_error(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("weir: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return TOOL_FAILED;
}

int tool_flush(void)
{
	static bool told;

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return TOOL_OK;
	if (!told && errno != 0)
		tool_error("cannot write the output: %s", strerror(errno));
	else if (!told)
		tool_error("cannot write the output");
	told = true;
	return TOOL_FAILED;
}

uint64_t tool_number(struct argp_state *state, const char *option,
		     const char *arg, uint64_t min, uint64_t max)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(arg, &end, 10);
	if (errno != 0 || end == arg || *end != '\0' || arg[0] == '-' ||
	    value < min || value > max)
		argp_error(state,
			   "--%s takes a number from %llu to %llu, not '%s'",
			   option, (unsigned long long)min,
			   (unsigned long long)max, arg);
	return value;
}

/* --help and its kin come from argp; it has no -h. */
static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	if (key != 'h')
		return ARGP_ERR_UNKNOWN;
	argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
	return 0;
}

const struct argp_option tool_options[] = {
	{ NULL, 'h', NULL, 0, "The same as --help", -1 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const struct argp common = {
	.options = tool_options,
	.parser = parse_common,
};

error_t tool_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	const struct argp_child children[] = {
		{ &common, 0, NULL, 0 },
		{ NULL, 0, NULL, 0 },
	};
	struct argp all = *argp;

	all.children = children;
	return argp_parse(&all, argc, argv, 0, NULL, input);
}

bool tool_no_colour(void)
{
	const char *wish = getenv("NO_COLOR");

	return wish && *wish;
}

bool tool_colours(void)
{
	const char *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && !tool_no_colour() && terminal &&
	       *terminal && strcmp(terminal, "dumb") != 0;
}

const char *tool_tuning(char path[TOOL_PATH])
{
	static const char *const places[] = {
		"/../share/doc/weir/tuning.md",
		"/../share/doc/weir/tuning.md.gz",
		"/../docs/tuning.md", /* of a build tree */
	};
	char folder[4096];
	ssize_t len = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	char *slash;

	path[0] = '\0';
	if (len <= 0)
		return path;
	folder[len] = '\0';
	slash = strrchr(folder, '/');
	if (!slash)
		return path;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char whole[TOOL_PATH], *real;

		snprintf(whole, sizeof(whole), "%s%s", folder, places[i]);
		real = realpath(whole, NULL);
		if (real)
			snprintf(path, TOOL_PATH, "%s", real);
		free(real);
		if (path[0])
			break;
	}
	return path;
}

void tool_harmless(char *out, size_t size, const char *text)
{
	size_t len = 0;

	for (; *text; text++) {
		const unsigned char c = (unsigned char)*text;
		char one[8];
		int n;

		/* A backslash as well, so that nothing is pretended. */
		if (c >= ' ' && c < 0x7f && c != '\\')
			n = snprintf(one, sizeof(one), "%c", c);
		else
			n = snprintf(one, sizeof(one), "\\x%02x", c);
		if (len + (size_t)n >= size)
			break;
		memcpy(out + len, one, (size_t)n);
		len += (size_t)n;
	}
	out[len] = '\0';
}
