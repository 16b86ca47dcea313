/* SPDX-License-Identifier: MIT */
/*
 * A pool against a byte a page. If this fails, a sequence of public calls gave
 * a page twice, or one that was misaligned, out of range or of another node;
 * touched what a page held; said ENOMEM while there was a run (P2) or EAGAIN
 * without a reason; kept a page for good; or counted wrong.
 *
 * A single thread, on CPUs that it moves between. So there is always evidence
 * but where a CPU polls, or membarrier fails: without those, what may wait
 * gets what the model has.
 */
#include <weir/fast.h>
#include <weir/stat.h>

#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#define PAGES_MAX 9216
#define PAGE_MAX 4096
#define SLOTS_MAX PAGES_MAX
#define BULK_MAX 600
#define MOVES_MAX 4 /* in truth; each may cost a turn of the scheduler */
#define OPS_MAX 120

static char *region;
static int memfd;

static struct {
	struct weir_pool *pool;
	char *base;
	uint64_t nr_pages, page_size, zone_pages, out;
	bool locked, strict; /* strict: evidence always comes */
	bool off;	     /* some CPU may be without lists */
	bool single;	     /* page_size is no power of two */
	unsigned nr_zones, nr_moves, nr_bursts;
	struct weir_burst burst[4];
	uint64_t tag; /* of this run's stamps */
	uint8_t used[PAGES_MAX];
	struct slot {
		uint32_t page, order;
	} slot[SLOTS_MAX];
	unsigned nr_slots;
} m;

static void *pages[BULK_MAX];

/* --- the model --------------------------------------------------------- */

static bool is_free(uint64_t page, uint64_t n)
{
	uint64_t eight;

	for (; n >= 8; page += 8, n -= 8) {
		memcpy(&eight, m.used + page, 8);
		if (eight != 0)
			return false;
	}
	while (n-- > 0)
		if (m.used[page++])
			return false;
	return true;
}

/* Runs of an order in one zone, or in all of them (-1), that are free, or that
 * there are. A zone that begins inside of such a run serves none. */
static uint64_t count_runs(unsigned order, int zone, bool only_free)
{
	const uint64_t n = UINT64_C(1) << order;
	uint64_t count = 0;

	if (m.single && order > 0)
		return 0;
	for (uint64_t first = 0; first < m.nr_pages; first += m.zone_pages) {
		uint64_t end = first + m.zone_pages;

		if (end > m.nr_pages)
			end = m.nr_pages;
		if (zone >= 0 && first / m.zone_pages != (unsigned)zone)
			continue;
		for (uint64_t page = first; page + n <= end; page += n)
			count += page % n == 0 &&
				 (!only_free || is_free(page, n));
	}
	return count;
}

static uint64_t nr_runs(unsigned order, int zone)
{
	return count_runs(order, zone, true);
}

static int zone_here(void)
{
	return (int)(fuzz_machine_node(fuzz_machine_cpu()) % m.nr_zones);
}

static uint64_t *stamp_of(uint64_t page)
{
	return (uint64_t *)(void *)(m.base + page * m.page_size);
}

/* Every page of a small run, some of a large one. */
static uint64_t stamp_step(unsigned order)
{
	return order <= 5 ? 1 : (UINT64_C(1) << order) / 16 - 1;
}

