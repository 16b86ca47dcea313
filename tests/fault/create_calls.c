/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a system call that fails while a pool or a cache is made
 * leaves memory or files behind, or a pool that is not whole, or an error that
 * nobody told of; or something that can be done without is insisted on.
 *
 * For each kind of pool: its system calls are listed, then each of them fails
 * in its turn, with each error that is likely; then all of one kind at once.
 */
#include "fault.h"

#if !defined(__x86_64__)
int main(void)
{
	SKIP("registers of traced children are known on x86-64 only");
}
#else

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <weir/cache.h>

#include "nth.h"

#define BYTES (512 * 4096)
#define MAP_FIXED_NOREPLACE_ 0x100000 /* for older headers */

static bool long_form;

/* --- what is made ------------------------------------------------------ */

struct kind {
	const char *name;
	void (*set)(struct weir_pool_opts *);
	enum { POOL, CACHE, CACHE_WITH_STORE } what;
	bool two_nodes; /* from a fixture; mbind succeeds without a node */
	bool first;	/* in this process: the check of sequences is made */
};

static void set_nothing(struct weir_pool_opts *o)
{
	(void)o;
}

static void set_thp(struct weir_pool_opts *o)
{
	o->backing = WEIR_BACKING_THP;
}

static void set_hugetlb(struct weir_pool_opts *o)
{
	o->backing = WEIR_BACKING_HUGETLB;
	o->capacity = 4 << 20;
}

static void set_memfd(struct weir_pool_opts *o)
{
	o->backing = WEIR_BACKING_MEMFD;
	o->fd = memfd_create("weir", 0);
	CHECK_EQ(ftruncate(o->fd, BYTES), 0);
}

static void set_region(struct weir_pool_opts *o)
{
	static char region[BYTES] __attribute__((aligned(4096)));

	o->backing = WEIR_BACKING_REGION;
	o->region = region;
}

static void set_lock(struct weir_pool_opts *o)
{
	o->flags = WEIR_POOL_LOCK;
}

static void set_prefault(struct weir_pool_opts *o)
{
	o->flags = WEIR_POOL_PREFAULT;
}

static void set_checked(struct weir_pool_opts *o)
{
	o->flags = WEIR_POOL_CHECKED;
}

static void set_no_rseq(struct weir_pool_opts *o)
{
	o->flags = WEIR_POOL_NO_RSEQ;
}

static void set_node(struct weir_pool_opts *o)
{
	o->node = 0;
}

static void set_two_nodes(struct weir_pool_opts *o)
{
	o->page_size = 256; /* zones have 4096 pages or more */
	o->capacity = 2 * 4096 * 256;
}

static const struct kind kinds[] = {
	{ "anonymous", set_nothing, POOL, false, false },
	{ "first", set_nothing, POOL, false, true },
	{ "thp", set_thp, POOL, false, false },
	{ "hugetlb", set_hugetlb, POOL, false, false },
	{ "memfd", set_memfd, POOL, false, false },
	{ "region", set_region, POOL, false, false },
	{ "lock", set_lock, POOL, false, false },
	{ "prefault", set_prefault, POOL, false, false },
	{ "checked", set_checked, POOL, false, false },
	{ "no-rseq", set_no_rseq, POOL, false, false },
	{ "node", set_node, POOL, false, false },
	{ "two-nodes", set_two_nodes, POOL, true, false },
	{ "cache", set_nothing, CACHE, false, false },
	{ "store", set_nothing, CACHE_WITH_STORE, false, false },
};

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* --- in the child ------------------------------------------------------ */

/* What a child says, in memory shared with it. */
static struct said {
	int err;
	unsigned nr_zones;
	bool is_out_set; /* *pool was written */
	int64_t left;	 /* bytes mapped that were not before */
	bool is_same;	 /* maps and files are those of before */
	char why[256];
} * said;

static size_t no_token(void *context, unsigned list, uint64_t *tokens, size_t n)
{
	(void)context, (void)list, (void)tokens, (void)n;
	return 0;
}

static void take_tokens(void *context, unsigned list, const uint64_t *tokens,
			size_t n)
{
	(void)list, (void)tokens;
	*(size_t *)context += n;
}

static uint64_t nr_stored(const struct weir_cache *cache)
{
	struct weir_cache_stat stat = WEIR_CACHE_STAT_INIT;

	CHECK_EQ(weir_cache_stat_read(cache, &stat), 0);
	return stat.stored[0];
}

