/* SPDX-License-Identifier: MIT */
/* The reader's door: see weir/watch.h. */
#include <errno.h>

#include <weir/watch.h>

int weir_watch_list(int pid, int (*each)(const struct weir_watch_id *, void *),
		    void *ctx)
{
	(void)pid, (void)each, (void)ctx;
	return -ENOSYS;
}

int weir_watch_open(struct weir_watch **watch, const struct weir_watch_id *id)
{
	(void)watch, (void)id;
	return -ENOSYS;
}

void weir_watch_close(struct weir_watch *watch)
{
	(void)watch;
}

int weir_watch_info(const struct weir_watch *watch,
		    struct weir_watch_info *info)
{
	(void)watch, (void)info;
	return -ENOSYS;
}

int weir_watch_read(const struct weir_watch *watch, struct weir_stat *stat)
{
	(void)watch, (void)stat;
	return -ENOSYS;
}

int weir_watch_read_zone(const struct weir_watch *watch, unsigned zone,
			 struct weir_stat_zone *stat)
{
	(void)watch, (void)zone, (void)stat;
	return -ENOSYS;
}

int weir_watch_read_cpu(const struct weir_watch *watch, unsigned zone,
			unsigned cpu, struct weir_stat_cpu *stat)
{
	(void)watch, (void)zone, (void)cpu, (void)stat;
	return -ENOSYS;
}
