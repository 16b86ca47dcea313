/* SPDX-License-Identifier: MIT */
/*
 * If this fails, two changes of one block at once leave a summary wrong for
 * good: the one that writes it last wrote what was true before.
 *
 * The summary word is made read-only, so that a thread about to write it
 * faults; the handler makes it writable and does the other change, complete
 * with its own look at the summaries, and then lets the write happen.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "zone/layout.h"

/* So many that each level of a summary has pages of its own. */
#define NR_BLOCKS (UINT64_C(1) << 20)
#define NR_PAGES (NR_BLOCKS * WI_BLOCK_PAGES)
#define BLOCK UINT64_C(500000)
#define PAGE (BLOCK * WI_BLOCK_PAGES)

static struct wi_zone *zone;
static size_t page_size;
static char *guarded;
static void (*meanwhile)(void);
static volatile sig_atomic_t nr_faults;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	char *at = info->si_addr;

	(void)signal;
	(void)context;
	if (at < guarded || at >= guarded + page_size || nr_faults++ > 0)
		_exit(3);
	mprotect(guarded, page_size, PROT_READ | PROT_WRITE);
	meanwhile();
}

static void guard(const struct wi_tree *tree, unsigned level, uint64_t word,
		  void (*function)(void))
{
	char *at = (char *)wi_tree_word(tree, level, word);

	guarded = at - (uintptr_t)at % page_size;
	meanwhile = function;
	nr_faults = 0;
	CHECK_EQ(mprotect(guarded, page_size, PROT_READ), 0);
}

static void release(uint64_t page)
{
	size_t bad;

	CHECK_EQ(wi_zone_release(zone, 0, &page, 1, &bad), WI_ZONE_OK);
}

static void claim(uint64_t expected)
{
	uint32_t cursor = BLOCK;
	uint64_t page;

	CHECK_EQ(wi_zone_claim(zone, 0, 1, &page, &cursor), 1);
	CHECK_EQ(page, expected);
}

static void release_second(void)
{
	release(PAGE + 1);
}

static void claim_first(void)
{
	claim(PAGE);
}

/* What a claim of the block's second page does. */
static void take_second(void)
{
	wi_zone_block(zone, BLOCK)->word[0] |= 2;
	*wi_zone_state(zone, BLOCK) += 1;
	wi_zone_settle(zone, BLOCK, 1);
}

static void set_block(uint64_t first_word, uint64_t others, uint32_t count)
{
	struct wi_block *b = wi_zone_block(zone, BLOCK);

	for (unsigned i = 0; i < WI_BLOCK_WORDS; i++)
		b->word[i] = i == 0 ? first_word : others;
	*wi_zone_state(zone, BLOCK) = count;
	wi_zone_settle(zone, BLOCK, 1);
}

/* "Full" is about to be written, and the block has become partial again. */
static void claim_beside_release(unsigned level, uint64_t word)
{
	set_block(~UINT64_C(1), UINT64_MAX, 511);
	guard(&zone->partial, level, word, release_second);
	claim(PAGE);
	CHECK_EQ(nr_faults, 1);
	CHECK_EQ(wi_tree_next(&zone->partial, 0), BLOCK);
	CHECK(wi_zone_is_valid(zone));
}

/* "Partial" is about to be written, and the block has become full again. */
static void release_beside_claim(unsigned level, uint64_t word)
{
	set_block(UINT64_MAX, UINT64_MAX, 512);
	guard(&zone->partial, level, word, claim_first);
	release(PAGE);
	CHECK_EQ(nr_faults, 1);
	CHECK_EQ(wi_tree_next(&zone->partial, 0), WI_TREE_NONE);
	CHECK(wi_zone_is_valid(zone));
}

/* "Wholly free" is about to be written, and a page has been claimed. */
static void free_beside_claim(unsigned level, uint64_t word)
{
	set_block(1, 0, 1);
	guard(&zone->free, level, word, take_second);
	release(PAGE);
	CHECK_EQ(nr_faults, 1);
	CHECK_EQ(wi_tree_next(&zone->free, BLOCK), BLOCK + 1);
	CHECK(wi_zone_is_valid(zone));
}

int main(void)
{
	size_t bytes = wi_zone_bytes(NR_PAGES);
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct sigaction action = { .sa_sigaction = on_fault,
				    .sa_flags = SA_SIGINFO };

	/* It holds a lock of its own where the write faults. */
	if (CHECK_HAS_TSAN)
		SKIP("ThreadSanitizer's atomics cannot be interrupted");
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	CHECK(memory != MAP_FAILED);
	zone = wi_zone_init(memory, NR_PAGES);
	CHECK_EQ(sigaction(SIGSEGV, &action, NULL), 0);
	claim_beside_release(0, BLOCK / 64);
	claim_beside_release(1, BLOCK / 64 / 64);
	release_beside_claim(0, BLOCK / 64);
	release_beside_claim(1, BLOCK / 64 / 64);
	free_beside_claim(0, BLOCK / 64);
	return 0;
}