static void make_cache(bool with_store)
{
	struct weir_cache_opts opts = WEIR_CACHE_OPTS_INIT;
	struct weir_cache *cache = NULL;
	size_t came_back = 0;

	if (with_store)
		opts.capacity = 1000;
	else
		opts.backend =
			(struct weir_cache_backend){ no_token, take_tokens,
						     &came_back };
	nth_begin();
	said->err = weir_cache_create(&cache, &opts);
	nth_end();
	said->is_out_set = cache != NULL;
	if (said->err != 0)
		return;
	for (uint64_t token = 0; token < 1000; token++)
		weir_cache_put(cache, 0, token);
	CHECK_EQ(weir_cache_drain(cache, NULL, NULL), 0);
	CHECK_EQ(with_store ? nr_stored(cache) : came_back, 1000);
	CHECK_EQ(weir_cache_destroy(cache), 0);
}

static void exercise(struct weir_pool *pool, const struct kind *kind)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	if (kind->two_nodes) {
		void *page[2] = { weir_alloc(pool, 0, 0),
				  weir_alloc(pool, 9, 0) };

		CHECK(page[0] != NULL && page[1] != NULL);
		weir_free(pool, page[0], 0);
		weir_free(pool, page[1], 9);
		CHECK_EQ(weir_stat_read(pool, &stat), 0);
		said->nr_zones = stat.nr_zones; /* 1 without sysfs */
	} else {
		use_up(pool);
	}
	CHECK_EQ(weir_drain(pool, NULL, NULL), 0);
	check_whole(pool);
}

static void make_pool(const struct kind *kind, const struct weir_pool_opts *o)
{
	struct weir_pool *pool = NULL;

	nth_begin();
	said->err = weir_pool_create(&pool, o);
	nth_end();
	said->is_out_set = pool != NULL;
	if (said->err != 0)
		return;
	exercise(pool, kind);
	CHECK_MSG(weir_pool_destroy(pool, 0) == 0, "%s", weir_last_error());
}

static void make(void *arg)
{
	const struct kind *kind = arg;
	static struct possessions before, after;
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;

	opts.capacity = BYTES;
	kind->set(&opts);
	if (kind->two_nodes)
		may_use_nodes("0-1");
	take_stock(&before);
	take_stock(&before); /* its buffers are backed now */
	if (kind->what != POOL)
		make_cache(kind->what == CACHE_WITH_STORE);
	else
		make_pool(kind, &opts);
	snprintf(said->why, sizeof(said->why), "%s", weir_last_error());
	take_stock(&after);
	said->left = (int64_t)(after.bytes - before.bytes);
	said->is_same = same_stock(&before, &after);
}

/* --- what may fail, and how -------------------------------------------- */

static const struct {
	long nr;
	const char *name;
	int errors[5];
} faults[] = {
	{ SYS_mmap, "mmap", { ENOMEM, EPERM, EAGAIN } },
	{ SYS_munmap, "munmap", { ENOMEM } },
	{ SYS_madvise, "madvise", { EINVAL, ENOMEM, EPERM, ENOSYS } },
	{ SYS_mprotect, "mprotect", { ENOMEM } },
	{ SYS_mbind, "mbind", { EPERM, ENOSYS, EINVAL, ENOMEM } },
	{ SYS_mlock, "mlock", { ENOMEM, EPERM, EAGAIN, ENOSYS } },
	{ SYS_membarrier, "membarrier", { EPERM, EINVAL, ENOSYS } },
	{ SYS_openat, "openat", { ENOENT, EACCES, EMFILE, ENOSYS } },
	{ SYS_read, "read", { EIO, EISDIR, EINTR } },
	{ SYS_newfstatat, "fstat", { EIO, ENOSYS } },
	{ SYS_fstatfs, "fstatfs", { EIO, ENOSYS } },
	{ SYS_sched_getaffinity, "affinity", { EINVAL, EPERM, ENOSYS } },
	{ SYS_clone3, "clone3", { EAGAIN, EPERM, ENOSYS } },
	{ SYS_clone, "clone", { EAGAIN, EPERM } },
};

#define NR_FAULTS (sizeof(faults) / sizeof(faults[0]))

/*
 * Those that cannot fail, or that the C library cannot bear to see fail; a
 * close that fails has closed nevertheless.
 */
static bool never_fails(long nr)
{
	return nr == SYS_close || nr == SYS_rt_sigprocmask || nr == SYS_futex ||
	       nr == SYS_gettid || nr == SYS_getpid || nr == SYS_brk ||
	       nr == SYS_set_robust_list || nr == SYS_rseq;
}

