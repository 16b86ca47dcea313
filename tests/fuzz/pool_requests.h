/* SPDX-License-Identifier: MIT */
/*
 * Requests of a pool, against the same model. If this fails, one that could be
 * met was forgotten, or got what was not free. Included by pool.c alone.
 */
#ifndef WEIR_FUZZ_POOL_REQUESTS_H
#define WEIR_FUZZ_POOL_REQUESTS_H

#include <sys/eventfd.h>

#include <weir/request.h>

#define ASKED 4
#define ASKED_MAX 64 /* runs of a request */

static struct weir_stat check_stat(void);

static struct asked {
	struct weir_request request;
	void *pages[ASKED_MAX];
	bool waits;
} asked[ASKED];
static uint64_t asked_pages; /* completed in this run */
static int asked_event;

static void take_asked(struct asked *a)
{
	MUST(a->waits);
	a->waits = false;
	asked_pages += a->request.n << a->request.order;
	for (size_t i = 0; i < a->request.n; i++)
		take(a->pages[i], a->request.order, 0, -1);
	memset(&a->request, 0xee, sizeof(a->request));
}

static void on_done(struct weir_request *request, void *context)
{
	struct asked *a = context;

	MUST(request == &a->request);
	take_asked(a);
}

/* What an allocation may have completed. */
static void collect_asked(void)
{
	for (unsigned i = 0; i < ASKED; i++)
		if (asked[i].waits && asked[i].request.done == NULL &&
		    weir_request_is_done(&asked[i].request))
			take_asked(&asked[i]);
}

static bool any_asked(void)
{
	for (unsigned i = 0; i < ASKED; i++)
		if (asked[i].waits)
			return true;
	return false;
}

/* Nothing waits for what the zones have; or, after maintenance, for what is
 * anywhere. */
static void check_asked(bool anywhere)
{
	for (unsigned i = 0; i < ASKED; i++) {
		const struct weir_request *r = &asked[i].request;
		struct weir_stat_zone z = WEIR_STAT_ZONE_INIT;
		uint64_t in_zones = 0;

		if (!asked[i].waits)
			continue;
		for (unsigned zone = 0;
		     weir_stat_read_zone(m.pool, zone, &z) == 0; zone++)
			in_zones += z.free_runs[r->order];
		MUST(in_zones < r->n);
		MUST(!anywhere || nr_runs(r->order, -1) < r->n);
	}
}

static void cancel_asked(struct asked *a)
{
	MUST(weir_request_cancel(m.pool, &a->request) == 0);
	a->waits = false;
}

/* Submits a request, or cancels the one that is in its place. */
static void ask(struct bytes *b)
{
	struct asked *a = &asked[take_u8(b) % ASKED];
	const unsigned order = m.single ? 0 : take_any_order(b);
	const uint8_t how = take_u8(b);
	int ret;

	if (a->waits) {
		cancel_asked(a);
		return;
	}
	a->request = (struct weir_request)WEIR_REQUEST_INIT;
	a->request.order = order;
	a->request.n = 1 + how / 2 % ASKED_MAX;
	a->request.pages = a->pages;
	if (m.nr_slots + ASKED * ASKED_MAX > SLOTS_MAX)
		return;
	if (how & 1)
		a->request.fd = asked_event;
	else
		a->request.done = on_done;
	a->request.context = a;
	ret = weir_request_submit(m.pool, &a->request);
	if (ret == -ENOMEM) {
		MUST(count_runs(order, -1, false) < a->request.n);
		return;
	}
	MUST(ret == 0 || ret == 1);
	a->waits = true;
	if (ret == 1)
		take_asked(a);
	collect_asked();
	check_asked(false);
	check_stat();
}

static void end_asked(void)
{
	for (unsigned i = 0; i < ASKED; i++)
		if (asked[i].waits)
			cancel_asked(&asked[i]);
}

#endif
