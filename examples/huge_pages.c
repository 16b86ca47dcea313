/* SPDX-License-Identifier: MIT */
/*
 * Task: a pool of 2 MiB pages. With huge pages that root reserved (sysctl
 * vm.nr_hugepages=32) each page of the pool is one of them; where there are too
 * few, the pool falls back to transparent huge pages, which the kernel gives if
 * it can. /proc/self/smaps shows which it was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#define PAGE ((size_t)2 << 20)
#define PAGES 32

static void must(const char *what, int error)
{
	if (error != 0) {
		fprintf(stderr, "%s: %s (%s)\n", what, weir_strerror(error),
			weir_last_error());
		exit(1);
	}
}

static struct weir_pool *make(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;
	int err;

	opts.capacity = PAGES * PAGE;
	opts.page_size = PAGE;
	opts.backing = WEIR_BACKING_HUGETLB;
	opts.list_limit = 4; /* 8 MiB for a CPU, at most */
	opts.batch = 2;
	err = weir_pool_create(&pool, &opts);
	if (err == 0)
		return pool;
	printf("no hugetlb: %s\n", weir_last_error());
	opts.backing = WEIR_BACKING_THP;
	must("a pool", weir_pool_create(&pool, &opts));
	return pool;
}

/* How many KiB of the mapping at `base` are huge pages, of either kind. */
static unsigned long huge_kib(const void *base)
{
	static const char *const keys[] = { "AnonHugePages:",
					    "Private_Hugetlb:" };
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long sum = 0, first, last, kib;
	char line[512];
	int inside = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
			inside = (unsigned long)base >= first &&
				 (unsigned long)base < last;
		for (int i = 0; inside && i < 2; i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0 &&
			    sscanf(line, "%*s %lu", &kib) == 1)
				sum += kib;
	}
	if (f != NULL)
		fclose(f);
	return sum;
}

int main(void)
{
	struct weir_pool *pool = make();
	void *pages[PAGES], *base;
	size_t bytes, page_size;

	must("all pages", weir_alloc_bulk(pool, 0, pages, PAGES, 0));
	for (int i = 0; i < PAGES; i++)
		memset(pages[i], i, PAGE);
	must("the range", weir_pool_range(pool, &base, &bytes, &page_size));
	printf("%zu MiB in pages of %zu KiB; %lu MiB are huge pages\n",
	       bytes >> 20, page_size >> 10, huge_kib(base) >> 10);
	for (int i = 0; i < PAGES; i++) /* each has what was written to it */
		if (*(unsigned char *)pages[i] != i ||
		    (size_t)((char *)pages[i] - (char *)base) % PAGE != 0)
			return 1;
	weir_free_bulk(pool, 0, pages, PAGES);
	must("the end", weir_pool_destroy(pool, 0));
	return 0;
}
