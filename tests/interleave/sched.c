/* SPDX-License-Identifier: MIT */
/* Coroutines on virtual CPUs: see sched.h. */
#include "interleave/sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weir/fast.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(p, bytes) ((void)(p), (void)(bytes))
#endif

#define STACK_BYTES 65536
#define FIRST_TID 100
#define START_NS 1000000
#define RELAX_NS 1000 /* a turn of a loop that polls */
#define JUMP_NS 10000 /* a leap of the clock: past any deadline */
#define NO_THREAD_MARK (UINT64_C(1) << WEIR_MARK_BURST_BIT)
#define SKIPS_MAX 24

enum state { READY, WAITS, WAITS_FOR_OTHERS, FROZEN, DONE };

struct thread {
	void *sp;
	struct sched_thread_spec spec;
	unsigned id, cpu, may;
	enum state state;
	uint64_t since;	      /* it waits until a step after this one, */
	const uint32_t *word; /* or until this is `free` */
	uint32_t free;
	bool in_handler, may_not_wait, exists;
	struct sched_sequence *sequence;
	uint64_t burst; /* its weir_i_thread_burst */
};

static struct {
	struct thread thread[SCHED_THREADS_MAX];
	unsigned nr;
	struct thread *self;
	struct thread *on_cpu[SCHED_CPUS];
	void *main_sp;
	unsigned main_cpu;
	uint64_t steps, now;
	sched_choose choose;
	struct {
		uintptr_t from, to;
	} skip[SKIPS_MAX];
	unsigned nr_skips;
	bool failed;
} s;

static _Alignas(64) char stacks[SCHED_THREADS_MAX][STACK_BYTES];
static char failure[512];
static jmp_buf guard;
bool sched_trace;

/* --- switching --------------------------------------------------------- */

/* Saves what a function must save and the stack pointer, and goes on where the
 * other one did so. */
void interleave_switch(void **save, void *to);
__asm__(".text\n"
	".globl interleave_switch\n"
	".type interleave_switch, @function\n"
	"interleave_switch:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size interleave_switch, . - interleave_switch\n");

static void go_to(struct thread *to)
{
	struct thread *from = s.self;
	void **save = from == NULL ? &s.main_sp : &from->sp;

	if (from == to)
		return;
	if (from != NULL)
		from->burst = weir_i_thread_burst;
	s.self = to;
	weir_i_thread_burst = to == NULL ? NO_THREAD_MARK : to->burst;
	interleave_switch(save, to == NULL ? s.main_sp : to->sp);
}

const char *sched_failure(void)
{
	return failure;
}

void sched_fail(const char *format, ...)
{
	va_list args;
	int n = 0;

	if (s.self != NULL)
		n = snprintf(failure, sizeof(failure),
			     "thread %u, step %llu: ", s.self->id,
			     (unsigned long long)s.steps);
	va_start(args, format);
	vsnprintf(failure + n, sizeof(failure) - (size_t)n, format, args);
	va_end(args);
	s.failed = true;
	if (s.self == NULL)
		longjmp(guard, 1);
	go_to(NULL);
	__builtin_unreachable();
}

bool sched_guarded(void (*run)(void))
{
	if (setjmp(guard) != 0)
		return false;
	run();
	return true;
}

/* --- choices ----------------------------------------------------------- */

static bool others_are_done(const struct thread *self)
{
	for (unsigned i = 0; i < s.nr; i++) {
		const struct thread *t = &s.thread[i];

		if (t != self && (t->state == READY || t->state == WAITS))
			return false;
	}
	return true;
}

static bool is_enabled(const struct thread *t)
{
	switch (t->state) {
	case READY:
		return true;
	case WAITS:
		if (t->word != NULL)
			return *t->word == t->free;
		return s.steps > t->since;
	case WAITS_FOR_OTHERS:
		return others_are_done(t);
	default:
		return false;
	}
}

static void add_way(struct sched_way *ways, unsigned *n, const struct thread *t,
		    enum sched_kind kind, unsigned cost)
{
	ways[*n] = (struct sched_way){ (uint8_t)t->id, (uint8_t)kind,
				       (uint8_t)cost };
	++*n;
}

