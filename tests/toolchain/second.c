/* SPDX-License-Identifier: MIT */
/* A second object, in which gcc may find everything to be cold or hot. */
#include "ops.h"

#define PLAIN __attribute__((noinline))
#define NOTHING
DEFINE_OPS(second_plain, PLAIN, NOTHING, NOTHING);
#define COLD __attribute__((noinline, cold))
DEFINE_OPS(second_cold, COLD, NOTHING, NOTHING);
/* Never called: the linker may discard it. */
#define UNUSED __attribute__((unused, noinline))
DEFINE_OPS(second_unused, UNUSED, NOTHING, NOTHING);
extern const struct ops *const toolchain_unused[];
const struct ops *const toolchain_unused[] = { &second_unused_ops };

const struct ops *const *second_ops(void)
{
	static const struct ops *const ops[] = {
		&second_plain_ops,
		&second_cold_ops,
		TOOLCHAIN_NULL,
	};

	return ops;
}
