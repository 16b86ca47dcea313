/* SPDX-License-Identifier: MIT */
/*
 * host PLUGIN...: loads each plugin, which is the program as a shared object,
 * runs it in threads that stay, and unloads it; twice over. If a thread's
 * rseq_cs still points into a plugin that is gone, the kernel kills it when it
 * is preempted next: the threads share one CPU.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define THREADS 2
#define MAX_PLUGINS 4

static int (*run[MAX_PLUGINS])(void);
static int nr_plugins, failed;
static pthread_barrier_t loaded, used, unloaded;

static void spin_ns(long ns)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begin.tv_sec) * 1000000000l + now.tv_nsec -
		       begin.tv_nsec <
	       ns);
}

/* One after the other, as the program is not for several threads. */
static void *use(void *arg)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	int i, round;

	for (round = 0; round < 2; round++) {
		pthread_barrier_wait(&loaded);
		pthread_mutex_lock(&mutex);
		for (i = 0; i < nr_plugins; i++)
			failed |= run[i]();
		pthread_mutex_unlock(&mutex);
		pthread_barrier_wait(&used);
		pthread_barrier_wait(&unloaded);
		spin_ns(30000000);
	}
	return arg;
}

int main(int argc, char **argv)
{
	void *handle[MAX_PLUGINS];
	pthread_t thread[THREADS];
	int i, round;

	nr_plugins = argc - 1;
	pthread_barrier_init(&loaded, NULL, THREADS + 1);
	pthread_barrier_init(&used, NULL, THREADS + 1);
	pthread_barrier_init(&unloaded, NULL, THREADS + 1);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, use, NULL) != 0)
			return 2;
	for (round = 0; round < 2; round++) {
		for (i = 0; i < nr_plugins; i++) {
			handle[i] = dlopen(argv[i + 1], RTLD_NOW);
			if (handle[i] == NULL) {
				printf("%s\n", dlerror());
				return 1;
			}
			*(void **)&run[i] = dlsym(handle[i], "toolchain_run");
			if (run[i] == NULL)
				return 1;
		}
		pthread_barrier_wait(&loaded);
		pthread_barrier_wait(&used);
		for (i = 0; i < nr_plugins; i++)
			dlclose(handle[i]);
		for (i = 0; i < nr_plugins; i++)
			if (dlopen(argv[i + 1], RTLD_NOW | RTLD_NOLOAD)) {
				printf("%s is still loaded\n", argv[i + 1]);
				failed = 1;
			}
		pthread_barrier_wait(&unloaded);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	return failed;
}
