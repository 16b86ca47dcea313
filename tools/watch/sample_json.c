/* SPDX-License-Identifier: MIT */
/* A pool's numbers as JSON. */
#include "watch/sample.h"

#include "watch/watched.h"

#ifdef WEIR_HAVE_JANSSON

/* JSON's numbers are signed here. */
json_int_t sample_json_int(uint64_t number)
{
	return (json_int_t)(number < INT64_MAX ? number : INT64_MAX);
}

static const char *state_name(enum weir_watch_state state)
{
	static const char *const names[] = {
		[WEIR_WATCH_LIVE] = "live",
		[WEIR_WATCH_DESTROYED] = "destroyed",
		[WEIR_WATCH_DEAD] = "dead",
	};

	return names[state];
}

json_t *sample_json_pool(const struct watched *pool)
{
	const struct weir_watch_info *info = &pool->info;

	return json_pack("{si ss ss sI ss sI sI sI sI sI sb}", "pid", pool->pid,
			 "command", pool->command, "pool", pool->name, "number",
			 sample_json_int(pool->number), "state",
			 state_name(info->state), "bytes",
			 sample_json_int(info->bytes), "page_size",
			 sample_json_int(info->page_size), "nr_cpus",
			 (json_int_t)info->nr_cpus, "nr_zones",
			 (json_int_t)info->nr_zones, "batch",
			 (json_int_t)info->batch, "locked", info->locked);
}

static void set(json_t *object, const char *name, uint64_t number)
{
	json_object_set_new(object, name,
			    json_integer(sample_json_int(number)));
}

json_t *sample_json_stat(const struct weir_stat *stat)
{
	json_t *o = json_object();

	set(o, "pages", stat->pages);
	set(o, "free", stat->free);
	set(o, "cached", stat->cached);
	set(o, "pending", stat->pending);
	set(o, "out", stat->out);
	set(o, "peak", stat->peak);
	set(o, "isolated", stat->isolated);
	set(o, "max_pages", stat->max_pages);
	set(o, "operations", stat->operations);
	set(o, "refills", stat->refills);
	set(o, "flushes", stat->flushes);
	set(o, "direct", stat->direct);
	set(o, "aborts", stat->aborts);
	set(o, "drains", stat->drains);
	set(o, "drained_pages", stat->drained_pages);
	set(o, "by_progress", stat->by_progress);
	set(o, "by_not_busy", stat->by_not_busy);
	set(o, "by_membarrier", stat->by_membarrier);
	set(o, "late", stat->late);
	set(o, "membarriers", stat->membarriers);
	set(o, "membarriers_failed", stat->membarriers_failed);
	set(o, "failed_nowait", stat->failed_nowait);
	set(o, "failed_empty", stat->failed_empty);
	set(o, "failed_pending", stat->failed_pending);
	set(o, "failed_lost", stat->failed_lost);
	set(o, "requests_waiting", stat->requests_waiting);
	set(o, "requests_completed", stat->requests_completed);
	set(o, "requests_cancelled", stat->requests_cancelled);
	set(o, "requests_passes", stat->requests_passes);
	set(o, "stalls", stat->stalls);
	set(o, "stall_ns", stat->stall_ns);
	set(o, "below_low", stat->below_low);
	set(o, "shrinks", stat->shrinks);
	return o;
}

json_t *sample_json_cpu(const struct weir_stat_cpu *cpu, unsigned number)
{
	json_t *o = json_object();

	set(o, "cpu", number);
	json_object_set_new(o, "mode", json_string(sample_mode(cpu->mode)));
	set(o, "cached", cpu->cached);
	set(o, "pending", cpu->pending);
	set(o, "operations", cpu->operations);
	set(o, "refills", cpu->refills);
	set(o, "flushes", cpu->flushes);
	set(o, "direct", cpu->direct);
	set(o, "aborts", cpu->aborts);
	set(o, "drains", cpu->drains);
	set(o, "by_progress", cpu->by_progress);
	set(o, "by_not_busy", cpu->by_not_busy);
	set(o, "by_membarrier", cpu->by_membarrier);
	set(o, "late", cpu->late);
	return o;
}

static void set_rate(json_t *object, const char *name, uint64_t before,
		     uint64_t now, double seconds)
{
	json_object_set_new(object, name,
			    json_real(sample_rate(before, now, seconds)));
}

json_t *sample_json_rates(const struct weir_stat *a, const struct weir_stat *b,
			  double seconds)
{
	json_t *o = json_object();

	set_rate(o, "operations", a->operations, b->operations, seconds);
	set_rate(o, "refills", a->refills, b->refills, seconds);
	set_rate(o, "flushes", a->flushes, b->flushes, seconds);
	set_rate(o, "direct", a->direct, b->direct, seconds);
	set_rate(o, "aborts", a->aborts, b->aborts, seconds);
	set_rate(o, "drains", a->drains, b->drains, seconds);
	set_rate(o, "drained_pages", a->drained_pages, b->drained_pages,
		 seconds);
	set_rate(o, "failed", sample_failures(a), sample_failures(b), seconds);
	return o;
}

json_t *sample_json_cpu_rates(const struct weir_stat_cpu *a,
			      const struct weir_stat_cpu *b, double seconds)
{
	json_t *o = json_object();

	set_rate(o, "operations", a->operations, b->operations, seconds);
	set_rate(o, "refills", a->refills, b->refills, seconds);
	set_rate(o, "flushes", a->flushes, b->flushes, seconds);
	set_rate(o, "direct", a->direct, b->direct, seconds);
	set_rate(o, "aborts", a->aborts, b->aborts, seconds);
	set_rate(o, "drains", a->drains, b->drains, seconds);
	set_rate(o, "by_progress", a->by_progress, b->by_progress, seconds);
	set_rate(o, "by_not_busy", a->by_not_busy, b->by_not_busy, seconds);
	set_rate(o, "by_membarrier", a->by_membarrier, b->by_membarrier,
		 seconds);
	set_rate(o, "late", a->late, b->late, seconds);
	return o;
}

#endif