/* Notes a run that was given out; its content must be its owner's alone. */
static void take(void *at, unsigned order, unsigned flags, int zone)
{
	const uint64_t n = UINT64_C(1) << order;
	const uint64_t offset = (uint64_t)((char *)at - m.base);
	const uint64_t page = offset / m.page_size;

	MUST((char *)at >= m.base && offset < m.nr_pages * m.page_size);
	MUST(offset % m.page_size == 0 && page % n == 0);
	MUST(weir_pool_index(m.pool, at) == page);
	MUST(m.nr_pages - page >= n);
	MUST(page / m.zone_pages == (page + n - 1) / m.zone_pages);
	MUST(!(flags & WEIR_THISNODE) || page / m.zone_pages == (unsigned)zone);
	MUST(is_free(page, n));
	if (flags & WEIR_ZERO) {
		const char *bytes = at;

		for (uint64_t i = 0; i < n * m.page_size; i += 64)
			MUST(bytes[i] == 0);
		MUST(bytes[n * m.page_size - 1] == 0);
	}
	memset(m.used + page, 1, n);
	m.out += n;
	for (uint64_t i = 0; i < n; i += stamp_step(order))
		*stamp_of(page + i) = m.tag + page + i;
	MUST(m.nr_slots < SLOTS_MAX);
	m.slot[m.nr_slots++] = (struct slot){ (uint32_t)page, order };
}

/* A run that is about to go back: its address. */
static void *give(unsigned i)
{
	const struct slot s = m.slot[i];
	const uint64_t n = UINT64_C(1) << s.order;

	for (uint64_t k = 0; k < n; k += stamp_step(s.order)) {
		MUST(*stamp_of(s.page + k) == m.tag + s.page + k);
		*stamp_of(s.page + k) = UINT64_MAX;
	}
	memset(m.used + s.page, 0, n);
	m.out -= n;
	m.slot[i] = m.slot[--m.nr_slots];
	return stamp_of(s.page);
}

static unsigned take_any_order(struct bytes *b)
{
	static const uint8_t likely[] = {
		0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 9, 3, 4
	};
	const unsigned n = take_u8(b) % 32;

	return n <= WEIR_ORDER_MAX ? n : likely[n - WEIR_ORDER_MAX - 1];
}

#include "pool_requests.h"

/* --- statistics -------------------------------------------------------- */

/*
 * The lists of every zone have the CPU's mode once no change is pending, but
 * for those of a polling CPU for other zones, which are quiet.
 */
static void check_mode(unsigned cpu, unsigned nr_zones)
{
	const int mode = weir_get_mode(m.pool, cpu);
	unsigned nr_with_it = 0;

	for (unsigned zone = 0; zone < nr_zones; zone++) {
		struct weir_stat_cpu c = WEIR_STAT_CPU_INIT;

		MUST(weir_stat_read_cpu(m.pool, zone, cpu, &c) == 0);
		nr_with_it += (int)c.mode == mode;
	}
	MUST(nr_with_it > 0);
	MUST(!m.strict || mode == WEIR_MODE_POLLING || nr_with_it == nr_zones);
}

static struct weir_stat check_stat(void)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	uint64_t cached = 0, pending = 0, in_zones = 0;

	collect_asked();
	MUST(weir_stat_read(m.pool, &stat) == 0);
	MUST(stat.pages == m.nr_pages && stat.out == m.out);
	MUST(stat.free + stat.cached + stat.pending + stat.out == stat.pages);
	for (unsigned zone = 0; zone < stat.nr_zones; zone++) {
		struct weir_stat_zone z = WEIR_STAT_ZONE_INIT;

		MUST(weir_stat_read_zone(m.pool, zone, &z) == 0);
		MUST(z.free_runs[0] == z.free && z.free <= z.pages);
		in_zones += z.free;
		for (unsigned cpu = 0; cpu < stat.nr_cpus; cpu++) {
			struct weir_stat_cpu c = WEIR_STAT_CPU_INIT;
			uint64_t its = 0;

			MUST(weir_stat_read_cpu(m.pool, zone, cpu, &c) == 0);
			for (unsigned i = 0; i < WEIR_STAT_LISTS; i++) {
				MUST(c.list[i].count <= c.list[i].high);
				its += (uint64_t)c.list[i].count
				       << c.list[i].order;
			}
			MUST(its == c.cached);
			cached += its;
			pending += c.pending;
		}
	}
	for (unsigned cpu = 0; cpu < stat.nr_cpus; cpu++)
		check_mode(cpu, stat.nr_zones);
	MUST(in_zones == stat.free);
	MUST(cached == stat.cached && pending == stat.pending);
	MUST(!m.strict || stat.pending == 0);
	return stat;
}

