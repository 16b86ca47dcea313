/* SPDX-License-Identifier: MIT */
/*
 * If this fails, a drainer takes for evidence what is none, and flushes a set
 * that an owner may still write; or does not know evidence when it sees it, and
 * waits for nothing. Areas are made by hand.
 */
#include "helpers.h"

#include "os/rseq.h"
#include "percpu/evidence.h"

static struct wi_area *area;
static struct wi_exchange exchange;
static uint32_t number;

#define OLD WI_SET_0
#define NEW WI_SET_1
#define TAKEN (1u << OLD)

/* A quiet CPU that has used OLD a little; `busy` stands there when active is
 * exchanged for NEW. */
static void begin(uint64_t busy)
{
	static const uint16_t limits[WEIR_NR_LISTS] = { 8, 8, 8 };

	memset(area, 0, sizeof(*area));
	wi_area_init(area, limits, WI_BOUNDS_ANY);
	area->active = wi_active_word(OLD, true, ++number);
	area->header[OLD - 1][1] += 2 * WEIR_HEADER_PUSH;
	area->busy = busy;
	wi_exchange_active(&exchange, area,
			   wi_active_word(NEW, true, ++number));
	CHECK_EQ(area->active, wi_active_word(NEW, true, number));
	CHECK(!wi_evidence_progress(&exchange, area));
}

static uint64_t mark_of(uint64_t thread_mark, unsigned list, unsigned set)
{
	uint64_t ops = wi_header_ops(area->header[set - 1][list]);

	return thread_mark | (uint64_t)list << WEIR_MARK_LIST_SHIFT |
	       (uint32_t)ops;
}

/* A mark as it was made before the exchange: of a header in begin()'s state. */
static uint64_t old_mark(uint64_t thread_mark, unsigned list)
{
	begin(0);
	return mark_of(thread_mark, list, OLD);
}

static bool not_busy(void)
{
	return wi_evidence_not_busy(&exchange, area, TAKEN);
}

/* --- another thread, alive until the end ------------------------------- */

static event has_mark, may_go;
static uint64_t other;

static void live(void *unused)
{
	(void)unused;
	wi_rseq_thread_init();
	other = wi_own_mark();
	tell(&has_mark);
	await(&may_go, 1);
}

static uint64_t gone;

static void die(void *unused)
{
	(void)unused;
	wi_rseq_thread_init();
	gone = wi_own_mark();
}

/* --- the kinds --------------------------------------------------------- */

static void busy_is_zero(void)
{
	begin(0);
	CHECK(not_busy());
}

static void mark_of_the_old_set(void)
{
	uint64_t mark = old_mark(other, 1);

	begin(mark);
	CHECK(!not_busy());
	CHECK(!not_busy());
	/* Its header moves: it committed. */
	area->header[OLD - 1][1] += WEIR_HEADER_POP;
	CHECK(not_busy());
	/* Another list's does: it may not have. */
	begin(mark);
	area->header[OLD - 1][0] += WEIR_HEADER_PUSH;
	CHECK(!not_busy());
	/* Taken back, or another came. */
	area->busy = 0;
	CHECK(not_busy());
	begin(mark);
	area->busy = mark_of(gone, 0, NEW);
	CHECK(not_busy());
}

static void mark_that_was_outdated(void)
{
	uint64_t mark = old_mark(other, 0);

	/* begin() with one more operation on list 0. */
	begin(0);
	memset(&exchange, 0, sizeof(exchange));
	area->active = wi_active_word(OLD, true, ++number);
	area->header[OLD - 1][0] += WEIR_HEADER_PUSH;
	area->busy = mark;
	wi_exchange_active(&exchange, area,
			   wi_active_word(NEW, true, ++number));
	CHECK(not_busy());
}

static void mark_of_the_other_set(void)
{
	begin(0);
	begin(mark_of(other, 0, NEW));
	CHECK(not_busy());
	/* Both taken: it protects one of them. */
	begin(mark_of(other, 0, NEW));
	CHECK(!wi_evidence_not_busy(&exchange, area, 1u << OLD | 1u << NEW));
}

static void burst(void)
{
	begin(wi_burst_mark(other));
	CHECK(!not_busy());
	/* No header says anything of a burst. */
	for (unsigned list = 0; list < WEIR_NR_LISTS; list++)
		area->header[OLD - 1][list] += WEIR_HEADER_PUSH;
	CHECK(!not_busy());
	area->busy = 0;
	CHECK(not_busy());
}

