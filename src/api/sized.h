/* SPDX-License-Identifier: MIT */
/*
 * Public structs that begin with their size. A program may have been compiled
 * with an older or a later header than the library, whose struct is shorter or
 * longer: fields are only ever added at the end. Every such struct crosses the
 * interface here, and nowhere is a caller's struct used as if it were ours.
 *
 *	caller's struct    shorter than ours           longer than ours
 *	options            the rest has its default    unknown bytes must be 0
 *	results            the rest is not written     unknown bytes become 0
 *
 * Signal-safe: a few copies and stores.
 */
#ifndef WI_API_SIZED_H
#define WI_API_SIZED_H

#include <stddef.h>

/* The structs, each with its row in sized.c. */
enum wi_sized {
	WI_SIZED_POOL_OPTS,
	WI_SIZED_CACHE_OPTS,
	WI_SIZED_DRAIN_OPTS,
	WI_SIZED_DRAIN_RESULT,
	WI_SIZED_RANGE_RESULT,
	WI_SIZED_STAT,
	WI_SIZED_STAT_ZONE,
	WI_SIZED_STAT_CPU,
	WI_SIZED_STAT_PAGE,
	WI_SIZED_WATCH_INFO,
	WI_SIZED_CACHE_STAT,
	WI_SIZED_CACHE_STAT_CPU,
	WI_SIZED_REQUEST,
	WI_SIZED_MAINTAIN_OPTS,
	WI_SIZED_WATERMARKS,
	WI_NR_SIZED,
};

/* 0 if `theirs` has a size that some header may give it; else -EINVAL, with a
 * reason for weir_last_error(). */
int wi_sized_check(enum wi_sized which, const void *theirs);

/* Copies the caller's options over the defaults in *ours: 0, or -EINVAL with a
 * reason, for the size or for an unknown byte that is not 0. */
int wi_sized_in(enum wi_sized which, void *ours, const void *theirs);

/* Stores a result in *theirs, whose size has been checked and is kept. */
void wi_sized_out(enum wi_sized which, void *theirs, const void *ours);

#endif
