/* SPDX-License-Identifier: MIT */
/*
 * drain: takes back the tokens in the lists of CPUs, without help from them.
 *
 *   1. exchange   each CPU's `active` for its spare set (all CPUs first)
 *   2. wait       for evidence that no sequence on the old set can commit
 *   3. flush      the caller empties the old set; it is the next spare
 *
 * A unit is the drainer's record of one CPU's area of one zone. Units and areas
 * stand in the order of ranks, and of CPUs within a rank. Rank 0 is the zone
 * that a CPU is at home in, the other zones follow it in a circle: so the areas
 * of all home zones are one array indexed by the CPU, which the inlined
 * sequences use. Its two sets:
 *
 *                 exchange                evidence, flush
 *       in use  ------------> pending  --------------------> spare
 *          ^                                                   |
 *          +---------------------------------------------------+
 *                              exchange
 *
 *   A set without evidence yet is pending, and so are its pages. Meanwhile
 *   active is not exchanged again, neither for tokens nor for another mode;
 *   that mode is noted (`wanted`) and exchanged for once evidence has come. On
 *   a quiet CPU a change of mode begins with an exchange in the old mode, so
 *   that the change can be taken back while the CPU gives no evidence. With
 *   caching switched off active names the null set; from that it may be
 *   exchanged for the spare at any time, since no operation commits to it.
 *
 * Invariants (beside those of area.h)
 *   I1  Only the mutex holder writes struct wi_drain and what it points to,
 *       except the areas. Words that others read for statistics are stored
 *       relaxed. Areas, units and totals hold no addresses: other processes
 *       may read them.
 *   I2  At most one set is pending, and all words that named it had one mode,
 *       in_flight. Which evidence suffices follows from it alone, so a change
 *       of mode is in force only after evidence under the old mode. (With two
 *       modes in flight only progress would suffice, which never comes from a
 *       CPU on which nothing runs any more.)
 *   I3  A set is flushed or written only after evidence that came later than
 *       the last exchange.
 *   I4  Tokens in the set in use are evidence for the set that is pending: a
 *       sequence that loaded the newest word of active has pushed them. So no
 *       page can lie in a set in use whose exchange waits for evidence.
 *   I5  The area of a CPU that was not online when the lists were made is
 *       asleep: untouched, all zeros, so that every operation there goes to its
 *       slow path, which sets the area up under the mutex. Drains skip it; as
 *       they hold the mutex, no page gets into its lists meanwhile.
 *
 * The drainer runs one tick of its own after the exchanges: evidence for the
 * CPU it runs on, which would otherwise have to come from the thread that it
 * displaced.
 *
 * Progress: a drain waits until its deadline at most, for evidence of quiet
 * and polling CPUs and for the mutex, which inherits priority. Owners never
 * wait for a drainer.
 *
 * Freestanding but for the os module.
 */
#ifndef WI_PERCPU_DRAIN_H
#define WI_PERCPU_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "percpu/evidence.h"
#include "os/os.h"

enum wi_mode {
	WI_MODE_ORDINARY,
	WI_MODE_QUIET,
	WI_MODE_POLLING,
	WI_MODE_LOCKED,
	WI_NR_MODES,
};

struct wi_unit {
	struct wi_exchange exchange; /* the last one */
	uint32_t number;	     /* of the last exchange */
	uint32_t count;	   /* pages its lists held when this drain read them */
	uint8_t set;	   /* named by active */
	uint8_t pending;   /* the pending set, WI_SET_NULL: none; relaxed */
	uint8_t mode;	   /* of the word in active */
	uint8_t in_flight; /* of the words that named the pending set, I2 */
	uint8_t in_force;  /* the mode in force */
	uint8_t wanted;	   /* the mode asked for */
	bool off;	   /* caching is switched off: active; asked for */
	bool wanted_off;
	bool new_limits; /* since the set in use got its own */
	/* Tokens a list may hold, as asked for; relaxed. */
	uint16_t limit[WEIR_NR_LISTS];
	/* Of the CPU, in the unit of its home zone (share.c): its share, and
	 * visits of zones in all, and since the last look. */
	uint16_t share;
	uint32_t visits_now;
	uint64_t visits;
	bool chosen;	   /* by the running drain */
	bool tried;	   /* it used membarrier since the last exchange */
	uint8_t evidence;  /* for the pending set, which is being emptied; or
			    * WI_EVIDENCE_NONE */
	bool empty;	   /* as this drain looked */
	bool drained;	   /* by it */
	uint64_t idle_ops; /* operations at the last maintenance */
	/* Drains by evidence, and those without evidence in time; relaxed, for
	 * statistics. */
	uint64_t by[WI_NR_EVIDENCE];
	uint64_t late;
};

/* A deadline that is past: the drain waits neither for the mutex nor for
 * evidence, and does not ask the kernel whether the thread of a mark exists. It
 * still uses membarrier for ordinary CPUs. */
