/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a program that includes weir/fast.h does not compile, or does
 * something else, without optimisation, with much of it, or as C++.
 */
#include "fast_build.h"

static const char program[] =
	"#include <weir/fast.h>\n"
	"#include <stdlib.h>\n"
	"int main(void)\n"
	"{\n"
	"	struct weir_pool_opts opts = { sizeof(opts), 0, 0,\n"
	"		WEIR_BACKING_ANON, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
	"0 "
	"};\n"
	"	struct weir_pool *pool;\n"
	"	void *page[600], *run;\n"
	"	unsigned i, k, order = 3;\n"
	"	opts.capacity = 600 * 4096;\n"
	"	if (weir_pool_create(&pool, &opts) != 0)\n"
	"		return 1;\n"
	"	for (k = 0; k < 4; k++) {\n"
	"		weir_set_mode(pool, NULL, k & 1 ? WEIR_MODE_QUIET :\n"
	"					  WEIR_MODE_ORDINARY);\n"
	"		for (i = 0; i < 600; i++) {\n"
	"			page[i] = weir_fast_alloc(pool, 0, 0);\n"
	"			if (page[i] == NULL)\n"
	"				return 2;\n"
	"			*(char *)page[i] = 1;\n"
	"		}\n"
	"		if (weir_fast_alloc(pool, 0, WEIR_NOWAIT) != NULL)\n"
	"			return 3;\n"
	"		for (i = 0; i < 300; i++)\n"
	"			weir_fast_free(pool, page[i], 0);\n"
	"		weir_fast_free_bulk(pool, 0, page + 300, 300);\n"
	"		if (weir_fast_alloc_bulk(pool, 0, page, 40, 0) != 0)\n"
	"			return 4;\n"
	"		weir_fast_free_bulk(pool, 0, page, 40);\n"
	"		run = weir_fast_alloc(pool, order, WEIR_ZERO);\n"
	"		if (run == NULL)\n"
	"			return 5;\n"
	"		weir_fast_free(pool, run, order);\n"
	"		run = weir_fast_alloc(pool, 9, 0);\n"
	"		if (run == NULL)\n"
	"			return 6;\n"
	"		weir_fast_free(pool, run, 9);\n"
	"		weir_fast_tick(pool);\n"
	"	}\n"
	"	return weir_pool_destroy(pool, 0) == 0 ? 0 : 7;\n"
	"}\n";

int main(void)
{
	static const char *const ways[] = {
		"cc -O0 -std=c11",	 "cc -O1 -std=c11",
		"cc -O2 -std=c11",	 "cc -O3 -std=gnu17 -march=native",
		"cc -O2 -fPIC -std=c11", "cc -Os -no-pie -std=c11",
		"c++ -O0 -std=c++17",	 "c++ -O2 -std=c++17",
	};
	const int has_cxx = system("c++ --version >/dev/null 2>&1") == 0;
	char run[64];

	build_begin();
	build_source("user.c", program);
	build_source("user.cc", program);
	snprintf(run, sizeof(run), "%s/user", build_dir);
	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const int cxx = strncmp(ways[i], "c++", 3) == 0;

		if (cxx && !has_cxx)
			continue;
		CHECK_MSG(build(ways[i], cxx ? "user.cc" : "user.c", "user") ==
				  0,
			  "%s: does not build", ways[i]);
		CHECK_MSG(system(run) == 0, "%s: fails", ways[i]);
	}
	return 0;
}
