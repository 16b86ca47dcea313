/* SPDX-License-Identifier: MIT */
/*
 * The metadata of a pool that other processes may read: its layout.
 *
 *	+----------+--------+--------------------+---------+-------+---+
 *	| struct   | totals | totals, units, ... | areas   | zones |   |
 *	| wi_live  |        |    (percpu)        | (percpu)| (zone)|   |
 *	+----------+--------+--------------------+---------+-------+---+
 *	0          4096     (lines)              (pages)   (lines)
 *
 * It holds numbers and offsets, no addresses. The layout follows from the
 * counts in the descriptor; a reader computes it, and reads on only if the
 * descriptor agrees.
 */
#ifndef WI_API_META_H
#define WI_API_META_H

#include <weir/stat.h>

#include "cache/cache.h"
#include "os/topology.h"

#define WI_LIVE_MAGIC UINT64_C(0x6c6f6f7072696577) /* "weirpool" */
#define WI_LIVE_VERSION 7 /* of the layout of all this memory */
#define WI_LIVE_HEAD 4096

/* In bytes from the beginning. */
struct wi_live_layout {
	uint64_t totals, percpu, areas, zones, bytes;
	uint64_t unit_bytes, area_bytes, zone_bytes; /* each, zones rounded */
};

struct wi_live {
	uint64_t magic;	  /* stored last: STAT-R1 */
	uint32_t version; /* constant, as all the rest but `destroyed` */
	uint32_t destroyed;
	uint64_t number; /* of the pools that this process made */
	char name[32];
	uint64_t bytes; /* of addresses: the most it can grow to */
	uint64_t page_size, zone_pages;
	uint32_t pid, flags;
	uint32_t nr_cpus, nr_zones, nr_lists, batch;
	uint32_t locked;
	int32_t node[WI_NODES_MAX];
	uint32_t limits[WEIR_NR_LISTS], weight[WEIR_NR_LISTS];
	struct wi_live_layout layout;
};

_Static_assert(sizeof(struct wi_live) <= WI_LIVE_HEAD, "a page");

/* Since creation; any thread, relaxed, read by anyone. */
struct wi_live_totals {
	_Alignas(64) struct wi_cache_totals cache;
	/* Pages outside the zones, and the most at any time; written once a
	 * batch (pool_zones.c). */
	_Alignas(64) uint64_t outside;
	uint64_t peak;
	/* Maintenance that found fewer pages free than the low watermark, and
	 * asked the program for pages. */
	uint64_t below_low, shrinks;
	/* Pages of each zone that exist. A growth writes it before the zone has
	 * them; read it after the zone's states (STAT-A2). */
	_Alignas(64) uint64_t present[WI_NODES_MAX];
};

/* Computes the layout from the counts of a descriptor. */
struct wi_live_layout wi_live_lay_out(const struct wi_live *live);

/* May a pool have pages of so many bytes? */
bool wi_live_is_page_size(uint64_t bytes);

/* Pages that one of its zones has addresses for. */
uint64_t wi_live_zone_pages(const struct wi_live *live, unsigned zone);

/*
 * The largest order that a zone serves: 0 where page_size is no power of two.
 * Otherwise, the first begins at a multiple of any;
 * a later one serves runs only up to the alignment of its begin, so that they
 * are aligned in the pool and in memory.
 */
unsigned wi_live_zone_order(const struct wi_live *live, unsigned zone);

/* Publishes the header, when the metadata is fully initialised; and marks the
 * pool destroyed. */
void wi_live_begin(struct wi_live *live);
void wi_live_end(struct wi_live *live);
bool wi_live_is_destroyed(const struct wi_live *live);

/* Could this copy of a descriptor, of any origin, be that of a pool of this
 * library? */
bool wi_live_is_valid(const struct wi_live *copy);

#endif
