/* SPDX-License-Identifier: MIT */
/*
 * What the numbers show, in words.
 *
 * Broken is a promise of weir's when a rescue under quiet or polling mode
 * caused interrupts (its windows with rescues have more than those without so
 * often that chance explains it once in 100 000 times at most), when a rescue
 * failed that has what it needs, or when a page was lost or given twice.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "demo/report.h"
#include "demo/weir.h"

#define CHANCE_MIN 1e-5
/* The control must see so many interrupts a rescue. */
#define CONTROL_MIN 0.95
/* What ordinary mode may cost while the owner makes progress. */
#define ORDINARY_MAX 0.03

struct finding {
	struct verdicts *verdicts;
	const struct row *rows;
	unsigned nr_rows;
	const struct demo_machine *machine;
	bool blind; /* what is said of interrupts would prove nothing */
};

static void say(struct finding *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct finding *f, const char *format, ...)
{
	struct verdicts *verdicts = f->verdicts;
	va_list args;

	if (verdicts->nr == VERDICTS_MAX)
		return;
	va_start(args, format);
	vsnprintf(verdicts->line[verdicts->nr++], sizeof(verdicts->line[0]),
		  format, args);
	va_end(args);
}

/* NULL when it was not run. */
static const struct row *find(const struct finding *f,
			      const struct demo_way *way,
			      enum owner_scene scene)
{
	for (unsigned i = 0; i < f->nr_rows; i++)
		if (f->rows[i].way == way && f->rows[i].scene == scene)
			return f->rows[i].attempts > 0 ? &f->rows[i] : NULL;
	return NULL;
}

static unsigned long excess(const struct row *row)
{
	return row->with > row->without
		       ? (unsigned long)(row->with - row->without)
		       : 0;
}

/* Do the counters see an interrupt that is known to be there? */
static void control(struct finding *f)
{
	const struct row *row = find(f, &baseline_membarrier, OWNER_COMPUTING);

	f->blind = true;
	if (!f->machine->has_sequences)
		say(f, "Not shown: quiet and polling mode. Without restartable "
		       "sequences weir locks the list of each CPU instead.");
	if (!row) {
		say(f, "Not shown: anything about interrupts. The control, "
		       "membarrier, is not here.");
	} else if (!row->counted) {
		say(f,
		    "Not shown: anything about interrupts. /proc/interrupts "
		    "does not have them for CPU %u.",
		    f->machine->owner_cpu);
	} else if (row_excess(row) < CONTROL_MIN) {
		say(f,
		    "Not shown: anything about interrupts. The counters "
		    "are blind here: of at least %u interrupts by "
		    "membarrier, one a rescue of a computing owner, they "
		    "saw %lu.",
		    row->attempts, excess(row));
	} else {
		f->blind = false;
		say(f,
		    "Control: of membarrier the counters saw %lu "
		    "interrupts in %u rescues of a computing owner, so "
		    "they would see others.",
		    excess(row), row->attempts);
	}
}

/* What quiet and polling mode promise. */
static void no_interrupts(struct finding *f, const struct demo_way *way)
{
	char text[240] = "", odds[80] = "";
	double least = 1;
	size_t len = 0;

	for (unsigned scene = 0; scene < NR_OWNER_SCENES; scene++) {
		const struct row *row = find(f, way, scene);

		if (!row || !row->counted)
			continue;
		len += (size_t)snprintf(
			text + len, sizeof(text) - len,
			len ? ", %lu in %u (%s)" : "%lu in %u rescues (%s)",
			excess(row), row->attempts, owner_scene_name[scene]);
		if (excess(row) > 0 && row->chance < least)
			least = row->chance;
	}
	if (len == 0 || (f->blind && least >= CHANCE_MIN))
		return;
	if (least < CHANCE_MIN)
		f->verdicts->broken = true;
	if (least < 1)
		snprintf(odds, sizeof(odds),
			 least < CHANCE_MIN
				 ? "; chance does not explain it (p = %.1g)"
				 : "; chance explains the excess (p = %.2g)",
			 least);
	say(f, "%s%s: interrupts of CPU %u beyond those without rescues: %s%s.",
	    least < CHANCE_MIN ? "BROKEN: " : "", way->name,
	    f->machine->owner_cpu, text, odds);
}

/* Who has what it needs gets pages each time. */
static void must_rescue(struct finding *f, const struct demo_way *way)
{
	for (unsigned scene = 0; scene < NR_OWNER_SCENES; scene++) {
		const struct row *row = find(f, way, scene);

		if (!row ||
		    (way->leaves_pending && scene != OWNER_ALLOCATING) ||
		    row->rescued == row->attempts)
			continue;
		f->verdicts->broken = true;
		say(f, "BROKEN: %s, owner %s: %u of %u rescues got no page.",
		    way->name, owner_scene_name[scene],
		    row->attempts - row->rescued, row->attempts);
	}
}

