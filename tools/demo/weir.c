/* SPDX-License-Identifier: MIT */
/*
 * weir as a way of the demo: its pool in each of three modes; and `none`, the
 * same pool with WEIR_NOWAIT, which is what an allocator does that cannot
 * drain another CPU's lists.
 */
#include <stdio.h>
#include <stdlib.h>

#include <weir/fast.h>
#include <weir/stat.h>

#include "demo/weir.h"

struct weir_way {
	struct weir_pool *pool;
	char *base;
};

static void *weir_setup(const struct demo_way *way,
			const struct demo_machine *machine, uint64_t wait_ns,
			const char **why)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_way *self = calloc(1, sizeof(*self));
	char owner[16];
	void *base;

	*why = "no memory";
	if (!self)
		return NULL;
	snprintf(owner, sizeof(owner), "%u", machine->owner_cpu);
	opts.capacity = (uint64_t)DEMO_PAGES * DEMO_PAGE_SIZE;
	opts.page_size = DEMO_PAGE_SIZE;
	opts.node = machine->node; /* one zone, as the others have */
	opts.list_limit = DEMO_LIST_LIMIT;
	opts.quiet_cpus = way->mode == WEIR_MODE_QUIET ? owner : "";
	opts.polling_cpus = way->mode == WEIR_MODE_POLLING ? owner : "";
	opts.wait_ns = wait_ns;
	opts.name = way->name;
	if (weir_pool_create(&self->pool, &opts) != 0) {
		*why = weir_last_error();
		free(self);
		return NULL;
	}
	if (way->is_weir &&
	    weir_get_mode(self->pool, machine->owner_cpu) != (int)way->mode) {
		*why = machine->has_sequences ? "no membarrier"
					      : "no restartable sequences";
		weir_pool_destroy(self->pool, 0);
		free(self);
		return NULL;
	}
	weir_pool_range(self->pool, &base, NULL, NULL);
	self->base = base;
	return self;
}

static bool weir_teardown(void *pool)
{
	struct weir_way *self = pool;
	bool complete = weir_pool_destroy(self->pool, 0) == 0;

	if (!complete)
		weir_pool_destroy(self->pool, WEIR_DESTROY_FORCE);
	free(self);
	return complete;
}

static uint64_t number_of(const struct weir_way *self, const void *page)
{
	if (!page)
		return DEMO_NONE;
	return (uint64_t)((const char *)page - self->base) / DEMO_PAGE_SIZE;
}

static uint64_t weir_get(void *pool)
{
	struct weir_way *self = pool;

	return number_of(self, weir_fast_alloc(self->pool, 0, WEIR_NOWAIT));
}

static void weir_put(void *pool, uint64_t page)
{
	struct weir_way *self = pool;

	weir_fast_free(self->pool, self->base + page * DEMO_PAGE_SIZE, 0);
}

static void weir_pairs(void *pool, unsigned n)
{
	struct weir_pool *its = ((struct weir_way *)pool)->pool;

	while (n-- > 0) {
		void *page = weir_fast_alloc(its, 0, WEIR_NOWAIT);

		if (page)
			weir_fast_free(its, page, 0);
	}
}

static uint64_t weir_rescue(void *pool)
{
	struct weir_way *self = pool;

	return number_of(self, weir_alloc(self->pool, 0, 0));
}

static void weir_back(void *pool)
{
	weir_fast_tick(((struct weir_way *)pool)->pool);
}

static void weir_count(void *pool, struct demo_counts *counts)
{
	struct weir_stat stat = WEIR_STAT_INIT;

	weir_stat_read(((struct weir_way *)pool)->pool, &stat);
	counts->pending = stat.pending;
	counts->membarriers = stat.membarriers;
}

#define WEIR_WAY                                                               \
	.setup = weir_setup, .teardown = weir_teardown, .get = weir_get,       \
	.put = weir_put, .pairs = weir_pairs, .tick = weir_back,               \
	.count = weir_count

const struct demo_way demo_none = {
	.name = "none",
	.mode = WEIR_MODE_ORDINARY,
	WEIR_WAY,
	.rescue = weir_get,
};

const struct demo_way demo_ordinary = {
	.name = "weir-ordinary",
	.mode = WEIR_MODE_ORDINARY,
	.is_weir = true,
	WEIR_WAY,
	.rescue = weir_rescue,
};

const struct demo_way demo_quiet = {
	.name = "weir-quiet",
	.mode = WEIR_MODE_QUIET,
	.is_weir = true,
	WEIR_WAY,
	.rescue = weir_rescue,
};

const struct demo_way demo_polling = {
	.name = "weir-polling",
	.mode = WEIR_MODE_POLLING,
	.is_weir = true,
	.leaves_pending = true,
	WEIR_WAY,
	.rescue = weir_rescue,
};
