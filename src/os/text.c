/* SPDX-License-Identifier: MIT */
/*
 * A piece of memory for each thread, outside thread-local storage, which the
 * library keeps small (src/os/report.h).
 *
 * The key's destructor is the C library's free(): a function of this library
 * could be gone when the thread ends, where libweir.a is part of a plugin.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "os/os.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void make_key(void)
{
	has_key = pthread_key_create(&key, free) == 0;
}

/* A plugin that is loaded many times must not use up the keys. */
__attribute__((destructor)) static void drop_key(void)
{
	if (has_key)
		pthread_key_delete(key);
	has_key = false;
}

char *wi_os_thread_text(size_t len)
{
	const int saved = errno;
	char *text;

	pthread_once(&once, make_key);
	if (!has_key)
		return NULL;
	text = pthread_getspecific(key);
	if (text == NULL) {
		text = malloc(len);
		if (text != NULL && pthread_setspecific(key, text) != 0) {
			free(text);
			text = NULL;
		}
	}
	errno = saved;
	return text;
}