/* After a full drain the zones have every page that is not out. */
static void check_all_in_zones(void)
{
	struct weir_stat stat = check_stat();

	MUST(stat.cached == 0 && stat.pending == 0);
	for (unsigned zone = 0; zone < stat.nr_zones; zone++) {
		struct weir_stat_zone z = WEIR_STAT_ZONE_INIT;

		MUST(weir_stat_read_zone(m.pool, zone, &z) == 0);
		for (unsigned order = 0; order <= WEIR_ORDER_MAX; order++)
			MUST(z.free_runs[order] == nr_runs(order, (int)zone));
	}
}

/* --- allocation -------------------------------------------------------- */

/* Why an allocation of n runs (or of one, if some will do) may have failed. */
static void check_failure(int error, unsigned order, unsigned flags, size_t n,
			  int zone)
{
	const int where = flags & WEIR_THISNODE ? zone : -1;

	collect_asked();
	MUST(error == ENOMEM || error == EAGAIN);
	if (flags & WEIR_NOWAIT) {
		/* What never was there is not EAGAIN. */
		MUST(error == EAGAIN || count_runs(order, -1, false) < n);
		return;
	}
	if (error == ENOMEM)
		MUST(nr_runs(order, where) < n);
	else
		MUST(!m.strict);
}

/* A single NOWAIT that failed: the zones it may use had no such run. */
static void check_nowait(unsigned order, unsigned flags, int zone)
{
	struct weir_stat_zone z = WEIR_STAT_ZONE_INIT;

	for (unsigned i = 0; weir_stat_read_zone(m.pool, i, &z) == 0; i++)
		MUST((flags & WEIR_THISNODE && (int)i != zone) ||
		     z.free_runs[order] == 0);
}

static void *fast_alloc(unsigned order, unsigned flags)
{
	switch (order) {
	case 0:
		return weir_fast_alloc(m.pool, 0, flags);
	case 1:
		return weir_fast_alloc(m.pool, 1, flags);
	case 3:
		return weir_fast_alloc(m.pool, 3, flags);
	case 9:
		return weir_fast_alloc(m.pool, 9, flags);
	default:
		return weir_fast_alloc(m.pool, order, flags);
	}
}

static void fast_free(void *page, unsigned order)
{
	switch (order) {
	case 0:
		weir_fast_free(m.pool, page, 0);
		return;
	case 1:
		weir_fast_free(m.pool, page, 1);
		return;
	case 3:
		weir_fast_free(m.pool, page, 3);
		return;
	case 9:
		weir_fast_free(m.pool, page, 9);
		return;
	default:
		weir_fast_free(m.pool, page, order);
	}
}

/* One that the pool has; it is seen to refuse others. */
static unsigned take_order(struct bytes *b)
{
	const unsigned order = take_any_order(b);

	if (!m.single || order == 0)
		return order;
	errno = 0;
	MUST(fast_alloc(order, 0) == NULL && errno == EINVAL);
	MUST(weir_fast_alloc_bulk(m.pool, order, pages, 2, 0) == -EINVAL);
	return 0;
}

/* NOWAIT, ZERO, THISNODE in the low bits. */
static unsigned take_flags(struct bytes *b)
{
	const unsigned flags = take_u8(b);

	return flags & (flags & 0x40 ? WEIR_NOWAIT | WEIR_THISNODE
				     : WEIR_NOWAIT | WEIR_THISNODE | WEIR_ZERO);
}

static bool alloc_one(unsigned order, unsigned flags, bool fast)
{
	const int zone = zone_here();
	void *page;

	if (m.nr_slots == SLOTS_MAX)
		return false;
	errno = 0;
	page = fast ? fast_alloc(order, flags)
		    : weir_alloc(m.pool, order, flags);
	if (page != NULL) {
		take(page, order, flags, zone);
		return true;
	}
	check_failure(errno, order, flags, 1, zone);
	if (flags & WEIR_NOWAIT)
		check_nowait(order, flags, zone);
	return false;
}

