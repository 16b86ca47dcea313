/* SPDX-License-Identifier: MIT */
/*
 * The other known ways to get at the pages that another CPU keeps. None is
 * part of the library; each is a complete allocator of single pages:
 *
 *   scheduled-work  the lists of weir (restartable sequences); a drainer moves
 *                   to the CPU, empties its list there, and moves back. Linux
 *                   before 6.0 ran a work item on every CPU to this end.
 *   membarrier      the lists of weir; a drainer exchanges the list set, then
 *                   always asks the kernel to abort what runs on that CPU.
 *                   As tcmalloc does.
 *   spinlock        a list under a lock for each CPU, which a drainer takes.
 *                   Linux since 6.0.
 *   signal          the lists of weir; a drainer sends the owner's thread a
 *                   signal, whose handler empties the list. Not in the demo.
 *
 * They share the zone, a stack under a lock, and differ from each other in
 * nothing but the lists and the drain. A drain here takes the pages of every
 * CPU whose list is not empty.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"	 /* the calls its ways consist of */
#include "percpu/area.h" /* weir's lists, under other drains */

#include "common/measure.h"
#include "common/way.h"

/* --- a lock -------------------------------------------------------------- */

struct lock {
	uint32_t taken;
};

static inline void lock(struct lock *lock)
{
	unsigned spins = 0;

	/* Acquires what the last holder did. */
	while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE) != 0) {
		wi_cpu_relax();
		if (++spins % 1024 == 0)
			sched_yield(); /* the holder may wait for a CPU */
	}
}

static inline void unlock(struct lock *lock)
{
	wi_store_release(&lock->taken, 0); /* to who locks next */
}

/* --- what they share ----------------------------------------------------- */

/* One CPU's list in `spinlock`. */
struct spin_list {
	_Alignas(WI_CACHE_LINE) struct lock lock;
	uint32_t count;
	uint64_t page[DEMO_LIST_LIMIT];
};

struct pool {
	struct demo_machine machine;
	struct lock lock; /* of the zone */
	uint64_t count;
	uint64_t *zone; /* DEMO_PAGES */

	struct weir_i_lists lists; /* scheduled-work, membarrier: areas */
	size_t areas_bytes;
	uint32_t *exchanges; /* of each CPU */
	struct lock drain_lock;
	uint64_t membarriers;
	uint64_t aborts; /* of sequences; counted by all, roughly */

	uint32_t owner_tid; /* signal: 0 while there is no owner */
	uint32_t answered;  /* by the handler, which has put pages here: */
	uint32_t nr_taken;
	uint64_t taken[DEMO_LIST_LIMIT];

	struct spin_list *spin; /* spinlock: one a CPU */
	size_t spin_bytes;
};

static void *map(size_t bytes)
{
	const struct wi_os_map how = { .bytes = bytes };
	void *p;

	return wi_os_map(&p, &how) == 0 ? p : NULL;
}

static void destroy(struct pool *pool)
{
	if (pool->lists.areas)
		wi_os_unmap(pool->lists.areas, pool->areas_bytes);
	if (pool->spin)
		wi_os_unmap(pool->spin, pool->spin_bytes);
	free(pool->exchanges);
	free(pool->zone);
	free(pool);
}

static struct pool *create(const struct demo_machine *machine)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->machine = *machine;
	pool->zone = malloc(DEMO_PAGES * sizeof(*pool->zone));
	if (!pool->zone) {
		destroy(pool);
		return NULL;
	}
	while (pool->count < DEMO_PAGES) {
		pool->zone[pool->count] = DEMO_PAGES - 1 - pool->count;
		pool->count++;
	}
	return pool;
}

static uint64_t zone_get(struct pool *pool)
{
	uint64_t page = DEMO_NONE;

	lock(&pool->lock);
	if (pool->count > 0)
		page = pool->zone[--pool->count];
	unlock(&pool->lock);
	return page;
}

static void zone_put(struct pool *pool, const uint64_t *pages, size_t n)
{
	lock(&pool->lock);
	memcpy(pool->zone + pool->count, pages, n * sizeof(*pages));
	pool->count += n;
	unlock(&pool->lock);
}

/* --- lists of restartable sequences -------------------------------------- */

static struct wi_area *area_of(const struct pool *pool, unsigned cpu)
{
	return (struct wi_area *)(pool->lists.areas +
				  (size_t)cpu * WEIR_AREA_BYTES);
}

