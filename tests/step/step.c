/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a thread that is preempted, or slow, at some instruction of a
 * sequence loses a page, gives one twice, leaves a mark behind or holds others
 * up.
 *
 * For each scenario (what the owner does, in which mode, with which lists) a
 * survey tells which instructions are met: with nothing in the way, and with
 * each sequence on that way aborted at its first and at its last instruction.
 * A case stops the owner at one of them, lets others act, lets it go on, and
 * looks whether all is in order. Every instruction must have been stopped at.
 *
 *   step         each instruction, of the first list in each mode; acts in turn
 *   step all     after that all scenarios, each instruction in each; of the
 *                first list each act, of the others acts in turn
 *   step SECONDS the same, in an order that mixes them, as far as that goes
 */
#include "step.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "helpers.h"

struct shared *shared;
int cpu_owner, cpu_other;

/* How often a thread that tries again, does. */
#define ABORTS 64
/* How often a case is begun again that others on this machine disturbed. */
#define TRIES 20

static bool all;
static uint64_t nr_cases, nr_paused, nr_missed;
static unsigned nr_scenarios; /* that were gone through */

/* An instruction that a scenario meets: at once (way_in is 0), or after an
 * abort at `way_in`, or one whenever the owner comes there. */
struct target {
	struct insn *insn;
	uint64_t way_in;
	bool always;
};
static struct target targets[8192];
static unsigned nr_targets;

static const char *const op_name[] = {
	"get",	   "put",  "get bulk", "put bulk", "get one", "put one",
	"get now", "tick", "burst",    "drain",	   "collect",
};
static const char *const way_name[] = {
	"calls",	   "inlined",	     "plugin",	"tokens",
	"tokens, inlined", "tokens, plugin", "checked", "whole",
};
static const char *const mode_name[] = { "ordinary", "quiet", "polling",
					 "in burst", "off" };
static const char *const fill_name[] = { "empty", "part full", "full" };

/* The case that runs, for who reads that it failed. */
static struct {
	const struct insn *insn;
	uint64_t way_in;
	enum act act;
	bool paused;
} now;

static void tell_case(void)
{
	const struct scenario *s = &shared->now;
	const struct seq *q;

	if (now.insn == NULL)
		return;
	q = &seqs[now.insn->seq];
	printf("failed at %s+%#" PRIx64 " (sequence from +%#" PRIx64
	       "), after an abort at %#" PRIx64 ", act %d, %s; owner: %s, "
	       "%s, list %u, %s, %s, set %u\n",
	       q->object, now.insn->at - q->base, q->start - q->base,
	       now.way_in ? now.way_in - q->base : 0, (int)now.act,
	       now.paused ? "paused" : "preempted", op_name[s->op],
	       way_name[s->way], s->list, mode_name[s->mode],
	       fill_name[s->fill], s->set);
}

/* --- survey ------------------------------------------------------------ */

static void order(struct trace *t, enum order what)
{
	shared->order = what;
	CHECK_EQ(trace_go(t, 0), DONE);
}

/* Makes the lists ready, and orders the operation. */
static void begin(struct trace *t)
{
	order(t, PREPARE);
	if (shared->now.op == COLLECT) /* polling: it stays pending */
		trace_ask(t, &shared->far, DRAIN_ALL);
	shared->order = OPERATE;
}

static void look(struct trace *t, bool by_owner)
{
	trace_ask(t, &shared->far, CHECK_UP);
	if (by_owner)
		order(t, SETTLE);
	else
		trace_ask(t, &shared->far, SETTLE_UP);
}

/* Lets the owner run to that instruction; false if it has done all, for
 * something else disturbed it. */
static bool reach(struct trace *t, uint64_t at)
{
	uint64_t stop;

	trace_trap(t, at, true);
	stop = trace_go(t, 0);
	if (stop == ENDED) /* and its memory with it */
		return false;
	trace_trap(t, at, false);
	if (stop == at)
		trace_set_ip(t, at);
	return stop == at;
}

/* To the first instruction after the way in. */
static bool go_in(struct trace *t, const struct target *target)
{
	if (target->way_in == 0)
		return true;
	if (!reach(t, target->way_in))
		return false;
	/* The abort is made as it goes on. */
	for (unsigned i = 1; target->always && i < ABORTS; i++)
		if (!reach(t, target->way_in))
			return false;
	return true;
}

static void note(struct insn *insn, const struct target *way)
{
	unsigned i = 0;

	while (i < nr_targets && targets[i].insn != insn)
		i++;
	if (i < nr_targets)
		return;
	CHECK(nr_targets < sizeof(targets) / sizeof(targets[0]));
	targets[nr_targets] = *way;
	targets[nr_targets++].insn = insn;
}

