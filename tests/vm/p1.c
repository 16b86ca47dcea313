/* SPDX-License-Identifier: MIT */
/*
 * P1: if this fails, a call of weir interrupted a quiet or polling CPU, or a
 * drain of an ordinary one interrupted another than that.
 *
 * A row of the table is a process of its own with a pool of its own; its owner
 * works on an isolated CPU, its first thread drains from CPU 0, at 500 Hz if
 * the owner keeps up. Windows with drains and windows of the same kind without
 * alternate. Every row of /proc/interrupts is counted, over whole windows, so
 * that what comes late or by another way is seen as well.
 *
 * Judged: quiet and polling CPUs, and CPUs beside the one drained, get nothing
 * but what they raise on themselves (LOC, IWI), and of that only where
 * something sleeps there or threads share the CPU (see timer_rule()). A drain
 * counts when it brought pages, with the evidence it names; that must be of the
 * kind that the mode allows. Controls, which do interrupt, must be seen.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/request.h>
#include <weir/stat.h>

#include "check.h"
#include "os/os.h"
#include "shared/counts.h"
#include "shared/owner.h"
#include "shared/sender.h"
#include "shared/still.h"

#define PERIOD_NS 2000000
#define ROUNDS 4
#define PAGES 4096
#define LIMIT 64
/* An emulated CPU may stand still for long when the machine is busy. */
#define PATIENT_NS UINT64_C(30000000000)
#define HASTY_NS 100000 /* where evidence cannot come */
#define FIRST_CPU 1	/* isolated, and so is the next one */
#define LAST_CPU 2

/* What the first thread does in a window. */
enum action {
	DRAIN,	    /* weir_drain() of the owner's CPU */
	DRAIN_ALL,  /* of every CPU */
	IN_NEED,    /* weir_alloc() with nothing left but the owner's list */
	OTHERS,	    /* creations, statistics, maintenance, requests, modes */
	MEMBARRIER, /* control: just that */
	HOP,	    /* control: this thread moves there and back */
};

enum beside {
	NOBODY,
	ORDINARY_CPU, /* a CPU beside with an owner and pages of its own */
	QUIET_CPU,
};

static const struct row {
	enum weir_mode mode;
	enum scene scene;
	bool helped;
	bool pends; /* evidence comes with the next turn at the earliest */
	enum action action;
	enum beside beside;
} rows[] = {
	{ WEIR_MODE_QUIET, ALLOCATING, .action = DRAIN },
	{ WEIR_MODE_POLLING, ALLOCATING, .action = DRAIN },
	{ WEIR_MODE_QUIET, RARELY, .action = DRAIN },
	{ WEIR_MODE_POLLING, RARELY, .action = DRAIN },
	{ WEIR_MODE_QUIET, ASLEEP, .action = DRAIN },
	{ WEIR_MODE_POLLING, ASLEEP, .pends = true, .action = DRAIN },
	{ WEIR_MODE_QUIET, COMPUTING, .helped = true, .action = DRAIN },
	{ WEIR_MODE_POLLING, COMPUTING, .pends = true, .action = DRAIN },
	{ WEIR_MODE_POLLING, COMPUTING, true, true, .action = DRAIN },
	{ WEIR_MODE_QUIET, TOGETHER, .action = DRAIN },
	{ WEIR_MODE_POLLING, TOGETHER, .action = DRAIN },
	{ WEIR_MODE_QUIET, BURST_HELD, .pends = true, .action = DRAIN },
	{ WEIR_MODE_QUIET, IN_BURSTS, .action = DRAIN },
	{ WEIR_MODE_POLLING, IN_BURSTS, .action = DRAIN },
	{ WEIR_MODE_QUIET, ALLOCATING, .action = IN_NEED },
	{ WEIR_MODE_POLLING, ALLOCATING, .action = IN_NEED },
	{ WEIR_MODE_QUIET, ALLOCATING, .action = OTHERS },
	{ WEIR_MODE_POLLING, ALLOCATING, .action = OTHERS },
	{ WEIR_MODE_ORDINARY, ALLOCATING, .action = MEMBARRIER },
	{ WEIR_MODE_ORDINARY, ALLOCATING, .action = DRAIN, .beside = 1 },
	{ WEIR_MODE_ORDINARY, COMPUTING, .action = HOP },
	{ WEIR_MODE_ORDINARY, COMPUTING, true, .action = DRAIN, .beside = 1 },
	{ WEIR_MODE_ORDINARY, ASLEEP, .action = DRAIN },
	{ WEIR_MODE_ORDINARY, COMPUTING, true, .action = DRAIN_ALL,
	  .beside = QUIET_CPU },
};
#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static const char *const mode_name[] = { "ordinary", "quiet", "polling" };
static const char *const action_name[] = {
	"drain", "drain of all", "need", "others", "membarrier", "hop",
};

