/* SPDX-License-Identifier: MIT */
/*
 * Pools, read from outside: of the process whose number is the first argument,
 * or of a child that this program makes to have something to look at.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/watch.h>

static void show_cpus(const struct weir_watch *watch, unsigned zone,
		      unsigned nr_cpus)
{
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
		struct weir_stat_cpu its = WEIR_STAT_CPU_INIT;

		if (weir_watch_read_cpu(watch, zone, cpu, &its) == 0 &&
		    its.operations > 0)
			printf("  CPU %u: %lu pages in lists, %lu operations, "
			       "%lu drains\n",
			       cpu, (unsigned long)its.cached,
			       (unsigned long)its.operations,
			       (unsigned long)its.drains);
	}
}

/* Called for each pool; *ctx counts them. */
static int show(const struct weir_watch_id *id, void *ctx)
{
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;
	struct weir_stat sum = WEIR_STAT_INIT;
	struct weir_watch *watch;
	int err = weir_watch_open(&watch, id);

	if (err == -ENOENT)
		return 0; /* destroyed meanwhile */
	if (err != 0)
		return err;
	++*(int *)ctx;
	if (weir_watch_info(watch, &info) == 0 &&
	    weir_watch_read(watch, &sum) == 0) {
		printf("process %d, pool \"%s\": %lu pages of %lu bytes, %lu "
		       "free, %lu out\n",
		       id->pid, info.name, (unsigned long)sum.pages,
		       (unsigned long)info.page_size, (unsigned long)sum.free,
		       (unsigned long)sum.out);
		for (unsigned zone = 0; zone < info.nr_zones; zone++)
			show_cpus(watch, zone, info.nr_cpus);
	}
	weir_watch_close(watch);
	return 0;
}

/* Somebody to look at: makes a pool, says so, and waits to be killed. */
static void be_watched(int ready)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = 64 << 20;
	opts.name = "frames";
	if (weir_pool_create(&pool, &opts) != 0)
		_exit(1);
	for (int i = 0; i < 1000; i++)
		if (weir_alloc(pool, 0, 0) == NULL)
			_exit(1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int pipe_ends[2], nr_pools = 0, err;
	pid_t child = 0;
	char byte;

	if (argc < 2) {
		if (pipe(pipe_ends) != 0)
			return 1;
		child = fork();
		if (child == 0)
			be_watched(pipe_ends[1]);
		if (child < 0 || read(pipe_ends[0], &byte, 1) != 1)
			return 1;
	}
	err = weir_watch_list(argc < 2 ? child : atoi(argv[1]), show,
			      &nr_pools);
	if (err != 0)
		fprintf(stderr, "watch: %s\n", weir_strerror(err));
	else if (nr_pools == 0)
		printf("there is no pool that can be watched\n");
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return err != 0;
}
