/* SPDX-License-Identifier: MIT */
#include "api/meta.h"

#include <string.h>

#include "zone/zone.h"

#define PAGES_MAX (UINT64_C(1) << 40) /* 2^46 bytes in pages of 2^6 */

static uint64_t nr_pages(const struct wi_live *live)
{
	return live->bytes / live->page_size;
}

bool wi_live_is_page_size(uint64_t bytes)
{
	return bytes >= 64 && bytes <= UINT64_C(1) << 30 && bytes % 64 == 0;
}

uint64_t wi_live_zone_pages(const struct wi_live *live, unsigned zone)
{
	return wi_min_u64(live->zone_pages,
			  nr_pages(live) - zone * live->zone_pages);
}

unsigned wi_live_zone_order(const struct wi_live *live, unsigned zone)
{
	unsigned order = wi_highest_bit(wi_live_zone_pages(live, zone));

	if (!wi_is_pow2(live->page_size))
		return 0;
	if (zone > 0)
		order = (unsigned)wi_min_u64(
			order, wi_lowest_bit(zone * live->zone_pages));
	return (unsigned)wi_min_u64(order, WEIR_ORDER_MAX);
}

struct wi_live_layout wi_live_lay_out(const struct wi_live *live)
{
	const unsigned nr_cpus = live->nr_cpus, nr_zones = live->nr_zones;
	const uint64_t last = wi_live_zone_pages(live, nr_zones - 1);
	struct wi_live_layout l = {
		.totals = WI_LIVE_HEAD,
		.unit_bytes = sizeof(struct wi_unit),
		.area_bytes = WEIR_AREA_BYTES,
		.zone_bytes = wi_round_up(wi_zone_bytes(live->zone_pages), 64),
	};

	l.percpu = l.totals + sizeof(struct wi_live_totals);
	l.areas = wi_round_up(l.percpu + wi_percpu_bytes(nr_cpus, nr_zones),
			      4096);
	l.zones = wi_round_up(
		l.areas + wi_percpu_areas_bytes(nr_cpus, nr_zones), 64);
	l.bytes = l.zones + (nr_zones - 1) * l.zone_bytes + wi_zone_bytes(last);
	return l;
}

void wi_live_begin(struct wi_live *live)
{
	/* STAT-R1 (partner STAT-A1): a thread that reads it finds the
	 * descriptor, the units, areas and zones as they were made. */
	wi_store_release(&live->magic, WI_LIVE_MAGIC);
}

void wi_live_end(struct wi_live *live)
{
	/* Relaxed: a reader that sees it later has the same numbers. */
	wi_store_relaxed(&live->destroyed, 1);
}

bool wi_live_is_destroyed(const struct wi_live *live)
{
	return wi_load_relaxed(&live->destroyed) != 0; /* see above */
}

static bool has_valid_counts(const struct wi_live *c)
{
	if (!wi_live_is_page_size(c->page_size) || c->bytes == 0 ||
	    c->bytes % c->page_size != 0 || nr_pages(c) > PAGES_MAX)
		return false;
	if (c->nr_cpus == 0 || c->nr_cpus > WI_CPUS_MAX || c->nr_zones == 0 ||
	    c->nr_zones > WI_NODES_MAX || c->nr_lists != WEIR_STAT_LISTS ||
	    c->batch == 0 || c->batch > WI_BATCH_MAX || c->locked > 1)
		return false;
	return c->zone_pages != 0 && c->zone_pages <= PAGES_MAX &&
	       wi_div_round_up(nr_pages(c), c->zone_pages) == c->nr_zones;
}

static bool has_valid_lists(const struct wi_live *c)
{
	for (unsigned list = 0; list < c->nr_lists; list++)
		if (c->limits[list] > WEIR_LIST_MAX ||
		    !wi_is_pow2(c->weight[list]) ||
		    c->weight[list] > 1u << WEIR_ORDER_MAX)
			return false;
	return true;
}

bool wi_live_is_valid(const struct wi_live *copy)
{
	struct wi_live_layout l;

	if (copy->magic != WI_LIVE_MAGIC || copy->version != WI_LIVE_VERSION ||
	    memchr(copy->name, '\0', sizeof(copy->name)) == NULL ||
	    !has_valid_counts(copy) || !has_valid_lists(copy))
		return false;
	l = wi_live_lay_out(copy);
	return memcmp(&l, &copy->layout, sizeof(l)) == 0;
}