/* One after the other, as many as there are. */
static void alloc_row(unsigned order, unsigned n)
{
	while (n > 0 && alloc_one(order, WEIR_NOWAIT, n & 1))
		n--;
}

static void alloc_many(struct bytes *b)
{
	const unsigned order = take_order(b), flags = take_flags(b);
	const uint8_t how = take_u8(b);
	const size_t n = take_below(b, how & 0x40 ? BULK_MAX : 80);
	const int zone = zone_here();
	size_t got = 0;
	int err = 0;

	if (m.nr_slots + n > SLOTS_MAX)
		return;
	errno = 0;
	if (how & 1) {
		got = weir_alloc_upto(m.pool, order, pages, n, flags);
		MUST(got <= n);
		if (got == 0 && n > 0)
			check_failure(errno, order, flags, 1, zone);
	} else {
		err = how & 2 ? weir_fast_alloc_bulk(m.pool, order, pages, n,
						     flags)
			      : weir_alloc_bulk(m.pool, order, pages, n, flags);
		if (err == 0)
			got = n;
		else
			check_failure(-err, order, flags, n, zone);
	}
	for (size_t i = 0; i < got; i++)
		take(pages[i], order, flags, zone);
}

/* --- free -------------------------------------------------------------- */

static void free_one(struct bytes *b)
{
	unsigned i, order;
	void *page;

	if (m.nr_slots == 0)
		return;
	i = take_below(b, m.nr_slots);
	order = m.slot[i].order;
	page = give(i);
	errno = 12345;
	if (take_u8(b) & 1)
		fast_free(page, order);
	else
		weir_free(m.pool, page, order);
	MUST(errno == 12345);
}

static void free_many(struct bytes *b)
{
	size_t n = 0, want = 1 + take_below(b, BULK_MAX - 1);
	const uint8_t how = take_u8(b);
	unsigned order;

	if (m.nr_slots == 0)
		return;
	order = m.slot[take_below(b, m.nr_slots)].order;
	for (unsigned i = 0; i < m.nr_slots && n < want;)
		if (m.slot[i].order != order)
			i++;
		else
			pages[n++] = give(i);
	if (how & 1)
		weir_free_bulk(m.pool, order, pages, n);
	else if (how & 2)
		weir_fast_free_bulk(m.pool, order, pages, n);
	else
		for (size_t i = 0; i < n; i++)
			fast_free(pages[i], order);
}

/* --- the rest of the interface ----------------------------------------- */

/* A cpulist, and whether it is one for this machine. */
static const char *take_cpus(struct bytes *b, bool *right)
{
	static const char *const lists[] = {
		NULL,  NULL, "0-3",  "0",	"1",  "2",    "3",	"0,2",
		"1-3", "",   " 1\n", "0-3:1/2", "0-", "9999", "0-8191", "x",
	};
	const unsigned n = take_u8(b) % 16;

	*right = n < 12;
	return lists[n];
}

