/* SPDX-License-Identifier: MIT */
/* weir as a way of the demo, in each mode, and without drains. */
#ifndef WEIR_TOOL_DEMO_WEIR_H
#define WEIR_TOOL_DEMO_WEIR_H

#include "common/way.h"

extern const struct demo_way demo_none, demo_ordinary, demo_quiet, demo_polling;

#endif
