/* SPDX-License-Identifier: MIT */
/* Requests in the rows of lists.h, one of each thread: each is completed once
 * or cancelled, and none is forgotten. */
#include "interleave/play.h"

#include <errno.h>
#include <string.h>

#include "interleave/os.h"

/* It is its thread's again, which may do with the struct as it likes. */
static void take_asked(unsigned t)
{
	struct asked *asked = &w.asked[t];

	EXPECT(asked->waits);
	for (unsigned i = 0; i < w.row->asks; i++)
		play_hold(t, w.row->door == POOL
				     ? play_token_of(asked->to.page[i])
				     : asked->to.token[i]);
	asked->waits = false;
	memset(&asked->request, 0xee, sizeof(asked->request));
}

static void on_event(int fd)
{
	EXPECT(fd >= 0 && fd < SCHED_THREADS_MAX && !w.asked[fd].told);
	w.asked[fd].told = true;
	if (w.asked[fd].waits)
		take_asked((unsigned)fd);
}

static void on_callback(struct weir_request *request, void *context)
{
	const unsigned t = (unsigned)(uintptr_t)context;

	EXPECT(request == &w.asked[t].request && !w.asked[t].told);
	w.asked[t].told = true;
	take_asked(t);
}

void asks_submit(unsigned t, bool calls_back)
{
	struct asked *asked = &w.asked[t];
	int ret;

	*asked = (struct asked){ .request = WEIR_REQUEST_INIT, .waits = true };
	asked->request.n = w.row->asks;
	asked->request.pages = asked->to.page;
	asked->request.tokens = asked->to.token;
	if (calls_back) {
		asked->request.done = on_callback;
		asked->request.context = (void *)(uintptr_t)t;
	} else {
		asked->request.fd = (int)t;
	}
	ret = w.row->door == POOL
		      ? weir_request_submit(w.pool, &asked->request)
		      : weir_cache_request_submit(w.cache, &asked->request);
	EXPECT(ret == 0 || ret == 1);
	if (ret == 1) {
		EXPECT(!asked->told);
		asked->told = true;
		take_asked(t);
	}
}

void asks_cancel(unsigned t)
{
	struct asked *asked = &w.asked[t];
	int ret;

	if (!asked->waits)
		return;
	ret = w.row->door == POOL
		      ? weir_request_cancel(w.pool, &asked->request)
		      : weir_cache_request_cancel(w.cache, &asked->request);
	EXPECT(ret == 0 || ret == -EALREADY);
	if (ret == 0) {
		EXPECT(!asked->told);
		asked->waits = false;
		memset(&asked->request, 0xee, sizeof(asked->request));
	}
}

/* As a loop that does not wait for the eventfd. */
void asks_look(unsigned t)
{
	/* The event may come between the two. */
	if (w.asked[t].waits && weir_request_is_done(&w.asked[t].request) &&
	    w.asked[t].waits)
		take_asked(t);
}

static bool is_alone(void)
{
	for (unsigned t = 0; t < SCHED_THREADS_MAX; t++)
		if (w.in_call[t] && t != sched_self())
			return false;
	return true;
}

static void on_unlock_of_requests(void)
{
	if (w.maintaining && sched_self() < SCHED_THREADS_MAX &&
	    w.in_call[sched_self()])
		w.alone_at_unlock = is_alone();
}

static bool is_in_queue(const struct asked *asked)
{
	const struct wi_request *request = w.lists->requests.first;

	while (request != NULL && request->callers != &asked->request)
		request = request->next;
	return request != NULL;
}

/* All that waited before, if for all of it enough stayed where it was: in lists
 * and zones, and in the hands of no other call. (Lists of one token: no call
 * moves tokens from zones to lists.) */
void asks_maintain(void)
{
	unsigned wanted = 0, stayed = 0;
	bool waited[SCHED_THREADS_MAX];
	int err;

	for (unsigned t = 0; t < SCHED_THREADS_MAX; t++) {
		waited[t] = w.asked[t].waits && is_in_queue(&w.asked[t]);
		wanted += waited[t] ? w.row->asks : 0;
	}
	for (unsigned i = 0; i < w.nr_tokens; i++)
		w.stays[i] = w.place[i] < HELD;
	w.alone = is_alone();
	w.maintaining = true;
	err = w.row->door == POOL ? weir_maintain(w.pool, 0, NULL)
				  : weir_cache_maintain(w.cache, NULL);
	w.maintaining = false;
	EXPECT(err == 0 || err == -EAGAIN || err == -ETIMEDOUT);
	for (unsigned i = 0; i < w.nr_tokens; i++)
		stayed += w.stays[i];
	if (err != 0 || stayed < wanted || !w.alone || !w.alone_at_unlock)
		return;
	for (unsigned t = 0; t < SCHED_THREADS_MAX; t++)
		if (waited[t] && is_in_queue(&w.asked[t]))
			sched_fail("a request of thread %u was forgotten, %u "
				   "tokens stayed free",
				   t, stayed);
}

/* --- before and after ----------------------------------------------------- */

/* A request that cannot be met, as a thread has all tokens, most of which are
 * given back then, the lowest first. */
void asks_let_one_wait(void)
{
	const unsigned nobody = SCHED_THREADS_MAX - 1;

	while (w.held[nobody].n < w.nr_tokens)
		play_get(nobody, 0);
	asks_submit(nobody, false);
	EXPECT(w.asked[nobody].waits);
	while (w.held[nobody].n > w.row->keeps)
		play_put(nobody, 1);
}

void asks_listen(void)
{
	interleave_machine.event = on_event;
	interleave_machine.unlocking_other = on_unlock_of_requests;
}

/* Who still waits gives up; the others were told once. */
void asks_end(void)
{
	interleave_machine.event = NULL;
	interleave_machine.unlocking_other = NULL;
	for (unsigned t = 0; t < SCHED_THREADS_MAX; t++) {
		asks_cancel(t);
		EXPECT(!w.asked[t].waits);
	}
	EXPECT(w.lists->requests.first == NULL);
	EXPECT(w.lists->requests.nr_waiting == 0);
	EXPECT(w.lists->requests.nr_events == 0);
}
