/* SPDX-License-Identifier: MIT */
/*
 * A unit: which sets one CPU has for one zone, when they may be exchanged, and
 * evidence for the one that is pending. See drain.h.
 */
#include "percpu/internal.h"

#include "base/trace.h"

/* --- modes ------------------------------------------------------------- */

/*
 * The mode of a unit of a CPU in this mode. Lists of a polling CPU for another
 * zone than its home are quiet: inlined operations and ticks are on those of
 * its home zone alone, and are no evidence for others, which would wait for a
 * slow path that may never come.
 */
static uint8_t mode_of_unit(const struct wi_drain *drain,
			    const struct wi_unit *unit, uint8_t mode)
{
	const bool is_home = unit < drain->units + drain->nr_cpus;

	return mode == WI_MODE_POLLING && !is_home ? WI_MODE_QUIET : mode;
}

/* Notes the mode that is asked for a unit. Relaxed, both: for statistics. */
static void note_mode(const struct wi_drain_run *run, struct wi_unit *unit)
{
	const struct wi_drain_request *request = &run->request;

	wi_store_relaxed(&unit->wanted_off, request->set_off);
	if (!request->set_off)
		wi_store_relaxed(&unit->wanted,
				 mode_of_unit(run->drain, unit,
					      (uint8_t)request->mode));
}

void wi_unit_init(const struct wi_drain *drain, struct wi_unit *unit,
		  uint8_t mode)
{
	for (unsigned list = 0; list < drain->nr_lists; list++)
		unit->limit[list] = drain->limits[list];
	unit->share = WI_EVEN_SHARE;
	unit->mode = mode_of_unit(drain, unit, mode);
	unit->wanted = unit->in_force = unit->mode;
}

bool wi_unit_note_limit(struct wi_unit *unit, unsigned list, uint16_t limit)
{
	if (unit->limit[list] == limit)
		return false;
	wi_store_relaxed(&unit->limit[list], limit); /* for statistics */
	unit->new_limits = true;
	return true;
}

/* What is asked for, mode or limits. */
static void note_change(const struct wi_drain_run *run, struct wi_unit *unit)
{
	const uint16_t *limits = run->request.limits;

	if (run->request.set_mode)
		note_mode(run, unit);
	for (unsigned list = 0; limits != NULL && list < run->drain->nr_lists;
	     list++)
		if (limits[list] != 0)
			(void)wi_unit_note_limit(unit, list, limits[list]);
}

void wi_unit_change_asleep(const struct wi_drain_run *run, unsigned zone,
			   unsigned cpu)
{
	struct wi_unit *unit = wi_drain_unit(run->drain, zone, cpu);

	note_change(run, unit);
	unit->new_limits = false; /* its lists are made with them */
	unit->mode = unit->wanted;
	/* Relaxed, both: for statistics. */
	wi_store_relaxed(&unit->in_force, unit->mode);
	wi_store_relaxed(&unit->off, unit->wanted_off);
}

/* --- the sets ---------------------------------------------------------- */

uint64_t wi_unit_pages(const struct wi_drain *drain, struct wi_area *area,
		       unsigned set)
{
	const uint64_t *header = wi_area_headers(area, set);
	uint64_t pages = 0;

	for (unsigned list = 0; list < drain->nr_lists; list++)
		/* Relaxed: a page that is pushed later is inside a call
		 * meanwhile. */
		pages += (uint64_t)drain->weight[list] *
			 wi_header_count(wi_load_relaxed(&header[list]));
	return pages;
}

static unsigned spare_set(const struct wi_unit *unit)
{
	for (unsigned set = WI_SET_0; set <= WI_SET_1; set++)
		if (set != unit->set && set != unit->pending)
			return set;
	return WI_SET_NULL;
}

static bool wants_change(const struct wi_unit *unit)
{
	return unit->wanted_off != unit->off ||
	       (!unit->off && (unit->wanted != unit->mode || unit->new_limits));
}

/* May active be exchanged now? Not while a set is pending (I2), unless active
 * names the null set. */
static bool may_exchange(const struct wi_unit *unit)
{
	return unit->pending == WI_SET_NULL || unit->set == WI_SET_NULL;
}

/* A quiet CPU gets another mode once it has given evidence for an exchange in
 * quiet mode. Until then the change can be taken back, and nothing in flight
 * needs other evidence. */
static bool is_quiet(const struct wi_unit *unit)
{
	return unit->mode == WI_MODE_QUIET && unit->set != WI_SET_NULL;
}

/* Empties a set that no operation can write any more, and gives its lists the
 * limits asked for. */
static void reset_set(const struct wi_drain *drain, const struct wi_unit *unit,
		      struct wi_area *area, unsigned set)
{
	for (unsigned list = 0; list < drain->nr_lists; list++)
		wi_area_reset(area, set, list, unit->limit[list]);
}

void wi_unit_exchange(struct wi_drain *drain, struct wi_unit *unit,
		      struct wi_area *area, unsigned zone)
{
	const unsigned before = unit->set;
	const unsigned next = unit->off ? WI_SET_NULL : spare_set(unit);
	uint64_t word;