#define WI_NO_WAIT 0

struct wi_drain_request {
	const uint64_t *cpus; /* bitmap of nr_cpus bits; NULL: all */
	unsigned first_zone, nr_zones;
	uint64_t want_pages; /* 0: all */
	uint64_t deadline_ns;
	bool idle_only; /* CPUs without an operation since the last such drain
			 */
	bool may_interrupt; /* membarrier for quiet and polling CPUs too */
	bool set_mode;	    /* change the mode of these CPUs: */
	bool set_off;	    /* to no caching; the mode stays for later */
	enum wi_mode mode;
	bool set_limits; /* change limits of these CPUs, to: */
	/* one for each list, 0: as it is; NULL: as wi_drain_share() said */
	const uint16_t *limits;
};

struct wi_drain_outcome {
	uint64_t pages, pending;
	uint64_t drained, nr_pending; /* units */
	/* CPUs, of all zones; those pending are not among the others. */
	uint64_t cpus_drained, cpus_empty, cpus_pending;
	uint64_t by[WI_NR_EVIDENCE]; /* units, by evidence */
	uint64_t membarriers_failed;
};

/* Since creation; the mutex holder writes, relaxed; read by anyone, other
 * processes too. */
struct wi_percpu_totals {
	_Alignas(64) struct wi_drain_outcome drains;
	uint64_t membarriers;
};

struct wi_drain {
	struct wi_os_mutex mutex;
	uint64_t begun; /* number of drains; read by threads that are about to
			 * ask */

	/* Constant. */
	char *areas; /* those of rank 0 of all CPUs, of rank 1, ... */
	struct wi_unit *units;
	unsigned nr_cpus, nr_zones, nr_lists;
	bool locked;
	const uint16_t *zone_of_cpu; /* nr_cpus; NULL: there is one zone */
	/* Of zones; NULL: any token. A bound may grow, under the mutex. */
	const struct weir_i_bounds *bounds;
	uint16_t limits[WEIR_NR_LISTS];
	uint32_t weight[WEIR_NR_LISTS]; /* pages of a token */

	/* The last full drain, for threads that waited meanwhile. */
	uint64_t last; /* its number */
	struct wi_drain_request last_request;
	struct wi_drain_outcome last_outcome;
	uint64_t *last_cpus; /* nr_cpus bits */

	/* nr_cpus bits: CPUs whose areas are set up, I5. The mutex holder
	 * writes, relaxed; read by anyone, other processes too. */
	uint64_t *awake;

	struct wi_percpu_totals *total;
};

struct wi_percpu_config {
	char *areas;		/* zeroed, wi_percpu_areas_bytes() */
	void *memory;		/* zeroed, wi_percpu_bytes(), aligned to 64 */
	const uint8_t *modes;	/* enum wi_mode of each CPU */
	const uint64_t *online; /* a bitmap; NULL: all. The others' areas are
				 * not touched before an operation there. */
	const uint16_t *zone_of_cpu; /* NULL: there is one zone */
	/* The tokens of each zone; NULL, if there is one zone: any. */
	const struct weir_i_bounds *bounds;
	unsigned nr_cpus, nr_zones, nr_lists;
	bool locked;
	uint16_t limits[WEIR_NR_LISTS];
	uint32_t weight[WEIR_NR_LISTS]; /* pages of a token */
};

static inline size_t wi_percpu_areas_bytes(unsigned nr_cpus, unsigned nr_zones)
{
	return (size_t)nr_cpus * nr_zones * WEIR_AREA_BYTES;
}

/* For the totals, the units, two bitmaps, and the home zone of each CPU. */
size_t wi_percpu_bytes(unsigned nr_cpus, unsigned nr_zones);

/* In zeroed memory. 0, or a negative errno from the mutex. */
int wi_percpu_init(struct wi_drain *drain, const struct wi_percpu_config *);
void wi_percpu_fini(struct wi_drain *drain);

static inline unsigned wi_percpu_nr_cpus(const struct wi_drain *drain)
{
	return drain->nr_cpus;
}

static inline unsigned wi_percpu_nr_zones(const struct wi_drain *drain)
{
	return drain->nr_zones;
}

/* The tokens of a zone, where there are several zones. Relaxed: who has a token
 * of a zone sees the bound that admits it. */
static inline struct weir_i_bounds
wi_percpu_bounds(const struct wi_drain *drain, unsigned zone)
{
	return (struct weir_i_bounds){
		drain->bounds[zone].first,
		wi_load_relaxed(&drain->bounds[zone].bound),
	};
}

static inline unsigned wi_percpu_nr_lists(const struct wi_drain *drain)
{
	return drain->nr_lists;
}

static inline bool wi_percpu_is_locked(const struct wi_drain *drain)
{
	return drain->locked;
}

