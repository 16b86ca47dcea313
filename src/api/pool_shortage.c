/* SPDX-License-Identifier: MIT */
/*
 * Messages for failed allocations. The failing call stores numbers only, since
 * it may be made in a loop, or in a signal handler; the pool is read when
 * weir_last_error() is called.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "os/report.h"
#include "api/pool.h"

struct shortage {
	const struct wi_pool *pool; /* NULL: no longer known */
	unsigned order, why, flags;
	uint64_t n, pending;
	char *to;
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void
add_words(struct shortage *s, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(s->to, s->len, format, args);
	va_end(args);
	if (n > 0) {
		n = (int)wi_min_u64((uint64_t)n, s->len - 1);
		s->to += n;
		s->len -= (size_t)n;
	}
}

static void say_empty(struct shortage *s)
{
	const char *where = s->flags & WEIR_THISNODE ? " on this node" : "";
	const uint64_t pages =
		s->pool == NULL ? UINT64_MAX : wi_pool_nr_pages(s->pool);

	if (s->n > pages >> s->order && s->n > 1)
		add_words(s,
			  "%" PRIu64
			  " runs of order %u are more than the pool's "
			  "%" PRIu64 " pages",
			  s->n, s->order, pages);
	else if (s->n > pages >> s->order)
		add_words(s,
			  "a run of order %u has %" PRIu64 " pages, the pool "
			  "%" PRIu64,
			  s->order, UINT64_C(1) << s->order, pages);
	else if (s->n > 1)
		add_words(s,
			  "fewer than %" PRIu64 " runs of order %u were free%s",
			  s->n, s->order, where);
	else if (s->order > 0)
		add_words(s, "no run of order %u was free%s", s->order, where);
	else
		add_words(s, "no page was free%s", where);
}

static void say_why(struct shortage *s)
{
	if (s->why == WI_FAIL_NOWAIT)
		add_words(s,
			  "WEIR_NOWAIT: %" PRIu64
			  " of order %u not in this CPU's "
			  "list and the zones",
			  s->n, s->order);
	else if (s->why == WI_FAIL_PENDING)
		add_words(s,
			  "%" PRIu64
			  " pages were pending on CPUs without evidence "
			  "until the deadline (wait_ns)",
			  s->pending);
	else if (s->why == WI_FAIL_LOST)
		add_words(s, "others drained, or took what was free, until the "
			     "deadline (wait_ns)");
	else
		say_empty(s);
}

/* The order of the largest free run, or -1. */
static int largest_run(const struct wi_pool *pool)
{
	int largest = -1;

	for (unsigned zone = 0; zone < pool->nr_zones; zone++) {
		struct weir_stat_zone its = WEIR_STAT_ZONE_INIT;

		if (wi_view_read_zone(&pool->view, zone, &its) != 0)
			continue;
		for (int order = WEIR_ORDER_MAX; order > largest; order--)
			if (its.free_runs[order] != 0)
				largest = order;
	}
	return largest;
}

static void say_figures(struct shortage *s)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	const int largest = largest_run(s->pool);

	if (wi_view_read(&s->pool->view, &stat) != 0)
		return;
	add_words(s, "; now of %" PRIu64 " pages %" PRIu64 " are free",
		  stat.pages, stat.free);
	if (largest >= 0)
		add_words(s, " (largest run: order %d)", largest);
	add_words(s,
		  ", %" PRIu64 " in lists, %" PRIu64 " pending, %" PRIu64
		  " allocated",
		  stat.cached, stat.pending, stat.out);
}

static void say_pool_shortage(char *to, size_t len, const uint64_t *arg)
{
	struct shortage s = {
		.pool = wi_pool_hold((const void *)(uintptr_t)arg[0], arg[1]),
		.order = (unsigned)arg[2] & 31,
		.why = (unsigned)(arg[2] >> 8) & 0xff,
		.flags = (unsigned)(arg[2] >> 16),
		.n = arg[3],
		.pending = arg[4],
		.to = to,
		.len = len,
	};

	if (s.pool == NULL) {
		say_why(&s);
		return;
	}
	add_words(&s, "pool \"%s\": ", s.pool->name);
	say_why(&s);
	say_figures(&s);
	wi_pool_let_go(s.pool);
}

static void say_single_pages_only(char *to, size_t len, const uint64_t *arg)
{
	snprintf(to, len,
		 "order: %u; with a page_size of %" PRIu64 ", no power of two, "
		 "there is order 0 only",
		 (unsigned)arg[0], arg[1]);
}

void wi_pool_report_order(const struct wi_pool *pool, unsigned order)
{
	if (pool->order_max > 0)
		wi_report_order(order, pool->order_max);
	else
		wi_report_reason(say_single_pages_only,
				 (const uint64_t[WI_REASON_ARGS]){
					 order, pool->page_size });
}

void wi_pool_report_shortage(const struct wi_pool *pool, unsigned order,
			     size_t n, unsigned flags,
			     const struct wi_shortage *shortage)
{
	wi_report_reason(say_pool_shortage,
			 (const uint64_t[WI_REASON_ARGS]){
				 (uintptr_t)pool->handle,
				 pool->view.live->number,
				 order | (uint64_t)shortage->why << 8 |
					 (uint64_t)flags << 16,
				 n,
				 shortage->pending,
			 });
}