	wi_assert(may_exchange(unit));
	if (unit->new_limits && next != WI_SET_NULL) {
		reset_set(drain, unit, area, next); /* it is empty */
		unit->new_limits = false;
	}
	/* It will be read and then exchanged: one transfer of the line, not
	 * two. */
	wi_prefetch_write(&area->active);
	/* After 2^32 exchanges without a tick, an old tick must not pass for a
	 * new one. Relaxed: no thread can be about to store that word. */
	do
		word = wi_active_word(next, unit->mode == WI_MODE_QUIET,
				      ++unit->number);
	while (word == wi_load_relaxed(&area->seen));
	wi_exchange_active(&unit->exchange, area, word);
	unit->set = (uint8_t)next;
	unit->tried = false;
	if (before != WI_SET_NULL) {
		unit->in_flight = unit->mode;
		wi_store_relaxed(&unit->pending, before); /* for statistics */
		/* The flush writes them; their owner no longer does. */
		wi_prefetch_write(wi_area_headers(area, before));
		WI_TRACE(exchange, drain, zone, area->cpu, unit->number,
			 unit->count);
	} else if (unit->pending == WI_SET_NULL) {
		wi_store_relaxed(&unit->in_force, unit->mode); /* likewise */
	}
	unit->count = 0;
}

/* An exchange to the wanted mode. */
static void change_mode(struct wi_drain *drain, struct wi_unit *unit,
			struct wi_area *area, unsigned zone)
{
	const uint8_t mode = unit->mode;
	const bool has_set = unit->set != WI_SET_NULL;

	wi_store_relaxed(&unit->off, unit->wanted_off); /* for statistics */
	if (!unit->off)
		unit->mode = unit->wanted;
	wi_unit_exchange(drain, unit, area, zone);
	if (has_set)
		unit->in_flight = mode;
}

void wi_unit_take(struct wi_drain_run *run, unsigned zone, unsigned cpu)
{
	struct wi_drain *drain = run->drain;
	struct wi_unit *unit = wi_drain_unit(drain, zone, cpu);
	struct wi_area *area = wi_drain_area(drain, zone, cpu);

	note_change(run, unit);
	unit->tried = false;
	if (may_exchange(unit) && wants_change(unit) && !is_quiet(unit))
		change_mode(drain, unit, area, zone);
	else if (may_exchange(unit) && (unit->count > 0 || wants_change(unit)))
		wi_unit_exchange(drain, unit, area, zone);
	unit->count = 0;
	unit->chosen = unit->pending != WI_SET_NULL;
}

/* The pending set, with evidence, has been emptied by the caller and is the
 * next spare. A change that waited for this is made, which needs evidence of
 * its own. */
static void reuse_set(struct wi_drain *drain, struct wi_unit *unit,
		      struct wi_area *area, unsigned zone)
{
	reset_set(drain, unit, area, unit->pending);
	/* Relaxed, both: for statistics. */
	wi_store_relaxed(&unit->pending, WI_SET_NULL);
	wi_store_relaxed(&unit->in_force, unit->mode);
	if (wants_change(unit)) {
		unit->count = (uint32_t)wi_unit_pages(drain, area, unit->set);
		change_mode(drain, unit, area, zone);
	}
}

/* --- evidence ---------------------------------------------------------- */

/* Did every sequence that may still commit announce itself? */
static bool all_announced(const struct wi_unit *unit)
{
	return unit->in_flight == WI_MODE_QUIET ||
	       unit->in_flight == WI_MODE_LOCKED;
}

/* Is there evidence that needs no help from the kernel? */
static enum wi_evidence look_for_evidence(struct wi_unit *unit,
					  struct wi_area *area)
{
	/* First what may be known already: progress needs the line that the
	 * owner writes. */
	if (all_announced(unit) &&
	    wi_evidence_not_busy(&unit->exchange, area, 1u << unit->pending))
		return WI_EVIDENCE_NOT_BUSY;
	if (wi_evidence_progress(&unit->exchange, area))
		return WI_EVIDENCE_PROGRESS;
	return WI_EVIDENCE_NONE;
}

void wi_unit_settle(struct wi_drain_run *run, unsigned zone, unsigned cpu,
		    enum wi_evidence evidence)
{
	struct wi_drain *drain = run->drain;
	struct wi_unit *unit = wi_drain_unit(drain, zone, cpu);

	unit->evidence = (uint8_t)evidence;
	unit->count = (uint32_t)wi_unit_pages(
		drain, wi_drain_area(drain, zone, cpu), unit->pending);
	run->outcome.pages += unit->count;
	run->outcome.by[evidence]++;
	run->nr_taken++;
	wi_drain_count(&unit->by[evidence]);
}

bool wi_unit_look(struct wi_drain_run *run, unsigned zone, unsigned cpu)
{
	enum wi_evidence evidence =
		look_for_evidence(wi_drain_unit(run->drain, zone, cpu),
				  wi_drain_area(run->drain, zone, cpu));

	if (evidence == WI_EVIDENCE_NONE)
		return false;
	wi_unit_settle(run, zone, cpu, evidence);
	return true;
}

bool wi_unit_is_orphan(const struct wi_unit *unit)
{
	return all_announced(unit) && wi_evidence_is_orphan(&unit->exchange);
}

void wi_unit_finish(struct wi_drain_run *run, unsigned zone, unsigned cpu)
{
	struct wi_drain *drain = run->drain;
	struct wi_unit *unit = wi_drain_unit(drain, zone, cpu);
	const enum wi_evidence evidence = unit->evidence;
	const uint32_t pages = unit->count;
	bool is_done;

	unit->evidence = WI_EVIDENCE_NONE;
	unit->count = 0;
	run->nr_taken--;
	reuse_set(drain, unit, wi_drain_area(drain, zone, cpu), zone);
	/* Otherwise a change of mode needs evidence of its own. */
	is_done = unit->pending == WI_SET_NULL;
	WI_TRACE(evidence, drain, zone, cpu, evidence, pages,
		 unit->chosen && is_done);
	if (!is_done) {
		run->has_changed = true;
		return;
	}
	run->outcome.drained += unit->chosen;
	unit->drained |= unit->chosen;
	unit->chosen = false;
}
