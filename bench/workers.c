/* SPDX-License-Identifier: MIT */
/* The workers that are part of the weir command. */
#include "workers.h"

#include <string.h>

#include "common/tool.h"

/* What `weir bench` starts: not for people. */
int cmd_bench_worker(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "floor") == 0)
		return bench_floor_worker(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "weir") == 0)
		return bench_weir_worker(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "baseline") == 0)
		return bench_baseline_worker(argc - 1, argv + 1);
	return tool_error("bench-worker is started by 'weir bench' alone");
}