/* The most tokens that a list may have, as the lists were made, and the pages
 * of each. */
static inline unsigned wi_percpu_first_limit(const struct wi_drain *drain,
					     unsigned list)
{
	return drain->limits[list];
}

static inline unsigned wi_percpu_weight(const struct wi_drain *drain,
					unsigned list)
{
	return drain->weight[list];
}

/* The number of the unit of a CPU whose home zone this is. */
WI_INLINE size_t wi_nth_unit(unsigned nr_cpus, unsigned nr_zones, unsigned home,
			     unsigned zone, unsigned cpu)
{
	const unsigned rank =
		zone >= home ? zone - home : zone + nr_zones - home;

	return (size_t)rank * nr_cpus + cpu;
}

WI_INLINE unsigned wi_drain_home(const struct wi_drain *drain, unsigned cpu)
{
	return drain->zone_of_cpu == NULL ? 0 : drain->zone_of_cpu[cpu];
}

WI_INLINE size_t wi_drain_nth_unit(const struct wi_drain *drain, unsigned zone,
				   unsigned cpu)
{
	return wi_nth_unit(drain->nr_cpus, drain->nr_zones,
			   wi_drain_home(drain, cpu), zone, cpu);
}

WI_INLINE struct wi_area *wi_drain_area(const struct wi_drain *drain,
					unsigned zone, unsigned cpu)
{
	return (struct wi_area *)(drain->areas +
				  wi_drain_nth_unit(drain, zone, cpu) *
					  WEIR_AREA_BYTES);
}

/* Call before wi_drain_lock(); pass the result to wi_drain_covered(). */
uint64_t wi_drain_ask(const struct wi_drain *drain);

/* As wi_os_mutex_lock(). */
int wi_drain_lock(struct wi_drain *drain, uint64_t deadline_ns);
bool wi_drain_trylock(struct wi_drain *drain);
void wi_drain_unlock(struct wi_drain *drain);

/* With the mutex held: did a drain that began after `asked` do all that this
 * request asks for, and leave nothing pending? Then *outcome is its result.
 */
bool wi_drain_covered(const struct wi_drain *drain, uint64_t asked,
		      const struct wi_drain_request *request,
		      struct wi_drain_outcome *outcome);

/*
 * A drain under way, by the holder of the mutex:
 *
 *	struct wi_drained drained;
 *
 *	wi_drain_begin(&run, drain, request);
 *	while (wi_drain_next(&run, &drained))
 *		...takes drained.tokens away
 *	...run.outcome says what came of it
 *
 * The caller goes on until wi_drain_next() returns false, with everything that
 * comes: the tokens are in no list any more.
 */
struct wi_drain_run {
	struct wi_drain *drain;
	struct wi_drain_request request;
	struct wi_drain_outcome outcome;

	/* The rest is for the steps of the drain. */
	int step;
	unsigned nr_taken;	  /* units with evidence, to be emptied */
	unsigned zone, cpu, list; /* where the next of them is looked for */
	unsigned collected;	  /* the CPU, if that is all it does */
	bool has_changed; /* a mode, by an exchange that needs evidence too */
	unsigned looks, turn;
	uint64_t wait_start;
};

/* Tokens of a list of one zone, until the next call. */
struct wi_drained {
	unsigned zone, list;
	const uint64_t *tokens;
	size_t n;
};

void wi_drain_begin(struct wi_drain_run *run, struct wi_drain *drain,
		    const struct wi_drain_request *request);

/* Takes what is pending in the unit of this CPU and has evidence by now. The
 * caller runs there, between operations: its tick is the evidence. */
void wi_drain_begin_collect(struct wi_drain_run *run, struct wi_drain *drain,
			    unsigned zone, unsigned cpu);

bool wi_drain_next(struct wi_drain_run *run, struct wi_drained *drained);

/* Does this CPU have lists, or was it asked to have none? From any thread. */
bool wi_drain_has_woken(const struct wi_drain *drain, unsigned cpu);

/* With the mutex held: sets up its area. */
void wi_drain_wake(struct wi_drain *drain, unsigned cpu);

/* The share of a CPU in what all lists may hold, as a pool begins. */
#define WI_EVEN_SHARE 8

/* With the mutex held: shares what lists may hold among CPUs anew, by demand.
 * True if limits changed, of the CPUs in `changed` (nr_cpus bits); they come
 * into force by a drain of these with `set_limits`. */
bool wi_drain_share(struct wi_drain *drain, uint64_t *changed);
/* With the mutex held, after the bound of a zone has grown: writes it to the
 * areas that are set up. Those that are asleep get it when they wake. */
void wi_drain_raise_bound(struct wi_drain *drain, unsigned zone);

/* Is a set of this unit pending? A hint, from any thread. */
bool wi_drain_is_pending(const struct wi_drain *drain, unsigned zone,
			 unsigned cpu);

#endif
