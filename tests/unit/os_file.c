/* SPDX-License-Identifier: MIT */
/* If this fails, half of a list of CPUs is taken for the whole. */
#include "os/os.h"
#include "os_system.h"

static char path[] = "/tmp/weir-os-file-XXXXXX";

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	CHECK(file);
	CHECK(fputs(text, file) >= 0);
	CHECK_EQ(fclose(file), 0);
}

/* Lines are found in files of any length, wherever they begin. */
static void check_lines(void)
{
	static const struct {
		const char *text;
		int result;
		const char *seen;
	} rows[] = {
		{ "", -ENODATA, "" },
		{ "key", -ENODATA, "" },
		{ "key:", 0, "" },
		{ "key:\n", 0, "" },
		{ "key:1\nkey:2\n", 1, "1" },
		{ "a\nke:3\n key:4\nkey:5", 1, "5" },
		{ "kkey:6\nkey\n:7\nkey:key:", 4, "key:" },
		{ "key:1234567\n", 7, "1234567" },
		{ "key:12345678\n", -EFBIG, "" },
	};
	static char text[3000];
	char buf[8];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int got;

		write_file(rows[i].text);
		got = wi_os_read_line(path, "key:", buf, sizeof(buf));
		CHECK_MSG(got == rows[i].result && !strcmp(buf, rows[i].seen),
			  "line %zu: %d, \"%s\"", i, got, buf);
	}
	for (size_t before = 400; before < 2600; before++) {
		memset(text, 'k', before);
		strcpy(text + before, "\nkey:89\n\n");
		write_file(text);
		CHECK_EQ(wi_os_read_line(path, "key:", buf, sizeof(buf)), 2);
		CHECK(!strcmp(buf, "89"));
	}
}

int main(void)
{
	static const struct {
		const char *text;
		int result;
		const char *seen;
	} rows[] = {
		{ "", 0, "" },
		{ "\n", 0, "" },
		{ "0-3\n", 3, "0-3" },
		{ "0-3", 3, "0-3" },
		{ "a\n\n", 2, "a\n" },
		{ "1234567", 7, "1234567" },
		{ "123456\n", 6, "123456" },
		{ "12345678", -EFBIG, "" },
		{ "1234567\n", -EFBIG, "" },
		{ "123456789", -EFBIG, "" },
	};
	char buf[8];
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	close(fd);
	errno = E2BIG;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int got;

		write_file(rows[i].text);
		got = wi_os_read_file(path, buf, sizeof(buf));
		CHECK_MSG(got == rows[i].result && !strcmp(buf, rows[i].seen),
			  "row %zu: %d, \"%s\"", i, got, buf);
	}
	check_lines();
	unlink(path);
	CHECK_EQ(wi_os_read_line(path, "a:", buf, sizeof(buf)), -ENOENT);
	CHECK_EQ(wi_os_read_line("/", "a:", buf, sizeof(buf)), -EISDIR);
	CHECK_EQ(wi_os_read_line("/proc/self/stat", "a", buf, 0), -EINVAL);
	CHECK_EQ(wi_os_read_file(path, buf, sizeof(buf)), -ENOENT);
	CHECK_EQ(wi_os_read_file("/", buf, sizeof(buf)), -EISDIR);
	CHECK_EQ(wi_os_read_file("/proc/self/stat", buf, 0), -EINVAL);
	CHECK_EQ(errno, E2BIG);
	return 0;
}
