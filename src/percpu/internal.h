/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files that make up the drains of drain.h; nothing else includes
 * it.
 *
 *   setup.c    beginning and end
 *   unit.c     the sets of one CPU for one zone, and evidence for them
 *   share.c    limits of lists by demand
 *   choose.c   which of them a drain exchanges
 *   wait.c     until there is evidence
 *   result.c   what came of it, also for threads that waited meanwhile
 *   drain.c    a drain from its first step to its last
 *
 * What reads or writes units is for the holder of the mutex.
 */
#ifndef WI_PERCPU_INTERNAL_H
#define WI_PERCPU_INTERNAL_H

#include "percpu/drain.h"

/* --- units ------------------------------------------------------------- */

/* The words of a bitmap of CPUs. */
static inline unsigned wi_drain_nr_words(unsigned nr_cpus)
{
	return (nr_cpus + 63) / 64;
}

static inline struct wi_unit *wi_drain_unit(const struct wi_drain *drain,
					    unsigned zone, unsigned cpu)
{
	return &drain->units[wi_drain_nth_unit(drain, zone, cpu)];
}

/* Is there nothing to wait for any more, but the caller? */
static inline bool wi_unit_is_taken(const struct wi_unit *unit)
{
	return unit->evidence != WI_EVIDENCE_NONE;
}

/* Relaxed: for statistics; only the mutex holder writes. */
static inline void wi_drain_count(uint64_t *what)
{
	wi_store_relaxed(what, *what + 1);
}

/* --- those of a request ------------------------------------------------ */

/* CPUs of a request that are awake, 64 at a time. */
static inline uint64_t wi_drain_awake(const struct wi_drain_run *run,
				      unsigned word)
{
	const uint64_t *cpus = run->request.cpus;

	return run->drain->awake[word] &
	       (cpus == NULL ? ~UINT64_C(0) : cpus[word]);
}

/* The first CPU of the request from there on whose area is set up; nr_cpus:
 * none. */
static inline unsigned wi_drain_next_cpu(const struct wi_drain_run *run,
					 unsigned cpu)
{
	const unsigned nr = wi_drain_nr_words(run->drain->nr_cpus);
	uint64_t from = ~UINT64_C(0) << cpu % 64;

	for (unsigned word = cpu / 64; word < nr; word++) {
		uint64_t cpus = wi_drain_awake(run, word) & from;

		if (cpus != 0)
			return 64 * word + wi_lowest_bit(cpus);
		from = ~UINT64_C(0);
	}
	return run->drain->nr_cpus;
}

/* for each (zone, cpu) of a request whose area is set up */
/* NOLINTBEGIN(bugprone-macro-parentheses): it declares zone and cpu */
#define WI_FOR_EACH_UNIT(run, zone, cpu)                                       \
	for (unsigned zone = (run)->request.first_zone;                        \
	     zone < (run)->request.first_zone + (run)->request.nr_zones;       \
	     zone++)                                                           \
		for (unsigned cpu = wi_drain_next_cpu(run, 0);                 \
		     cpu < (run)->drain->nr_cpus;                              \
		     cpu = wi_drain_next_cpu(run, cpu + 1))
/* NOLINTEND(bugprone-macro-parentheses) */

/* Has the drain the pages that it wants? One that wants all never has. */
static inline bool wi_drain_is_satisfied(const struct wi_drain_run *run)
{
	return run->request.want_pages != 0 &&
	       run->outcome.pages >= run->request.want_pages;
}

/* Does it ask for another mode or limit? */
static inline bool wi_drain_is_change(const struct wi_drain_request *request)
{
	return request->set_mode || request->set_limits;
}

/* --- unit.c ------------------------------------------------------------ */

/* In zeroed memory: the unit of a CPU in this mode. */
void wi_unit_init(const struct wi_drain *drain, struct wi_unit *unit,
		  uint8_t mode);

/* The change that the request asks for, on a CPU whose area is asleep: no
 * exchange is needed. */
void wi_unit_change_asleep(const struct wi_drain_run *run, unsigned zone,
			   unsigned cpu);

/* Notes the limit that is asked for a list; false if it has that. A set that is
 * not in use gets its limits as it is exchanged for the one that is. */
bool wi_unit_note_limit(struct wi_unit *unit, unsigned list, uint16_t limit);

/* Pages in a set; a hint while it is in use. */
uint64_t wi_unit_pages(const struct wi_drain *drain, struct wi_area *area,
		       unsigned set);

/* Publishes the unit's spare set, or the null set when caching is off; the set
 * that was in use is pending. Not while another is (I2). */
void wi_unit_exchange(struct wi_drain *drain, struct wi_unit *unit,
		      struct wi_area *area, unsigned zone);

/* Exchanges the unit's active if that is useful now, and adds it to the units
 * to wait for. */
void wi_unit_take(struct wi_drain_run *run, unsigned zone, unsigned cpu);

/* Is there evidence for the pending set that needs no help from the kernel?
 * Then the unit is settled. */
bool wi_unit_look(struct wi_drain_run *run, unsigned zone, unsigned cpu);

/* May only a thread that has ended still commit to the pending set? A system
 * call. */
bool wi_unit_is_orphan(const struct wi_unit *unit);

/* There is evidence: the pending set goes to the caller. */
void wi_unit_settle(struct wi_drain_run *run, unsigned zone, unsigned cpu,
		    enum wi_evidence evidence);

/* The caller has taken the set's tokens away. */
void wi_unit_finish(struct wi_drain_run *run, unsigned zone, unsigned cpu);

/* --- choose.c ---------------------------------------------------------- */

/* What earlier drains left pending may have evidence by now. */
void wi_drain_look_at_pending(struct wi_drain_run *run);

/* Counts what each unit keeps. */
void wi_drain_survey(struct wi_drain_run *run);

/* Exchanges all that the request is about, or the fullest. False: there is
 * nothing to wait for. */
bool wi_drain_choose(struct wi_drain_run *run);

/* --- wait.c ------------------------------------------------------------ */

/* Waits for what was chosen, until the caller has something to take, after
 * which this is called again, or the wait is over: true. */
bool wi_drain_wait(struct wi_drain_run *run);

/* --- result.c ---------------------------------------------------------- */

/* Adds what the run did to the statistics. */
void wi_drain_add_up(const struct wi_drain_run *run);

/* Counts what stays pending, and the run. */
void wi_drain_conclude(struct wi_drain_run *run);

#endif