static void drain(struct bytes *b)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	const struct weir_stat before = check_stat();
	const uint8_t how = take_u8(b);
	const uint64_t handed_over = asked_pages;
	struct weir_stat after;
	uint64_t gained;
	bool right = true;
	int err;

	if (how & 1)
		opts.cpus = take_cpus(b, &right);
	if (how & 2)
		opts.want_pages = take_u16(b) % 2048;
	if (how & 4)
		opts.wait_ns = 1 + take_u8(b) * UINT64_C(1000);
	if ((how & 0xf8) == 0xf8) {
		opts.size--;
		right = false;
	}
	err = weir_drain(m.pool, how & 8 ? &opts : NULL,
			 how & 16 ? NULL : &result);
	MUST(err != -EINVAL || weir_last_error()[0] != '\0');
	after = check_stat();
	gained = after.free + (asked_pages - handed_over) - before.free;
	if (how & 8 && !right) {
		MUST(err == -EINVAL);
		MUST(after.free == before.free);
		return;
	}
	MUST(err == 0 || (err == -EAGAIN && !m.strict));
	check_asked(false);
	if (!(how & 16)) {
		MUST(result.pages == gained);
		MUST((how & 8 && how & 1) || result.pending == after.pending);
		MUST(!result.taken_over);
	}
	MUST(after.drained_pages - before.drained_pages == gained);
	if (err == 0 && (!(how & 8) || opts.want_pages == 0) &&
	    (!(how & 8) || opts.cpus == NULL))
		check_all_in_zones();
	if (err == 0 && how & 8 && opts.want_pages != 0 && opts.cpus == NULL)
		MUST(gained >= opts.want_pages ||
		     after.cached + after.pending == 0);
}

static void maintain(struct bytes *b)
{
	const uint64_t reserve = take_u16(b) % (2 * PAGES_MAX);
	const struct weir_stat before = check_stat();
	const uint64_t handed_over = asked_pages;
	struct weir_drain_result result = WEIR_DRAIN_RESULT_INIT;
	int err = weir_maintain(m.pool, reserve, &result);
	const struct weir_stat after = check_stat();

	MUST(err == 0 || (err == -EAGAIN && !m.strict));
	MUST(result.pages ==
	     after.free + (asked_pages - handed_over) - before.free);
	MUST(err != 0 || after.free >= reserve || asked_pages > handed_over ||
	     after.cached + after.pending == 0);
	check_asked(err == 0);
}

static void set_mode(struct bytes *b)
{
	bool right;
	const char *cpus = take_cpus(b, &right);
	const unsigned mode = take_u8(b) % 8;
	int err;

	if (mode == WEIR_MODE_POLLING && right && !m.locked)
		m.strict = false;
	err = weir_set_mode(m.pool, cpus,
			    mode > WEIR_MODE_OFF ? (enum weir_mode)(mode % 2)
						 : (enum weir_mode)mode);
	check_stat();
	if (m.locked && (mode == WEIR_MODE_QUIET || mode == WEIR_MODE_POLLING ||
			 (mode > WEIR_MODE_OFF && mode % 2 == WEIR_MODE_QUIET)))
		MUST(err == -EOPNOTSUPP);
	else if (!right)
		MUST(err == -EINVAL);
	else
		MUST(err == 0 || (err == -EAGAIN && !m.strict) ||
		     (err == -EOPNOTSUPP && fuzz_machine.membarrier_fails));
	if (err == 0 && cpus == NULL)
		MUST(weir_get_mode(m.pool, fuzz_machine_cpu()) ==
		     (int)(mode > WEIR_MODE_OFF ? mode % 2 : mode));
}

static void burst(struct bytes *b)
{
	if (m.nr_bursts < 4 && (m.nr_bursts == 0 || take_u8(b) & 1))
		weir_burst_begin(m.pool, &m.burst[m.nr_bursts++]);
	else
		weir_burst_end(m.pool, &m.burst[--m.nr_bursts]);
}

static void move(struct bytes *b)
{
	const unsigned rank = take_u8(b);

	if (m.locked || m.nr_moves++ < MOVES_MAX)
		fuzz_machine_move(rank);
}

static void end_early(struct bytes *b)
{
	const unsigned flags = take_u8(b) % 8 == 7 ? 0x80 : 0;

	if (m.out == 0 && flags == 0 && !any_asked())
		return;
	MUST(weir_pool_destroy(m.pool, flags) == (flags ? -EINVAL : -EBUSY));
	MUST(weir_last_error()[0] != '\0');
	if (flags == 0 && !any_asked() && !fuzz_machine.membarrier_fails)
		check_all_in_zones();
}

