/* SPDX-License-Identifier: MIT */
/* The program in C. TOOLCHAIN_PLUGIN: without main, for host.c. */
#define _GNU_SOURCE
#include "ops.h"

#define static_cast_ul(x) ((unsigned long)(x))
#include "body.h"

volatile int toolchain_one = 1;

static struct weir_pool *early;

__attribute__((constructor)) static void begin(void)
{
	early = make_pool();
}

int toolchain_run(void)
{
	static const struct ops *const none[] = { TOOLCHAIN_NULL };

	return run(none, &early);
}

int toolchain_last(int inlined)
{
	return run_last(inlined);
}

#ifndef TOOLCHAIN_PLUGIN
int main(void)
{
	return toolchain_run();
}
#endif
