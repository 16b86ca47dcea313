/* SPDX-License-Identifier: MIT */
/* The public interface of a pool's statistics: see weir/stat.h. */
#include <errno.h>

#include <weir/stat.h>

#include "os/report.h"
#include "api/pool.h"

int weir_stat_read(const struct weir_pool *handle, struct weir_stat *stat)
{
	const struct wi_pool *pool = wi_pool_of(handle);

	return pool == NULL ? wi_plain_error(-ESTALE)
			    : wi_view_read(&pool->view, stat);
}

int weir_stat_read_zone(const struct weir_pool *handle, unsigned zone,
			struct weir_stat_zone *stat)
{
	const struct wi_pool *pool = wi_pool_of(handle);

	return pool == NULL ? wi_plain_error(-ESTALE)
			    : wi_view_read_zone(&pool->view, zone, stat);
}

int weir_stat_read_cpu(const struct weir_pool *handle, unsigned zone,
		       unsigned cpu, struct weir_stat_cpu *stat)
{
	const struct wi_pool *pool = wi_pool_of(handle);

	return pool == NULL ? wi_plain_error(-ESTALE)
			    : wi_view_read_cpu(&pool->view, zone, cpu, stat);
}
