/* SPDX-License-Identifier: MIT */
/*
 * If this fails, pools of a process in an ordinary but less usual state are not
 * found (a user namespace, a first thread that has ended, no pidfd_open), or a
 * watcher who is refused is told that there are none.
 */
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <weir/watch.h>

#include "fault.h"
#include "seccomp.h"

static unsigned situations;

static struct weir_pool *make(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	opts.capacity = 4 << 20;
	CHECK_MSG(weir_pool_create(&pool, &opts) == 0, "%s", weir_last_error());
	return pool;
}

/* --- a process that has a pool and waits for its end --------------------- */

struct owner {
	int ready[2];
	void (*before)(void); /* it makes its pool */
	void (*after)(void);
};

static void say_ready(const struct owner *o)
{
	CHECK_EQ(write(o->ready[1], "", 1), 1);
	for (;;)
		pause();
}

static void own(void *arg)
{
	const struct owner *o = arg;

	alarm(100); /* should the test end before it */
	if (o->before)
		o->before();
	make();
	if (o->after)
		o->after();
	say_ready(o);
}

static void wait_ready(const struct owner *o)
{
	char byte;

	CHECK_EQ(close(o->ready[1]), 0);
	CHECK_EQ(read(o->ready[0], &byte, 1), 1);
	CHECK_EQ(close(o->ready[0]), 0);
}

static pid_t start(void (*body)(void *), void (*before)(void),
		   void (*after)(void))
{
	struct owner o = { .before = before, .after = after };
	pid_t pid;

	CHECK_EQ(pipe(o.ready), 0);
	pid = start_child(body, &o);
	wait_ready(&o);
	return pid;
}

static void stop(pid_t pid)
{
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(end_child(pid), 1000 + SIGKILL);
}

/* --- what a watcher finds ------------------------------------------------- */

static struct weir_watch_id found;

static int keep(const struct weir_watch_id *id, void *ctx)
{
	found = *id;
	++*(unsigned *)ctx;
	return 0;
}

static enum weir_watch_state state_of(const struct weir_watch *watch)
{
	struct weir_watch_info info = WEIR_WATCH_INFO_INIT;

	CHECK_EQ(weir_watch_info(watch, &info), 0);
	return info.state;
}

/* Its one pool is found, and until it is killed, by `pid`, it is live. */
static void finds_and_ends(pid_t pid, pid_t waits_for)
{
	struct weir_watch *watch;
	unsigned n = 0;

	CHECK_EQ(weir_watch_list(pid, keep, &n), 0);
	CHECK_EQ(n, 1);
	CHECK_EQ(weir_watch_open(&watch, &found), 0);
	CHECK_EQ(state_of(watch), WEIR_WATCH_LIVE);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	if (waits_for) {
		CHECK_EQ(end_child(waits_for), 1000 + SIGKILL);
	} else {
		/* As long as nobody has waited for it, it is a zombie. */
		for (unsigned i = 0;
		     i < 1000 && state_of(watch) == WEIR_WATCH_LIVE; i++)
			usleep(10000);
	}
	CHECK_EQ(state_of(watch), WEIR_WATCH_DEAD);
	weir_watch_close(watch);
	situations++;
}

static void is_refused(pid_t pid)
{
	unsigned n = 0;

	CHECK_EQ(weir_watch_list(pid, keep, &n), -EPERM);
	CHECK_EQ(weir_watch_list(0, keep, &n), 0);
	found = (struct weir_watch_id){ .pid = pid, .number = 1 };
	CHECK_EQ(weir_watch_open(&(struct weir_watch *){ NULL }, &found),
		 -EPERM);
}

static uid_t user; /* who has no other processes */

static void be_nobody(void)
{
	CHECK_EQ(setgid(user), 0);
	CHECK_EQ(setuid(user), 0);
}

/* --- the first thread has ended ------------------------------------------- */

static void *thread(void *arg)
{
	make();
	say_ready(arg);
	return NULL;
}

static void end_first_thread(void *arg)
{
	static struct owner o;
	pthread_t other;

	o = *(struct owner *)arg; /* what is on this stack does not stay */
	alarm(100);
	CHECK_EQ(pthread_create(&other, NULL, thread, &o), 0);
	pthread_exit(NULL);
}

static void without_first_thread(void)
{
	pid_t pid = start(end_first_thread, NULL, NULL);
	char path[64], state[8192];
	FILE *f;

	/* The pipe is written to before it has ended. */
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	for (unsigned i = 0; i < 1000; i++) {
		size_t n;

		f = fopen(path, "r");
		CHECK(f != NULL);
		n = fread(state, 1, sizeof(state) - 1, f);
		state[n] = '\0';
		fclose(f);
		if (strstr(state, "State:\tZ"))
			break;
		usleep(10000);
	}
	CHECK(strstr(state, "State:\tZ") != NULL);
	finds_and_ends(pid, 0);
	CHECK_EQ(end_child(pid), 1000 + SIGKILL);
}

/* --- no pidfd_open -------------------------------------------------------- */

static void watch_without_pidfd(void *arg)
{
	seccomp_refuse_one(SYS_pidfd_open, *(int *)arg);
	finds_and_ends(start(own, NULL, NULL), 0);
	without_first_thread();
}

static void watch_ended(void *arg)
{
	pid_t pid = start(own, NULL, NULL);

	(void)arg;
	seccomp_refuse_one(SYS_pidfd_open, EPERM);
	finds_and_ends(pid, pid); /* nothing is left of it, no zombie either */
}

/* --- privileges ----------------------------------------------------------- */

static void be_undumpable(void)
{
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
}

