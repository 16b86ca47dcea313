/* SPDX-License-Identifier: MIT */
/*
 * weir size: how many pages a pool needs. The rules of limits, batches and
 * metadata are the library's: a pool of the size in question is made here,
 * which costs address space and little else, and is asked.
 */
#ifndef WEIR_TOOL_SIZE_H
#define WEIR_TOOL_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/topology.h" /* lists of CPUs, as the library reads them */

/* How the program allocates, which decides what is out of its reach. */
enum size_need {
	SIZE_NOWAIT,	/* must not wait, and something drains */
	SIZE_UNDRAINED, /* must not wait, and nothing drains */
	SIZE_WAIT,	/* may wait, so a drain brings what can be had */
};

struct size_question {
	uint64_t in_use, burst, reserve; /* pages */
	uint64_t max; /* pages that the pool can grow to; 0: it cannot */
	uint64_t page_size;
	uint64_t threads; /* that share CPUs or change them */
	enum size_need need;
	const char *quiet, *polling; /* as in struct weir_pool_opts */
	struct wi_cpuset cpus;	     /* which allocate or free */
	struct wi_cpuset orders;
	int list_limit;
	bool checked;
};

/* A line of the sum: count x each pages. */
struct size_term {
	const char *name; /* in JSON */
	const char *what;
	uint64_t count, each, pages;
};

#define SIZE_TERMS 7

struct size_limit {
	unsigned order, runs; /* in one list at most */
};

struct size_answer {
	struct size_term term[SIZE_TERMS];
	uint64_t sum;	   /* of the terms */
	uint64_t pages;	   /* in the pool: the sum, or a little more */
	uint64_t capacity; /* bytes of these */
	uint64_t growth;   /* bytes of addresses more, to grow to */
	uint64_t areas;	   /* bytes of lists */
	uint64_t bits;	   /* bytes of the zones' bits and counts */
	uint64_t metadata; /* bytes of all that is mapped beside the pages */
	struct size_limit limit[5];
	unsigned nr_limits, nr_zones;
	unsigned nr_cpus, nr_quiet, nr_polling; /* of those that allocate */
	unsigned nr_online, nr_possible;
	bool locked; /* no sequences: lists work under a lock */
};

/* TOOL_OK, or TOOL_FAILED with a line on standard error. */
int size_answer(const struct size_question *question,
		struct size_answer *answer);

#endif