/* What a row found out; shared with the process that began them all. */
struct result {
	unsigned tries;	  /* actions */
	unsigned counted; /* of them: with pages and evidence, or as meant */
	unsigned by_progress, by_not_busy, by_membarrier;
	unsigned pending; /* drains that left pages pending */
	uint64_t pages, most_pending;
	uint64_t membarriers;		    /* as the pool counts them */
	struct counts with, without;	    /* the owner's CPU */
	struct counts beside, beside_alone; /* the CPU beside */
	uint64_t ns, wait_ns; /* in windows with actions; longest of them */
};

struct test {
	const struct row *row;
	struct result *result;
	unsigned cpu;
	unsigned n; /* actions */
	char cpus[8];
	struct weir_pool *pool;
	struct owner owner, beside;
	struct interrupts in, in_beside;
	int doctor[2]; /* to and from the process that runs it */
	struct weir_pool *others[64];
	unsigned nr_others;
	uint64_t began_ns; /* the windows that count */
	unsigned failures;
};

/* One line; the row goes on to tell all that is wrong. */
#define EXPECT(test, expr, ...)                                                \
	do {                                                                   \
		if (!(expr)) {                                                 \
			printf("p1: FAILED: ");                                \
			printf(__VA_ARGS__);                                   \
			printf("\n");                                          \
			(test)->failures++;                                    \
		}                                                              \
	} while (0)

static void go_to(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* --- actions -------------------------------------------------------------- */

/* Is every kind of evidence one that the mode knows? */
static void judge_evidence(struct test *test,
			   const struct weir_drain_result *done)
{
	const enum weir_mode mode = test->row->mode;

	if (mode == WEIR_MODE_ORDINARY)
		return;
	EXPECT(test, done->by_membarrier == 0 && done->membarriers_failed == 0,
	       "a membarrier for a CPU that must not be interrupted");
	EXPECT(test, mode == WEIR_MODE_QUIET || done->by_not_busy == 0,
	       "a polling CPU announces nothing, yet it was not busy");
}

static void drain(struct test *test)
{
	struct result *result = test->result;
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result done = WEIR_DRAIN_RESULT_INIT;
	int err;

	if (test->row->action == DRAIN)
		opts.cpus = test->cpus;
	opts.wait_ns = test->row->pends ? HASTY_NS : PATIENT_NS;
	err = weir_drain(test->pool, &opts, &done);
	EXPECT(test, err == 0 || err == -EAGAIN, "a drain ends with %d", err);
	EXPECT(test, (err == -EAGAIN) == (done.pending > 0),
	       "a drain ends with %d, %" PRIu64 " pages pending", err,
	       done.pending);
	EXPECT(test, test->row->pends || err == 0,
	       "no evidence within %" PRIu64 " ns", done.ns);
	judge_evidence(test, &done);
	result->by_progress += done.by_progress;
	result->by_not_busy += done.by_not_busy;
	result->by_membarrier += done.by_membarrier;
	result->pages += done.pages;
	result->pending += err == -EAGAIN;
	if (done.pending > result->most_pending)
		result->most_pending = done.pending;
	if (done.ns > result->wait_ns)
		result->wait_ns = done.ns;
	if (done.pages > 0 &&
	    done.by_progress + done.by_not_busy + done.by_membarrier > 0)
		result->counted++;
}

/* Takes all that is in the zone and in CPU 0's list; then one more, which only
 * the owner's list can give; then gives all back. */
static void in_need(struct test *test)
{
	static void *pages[PAGES];
	size_t n = weir_alloc_upto(test->pool, 0, pages, PAGES, WEIR_NOWAIT);
	void *page = weir_alloc(test->pool, 0, 0);

	/* Without: the owner has them all in hand. */
	if (page) {
		test->result->pages++;
		test->result->counted++;
		weir_free(test->pool, page, 0);
	}
	weir_free_bulk(test->pool, 0, pages, n);
}

/* Does the `weir doctor` of another process find nothing wrong? */
static void ask_doctor(struct test *test)
{
	char status = 0;

	CHECK_EQ(write(test->doctor[1], "?", 1), 1);
	CHECK_EQ(read(test->doctor[0], &status, 1), 1);
	EXPECT(test, status == '0', "weir doctor ends with status %c", status);
}

static void create_another(struct test *test)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	if (test->nr_others == sizeof(test->others) / sizeof(test->others[0]))
		return;
	opts.capacity = 16 << 20;
	opts.flags = test->nr_others % 2 ? WEIR_POOL_CHECKED : 0;
	if (test->nr_others % 4 == 3)
		opts.flags |= WEIR_POOL_PREFAULT;
	opts.capacity >>= opts.flags & WEIR_POOL_PREFAULT ? 4 : 0;
	CHECK_EQ(weir_pool_create(&test->others[test->nr_others++], &opts), 0);
}

