/* SPDX-License-Identifier: MIT */
/*
 * If this fails, no pool can be made where the kernel refuses to wipe memory in
 * a child (MADV_WIPEONFORK; gVisor answers EINVAL), or a child of fork() works
 * on its parent's pool there, or `weir doctor` says that all is well.
 */
#include <sys/mman.h>

#include <weir/cache.h>
#include <weir/fast.h>

#include "base/atomic.h"
#include "fault.h"
#include "os/rseq.h"
#include "percpu/evidence.h"
#include "os/os.h"
#include "seccomp.h"

#define POOLS 20

static struct weir_pool *pool[POOLS];
static struct weir_cache *cache;
static char *self;

static size_t get_tokens(void *context, unsigned list, uint64_t *tokens,
			 size_t n)
{
	static uint64_t next;

	(void)context, (void)list;
	for (size_t i = 0; i < n; i++)
		tokens[i] = next++;
	return n;
}

static void put_tokens(void *context, unsigned list, const uint64_t *tokens,
		       size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
}

static bool had_fast_path; /* the first pool of the parent */

static struct weir_pool *make(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *made;

	opts.capacity = 1 << 20;
	CHECK_MSG(weir_pool_create(&made, &opts) == 0, "%s", weir_last_error());
	return made;
}

static void make_cache(void)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;

	opts.backend.get = get_tokens;
	opts.backend.put = put_tokens;
	CHECK_MSG(weir_cache_create(&cache, &opts) == 0, "%s",
		  weir_last_error());
}

static void check_stale(struct weir_pool *parents)
{
	void *page = (void *)8192;

	errno = 0;
	CHECK(weir_fast_alloc(parents, 0, 0) == NULL);
	CHECK_EQ(errno, ESTALE);
	weir_fast_free(parents, page, 0);
	weir_free_bulk(parents, 0, &page, 1);
	CHECK_EQ(weir_drain(parents, NULL, NULL), -ESTALE);
	CHECK_EQ(weir_pool_destroy(parents, WEIR_DESTROY_FORCE), -ESTALE);
}

static void check_stale_cache(void)
{
	errno = 0;
	CHECK(weir_cache_get(cache, 0, 0) == WEIR_CACHE_NONE);
	CHECK_EQ(errno, ESTALE);
	weir_cache_put(cache, 0, 1);
	CHECK_EQ(weir_cache_destroy(cache), -ESTALE);
}

/* --- children of fork() ------------------------------------------------- */

static void grandchild(void *childs)
{
	check_stale(childs);
	check_stale(pool[0]);
	use_up(make());
}

static void child(void *unused)
{
	struct weir_pool *mine;

	(void)unused;
	for (unsigned i = 0; i < POOLS; i++)
		check_stale(pool[i]);
	check_stale_cache();
	mine = make();
	CHECK_MSG(mine->lists.nr_cpus != 0 || !wi_rseq_available(),
		  "no fast path: the process is %ssettled, its parent's pool "
		  "had %sone",
		  wi_rseq_is_settled() ? "" : "not ", had_fast_path ? "" : "n");
	use_up(mine);
	in_child(grandchild, mine);
	CHECK_EQ(weir_pool_destroy(mine, 0), 0);
}

/* --- children that run no handlers --------------------------------------- */

static void drain(void *result)
{
	*(int *)result = weir_drain(pool[0], NULL, NULL);
}

static void make_another(void *unused)
{
	(void)unused;
	pool[0] = make();
	weir_free(pool[0], weir_alloc(pool[0], 0, 0), 0);
	CHECK_EQ(weir_set_mode(pool[0], NULL, WEIR_MODE_QUIET), 0);
	weir_free(pool[0], weir_alloc(pool[0], 0, 0), 0);
}

/* It must not touch its parent's pools; its own work, with its own marks. */
static void without_handlers(bool second_makes)
{
	struct weir_burst burst;
	int drained;
	void *page;

	pin(allowed_cpu(0));
	if (second_makes)
		run_on(allowed_cpu(0), make_another, NULL);
	else
		make_another(NULL);
	page = weir_fast_alloc(pool[0], 0, 0);
	CHECK_EQ(weir_i_thread_burst >> WEIR_MARK_THREAD_SHIFT,
		 syscall(SYS_gettid));
	weir_burst_begin(pool[0], &burst);
	weir_fast_free(pool[0], page, 0);
	run_on(allowed_cpu(1), drain, &drained);
	CHECK_EQ(drained, -EAGAIN);
	weir_burst_end(pool[0], &burst);
	run_on(allowed_cpu(1), drain, &drained);
	CHECK_EQ(drained, 0);
	use_up(pool[0]);
	CHECK_EQ(weir_pool_destroy(pool[0], 0), 0);
}

