/* SPDX-License-Identifier: MIT */
/*
 * Exchange, wait, flush: see drain.h.
 *
 * Longer than 800 lines: a drain's steps share the words of the unit, which
 * would become an interface if they stood in several files.
 */
#include "percpu/drain.h"

#include "base/trace.h"
#include "os/rseq.h"
#include "percpu/list.h"

/* How long to watch for progress before a membarrier: half of what a membarrier
 * of a busy CPU costs, which gives an owner in its slow path or with cache
 * misses time to make progress. And how often a drainer that waits for a quiet
 * or polling CPU looks, and asks whether the thread that it waits for still
 * exists. */
#define PROGRESS_NS 5000
#define SPIN_NS 20000
/* Looks for evidence before a drainer reads the clock; only for speed. (In the
 * interleavings it looks once, as they would otherwise hardly see a set that
 * stays pending.) */
#ifndef WI_DRAIN_LOOKS
#define WI_DRAIN_LOOKS 16
#endif
/* Tokens of a list that are prefetched: eight to a line. */
#define TOKENS_AHEAD 64
#define SLEEP_NS 50000

size_t wi_percpu_bytes(unsigned nr_cpus, unsigned nr_zones)
{
	return sizeof(struct wi_percpu_totals) +
	       (size_t)nr_cpus * nr_zones * sizeof(struct wi_unit) +
	       2 * wi_round_up(nr_cpus, 64) / 8 + nr_cpus;
}

/* The words of a bitmap of CPUs. */
static unsigned nr_words(unsigned nr_cpus)
{
	return (nr_cpus + 63) / 64;
}

bool wi_drain_has_woken(const struct wi_drain *drain, unsigned cpu)
{
	return wi_load_relaxed(&drain->awake[cpu / 64]) >> cpu % 64 & 1;
}

static size_t nth_unit(const struct wi_drain *drain, unsigned zone,
		       unsigned cpu)
{
	return wi_nth_unit(drain->nr_cpus, drain->nr_zones,
			   wi_drain_home(drain, cpu), zone, cpu);
}

struct wi_area *wi_drain_area(const struct wi_drain *drain, unsigned zone,
			      unsigned cpu)
{
	return (struct wi_area *)(drain->areas +
				  nth_unit(drain, zone, cpu) * WEIR_AREA_BYTES);
}

static struct wi_unit *unit_of(const struct wi_drain *drain, unsigned zone,
			       unsigned cpu)
{
	return &drain->units[nth_unit(drain, zone, cpu)];
}

/* --- one unit ---------------------------------------------------------- */

static unsigned spare_set(const struct wi_unit *unit)
{
	for (unsigned set = WI_SET_0; set <= WI_SET_1; set++)
		if (set != unit->set && set != unit->parked)
			return set;
	return WI_SET_NULL;
}