static void change_mode(struct test *test)
{
	const enum weir_mode there = test->row->mode == WEIR_MODE_QUIET
					     ? WEIR_MODE_POLLING
					     : WEIR_MODE_QUIET;
	int err = weir_set_mode(test->pool, test->cpus, there);

	EXPECT(test, err == 0, "the mode changes with %d", err);
	err = weir_set_mode(test->pool, test->cpus, test->row->mode);
	EXPECT(test, err == 0, "the mode changes back with %d", err);
}

/* While a request waits, which cannot be met, as a page is out: drains all
 * CPUs. */
static void maintain_for_request(struct test *test)
{
	static void *pages[PAGES];
	struct weir_request request = WEIR_REQUEST_INIT;
	struct weir_drain_result done = WEIR_DRAIN_RESULT_INIT;
	void *page = weir_alloc(test->pool, 0, WEIR_NOWAIT);

	if (page == NULL)
		return;
	request.n = PAGES;
	request.pages = pages;
	request.fd = STDIN_FILENO;
	CHECK_EQ(weir_request_submit(test->pool, &request), 0);
	weir_maintain(test->pool, 0, &done);
	judge_evidence(test, &done);
	CHECK_EQ(weir_request_cancel(test->pool, &request), 0);
	weir_free(test->pool, page, 0);
}

static void others(struct test *test)
{
	struct weir_stat stat = WEIR_STAT_INIT;
	struct weir_stat_zone zone = WEIR_STAT_ZONE_INIT;
	struct weir_stat_cpu cpu = WEIR_STAT_CPU_INIT;
	struct weir_drain_result done = WEIR_DRAIN_RESULT_INIT;
	const unsigned nr = test->result->tries;

	CHECK_EQ(weir_stat_read(test->pool, &stat), 0);
	CHECK_EQ(weir_stat_read_zone(test->pool, 0, &zone), 0);
	CHECK_EQ(weir_stat_read_cpu(test->pool, 0, test->cpu, &cpu), 0);
	/* More than there is: drains what it can. */
	weir_maintain(test->pool, nr % 3 ? 0 : PAGES, &done);
	judge_evidence(test, &done);
	if (nr % 3 == 0)
		maintain_for_request(test);
	if (nr % 8 == 0)
		create_another(test);
	if (nr % 16 == 1)
		change_mode(test);
	if (nr % 256 == 2)
		ask_doctor(test);
	test->result->counted++;
}

static void hop(struct test *test)
{
	go_to(test->cpu);
	go_to(0);
	test->result->counted++;
}

