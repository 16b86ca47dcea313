/* SPDX-License-Identifier: MIT */
/*
 * If this fails, who looks at weir's trace points sees something else than
 * what weir_stat_read() counts.
 *
 * A child works on a pool while the kernel stops at each trace point and notes
 * its arguments; then both accounts are compared. It runs in a guest, and as
 * root on any machine whose kernel takes uprobes.
 */
#include "shared/trace_load.h"
#include "shared/uprobes.h"

#include <sys/wait.h>

#include "cache/cache.h"
#include "shared/guest.h"

#define BYTES ((size_t)32 << 20)

static struct uprobes_hit hits[20000];
static unsigned nr_hits;

static void keep(const struct uprobes_hit *hit, void *ctx)
{
	(void)ctx;
	CHECK(nr_hits < WI_ARRAY_SIZE(hits));
	hits[nr_hits++] = *hit;
}

#define ANY INT64_MIN

/* --- sums over hits; arguments count from 1, as in the manual ---------- */

static bool is(const struct uprobes_hit *hit, const char *name, unsigned arg,
	       int64_t value)
{
	return strcmp(hit->name, name) == 0 &&
	       (value == ANY ||
		(hit->nr_args >= arg && hit->arg[arg - 1] == value));
}

/* Hits of that name whose argument has that value. */
static int64_t count(const char *name, unsigned arg, int64_t value)
{
	int64_t n = 0;

	for (unsigned i = 0; i < nr_hits; i++)
		n += is(&hits[i], name, arg, value);
	return n;
}

static int64_t all(const char *name)
{
	return count(name, 1, ANY);
}

static int64_t sum(const char *name, unsigned arg)
{
	int64_t n = 0;

	for (unsigned i = 0; i < nr_hits; i++)
		if (is(&hits[i], name, arg, ANY))
			n += hits[i].arg[arg - 1];
	return n;
}

static const struct uprobes_hit *last(const char *name)
{
	for (unsigned i = nr_hits; i-- > 0;)
		if (is(&hits[i], name, 1, ANY))
			return &hits[i];
	check_fail(__FILE__, __LINE__, "%s was never passed", name);
}

/* --- the child --------------------------------------------------------- */

static _Noreturn void work(int out, int go)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	static struct trace_load load;
	struct weir_pool *pool;
	char word;

	opts.capacity = BYTES;
	opts.name = "traced";
	CHECK_EQ(weir_pool_create(&pool, &opts), 0);
	trace_load_run(pool, BYTES, allowed_cpu(0), allowed_cpu(1));
	trace_load_read(pool, &load);
	CHECK_EQ(write(out, &load, sizeof(load)), sizeof(load));
	CHECK_EQ(read(go, &word, 1), 1);
	CHECK_EQ(weir_pool_destroy(pool, 0), 0);
	fflush(stdout);
	_exit(0);
}

/* --- both accounts ----------------------------------------------------- */

static void compare_cpus(const struct trace_load *load)
{
	static const struct {
		const char *name;
		size_t at;
	} counts[] = {
		{ "refill", offsetof(struct trace_load, refills) },
		{ "flush", offsetof(struct trace_load, flushes) },
		{ "direct", offsetof(struct trace_load, direct) },
	};

	for (unsigned i = 0; i < WI_ARRAY_SIZE(counts); i++) {
		const uint64_t *seen =
			(const void *)((const char *)load + counts[i].at);

		for (unsigned cpu = 0; cpu < load->stat.nr_cpus; cpu++)
			CHECK_MSG(count(counts[i].name, 3, cpu) ==
					  (int64_t)seen[cpu],
				  "%s on CPU %u: %" PRId64 " traced, %" PRIu64
				  " counted",
				  counts[i].name, cpu,
				  count(counts[i].name, 3, cpu), seen[cpu]);
	}
	for (unsigned i = 0; i < nr_hits; i++) {
		const int64_t *arg = hits[i].arg;

		if (is(&hits[i], "refill", 4,
		       0)) /* single pages, half a list */
			CHECK(arg[4] <= 256 && arg[5] < arg[4] + (arg[4] == 0));
		if (is(&hits[i], "flush", 4, 0)) /* half a list, at least */
			CHECK(arg[4] >= 100 && arg[4] <= 511);
		if (is(&hits[i], "direct", 4, 6)) /* one run of order 5 */
			CHECK(arg[4] == 1 && arg[5] == 1);
	}
	CHECK_EQ(count("direct", 4, 6), 1);
	CHECK_EQ(all("refill"), load->stat.refills);
	CHECK_EQ(all("flush"), load->stat.flushes);
	CHECK_EQ(all("direct"), load->stat.direct);
}