/* Notes each instruction that the owner meets until it has done its work. */
static void note_all(struct trace *t, const struct target *way)
{
	uint64_t at;

	trace_set_traps(t, true);
	while ((at = trace_go(t, 0)) != DONE && at != ENDED) {
		CHECK_MSG(insn_at(at) != NULL, "stopped at %#" PRIx64, at);
		note(insn_at(at), way);
		trace_trap(t, at, false);
		trace_set_ip(t, at);
		trace_rseq_cs(t, 0);
	}
	if (at == DONE)
		trace_set_traps(t, false);
}

static void survey(struct trace *t, uint64_t way_in, bool always)
{
	const struct target way = { .way_in = way_in, .always = always };

	begin(t);
	if (go_in(t, &way))
		note_all(t, &way);
	look(t, shared->now.mode == POLLING);
}

/* Has each of its instructions been stopped at? */
static bool is_known(unsigned seq)
{
	for (unsigned i = 0; i < nr_insns; i++) {
		bool is_target = insns[i].in_mode != 0 || insns[i].seq != seq;

		for (unsigned k = 0; k < nr_targets && !is_target; k++)
			is_target = targets[k].insn == &insns[i];
		if (!is_target)
			return false;
	}
	return true;
}

static void survey_all(struct trace *t)
{
	unsigned nr_direct;

	nr_targets = 0;
	survey(t, 0, false);
	nr_direct = nr_targets;
	for (unsigned seq = 0; seq < nr_seqs; seq++) {
		const struct insn *first = NULL, *last = NULL;

		for (unsigned i = 0; i < nr_direct; i++) {
			const struct insn *insn = targets[i].insn;

			if (insn->seq != seq || !insn->region)
				continue;
			if (first == NULL)
				first = insn;
			last = insn;
		}
		if (first == NULL || (!all && is_known(seq)))
			continue;
		survey(t, first->at, false);
		survey(t, last->at, false);
		if (!is_known(seq))
			survey(t, first->at, true);
	}
}

/* --- one case ---------------------------------------------------------- */

static void move_owner(struct trace *t, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	CHECK_EQ(sched_setaffinity(t->thread, sizeof(set), &set), 0);
}

/* While the owner stands. The signal that it gets. */
static int others_act(struct trace *t, enum act act)
{
	switch (act) {
	case NOTHING:
		break;
	case SAME_CPU:
	case SAME_BULK:
	case SAME_BURST:
		trace_ask(t, &shared->near, act);
		break;
	case TWO_DRAINS:
		trace_ask(t, &shared->far, DRAIN_ALL);
		trace_ask(t, &shared->near, SAME_CPU);
		trace_ask(t, &shared->far, DRAIN_ALL);
		break;
	case HANDLER:
	case HANDLER_BURST:
		shared->in_handler = act;
		return SIGUSR1;
	case MIGRATE_ZONE:
		trace_ask(t, &shared->far, act);
		move_owner(t, cpu_other);
		break;
	case MIGRATE_DRAIN:
		trace_ask(t, &shared->far, DRAIN_ALL);
		move_owner(t, cpu_other);
		break;
	case MIGRATE:
		move_owner(t, cpu_other);
		break;
	default:
		trace_ask(t, &shared->far, act);
	}
	return 0;
}

/* False if the owner does not come there: it did in the survey, but only as it
 * was disturbed by others on this machine. */
static bool run_case(struct trace *t, const struct target *target, enum act act,
		     bool paused)
{
	uint64_t before, rseq_cs = 0;
	int signal;

	now.insn = target->insn;
	now.way_in = target->way_in;
	now.act = act;
	now.paused = paused;
	for (unsigned tries = 0;; tries++) {
		begin(t);
		if (go_in(t, target) && reach(t, target->insn->at))
			break;
		look(t, shared->now.mode == POLLING);
		nr_missed++;
		if (tries == TRIES)
			return false;
	}
	before = shared->membarriers;
	if (paused)
		rseq_cs = trace_rseq_cs(t, 0);
	signal = others_act(t, act);
	/* What membarrier is told about a stopped thread is that it
	 * does not run: it aborts later. */
	if (paused && shared->membarriers != before)
		trace_rseq_cs(t, rseq_cs);
	CHECK_EQ(trace_go(t, signal), DONE);
	if (act >= MIGRATE)
		move_owner(t, cpu_owner);
	if (act == MIGRATE_ZONE)
		trace_ask(t, &shared->far, CHECK_ZONE);
	look(t, shared->now.mode == POLLING || act == OTHER_MODE ||
			act == THERE_BACK);
	CHECK_MSG(shared->far.slowest_ns < 10000000000u,
		  "what never waits took %" PRIu64 " ns",
		  shared->far.slowest_ns);
	nr_cases++;
	nr_paused += paused;
	if (paused)
		target->insn->paused++;
	else
		target->insn->preempted++;
	now.insn = NULL;
	return true;
}

