/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a claim that loses what it was about to take keeps a ticket,
 * a bit or a block, or does not say that it gave them back.
 *
 * Another claim has to come between a claim's look and its first write. The
 * zone's states are made read-only, so that this write faults; the handler
 * makes them writable, takes what the claim saw, and lets it go on.
 */
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "zone/layout.h"

#define NR_BLOCKS                                                              \
	UINT64_C(16384) /* states: 64 KiB, some pages of their own             \
			 */
#define NR_PAGES (NR_BLOCKS * WI_BLOCK_PAGES)

static struct wi_zone *zone;
static char *states;
static size_t states_bytes;
static void (*between)(void);
static volatile sig_atomic_t nr_faults;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	char *at = info->si_addr;

	(void)signal;
	(void)context;
	if (at < states || at >= states + states_bytes || nr_faults++ > 0)
		_exit(3);
	mprotect(states, states_bytes, PROT_READ | PROT_WRITE);
	between();
}

/* The states end up on pages of their own: memory begins where they do. */
static void make(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = wi_zone_bytes(NR_PAGES) + 2 * page;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t offset = sizeof(struct wi_zone) + NR_BLOCKS * 64;
	struct sigaction action = { .sa_sigaction = on_fault,
				    .sa_flags = SA_SIGINFO };

	CHECK(memory != MAP_FAILED);
	memory += page - offset % page;
	zone = wi_zone_init(memory, NR_PAGES);
	states = (char *)wi_zone_state(zone, 0);
	states_bytes = NR_BLOCKS * sizeof(uint32_t);
	CHECK_EQ((uintptr_t)states % page, 0);
	CHECK_EQ(states_bytes % page, 0);
	CHECK_EQ(sigaction(SIGSEGV, &action, NULL), 0);
}

static uint64_t claim_one(unsigned order)
{
	uint64_t page = 77;
	uint32_t cursor = 0;

	CHECK_EQ(wi_zone_claim(zone, order, 1, &page, &cursor), 1);
	return page;
}

static void release_one(unsigned order, uint64_t page)
{
	size_t bad;

	CHECK_EQ(wi_zone_release(zone, order, &page, 1, &bad), WI_ZONE_OK);
}

/* Claims while `meanwhile` happens between look and first write. */
static size_t claim_interrupted(unsigned order, uint64_t *page,
				void (*meanwhile)(void))
{
	uint32_t cursor = 0;
	size_t n;

	between = meanwhile;
	nr_faults = 0;
	CHECK_EQ(mprotect(states, states_bytes, PROT_READ), 0);
	n = wi_zone_claim(zone, order, 1, page, &cursor);
	CHECK_EQ(nr_faults, 1);
	return n;
}

static struct wi_block *first;
static unsigned the_order;

/*
 * What a claim and a release of one page leave: a page of the only free run is
 * used, one beyond it is free, and the count is as before.
 */
static void run_goes(void)
{
	unsigned nr = 1u << the_order;

	first->word[0] |= 1;
	first->word[nr / 64] &= ~(UINT64_C(1) << (nr % 64));
}

/* Block 0 loses its only free run to somebody after it was seen. */
static void tickets(unsigned order)
{
	unsigned nr = 1u << order;
	uint64_t page, generation;
	uint32_t state;

	first = wi_zone_block(zone, 0);
	the_order = order;
	CHECK_EQ(claim_one(8), 0);
	CHECK_EQ(claim_one(8), 256);
	if (order == 8)
		release_one(8, 0);
	else
		for (uint64_t i = 0; i < nr; i++)
			release_one(0, i);
	state = *wi_zone_state(zone, 0);
	CHECK_EQ(state, 512 - nr);
	generation = wi_zone_generation(zone);

	CHECK_EQ(claim_interrupted(order, &page, run_goes), 1);
	CHECK(page >= 512); /* found in another block */
	CHECK_EQ(*wi_zone_state(zone, 0), state);
	CHECK_EQ(wi_block_nr_used(first), 512 - nr);
	CHECK(wi_zone_generation(zone) > generation);
	CHECK(wi_zone_is_valid(zone));

	release_one(order, page);
	memset(first, 0xff, sizeof(*first));
	*wi_zone_state(zone, 0) = 512;
	wi_zone_settle(zone, 0, 1);
	release_one(8, 0);
	release_one(8, 256);
	CHECK(wi_zone_is_valid(zone));
	CHECK_EQ(wi_zone_nr_free(zone), NR_PAGES);
}