/* Pages in the set in use; a hint. */
static unsigned pages_of(const struct pool *pool, unsigned cpu)
{
	struct wi_area *area = area_of(pool, cpu);
	unsigned set = wi_active_set(wi_load_relaxed(&area->active));

	return wi_header_count(wi_load_relaxed(wi_area_headers(area, set)));
}

static void *seq_setup(const struct demo_way *way,
		       const struct demo_machine *machine, uint64_t wait_ns,
		       const char **why)
{
	const uint16_t limits[WEIR_NR_LISTS] = { DEMO_LIST_LIMIT };
	struct pool *pool;

	(void)way, (void)wait_ns;
	*why = "no restartable sequences";
	if (!machine->has_sequences)
		return NULL;
	*why = "no memory";
	pool = create(machine);
	if (!pool)
		return NULL;
	pool->areas_bytes = (size_t)machine->nr_cpus * WEIR_AREA_BYTES;
	pool->lists.areas = map(pool->areas_bytes);
	pool->lists.nr_cpus = machine->nr_cpus;
	pool->exchanges = calloc(machine->nr_cpus, sizeof(*pool->exchanges));
	if (!pool->lists.areas || !pool->exchanges) {
		destroy(pool);
		return NULL;
	}
	for (unsigned cpu = 0; cpu < machine->nr_cpus; cpu++) {
		struct wi_area *area = area_of(pool, cpu);

		wi_area_init(area, limits, WI_BOUNDS_ANY);
		/* Relaxed: no other thread yet. */
		wi_store_relaxed(&area->active,
				 wi_active_word(WI_SET_0, false, 0));
	}
	return pool;
}

static bool seq_is_complete(void *p)
{
	const struct pool *pool = p;
	uint64_t there = pool->count;

	for (unsigned cpu = 0; cpu < pool->machine.nr_cpus; cpu++)
		there += pages_of(pool, cpu);
	return there == DEMO_PAGES;
}

/* No thread uses the pool any more. */
static bool seq_teardown(void *pool)
{
	bool complete = seq_is_complete(pool);

	destroy(pool);
	return complete;
}

static void count_abort(struct pool *pool)
{
	wi_add_relaxed(&pool->aborts, 1); /* a count */
}

static inline uint64_t seq_get_inline(struct pool *pool)
{
	uint64_t page;

	while (wi_unlikely((page = weir_i_pop(&pool->lists, 0)) == WEIR_AGAIN))
		count_abort(pool);
	return wi_likely(page != WEIR_NONE) ? page : zone_get(pool);
}

static inline void seq_put_inline(struct pool *pool, uint64_t page)
{
	int pushed;

	while (wi_unlikely((pushed = weir_i_push(&pool->lists, 0, page, page)) <
			   0))
		count_abort(pool);
	if (wi_unlikely(pushed == 0))
		zone_put(pool, &page, 1);
}

static uint64_t seq_get(void *pool)
{
	return seq_get_inline(pool);
}

static void seq_put(void *pool, uint64_t page)
{
	seq_put_inline(pool, page);
}

static void seq_pairs(void *pool, unsigned n)
{
	while (n-- > 0) {
		uint64_t page = seq_get_inline(pool);

		if (page != DEMO_NONE)
			seq_put_inline(pool, page);
	}
}

/* --- scheduled-work ------------------------------------------------------ */

/* The list of the CPU this thread has moved to, to the zone. A pop that was
 * aborted looks like one that found nothing. */
static uint64_t flush_here(struct pool *pool, unsigned cpu)
{
	uint64_t pages[64], all = 0;

	do {
		size_t n = weir_i_pop_bulk(&pool->lists, 0, pages, 64);

		zone_put(pool, pages, n);
		all += n;
	} while (pages_of(pool, cpu) > 0 && sched_getcpu() == (int)cpu);
	return all;
}

static uint64_t scheduled_drain(void *p)
{
	struct pool *pool = p;
	uint64_t n = 0;

	for (unsigned cpu = 0; cpu < pool->machine.nr_cpus; cpu++)
		if (pages_of(pool, cpu) > 0 && measure_pin(cpu))
			n += flush_here(pool, cpu);
	measure_pin(pool->machine.rescuer_cpu);
	return n;
}

static uint64_t scheduled_rescue(void *p)
{
	uint64_t page = seq_get(p);

	if (page != DEMO_NONE)
		return page;
	scheduled_drain(p);
	return seq_get(p);
}

/* --- membarrier ---------------------------------------------------------- */

