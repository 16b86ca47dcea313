/* SPDX-License-Identifier: MIT */
/* Runs a target over files and folders of files, where there is no libFuzzer.
 */
#include "fuzz.h"

#include <dirent.h>

/* A target may have none. */
extern int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static unsigned nr_runs;

static void run_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "re");
	uint8_t *copy;
	size_t n;

	if (f == NULL)
		return;
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	/* Of its own size, so that reading past it is seen. */
	copy = malloc(n > 0 ? n : 1);
	MUST(copy != NULL);
	memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	nr_runs++;
}

static void run_path(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char file[4096];

	if (dir == NULL) {
		run_file(path);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] != '.')
			run_file(file);
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("figures: %u inputs of the corpus run, nothing new tried "
	       "(no libFuzzer)\n",
	       nr_runs);
	return 0;
}