/* To go on as before comes first, and costs nothing. */
static unsigned list_ways(struct sched_way *ways)
{
	struct thread *self = s.self;
	const bool goes_on = self->state == READY;
	bool any;
	unsigned n = 0;

	if (goes_on)
		add_way(ways, &n, self, SCHED_RUN, 0);
	for (unsigned i = 0; i < s.nr; i++)
		if (&s.thread[i] != self && is_enabled(&s.thread[i]))
			add_way(ways, &n, &s.thread[i], SCHED_RUN, goes_on);
	if (!goes_on && is_enabled(self))
		add_way(ways, &n, self, SCHED_RUN, 0);
	any = n > 0;
	for (unsigned i = 0; i < s.nr; i++)
		if (s.thread[i].state == WAITS)
			add_way(ways, &n, &s.thread[i], SCHED_CLOCK, any);
	if (!goes_on)
		return n;
	if (self->may & SCHED_MOVES)
		add_way(ways, &n, self, SCHED_MOVE, 1);
	if (self->may & SCHED_SIGNALS && !self->in_handler)
		add_way(ways, &n, self, SCHED_SIGNAL, 1);
	if (self->may & SCHED_FREEZES)
		add_way(ways, &n, self, SCHED_FREEZE, 1);
	if (self->may & SCHED_DIES)
		add_way(ways, &n, self, SCHED_DIE, 1);
	return n;
}

static void abort_sequence(struct thread *t)
{
	if (t != NULL && t->sequence != NULL)
		t->sequence->aborted = true;
}

/* Who was on its CPU is displaced. */
static void give_cpu(struct thread *t)
{
	if (s.on_cpu[t->cpu] == t)
		return;
	abort_sequence(s.on_cpu[t->cpu]);
	s.on_cpu[t->cpu] = t;
}

static void trace_event(const struct thread *t, const char *what)
{
	if (sched_trace)
		printf("      thread %u %s\n", t->id, what);
}

static void handle_signal(struct thread *t)
{
	struct sched_sequence *sequence = t->sequence;
	const bool may_not_wait = t->may_not_wait;

	trace_event(t, "gets a signal");
	t->may &= ~(unsigned)SCHED_SIGNALS;
	abort_sequence(t);
	t->sequence = NULL;
	t->in_handler = true;
	t->spec.handler(t->id);
	t->in_handler = false;
	t->sequence = sequence;
	t->may_not_wait = may_not_wait;
	trace_event(t, "leaves the handler");
}

/* True: a thread went on. After an event self is asked again how. */
static bool take(const struct sched_way *way)
{
	struct thread *t = &s.thread[way->thread];

	switch (way->kind) {
	case SCHED_CLOCK:
		trace_event(t, "has waited long");
		s.now += JUMP_NS;
		break;
	case SCHED_MOVE:
		trace_event(t, "moves to the other CPU");
		t->may &= ~(unsigned)SCHED_MOVES;
		abort_sequence(t);
		s.on_cpu[t->cpu] = NULL;
		t->cpu = 1 - t->cpu;
		give_cpu(t);
		return false;
	case SCHED_SIGNAL:
		give_cpu(t);
		handle_signal(t);
		return false;
	case SCHED_FREEZE:
		trace_event(t, "stands still");
		t->may &= ~(unsigned)SCHED_FREEZES;
		t->state = FROZEN;
		return false;
	case SCHED_DIE:
		trace_event(t, "dies");
		t->state = DONE;
		t->exists = false;
		return false;
	default:
		break;
	}
	t->state = READY;
	give_cpu(t);
	go_to(t);
	return true;
}

/* Those that stood still go on at last; false: there are none. */
static bool thaw(void)
{
	bool any = false;

	for (unsigned i = 0; i < s.nr; i++)
		if (s.thread[i].state == FROZEN) {
			s.thread[i].state = READY;
			any = true;
		}
	return any;
}

static void hand_over(void)
{
	struct sched_way ways[SCHED_WAYS_MAX];
	unsigned n, i;

	do {
		n = list_ways(ways);
		if (n == 0) {
			if (thaw())
				continue;
			for (i = 0; i < s.nr; i++)
				if (s.thread[i].state != DONE)
					sched_fail("thread %u waits for ever",
						   i);
			go_to(NULL);
		}
		i = n > 1 ? s.choose(ways, n) : 0;
	} while (n == 0 || !take(&ways[i]));
}

/* --- points ------------------------------------------------------------ */

static void step(uintptr_t address, const char *where)
{
	char what[64];

	if (++s.steps > SCHED_STEPS_MAX)
		sched_fail("this does not end");
	hand_over();
	if (!sched_trace)
		return;
	sched_describe(address, what);
	printf("%5llu thread %u on CPU %u  %-24s %s%s\n",
	       (unsigned long long)s.steps, s.self->id, s.self->cpu, what,
	       where,
	       s.self->sequence != NULL && s.self->sequence->aborted
		       ? " (aborted)"
		       : "");
}

uintptr_t interleave_point(uintptr_t address, const char *where)
{
	if (s.self == NULL)
		return address;
	for (unsigned i = 0; i < s.nr_skips; i++)
		if (address >= s.skip[i].from && address < s.skip[i].to)
			return address;
	step(address, where);
	return address;
}

