/* SPDX-License-Identifier: MIT */
/*
 * The interface as another version's headers declare it, for sizes.c. Written
 * out, not derived from the headers of this version: it must stay as it is when
 * those get more fields. HEADER_OLDER: every struct lacks its last fields;
 * HEADER_LATER: every struct has more than this version knows.
 */
#ifndef WEIR_TESTS_ABI_SIZES_H
#define WEIR_TESTS_ABI_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef HEADER_OLDER
#define SINCE(...)
#define LATER
#else
#define SINCE(...) __VA_ARGS__
#define LATER uint64_t later[3];
#endif

struct weir_pool;
struct weir_cache;
struct weir_watch;

struct weir_pool_opts {
	size_t size;
	uint64_t capacity, page_size;
	int backing;
	unsigned flags;
	SINCE(int fd; int node; uint64_t fd_offset; void *region;
	      const char *quiet_cpus; const char *polling_cpus;
	      int32_t list_limit; uint32_t batch; uint64_t wait_ns;
	      const char *name; uint64_t alignment; uint64_t max_capacity;)
	LATER
};

struct weir_cache_opts {
	size_t size;
	size_t (*get)(void *context, unsigned list, uint64_t *tokens, size_t n);
	void (*put)(void *context, unsigned list, const uint64_t *tokens,
		    size_t n);
	void *context;
	SINCE(unsigned nr_lists; unsigned flags; uint16_t limit[7];
	      uint32_t batch; const char *quiet_cpus; const char *polling_cpus;
	      uint64_t wait_ns;)
	LATER
};

struct weir_drain_opts {
	size_t size;
	unsigned flags;
	const char *cpus;
	SINCE(uint64_t want_pages; uint64_t wait_ns;)
	LATER
};

struct weir_drain_result {
	size_t size;
	uint64_t pages;
	SINCE(uint64_t pending; uint64_t ns; uint32_t counts[8];)
	LATER
};

struct weir_range_result {
	size_t size;
	uint64_t *bitmap;
	SINCE(uint64_t isolated; uint64_t out; uint64_t pending;)
	LATER
};

struct weir_stat {
	size_t size;
	uint64_t pages, free;
	SINCE(uint64_t counts[22]; unsigned nr_zones; unsigned nr_cpus;
	      uint64_t requests[8]; uint64_t max_pages; uint64_t isolated;)
	LATER
};

struct weir_stat_zone {
	size_t size;
	uint64_t pages;
	SINCE(uint64_t free; int node; uint64_t free_runs[19];
	      uint64_t max_pages; uint64_t isolated;)
	LATER
};

struct weir_stat_cpu {
	size_t size;
	int mode;
	uint64_t cached;
	SINCE(uint64_t counts[10]; struct {
		unsigned order;
		unsigned count;
		unsigned high;
		uint64_t operations;
	} list[5];)
	LATER
};

struct weir_stat_page {
	size_t size;
	int state;
	int cpu;
	uint64_t index;
	SINCE(uint64_t first; int order; unsigned zone; char pool[32];)
	LATER
};

struct weir_watch_id {
	int pid;
	uint64_t number;
	char name[32];
};

struct weir_watch_info {
	size_t size;
	int pid;
	int state;
	uint64_t number;
	char name[32];
	SINCE(unsigned nr_cpus; unsigned nr_zones; unsigned batch;
	      unsigned flags; bool locked; uint64_t bytes; uint64_t page_size;
	      uint64_t max_bytes;)
	LATER
};

int weir_pool_create(struct weir_pool **, const struct weir_pool_opts *);
int weir_pool_destroy(struct weir_pool *, unsigned flags);
void *weir_alloc(struct weir_pool *, unsigned order, unsigned flags);
void weir_free(struct weir_pool *, void *page, unsigned order);
int weir_drain(struct weir_pool *, const struct weir_drain_opts *,
	       struct weir_drain_result *);
int weir_maintain(struct weir_pool *, uint64_t, struct weir_drain_result *);
int weir_range_isolate(struct weir_pool *, uint64_t first, uint64_t nr,
		       struct weir_range_result *);
int weir_range_return(struct weir_pool *, uint64_t first, uint64_t nr);
int weir_stat_read(const struct weir_pool *, struct weir_stat *);
int weir_stat_read_zone(const struct weir_pool *, unsigned,
			struct weir_stat_zone *);
int weir_stat_read_page(const void *, struct weir_stat_page *);
int weir_stat_read_cpu(const struct weir_pool *, unsigned, unsigned,
		       struct weir_stat_cpu *);
int weir_cache_create(struct weir_cache **, const struct weir_cache_opts *);
int weir_cache_destroy(struct weir_cache *);
uint64_t weir_cache_get(struct weir_cache *, unsigned list, unsigned flags);
void weir_cache_put(struct weir_cache *, unsigned list, uint64_t token);
int weir_watch_list(int pid,
		    int (*each)(const struct weir_watch_id *id, void *ctx),
		    void *ctx);
int weir_watch_open(struct weir_watch **, const struct weir_watch_id *);
int weir_watch_info(const struct weir_watch *, struct weir_watch_info *);
void weir_watch_close(struct weir_watch *);
const char *weir_last_error(void);
void weir_pool_opts_init(struct weir_pool_opts *, size_t);
void weir_cache_opts_init(struct weir_cache_opts *, size_t);
void weir_drain_opts_init(struct weir_drain_opts *, size_t);
void weir_drain_result_init(struct weir_drain_result *, size_t);
void weir_range_result_init(struct weir_range_result *, size_t);
void weir_stat_init(struct weir_stat *, size_t);
void weir_stat_zone_init(struct weir_stat_zone *, size_t);
void weir_stat_cpu_init(struct weir_stat_cpu *, size_t);
void weir_stat_page_init(struct weir_stat_page *, size_t);
void weir_watch_info_init(struct weir_watch_info *, size_t);

#endif