/* Pages in a set; a hint while it is in use. */
static uint64_t pages_in(const struct wi_drain *drain, struct wi_area *area,
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

static uint64_t ops_of(const struct wi_drain *drain, struct wi_area *area)
{
	uint64_t ops = 0;

	for (unsigned set = 0; set < 2; set++)
		for (unsigned list = 0; list < drain->nr_lists; list++)
			/* Relaxed: a count for statistics. */
			ops += wi_header_ops(
				wi_load_relaxed(&area->header[set][list]));
	return ops;
}

/* Relaxed: for statistics; only the mutex holder writes. */
static void count_one(uint64_t *what)
{
	wi_store_relaxed(what, *what + 1);
}

static bool wants_change(const struct wi_unit *unit)
{
	return unit->wanted_off != unit->off ||
	       (!unit->off && unit->wanted != unit->mode);
}

/* May active be exchanged now? Not while a set is pending (I2), unless active
 * names the null set. */
static bool may_exchange(const struct wi_unit *unit)
{
	return unit->parked == WI_SET_NULL || unit->set == WI_SET_NULL;
}

/* A quiet CPU gets another mode once it has given evidence for an exchange in
 * quiet mode. Until then the change can be taken back, and nothing in flight
 * needs other evidence. */
static bool is_quiet(const struct wi_unit *unit)
{
	return unit->mode == WI_MODE_QUIET && unit->set != WI_SET_NULL;
}

/* Publishes the unit's spare set, or the null set when caching is off; the set
 * that was in use is pending. */
static void exchange_active(struct wi_drain *drain, struct wi_unit *unit,
			    struct wi_area *area, unsigned zone)
{
	const unsigned before = unit->set;
	const unsigned next = unit->off ? WI_SET_NULL : spare_set(unit);
	uint64_t word;

	wi_assert(may_exchange(unit));
	/* It will be read and then exchanged: one transfer of the line, not
	 * two. */
	wi_prefetch_write(&area->active);
	/* After 2^32 exchanges without a tick, an old tick must not pass for a
	 * new one. Relaxed: no thread can be about to store that word. */
	do
		word = wi_active_word(next, unit->mode == WI_MODE_QUIET,
				      ++unit->number);
	while (word == wi_load_relaxed(&area->seen));
	wi_grace_exchange(&unit->grace, area, word);
	unit->set = (uint8_t)next;
	unit->tried = false;
	if (before != WI_SET_NULL) {
		unit->in_flight = unit->mode;
		wi_store_relaxed(&unit->parked, before); /* for statistics */
		/* The flush writes them; their owner no longer does. */
		wi_prefetch_write(wi_area_headers(area, before));
		WI_TRACE(exchange, drain, zone, area->cpu, unit->number,
			 unit->count);
	} else if (unit->parked == WI_SET_NULL) {
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
	exchange_active(drain, unit, area, zone);
	if (has_set)
		unit->in_flight = mode;
}

/* The parked set, with evidence, has been emptied by the caller and is the next
 * spare. A change that waited for this is made, which needs evidence of its
 * own. */
static void reuse_set(struct wi_drain *drain, struct wi_unit *unit,
		      struct wi_area *area, unsigned zone)
{
	for (unsigned list = 0; list < drain->nr_lists; list++)
		wi_pcplist_reset(area, unit->parked, list, drain->limits[list]);
	/* Relaxed, both: for statistics. */
	wi_store_relaxed(&unit->parked, WI_SET_NULL);
	wi_store_relaxed(&unit->in_force, unit->mode);
	if (wants_change(unit)) {
		unit->count = (uint32_t)pages_in(drain, area, unit->set);
		change_mode(drain, unit, area, zone);
	}
}

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
	    wi_grace_not_busy(&unit->grace, area, 1u << unit->parked))
		return WI_EVIDENCE_NOT_BUSY;
	if (wi_grace_progress(&unit->grace, area))
		return WI_EVIDENCE_PROGRESS;
	return WI_EVIDENCE_NONE;
}

/* --- a run ------------------------------------------------------------- */

/* CPUs of a request, 64 at a time: those awake, and those asleep. */
static uint64_t awake_cpus(const struct wi_drain_run *run, unsigned word)
{
	const uint64_t *cpus = run->request.cpus;

	return run->drain->awake[word] &
	       (cpus == NULL ? ~UINT64_C(0) : cpus[word]);
}

static uint64_t sleeping_cpus(const struct wi_drain_run *run, unsigned word)
{
	const uint64_t *cpus = run->request.cpus;
	const unsigned after = run->drain->nr_cpus - 64 * word;

	return ~run->drain->awake[word] &
	       (cpus == NULL ? ~UINT64_C(0) : cpus[word]) &
	       (after < 64 ? wi_low_mask(after) : ~UINT64_C(0));
}

/* The first CPU of the request from there on whose area is set up; nr_cpus:
 * none. */
static unsigned next_cpu(const struct wi_drain_run *run, unsigned cpu)
{
	const unsigned nr = nr_words(run->drain->nr_cpus);
	uint64_t from = ~UINT64_C(0) << cpu % 64;

	for (unsigned word = cpu / 64; word < nr; word++) {
		uint64_t cpus = awake_cpus(run, word) & from;

		if (cpus != 0)
			return 64 * word + wi_lowest_bit(cpus);
		from = ~UINT64_C(0);
	}
	return run->drain->nr_cpus;
}

