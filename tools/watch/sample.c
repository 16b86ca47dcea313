/* SPDX-License-Identifier: MIT */
#include "watch/sample.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/measure.h"
#include "common/tool.h"
#include "watch/watched.h"

/* ---- reading ------------------------------------------------------------ */

static int make_room(struct sample *sample, const struct watched *pool)
{
	const unsigned nr_zones = pool->info.nr_zones;
	const unsigned nr_cpus = pool->info.nr_cpus;

	if (sample->zone)
		return TOOL_OK;
	sample->nr_zones = nr_zones;
	sample->nr_cpus = nr_cpus;
	sample->zone = calloc(nr_zones, sizeof(*sample->zone));
	sample->cpu = calloc((size_t)nr_zones * nr_cpus, sizeof(*sample->cpu));
	if (sample->zone && sample->cpu)
		return TOOL_OK;
	sample_free(sample);
	return tool_error("no memory");
}

int sample_read(struct sample *sample, const struct watched *pool)
{
	int err;

	if (make_room(sample, pool) != TOOL_OK)
		return TOOL_FAILED;
	sample->ns = measure_now_ns();
	sample->stat.size = sizeof(sample->stat);
	err = weir_watch_read(pool->watch, &sample->stat);
	for (unsigned z = 0; z < sample->nr_zones && err == 0; z++) {
		sample->zone[z].size = sizeof(sample->zone[z]);
		err = weir_watch_read_zone(pool->watch, z, &sample->zone[z]);
		for (unsigned c = 0; c < sample->nr_cpus && err == 0; c++) {
			struct weir_stat_cpu *cpu =
				&sample->cpu[(size_t)z * sample->nr_cpus + c];

			cpu->size = sizeof(*cpu);
			err = weir_watch_read_cpu(pool->watch, z, c, cpu);
		}
	}
	return err == 0 ? TOOL_OK
			: tool_error("cannot read the pool: %s",
				     weir_strerror(err));
}

void sample_free(struct sample *sample)
{
	free(sample->zone);
	free(sample->cpu);
	*sample = (struct sample){ 0 };
}

const struct weir_stat_cpu *sample_cpu(const struct sample *sample,
				       unsigned zone, unsigned cpu)
{
	return &sample->cpu[(size_t)zone * sample->nr_cpus + cpu];
}

struct weir_stat_cpu sample_cpu_sum(const struct sample *sample, unsigned cpu)
{
	struct weir_stat_cpu sum = WEIR_STAT_CPU_INIT;

	for (unsigned zone = 0; zone < sample->nr_zones; zone++) {
		const struct weir_stat_cpu *its = sample_cpu(sample, zone, cpu);

		sum.mode = its->mode;
		sum.cached += its->cached;
		sum.pending += its->pending;
		sum.operations += its->operations;
		sum.refills += its->refills;
		sum.flushes += its->flushes;
		sum.direct += its->direct;
		sum.aborts += its->aborts;
		sum.drains += its->drains;
		sum.by_progress += its->by_progress;
		sum.by_not_busy += its->by_not_busy;
		sum.by_membarrier += its->by_membarrier;
		sum.late += its->late;
	}
	return sum;
}

bool sample_cpu_is_used(const struct weir_stat_cpu *cpu)
{
	return cpu->operations || cpu->cached || cpu->pending || cpu->refills ||
	       cpu->flushes || cpu->direct || cpu->drains;
}

uint64_t sample_failures(const struct weir_stat *stat)
{
	return stat->failed_nowait + stat->failed_empty + stat->failed_pending +
	       stat->failed_lost;
}

/* A counter that went back is one that wrapped, or somebody's bad joke. */
double sample_rate(uint64_t before, uint64_t now, double seconds)
{
	return now > before && seconds > 0 ? (double)(now - before) / seconds
					   : 0;
}

/* ---- as text ------------------------------------------------------------ */

const char *sample_mode(enum weir_mode mode)
{
	switch (mode) {
	case WEIR_MODE_ORDINARY:
		return "ordinary";
	case WEIR_MODE_QUIET:
		return "quiet";
	case WEIR_MODE_POLLING:
		return "polling";
	case WEIR_MODE_OFF:
		return "off";
	default:
		return "?";
	}
}

static const char *scaled(char text[SAMPLE_TEXT], double number, double step,
			  const char *const *units)
{
	while (number >= step && units[1]) {
		number /= step;
		units++;
	}
	if (number >= 9.95 || number == (double)(uint64_t)number)
		snprintf(text, SAMPLE_TEXT, "%.0f%s", number, *units);
	else
		snprintf(text, SAMPLE_TEXT, "%.1f%s", number, *units);
	return text;
}

const char *sample_count(char text[SAMPLE_TEXT], double number)
{
	static const char *const units[] = { "",  "k", "M", "G",
					     "T", "P", "E", NULL };

	if (number >= 9.95 && number < 99999.5) {
		snprintf(text, SAMPLE_TEXT, "%.0f", number);
		return text;
	}
	return scaled(text, number, 1000, units);
}

const char *sample_bytes(char text[SAMPLE_TEXT], uint64_t bytes)
{
	static const char *const units[] = { "",  "K", "M", "G",
					     "T", "P", "E", NULL };

	return scaled(text, (double)bytes, 1024, units);
}