static void *membarrier_setup(const struct demo_way *way,
			      const struct demo_machine *machine,
			      uint64_t wait_ns, const char **why)
{
	if (machine->has_sequences && !machine->has_membarrier) {
		*why = "no membarrier for sequences";
		return NULL;
	}
	return seq_setup(way, machine, wait_ns, why);
}

/* Exchanges the set in use, waits out who may still write the old one, and
 * gives it to the zone. Under the drain lock. */
static uint64_t exchange_and_flush(struct pool *pool, unsigned cpu)
{
	struct wi_area *area = area_of(pool, cpu);
	unsigned old = wi_active_set(wi_load_relaxed(&area->active));
	unsigned next = old == WI_SET_0 ? WI_SET_1 : WI_SET_0;
	const uint64_t *pages;
	size_t n;

	wi_xchg_full(&area->active,
		     wi_active_word(next, false, ++pool->exchanges[cpu]));
	pool->membarriers++;
	if (wi_os_membarrier_cpu(cpu) != 0)
		wi_panic("demo: membarrier failed on a CPU that is online");
	wi_fence_full(); /* it may return early, without one */
	pages = wi_area_tokens(area, old, 0, &n);
	zone_put(pool, pages, n);
	wi_area_reset(area, old, 0, DEMO_LIST_LIMIT);
	return n;
}

static uint64_t membarrier_drain(void *p)
{
	struct pool *pool = p;
	uint64_t n = 0;

	lock(&pool->drain_lock);
	for (unsigned cpu = 0; cpu < pool->machine.nr_cpus; cpu++)
		if (pages_of(pool, cpu) > 0)
			n += exchange_and_flush(pool, cpu);
	unlock(&pool->drain_lock);
	return n;
}

static uint64_t membarrier_rescue(void *p)
{
	uint64_t page = seq_get(p);

	if (page != DEMO_NONE)
		return page;
	membarrier_drain(p);
	return seq_get(p);
}

/* --- signal -------------------------------------------------------------- */

#define SIGNAL_NS UINT64_C(5000000000) /* then its pages are lost */

static struct pool *signalled; /* by the drainer that waits for an answer */

/* On the owner's thread, between any two of its instructions: it takes no
 * lock, and gives the pages to the drainer. */
static void take_all(int sig)
{
	/* Acquires what the drainer did before it sent the signal. */
	struct pool *pool = wi_load_acquire(&signalled);
	const int error = errno;
	uint32_t n = 0;

	(void)sig;
	do
		n += weir_i_pop_bulk(&pool->lists, 0, pool->taken + n,
				     DEMO_LIST_LIMIT - n);
	while (pages_of(pool, pool->machine.owner_cpu) > 0);
	pool->nr_taken = n;
	wi_store_release(&pool->answered, 1); /* to the drainer */
	errno = error;
}

static void signal_enter(void *p)
{
	/* Relaxed: whoever drains before sees no owner. */
	wi_store_relaxed(&((struct pool *)p)->owner_tid, wi_os_tid());
}

static void signal_leave(void *p)
{
	struct pool *pool = p;

	lock(&pool->drain_lock); /* who waits gets its answer first */
	wi_store_relaxed(&pool->owner_tid, 0); /* under the lock */
	unlock(&pool->drain_lock);
}

static uint64_t signal_drain(void *p)
{
	struct pool *pool = p;
	uint64_t n = 0;

	lock(&pool->drain_lock);
	wi_store_relaxed(&pool->answered, 0); /* nobody else is there yet */
	wi_store_release(&signalled, pool);   /* to the handler */
	if (wi_load_relaxed(&pool->owner_tid) != 0 &&
	    tgkill(getpid(), (pid_t)pool->owner_tid, SIGUSR1) == 0) {
		uint64_t until = wi_os_now_ns() + SIGNAL_NS;

		/* Acquires the pages. */
		while (!wi_load_acquire(&pool->answered) &&
		       wi_os_now_ns() < until)
			wi_cpu_relax();
		if (wi_load_acquire(&pool->answered)) /* as above */
			n = pool->nr_taken;
		zone_put(pool, pool->taken, n);
	}
	unlock(&pool->drain_lock);
	return n;
}

static void *signal_setup(const struct demo_way *way,
			  const struct demo_machine *machine, uint64_t wait_ns,
			  const char **why)
{
	struct sigaction action = { .sa_handler = take_all,
				    .sa_flags = SA_RESTART };

#ifdef __SANITIZE_THREAD__
	*why = "the thread sanitizer holds signals back";
	return NULL;
#endif
	sigaction(SIGUSR1, &action, NULL);
	return seq_setup(way, machine, wait_ns, why);
}

