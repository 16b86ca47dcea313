/* SPDX-License-Identifier: MIT */
/*
 * JSON is optional: without jansson at build time every --json ends in
 * tool_need_json(), and the code between #ifdef WEIR_HAVE_JANSSON is absent.
 */
#ifndef WEIR_TOOL_JSON_H
#define WEIR_TOOL_JSON_H

#ifdef WEIR_HAVE_JANSSON

#include <jansson.h>

/* Prints the object on standard output and gives its reference up. NULL is an
 * object that could not be made. Returns TOOL_OK or TOOL_FAILED. */
int json_finish(json_t *object);

/* The same on one line, written out at once. */
int json_line(json_t *object);

#endif

#endif
