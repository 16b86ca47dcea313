/* SPDX-License-Identifier: MIT */
/*
 * Ways to keep pages in the lists of CPUs and to take them back from afar:
 * weir in its modes, and the other known ones. Two questions are asked of all
 * of them: how long a drain takes (drain.c), and what the drained CPU notices
 * of it (disturb.c).
 */
#ifndef WEIR_BENCH_DRAIN_H
#define WEIR_BENCH_DRAIN_H

#include <pthread.h>

#include "worker.h"

#define BENCH_PAGES_MAX 500 /* in a list */

/* What a drain says of itself. */
struct bench_drained {
	uint64_t pages;
	bool pending; /* some stay, as no evidence came from that CPU */
	unsigned by_progress, by_not_busy, by_membarrier;
};

struct bench_way {
	/* Its lists for an owner on where->other_cpu, which refill with so
	 * many pages at once; made once. NULL after bench_cannot(). */
	void *(*open)(const struct bench_way *way,
		      const struct bench_where *where, unsigned pages);
	/* The owner's thread begins, false after bench_cannot(), or ends.
	 * NULL: nothing to do. */
	bool (*enter)(void *context);
	void (*leave)(void *context);
	/* By the owner: so many pages, 50 or a multiple, or 1, out and then
	 * back into its list, where there may be one more then; so
	 * many pairs of a page out and back. */
	void (*fill)(void *context, unsigned pages);
	void (*pairs)(void *context, unsigned n);
	/* By another thread: takes what the owner's list holds. False: it
	 * cannot say on what evidence. */
	bool (*drain)(void *context, struct bench_drained *drained);
	/* Nobody is at work: is every page there? */
	bool (*is_whole)(void *context);
	/* By another thread; NULL: it has none. */
	void (*read)(void *context);	    /* its statistics */
	uint64_t (*aborted)(void *context); /* sequences, so far */
	uintptr_t what;			    /* for `open` */
	const void *with;
};

enum bench_scene {
	BENCH_ALLOCATING, /* a page out and back, again and again */
	BENCH_COMPUTING,  /* a page out and back once a millisecond */
	BENCH_SLEEPING,
	BENCH_ABSENT, /* the thread has ended */
};

/* The thread whose CPU keeps pages. It lives for a round, so that it is not
 * in the way of other workers' rounds. */
struct bench_owner {
	const struct bench_way *way;
	void *context;
	unsigned cpu;
	enum bench_scene scene;

	pthread_t thread;
	bool is_running;
	unsigned pages; /* to fill with; 0: the owner ends */
	uint32_t ordered __attribute__((aligned(128))); /* orders so far */
	uint32_t done __attribute__((aligned(128)));
	bool failed;
};

/* `owner` has way, context, cpu and scene. Both false after bench_cannot(). */
bool bench_owner_start(struct bench_owner *owner);
/* Its list has about so many pages then, and it is back at what it does. */
bool bench_owner_fill(struct bench_owner *owner, unsigned pages);
void bench_owner_stop(struct bench_owner *owner);

/* The rows. Their `with` is a way. */
bool bench_drain_run(const struct bench_row *row,
		     const struct bench_where *where, unsigned round,
		     struct bench_result *result);
bool bench_disturb_run(const struct bench_row *row,
		       const struct bench_where *where, unsigned round,
		       struct bench_result *result);

/* Their `what`. */
#define BENCH_DRAIN(pages, scene) ((uintptr_t)(pages) << 8 | (uintptr_t)(scene))
#define BENCH_DISTURB(what, hz) ((uintptr_t)(hz) << 8 | (uintptr_t)(what))
enum bench_disturbance { BENCH_NOBODY, BENCH_DRAINER, BENCH_READER };
#define BENCH_LOOP 0 /* as a rate: one after the other */

#define BENCH_DRAIN_ROW(variant, way, pages, scene)                            \
	{                                                                      \
		"drain", variant, bench_drain_run, BENCH_DRAIN(pages, scene),  \
			way, 9, 3, "a line there and back"                     \
	}
/* What every way is asked. */
#define BENCH_DRAIN_ROWS(name, way)                                            \
	BENCH_DRAIN_ROW("50 pages, " name, way, 50, BENCH_ALLOCATING),         \
		BENCH_DRAIN_ROW("50 pages, " name ", computing", way, 50,      \
				BENCH_COMPUTING),                              \
		BENCH_DRAIN_ROW("50 pages, " name ", sleeping", way, 50,       \
				BENCH_SLEEPING),                               \
		BENCH_DRAIN_ROW("50 pages, " name ", absent", way, 50,         \
				BENCH_ABSENT),                                 \
		BENCH_DRAIN_ROW("1 page, " name, way, 1, BENCH_ALLOCATING),    \
		BENCH_DRAIN_ROW("250 pages, " name, way, 250,                  \
				BENCH_ALLOCATING)
#define BENCH_DISTURB_ROW(variant, way, what, hz, rounds, quick_rounds)        \
	{                                                                      \
		"disturb", variant, bench_disturb_run,                         \
			BENCH_DISTURB(what, hz), way, rounds, quick_rounds,    \
			NULL                                                   \
	}
#define BENCH_DISTURB_ROWS(name, way, rounds)                                  \
	BENCH_DISTURB_ROW(name ", undrained", way, BENCH_NOBODY, 1, rounds,    \
			  2),                                                  \
		BENCH_DISTURB_ROW(name ", 1000 Hz", way, BENCH_DRAINER, 1000,  \
				  rounds, 2),                                  \
		BENCH_DISTURB_ROW(name ", 1 Hz", way, BENCH_DRAINER, 1, 3, 0), \
		BENCH_DISTURB_ROW(name ", 10 Hz", way, BENCH_DRAINER, 10, 3,   \
				  1),                                          \
		BENCH_DISTURB_ROW(name ", 100 Hz", way, BENCH_DRAINER, 100, 7, \
				  1),                                          \
		BENCH_DISTURB_ROW(name ", 10000 Hz", way, BENCH_DRAINER,       \
				  10000, 7, 1)

#endif