/* As a program has them that was started with file capabilities. */
static void undumpable(void *unused)
{
	pid_t pid;

	(void)unused;
	if (geteuid() == 0)
		be_nobody();
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
	pid = start(own, be_undumpable, NULL);
	is_refused(pid);
	stop(pid);
}

/* The real thing: this program's file, with a capability. */
static const char *copy_path;

static void run_copy(void *arg)
{
	struct owner *o = arg;
	char fd[16];

	be_nobody();
	snprintf(fd, sizeof(fd), "%d", o->ready[1]);
	execl(copy_path, copy_path, fd, NULL);
	_exit(3);
}

static void watch_as_nobody(void *arg)
{
	be_nobody();
	is_refused(*(pid_t *)arg);
}

static bool copy_with_capability(char *path)
{
	const struct vfs_cap_data cap = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data[0].permitted = 1u << CAP_NET_BIND_SERVICE,
	};
	char command[128];
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	CHECK_EQ(close(fd), 0);
	snprintf(command, sizeof(command), "cp /proc/%d/exe %s", (int)getpid(),
		 path);
	CHECK_EQ(system(command), 0);
	CHECK_EQ(chmod(path, 0755), 0);
	/* In the form of the file: what setcap(8) writes. */
	return setxattr(path, "security.capability", &cap, XATTR_CAPS_SZ_2,
			0) == 0;
}

static void file_capabilities(void)
{
	char path[] = "/tmp/weir-test-XXXXXX";
	pid_t pid;

	copy_path = path;
	if (!copy_with_capability(path)) {
		printf("left out: file capabilities (not in this /tmp)\n");
		unlink(path);
		return;
	}
	pid = start(run_copy, NULL, NULL);
	CHECK_EQ(end_child(start_child(watch_as_nobody, &pid)), 0);
	finds_and_ends(pid, pid);
	unlink(path);
}

/* The superuser of a container may list descriptors, and not read them. */
static void drop_ptrace(void *arg)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2];

	CHECK_EQ(syscall(SYS_capget, &head, data), 0);
	for (int i = 0; i < 2; i++)
		data[i].inheritable = 0;
	data[0].permitted &= ~(1u << CAP_SYS_PTRACE);
	data[0].effective = data[0].permitted;
	CHECK_EQ(syscall(SYS_capset, &head, data), 0);
	is_refused(*(pid_t *)arg);
}

static void without_ptrace(void)
{
	pid_t pid = start(own, NULL, NULL);

	CHECK_EQ(end_child(start_child(drop_ptrace, &pid)), 0);
	stop(pid);
	situations++;
}

/* --- hidepid -------------------------------------------------------------- */

static void watch_hidden(void *arg)
{
	unsigned n = 0;

	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("proc", "/proc", "proc", 0, "hidepid=2") != 0)
		_exit(77);
	be_nobody();
	CHECK_EQ(weir_watch_list(*(pid_t *)arg, keep, &n), -EPERM);
	CHECK_EQ(weir_watch_list(0x3fffffff, keep, &n), -ESRCH);
	CHECK_EQ(weir_watch_list(0, keep, &n), 0);
	CHECK_EQ(n, 0);
}

static void hidepid(void)
{
	pid_t pid = start(own, NULL, NULL);
	int status = end_child(start_child(watch_hidden, &pid));

	stop(pid);
	if (status == 77) {
		printf("left out: hidepid (nothing may be mounted)\n");
		return;
	}
	CHECK_EQ(status, 0);
	situations++;
}

/* --- a user namespace ------------------------------------------------------
 */

static void enter_namespace(void)
{
	if (unshare(CLONE_NEWUSER) != 0)
		_exit(77);
	CHECK_EQ(raise(SIGSTOP), 0); /* until its map is written */
	CHECK_EQ(setgid(0), 0);
	CHECK_EQ(setuid(0), 0);
}

static void drop_privileges(void)
{
	CHECK_EQ(setresgid(1000, 1000, 1000), 0);
	CHECK_EQ(setresuid(1000, 1000, 1000), 0);
}

static void write_map(pid_t pid, const char *which)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, which);
	f = fopen(path, "w");
	CHECK(f != NULL);
	CHECK(fputs("0 100000 65536\n", f) >= 0);
	CHECK_EQ(fclose(f), 0);
}

static void user_namespace(void)
{
	struct owner o = { .before = enter_namespace,
			   .after = drop_privileges };
	int status;
	pid_t pid;

	CHECK_EQ(pipe(o.ready), 0);
	pid = start_child(own, &o);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	if (!WIFSTOPPED(status)) {
		CHECK_EQ(WEXITSTATUS(status), 77);
		printf("left out: user namespaces (there are none)\n");
		return;
	}
	write_map(pid, "uid_map");
	write_map(pid, "gid_map");
	CHECK_EQ(kill(pid, SIGCONT), 0);
	wait_ready(&o);
	finds_and_ends(pid, pid);
}

int main(int argc, char **argv)
{
	struct owner o = { .ready = { -1, -1 } };
	int errors[] = { ENOSYS, EPERM };

	if (argc > 1) { /* the copy with a capability */
		o.ready[1] = atoi(argv[1]);
		own(&o);
	}
	user = 70000 + (uid_t)getpid();
	without_first_thread();
	for (unsigned i = 0; i < 2; i++)
		in_child(watch_without_pidfd, &errors[i]);
	in_child(watch_ended, NULL);
	in_child(undumpable, NULL);
	situations += 4;
	if (geteuid() == 0) {
		file_capabilities();
		without_ptrace();
		hidepid();
		user_namespace();
	} else {
		printf("left out: other users, capabilities, hidepid, user "
		       "namespaces (root)\n");
	}
	printf("figures: %u situations\n", situations);
	return 0;
}
