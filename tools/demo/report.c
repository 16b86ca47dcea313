/* SPDX-License-Identifier: MIT */
#include "demo/report.h"

#include <string.h>

#define COLUMNS 79

const char *const owner_scene_name[NR_OWNER_SCENES] = {
	[OWNER_ALLOCATING] = "allocating",
	[OWNER_COMPUTING] = "computing",
	[OWNER_ASLEEP] = "asleep",
};

void report_words(FILE *out, const char *first, const char *words)
{
	const size_t indent = strlen(first);
	size_t column = indent;

	fputs(first, out);
	while (*words) {
		size_t n = strcspn(words, " ");

		if (column > indent && column + 1 + n > COLUMNS) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fwrite(words, 1, n, out);
		column += n;
		words += n + strspn(words + n, " ");
	}
	fputc('\n', out);
}

void report_header(FILE *out, const struct demo_machine *machine)
{
	char text[640];

	snprintf(text, sizeof(text),
		 "All but %u pages of a pool of 1 GiB are in use, and those %u "
		 "are in the lists of CPU %u, whose thread, the owner, "
		 "allocates and frees, or computes without a call, or sleeps. "
		 "CPU %u needs pages and tries to rescue them, in one way "
		 "after another. Shown is whether it got any, how long that "
		 "took, and how many interrupts CPU %u had for it (function "
		 "calls and reschedulings in /proc/interrupts, less those in "
		 "windows just as long without a rescue).",
		 ROW_STOCK, ROW_STOCK, machine->owner_cpu, machine->rescuer_cpu,
		 machine->owner_cpu);
	report_words(out, "", text);
	fprintf(out, "\n%-14s  %-10s %9s %8s %8s %8s %8s %6s\n", "way", "owner",
		"got pages", "p50", "p99", "irqs/100", "pending", "ns/op");
}

/* Three digits and a unit. */
static const char *time_text(char text[16], uint64_t ns)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	unsigned unit = 0;

	while (value >= 999.5 && unit < 3) {
		value /= 1000;
		unit++;
	}
	snprintf(text, 16, "%.*f %s",
		 unit == 0 || value >= 99.95 ? 0
		 : value >= 9.995	     ? 1
					     : 2,
		 value, units[unit]);
	return text;
}

void report_row(FILE *out, const struct row *row)
{
	char got[24], p50[16], p99[16], interrupts[16] = "?";
	const unsigned failed = row->attempts - row->rescued;

	if (row->why_not[0]) {
		fprintf(out, "%-14s  %-10s not here: %s\n", row->way->name,
			owner_scene_name[row->scene], row->why_not);
		return;
	}
	snprintf(got, sizeof(got), "%u/%u", row->rescued, row->attempts);
	if (row->counted)
		snprintf(interrupts, sizeof(interrupts), "%.1f",
			 100 * row_excess(row));
	fprintf(out, "%-14s  %-10s %9s %8s %8s %8s %8.0f %6.2f\n",
		row->way->name, owner_scene_name[row->scene], got,
		time_text(p50, row->p50_ns), time_text(p99, row->p99_ns),
		interrupts, failed ? (double)row->pending / failed : 0.0,
		row->op_ns);
}

void report_end(FILE *out, const struct verdicts *verdicts)
{
	fputc('\n', out);
	report_words(out, "p50, p99: ",
		     "of a rescue; where it got nothing, until it said so.");
	report_words(out, "pending:  ",
		     "pages set aside, for a failed rescue, until the owner is "
		     "seen again.");
	report_words(out, "ns/op:    ",
		     "what the owner pays for one allocation or one free "
		     "(half of the median pair).");
	report_words(out, "none:     ",
		     "weir with WEIR_NOWAIT, which does not drain; most "
		     "allocators cannot.");
	fputc('\n', out);
	for (unsigned i = 0; i < verdicts->nr; i++)
		report_words(out, "* ", verdicts->line[i]);
}
