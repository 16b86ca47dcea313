/* SPDX-License-Identifier: MIT */
/*
 * Whatever malloc the process has: the C library's, or that of a library that
 * was preloaded. Pages are asked for as such, aligned to their size.
 */
#include <dlfcn.h>
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

/* Does that library, a path or the beginning of a file's name, answer calls of
 * malloc's functions here? One that was preloaded may define none of them. */
static bool is_whose(const char *library, const char *function)
{
	void *at = dlsym(RTLD_DEFAULT, function);
	Dl_info info;
	char *path;
	bool is;

	if (at == NULL || dladdr(at, &info) == 0)
		return false;
	path = realpath(info.dli_fname, NULL);
	is = strstr(path ? path : info.dli_fname, library) != NULL;
	free(path);
	return is;
}

int main(int argc, char **argv)
{
	const char *library = getenv("WEIR_BENCH_LIBRARY");
	char stem[4096];

	if (library) {
		snprintf(stem, sizeof(stem), "%s", library);
		if (stem[0] != '/')
			stem[strcspn(stem, ".")] = '\0';
		if (!is_whose(stem, "aligned_alloc") || !is_whose(stem, "free"))
			return NOT_HERE;
	}
	return bench_worker(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