static uint64_t taken_block;

static void block_goes(void)
{
	/* What a claim of one page there does, up to its bit. */
	first = wi_zone_block(zone, taken_block);
	first->word[0] |= 1;
	*wi_zone_state(zone, taken_block) += 1;
	wi_zone_settle(zone, taken_block, 1);
}

/* Every block of the first run in turn is taken meanwhile. */
static void blocks(unsigned order, uint64_t at)
{
	uint64_t page, generation = wi_zone_generation(zone);

	taken_block = at;
	CHECK_EQ(claim_interrupted(order, &page, block_goes), 1);
	CHECK_EQ(page, UINT64_C(1) << order); /* the second run */
	CHECK_EQ(wi_zone_generation(zone) > generation, at > 0);
	CHECK_EQ(wi_zone_nr_free(zone), NR_PAGES - page - 1);
	CHECK(wi_zone_is_valid(zone));
	release_one(order, page);
	release_one(0, taken_block * WI_BLOCK_PAGES);
	CHECK(wi_zone_is_valid(zone));
	CHECK_EQ(wi_zone_nr_free(zone), NR_PAGES);
}

static bool bits_were_clear;

static void look_at_bits(void)
{
	bits_were_clear = first->word[0] == 0;
}

/*
 * Ticket before bits: a claim has set no bit, and a release has cleared all,
 * when they come to the state. Else a stopped thread between the two
 * steps lets ticket holders search for ever.
 */
static void order_of_steps(void)
{
	uint64_t page;
	size_t bad;

	first = wi_zone_block(zone, 0);
	for (unsigned order = 0; order <= 8; order++) {
		CHECK_EQ(claim_interrupted(order, &page, look_at_bits), 1);
		CHECK(bits_were_clear);
		CHECK(first->word[0] != 0);
		between = look_at_bits;
		nr_faults = 0;
		CHECK_EQ(mprotect(states, states_bytes, PROT_READ), 0);
		CHECK_EQ(wi_zone_release(zone, order, &page, 1, &bad),
			 WI_ZONE_OK);
		CHECK_EQ(nr_faults, 1);
		CHECK(bits_were_clear);
	}
}

/* A claim that sees no run takes no ticket, so gives none back. */
static void no_ticket_unseen(void)
{
	static uint64_t pages[NR_PAGES];
	uint64_t generation, nr = 0, page;
	uint32_t cursor = 0;
	size_t bad;

	while (nr < NR_PAGES)
		nr += wi_zone_claim(zone, 0, NR_PAGES - nr, pages + nr,
				    &cursor);
	for (uint64_t i = 0; i < NR_PAGES; i += 2)
		CHECK_EQ(wi_zone_release(zone, 0, &pages[i], 1, &bad),
			 WI_ZONE_OK);
	generation = wi_zone_generation(zone);
	for (unsigned order = 1; order <= WI_ZONE_ORDER_MAX; order++)
		CHECK_EQ(wi_zone_claim(zone, order, 1, &page, &cursor), 0);
	CHECK_EQ(wi_zone_generation(zone), generation);
}

int main(void)
{
	/* It holds a lock of its own where the write faults. */
	if (CHECK_HAS_TSAN)
		SKIP("ThreadSanitizer's atomics cannot be interrupted");
	make();
	for (unsigned order = 1; order <= 8; order++)
		tickets(order);
	for (unsigned order = 9; order <= WI_ZONE_ORDER_MAX; order++) {
		uint64_t nr = UINT64_C(1) << (order - 9);

		for (uint64_t at = 0; at < nr; at += 1 + at / 3)
			blocks(order, at);
		blocks(order, nr - 1);
	}
	order_of_steps();
	no_ticket_unseen();
	return 0;
}
