/* SPDX-License-Identifier: MIT */
/*
 * 1 GiB allocated page by page, written and freed (bench_peer_touch): what
 * memory costs at its first use, when an allocator has some that was used
 * before, and with transparent huge pages.
 */
#include <sys/mman.h>

#include "peer.h"
#include "workers.h"

/* The floor: memory without an allocator. */
static struct mapping {
	char *base;
	uint64_t next, pages;
} mapping;

static void *open_mapping(const struct bench_where *where, uint64_t pages)
{
	(void)where;
	mapping.pages = pages;
	mapping.base = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return mapping.base == MAP_FAILED ? NULL : &mapping;
}

static void mapping_take(void *context, void **pages)
{
	struct mapping *m = context;

	for (unsigned i = 0; i < BENCH_BULK; i++)
		pages[i] = m->base + m->next++ % m->pages * 4096;
}

static void mapping_give(void *context, void **pages)
{
	(void)context, (void)pages;
}

const struct bench_peer bench_mapping = {
	.open = open_mapping,
	.take_bulk = mapping_take,
	.give_bulk = mapping_give,
};

const struct bench_row bench_touch_rows[] = {
	BENCH_PEER_TOUCH_ROWS(&bench_weir_new),
	{ "touch", "huge pages, cold", bench_peer_touch,
	  BENCH_HUGE | BENCH_COLD, &bench_weir_huge, 5, 1,
	  "4 KiB pages, cold" },
	{ "touch", "huge pages, warm", bench_peer_touch,
	  BENCH_HUGE | BENCH_WARM, &bench_weir_huge, 5, 1,
	  "4 KiB pages, warm" },
	{ NULL, NULL, NULL, 0, NULL, 0, 0, NULL },
};
