/* SPDX-License-Identifier: MIT */
/*
 * If this fails, AddressSanitizer or valgrind do not see a use of a freed page
 * of a checked pool, though the program or the library was built with them; or
 * they see one where there is none.
 */
#include <sys/wait.h>

#include "fast_build.h"

/* Uses a page of a pool that WEIR_CHECKED makes a checked one; with an
 * argument also after it is freed, which is read only. */
static const char program[] =
	"#include <string.h>\n"
	"#include <weir/fast.h>\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;\n"
	"	struct weir_pool *pool;\n"
	"	volatile char *page;\n"
	"	int sum = 0;\n"
	"	(void)argv;\n"
	"	opts.capacity = 1 << 20;\n"
	"	if (weir_pool_create(&pool, &opts) != 0)\n"
	"		return 3;\n"
	"	for (int i = 0; i < 20; i++) {\n"
	"		page = weir_fast_alloc(pool, 2, 0);\n"
	"		memset((void *)page, i, 4 * 4096);\n"
	"		sum += page[4 * 4096 - 1];\n"
	"		weir_fast_free(pool, (void *)page, 2);\n"
	"	}\n"
	"	if (argc > 1)\n"
	"		sum += page[4096 + 5];\n"
	"	if (weir_pool_destroy(pool, 0) != 0)\n"
	"		return 4;\n"
	"	return sum == 190 ? 0 : 5;\n"
	"}\n";

static int run(const char *how, const char *argument, const char *words)
{
	char command[512];
	int status;

	snprintf(command, sizeof(command),
		 "cd %s && WEIR_CHECKED=1 %s ./program %s >said 2>&1; "
		 "status=$?; %s%s%s exit $status",
		 build_dir, how, argument, words ? "grep -q '" : "",
		 words ? words : "",
		 words ? "' said || { cat said; exit 99; };" : "");
	status = system(command);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void address_sanitizer(const char *compiler)
{
	char how[128];

	snprintf(how, sizeof(how),
		 "command -v %s >/dev/null && %s -O2 -g -fsanitize=address",
		 compiler, compiler);
	if (build(how, "program.c", "program") != 0) {
		printf("%s: no AddressSanitizer here\n", compiler);
		return;
	}
	CHECK_EQ(run("", "", NULL), 0);
	CHECK(run("", "late", "use-after-poison") != 0);
	printf("%s: seen by AddressSanitizer\n", compiler);
}

static void valgrind(void)
{
	if (access("/usr/include/valgrind/memcheck.h", R_OK) != 0 ||
	    system("valgrind --version >/dev/null 2>&1") != 0) {
		printf("no valgrind here\n");
		return;
	}
	CHECK_EQ(build("cc -O2 -g", "program.c", "program"), 0);
	CHECK_EQ(run("", "", NULL), 0);
	/* 3.19 gives up on what clang 14 writes by default. */
	if (run("valgrind -q", "", "debuginfo reader") != 99) {
		printf("left out: valgrind (it cannot read this library's "
		       "debug information)\n");
		return;
	}
	CHECK_EQ(run("valgrind -q --error-exitcode=9", "", NULL), 0);
	CHECK_EQ(run("valgrind -q --error-exitcode=9", "late",
		     "Invalid read of size 1"),
		 9);
	printf("seen by valgrind\n");
}

int main(void)
{
	build_begin();
	build_source("program.c", program);
	address_sanitizer("gcc");
	address_sanitizer("clang");
	valgrind();
	return 0;
}