#ifdef WI_TSAN /* it needs to know of each child */
static void check_without_handlers(void)
{
	(void)without_handlers;
}
#else
static pid_t child_without_handlers(bool by_clone)
{
	if (!by_clone)
		return fork_without_handlers();
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
}

static void check_without_handlers(void)
{
	if (allowed_cpu(1) < 0 || !wi_rseq_available())
		return;
	for (unsigned i = 0; i < 4; i++) {
		pid_t pid;

		fflush(NULL);
		pid = child_without_handlers(i & 1);
		CHECK(pid >= 0);
		if (pid == 0) {
			without_handlers(i & 2);
			_exit(0);
		}
		CHECK_EQ(end_child(pid), 0);
	}
}
#endif

/* --- forks while pools come and go --------------------------------------- */

static bool stop;
static unsigned nr_forks;

static void make_and_destroy(void *unused)
{
	(void)unused;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		CHECK_EQ(weir_pool_destroy(make(), 0), 0);
}

static void fork_meanwhile(void)
{
	struct runner runner;
	const uint64_t end = now_ns() + 300000000;

	start_on(&runner, allowed_cpu(0), make_and_destroy, NULL);
	for (; now_ns() < end; nr_forks++) {
		pid_t pid = fork();

		if (pid == 0) {
			check_stale(pool[1]);
			CHECK_EQ(weir_pool_destroy(make(), 0), 0);
			_exit(0);
		}
		CHECK_EQ(end_child(pid), 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	finish(&runner);
}

/* --- a program that was started so --------------------------------------- */

static void check_doctor(void)
{
	char line[4096];
	bool said = false;
	FILE *doctor;

	snprintf(line, sizeof(line), "%s", self);
	if (strrchr(line, '/') == NULL)
		return;
	strcpy(strrchr(line, '/') + 1, "weir");
	if (access(line, X_OK) != 0)
		return; /* built without */
	strcat(line, " doctor");
	doctor = popen(line, "r");
	CHECK(doctor != NULL);
	while (fgets(line, sizeof(line), doctor) != NULL)
		said |= strncmp(line, "note ", 5) == 0 &&
			strstr(line, " fork ") != NULL;
	pclose(doctor);
	CHECK_MSG(said, "doctor does not say that the kernel refuses");
}

static int refused(void)
{
	for (unsigned i = 0; i < POOLS; i++)
		pool[i] = make();
	had_fast_path = pool[0]->lists.nr_cpus != 0;
	CHECK(!wi_os_fork_wipes());
	make_cache();
	/* From the middle, the begin and the end of the list. */
	for (unsigned i = 0; i < POOLS; i += 3) {
		CHECK_EQ(weir_pool_destroy(pool[i], 0), 0);
		pool[i] = make();
	}
	in_child(child, NULL);
	check_without_handlers();
	fork_meanwhile();
	for (unsigned i = 0; i < POOLS; i++) {
		use_up(pool[i]);
		CHECK_EQ(weir_pool_destroy(pool[i], 0), 0);
	}
	CHECK_EQ(weir_cache_destroy(cache), 0);
	check_doctor();
	printf("figures: %u children beside pools that come and go\n",
	       nr_forks);
	return 0;
}

static void start_refused(void *error)
{
	const struct refusal refusal = { .nr = SYS_madvise,
					 .error = *(int *)error,
					 .arg = 1 + 2,
					 .value = MADV_WIPEONFORK };
	char word[] = "refused";
	char *argv[] = { self, word, NULL };

	seccomp_refuse(&refusal, 1);
	execv("/proc/self/exe", argv);
	_exit(1);
}

int main(int argc, char **argv)
{
	static int errors[] = { EINVAL, EPERM, ENOSYS };

	self = argv[0];
	if (argc > 1)
		return refused();
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		in_child(start_refused, &errors[i]);
	return 0;
}