static void baseline_count(void *p, struct demo_counts *counts)
{
	const struct pool *pool = p;

	counts->membarriers = pool->membarriers;
	counts->aborts = wi_load_relaxed(&pool->aborts); /* a count */
}

/* --- spinlock ------------------------------------------------------------ */

static void *spin_setup(const struct demo_way *way,
			const struct demo_machine *machine, uint64_t wait_ns,
			const char **why)
{
	struct pool *pool = create(machine);

	(void)way, (void)wait_ns;
	*why = "no memory";
	if (!pool)
		return NULL;
	pool->spin_bytes = machine->nr_cpus * sizeof(*pool->spin);
	pool->spin = map(pool->spin_bytes);
	if (!pool->spin) {
		destroy(pool);
		return NULL;
	}
	return pool;
}

static bool spin_is_complete(void *p)
{
	const struct pool *pool = p;
	uint64_t there = pool->count;

	for (unsigned cpu = 0; cpu < pool->machine.nr_cpus; cpu++)
		there += pool->spin[cpu].count;
	return there == DEMO_PAGES;
}

static bool spin_teardown(void *pool)
{
	bool complete = spin_is_complete(pool);

	destroy(pool);
	return complete;
}

static inline struct spin_list *spin_list_here(struct pool *pool)
{
	int cpu = sched_getcpu();

	return &pool->spin[cpu > 0 ? cpu : 0];
}

static inline uint64_t spin_get_inline(struct pool *pool)
{
	struct spin_list *list = spin_list_here(pool);
	uint64_t page = DEMO_NONE;

	lock(&list->lock);
	if (list->count > 0)
		page = list->page[--list->count];
	unlock(&list->lock);
	return wi_likely(page != DEMO_NONE) ? page : zone_get(pool);
}

static inline void spin_put_inline(struct pool *pool, uint64_t page)
{
	struct spin_list *list = spin_list_here(pool);
	bool pushed = false;

	lock(&list->lock);
	if (list->count < DEMO_LIST_LIMIT) {
		list->page[list->count++] = page;
		pushed = true;
	}
	unlock(&list->lock);
	if (wi_unlikely(!pushed))
		zone_put(pool, &page, 1);
}

static uint64_t spin_get(void *pool)
{
	return spin_get_inline(pool);
}

static void spin_put(void *pool, uint64_t page)
{
	spin_put_inline(pool, page);
}

static void spin_pairs(void *pool, unsigned n)
{
	while (n-- > 0) {
		uint64_t page = spin_get_inline(pool);

		if (page != DEMO_NONE)
			spin_put_inline(pool, page);
	}
}

static uint64_t spin_drain(void *p)
{
	struct pool *pool = p;
	uint64_t n = 0;

	for (unsigned cpu = 0; cpu < pool->machine.nr_cpus; cpu++) {
		struct spin_list *list = &pool->spin[cpu];

		lock(&list->lock);
		zone_put(pool, list->page, list->count);
		n += list->count;
		list->count = 0;
		unlock(&list->lock);
	}
	return n;
}

static uint64_t spin_rescue(void *p)
{
	uint64_t page = spin_get(p);

	if (page != DEMO_NONE)
		return page;
	spin_drain(p);
	return spin_get(p);
}

/* --- the table ----------------------------------------------------------- */

#define SEQ_WAY                                                                \
	.teardown = seq_teardown, .get = seq_get, .put = seq_put,              \
	.pairs = seq_pairs, .count = baseline_count,                           \
	.is_complete = seq_is_complete

const struct demo_way baseline_scheduled_work = {
	.name = "scheduled-work",
	.setup = seq_setup,
	SEQ_WAY,
	.rescue = scheduled_rescue,
	.drain = scheduled_drain,
};

const struct demo_way baseline_spinlock = {
	.name = "spinlock",
	.setup = spin_setup,
	.teardown = spin_teardown,
	.get = spin_get,
	.put = spin_put,
	.pairs = spin_pairs,
	.rescue = spin_rescue,
	.drain = spin_drain,
	.is_complete = spin_is_complete,
};

const struct demo_way baseline_membarrier = {
	.name = "membarrier",
	.setup = membarrier_setup,
	SEQ_WAY,
	.rescue = membarrier_rescue,
	.drain = membarrier_drain,
};

const struct demo_way baseline_signal = {
	.name = "signal",
	.setup = signal_setup,
	SEQ_WAY,
	.drain = signal_drain,
	.enter = signal_enter,
	.leave = signal_leave,
};
