/* SPDX-License-Identifier: MIT */
/*
 * DPDK's mempool with an lcore cache, objects of a page; and its ring, the
 * quickest way for pages from one CPU to the other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "peer.h"

#define PAGE_BYTES 4096
#define CACHE 512

BENCH_INLINE uint64_t dpdk_pop(void *context)
{
	void *page = NULL;

	rte_mempool_get(context, &page);
	return (uint64_t)(uintptr_t)page;
}

BENCH_INLINE void dpdk_push(void *context, uint64_t page)
{
	rte_mempool_put(context, (void *)(uintptr_t)page);
}

BENCH_INLINE void dpdk_get(void *context, void **pages)
{
	if (rte_mempool_get_bulk(context, pages, BENCH_BULK) != 0)
		abort();
}

BENCH_INLINE void dpdk_put(void *context, void **pages)
{
	rte_mempool_put_bulk(context, pages, BENCH_BULK);
}

BENCH_PEER(dpdk, dpdk_pop, dpdk_push)
BENCH_PEER_BULK(dpdk, dpdk_get, dpdk_put)

/* A ring of pages that one side takes from and the other gives back to. */
BENCH_INLINE void ring_get(void *context, void **pages)
{
	while (rte_ring_sc_dequeue_bulk(context, pages, BENCH_BULK, NULL) == 0)
		rte_pause();
}

BENCH_INLINE void ring_put(void *context, void **pages)
{
	while (rte_ring_sp_enqueue_bulk(context, pages, BENCH_BULK, NULL) == 0)
		rte_pause();
}

static void ring_take_bulk(void *context, void **pages)
{
	ring_get(context, pages);
}

static void ring_give_bulk(void *context, void **pages)
{
	ring_put(context, pages);
}

/* Without huge pages, devices or files; what it says is not for the user. */
static bool start_eal(void)
{
	static bool started;
	static char name[] = "weir-bench", no_huge[] = "--no-huge",
		    no_pci[] = "--no-pci", memory[] = "-m", mib[] = "1600",
		    lcore[] = "-l", none[] = "0", va[] = "--iova-mode=va",
		    alone[] = "--no-shconf", no_telemetry[] = "--no-telemetry",
		    quiet[] = "--log-level=1";
	char *argv[] = { name, no_huge, no_pci, memory,	      mib,   lcore,
			 none, va,	alone,	no_telemetry, quiet, NULL };
	cpu_set_t set;

	if (started)
		return true;
	/* It binds the calling thread; put it back where it was. */
	CPU_ZERO(&set);
	pthread_getaffinity_np(pthread_self(), sizeof(set), &set);
	if (rte_eal_init(11, argv) < 0)
		return bench_cannot("DPDK does not start: %s",
				    rte_strerror(rte_errno));
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	started = true;
	return true;
}

static struct rte_mempool *make_mempool(const char *name, uint64_t pages)
{
	struct rte_mempool *pool =
		rte_mempool_create(name, (unsigned)pages, PAGE_BYTES, CACHE, 0,
				   NULL, NULL, NULL, NULL, SOCKET_ID_ANY,
				   RTE_MEMPOOL_F_NO_IOVA_CONTIG);

	if (pool == NULL)
		bench_cannot("no mempool: %s", rte_strerror(rte_errno));
	return pool;
}

static void *open_mempool(const struct bench_where *where, uint64_t pages)
{
	static struct rte_mempool *pools[4];
	static uint64_t sizes[4];
	char name[32];
	unsigned i;

	(void)where;
	if (!start_eal())
		return NULL;
	for (i = 0; i < 4 && sizes[i] != 0; i++)
		if (sizes[i] == pages)
			return pools[i];
	if (i == 4)
		abort();
	snprintf(name, sizeof(name), "pool%u", i);
	/* The caches of two lcores may hold some. */
	pools[i] = make_mempool(name, pages + 4 * CACHE);
	if (pools[i])
		sizes[i] = pages;
	return pools[i];
}

/* No more than that: the row is about what caches hold. */
static void *open_exact(const struct bench_where *where, uint64_t pages)
{
	static struct rte_mempool *pool;

	(void)where;
	if (pool == NULL && start_eal())
		pool = make_mempool("exact", pages);
	return pool;
}

/* Only lcores have a cache; a thread stays one until it ends. */
static bool enter_lcore(void *context)
{
	(void)context;
	if (rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() != 0)
		return bench_cannot("no lcore: %s", rte_strerror(rte_errno));
	return true;
}

static void *open_ring(const struct bench_where *where, uint64_t pages)
{
	static struct rte_ring *ring;
	static char objects[4096];

	(void)where, (void)pages;
	if (ring || !start_eal())
		return ring;
	ring = rte_ring_create("pages", 8192, SOCKET_ID_ANY,
			       RING_F_SP_ENQ | RING_F_SC_DEQ);
	for (unsigned i = 0; ring && i < 4096; i++)
		rte_ring_sp_enqueue(ring, objects + i);
	if (ring == NULL)
		bench_cannot("no ring: %s", rte_strerror(rte_errno));
	return ring;
}

static const struct bench_peer mempool = {
	.open = open_mempool,
	.enter = enter_lcore,
	BENCH_PEER_CODE(dpdk),
	BENCH_PEER_BULK_CODE(dpdk),
};

static const struct bench_peer ring = {
	.open = open_ring,
	.take_bulk = ring_take_bulk,
	.give_bulk = ring_give_bulk,
};

static const struct bench_peer exact = {
	.open = open_exact,
	.enter = enter_lcore,
	BENCH_PEER_CODE(dpdk),
};

/* How long it takes to make one of so many pages, and what it needs beside
 * them: a header an object, and its place in the ring. */
static bool create(const struct bench_row *row, const struct bench_where *where,
		   unsigned round, struct bench_result *result)
{
	struct rte_mempool *pool;
	double start;

	(void)where, (void)round;
	if (!start_eal())
		return false;
	start = bench_now_ns();
	pool = make_mempool("created", row->what);
	result->ns = bench_now_ns() - start;
	if (pool == NULL)
		return false;
	bench_extra(result, "metadata_bytes_per_page",
		    pool->header_size + pool->trailer_size +
			    (double)sizeof(void *));
	rte_mempool_free(pool);
	return true;
}

static const struct bench_row rows[] = {
	BENCH_PEER_PAIR_ROWS(&mempool),
	BENCH_PEER_BULK_PAIR_ROWS(&mempool),
	BENCH_PEER_ROWS(&mempool),
	BENCH_PEER_BULK_ROWS(&mempool),
	{ "cross", "bulk 32, ring", bench_peer_cross, 1, &ring, 15, 5, NULL },
	{ "churn", "1 GiB", bench_peer_churn, 1, &mempool, 15, 5, "1 GiB" },
	{ "empty", "8192 pages", bench_peer_empty, 0, &exact, 15, 5, NULL },
	{ "create", "1 GiB", create, 262144, NULL, 9, 3, NULL },
};

int main(int argc, char **argv)
{
	return bench_worker(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
