/* SPDX-License-Identifier: MIT */
/* A watched pool: see weir/watch.h. */
#include <errno.h>
#include <string.h>

#include "api/sized.h"
#include "os/report.h"
#include "api/watch.h"

/* --- opening ------------------------------------------------------------ */

static bool is_watched_backed(const void *ctx, const char *at, const char **end)
{
	const struct weir_watch *watch = ctx;
	const uint64_t bytes = watch->live.layout.bytes;
	uint64_t until;
	bool backed = wi_os_is_backed(watch->file.fd,
				      (uint64_t)(at - watch->memory), &until);

	*end = watch->memory + wi_min_u64(until, bytes);
	return backed;
}

static bool is_all_backed(const struct weir_watch *watch, const void *from,
			  size_t bytes)
{
	const char *at = from, *end = at + bytes;

	while (at < end)
		if (!is_watched_backed(watch, at, &at))
			return false;
	return true;
}

/* Are there the words of its areas that are read? */
static bool has_areas(const struct weir_watch *watch,
		      const struct wi_percpu_view *percpu, unsigned cpu)
{
	for (unsigned zone = 0; zone < percpu->nr_zones; zone++) {
		size_t bytes;
		const char *at = wi_percpu_view_area(percpu, zone, cpu, &bytes);

		if (!is_all_backed(watch, at, bytes))
			return false;
	}
	return true;
}

/* Are the pages there that every pool has written? They never disappear. */
static bool is_whole(const struct weir_watch *watch)
{
	const struct wi_percpu_view percpu = wi_view_percpu(&watch->view);

	if (!is_all_backed(watch, watch->memory,
			   watch->live.layout.percpu +
				   wi_percpu_bytes(percpu.nr_cpus,
						   percpu.nr_zones)))
		return false;
	for (unsigned cpu = 0; cpu < percpu.nr_cpus; cpu++)
		if (wi_percpu_view_is_awake(&percpu, cpu) &&
		    !has_areas(watch, &percpu, cpu))
			return false;
	return true;
}

struct wanted {
	struct weir_watch *watch;
	uint64_t number;
};

static int take_wanted(struct wi_watch_found *found, void *ctx)
{
	struct wanted *wanted = ctx;

	if (found->live.number != wanted->number)
		return 0;
	wanted->watch->live = found->live;
	wanted->watch->file = found->file;
	found->file.fd = -1;
	return 1;
}

/* For the process of watch->process. */
static int find_wanted(struct weir_watch *watch, const struct weir_watch_id *id)
{
	struct wanted wanted = { watch, id->number };
	unsigned odd = 0;
	int found = wi_watch_find(id->pid, take_wanted, &wanted, &odd);

	if (found == -ESRCH)
		return -ENOENT;
	if (found < 0)
		return found;
	if (found == 0)
		return odd > 0 ? -EPROTO : -ENOENT;
	/* Otherwise the process it was found in was another with that
	 * number. */
	return wi_os_process_is_gone(&watch->process) ? -ENOENT : 0;
}

static int map_watched(struct weir_watch *watch)
{
	const void *memory;
	int err = wi_os_map_shared(&memory, &watch->file);

	if (err != 0)
		return err;
	watch->memory = memory;
	watch->view = (struct wi_view){ .live = &watch->live,
					.memory = watch->memory,
					.is_backed = is_watched_backed,
					.ctx = watch };
	return is_whole(watch) ? 0 : -EPROTO;
}

static int open_watch(struct weir_watch **out, const struct weir_watch_id *id)
{
	const struct wi_os_map own = { .bytes = sizeof(struct weir_watch) };
	struct weir_watch *watch;
	void *memory;
	int err;

	wi_report_nothing();
	if (id->pid <= 0)
		return -ENOENT;
	err = wi_os_map(&memory, &own);
	if (err != 0)
		return err;
	watch = memory;
	watch->file.fd = -1;
	err = wi_os_process_open(&watch->process, id->pid);
	if (err == -ESRCH)
		err = -ENOENT;
	if (err == 0)
		err = find_wanted(watch, id);
	if (err == 0)
		err = map_watched(watch);
	if (err != 0) {
		weir_watch_close(watch);
		return err;
	}
	watch->id =
		(struct weir_watch_id){ .pid = id->pid, .number = id->number };
	wi_watch_name(watch->id.name, &watch->live);
	*out = watch;
	return 0;
}

int weir_watch_open(struct weir_watch **out, const struct weir_watch_id *id)
{
	int cancel = wi_os_cancel_put_off(); /* it would leave files open */
	int err = open_watch(out, id);

	wi_os_cancel_allow(cancel);
	return err;
}

void weir_watch_close(struct weir_watch *watch)
{
	if (watch == NULL)
		return;
	if (watch->memory != NULL)
		wi_os_unmap((void *)(uintptr_t)watch->memory,
			    watch->file.bytes);
	if (watch->file.fd >= 0)
		wi_os_close(watch->file.fd);
	if (watch->process.fd >= 0)
		wi_os_close(watch->process.fd);
	wi_os_unmap(watch, sizeof(*watch));
}

/* --- reading ------------------------------------------------------------ */

static enum weir_watch_state read_watch_state(const struct weir_watch *watch)
{
	const void *shared = watch->memory;

	if (wi_live_is_destroyed(shared))
		return WEIR_WATCH_DESTROYED;
	return wi_os_process_is_gone(&watch->process) ? WEIR_WATCH_DEAD
						      : WEIR_WATCH_LIVE;
}

int weir_watch_info(const struct weir_watch *watch,
		    struct weir_watch_info *info)
{
	const struct wi_live *live = &watch->live;
	struct weir_watch_info ours = {
		.pid = watch->id.pid,
		.number = watch->id.number,
		.state = read_watch_state(watch),
		.bytes = wi_view_pages(&watch->view) * live->page_size,
		.page_size = live->page_size,
		.nr_cpus = live->nr_cpus,
		.nr_zones = live->nr_zones,
		.batch = live->batch,
		.flags = live->flags,
		.locked = live->locked != 0,
		.max_bytes = live->bytes,
	};

	if (wi_sized_check(WI_SIZED_WATCH_INFO, info) != 0)
		return -EINVAL;
	memcpy(ours.name, watch->id.name, sizeof(ours.name));
	wi_sized_out(WI_SIZED_WATCH_INFO, info, &ours);
	return 0;
}

int weir_watch_read(const struct weir_watch *watch, struct weir_stat *stat)
{
	return wi_view_read(&watch->view, stat);
}

int weir_watch_read_zone(const struct weir_watch *watch, unsigned zone,
			 struct weir_stat_zone *stat)
{
	return wi_view_read_zone(&watch->view, zone, stat);
}

int weir_watch_read_cpu(const struct weir_watch *watch, unsigned zone,
			unsigned cpu, struct weir_stat_cpu *stat)
{
	return wi_view_read_cpu(&watch->view, zone, cpu, stat);
}