/* A list number that no list has cannot make the drainer look outside. */
static void mark_of_no_list(void)
{
	begin(other | UINT64_C(0x1ff) << WEIR_MARK_LIST_SHIFT);
	CHECK(not_busy());
}

static void own_mark(void)
{
	begin(weir_i_thread_burst);
	CHECK(not_busy());
	CHECK_EQ(area->busy, 0);
	begin(old_mark(wi_own_mark(), 1));
	CHECK(not_busy());
	CHECK_EQ(area->busy, 0);
}

static void orphan(void)
{
	begin(wi_burst_mark(gone));
	CHECK(!not_busy());
	CHECK(wi_evidence_is_orphan(&exchange));
	begin(wi_burst_mark(other));
	CHECK(!wi_evidence_is_orphan(&exchange));
	begin(0);
	CHECK(!wi_evidence_is_orphan(&exchange));
}

static void progress(void)
{
	for (unsigned list = 0; list < WEIR_NR_LISTS; list++) {
		begin(wi_burst_mark(other));
		area->header[NEW - 1][list] += WEIR_HEADER_PUSH;
		CHECK(wi_evidence_progress(&exchange, area));
		/* In the old set it proves nothing. */
		begin(wi_burst_mark(other));
		area->header[OLD - 1][list] += WEIR_HEADER_PUSH;
		CHECK(!wi_evidence_progress(&exchange, area));
	}
	/* A push and a pop leave the list as it was, but not its header. */
	begin(0);
	area->header[NEW - 1][0] += WEIR_HEADER_PUSH;
	area->header[NEW - 1][0] += WEIR_HEADER_POP;
	CHECK_EQ(wi_header_count(area->header[NEW - 1][0]), 0);
	CHECK(wi_evidence_progress(&exchange, area));
}

static void seen(void)
{
	begin(0);
	area->seen = exchange.word;
	CHECK(wi_evidence_progress(&exchange, area));
	/* The same set, another drain: nothing. */
	begin(0);
	area->seen = wi_active_word(NEW, true, number - 2);
	CHECK(!wi_evidence_progress(&exchange, area));
	area->seen = wi_active_word(OLD, true, number);
	CHECK(!wi_evidence_progress(&exchange, area));
	area->seen = wi_active_word(NEW, false, number);
	CHECK(!wi_evidence_progress(&exchange, area));
	/* The null set has no headers to move. */
	begin(0);
	wi_exchange_active(&exchange, area,
			   wi_active_word(WI_SET_NULL, true, ++number));
	area->header[NEW - 1][0] += WEIR_HEADER_PUSH;
	CHECK(!wi_evidence_progress(&exchange, area));
	area->seen = exchange.word;
	CHECK(wi_evidence_progress(&exchange, area));
}

/* What a failing operation leaves, on this very CPU. A sequence may be
 * aborted: then it did nothing. */
static void tick_is_seen(void)
{
	const unsigned cpu = (unsigned)allowed_cpu(0);
	const struct weir_i_lists lists = {
		(char *)area - (size_t)cpu * WEIR_AREA_BYTES, cpu + 1
	};

	if (!wi_rseq_available())
		return;
	pin((int)cpu);
	begin(0);
	CHECK(weir_i_pop(&lists, 0) >= WEIR_AGAIN);
	CHECK(!wi_evidence_progress(&exchange, area));
	for (unsigned i = 0; i < 100 && area->seen == 0; i++)
		weir_i_tick(&lists);
	CHECK(wi_evidence_progress(&exchange, area));
}

static void membarrier(void)
{
	if (!wi_rseq_has_membarrier())
		return;
	CHECK_EQ(wi_evidence_membarrier((unsigned)allowed_cpu(0)), 0);
}

int main(void)
{
	struct runner living;

	area = aligned_alloc(64, sizeof(*area));
	CHECK(area != NULL);
	wi_rseq_thread_init();
	start_on(&living, allowed_cpu(0), live, NULL);
	run_on(allowed_cpu(0), die, NULL);
	await(&has_mark, 1);

	busy_is_zero();
	mark_of_the_old_set();
	mark_that_was_outdated();
	mark_of_the_other_set();
	burst();
	mark_of_no_list();
	own_mark();
	orphan();
	progress();
	seen();
	tick_is_seen();
	membarrier();

	tell(&may_go);
	finish(&living);
	free(area);
	return 0;
}