static void act(struct test *test)
{
	switch (test->row->action) {
	case DRAIN:
	case DRAIN_ALL:
		drain(test);
		break;
	case IN_NEED:
		in_need(test);
		break;
	case OTHERS:
		others(test);
		break;
	case MEMBARRIER:
		CHECK_EQ(wi_os_membarrier_cpu(test->cpu), 0);
		test->result->counted++;
		break;
	case HOP:
		hop(test);
		break;
	}
	test->result->tries++;
}

/* --- windows -------------------------------------------------------------- */

/* The owner makes a turn only when it is asked, before each window. */
static bool is_asked(const struct row *row)
{
	return (row->scene == COMPUTING && !row->helped) ||
	       row->scene == BURST_HELD;
}

/* Between two actions: at most 500 of them a second, and only after the
 * owner's next turn. */
static void pause_between(struct test *test, uint64_t *next)
{
	uint64_t now = wi_os_now_ns();

	*next += PERIOD_NS;
	if (now < *next)
		wi_os_sleep_ns(*next - now);
	else
		*next = now;
	if (!is_asked(test->row))
		owner_await_turn(&test->owner);
	if (test->row->beside != NOBODY)
		owner_await_turn(&test->beside);
}

/* `n` is how many times; with actions, as many as count (four tries each). */
static void window(struct test *test, unsigned n, bool acts)
{
	struct result *result = test->result;
	const uint64_t start = wi_os_now_ns();
	struct counts from, to, from_beside, to_beside;
	const unsigned counted = result->counted, tries = result->tries;
	uint64_t next;

	if (is_asked(test->row))
		owner_ask_turn(&test->owner);
	next = start;
	counts_read(&test->in, &from);
	if (test->row->beside != NOBODY)
		counts_read(&test->in_beside, &from_beside);
	for (unsigned i = 0; i < n; i++) {
		pause_between(test, &next);
		if (!acts)
			continue;
		act(test);
		if (!is_asked(test->row) && result->counted - counted <= i &&
		    result->tries - tries < 4 * n)
			i--;
	}
	counts_read(&test->in, &to);
	counts_add(acts ? &result->with : &result->without, &from, &to);
	if (test->row->beside != NOBODY) {
		counts_read(&test->in_beside, &to_beside);
		counts_add(acts ? &result->beside : &result->beside_alone,
			   &from_beside, &to_beside);
	}
	if (acts)
		result->ns += wi_os_now_ns() - start;
}

/* --- judging -------------------------------------------------------------- */

/* Where something sleeps, or threads share the CPU, its own timer ticks, and
 * it raises interrupt work on itself, by which the kernel switches the tick on
 * and off. */
static bool has_ticks(const struct row *row)
{
	return row->scene == ASLEEP || row->scene == TOGETHER ||
	       row->scene == BURST_HELD || row->helped;
}

/* Has it nohz_full? Debian's 5.10 has not. */
static bool kernel_stops_ticks(void)
{
	return access("/sys/devices/system/cpu/nohz_full", F_OK) == 0;
}

/* Elsewhere the tick is off, but for a few of the kernel's own: those without
 * actions, and as many again. */
static bool timer_rule(const struct row *row, const struct counts *with,
		       const struct counts *without)
{
	return has_ticks(row) || !kernel_stops_ticks() ||
	       counts_own(with) <= 2 * counts_own(without) + 8;
}

/* What a control or a drain of an ordinary CPU is expected to send. */
static uint64_t seen(const struct counts *counts)
{
	return counts_of(counts, "CAL") + counts_of(counts, "RES");
}

static void judge_silence(struct test *test, unsigned cpu,
			  const struct counts *with,
			  const struct counts *without, bool timer_ok)
{
	char text[256];

	counts_print(with, text, sizeof(text));
	EXPECT(test, counts_sent(with) == 0, "CPU %u was interrupted: %s", cpu,
	       text);
	EXPECT(test, timer_ok, "CPU %u: too many ticks: %s", cpu, text);
	counts_print(without, text, sizeof(text));
	EXPECT(test, counts_sent(without) == 0,
	       "CPU %u was interrupted without a call: %s", cpu, text);
	if (counts_sent(with) + counts_sent(without) > 0)
		sender_print(cpu, test->began_ns);
}

/* Interrupts that were sent to a CPU as they should be: of `meant`, 19 of 20
 * must be seen, or the counts are blind; and no more than `most`. */
