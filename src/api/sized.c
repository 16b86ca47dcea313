/* SPDX-License-Identifier: MIT */
#include "api/sized.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/request.h>
#include <weir/watch.h>

#include "base/bits.h"
#include "os/report.h"

/* Sizes outside of this are garbage, not a struct of any version. */
#define SIZE_LEAST (2 * sizeof(size_t))
#define SIZE_MOST 4096

/* A field added at the end must not lie in what was padding, whose bytes an
 * older program leaves undefined. */
#define ENDS_WITH(name, field)                                                 \
	_Static_assert(sizeof(struct name) ==                                  \
			       offsetof(struct name, field) +                  \
				       sizeof(((struct name *)0)->field),      \
		       #name " ends in padding")

ENDS_WITH(weir_pool_opts, max_capacity);
ENDS_WITH(weir_cache_opts, capacity);
ENDS_WITH(weir_drain_opts, wait_ns);
ENDS_WITH(weir_drain_result, taken_over);
ENDS_WITH(weir_range_result, pending);
ENDS_WITH(weir_stat, isolated);
ENDS_WITH(weir_stat_zone, isolated);
ENDS_WITH(weir_stat_cpu, list);
ENDS_WITH(weir_stat_page, pool);
ENDS_WITH(weir_watch_info, max_bytes);
ENDS_WITH(weir_cache_stat, stall_ns);
ENDS_WITH(weir_cache_stat_cpu, list);
ENDS_WITH(weir_request, internal);
ENDS_WITH(weir_maintain_opts, reserve_pages);
ENDS_WITH(weir_watermarks, context);

static const struct {
	size_t bytes;
	const char *initialiser;
} structs[WI_NR_SIZED] = {
	[WI_SIZED_POOL_OPTS] = { sizeof(struct weir_pool_opts), "POOL_OPTS" },
	[WI_SIZED_CACHE_OPTS] = { sizeof(struct weir_cache_opts),
				  "CACHE_OPTS" },
	[WI_SIZED_DRAIN_OPTS] = { sizeof(struct weir_drain_opts),
				  "DRAIN_OPTS" },
	[WI_SIZED_DRAIN_RESULT] = { sizeof(struct weir_drain_result),
				    "DRAIN_RESULT" },
	[WI_SIZED_RANGE_RESULT] = { sizeof(struct weir_range_result),
				    "RANGE_RESULT" },
	[WI_SIZED_STAT] = { sizeof(struct weir_stat), "STAT" },
	[WI_SIZED_STAT_ZONE] = { sizeof(struct weir_stat_zone), "STAT_ZONE" },
	[WI_SIZED_STAT_CPU] = { sizeof(struct weir_stat_cpu), "STAT_CPU" },
	[WI_SIZED_STAT_PAGE] = { sizeof(struct weir_stat_page), "STAT_PAGE" },
	[WI_SIZED_WATCH_INFO] = { sizeof(struct weir_watch_info),
				  "WATCH_INFO" },
	[WI_SIZED_CACHE_STAT] = { sizeof(struct weir_cache_stat),
				  "CACHE_STAT" },
	[WI_SIZED_CACHE_STAT_CPU] = { sizeof(struct weir_cache_stat_cpu),
				      "CACHE_STAT_CPU" },
	[WI_SIZED_REQUEST] = { sizeof(struct weir_request), "REQUEST" },
	[WI_SIZED_MAINTAIN_OPTS] = { sizeof(struct weir_maintain_opts),
				     "MAINTAIN_OPTS" },
	[WI_SIZED_WATERMARKS] = { sizeof(struct weir_watermarks),
				  "WATERMARKS" },
};

/* --- copies ------------------------------------------------------------- */

/* The caller's struct need not be aligned as ours would be. */
static size_t size_of(const void *theirs)
{
	size_t size;

	memcpy(&size, theirs, sizeof(size));
	return size;
}

static void say_size(char *to, size_t len, const uint64_t *arg)
{
	const char *initialiser = "..";

	if (arg[0] < WI_NR_SIZED)
		initialiser = structs[arg[0]].initialiser;
	snprintf(to, len, "size: %" PRIu64 "; set it with WEIR_%s_INIT", arg[1],
		 initialiser);
}

static void say_byte(char *to, size_t len, const uint64_t *arg)
{
	snprintf(to, len,
		 "size: %" PRIu64 "; byte %" PRIu64 " is set, which this "
		 "library does not know",
		 arg[1], arg[2]);
}

int wi_sized_check(enum wi_sized which, const void *theirs)
{
	const size_t size = size_of(theirs);

	if (size >= SIZE_LEAST && size <= SIZE_MOST &&
	    size % sizeof(size_t) == 0)
		return 0;
	wi_report_reason(say_size,
			 (const uint64_t[WI_REASON_ARGS]){ which, size });
	return -EINVAL;
}

int wi_sized_in(enum wi_sized which, void *ours, const void *theirs)
{
	const size_t known = structs[which].bytes, size = size_of(theirs);
	const char *bytes = theirs;

	if (wi_sized_check(which, theirs) != 0)
		return -EINVAL;
	for (size_t i = known; i < size; i++)
		if (bytes[i] != 0) {
			wi_report_reason(say_byte,
					 (const uint64_t[WI_REASON_ARGS]){
						 which, size, i });
			return -EINVAL;
		}
	memcpy(ours, theirs, wi_min_u64(size, known));
	return 0;
}

void wi_sized_out(enum wi_sized which, void *theirs, const void *ours)
{
	const size_t known = structs[which].bytes, size = size_of(theirs);
	const size_t first = sizeof(size_t); /* the caller's */
	char *to = theirs;

	memcpy(to + first, (const char *)ours + first,
	       wi_min_u64(size, known) - first);
	if (size > known)
		memset(to + known, 0, size - known);
}

/* --- initialisers for other languages ----------------------------------- */

static void init_sized(void *theirs, size_t size)
{
	memset(theirs, 0, size);
	memcpy(theirs, &size, sizeof(size));
}

/* Of defaults that are not 0. */
static void set_default(void *theirs, size_t size, size_t at, const void *value,
			size_t bytes)
{
	if (size >= at + bytes)
		memcpy((char *)theirs + at, value, bytes);
}

static void set_wait(void *theirs, size_t size, size_t at)
{
	const uint64_t wait_ns = WEIR_WAIT_DEFAULT;

	set_default(theirs, size, at, &wait_ns, sizeof(wait_ns));
}

void weir_pool_opts_init(struct weir_pool_opts *opts, size_t size)
{
	const int node = WEIR_NODE_ANY;

	init_sized(opts, size);
	set_default(opts, size, offsetof(struct weir_pool_opts, node), &node,
		    sizeof(node));
	set_wait(opts, size, offsetof(struct weir_pool_opts, wait_ns));
}

void weir_cache_opts_init(struct weir_cache_opts *opts, size_t size)
{
	init_sized(opts, size);
	set_wait(opts, size, offsetof(struct weir_cache_opts, wait_ns));
}

void weir_drain_opts_init(struct weir_drain_opts *opts, size_t size)
{
	init_sized(opts, size);
	set_wait(opts, size, offsetof(struct weir_drain_opts, wait_ns));
}

void weir_drain_result_init(struct weir_drain_result *result, size_t size)
{
	init_sized(result, size);
}

void weir_range_result_init(struct weir_range_result *result, size_t size)
{
	init_sized(result, size);
}

void weir_stat_init(struct weir_stat *stat, size_t size)
{
	init_sized(stat, size);
}

void weir_stat_zone_init(struct weir_stat_zone *stat, size_t size)
{
	init_sized(stat, size);
}

void weir_stat_cpu_init(struct weir_stat_cpu *stat, size_t size)
{
	init_sized(stat, size);
}

void weir_stat_page_init(struct weir_stat_page *stat, size_t size)
{
	init_sized(stat, size);
}

void weir_watch_info_init(struct weir_watch_info *info, size_t size)
{
	init_sized(info, size);
}

void weir_cache_stat_init(struct weir_cache_stat *stat, size_t size)
{
	init_sized(stat, size);
}

void weir_cache_stat_cpu_init(struct weir_cache_stat_cpu *stat, size_t size)
{
	init_sized(stat, size);
}

void weir_request_init(struct weir_request *request, size_t size)
{
	const int fd = -1;

	init_sized(request, size);
	set_default(request, size, offsetof(struct weir_request, fd), &fd,
		    sizeof(fd));
}

void weir_maintain_opts_init(struct weir_maintain_opts *opts, size_t size)
{
	init_sized(opts, size);
}

void weir_watermarks_init(struct weir_watermarks *marks, size_t size)
{
	init_sized(marks, size);
}
