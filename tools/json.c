/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "tool.h"

#ifdef WEIR_HAVE_JANSSON

void tool_need_json(void)
{
}

static int print(json_t *object, size_t flags)
{
	int status = TOOL_FAILED;

	if (object &&
	    json_dumpf(object, stdout, flags | JSON_REAL_PRECISION(6)) == 0) {
		putchar('\n');
		status = TOOL_OK;
	} else {
		tool_error("cannot print the JSON: no memory, or the output "
			   "is closed");
	}
	json_decref(object);
	return status;
}

int json_finish(json_t *object)
{
	return print(object, JSON_INDENT(2));
}

int json_line(json_t *object)
{
	int status = print(object, JSON_COMPACT);

	if (status == TOOL_OK && fflush(stdout) != 0)
		return tool_error("cannot write the output");
	return status;
}

#else

void tool_need_json(void)
{
	fputs("weir: built without JSON; install libjansson-dev and run make "
	      "again\n",
	      stderr);
	exit(TOOL_USAGE);
}

#endif