/* for each (zone, cpu) of a request whose area is set up */
/* NOLINTBEGIN(bugprone-macro-parentheses): it declares zone and cpu */
#define FOR_EACH_UNIT(run, zone, cpu)                                          \
	for (unsigned zone = (run)->request.first_zone;                        \
	     zone < (run)->request.first_zone + (run)->request.nr_zones;       \
	     zone++)                                                           \
		for (unsigned cpu = next_cpu(run, 0);                          \
		     cpu < (run)->drain->nr_cpus;                              \
		     cpu = next_cpu(run, cpu + 1))
/* NOLINTEND(bugprone-macro-parentheses) */

/* Is there nothing to wait for any more, but the caller? */
static bool is_taken(const struct wi_unit *unit)
{
	return unit->evidence != WI_EVIDENCE_NONE;
}

/* There is evidence: the parked set goes to the caller. */
static void settle_ctl(struct wi_drain_run *run, unsigned zone, unsigned cpu,
		       enum wi_evidence evidence)
{
	struct wi_drain *drain = run->drain;
	struct wi_unit *unit = unit_of(drain, zone, cpu);

	unit->evidence = (uint8_t)evidence;
	unit->count = (uint32_t)pages_in(drain, wi_drain_area(drain, zone, cpu),
					 unit->parked);
	run->outcome.pages += unit->count;
	run->outcome.by[evidence]++;
	run->nr_taken++;
	count_one(&unit->by[evidence]);
}

