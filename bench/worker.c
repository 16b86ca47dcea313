/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/measure.h"

static char reason[256];

bool bench_cannot(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	reason[strcspn(reason, "\n\t")] = '\0';
	return false;
}

void bench_extra(struct bench_result *result, const char *name, double value)
{
	if (result->nr_extras == BENCH_EXTRAS_MAX)
		abort(); /* raise it */
	result->extras[result->nr_extras].name = name;
	result->extras[result->nr_extras++].value = value;
}

static void list(const struct bench_row *rows, unsigned nr_rows)
{
	for (unsigned i = 0; i < nr_rows; i++)
		printf("%s\t%s\t%u\t%u\t%s\n", rows[i].question,
		       rows[i].variant, rows[i].rounds, rows[i].quick_rounds,
		       rows[i].floor ? rows[i].floor : "");
}

static void answer(const struct bench_row *row, const struct bench_where *where,
		   unsigned round)
{
	struct bench_result result = { .operations = 1 };

	if (!row->run(row, where, round, &result)) {
		printf("no %s\n", reason);
		return;
	}
	printf("ns\t%.6g\t%llu", result.ns,
	       (unsigned long long)result.operations);
	for (unsigned i = 0; i < result.nr_extras; i++)
		printf("\t%s=%.6g", result.extras[i].name,
		       result.extras[i].value);
	putchar('\n');
}

static int serve(const struct bench_row *rows, unsigned nr_rows,
		 const struct bench_where *where)
{
	char line[64];
	unsigned row, round;

	if (!measure_pin(where->cpu)) {
		fprintf(stderr, "bench: this process may not run on CPU %u\n",
			where->cpu);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "run %u %u", &row, &round) != 2 ||
		    row >= nr_rows) {
			fprintf(stderr, "bench: what is '%s'?\n", line);
			return 2;
		}
		answer(&rows[row], where, round);
		fflush(stdout);
	}
	return 0;
}

int bench_worker(int argc, char **argv, const struct bench_row *rows,
		 unsigned nr_rows)
{
	struct bench_where where = { .other_cpu = -1 };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list") == 0) {
			list(rows, nr_rows);
			return 0;
		}
		if (strcmp(argv[i], "--quick") == 0) {
			where.quick = true;
		} else if (strcmp(argv[i], "--cpus") == 0 && i + 1 < argc) {
			if (sscanf(argv[++i], "%u,%d", &where.cpu,
				   &where.other_cpu) < 1)
				return 2;
		} else {
			fprintf(stderr, "bench: 'weir bench' starts this\n");
			return 2;
		}
	}
	snprintf(where.cpus, sizeof(where.cpus), "%u", where.cpu);
	snprintf(where.other_cpus, sizeof(where.other_cpus), "%d",
		 where.other_cpu);
	return serve(rows, nr_rows, &where);
}
