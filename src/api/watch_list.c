/* SPDX-License-Identifier: MIT */
/* Which pools there are. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/report.h"
#include "api/watch.h"

/* --- of one process ----------------------------------------------------- */

struct search {
	int pid;
	struct wi_os_process process;
	int (*each)(struct wi_watch_found *, void *ctx);
	void *ctx;
	unsigned *odd;
	unsigned nr_found, nr_refused; /* pools, descriptors */
	bool has_ended;		       /* each() returned so */
};

/* Copies the descriptor: 0, -ENOENT if there is no pool yet or any more, or
 * -EPROTO. */
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

/* May the process have made that file? As one of its users, or as the
 * superuser, here or in its user namespace, as which it may have begun. */
static bool may_be_owner(const struct search *search, uint32_t uid)
{
	uint32_t root;

	for (unsigned i = 0; i < 4; i++)
		if (uid == search->process.uid[i])
			return true;
	return uid == 0 ||
	       (wi_os_process_root(search->pid, &root) && uid == root);
}

/* A child inherits the descriptors of its parent's pools. */
static bool is_its_own(const struct search *search,
		       const struct wi_watch_found *found)
{
	return found->live.pid == search->process.pid &&
	       may_be_owner(search, found->file.uid);
}

/* The caller ran out of a resource: then the result is unknown. */
static bool is_exhausted(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

static int look_at(void *ctx, const char *folder, int fd)
{
	struct search *search = ctx;
	struct wi_watch_found found;
	int result = wi_os_open_shared(&found.file, folder, fd);

	if (result == -EPROTO)
		++*search->odd;
	if (result == -EACCES || result == -EPERM)
		search->nr_refused++;
	if (result != 0)
		return is_exhausted(result) ? result : 0;
	result = copy_descriptor(&found);
	if (result == -EPROTO)
		++*search->odd;
	if (result == 0 && is_its_own(search, &found)) {
		search->nr_found++;
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
	int err;

	if (pid <= 0)
		return -ESRCH;
	err = wi_os_process_read(&search.process, pid);
	if (err == 0)
		err = wi_os_each_descriptor(pid, &search.process, look_at,
					    &search);
	if (search.has_ended) /* then it is not an error of the search */
		return err;
	if (err == -ENOENT)
		return -ESRCH;
	if (err == 0 && search.nr_found == 0 && search.nr_refused > 0)
		return -EPERM;
	return err == -EACCES ? -EPERM : err;
}

/* --- for the caller ----------------------------------------------------- */

struct list {
	struct wi_watch_listing *listing;
	int pid;
	bool has_ended; /* each() returned so */
};

void wi_watch_name(char *out, const struct wi_live *live)
{
	const size_t len = sizeof(live->name);

	/* It is printed on terminals: no control characters, which another
	 * process may have chosen. */
	for (size_t i = 0; i < len; i++) {
		out[i] = live->name[i];
		if (out[i] == '\0')
			return;
		if (out[i] < ' ' || out[i] > '~')
			out[i] = '?';
	}
	out[len - 1] = '\0';
}

static int tell_found(struct wi_watch_found *found, void *ctx)
{
	struct list *list = ctx;
	struct weir_watch_id id = {
		.pid = list->pid,
		.number = found->live.number,
	};
	char raw[sizeof(id.name)];
	int result;

	wi_watch_name(id.name, &found->live);
	memcpy(raw, found->live.name, sizeof(raw));
	raw[sizeof(raw) - 1] = '\0';
	result = list->listing->each(&id, raw, list->listing->ctx);
	list->has_ended = result != 0;
	return result;
}

static int list_process(void *ctx, int pid)
{
	struct list *list = ctx;
	unsigned odd = 0;
	int err;

	list->pid = pid;
	err = wi_watch_find(pid, tell_found, list, &odd);
	if (list->has_ended)
		return err;
	list->listing->nr_refused += err == -EPERM;
	return is_exhausted(err) ? err
				 : 0; /* other processes may be readable */
}

int wi_watch_list(struct wi_watch_listing *listing, int pid)
{
	struct list list = { .listing = listing, .pid = pid };
	unsigned odd = 0;

	if (pid == 0)
		return wi_os_each_number("/proc", list_process, &list);
	return wi_watch_find(pid, tell_found, &list, &odd);
}

struct caller {
	int (*each)(const struct weir_watch_id *, void *);
	void *ctx;
};

static int tell_caller(const struct weir_watch_id *id, const char *raw_name,
		       void *ctx)
{
	const struct caller *caller = ctx;

	(void)raw_name; /* its id has a printable one */
	return caller->each(id, caller->ctx);
}

int weir_watch_list(int pid, int (*each)(const struct weir_watch_id *, void *),
		    void *ctx)
{
	struct caller caller = { each, ctx };
	struct wi_watch_listing listing = { .each = tell_caller,
					    .ctx = &caller };
	/* Files are open while each() runs. */
	int cancel = wi_os_cancel_put_off(), result;

	wi_report_nothing();
	result = wi_watch_list(&listing, pid);
	wi_os_cancel_allow(cancel);
	return result;
}