/* The caller has taken the set's tokens away. */
static void finish_unit(struct wi_drain_run *run, unsigned zone, unsigned cpu)
{
	struct wi_drain *drain = run->drain;
	struct wi_unit *unit = unit_of(drain, zone, cpu);
	const enum wi_evidence evidence = unit->evidence;
	const uint32_t pages = unit->count;
	bool is_done;

	unit->evidence = WI_EVIDENCE_NONE;
	unit->count = 0;
	run->nr_taken--;
	reuse_set(drain, unit, wi_drain_area(drain, zone, cpu), zone);
	/* Otherwise a change of mode needs evidence of its own. */
	is_done = unit->parked == WI_SET_NULL;
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

static bool look_and_settle(struct wi_drain_run *run, unsigned zone,
			    unsigned cpu)
{
	enum wi_evidence evidence =
		look_for_evidence(unit_of(run->drain, zone, cpu),
				  wi_drain_area(run->drain, zone, cpu));

	if (evidence == WI_EVIDENCE_NONE)
		return false;
	settle_ctl(run, zone, cpu, evidence);
	return true;
}

static bool is_satisfied(const struct wi_drain_run *run)
{
	return run->request.want_pages != 0 &&
	       run->outcome.pages >= run->request.want_pages;
}

/* Prefetches the first tokens of a set that will be flushed, while the drainer
 * exchanges and waits. */
static void fetch_tokens(const struct wi_drain *drain, struct wi_area *area,
			 unsigned set)
{
	for (unsigned list = 0; set != WI_SET_NULL && list < drain->nr_lists;
	     list++) {
		size_t n;
		const uint64_t *tokens = wi_pcplist_tokens(area, set, list, &n);

		for (size_t i = 0; i < n && i < TOKENS_AHEAD; i += 8)
			wi_prefetch_read(tokens + i);
	}
}

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

/* Sleeping areas (I5) hold nothing, and no operation is in flight there. */
static void pass_sleepers(struct wi_drain_run *run)
{
	const struct wi_drain_request *request = &run->request;
	const unsigned last_zone = request->first_zone + request->nr_zones;

	for (unsigned word = 0; word < nr_words(run->drain->nr_cpus); word++) {
		uint64_t cpus = sleeping_cpus(run, word);

		run->outcome.cpus_empty += wi_popcount(cpus);
		for (; cpus != 0 && request->set_mode; cpus &= cpus - 1)
			for (unsigned zone = request->first_zone;
			     zone < last_zone; zone++) {
				struct wi_unit *unit = unit_of(
					run->drain, zone,
					64 * word + wi_lowest_bit(cpus));

				note_mode(run, unit);
				unit->mode = unit->wanted;
				/* Relaxed, both: for statistics. */
				wi_store_relaxed(&unit->in_force, unit->mode);
				wi_store_relaxed(&unit->off, unit->wanted_off);
			}
	}
}

/* What earlier drains left parked may have evidence by now. */
static void look_at_parked(struct wi_drain_run *run)
{
	FOR_EACH_UNIT(run, zone, cpu)
	{
		struct wi_unit *unit = unit_of(run->drain, zone, cpu);

		unit->chosen = false;
		if (unit->parked != WI_SET_NULL)
			look_and_settle(run, zone, cpu);
	}
}

/* Counts what each unit keeps. */
static void survey_lists(struct wi_drain_run *run)
{
	struct wi_drain *drain = run->drain;

	pass_sleepers(run);
	FOR_EACH_UNIT(run, zone, cpu)
	{
		struct wi_unit *unit = unit_of(drain, zone, cpu);
		struct wi_area *area = wi_drain_area(drain, zone, cpu);

		unit->drained = false;
		unit->count = (uint32_t)pages_in(drain, area, unit->set);
		if (run->request.idle_only) {
			uint64_t ops = ops_of(drain, area);

			if (ops != unit->idle_ops)
				unit->count = 0;
			unit->idle_ops = ops;
		}
		/* The kernel's membarrier needs no help: as good as in use. */
		if (run->request.may_interrupt && unit->parked != WI_SET_NULL)
			unit->count +=
				(uint32_t)pages_in(drain, area, unit->parked);
		unit->empty = unit->count == 0 && unit->parked == WI_SET_NULL;
		if (!unit->empty && run->request.want_pages == 0)
			fetch_tokens(drain, area, unit->set);
	}
}

/* Exchanges the unit's active if that is useful now, and adds it to the units
 * to wait for. */
static void take_lists(struct wi_drain_run *run, unsigned zone, unsigned cpu)
{
	const struct wi_drain_request *request = &run->request;
	struct wi_drain *drain = run->drain;
	struct wi_unit *unit = unit_of(drain, zone, cpu);
	struct wi_area *area = wi_drain_area(drain, zone, cpu);

	if (request->set_mode)
		note_mode(run, unit);
	unit->tried = false;
	if (may_exchange(unit) && wants_change(unit) && !is_quiet(unit))
		change_mode(drain, unit, area, zone);
	else if (may_exchange(unit) && (unit->count > 0 || wants_change(unit)))
		exchange_active(drain, unit, area, zone);
	unit->count = 0;
	unit->chosen = unit->parked != WI_SET_NULL;
}

/* Exchanges the fullest units first, until they promise what is still wanted.
 * False if there was none. */
static bool choose_fullest(struct wi_drain_run *run)
{
	uint64_t missing = run->request.want_pages - run->outcome.pages;
	uint64_t promised = 0;
	bool any = false;

	while (promised < missing) {
		unsigned best_zone = 0, best_cpu = 0;
		uint32_t best = 0;

		FOR_EACH_UNIT(run, zone, cpu)
		{
			uint32_t count = unit_of(run->drain, zone, cpu)->count;

			if (count > best) {
				best = count;
				best_zone = zone;
				best_cpu = cpu;
			}
		}
		if (best == 0)
			break;
		take_lists(run, best_zone, best_cpu);
		promised += best;
		any = true;
	}
	return any;
}

static bool choose_all(struct wi_drain_run *run)
{
	bool any = false;

	FOR_EACH_UNIT(run, zone, cpu)
	{
		const struct wi_unit *unit = unit_of(run->drain, zone, cpu);

		if (unit->count > 0 || unit->parked != WI_SET_NULL ||
		    run->request.set_mode) {
			take_lists(run, zone, cpu);
			any = true;
		}
	}
	return any;
}

/* It is evidence in every mode but the locked one. In quiet and polling mode it
 * is an interrupt that weir promised not to cause. */
static bool awaits_membarrier(const struct wi_drain_run *run,
			      const struct wi_unit *unit)
{
	return unit->chosen && !unit->tried && !is_taken(unit) &&
	       (unit->in_flight == WI_MODE_ORDINARY ||
		(run->request.may_interrupt && !run->drain->locked));
}

/* One membarrier is evidence for all zones of its CPU. */
static void settle_zones(struct wi_drain_run *run, unsigned cpu)
{
	const struct wi_drain_request *request = &run->request;
	const unsigned last_zone = request->first_zone + request->nr_zones;

	for (unsigned zone = request->first_zone; zone < last_zone; zone++) {
		if (!awaits_membarrier(run, unit_of(run->drain, zone, cpu)))
			continue;
		/* For all that ran there before (GRACE-F1). */
		WI_TSAN_SEES(&wi_drain_area(run->drain, zone, cpu)->cpu);
		settle_ctl(run, zone, cpu, WI_EVIDENCE_MEMBARRIER);
	}
}

/* Ordinary CPUs: watch for progress, then use membarrier. */
static void membarrier_chosen(struct wi_drain_run *run)
{
	struct wi_drain *drain = run->drain;
	uint64_t until = 0;

	if (!wi_rseq_has_membarrier())
		return;
	FOR_EACH_UNIT(run, zone, cpu)
	{
		struct wi_unit *unit = unit_of(drain, zone, cpu);
		int err;

		if (!awaits_membarrier(run, unit))
			continue;
		if (until == 0)
			until = wi_os_now_ns() + PROGRESS_NS;
		do {
			if (look_and_settle(run, zone, cpu))
				break;
			wi_cpu_relax();
		} while (wi_os_now_ns() < until);
		if (!awaits_membarrier(run, unit))
			continue;
		count_one(&drain->total->membarriers);
		err = wi_grace_membarrier(cpu);
		WI_TRACE(membarrier, drain, cpu, err);
		if (err == 0) {
			settle_zones(run, cpu);
		} else {
			unit->tried = true;
			run->outcome.membarriers_failed++;
		}
	}
}

/* One look at each chosen unit; how many are without evidence. */
static unsigned look_at_chosen(struct wi_drain_run *run, bool ask_for_orphans)
{
	unsigned left = 0;

	if (run->has_changed)
		wi_percpu_tick_all(run->drain);
	run->has_changed = false;
	FOR_EACH_UNIT(run, zone, cpu)
	{
		struct wi_unit *unit = unit_of(run->drain, zone, cpu);

		if (!unit->chosen || is_taken(unit))
			continue;
		if (!look_and_settle(run, zone, cpu) && ask_for_orphans &&
		    all_announced(unit) && wi_grace_is_orphan(&unit->grace))
			settle_ctl(run, zone, cpu, WI_EVIDENCE_NOT_BUSY);
		left += !is_taken(unit);
	}
	return left;
}

/*
 * Waits for those that only their owners can settle, until the caller has
 * something to take, after which this is called again, or the wait is over:
 * true.
 */
static bool wait_for_chosen(struct wi_drain_run *run)
{
	const uint64_t deadline = run->request.deadline_ns;
	uint64_t now;

	/* Reading the clock takes as long as evidence takes to arrive. */
	for (; run->looks < WI_DRAIN_LOOKS; wi_cpu_relax()) {
		unsigned left = look_at_chosen(run, false);

		run->looks += left;
		if (left == 0 || run->nr_taken > 0)
			return run->nr_taken == 0;
	}
	if (run->wait_start == 0)
		run->wait_start = wi_os_now_ns();
	for (;; run->turn++) {
		unsigned left;

		membarrier_chosen(run);
		left = look_at_chosen(run, run->turn % 64 == 63);
		if (is_satisfied(run))
			return true;
		if (left == 0 || run->nr_taken > 0)
			return run->nr_taken == 0;
		now = wi_os_now_ns();
		if (now >= deadline) {
			look_at_chosen(run, deadline != WI_NO_WAIT);
			return true;
		}
		if (now - run->wait_start < SPIN_NS)
			wi_cpu_relax();
		else
			wi_os_sleep_ns(wi_min_u64(SLEEP_NS, deadline - now));
	}
}

static void add_up(struct wi_drain *drain, struct wi_drain_outcome *outcome)
{
	struct wi_drain_outcome *total = &drain->total->drains;

	/* Relaxed, all: statistics; only the mutex holder writes. */
	wi_store_relaxed(&total->pages, total->pages + outcome->pages);
	wi_store_relaxed(&total->drained, total->drained + outcome->drained);
	wi_store_relaxed(&total->nr_pending,
			 total->nr_pending + outcome->nr_pending);
	wi_store_relaxed(&total->membarriers_failed,
			 total->membarriers_failed +
				 outcome->membarriers_failed);
	for (unsigned i = 0; i < WI_NR_EVIDENCE; i++)
		wi_store_relaxed(&total->by[i], total->by[i] + outcome->by[i]);
}

/* For threads that waited meanwhile; a drain that could stop early covers
 * nothing. */
static void remember_run(struct wi_drain *drain,
			 const struct wi_drain_request *request,
			 const struct wi_drain_outcome *outcome)
{
	if (request->want_pages != 0 || request->idle_only)
		return;
	drain->last = drain->begun;
	drain->last_request = *request;
	drain->last_outcome = *outcome;
	if (request->cpus != NULL) {
		for (unsigned i = 0; i < nr_words(drain->nr_cpus); i++)
			drain->last_cpus[i] = request->cpus[i];
		drain->last_request.cpus = drain->last_cpus;
	}
}

/* Of a CPU's units in several zones, the one that is pending speaks first. */
static void count_cpus(struct wi_drain_run *run)
{
	const struct wi_drain_request *request = &run->request;
	const unsigned last_zone = request->first_zone + request->nr_zones;
	const unsigned nr_cpus = run->drain->nr_cpus;

	for (unsigned cpu = next_cpu(run, 0); cpu < nr_cpus;
	     cpu = next_cpu(run, cpu + 1)) {
		bool pending = false, drained = false, empty = true;

		for (unsigned zone = request->first_zone; zone < last_zone;
		     zone++) {
			const struct wi_unit *unit =
				unit_of(run->drain, zone, cpu);

			pending |= unit->parked != WI_SET_NULL;
			drained |= unit->drained;
			empty &= unit->empty;
		}
		run->outcome.cpus_pending += pending;
		run->outcome.cpus_drained += drained && !pending;
		run->outcome.cpus_empty += empty && !drained && !pending;
	}
}

/* Counts what stays parked, and the run. */
static void conclude_run(struct wi_drain_run *run)
{
	struct wi_drain *drain = run->drain;
	struct wi_drain_outcome *outcome = &run->outcome;

	FOR_EACH_UNIT(run, zone, cpu)
	{
		struct wi_unit *unit = unit_of(drain, zone, cpu);
		uint64_t pages;

		if (unit->parked == WI_SET_NULL)
			continue;
		/* An operation under way may still commit. */
		pages = pages_in(drain, wi_drain_area(drain, zone, cpu),
				 unit->parked);
		outcome->pending += pages;
		outcome->nr_pending++;
		count_one(&unit->late);
		WI_TRACE(parked, drain, zone, cpu, pages);
	}
	WI_TRACE(drain_end, drain, drain->begun, outcome->pages,
		 outcome->drained, outcome->pending);
	count_cpus(run);
	add_up(drain, outcome);
	remember_run(drain, &run->request, outcome);
}

enum { LOOK_AT_PARKED, SURVEY, CHOOSE, WAIT, CONCLUDE, COLLECT, IS_OVER };

void wi_drain_begin(struct wi_drain_run *run, struct wi_drain *drain,
		    const struct wi_drain_request *request)
{
	*run = (struct wi_drain_run){
		.drain = drain,
		.request = *request,
		.step = LOOK_AT_PARKED,
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
	struct wi_unit *unit = unit_of(run->drain, zone, cpu);

	if (unit->parked != WI_SET_NULL) {
		unit->chosen = true;
		wi_percpu_tick_all(run->drain);
		if (look_and_settle(run, zone, cpu))
			return;
	}
	unit->chosen = false;
	add_up(run->drain, &run->outcome);
	run->step = IS_OVER;
}

static bool choose_lists(struct wi_drain_run *run)
{
	if (is_satisfied(run) ||
	    !(run->request.want_pages != 0 ? choose_fullest(run)
					   : choose_all(run)))
		return false;
	wi_percpu_tick_all(run->drain);
	run->looks = run->turn = 0;
	run->wait_start = 0;
	return true;
}

/* One step; the caller takes what has evidence after it. */
static void make_step(struct wi_drain_run *run)
{
	switch (run->step) {
	case LOOK_AT_PARKED:
		look_at_parked(run);
		run->step = SURVEY;
		break;
	case SURVEY:
		survey_lists(run);
		run->step = CHOOSE;
		break;
	case CHOOSE:
		run->step = choose_lists(run) ? WAIT : CONCLUDE;
		break;
	case WAIT:
		if (wait_for_chosen(run))
			run->step = run->request.want_pages != 0 ? CHOOSE
								 : CONCLUDE;
		break;
	case CONCLUDE:
		conclude_run(run);
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

	for (; run->nr_taken > 0; run->cpu = next_cpu(run, run->cpu + 1)) {
		struct wi_unit *unit;

		if (run->cpu >= drain->nr_cpus) {
			run->zone++;
			run->cpu = next_cpu(run, 0);
		}
		unit = unit_of(drain, run->zone, run->cpu);
		if (!is_taken(unit))
			continue;
		while (run->list < drain->nr_lists) {
			const unsigned list = run->list++;
			struct wi_area *area =
				wi_drain_area(drain, run->zone, run->cpu);

			drained->tokens = wi_pcplist_tokens(area, unit->parked,
							    list, &drained->n);
			drained->zone = run->zone;
			drained->list = list;
			if (drained->n > 0)
				return true;
		}
		run->list = 0;
		finish_unit(run, run->zone, run->cpu);
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
						: next_cpu(run, 0);
		run->zone = run->request.first_zone;
	}
	return true;
}

bool wi_drain_is_pending(const struct wi_drain *drain, unsigned zone,
			 unsigned cpu)
{
	/* Relaxed: a hint; a thread that acts on it takes the mutex. */
	return wi_load_relaxed(&unit_of(drain, zone, cpu)->parked) !=
	       WI_SET_NULL;
}

/* --- asking ------------------------------------------------------------ */

uint64_t wi_drain_ask(const struct wi_drain *drain)
{
	/* DRAIN-F2 (partner DRAIN-F3): what the asker saw and did before (a
	 * zone with nothing in it, a page in a list) comes before the count it
	 * reads, so that a drain with a higher one looks after it. */
	wi_fence_full();
	return wi_load_relaxed(&drain->begun); /* ordered by DRAIN-F2 */
}

int wi_drain_lock(struct wi_drain *drain, uint64_t deadline_ns)
{
	return wi_os_mutex_lock(&drain->mutex, deadline_ns);
}

bool wi_drain_trylock(struct wi_drain *drain)
{
	return wi_os_mutex_trylock(&drain->mutex);
}

void wi_drain_unlock(struct wi_drain *drain)
{
	wi_os_mutex_unlock(&drain->mutex);
}

static bool is_subset(const struct wi_drain *drain, const uint64_t *a,
		      const uint64_t *b)
{
	if (b == NULL)
		return true;
	if (a == NULL)
		return false;
	for (unsigned i = 0; i < nr_words(drain->nr_cpus); i++)
		if (a[i] & ~b[i])
			return false;
	return true;
}

bool wi_drain_covered(const struct wi_drain *drain, uint64_t asked,
		      const struct wi_drain_request *request,
		      struct wi_drain_outcome *outcome)
{
	const struct wi_drain_request *last = &drain->last_request;

	if (drain->last <= asked || request->set_mode ||
	    request->may_interrupt || request->idle_only ||
	    last->first_zone > request->first_zone ||
	    last->first_zone + last->nr_zones <
		    request->first_zone + request->nr_zones ||
	    !is_subset(drain, request->cpus, last->cpus))
		return false;
	/* What that drain left pending may have evidence before this one's
	 * deadline. */
	if (drain->last_outcome.nr_pending != 0)
		return false;
	*outcome = drain->last_outcome;
	return true;
}

/* --- beginning and end ------------------------------------------------- */

void wi_drain_wake(struct wi_drain *drain, unsigned cpu)
{
	uint64_t *word = &drain->awake[cpu / 64];

	if (wi_drain_has_woken(drain, cpu))
		return;
	for (unsigned zone = 0; zone < drain->nr_zones; zone++) {
		struct wi_area *area = wi_drain_area(drain, zone, cpu);

		area->cpu = cpu;
		wi_pcplist_init(area, drain->limits,
				drain->bounds == NULL ? WI_BOUNDS_ANY
						      : drain->bounds[zone]);
	}
	/* Relaxed: the next drainer takes the mutex. Before the exchanges
	 * (DRAIN-F1): a thread with a burst looks for it there. */
	wi_store_relaxed(word, *word | UINT64_C(1) << cpu % 64);
	for (unsigned zone = 0; zone < drain->nr_zones; zone++)
		exchange_active(drain, unit_of(drain, zone, cpu),
				wi_drain_area(drain, zone, cpu), zone);
}

int wi_percpu_init(struct wi_drain *drain,
		   const struct wi_percpu_config *config)
{
	const size_t nr_units = (size_t)config->nr_cpus * config->nr_zones;
	uint8_t *homes;

	drain->areas = config->areas;
	drain->nr_cpus = config->nr_cpus;
	drain->nr_zones = config->nr_zones;
	drain->nr_lists = config->nr_lists;
	drain->locked = config->locked;
	drain->zone_of_cpu = config->zone_of_cpu;
	drain->bounds = config->bounds;
	for (unsigned list = 0; list < config->nr_lists; list++) {
		drain->limits[list] = config->limits[list];
		drain->weight[list] = config->weight[list];
	}
	drain->total = config->memory;
	drain->units = (struct wi_unit *)(drain->total + 1);
	drain->last_cpus = (uint64_t *)(drain->units + nr_units);
	drain->awake = drain->last_cpus + nr_words(drain->nr_cpus);
	/* So that the pages of both are backed, for watchers from outside. */
	wi_store_relaxed(&drain->last_cpus[0], 0);
	wi_store_relaxed(&drain->awake[nr_words(drain->nr_cpus) - 1], 0);
	homes = (uint8_t *)(drain->awake + nr_words(drain->nr_cpus));
	for (unsigned cpu = 0; cpu < drain->nr_cpus; cpu++) {
		/* Written even if 0, for the same reason. */
		wi_store_relaxed(&homes[cpu],
				 (uint8_t)wi_drain_home(drain, cpu));
		for (unsigned zone = 0; zone < drain->nr_zones; zone++) {
			struct wi_unit *unit = unit_of(drain, zone, cpu);

			unit->mode =
				mode_of_unit(drain, unit, config->modes[cpu]);
			unit->wanted = unit->in_force = unit->mode;
		}
		if (config->online == NULL ||
		    (config->online[cpu / 64] >> cpu % 64 & 1))
			wi_drain_wake(drain, cpu);
	}
	return wi_os_mutex_init(&drain->mutex);
}

void wi_percpu_fini(struct wi_drain *drain)
{
	wi_os_mutex_fini(&drain->mutex);
}
