/* SPDX-License-Identifier: MIT */
/*
 * Watermarks: maintenance that finds fewer pages free than `low` restores
 * `high`, first by drains, then by asking the program for pages.
 *
 * The mutex is held while the program is asked. So one thread at a time does
 * this, weir_set_watermarks() returns when the function that it replaces is not
 * running, and a call from inside that function is recognised.
 */
#include <errno.h>

#include "api/drains.h"
#include "api/pool.h"
#include "api/sized.h"
#include "os/report.h"

#define REFUSE(...) return (wi_report(__VA_ARGS__), -EINVAL)

static int read_marks(const struct wi_pool *pool, struct weir_watermarks *marks,
		      const struct weir_watermarks *given)
{
	*marks = (struct weir_watermarks)WEIR_WATERMARKS_INIT;
	if (given == NULL)
		return 0;
	if (wi_sized_in(WI_SIZED_WATERMARKS, marks, given) != 0)
		return -EINVAL;
	if (marks->low == 0)
		REFUSE("low: 0; give NULL for no watermarks");
	if (marks->high < marks->low)
		REFUSE("high: less than low");
	if (marks->high > wi_pool_nr_pages(pool))
		REFUSE("high: more pages than the pool has");
	return 0;
}

int weir_set_watermarks(struct weir_pool *handle,
			const struct weir_watermarks *given)
{
	struct wi_pool *pool = wi_pool_of(handle);
	struct weir_watermarks marks;
	int cancel, err;

	if (pool == NULL)
		return wi_plain_error(-ESTALE);
	wi_report_nothing();
	err = read_marks(pool, &marks, given);
	if (err != 0)
		return err;
	cancel = wi_os_cancel_put_off();
	err = wi_os_mutex_lock(&pool->marks_mutex, UINT64_MAX);
	if (err == 0) {
		pool->marks = marks;
		wi_os_mutex_unlock(&pool->marks_mutex);
	}
	wi_os_cancel_allow(cancel);
	return err;
}

bool wi_pool_is_shrinking(struct wi_pool *pool)
{
	int cancel = wi_os_cancel_put_off();
	const bool is =
		wi_os_mutex_lock(&pool->marks_mutex, UINT64_MAX) == -EDEADLK;

	if (!is)
		wi_os_mutex_unlock(&pool->marks_mutex);
	wi_os_cancel_allow(cancel);
	return is;
}

/* A quiet or polling CPU must not be used for this. */
static bool may_ask_here(const struct wi_pool *pool)
{
	const enum weir_mode mode = wi_public_mode_of_cpu(
		&pool->cache, wi_percpu_cpu_here(&pool->cache.drain));

	return mode != WEIR_MODE_QUIET && mode != WEIR_MODE_POLLING;
}

/* Asks the program for what drains did not give. What it frees is in the lists
 * of this CPU at first. */
static void ask_for_pages(struct wi_pool *pool, uint64_t free)
{
	const struct weir_watermarks *marks = &pool->marks;
	struct wi_live_totals *totals = wi_pool_totals(pool);

	if (free >= marks->high || marks->shrink == NULL || !may_ask_here(pool))
		return;
	/* Relaxed: for statistics. */
	wi_add_relaxed(&totals->shrinks, 1);
	marks->shrink(pool->handle, marks->high - free, marks->context);
	wi_cache_empty_here(&pool->cache);
	wi_requests_pass(&pool->cache, WI_NO_WAIT);
}

/* With the mutex. */
static int restore_high(struct wi_pool *pool, uint64_t wait_ns,
			struct weir_drain_result *result)
{
	struct weir_drain_result drained = WEIR_DRAIN_RESULT_INIT;
	const uint64_t free = wi_pool_nr_free(pool);
	int err;

	if (free >= pool->marks.low)
		return 0;
	/* Relaxed: for statistics. */
	wi_add_relaxed(&wi_pool_totals(pool)->below_low, 1);
	err = wi_pool_drain_for(pool, pool->marks.high - free, wait_ns,
				&drained);
	ask_for_pages(pool, wi_pool_nr_free(pool));
	(void)wi_public_add(result, result, &drained);
	return err;
}

int wi_pool_keep_watermarks(struct wi_pool *pool, uint64_t wait_ns,
			    struct weir_drain_result *result)
{
	int cancel = wi_os_cancel_put_off();
	int err = 0;

	/* Who has it does what this call would; or this is the function that
	 * is asked for pages. */
	if (wi_os_mutex_trylock(&pool->marks_mutex)) {
		err = restore_high(pool, wait_ns, result);
		wi_os_mutex_unlock(&pool->marks_mutex);
	}
	wi_os_cancel_allow(cancel);
	return err;
}
