/* SPDX-License-Identifier: MIT */
/*
 * Memory that a forked child finds wiped.
 *
 * The kernel wipes it (MADV_WIPEONFORK, Linux 4.14), however the child is made.
 * Some sandboxes refuse that advice (gVisor: EINVAL). Then a handler of fork()
 * wipes the memory that is in a list. A child not made by fork() runs no
 * handlers and finds its parent's bytes: wi_os_fork_wipes() reports that, and
 * users of the memory must cope with it.
 *
 * The list is locked for a few instructions, with signals blocked: a signal's
 * handler may fork, and fork() locks the list itself.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "os/internal.h"
#include "os/os.h"

/* Follows the memory that it describes, in the same mapping. */
struct entry {
	struct entry *next, **link;
	void *memory;
	size_t bytes;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct entry *first;
static bool has_handlers;
/* The kernel's last answer. Relaxed: it does not change. */
static uint8_t refused;

/* --- the handlers of fork() --------------------------------------------- */

static void before_fork(void)
{
	pthread_mutex_lock(&mutex);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&mutex);
}

static void in_child(void)
{
	for (struct entry *entry = first; entry != NULL; entry = entry->next)
		memset(entry->memory, 0, entry->bytes);
	/* They stay in the list: a child of this process must find them wiped.
	 */
	pthread_mutex_unlock(&mutex);
}

/* --- the list ----------------------------------------------------------- */

static void lock_entries(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
	pthread_mutex_lock(&mutex);
}

static void unlock_entries(const sigset_t *before)
{
	pthread_mutex_unlock(&mutex);
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int add_entry(struct entry *entry)
{
	sigset_t before;
	int error = 0;

	lock_entries(&before);
	if (!has_handlers) {
		error = pthread_atfork(before_fork, in_parent, in_child);
		has_handlers = error == 0;
	}
	if (error == 0) {
		entry->next = first;
		entry->link = &first;
		if (first != NULL)
			first->link = &entry->next;
		first = entry;
	}
	unlock_entries(&before);
	return -error;
}

static void remove_entry(struct entry *entry)
{
	sigset_t before;

	lock_entries(&before);
	*entry->link = entry->next;
	if (entry->next != NULL)
		entry->next->link = entry->link;
	unlock_entries(&before);
}

/* --- the memory --------------------------------------------------------- */

static size_t offset_of_entry(size_t bytes)
{
	return wi_round_up(bytes, _Alignof(struct entry));
}

static struct entry *entry_of(void *memory, size_t bytes)
{
	return (struct entry *)(void *)((char *)memory +
					offset_of_entry(bytes));
}

/* By the kernel if it supports that, otherwise by the handlers. */
static int arrange_wiping(void *memory, size_t bytes, size_t whole)
{
	int saved = errno, err;

	if (madvise(memory, whole, MADV_WIPEONFORK) == 0)
		return 0;
	err = wi_os_failure(saved);
	if (err == -ENOMEM)
		return err;
	wi_store_relaxed(&refused, 1); /* a fact */
	*entry_of(memory, bytes) =
		(struct entry){ .memory = memory, .bytes = bytes };
	return add_entry(entry_of(memory, bytes));
}

int wi_os_map_wiped(void **out, size_t bytes)
{
	const struct wi_os_map map = {
		.bytes = offset_of_entry(bytes) + sizeof(struct entry),
	};
	void *memory;
	int err = wi_os_map(&memory, &map);

	if (err != 0)
		return err;
	err = arrange_wiping(memory, bytes, map.bytes);
	if (err != 0)
		wi_os_unmap(memory, map.bytes);
	else
		*out = memory;
	return err;
}

void wi_os_unmap_wiped(void *p, size_t bytes)
{
	struct entry *entry = entry_of(p, bytes);

	if (entry->memory == p)
		remove_entry(entry);
	wi_os_unmap(p, offset_of_entry(bytes) + sizeof(struct entry));
}

bool wi_os_fork_wipes(void)
{
	return wi_load_relaxed(&refused) == 0; /* a fact */
}