/* --- which cases ------------------------------------------------------- */

static void every_act(struct trace *t, const struct target *target)
{
	for (enum act act = NOTHING; act < NR_ACTS; act++)
		if (!run_case(t, target, act, false))
			return;
	for (enum act act = NOTHING; act < FIRST_PREEMPTING; act++)
		run_case(t, target, act, true);
}

/* Once each way; acts take turns. Quick form: once for the whole run, of the
 * first list once in each mode. */
static void some_acts(struct trace *t, const struct target *target)
{
	static unsigned turn;
	const uint64_t bit = UINT64_C(1) << shared->now.mode;

	const unsigned known = target->insn->in_mode;

	if (!all && (shared->now.list == 0 ? known & bit : known != 0))
		return;
	turn++;
	if (run_case(t, target, (enum act)(turn % NR_ACTS), false) &&
	    run_case(t, target, (enum act)(turn % FIRST_PREEMPTING), true))
		target->insn->in_mode |= bit;
}

static void run_scenario(struct trace *t, const struct scenario *s)
{
	/* What the plugin has is the same code as what is inlined here. */
	const bool with_every_act = all && s->list == 0 && s->way != PLUGIN &&
				    s->way != TOKENS_PLUGIN;

	shared->now = *s;
	now.insn = NULL;
	survey_all(t);
	for (unsigned i = 0; i < nr_targets; i++)
		(with_every_act ? every_act : some_acts)(t, &targets[i]);
}

static bool makes_sense(const struct scenario *s)
{
	const bool of_list = s->op < TICK;
	const bool inlined = s->way == INLINED || s->way == PLUGIN ||
			     s->way == TOKENS_INLINED ||
			     s->way == TOKENS_PLUGIN;

	if (s->list > 4 && !of_tokens(s->way))
		return false;
	if (!of_list && (s->list > 0 || s->fill != PART))
		return false;
	if (inlined && s->op > PUT_BULK && s->op != TICK)
		return false;
	/* Those have sequences of their own for single pages alone. */
	if ((s->way == CHECKED || s->way == WHOLE) && s->op != GET &&
	    s->op != PUT && s->op != GET_NOWAIT)
		return false;
	if (s->way == WHOLE && s->list > 0)
		return false;
	if (s->op == COLLECT && s->mode != POLLING)
		return false;
	if (s->mode == OFF && s->fill != EMPTY)
		return false;
	if (all)
		return true;
	/* The other modes take the same instructions, and one list will do. */
	return s->set == (s->list & 1) &&
	       (s->mode <= QUIET || (s->list == 0 && s->fill == PART) ||
		(s->mode == OFF && s->list == 0)) &&
	       (s->fill == PART ||
		s->fill == (s->op == PUT || s->op == PUT_BULK ? FULL : EMPTY));
}

static void run_scenarios(struct trace *t, uint64_t end_ns)
{
	struct scenario s = { 0 };
	unsigned lists = WEIR_CACHE_LISTS_MAX;
	unsigned nr = NR_OPS * NR_WAYS * lists * NR_MODES * NR_FILLS * 2;

	/* One loop over all that there is, as the digits of a number; with an
	 * end in steps of a prime, which meets all kinds before it. */
	for (unsigned i = 0; i < nr && now_ns() < end_ns; i++) {
		unsigned rest = end_ns == UINT64_MAX ? i : i * 4999 % nr;

		s.set = rest % 2, rest /= 2;
		s.fill = (enum fill)(rest % NR_FILLS), rest /= NR_FILLS;
		s.mode = (enum mode)(rest % NR_MODES), rest /= NR_MODES;
		s.list = rest % lists, rest /= lists;
		s.way = (enum way)(rest % NR_WAYS), rest /= NR_WAYS;
		s.op = (enum op)rest;
		if (!makes_sense(&s))
			continue;
		run_scenario(t, &s);
		nr_scenarios++;
	}
}

/* --- the sequence of the first creation -------------------------------- */

/* A process for each of its instructions, as for each way in. */
static void survey_creation(uint64_t way_in)
{
	const struct target way = { .way_in = way_in };
	struct trace t;

	trace_begin(&t, tracee_create);
	if (go_in(&t, &way))
		note_all(&t, &way);
	trace_end(&t);
}

