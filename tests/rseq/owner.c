/* SPDX-License-Identifier: MIT */
/*
 * A library that registers an rseq area of its own, as allocators did before C
 * libraries had one: loaded before the program. It registers the first thread
 * if RSEQ_OWNER asks for it, and others when they ask. With RSEQ_HIDDEN its
 * area has no name that others could find.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "owner.h"

#ifdef RSEQ_HIDDEN
#define NAME hidden_rseq_area
#define VISIBLE __attribute__((visibility("hidden")))
#else
#define NAME __rseq_abi
#define VISIBLE __attribute__((visibility("default")))
#endif

VISIBLE __thread struct {
	uint32_t cpu_id_start;
	int32_t cpu_id;
	uint64_t rseq_cs;
	uint32_t flags, rest[3];
} NAME __attribute__((aligned(32), tls_model("initial-exec"))) = {
	.cpu_id = -1,
};

__attribute__((visibility("default"))) int owner_register(void)
{
	if (NAME.cpu_id >= 0)
		return 0;
	return (int)syscall(SYS_rseq, &NAME, sizeof(NAME), 0, 0x53053053);
}

__attribute__((visibility("default"))) const void *owner_area(void)
{
	return &NAME;
}

__attribute__((constructor)) static void begin(void)
{
	if (getenv("RSEQ_OWNER") != NULL)
		(void)owner_register();
}