static void wait(const uint32_t *word, uint32_t free, uint64_t ns)
{
	s.now += ns;
	if (s.self == NULL)
		return;
	if (s.self->may_not_wait)
		sched_fail("a call that never waits does");
	if (++s.steps > SCHED_STEPS_MAX)
		sched_fail("this does not end");
	trace_event(s.self, "waits");
	s.self->state = WAITS;
	s.self->since = s.steps;
	s.self->word = word;
	s.self->free = free;
	hand_over();
}

void interleave_relax(void)
{
	wait(NULL, 0, RELAX_NS);
}

void sched_sleep(uint64_t ns)
{
	wait(NULL, 0, ns);
}

void sched_wait(const uint32_t *word, uint32_t free)
{
	wait(word, free, 0);
}

void sched_wait_for_others(void)
{
	s.self->state = WAITS_FOR_OTHERS;
	hand_over();
}

bool sched_others_done(void)
{
	return others_are_done(s.self);
}

void sched_forbid_waiting(bool forbid)
{
	if (s.self != NULL)
		s.self->may_not_wait = forbid;
}

void sched_skip(const void *from, uint64_t bytes)
{
	EXPECT(s.nr_skips < SKIPS_MAX);
	s.skip[s.nr_skips].from = (uintptr_t)from;
	s.skip[s.nr_skips].to = (uintptr_t)from + bytes;
	s.nr_skips++;
}

/* --- sequences --------------------------------------------------------- */

void sched_arm(struct sched_sequence *sequence)
{
	sequence->aborted = false;
	if (s.self != NULL)
		s.self->sequence = sequence;
}

void sched_disarm(void)
{
	if (s.self != NULL)
		s.self->sequence = NULL;
}

bool sched_aborted_at(const void *address, const char *what)
{
	if (s.self == NULL)
		return false;
	interleave_point((uintptr_t)address, what);
	if (!s.self->sequence->aborted)
		return false;
	s.self->sequence = NULL;
	return true;
}

void sched_membarrier(unsigned cpu)
{
	abort_sequence(s.on_cpu[cpu]);
}

/* --- who, where, when -------------------------------------------------- */

unsigned sched_self(void)
{
	return s.self == NULL ? SCHED_THREADS_MAX : s.self->id;
}

void sched_sit_on(unsigned cpu)
{
	s.main_cpu = cpu;
}

unsigned sched_cpu(void)
{
	return s.self == NULL ? s.main_cpu : s.self->cpu;
}

uint64_t sched_steps(void)
{
	return s.steps;
}

uint64_t sched_now_ns(void)
{
	return s.now;
}

uint32_t sched_tid(void)
{
	return FIRST_TID + sched_self();
}

bool sched_exists(uint32_t tid)
{
	return tid == FIRST_TID + SCHED_THREADS_MAX ||
	       (tid - FIRST_TID < s.nr && s.thread[tid - FIRST_TID].exists);
}

/* --- a run ------------------------------------------------------------- */

static void main_of_thread(void)
{
	struct thread *self = s.self;

	self->spec.run(self->id);
	trace_event(self, "is done");
	self->state = DONE;
	self->exists = false;
	hand_over();
	__builtin_unreachable();
}

void sched_reset(void)
{
	memset(&s, 0, sizeof(s));
	s.now = START_NS;
	failure[0] = '\0';
	weir_i_thread_burst = NO_THREAD_MARK;
}

void sched_add(const struct sched_thread_spec *spec)
{
	struct thread *t = &s.thread[s.nr];
	void **sp = (void **)(void *)(stacks[s.nr] + STACK_BYTES);

	/* What an abandoned run left there is forgotten. */
	ASAN_UNPOISON_MEMORY_REGION(stacks[s.nr], STACK_BYTES);
	*t = (struct thread){ .spec = *spec,
			      .id = s.nr++,
			      .cpu = spec->cpu,
			      .may = spec->may,
			      .exists = true,
			      .burst = NO_THREAD_MARK };
	*--sp = NULL; /* keeps the stack aligned as after a call */
	*--sp = (void *)(uintptr_t)main_of_thread;
	for (unsigned i = 0; i < 6; i++)
		*--sp = NULL;
	t->sp = sp;
}

/* A thread that is done, from whose place the first one is chosen. */
bool sched_run(sched_choose choose)
{
	struct sched_way ways[SCHED_WAYS_MAX];
	unsigned n = 0, i;

	s.choose = choose;
	for (i = 0; i < s.nr; i++)
		add_way(ways, &n, &s.thread[i], SCHED_RUN, 0);
	i = n > 1 ? choose(ways, n) : 0;
	take(&ways[i]);
	weir_i_thread_burst = NO_THREAD_MARK;
	return !s.failed;
}