enum expected { FALLBACK, ERROR, EITHER };

/* Of the memory that others may read, which a pool can do without. */
static bool is_of_shared(const struct nth_call *call)
{
	return call->nr == SYS_mmap && call->arg[3] & MAP_SHARED &&
	       !(call->arg[3] & (MAP_FIXED_NOREPLACE_ | MAP_ANONYMOUS));
}

static enum expected expect_madvise(const struct nth_call *call, int error)
{
	if (is_of_shared(call - 1))
		return FALLBACK;
	switch ((int)call->arg[2]) {
	case MADV_DONTFORK:
		return ERROR;
	case MADV_WIPEONFORK: /* a handler of fork() does it */
		return error == ENOMEM ? ERROR : FALLBACK;
	case 23: /* MADV_POPULATE_WRITE, which the kernel knows otherwise */
		return ERROR;
	default: /* huge pages or not: as it comes */
		return FALLBACK;
	}
}

static struct nth nth;
static struct nth_call listed[NTH_CALLS_MAX];

/* Is it the next after one of that number, in a list that begins there? */
static bool follows(const struct nth_call *first, const struct nth_call *c,
		    long nr)
{
	return c > first && c[-1].nr == nr;
}

static enum expected expect(const struct kind *kind, const struct nth_call *c,
			    int error)
{
	if (kind->set == set_hugetlb)
		return EITHER; /* there may be none, whatever fails */
	switch (c->nr) {
	case SYS_mmap: /* but a stack for the check of sequences */
		return c->arg[3] & MAP_STACK || is_of_shared(c) ? FALLBACK
								: ERROR;
	case SYS_madvise:
		return expect_madvise(c, error);
	case SYS_mlock:
	case SYS_fstatfs:
		return ERROR;
	case SYS_newfstatat:
		/* Of the pool's own file? */
		if (follows(listed, c, SYS_memfd_create))
			return FALLBACK;
		return kind->set == set_memfd ? ERROR : FALLBACK;
	case SYS_mbind: /* a node that nobody named is optional */
		return kind->two_nodes || error == ENOSYS ? FALLBACK : ERROR;
	default:
		return FALLBACK;
	}
}

/* The documented errors, and that of the call. */
static bool is_documented(int err, int error)
{
	return err == -EINVAL || err == -ENOMEM || err == -EOPNOTSUPP ||
	       err == -error;
}

/* --- one fault --------------------------------------------------------- */

static int64_t stack_left; /* what the C library keeps of a thread */

static struct {
	unsigned made, fallbacks, errors, kept;
} count;

/* The fixture's second node is not there. */
static bool bind_anyway(const struct nth_call *call, int *error)
{
	*error = 0;
	return call->nr == SYS_mbind;
}

/* Checks what a child said, of a fault in `call`. */
static void judge(const struct kind *kind, const struct nth_call *call,
		  int error, int status, enum expected expected)
{
	const char *name = kind->name;
	const long nr = call->nr;

	CHECK_MSG(status == 0, "%s: call %ld fails with %d: ended with %d",
		  name, nr, error, status);
	CHECK_MSG(expected != FALLBACK || said->err == 0,
		  "%s: call %ld (arg2 %#" PRIx64
		  ") fails with %d: %d (%s), where it can do without",
		  name, nr, call->arg[2], error, said->err, said->why);
	CHECK_MSG(expected != ERROR || said->err != 0,
		  "%s: call %ld fails with %d, and nobody says so", name, nr,
		  error);
	if (said->err != 0) {
		CHECK_MSG(is_documented(said->err, error),
			  "%s: call %ld fails with %d: %d", name, nr, error,
			  said->err);
		CHECK_MSG(said->why[0] != '\0' && !said->is_out_set,
			  "%s: call %ld fails with %d: no word why", name, nr,
			  error);
	}
	if (nr == SYS_munmap || /* what is not unmapped stays, */
	    (nr == SYS_newfstatat && follows(nth.call, call, SYS_munmap))) {
		/* and a file of which it is not sure that it is the pool's */
		count.kept += said->left > 0;
		CHECK(said->left >= 0);
	} else {
		CHECK_MSG(said->is_same ||
				  (kind->first && said->left == stack_left),
			  "%s: call %ld fails with %d: %" PRId64
			  " bytes are left",
			  name, nr, error, said->left);
	}
	count.made++;
	if (said->err == 0)
		count.fallbacks++;
	else
		count.errors++;
}

