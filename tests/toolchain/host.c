/* SPDX-License-Identifier: MIT */
/*
 * host PLUGIN...: loads each plugin, which is the program as a shared object,
 * runs it, and unloads it; several times over. If rseq_cs still points into a
 * plugin that is gone, the kernel kills the thread when it is preempted next:
 * another thread on the same CPU sees to that. The last use is a library call,
 * or an inlined one.
 */
#define _DEFAULT_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 6
#define MAX_PLUGINS 4

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000l + t.tv_nsec;
}

static void *preempt(void *arg)
{
	for (;;)
		usleep(1000);
	return arg;
}

static void *find(void *handle, const char *name)
{
	void *symbol = dlsym(handle, name);

	if (symbol == NULL) {
		printf("%s\n", dlerror());
		_exit(1);
	}
	return symbol;
}

int main(int argc, char **argv)
{
	int (*run)(void), (*last[MAX_PLUGINS])(int), i, round, failed = 0;
	void *handle[MAX_PLUGINS];
	pthread_t thread;
	long end;

	if (pthread_create(&thread, NULL, preempt, NULL) != 0)
		return 2;
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < argc - 1; i++) {
			handle[i] = dlopen(argv[i + 1], RTLD_NOW);
			if (handle[i] == NULL) {
				printf("%s\n", dlerror());
				return 1;
			}
			*(void **)&run = find(handle[i], "toolchain_run");
			*(void **)&last[i] = find(handle[i], "toolchain_last");
			if (round < 2)
				failed |= run();
		}
		for (i = 0; i < argc - 1; i++) {
			failed |= last[i](round & 1);
			dlclose(handle[i]);
		}
		for (end = now_ns() + 5000000; now_ns() < end;)
			;
		for (i = 0; i < argc - 1; i++)
			if (dlopen(argv[i + 1], RTLD_NOW | RTLD_NOLOAD)) {
				printf("%s is still loaded\n", argv[i + 1]);
				failed = 1;
			}
	}
	return failed;
}