static void compare_drains(const struct weir_stat *stat)
{
	const struct uprobes_hit *end = last("drain_end");

	CHECK_EQ(sum("evidence", 6), stat->drains);
	CHECK_EQ(sum("evidence", 5), stat->drained_pages);
	CHECK_EQ(count("evidence", 4, WI_EVIDENCE_PROGRESS), stat->by_progress);
	CHECK_EQ(count("evidence", 4, WI_EVIDENCE_NOT_BUSY), stat->by_not_busy);
	CHECK_EQ(count("evidence", 4, WI_EVIDENCE_MEMBARRIER),
		 stat->by_membarrier);
	CHECK_EQ(all("membarrier"), stat->membarriers);
	CHECK_EQ(all("membarrier") - count("membarrier", 3, 0),
		 stat->membarriers_failed);
	CHECK_EQ(all("late"), stat->late);
	/* What was taken from CPUs came back, or is pending. */
	CHECK_EQ(sum("exchange", 5), sum("evidence", 5) + stat->pending);
	CHECK_EQ(all("drain_begin"), all("drain_end"));
	CHECK_EQ(end->arg[1], all("drain_end")); /* its number */
	CHECK_EQ(end->arg[4], stat->pending);
	CHECK(sum("drain_end", 3) > 0 && sum("drain_end", 4) > 0);
}

static void compare_failures(const struct weir_stat *stat)
{
	CHECK_EQ(count("exhausted", 2, WI_FAIL_NOWAIT), stat->failed_nowait);
	CHECK_EQ(count("exhausted", 2, WI_FAIL_EMPTY), stat->failed_empty);
	CHECK_EQ(count("exhausted", 2, WI_FAIL_PENDING), stat->failed_pending);
	CHECK_EQ(count("exhausted", 2, WI_FAIL_LOST), stat->failed_lost);
	CHECK_EQ(count("exhausted", 3, WEIR_ORDER_MAX), 1);
}

/* The work passed every place; else nothing was compared. */
static void check_passed(const struct weir_stat *stat)
{
	CHECK(stat->refills > 0 && stat->flushes > 0 && stat->direct > 0);
	CHECK(stat->by_progress > 0 && stat->by_not_busy > 0);
	CHECK(stat->by_membarrier > 0 && stat->late > 0);
	CHECK(stat->failed_nowait > 0 && stat->failed_empty > 1);
	CHECK(stat->failed_pending > 0);
}

static void compare(const struct trace_load *load)
{
	const struct uprobes_hit *create = last("pool_create");

	check_passed(&load->stat);
	compare_cpus(load);
	compare_drains(&load->stat);
	compare_failures(&load->stat);
	CHECK_EQ(all("pool_create"), 1);
	CHECK_EQ(create->arg[3], BYTES);
	CHECK_EQ(create->arg[4], 4096);
	CHECK_EQ(all("pool_destroy"), 0);
	for (unsigned i = 0; i < nr_hits; i++)
		CHECK_EQ(hits[i].arg[0], create->arg[0]); /* the pool */
}

/* --- the parent -------------------------------------------------------- */

int main(void)
{
	static struct trace_load load;
	int out[2], go[2], state = -1;
	unsigned nr_places, worked;
	ssize_t got;
	pid_t child;
	char self[256];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (access("/plan", R_OK) == 0) /* a guest, with isolated CPUs */
		guest_everywhere();
	need_two_cpus();
	CHECK(len > 0);
	self[len] = '\0';
	nr_places = uprobes_attach(self);
	if (nr_places == 0)
		SKIP("built without trace points (apt-get install "
		     "systemtap-sdt-dev)");
	atexit(uprobes_detach);
	CHECK(pipe2(out, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		work(out[1], go[0]);
	close(out[1]);
	got = read(out[0], &load, sizeof(load));
	uprobes_read(keep, NULL);
	worked = nr_hits;
	CHECK_EQ(write(go[1], "", 1), 1);
	CHECK_EQ(waitpid(child, &state, 0), child);
	CHECK_MSG(state == 0 && got == sizeof(load), "the child ended with %#x",
		  (unsigned)state);
	compare(&load);
	uprobes_read(keep, NULL);
	CHECK_EQ(all("pool_destroy"), 1);
	CHECK_EQ(last("pool_destroy")->arg[2], 0); /* no page was out */
	printf("figures: trace points at %u places, %u hits, as weir_stat_read "
	       "counts\n",
	       nr_places, worked);
	return 0;
}