static void judge_seen(struct test *test, uint64_t meant, uint64_t most)
{
	char text[256];
	const uint64_t n = seen(&test->result->with);

	counts_print(&test->result->with, text, sizeof(text));
	EXPECT(test, n >= meant * 19 / 20,
	       "blind: %" PRIu64 " interrupts sent, seen: %s", meant, text);
	EXPECT(test, n <= most, "%" PRIu64 " interrupts expected, seen: %s",
	       most, text);
}

static void judge_ordinary(struct test *test)
{
	const struct row *row = test->row;
	const struct result *result = test->result;

	if (row->action == MEMBARRIER)
		judge_seen(test, result->tries, result->tries);
	else if (row->action == HOP && kernel_stops_ticks())
		judge_seen(test, result->tries, UINT64_MAX);
	else if (row->action == HOP)
		; /* the tick lets the thread that arrives run: no control */
	else if (row->scene == ASLEEP) /* mostly nobody to interrupt */
		judge_seen(test, 0, result->membarriers);
	else
		judge_seen(test, result->membarriers, result->membarriers);
	EXPECT(test,
	       row->action != MEMBARRIER ||
		       sender_saw(test->cpu, test->began_ns),
	       "the probes saw nobody send what was sent to CPU %u", test->cpu);
	/* Progress shows within 5 us if both CPUs are emulated at that time,
	 * which a busy host does seldom. */
	if (row->action < MEMBARRIER && row->scene == ALLOCATING &&
	    result->by_progress == 0)
		printf("left out: the progress of an owner that allocates: the "
		       "host seldom ran both CPUs at once\n");
	EXPECT(test,
	       row->action >= MEMBARRIER || row->scene == ALLOCATING ||
		       result->by_membarrier > 0,
	       "an owner that does not allocate needed no membarrier");
	EXPECT(test, row->beside != QUIET_CPU || result->by_not_busy > 0,
	       "the quiet CPU beside was never drained");
	if (row->beside != NOBODY)
		judge_silence(test, test->cpu + 1, &result->beside,
			      &result->beside_alone, true);
}

static void judge(struct test *test, unsigned n)
{
	const struct row *row = test->row;
	const struct result *result = test->result;

	EXPECT(test, is_asked(row) || result->counted >= n,
	       "%u of %u drains brought pages", result->counted, result->tries);
	/* Two sets of a full list. */
	EXPECT(test, result->most_pending <= 2 * LIMIT,
	       "%" PRIu64 " pages pending", result->most_pending);
	EXPECT(test, result->wait_ns < PATIENT_NS,
	       "a drain took %" PRIu64 " ns", result->wait_ns);
	if (row->mode == WEIR_MODE_ORDINARY) {
		judge_ordinary(test);
		return;
	}
	EXPECT(test, result->membarriers == 0, "%" PRIu64 " membarriers",
	       result->membarriers);
	judge_silence(test, test->cpu, &result->with, &result->without,
		      timer_rule(row, &result->with, &result->without));
}

/* A poll loop that makes no call but one turn before each window, or a burst
 * that lasts from one window to the next: pages stay pending, in every drain,
 * until the owner makes the next turn. */
static void judge_pending(struct test *test)
{
	const struct result *result = test->result;
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	struct weir_drain_result done = WEIR_DRAIN_RESULT_INIT;

	EXPECT(test, result->pending == result->tries,
	       "%u of %u drains left pages pending", result->pending,
	       result->tries);
	EXPECT(test, result->by_progress + result->by_not_busy == ROUNDS,
	       "%u times evidence, from %u turns",
	       result->by_progress + result->by_not_busy, ROUNDS);
	owner_ask_turn(&test->owner);
	opts.cpus = test->cpus;
	opts.wait_ns = HASTY_NS;
	weir_drain(test->pool, &opts, &done);
	EXPECT(test, done.by_progress + done.by_not_busy == 1 && done.pages > 0,
	       "the last turn was no evidence");
}

/* --- a row ---------------------------------------------------------------- */