/* False if it does not come there. */
static bool run_creation(const struct target *target)
{
	struct trace t;
	bool reached;

	trace_begin(&t, tracee_create);
	reached = go_in(&t, target) && reach(&t, target->insn->at);
	if (reached) {
		CHECK_EQ(trace_go(&t, 0), ENDED);
		target->insn->preempted++;
		target->insn->paused++;
		nr_cases++;
	}
	trace_end(&t);
	return reached;
}

/* As in the survey, or after an abort at `in`. The sequence lasts until it is
 * disturbed: an abort that the survey met need not come again. */
static void reach_creation(struct target target, const struct insn *in)
{
	for (unsigned tries = 0; tries < TRIES; tries++) {
		if (run_creation(&target))
			return;
		nr_missed++;
		target.way_in = target.way_in != 0 || in == NULL ? 0 : in->at;
	}
}

static bool is_covered(unsigned seq)
{
	for (unsigned i = 0; i < nr_insns; i++)
		if (insns[i].seq == seq && insns[i].preempted == 0)
			return false;
	return true;
}

/* The last that was met where that sequence aborts, of the first n targets. */
static const struct insn *last_inside(unsigned seq, unsigned n)
{
	while (n-- > 0)
		if (targets[n].insn->seq == seq && targets[n].insn->region)
			return targets[n].insn;
	return NULL;
}

/* Of each sequence that was met, also an instruction where it aborts? */
static bool all_met_inside(void)
{
	for (unsigned i = 0; i < nr_targets; i++)
		if (last_inside(targets[i].insn->seq, nr_targets) == NULL)
			return false;
	return true;
}

static void run_creations(void)
{
	unsigned nr_direct;

	nr_targets = 0;
	/* Again where a membarrier of the check aborted its sequence as soon
	 * as it was armed: the survey met its abort alone. */
	for (unsigned tries = 0;
	     tries < TRIES && !(nr_targets && all_met_inside()); tries++)
		survey_creation(0);
	nr_direct = nr_targets;
	for (unsigned seq = 0; seq < nr_seqs; seq++) {
		const struct insn *in = last_inside(seq, nr_direct);

		if (in != NULL && !is_covered(seq))
			survey_creation(in->at);
	}
	for (unsigned i = 0; i < nr_targets; i++)
		if (targets[i].insn->preempted == 0)
			reach_creation(targets[i],
				       last_inside(targets[i].insn->seq,
						   nr_direct));
}

/* --- the report -------------------------------------------------------- */

static void report(void)
{
	unsigned missing = 0;

	for (unsigned seq = 0; seq < nr_seqs; seq++) {
		unsigned nr = 0, covered = 0;

		for (unsigned i = 0; i < nr_insns; i++) {
			const struct insn *insn = &insns[i];
			const bool is = insn->preempted && insn->paused;

			if (insn->seq != seq)
				continue;
			nr++;
			covered += is;
			if (!is)
				printf("never stopped at %s+%#" PRIx64 "\n",
				       seqs[seq].object,
				       insn->at - seqs[seq].base);
		}
		printf("%s+%#" PRIx64 ": %u of %u instructions\n",
		       seqs[seq].object, seqs[seq].start - seqs[seq].base,
		       covered, nr);
		missing += nr - covered;
	}
	printf("%" PRIu64 " cases went on without an abort; %" PRIu64
	       " were disturbed and run again\n",
	       nr_paused, nr_missed);
	CHECK_MSG(missing == 0, "%u instructions of %u were never stopped at",
		  missing, nr_insns);
	printf("figures: %u sequences, %u instructions all covered, %" PRIu64
	       " cases of %u scenarios\n",
	       nr_seqs, nr_insns, nr_cases, nr_scenarios);
}

/* Before others on this machine, if we may say so: a case is a matter of
 * microseconds, and is spoilt where it is disturbed. */
static void hurry(void)
{
	const struct sched_param param = { .sched_priority = 1 };

	sched_setscheduler(0, SCHED_RR, &param);
}

int main(int argc, char **argv)
{
	struct trace t;
	uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;

	two_cpus(&cpu_owner, &cpu_other);
	pin(cpu_other);
#ifndef WEIR_HAVE_SEQUENCES
	SKIP("no sequences in this build");
#endif
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	sequences_find();
	hurry();
	atexit(tell_case);
	trace_begin(&t, tracee_main);
	run_scenarios(&t, UINT64_MAX);
	all = argc > 1;
	if (all)
		run_scenarios(&t, seconds ? now_ns() + seconds * 1000000000
					  : UINT64_MAX);
	trace_end(&t);
	run_creations();
	report();
	return 0;
}