static void fail_one(const struct kind *kind, unsigned at, int error,
		     bool always)
{
	enum expected expected =
		always ? EITHER : expect(kind, &listed[at], error);
	int status;

	nth.fail_at = at;
	nth.error = error;
	nth.always = always;
	status = nth_run(&nth, make, (void *)(uintptr_t)kind);
	/* A thread that came sooner or later this time, or moved the calls
	 * behind it. */
	if (nth.nr_failed == 0 || nth.call[at].nr != listed[at].nr ||
	    nth.call[at].arg[2] != listed[at].arg[2])
		return;
	CHECK(always || nth.nr_failed == 1);
	judge(kind, &nth.call[at], error, status, expected);
}

static const int *errors_of(long nr)
{
	static const int any[] = { EPERM, 0 };

	for (unsigned i = 0; i < NR_FAULTS; i++)
		if (faults[i].nr == nr)
			return faults[i].errors;
	return any;
}

/* Files of the kernel are many and alike: of each kind of call so many fail
 * with each error, the others with one that changes. */
#define EACH_ERROR_OF 3

static void fail_each(const struct kind *kind, unsigned nr_calls)
{
	unsigned so_far[512] = { 0 };

	for (unsigned at = 0; at < nr_calls; at++) {
		const long nr = listed[at].nr;
		const int *errors = errors_of(nr);
		unsigned n = 0, nth_of_kind;

		if (never_fails(nr) || nr < 0 || nr >= 512)
			continue;
		while (n < 5 && errors[n] != 0)
			n++;
		nth_of_kind = so_far[nr]++;
		for (unsigned i = 0; i < n; i++)
			if (long_form || nth_of_kind < EACH_ERROR_OF ||
			    i == nth_of_kind % n) {
				if (nth_of_kind == 0 && errors[i] != EINTR)
					fail_one(kind, at, errors[i], true);
				fail_one(kind, at, errors[i], false);
			}
	}
}

static bool fixture_is_there(void)
{
	static int known = -1;

	if (known < 0)
		known = fixture_as_sys("sys-two-node");
	return known;
}

static unsigned try_kind(const struct kind *kind)
{
	unsigned nr_calls;
	int status;

	if (kind->first && CHECK_HAS_ASAN) {
		printf("left out: %s (the sanitizer's threads need memory)\n",
		       kind->name);
		return 0;
	}
	if (kind->two_nodes && !fixture_is_there()) {
		printf("left out: %s (no mounts of one's own)\n", kind->name);
		return 0;
	}
	nth = (struct nth){ .fail_at = UINT32_MAX };
	nth.answer = kind->two_nodes ? bind_anyway : NULL;
	status = nth_run(&nth, make, (void *)(uintptr_t)kind);
	CHECK_EQ(status, 0);
	if (kind->set == set_hugetlb && said->err != 0)
		printf("hugetlb: %s; errors only\n", said->why);
	else if (kind->set == set_lock && said->err != 0)
		printf("lock: %s; errors only\n", said->why);
	else
		CHECK_MSG(said->err == 0, "%s: %s", kind->name, said->why);
	CHECK(!kind->two_nodes || said->nr_zones == 2);
	stack_left = said->left;
	CHECK(said->is_same || kind->first);
	nr_calls = nth.nr_calls;
	memcpy(listed, nth.call, sizeof(listed));
	fail_each(kind, nr_calls);
	printf("%-10s %3u system calls\n", kind->name, nr_calls);
	return nr_calls;
}

int main(int argc, char **argv)
{
	unsigned calls = 0, nr_kinds = 0;

	(void)argv;
	long_form = argc > 1;
	said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(said != MAP_FAILED);
	for (unsigned first = 2; first-- > 0;) {
		for (unsigned i = 0; i < NR_KINDS; i++)
			if (kinds[i].first == (first == 1) &&
			    (argc < 3 || strcmp(argv[2], kinds[i].name) == 0)) {
				unsigned n = try_kind(&kinds[i]);

				calls += n;
				nr_kinds += n > 0;
			}
		if (first == 1)
			warm_up();
	}
	CHECK(count.fallbacks > 0 && count.errors > 0);
	printf("figures: %u system calls of %u pools, %u failures made, %u "
	       "fallbacks, %u errors, %u kept by munmap\n",
	       calls, nr_kinds, count.made, count.fallbacks, count.errors,
	       count.kept);
	return 0;
}

#endif