/* A process of its own, made before this one has threads. */
static void prepare_doctor(struct test *test)
{
	int to[2], from[2];
	char c;

	CHECK_EQ(pipe(to), 0);
	CHECK_EQ(pipe(from), 0);
	if (fork() == 0) {
		close(to[1]);
		while (read(to[0], &c, 1) == 1) {
			int status = system("weir doctor >/tmp/doctor 2>&1 || "
					    "{ cat /tmp/doctor; false; }");

			c = status == 0 ? '0' : '1';
			if (write(from[1], &c, 1) != 1)
				break;
		}
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	test->doctor[0] = from[0];
	test->doctor[1] = to[1];
}

static void prepare(struct test *test)
{
	const struct row *row = test->row;
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	char beside[8];

	snprintf(test->cpus, sizeof(test->cpus), "%u", test->cpu);
	snprintf(beside, sizeof(beside), "%u", test->cpu + 1);
	if (row->action == OTHERS)
		prepare_doctor(test);
	opts.capacity = PAGES * 4096;
	opts.list_limit = LIMIT;
	opts.wait_ns = PATIENT_NS;
	opts.quiet_cpus = row->mode == WEIR_MODE_QUIET ? test->cpus
			  : row->beside == QUIET_CPU   ? beside
						       : "";
	opts.polling_cpus = row->mode == WEIR_MODE_POLLING ? test->cpus : "";
	CHECK_EQ(weir_pool_create(&test->pool, &opts), 0);
	CHECK_EQ(weir_get_mode(test->pool, test->cpu), (int)row->mode);
	CHECK_EQ(interrupts_open(&test->in, test->cpu), 0);
	test->owner.pool = test->pool;
	test->owner.cpu = test->cpu;
	test->owner.scene = row->scene;
	test->owner.helped = row->helped;
	owner_start(&test->owner);
	if (row->beside != NOBODY) {
		CHECK_EQ(interrupts_open(&test->in_beside, test->cpu + 1), 0);
		test->beside = (struct owner){ .pool = test->pool,
					       .cpu = test->cpu + 1,
					       .scene = ALLOCATING };
		owner_start(&test->beside);
	}
}

static void tear_down(struct test *test)
{
	owner_stop(&test->owner);
	if (test->row->beside != NOBODY)
		owner_stop(&test->beside);
	while (test->nr_others > 0)
		CHECK_EQ(weir_pool_destroy(test->others[--test->nr_others], 0),
			 0);
	if (test->row->action == OTHERS) {
		close(test->doctor[1]);
		wait(NULL);
	}
	EXPECT(test, weir_pool_destroy(test->pool, 0) == 0,
	       "pages are missing: %s", weir_last_error());
}

static void print_row(const struct test *test)
{
	const struct row *row = test->row;
	const struct result *result = test->result;
	char with[128], without[128];

	counts_print(&result->with, with, sizeof(with));
	counts_print(&result->without, without, sizeof(without));
	printf("p1: %-8s %-10s%s %-12s %5u of %5u counted, %4u/s; progress %u, "
	       "not busy %u, membarrier %u; pending %u, at most %" PRIu64
	       " pages; CPU %u: %s (without: %s)\n",
	       mode_name[row->mode], scene_name[row->scene],
	       row->helped ? "+1" : "  ", action_name[row->action],
	       result->counted, result->tries,
	       (unsigned)(result->tries * UINT64_C(1000000000) /
			  (result->ns + 1)),
	       result->by_progress, result->by_not_busy, result->by_membarrier,
	       result->pending, result->most_pending, test->cpu, with, without);
	if (row->beside != NOBODY) {
		counts_print(&result->beside, with, sizeof(with));
		printf("p1: beside, CPU %u: %s\n", test->cpu + 1, with);
	}
}

/* What an allocation in shortage caused is told by the pool alone. */
static void read_statistics(struct test *test, const struct weir_stat *before)
{
	struct result *result = test->result;
	struct weir_stat after = WEIR_STAT_INIT;

	CHECK_EQ(weir_stat_read(test->pool, &after), 0);
	result->membarriers = after.membarriers - before->membarriers;
	if (test->row->action == IN_NEED) {
		result->by_progress =
			(unsigned)(after.by_progress - before->by_progress);
		result->by_not_busy =
			(unsigned)(after.by_not_busy - before->by_not_busy);
	}
}

/* Everything but the owner's part. */
static void *run_test(void *arg)
{
	struct test *test = arg;
	const struct row *row = test->row;
	struct weir_stat before = WEIR_STAT_INIT;

	go_to(0);
	prepare(test);
	window(test, 20, false); /* what happens once has happened */
	window(test, 20, true);
	*test->result = (struct result){ 0 };
	weir_stat_read(test->pool, &before);
	test->began_ns = wi_os_now_ns();
	for (unsigned round = 0; round < ROUNDS; round++) {
		window(test, test->n / ROUNDS, round % 2);
		window(test, test->n / ROUNDS, !(round % 2));
	}
	read_statistics(test, &before);
	judge(test, test->n / ROUNDS * ROUNDS);
	if (is_asked(row) && row->pends)
		judge_pending(test);
	print_row(test);
	fflush(stdout);
	tear_down(test);
	fflush(stdout);
	_exit(test->failures > 0);
	return NULL;
}

static void run_row(const struct row *row, struct result *result, unsigned cpu,
		    unsigned n)
{
	struct test test = { .row = row, .result = result, .cpu = cpu, .n = n };
	pthread_t thread;

	if (row->scene != BURST_HELD)
		run_test(&test);
	CHECK_EQ(pthread_create(&thread, NULL, run_test, &test), 0);
	owner_be_first(&test.owner);
	for (;;)
		pause(); /* the other thread ends the process */
}

/* --- all ------------------------------------------------------------------ */

static void prepare_machine(void)
{
	still_machine();
	sender_watch();
	setvbuf(stdout, NULL, _IOFBF, 65536); /* lines stay whole */
}

static bool is_wanted(const struct row *row, const char *only)
{
	return !only || strcmp(only, scene_name[row->scene]) == 0 ||
	       strcmp(only, action_name[row->action]) == 0;
}

/* As many rows at once as there are CPUs for. */
static unsigned run_all(struct result *results, unsigned n, const char *only)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < NR_ROWS;) {
		unsigned cpu = FIRST_CPU, running = 0;
		int status;

		if (!is_wanted(&rows[i], only)) {
			i++;
			continue;
		}
		while (i < NR_ROWS && is_wanted(&rows[i], only) &&
		       cpu + (rows[i].beside != NOBODY) <= LAST_CPU) {
			if (fork() == 0)
				run_row(&rows[i], &results[i], cpu, n);
			cpu += 1 + (rows[i].beside != NOBODY);
			running++;
			i++;
		}
		while (running-- > 0) {
			CHECK(wait(&status) > 0);
			failed += status != 0;
		}
	}
	return failed;
}

