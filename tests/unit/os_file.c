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
	unlink(path);
	CHECK_EQ(wi_os_read_file(path, buf, sizeof(buf)), -ENOENT);
	CHECK_EQ(wi_os_read_file("/", buf, sizeof(buf)), -EISDIR);
	CHECK_EQ(wi_os_read_file("/proc/self/stat", buf, 0), -EINVAL);
	CHECK_EQ(errno, E2BIG);
	return 0;
}
