/* SPDX-License-Identifier: MIT */
/*
 * Whatever malloc the process has: the C library's, or that of a library that
 * was preloaded. Pages are asked for as such, aligned to their size.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

#define PAGE_BYTES 4096
#define NOT_HERE 77

BENCH_INLINE uint64_t malloc_pop(void *context)
{
	uint64_t page =
		(uint64_t)(uintptr_t)aligned_alloc(PAGE_BYTES, PAGE_BYTES);

	(void)context;
	BENCH_HIDE(page); /* or the compiler leaves out malloc and free */
	return page;
}

BENCH_INLINE void malloc_push(void *context, uint64_t page)
{
	(void)context;
	free((void *)(uintptr_t)page);
}

BENCH_PEER(malloc, malloc_pop, malloc_push)

static void *open_malloc(const struct bench_where *where, uint64_t pages)
{
	static char all_share_it;

	(void)where, (void)pages;
	return &all_share_it;
}

static const struct bench_peer peer = { .open = open_malloc,
					BENCH_PEER_CODE(malloc) };

static const struct bench_row rows[] = {
	BENCH_PEER_PAIR_ROWS(&peer),
	BENCH_PEER_ROWS(&peer),
	BENCH_PEER_TOUCH_ROWS(&peer),
};

/* Is the library that should have been preloaded part of this process? */
static bool is_preloaded(const char *library)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096];
	bool found = false;

	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, library) != NULL;
	if (maps)
		fclose(maps);
	return found;
}

int main(int argc, char **argv)
{
	const char *library = getenv("WEIR_BENCH_LIBRARY");
	char stem[64];

	if (library) {
		snprintf(stem, sizeof(stem), "%s", library);
		stem[strcspn(stem, ".")] = '\0';
		if (!is_preloaded(stem))
			return NOT_HERE;
	}
	return bench_worker(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
