/* SPDX-License-Identifier: MIT */
/*
 * watch: pools of other processes, found in /proc and read through a mapping
 * of the memfd that holds their metadata (src/api/meta.h).
 *
 * Such a file may have been made by anyone, to do harm. Therefore
 *
 *   - it must be a memfd with all seals of wi_os_share(): it cannot shrink
 *     below what is mapped, nor lose a page that it has;
 *   - its descriptor is copied, and the copy validated; the layout is computed
 *     from its counts by the code that the owner used, and compared;
 *   - it must have the pages that every pool has written, and no other page is
 *     read: pages that it does not have are zeros, and stay unbacked;
 *   - every other word is read once and used as a number only.
 */
#ifndef WI_API_WATCH_H
#define WI_API_WATCH_H

#include <weir/watch.h>

#include "os/os.h"
#include "api/stat.h"

struct weir_watch {
	struct wi_view view;
	struct wi_live live; /* our copy */
	struct weir_watch_id id;
	struct wi_os_shared file;
	const char *memory;
	struct wi_os_process_file process;
};

/* A pool's file that was opened, and a copy of its descriptor. */
struct wi_watch_found {
	struct wi_os_shared file;
	struct wi_live live;
};

/*
 * Calls each() for the pools of a process; it may keep the file, and set its fd
 * to -1 then. `*odd` counts files that have such a name and are not pools.
 * -EPERM: the caller may not read the process.
 */
int wi_watch_find(int pid, int (*each)(struct wi_watch_found *, void *ctx),
		  void *ctx, unsigned *odd);

/*
 * weir_watch_list(), which for pid 0 also counts the processes that the caller
 * may not read, and gives each() a pool's name as its process wrote it,
 * NUL-terminated.
 */
struct wi_watch_listing {
	int (*each)(const struct weir_watch_id *id, const char *raw_name,
		    void *ctx);
	void *ctx;
	unsigned nr_refused;
};

int wi_watch_list(struct wi_watch_listing *listing, int pid);

/* A name in printable form. */
void wi_watch_name(char *out, const struct wi_live *live);

#endif
