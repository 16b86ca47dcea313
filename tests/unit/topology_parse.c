/* SPDX-License-Identifier: MIT */
/*
 * If this fails, an option or a file of the kernel names other CPUs than were
 * meant, or a typing error passes for a list.
 */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "os/topology.h"

static const struct {
	const char *list, *means;
} right[] = {
	{ "", "" },
	{ "\n", "" },
	{ "  \t\n", "" },
	{ "0", "0" },
	{ "2-7,9", "2-7,9" },
	{ "2-7,9\n", "2-7,9" },
	{ "  2-7,9 \n", "2-7,9" },
	{ "9,2-7", "2-7,9" },
	{ "3,3,3-3", "3" },
	{ "0-3,2-5", "0-5" },
	{ "63,64", "63-64" },
	{ "007", "7" },
	{ "8191", "8191" },
	{ "0-8191", "0-8191" },
	{ "0-15:2/4", "0-1,4-5,8-9,12-13" },
	{ "1-10:1/3", "1,4,7,10" },
	{ "0-7:4/4", "0-7" },
	{ "0-7:1/8192", "0" },
	{ "0-8191:1/4096", "0,4096" },
	{ "4-4:1/2,8", "4,8" },
};

static const char *const wrong[] = {
	",",	      ",1",
	"1,",	      "1,,2",
	"1, 2",	      "1 2",
	"1 ,2",	      "-",
	"-1",	      "1-",
	"1-2-3",      "5-2",
	"a",	      "1a",
	"0x3",	      "1;2",
	"all",	      "N",
	"8192",	      "0-8192",
	"4294967296", "18446744073709551617",
	"0-15:",      "0-15:2",
	"0-15:/4",    "0-15:2/",
	"0-15:0/4",   "0-15:5/4",
	"0-15:2/0",   "0-15:0/0",
	"3:1/2",      "0-15:2/4x",
	"(null)",     "+1",
	"1.5",	      "99999999999999999999999-1",
};

int main(void)
{
	static struct wi_cpuset set, again;
	char text[64], small[4];
	const char *why;

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		int length;

		why = NULL;
		CHECK_MSG(!wi_cpuset_parse(&set, right[i].list, &why),
			  "\"%s\" is refused: %s", right[i].list, why);
		length = wi_cpuset_format(&set, text, sizeof(text));
		CHECK_MSG(!strcmp(text, right[i].means), "\"%s\" is \"%s\"",
			  right[i].list, text);
		CHECK_EQ(length, strlen(text));
		CHECK_EQ(wi_cpuset_parse(&again, text, NULL), 0);
		CHECK(!memcmp(&set, &again, sizeof(set)));
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		why = NULL;
		memset(&set, 0xff, sizeof(set));
		CHECK_MSG(wi_cpuset_parse(&set, wrong[i], &why) == -EINVAL,
			  "\"%s\" passes", wrong[i]);
		CHECK_MSG(why && strlen(why) > 10, "\"%s\": no reason",
			  wrong[i]);
		CHECK(wi_cpuset_is_empty(&set));
		CHECK_EQ(wi_cpuset_parse(&set, wrong[i], NULL), -EINVAL);
	}

	/* A list that just fits, and ones that do not. */
	CHECK_EQ(wi_cpuset_parse(&set, "1-2", NULL), 0);
	CHECK_EQ(wi_cpuset_format(&set, small, 4), 3);
	CHECK(!strcmp(small, "1-2"));
	CHECK_EQ(wi_cpuset_format(&set, small, 3), -ENOSPC);
	CHECK(!strcmp(small, ""));
	CHECK_EQ(wi_cpuset_format(&set, NULL, 0), -ENOSPC);
	wi_cpuset_zero(&set);
	CHECK_EQ(wi_cpuset_format(&set, small, 1), 0);
	return 0;
}
