/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a thread dies after a plugin that inlined weir/fast.h was
 * unloaded: its rseq_cs still points into the plugin, and the kernel kills it
 * when it is preempted next.
 */
#include "fast_build.h"
#include "helpers.h"

#include <dlfcn.h>

static const char plugin[] =
	"#include <weir/fast.h>\n"
	"static struct weir_pool *pool;\n"
	"int plugin_begin(void);\n"
	"int plugin_use(void);\n"
	"int plugin_end(void);\n"
	"int plugin_begin(void)\n"
	"{\n"
	"	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;\n"
	"	opts.capacity = 1 << 20;\n"
	"	return weir_pool_create(&pool, &opts);\n"
	"}\n"
	"int plugin_use(void)\n"
	"{\n"
	"	void *pages[8];\n"
	"	struct weir_burst burst;\n"
	"	weir_burst_begin(pool, &burst);\n"
	"	weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);\n"
	"	weir_burst_end(pool, &burst);\n"
	"	if (weir_fast_alloc_bulk(pool, 0, pages, 8, 0) != 0)\n"
	"		return 1;\n"
	"	weir_fast_free_bulk(pool, 0, pages, 8);\n"
	"	weir_fast_tick(pool);\n"
	"	weir_fast_free(pool, weir_fast_alloc(pool, 0, 0), 0);\n"
	"	return 0;\n"
	"}\n"
	"int plugin_end(void)\n"
	"{\n"
	"	return weir_pool_destroy(pool, 0);\n"
	"}\n";

static int (*use)(void), (*quit)(void);
static event used, unloaded;

/* Uses the plugin last of all, and is preempted when it has gone. */
static void outlive(void *unused)
{
	const uint64_t spin = 60000000;
	uint64_t end;

	(void)unused;
	CHECK_EQ(use(), 0);
	tell(&used);
	await(&unloaded, 1);
	for (end = now_ns() + spin; now_ns() < end;)
		;
}

static void with(const char *how)
{
	struct runner runner[3];
	char path[64];
	int (*begin)(void);
	void *handle;

	CHECK_MSG(build(how, "plugin.c", "plugin.so") == 0, "%s", how);
	snprintf(path, sizeof(path), "%s/plugin.so", build_dir);
	handle = dlopen(path, RTLD_NOW);
	CHECK_MSG(handle != NULL, "%s", dlerror());
	*(void **)&begin = dlsym(handle, "plugin_begin");
	*(void **)&use = dlsym(handle, "plugin_use");
	*(void **)&quit = dlsym(handle, "plugin_end");
	CHECK(begin != NULL && use != NULL && quit != NULL);
	CHECK_EQ(begin(), 0);
	used = unloaded = 0;
	for (unsigned i = 0; i < 3; i++) /* three on one CPU */
		start_on(&runner[i], allowed_cpu(0), outlive, NULL);
	await(&used, 3);
	CHECK_EQ(use(), 0);
	CHECK_EQ(quit(), 0);
	CHECK_EQ(dlclose(handle), 0);
	CHECK_MSG(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL,
		  "the plugin is still loaded");
	tell(&unloaded);
	for (unsigned i = 0; i < 3; i++)
		finish(&runner[i]);
}

int main(void)
{
	build_begin();
	build_source("plugin.c", plugin);
	with("cc -O2 -fPIC -shared");
	with("cc -O0 -fPIC -shared");
	with("cc -O2 -fpic -shared -fno-plt");
	return 0;
}
