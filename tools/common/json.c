/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/tool.h"

#ifdef WEIR_HAVE_JANSSON

void tool_need_json(void)
{
}

static int print(json_t *object, size_t flags)
{
	int err;

	if (!object)
		return tool_error("cannot print the JSON: no memory");
	err = json_dumpf(object, stdout, flags | JSON_REAL_PRECISION(6));
	json_decref(object);
	putchar('\n');
	return err == 0 ? TOOL_OK : tool_flush();
}

int json_finish(json_t *object)
{
	return print(object, JSON_INDENT(2));
}

int json_line(json_t *object)
{
	int status = print(object, JSON_COMPACT);

	return status == TOOL_OK ? tool_flush() : status;
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
