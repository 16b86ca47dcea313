/* SPDX-License-Identifier: MIT */
/* Which pools there are. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cache/report.h"
#include "watch/watch.h"

/* --- of one process ----------------------------------------------------- */

struct search {
	int pid;
	struct wi_os_process process;
	int (*each)(struct wi_watch_found *, void *ctx);
	void *ctx;
	unsigned *odd;
	bool has_ended; /* each() said so */
};

/* The copy of the descriptor: 0, -ENOENT if there is no pool yet or any more,
 * or -EPROTO. */
static int copy_descriptor(struct wi_watch_found *found)
{
	struct wi_live *live = &found->live;
	uint64_t magic;

	if (wi_os_read_at(found->file.fd, &magic, sizeof(magic), 0) !=
	    sizeof(magic))
		return -EPROTO;
	if (magic == 0)
		return -ENOENT;
	/* STAT-A1 (partner STAT-R1): all that was stored before the magic. */
	wi_fence_acquire();
	if (wi_os_read_at(found->file.fd, live, sizeof(*live), 0) !=
		    sizeof(*live) ||
	    !wi_live_is_valid(live) || live->layout.bytes != found->file.bytes)
		return -EPROTO;
	return live->destroyed ? -ENOENT : 0;
}

/* Of this process: a child inherits the descriptors of its parent's pools. Or
 * of root's, as which a process may have begun. */
static bool is_its_own(const struct wi_watch_found *found,
		       const struct wi_os_process *process)
{
	bool is_owner = found->file.uid == 0;

	for (unsigned i = 0; i < 4; i++)
		is_owner |= found->file.uid == process->uid[i];
	return is_owner && found->live.pid == process->pid;
}

static int look_at(void *ctx, int fd)
{
	struct search *search = ctx;
	struct wi_watch_found found;
	int result = wi_os_open_shared(&found.file, search->pid, fd);

	if (result == -EPROTO)
		++*search->odd;
	if (result != 0)
		return 0;
	result = copy_descriptor(&found);
	if (result == -EPROTO)
		++*search->odd;
	if (result == 0 && is_its_own(&found, &search->process)) {
		result = search->each(&found, search->ctx);
		search->has_ended = result != 0;
	} else {
		result = 0;
	}
	if (found.file.fd >= 0)
		wi_os_close(found.file.fd);
	return result;
}

int wi_watch_find(int pid, int (*each)(struct wi_watch_found *, void *ctx),
		  void *ctx, unsigned *odd)
{
	struct search search = {
		.pid = pid, .each = each, .ctx = ctx, .odd = odd
	};
	char path[32];
	int err;

	if (pid <= 0)
		return -ESRCH;
	err = wi_os_process_read(&search.process, pid);
	if (err == 0) {
		snprintf(path, sizeof(path), "/proc/%d/fd", pid);
		err = wi_os_each_number(path, look_at, &search);
	}
	if (search.has_ended) /* then it is no error of ours */
		return err;
	if (err == -ENOENT)
		return -ESRCH;
	return err == -EACCES ? -EPERM : err;
}

/* --- for the caller ----------------------------------------------------- */

struct list {
	int pid;
	int (*each)(const struct weir_watch_id *id, void *ctx);
	void *ctx;
	bool has_ended; /* each() said so */
};

void wi_watch_name(char *out, const struct wi_live *live)
{
	const size_t len = sizeof(live->name);

	/* It goes to terminals: no control characters, whoever chose it. */
	for (size_t i = 0; i < len; i++) {
		out[i] = live->name[i];
		if (out[i] == '\0')
			return;
		if (out[i] < ' ' || out[i] > '~')
			out[i] = '?';
	}
	out[len - 1] = '\0';
}

static int tell(struct wi_watch_found *found, void *ctx)
{
	struct list *list = ctx;
	struct weir_watch_id id = {
		.pid = list->pid,
		.number = found->live.number,
	};
	int result;

	wi_watch_name(id.name, &found->live);
	result = list->each(&id, list->ctx);
	list->has_ended = result != 0;
	return result;
}

static int list_process(void *ctx, int pid)
{
	struct list *list = ctx;
	unsigned odd = 0;
	int err;

	list->pid = pid;
	err = wi_watch_find(pid, tell, list, &odd);
	return list->has_ended ? err : 0; /* others may be looked into */
}

int weir_watch_list(int pid, int (*each)(const struct weir_watch_id *, void *),
		    void *ctx)
{
	struct list list = { .pid = pid, .each = each, .ctx = ctx };
	/* Files are open while each() runs. */
	int cancel = wi_os_cancel_put_off(), result;
	unsigned odd = 0;

	wi_report_nothing();
	if (pid == 0)
		result = wi_os_each_number("/proc", list_process, &list);
	else
		result = wi_watch_find(pid, tell, &list, &odd);
	wi_os_cancel_allow(cancel);
	return result;
}
