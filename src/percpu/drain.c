/* SPDX-License-Identifier: MIT */
/*
 * A run: its steps, and the lists that its caller empties between them. See
 * drain.h.
 */
#include "percpu/internal.h"

#include "base/trace.h"
#include "os/rseq.h"
#include "percpu/list.h"

enum { LOOK_AT_PENDING, SURVEY, CHOOSE, WAIT, CONCLUDE, COLLECT, IS_OVER };

void wi_drain_begin(struct wi_drain_run *run, struct wi_drain *drain,
		    const struct wi_drain_request *request)
{
	*run = (struct wi_drain_run){
		.drain = drain,
		.request = *request,
		.step = LOOK_AT_PENDING,
	};
	wi_rseq_thread_init();
	/* DRAIN-F3 (partner DRAIN-F2): the number before the loads of the
	 * survey. The survey sees the pages of a thread that reads the old
	 * number after this. */
	wi_add_full(&drain->begun, 1);
	WI_TRACE(drain_begin, drain, drain->begun, request->want_pages);
}

void wi_drain_begin_collect(struct wi_drain_run *run, struct wi_drain *drain,
			    unsigned zone, unsigned cpu)
{
	*run = (struct wi_drain_run){
		.drain = drain,
		.request = { .first_zone = zone, .nr_zones = 1 },
		.collected = cpu,
		.step = COLLECT,
	};
	wi_rseq_thread_init();
}

/* Once more if a change of mode waited for the first evidence. */
static void collect_one(struct wi_drain_run *run)
{
	const unsigned zone = run->request.first_zone;
	const unsigned cpu = run->collected;
	struct wi_unit *unit = wi_drain_unit(run->drain, zone, cpu);

	if (unit->pending != WI_SET_NULL) {
		unit->chosen = true;
		wi_percpu_tick_all(run->drain);
		if (wi_unit_look(run, zone, cpu))
			return;
	}
	unit->chosen = false;
	wi_drain_add_up(run);
	run->step = IS_OVER;
}

/* One step; the caller takes what has evidence after it. */
static void make_step(struct wi_drain_run *run)
{
	switch (run->step) {
	case LOOK_AT_PENDING:
		wi_drain_look_at_pending(run);
		run->step = SURVEY;
		break;
	case SURVEY:
		wi_drain_survey(run);
		run->step = CHOOSE;
		break;
	case CHOOSE:
		run->step = wi_drain_choose(run) ? WAIT : CONCLUDE;
		break;
	case WAIT:
		if (wi_drain_wait(run))
			run->step = run->request.want_pages != 0 ? CHOOSE
								 : CONCLUDE;
		break;
	case CONCLUDE:
		wi_drain_conclude(run);
		run->step = IS_OVER;
		break;
	default:
		collect_one(run);
	}
}

/* The next list with tokens of a unit that has evidence; false: there is no
 * such unit any more. From where the last one was, as long as there are. */
static bool next_list(struct wi_drain_run *run, struct wi_drained *drained)
{
	struct wi_drain *drain = run->drain;

	for (; run->nr_taken > 0;
	     run->cpu = wi_drain_next_cpu(run, run->cpu + 1)) {
		struct wi_unit *unit;

		if (run->cpu >= drain->nr_cpus) {
			run->zone++;
			run->cpu = wi_drain_next_cpu(run, 0);
		}
		unit = wi_drain_unit(drain, run->zone, run->cpu);
		if (!wi_unit_is_taken(unit))
			continue;
		while (run->list < drain->nr_lists) {
			const unsigned list = run->list++;
			struct wi_area *area =
				wi_drain_area(drain, run->zone, run->cpu);

			drained->tokens = wi_area_tokens(area, unit->pending,
							 list, &drained->n);
			drained->zone = run->zone;
			drained->list = list;
			if (drained->n > 0)
				return true;
		}
		run->list = 0;
		wi_unit_finish(run, run->zone, run->cpu);
	}
	return false;
}

bool wi_drain_next(struct wi_drain_run *run, struct wi_drained *drained)
{
	while (!next_list(run, drained)) {
		if (run->step == IS_OVER)
			return false;
		make_step(run);
		run->cpu = run->step == COLLECT ? run->collected
						: wi_drain_next_cpu(run, 0);
		run->zone = run->request.first_zone;
	}
	return true;
}
