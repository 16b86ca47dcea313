/* SPDX-License-Identifier: MIT */
#include "common/interval.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/measure.h"

static volatile sig_atomic_t told_to_end;
static sigset_t others; /* the mask with which a signal may come */

static void end(int signal)
{
	(void)signal;
	told_to_end = 1;
}

uint64_t interval_parse(struct argp_state *state, const char *arg)
{
	char *rest;
	double seconds = strtod(arg, &rest);

	if (rest == arg || *rest || !(seconds >= 0.01 && seconds <= 86400))
		argp_error(state,
			   "--interval takes seconds from 0.01 to 86400, not "
			   "'%s'",
			   arg);
	return (uint64_t)(seconds * 1e9);
}

void interval_begin(void)
{
	const struct sigaction action = { .sa_handler = end };
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigprocmask(SIG_BLOCK, &ours, &others);
	sigdelset(&others, SIGINT);
	sigdelset(&others, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool interval_told_to_end(void)
{
	return told_to_end;
}

bool interval_sleep(uint64_t ns, int fd)
{
	struct pollfd files[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = STDOUT_FILENO }, /* has its reader gone? */
	};

	for (;;) {
		uint64_t now = measure_now_ns();
		struct timespec left;
		int ready;

		if (told_to_end || now >= ns)
			return false;
		left.tv_sec = (time_t)((ns - now) / 1000000000);
		left.tv_nsec = (long)((ns - now) % 1000000000);
		ready = ppoll(files, 2, &left, &others);
		if (files[0].revents & (POLLHUP | POLLERR | POLLNVAL) ||
		    files[1].revents & (POLLHUP | POLLERR))
			told_to_end = 1; /* the terminal is gone */
		if (fd >= 0 && !told_to_end && ready != 0)
			return true;
	}
}

uint64_t interval_next(uint64_t ns, uint64_t now, uint64_t interval_ns)
{
	if (now > ns) /* it was stopped, or the machine is slow */
		ns = now - (now - ns) % interval_ns;
	return ns + interval_ns;
}