/* `p1 [N [NAME]]`: so many drains a row; only rows of that scene or action. */
int main(int argc, char **argv)
{
	const char *prove = getenv("WEIR_PROVE");
	const unsigned n = argc > 1 ? (unsigned)atoi(argv[1])
			   : prove && strcmp(prove, "1") == 0 ? 2000
							      : 300;
	struct result *results =
		mmap(NULL, sizeof(*results) * NR_ROWS, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t silent = 0, ipis = 0, controls = 0, found = 0;
	unsigned failed;

	CHECK(results != MAP_FAILED);
	prepare_machine();
	failed = run_all(results, n, argc > 2 ? argv[2] : NULL);
	for (unsigned i = 0; i < NR_ROWS; i++) {
		if (rows[i].action == MEMBARRIER ||
		    (rows[i].action == HOP && kernel_stops_ticks())) {
			controls += results[i].tries;
			found += seen(&results[i].with);
		} else if (rows[i].mode != WEIR_MODE_ORDINARY) {
			silent += results[i].counted;
			ipis += counts_sent(&results[i].with);
		}
	}
	if (failed > 0) {
		printf("p1: %u rows failed\n", failed);
		return 1;
	}
	printf("figures: P1: %" PRIu64 " calls at quiet and polling CPUs, "
	       "%" PRIu64 " interrupts; controls: %" PRIu64 ", seen %" PRIu64
	       "\n",
	       silent, ipis, controls, found);
	return 0;
}