/* What is refused, and changes nothing. */
static void errors(struct bytes *b)
{
	struct weir_stat stat = { .size = 8 };
	struct weir_drain_result result = { .size = take_u8(b) };
	size_t bytes, page_size;
	void *base;

	errno = 0;
	MUST(weir_alloc(m.pool, WEIR_ORDER_MAX + 1 + take_u16(b), 0) == NULL);
	MUST(errno == EINVAL);
	MUST(weir_alloc(m.pool, 0, 16u << take_u8(b) % 27) == NULL);
	MUST(errno == EINVAL);
	MUST(weir_alloc_bulk(m.pool, 19, pages, 1, 0) == -EINVAL);
	MUST(weir_alloc_upto(m.pool, 0, pages, 1, 64) == 0);
	MUST(weir_alloc_bulk(m.pool, 0, pages, 0, 0) == 0);
	MUST(weir_stat_read(m.pool, &stat) == -EINVAL);
	MUST((result.size >= 16 && result.size % 8 == 0) ||
	     weir_drain(m.pool, NULL, &result) == -EINVAL);
	MUST(weir_get_mode(m.pool, 8192) == -EINVAL);
	weir_free(m.pool, NULL, take_u8(b) % 20);
	MUST(weir_pool_range(m.pool, &base, &bytes, &page_size) == 0);
	MUST(base == m.base && page_size == m.page_size &&
	     bytes == m.nr_pages * m.page_size);
	check_stat();
}

/* --- a run ------------------------------------------------------------- */

static uint64_t take_size(struct bytes *b)
{
	const uint8_t how = take_u8(b);
	const uint64_t n = take_u16(b);

	if (how < 64)
		return 1 + n % 200;
	if (how < 200)
		return 1 + n % 2600;
	return how < 216 ? 1 + n % PAGES_MAX : 8192 + n % (PAGES_MAX - 8191);
}

static struct weir_pool_opts take_opts(struct bytes *b)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	const uint8_t how = take_u8(b), more = take_u8(b);
	uint8_t size;

	m.nr_pages = take_size(b);
	m.page_size = more & 0x80 ? PAGE_MAX : 256u << more % 4;
	size = take_u8(b);
	if (size & 0x80)
		m.page_size = 64 * (1 + (size & 0x3f));
	m.single = (m.page_size & (m.page_size - 1)) != 0;
	opts.capacity = m.nr_pages * m.page_size;
	if (m.single)
		opts.capacity += size % m.page_size; /* left behind the last */
	opts.page_size = m.page_size;
	opts.backing = WEIR_BACKING_REGION;
	opts.region = region;
	fuzz_machine.nr_nodes = 1;
	if ((how & 7) == 0) {
		opts.backing = WEIR_BACKING_MEMFD;
		opts.fd = memfd;
		opts.region = NULL;
	} else if ((how & 7) <= 2) {
		opts.backing = how & 1 ? WEIR_BACKING_ANON : WEIR_BACKING_THP;
		opts.region = NULL;
		fuzz_machine.nr_nodes = 2;
	}
	m.locked = how & 8;
	opts.flags = (m.locked ? WEIR_POOL_NO_RSEQ : 0) |
		     (how & 16 ? WEIR_POOL_CHECKED : 0);
	fuzz_machine.numbered = m.locked;
	fuzz_machine.membarrier_fails = (how & 0xe0) == 0xe0;
	opts.quiet_cpus = more & 4 ? "0-3" : more & 8 ? "1" : "";
	opts.polling_cpus = (how & 0xe0) == 0x60 ? "0" : "";
	m.strict = m.locked || (!fuzz_machine.membarrier_fails &&
				opts.polling_cpus[0] == '\0');
	if (more & 0x10)
		opts.list_limit = more & 0x20 ? (int)take_u8(b) - 1
					      : 1 + take_u16(b) % 511;
	if (more & 0x40)
		opts.batch = take_u8(b) % 65;
	return opts;
}

