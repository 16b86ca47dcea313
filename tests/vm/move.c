/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a thread that is moved to another CPU, by whatever means the
 * kernel has, takes a page with it or leaves one behind.
 *
 * Threads work on isolated CPUs and are moved by sched_setaffinity, by being
 * put into another cpuset, and by their cpuset being given other CPUs, all
 * the time and wherever they are, while two threads drain.
 */
#include "shared/crowd.h"

#define GROUP "/sys/fs/cgroup/crowd"
#define GROUPS 3

static uint64_t entered, reshaped; /* by the thread that disturbs */

static void group_path(char path[96], unsigned group, const char *file)
{
	snprintf(path, 96, GROUP "/%u/%s", group, file);
}

/* This process in a group of its own, with threaded groups below. */
static void make_groups(void)
{
	char path[96], text[32];

	guest_must_write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset");
	CHECK(mkdir(GROUP, 0755) == 0 || errno == EEXIST);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	guest_must_write(GROUP "/cgroup.procs", text);
	for (unsigned group = 0; group < GROUPS; group++) {
		snprintf(path, sizeof(path), GROUP "/%u", group);
		CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
		group_path(path, group, "cgroup.type");
		guest_must_write(path, "threaded");
	}
	guest_must_write(GROUP "/cgroup.subtree_control", "+cpuset");
	for (unsigned group = 0; group < GROUPS; group++) {
		group_path(path, group, "cpuset.cpus");
		snprintf(text, sizeof(text), "%u", group + 1);
		guest_must_write(path, text);
	}
}

static void reshape(uint64_t r)
{
	static const char *const cpus[] = { "1",   "2",	  "3",	"1-2",
					    "2-3", "1,3", "0-3" };
	char path[96];

	group_path(path, (unsigned)(r >> 8) % GROUPS, "cpuset.cpus");
	guest_must_write(path, cpus[(r >> 32) % 7]);
	reshaped++;
}

static void enter(uint64_t r)
{
	pid_t tid = __atomic_load_n(
		&crowd_member[(r >> 16) % CROWD_WORKERS].tid, __ATOMIC_RELAXED);
	char path[96], text[32];
	int error;

	if (tid == 0)
		return;
	group_path(path, (unsigned)(r >> 8) % GROUPS, "cgroup.threads");
	snprintf(text, sizeof(text), "%d", (int)tid);
	error = guest_write(path, text);
	CHECK_MSG(error == 0 || error == ESRCH, "%s: %s", path,
		  strerror(error)); /* at the end it may have ended */
	entered += error == 0;
}

static void disturb(struct member *self)
{
	uint64_t r = check_random(&self->random);

	if (r & 1)
		reshape(r);
	else
		enter(r);
	crowd_nap(check_random(&self->random) & 0x7ffff);
}

int main(void)
{
	static struct crowd_run runs[] = {
		{ .name = "quiet", .quiet = "1-3" },
		{ .name = "ordinary", .quiet = "" },
		{ .name = "polling", .quiet = "", .polling = "1-3" },
		{ .name = "quiet, ordinary and polling",
		  .quiet = "0-1",
		  .polling = "3" },
		{ .name = "quiet, checked",
		  .quiet = "1-3",
		  .flags = WEIR_POOL_CHECKED },
		{ .name = "locked", .flags = WEIR_POOL_NO_RSEQ },
	};
	const unsigned nr = sizeof(runs) / sizeof(runs[0]);

	guest_begin(4);
	make_groups();
	for (unsigned i = 0; i < nr; i++) {
		runs[i].pages = 2048;
		runs[i].disturb = disturb;
		runs[i].seconds = guest_long() ? 6 : 1.2;
		crowd_go(&runs[i]);
	}
	CHECK(entered > 0 && reshaped > 0);
	CHECK_MSG(crowd_sum.moves > 10 * nr, "only %" PRIu64 " moves",
		  crowd_sum.moves);
	printf("figures: %.0f operations, %" PRIu64 " moves (%" PRIu64
	       " cpusets), %" PRIu64 " aborts, %" PRIu64 " drains\n",
	       crowd_sum.ops, crowd_sum.moves, entered + reshaped,
	       crowd_sum.aborts, crowd_sum.drains);
	return 0;
}
