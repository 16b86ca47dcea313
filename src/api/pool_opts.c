/* SPDX-License-Identifier: MIT */
/* The options of a new pool: defaults, and what makes no sense. */
#include "api/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/sized.h"
#include "os/report.h"

#define CAPACITY_MAX (UINT64_C(1) << 46)
#define DEFAULT_PAGE 4096
#define DEFAULT_BATCH 64
#define DEFAULT_WAIT_NS 10000000

#define ALL_POOL_FLAGS                                                         \
	(WEIR_POOL_CHECKED | WEIR_POOL_PREFAULT | WEIR_POOL_LOCK |             \
	 WEIR_POOL_NO_RSEQ | WEIR_POOL_HIDDEN | WEIR_POOL_ADAPT)

#define REFUSE(...) return (wi_report(__VA_ARGS__), -EINVAL)

static int check_backing(const struct weir_pool_opts *o)
{
	const uint64_t kernel_page = (uint64_t)sysconf(_SC_PAGESIZE);

	if ((unsigned)o->backing > WEIR_BACKING_REGION)
		REFUSE("backing: %d is none of WEIR_BACKING_...",
		       (int)o->backing);
	if (o->backing == WEIR_BACKING_REGION) {
		if (o->region == NULL)
			REFUSE("region: NULL, but backing is "
			       "WEIR_BACKING_REGION");
		if ((uintptr_t)o->region %
		    wi_max_u64(o->alignment, kernel_page))
			REFUSE("region: %p is not aligned to %" PRIu64
			       " (alignment, or else page_size) and to the "
			       "kernel's page",
			       o->region, o->alignment);
		if ((uintptr_t)o->region > UINTPTR_MAX - o->max_capacity)
			REFUSE("region: %p and capacity reach past the address "
			       "space",
			       o->region);
	} else if (o->region != NULL) {
		REFUSE("region: set, but backing is not WEIR_BACKING_REGION");
	}
	if (o->backing == WEIR_BACKING_MEMFD) {
		struct stat st;

		if (fstat(o->fd, &st) != 0)
			REFUSE("fd: %d is not an open file", o->fd);
		if (o->fd_offset % kernel_page)
			REFUSE("fd_offset: %" PRIu64 " is not a multiple of "
			       "the kernel's page",
			       o->fd_offset);
		if (o->fd_offset > (uint64_t)st.st_size ||
		    (uint64_t)st.st_size - o->fd_offset < o->capacity)
			REFUSE("fd: the file has %" PRId64 " bytes, fd_offset "
			       "and capacity need more",
			       (int64_t)st.st_size);
	} else if (o->fd_offset != 0) {
		REFUSE("fd_offset: set, but backing is not "
		       "WEIR_BACKING_MEMFD");
	}
	return 0;
}

/* Either capacity, whose name is `what`. */
static int check_capacity(const char *what, uint64_t bytes, uint64_t page_size)
{
	if (bytes > CAPACITY_MAX)
		REFUSE("%s: %" PRIu64 " is more than 2^46 bytes", what, bytes);
	if (bytes < page_size)
		REFUSE("%s: %" PRIu64 " is less than page_size %" PRIu64, what,
		       bytes, page_size);
	if (wi_is_pow2(page_size)) {
		if (bytes % page_size)
			REFUSE("%s: %" PRIu64 " is not a multiple of page_size "
			       "%" PRIu64,
			       what, bytes, page_size);
	} else if (bytes > UINT64_MAX / page_size) {
		/* weir_i_is_multiple() would err. */
		REFUSE("%s: %" PRIu64 " times page_size %" PRIu64
		       ", which is no power of two, is 2^64 or more",
		       what, bytes, page_size);
	}
	return 0;
}

static int check_max_capacity(const struct weir_pool_opts *o)
{
	const uint64_t unit = o->page_size * 512;

	if (o->max_capacity < o->capacity)
		REFUSE("max_capacity: %" PRIu64 " is less than capacity",
		       o->max_capacity);
	if (o->max_capacity > o->capacity &&
	    (o->max_capacity % unit != 0 || o->capacity % unit != 0))
		REFUSE("max_capacity: it and capacity are not multiples of "
		       "512 pages, %" PRIu64 " bytes",
		       unit);
	return check_capacity("max_capacity", o->max_capacity, o->page_size);
}

/* page_size, alignment and max_capacity, which are set, and capacity. */
static int check_sizes(const struct weir_pool_opts *o)
{
	int err;

	if (!wi_live_is_page_size(o->page_size))
		REFUSE("page_size: %" PRIu64 " is not a multiple of 64 from 64 "
		       "to 2^30",
		       o->page_size);
	if (!wi_is_pow2(o->alignment) || o->page_size % o->alignment)
		REFUSE("alignment: %" PRIu64 " is not a power of two that "
		       "divides page_size %" PRIu64,
		       o->alignment, o->page_size);
	if (o->capacity == 0)
		REFUSE("capacity: 0; it is the pool's size in bytes");
	err = check_capacity("capacity", o->capacity, o->page_size);
	return err != 0 ? err : check_max_capacity(o);
	return 0;
}

int wi_pool_read_opts(struct weir_pool_opts *o,
		      const struct weir_pool_opts *given)
{
	int err;

	*o = (struct weir_pool_opts)WEIR_POOL_OPTS_INIT;
	if (given == NULL)
		REFUSE("opts: NULL; a pool needs a capacity");
	if (wi_sized_in(WI_SIZED_POOL_OPTS, o, given) != 0)
		return -EINVAL;
	if (o->page_size == 0)
		o->page_size = DEFAULT_PAGE;
	if (o->alignment == 0)
		o->alignment = o->page_size & -o->page_size;
	if (o->batch == 0)
		o->batch = DEFAULT_BATCH;
	if (o->wait_ns == WEIR_WAIT_DEFAULT)
		o->wait_ns = DEFAULT_WAIT_NS;
	if (o->name == NULL)
		o->name = "pool";

	if (o->max_capacity == 0)
		o->max_capacity = o->capacity;
	err = check_sizes(o);
	if (err != 0)
		return err;
	if (o->flags & ~ALL_POOL_FLAGS)
		REFUSE("flags: 0x%x has unknown bits", o->flags);
	if (o->list_limit < -1 || o->list_limit > WEIR_LIST_MAX)
		REFUSE("list_limit: %d is not -1 or from 0 to %d",
		       o->list_limit, WEIR_LIST_MAX);
	if (o->batch > WI_BATCH_MAX)
		REFUSE("batch: %u is more than %d", o->batch, WI_BATCH_MAX);
	if (strlen(o->name) >= sizeof(((struct wi_pool *)0)->name))
		REFUSE("name: longer than 31 bytes");
	if (wi_os_env_level("WEIR_CHECKED") > 0)
		o->flags |= WEIR_POOL_CHECKED;
	return check_backing(o);
}