static void begin(struct bytes *b)
{
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_pool_opts opts;
	void *base;

	fuzz_machine_reset();
	m.nr_slots = m.nr_moves = m.nr_bursts = 0;
	m.out = asked_pages = 0;
	m.tag += UINT64_C(1) << 32;
	opts = take_opts(b);
	memset(m.used, 0, m.nr_pages);
	MUST(weir_pool_create(&m.pool, &opts) == 0);
	MUST(weir_pool_range(m.pool, &base, NULL, NULL) == 0);
	MUST(weir_stat_read_zone(m.pool, 0, &zone) == 0);
	m.base = base;
	m.zone_pages = zone.pages;
	m.nr_zones = (unsigned)((m.nr_pages + zone.pages - 1) / zone.pages);
}

/* Every CPU passes between operations; what is pending is collected. */
static void settle(void)
{
	while (m.nr_bursts > 0)
		weir_burst_end(m.pool, &m.burst[--m.nr_bursts]);
	for (unsigned rank = FUZZ_CPUS; rank-- > 0;) {
		if (!m.strict || m.locked)
			fuzz_machine_move(rank);
		weir_tick(m.pool);
		weir_drain(m.pool, NULL, NULL);
	}
	fuzz_machine.membarrier_fails = false;
	/* CPUs 2 and 3 have no pages where CPUs are true, but may have polled:
	 * then there is no evidence of them until the end. */
	if (weir_drain(m.pool, NULL, NULL) == 0)
		m.strict = true;
	else
		MUST(!m.strict);
	check_all_in_zones();
}

static void finish(void)
{
	end_asked();
	settle();
	while (m.nr_slots > 0) {
		const unsigned order = m.slot[m.nr_slots - 1].order;

		weir_free(m.pool, give(m.nr_slots - 1), order);
	}
	/* Nothing is lost, and nothing stays in parts. */
	for (unsigned order = WEIR_ORDER_MAX + 1; order-- > 0;) {
		uint64_t left = nr_runs(order, -1);

		while (left > 0) {
			const size_t n = left < BULK_MAX ? left : BULK_MAX;

			MUST(weir_alloc_bulk(m.pool, order, pages, n, 0) == 0);
			for (size_t i = 0; i < n; i++)
				take(pages[i], order, 0, 0);
			left -= n;
		}
	}
	MUST(m.out == m.nr_pages);
	MUST(weir_alloc(m.pool, 0, 0) == NULL);
	MUST(errno == ENOMEM || !m.strict);
	check_all_in_zones();
	MUST(weir_pool_destroy(m.pool, WEIR_DESTROY_FORCE) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	region =
		mmap(NULL, (size_t)PAGES_MAX * PAGE_MAX, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	MUST(region != MAP_FAILED);
	memfd = memfd_create("pages", MFD_CLOEXEC);
	asked_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(memfd >= 0 && ftruncate(memfd, PAGES_MAX * PAGE_MAX) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = { data, data + size };

	begin(&b);
	for (unsigned ops = 0; bytes_left(&b) > 0 && ops < OPS_MAX; ops++) {
		const unsigned op = take_u8(&b) % 32;

		if (op < 5)
			alloc_one(take_order(&b), take_flags(&b), op & 1);
		else if (op < 8) /* as many as make a difference to a list */
			alloc_row(op == 7 && !m.single, take_u8(&b));
		else if (op < 12)
			alloc_many(&b);
		else if (op < 17)
			free_one(&b);
		else if (op < 20)
			free_many(&b);
		else if (op < 22)
			drain(&b);
		else if (op < 24)
			move(&b);
		else if (op < 26)
			set_mode(&b);
		else if (op == 26)
			maintain(&b);
		else if (op == 27)
			burst(&b);
		else if (op == 28)
			weir_fast_tick(m.pool);
		else if (op == 29)
			end_early(&b);
		else if (op == 30)
			errors(&b);
		else
			ask(&b);
		collect_asked();
	}
	finish();
	return 0;
}