static void ordinary(struct finding *f)
{
	const struct row *busy = find(f, &demo_ordinary, OWNER_ALLOCATING);
	const struct row *computing = find(f, &demo_ordinary, OWNER_COMPUTING);

	if (!busy || !computing || f->blind)
		return;
	say(f,
	    "weir-ordinary: %.1f interrupts in 100 rescues of an allocating "
	    "owner, whose progress is the evidence (%s the 3 expected at "
	    "most); it paid %.0f in 100 while the owner computed, when "
	    "only membarrier is evidence. By its own count it asked for %llu "
	    "and %llu.",
	    100 * row_excess(busy),
	    row_excess(busy) <= ORDINARY_MAX ? "within" : "MORE THAN",
	    100 * row_excess(computing), (unsigned long long)busy->membarriers,
	    (unsigned long long)computing->membarriers);
}

static void pending(struct finding *f)
{
	const struct row *computing = find(f, &demo_polling, OWNER_COMPUTING);
	const struct row *asleep = find(f, &demo_polling, OWNER_ASLEEP);
	unsigned failed, collected;

	if (!computing || !asleep)
		return;
	failed = computing->attempts - computing->rescued + asleep->attempts -
		 asleep->rescued;
	collected = computing->collected + asleep->collected;
	say(f,
	    "weir-polling paid too: while the owner computed without a call "
	    "or tick, or slept, its pages stayed pending in %u of %u "
	    "rescues; once it was back, %s were collected.",
	    failed, computing->attempts + asleep->attempts,
	    collected == failed ? "they" : "NOT ALL");
	if (collected != failed) {
		f->verdicts->broken = true;
		say(f,
		    "BROKEN: weir-polling: pages were collected after %u of "
		    "%u rescues only.",
		    collected, failed);
	}
}

static void others(struct finding *f)
{
	const struct row *none = find(f, &demo_none, OWNER_ALLOCATING);
	const struct row *hop =
		find(f, &baseline_scheduled_work, OWNER_COMPUTING);
	const struct row *spin = find(f, &baseline_spinlock, OWNER_ALLOCATING);
	const struct row *ordinary = find(f, &demo_ordinary, OWNER_ALLOCATING);

	if (none)
		say(f,
		    "none: %u of %u rescues got a page, though %u were "
		    "free.",
		    none->rescued, none->attempts, ROW_STOCK);
	if (hop)
		say(f,
		    "scheduled-work takes the CPU from a busy owner, with or "
		    "without an interrupt: it was preempted %llu times in the "
		    "row of %u rescues, half of which took longer than %.2f "
		    "ms.",
		    (unsigned long long)hop->preemptions, hop->attempts,
		    (double)hop->p50_ns / 1e6);
	if (spin && ordinary)
		say(f,
		    "spinlock interrupts no CPU, but each operation of the "
		    "owner costs %.1f ns; in weir-ordinary %.1f.",
		    spin->op_ns, ordinary->op_ns);
}

static void oracle(struct finding *f)
{
	uint64_t pages = 0, faults = 0;
	unsigned lossy = 0;

	for (unsigned i = 0; i < f->nr_rows; i++) {
		pages += f->rows[i].pages;
		faults += f->rows[i].faults;
		lossy += f->rows[i].lost;
	}
	if (faults == 0 && lossy == 0) {
		say(f,
		    "%llu pages were rescued; none was ever in two hands, "
		    "and none was missing at the end.",
		    (unsigned long long)pages);
		return;
	}
	f->verdicts->broken = true;
	say(f,
	    "BROKEN: %llu times a page was in two hands; pages were missing "
	    "at the end of %u rows.",
	    (unsigned long long)faults, lossy);
	for (unsigned i = 0; i < f->nr_rows; i++)
		if (f->rows[i].faults > 0 || f->rows[i].lost)
			say(f, "That was in: %s, owner %s.",
			    f->rows[i].way->name,
			    owner_scene_name[f->rows[i].scene]);
}

void verdicts_find(struct verdicts *verdicts, const struct row *rows,
		   unsigned nr_rows, const struct demo_machine *machine)
{
	struct finding f = { verdicts, rows, nr_rows, machine, false };

	control(&f);
	no_interrupts(&f, &demo_quiet);
	no_interrupts(&f, &demo_polling);
	ordinary(&f);
	pending(&f);
	must_rescue(&f, &demo_ordinary);
	must_rescue(&f, &demo_quiet);
	must_rescue(&f, &demo_polling);
	others(&f);
	oracle(&f);
}
