/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an allocation in a signal handler calls malloc(), for the
 * thread-local memory of a library that was loaded after its thread began; or
 * that memory is too large for programs that load the library late.
 */
#include <dlfcn.h>
#include <link.h>

#include <weir/weir.h>

#include "fast_build.h"
#include "helpers.h"

#define NR_OTHERS 24 /* libraries with thread-local memory of their own */
/* What glibc keeps for libraries that are loaded late is 512 bytes, for all of
 * them. */
#define TLS_MAX 128

/* The dynamic linker calls these. */
#define VISIBLE __attribute__((visibility("default")))

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static __thread volatile sig_atomic_t in_handler
	__attribute__((tls_model("initial-exec")));
static volatile sig_atomic_t nr_mallocs;

#if !CHECK_HAS_ASAN && !CHECK_HAS_TSAN /* whose own they are; skipped there */
VISIBLE void *malloc(size_t n)
{
	nr_mallocs += in_handler;
	return __libc_malloc(n);
}

VISIBLE void *calloc(size_t n, size_t size)
{
	nr_mallocs += in_handler;
	return __libc_calloc(n, size);
}

VISIBLE void *realloc(void *p, size_t n)
{
	nr_mallocs += in_handler;
	return __libc_realloc(p, n);
}
#endif

static int (*create)(struct weir_pool **, const struct weir_pool_opts *);
static void *(*alloc)(struct weir_pool *, unsigned, unsigned);
static void (*give)(struct weir_pool *, void *, unsigned);
static int (*get_mode)(const struct weir_pool *, unsigned);
static const char *(*last_error)(void);

static struct weir_pool *pool;
static event loaded;
static volatile sig_atomic_t handled;

/* All that the headers allow there: what works, and what fails. */
static void handler(int number)
{
	(void)number;
	in_handler = 1;
	give(pool, alloc(pool, 4, WEIR_NOWAIT), 4);
	give(pool, alloc(pool, 0, WEIR_NOWAIT), 0);
	if (alloc(pool, 8, WEIR_NOWAIT) == NULL &&
	    alloc(pool, 77, WEIR_NOWAIT) == NULL &&
	    alloc(pool, 0, WEIR_NOWAIT | 0x1000) == NULL &&
	    get_mode(pool, 1u << 20) == -EINVAL)
		handled = 1;
	in_handler = 0;
}

static void older_than_the_library(void *unused)
{
	(void)unused;
	await(&loaded, 1);
	raise(SIGUSR1);
	CHECK_EQ(handled, 1);
	CHECK_EQ(strncmp(last_error(), "cpu: 1048576 ", 13), 0);
	CHECK(alloc(pool, 19, WEIR_NOWAIT) == NULL);
	CHECK_EQ(strcmp(last_error(), "order: 19, the largest is 18"), 0);
	CHECK(alloc(pool, 0, 0x100) == NULL);
	CHECK_EQ(strcmp(last_error(), "flags: 0x100 has unknown bits"), 0);
}

static int tls_of(struct dl_phdr_info *info, size_t size, void *ctx)
{
	size_t *bytes = ctx;

	(void)size;
	if (strstr(info->dlpi_name, "libweir.so") == NULL)
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_TLS)
			*bytes += info->dlpi_phdr[i].p_memsz;
	return 0;
}

static void load(void)
{
	char path[PATH_MAX + 32];
	void *handle;

	build_source("other.c", "static __thread char own[4000];\n"
				"char *other(void);\n"
				"char *other(void) { return own; }\n");
	for (unsigned i = 0; i < NR_OTHERS; i++) {
		char out[32];

		snprintf(out, sizeof(out), "other%u.so", i);
		if (i == 0)
			CHECK_EQ(build("cc -O2 -fPIC -shared", "other.c", out),
				 0);
		else
			CHECK(snprintf(path, sizeof(path),
				       "cp %s/other0.so %s/%s", build_dir,
				       build_dir, out) > 0 &&
			      system(path) == 0);
		snprintf(path, sizeof(path), "%s/%s", build_dir, out);
		CHECK_MSG(dlopen(path, RTLD_NOW) != NULL, "%s", dlerror());
	}
	snprintf(path, sizeof(path), "%s/libweir.so", library_dir);
	handle = dlopen(path, RTLD_NOW);
	CHECK_MSG(handle != NULL, "%s", dlerror());
	*(void **)&create = dlsym(handle, "weir_pool_create");
	*(void **)&alloc = dlsym(handle, "weir_alloc");
	*(void **)&give = dlsym(handle, "weir_free");
	*(void **)&get_mode = dlsym(handle, "weir_get_mode");
	*(void **)&last_error = dlsym(handle, "weir_last_error");
	CHECK(create && alloc && give && get_mode && last_error);
}

int main(void)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct sigaction action = { .sa_handler = handler };
	struct runner runner;
	size_t tls = 0;

	build_begin();
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	start_on(&runner, allowed_cpu(0), older_than_the_library, NULL);
	load();
	opts.capacity = 128 * 4096;
	CHECK_EQ(create(&pool, &opts), 0);
	tell(&loaded);
	finish(&runner);
	CHECK_MSG(nr_mallocs == 0, "%d calls of malloc in a signal handler",
		  (int)nr_mallocs);
	dl_iterate_phdr(tls_of, &tls);
	CHECK_MSG(tls > 0 && tls <= TLS_MAX,
		  "libweir.so has %zu bytes of thread-local memory", tls);
	return 0;
}
