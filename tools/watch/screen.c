/* SPDX-License-Identifier: MIT */
/*
 * The screen of weir top. From the top: which pool; its pages with a bar for
 * each place where they can be; what happens a second; what is hidden, or that
 * the pool is gone; the CPUs. A screen of less than FULL_LINES lines has no
 * bars.
 */
#include "common/measure.h"
#include "common/tool.h"
#include "watch/top.h"

#ifndef WEIR_HAVE_NCURSES

int top_screen(struct top *top)
{
	(void)top;
	tool_error("built without ncurses; install libncurses-dev and run "
		   "make again, or use 'weir stat -i 1'");
	return TOOL_USAGE;
}

#else

#include <inttypes.h>
#include <ncurses.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/interval.h"

#define FULL_LINES 16
#define BAR_COLUMNS 50

enum { PAIR_OUT = 1, PAIR_CACHED, PAIR_PENDING, PAIR_FREE, PAIR_GONE };

struct screen {
	struct top *top;
	int line;	 /* the next to be drawn */
	int message;	 /* its line, which is drawn last */
	unsigned scroll; /* rows above the first that is shown */
	unsigned nr_drawn;
	bool help, quit;
};

/* ---- drawing ------------------------------------------------------------ */

/* A line of text, cut at the right edge. */
__attribute__((format(printf, 2, 3))) static void draw(struct screen *s,
						       const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (s->line < LINES)
		mvaddnstr(s->line, 0, text, COLS);
	s->line++;
}

static void draw_bar(struct screen *s, const char *name, int pair,
		     uint64_t part, uint64_t whole)
{
	const double share = whole ? (double)part / (double)whole : 0;
	const int room = COLS - 31 < BAR_COLUMNS ? COLS - 31 : BAR_COLUMNS;
	int filled = (int)(share * room + 0.5);

	if (part > 0 && filled < 1)
		filled = 1; /* a few are not none */
	if (filled > room)  /* numbers of different moments, or wrong ones */
		filled = room;
	draw(s, "  %-8s %8" PRIu64 " %5.1f%%", name, part, 100 * share);
	if (room < 1 || s->line > LINES)
		return;
	mvaddch(s->line - 1, 27, '[');
	attron(COLOR_PAIR(pair));
	for (int i = 0; i < filled; i++)
		addch('|');
	attroff(COLOR_PAIR(pair));
	mvaddch(s->line - 1, 28 + room, ']');
}

static void draw_pages(struct screen *s, const struct weir_stat *stat)
{
	if (LINES < FULL_LINES) {
		char t[4][SAMPLE_TEXT];

		draw(s, "out %s, in lists %s, pending %s, free %s",
		     sample_count(t[0], (double)stat->out),
		     sample_count(t[1], (double)stat->cached),
		     sample_count(t[2], (double)stat->pending),
		     sample_count(t[3], (double)stat->free));
		return;
	}
	draw_bar(s, "out", PAIR_OUT, stat->out, stat->pages);
	draw_bar(s, "in lists", PAIR_CACHED, stat->cached, stat->pages);
	draw_bar(s, "pending", PAIR_PENDING, stat->pending, stat->pages);
	draw_bar(s, "free", PAIR_FREE, stat->free, stat->pages);
}

static void draw_rates(struct screen *s)
{
	const struct top *top = s->top;
	const struct weir_stat *a = &top->before.stat, *b = &top->now.stat;
	const double seconds = top_seconds(top);
	char t[5][SAMPLE_TEXT];

	if (!top->has_rates) {
		draw(s, "a second: wait for the first interval");
		return;
	}
#define RATE(i, member)                                                        \
	sample_count(t[i], sample_rate(a->member, b->member, seconds))
	sample_count(t[4], sample_rate(sample_failures(a), sample_failures(b),
				       seconds));
	if (COLS < 80)
		draw(s, "a second: %s ops, %s direct, %s drains, %s failed",
		     RATE(0, operations), RATE(1, direct), RATE(2, drains),
		     t[4]);
	else
		draw(s,
		     "a second: %s operations, %s direct, %s drains, %s pages "
		     "drained, %s failed",
		     RATE(0, operations), RATE(1, direct), RATE(2, drains),
		     RATE(3, drained_pages), t[4]);
#undef RATE
}

/* How many of the columns fit. */
static unsigned columns_shown(void)
{
	int x = 0;

	for (unsigned c = 0; c < TOP_NR_COLUMNS; c++) {
		if (x + top_headings[c].width > COLS)
			return c;
		x += top_headings[c].width + 1;
	}
	return TOP_NR_COLUMNS;
}

__attribute__((format(printf, 2, 3))) static void
append(char text[160], const char *format, ...)
{
	const size_t len = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + len, 160 - len, format, args);
	va_end(args);
}

/* Columns and rows for which the screen is too small; "" if there are none. */
static void name_hidden(const struct screen *s, char text[160])
{
	const unsigned shown = columns_shown(), nr = s->top->nr_rows;

	text[0] = '\0';
	if (s->nr_drawn < nr)
		append(text, "CPUs %u to %u of %u (up, down)",
		       s->nr_drawn ? s->scroll + 1 : 0, s->scroll + s->nr_drawn,
		       nr);
	if (shown == TOP_NR_COLUMNS)
		return;
	append(text, "%shidden:", text[0] ? "; " : "");
	for (unsigned c = shown; c < TOP_NR_COLUMNS; c++)
		append(text, " %s", top_headings[c].title);
	if ((int)strlen(text) > COLS) /* then at least how many */
		snprintf(text, 160, "%u of %u columns, %u of %u CPUs", shown,
			 (unsigned)TOP_NR_COLUMNS, s->nr_drawn, nr);
}

/* What makes the rows other than they seem, or an empty line. */
static void draw_message(struct screen *s)
{
	const struct watched *pool = &s->top->pools.pool[s->top->shown];
	char text[160];

	s->line = s->message;
	if (watched_gone(pool)) {
		attron(A_BOLD | COLOR_PAIR(PAIR_GONE));
		draw(s, "gone: %s; the last numbers (q quits)",
		     watched_gone(pool));
		attroff(A_BOLD | COLOR_PAIR(PAIR_GONE));
	} else {
		name_hidden(s, text);
		draw(s, "%s", text);
	}
}

static void draw_head(struct screen *s)
{
	const struct top *top = s->top;
	const struct watched *pool = &top->pools.pool[top->shown];
	char page[SAMPLE_TEXT], of[32] = "";

	if (top->pools.nr > 1)
		snprintf(of, sizeof(of), " %u of %u (n: next)", top->shown + 1,
			 top->pools.nr);
	attron(A_BOLD);
	/* Names come last, for they may be longer than the line. */
	draw(s, "weir top%s: %s, process %d (%s)", of, pool->name, pool->pid,
	     pool->command);
	attroff(A_BOLD);
	draw(s, "%" PRIu64 " pages of %s, %u zone%s, %s; every %.4g s, h: help",
	     top->now.stat.pages, sample_bytes(page, pool->info.page_size),
	     pool->info.nr_zones, pool->info.nr_zones == 1 ? "" : "s",
	     pool->info.locked ? "locked lists" : "rseq",
	     (double)top->asked.interval_ns / 1e9);
	draw_pages(s, &top->now.stat);
	draw_rates(s);
	s->message = s->line++;
}

static void draw_headings(struct screen *s)
{
	const int line = s->line++;
	int x = 0;

	if (line >= LINES)
		return;
	attron(A_REVERSE);
	mvhline(line, 0, ' ', COLS);
	for (unsigned c = 0; c < columns_shown(); c++) {
		const struct top_heading *h = &top_headings[c];
		const bool sorts = c == s->top->sort;

		if (sorts)
			attron(A_BOLD | A_UNDERLINE);
		mvprintw(line, x, c == TOP_MODE ? "%-*s" : "%*s", h->width,
			 h->title);
		if (sorts)
			attroff(A_BOLD | A_UNDERLINE);
		x += h->width + 1;
	}
	attroff(A_REVERSE);
}

static void draw_row(struct screen *s, const struct top_row *row)
{
	const int line = s->line++;
	int x = 0;

	for (unsigned c = 0; c < columns_shown(); c++) {
		const struct top_heading *h = &top_headings[c];
		char text[SAMPLE_TEXT];

		if (c == TOP_MODE)
			mvprintw(line, x, "%-*s", h->width,
				 sample_mode(row->mode));
		else if (h->rate && !s->top->has_rates)
			mvprintw(line, x, "%*s", h->width, "-");
		else
			mvprintw(line, x, "%*s", h->width,
				 sample_count(text, row->number[c]));
		x += h->width + 1;
	}
}

static void draw_rows(struct screen *s)
{
	const struct top *top = s->top;
	const unsigned room = LINES > s->line ? (unsigned)(LINES - s->line) : 0;

	if (top->nr_rows == 0)
		draw(s, "no CPU has done anything yet");
	if (s->scroll + room > top->nr_rows)
		s->scroll = top->nr_rows > room ? top->nr_rows - room : 0;
	s->nr_drawn = 0;
	for (unsigned i = s->scroll; i < top->nr_rows && s->line < LINES;
	     i++, s->nr_drawn++)
		draw_row(s, &top->row[i]);
}

static void draw_help(struct screen *s)
{
	draw(s, "weir top: keys");
	draw(s, "  left, right  sort by the column before, or after it");
	draw(s, "  up, down     the rows above, or below");
	draw(s, "  r            the other way round");
	draw(s, "  n, Tab       the next pool");
	draw(s, "  h, ?         this, and back");
	draw(s, "  q            quit");
	draw(s, "Columns, and the key that sorts by each:");
	for (int c = 0; c < TOP_NR_COLUMNS; c++)
		draw(s, "  %c  %-8s %s%s", top_headings[c].key,
		     top_headings[c].title, top_headings[c].what,
		     top_headings[c].rate ? ", a second" : "");
}

static void draw_all(struct screen *s)
{
	erase();
	s->line = 0;
	if (s->help) {
		draw_help(s);
	} else {
		draw_head(s);
		draw_headings(s);
		draw_rows(s);
		draw_message(s);
	}
	move(LINES - 1, COLS - 1);
	refresh();
}

/* ---- keys --------------------------------------------------------------- */

static void sort_by(struct top *top, int column)
{
	top->sort =
		(enum top_column)((column + TOP_NR_COLUMNS) % TOP_NR_COLUMNS);
	top->reverse = false;
}

static void take_key(struct screen *s, int key)
{
	struct top *top = s->top;

	switch (key) {
	case 'q':
		s->quit = true;
		return;
	case 'h':
	case '?':
		s->help = !s->help;
		return;
	case 'r':
		top->reverse = !top->reverse;
		return;
	case 'n':
	case '\t':
		if (top->pools.nr > 1)
			top_next_pool(top);
		return;
	case KEY_LEFT:
		sort_by(top, (int)top->sort - 1);
		return;
	case KEY_RIGHT:
		sort_by(top, (int)top->sort + 1);
		return;
	case KEY_UP:
		s->scroll -= s->scroll > 0;
		return;
	case KEY_DOWN:
		s->scroll++; /* draw_rows() sees to the end */
		return;
	default:
		for (int c = 0; c < TOP_NR_COLUMNS; c++)
			if (key == top_headings[c].key)
				sort_by(top, c);
	}
}

static void take_keys(struct screen *s)
{
	for (int key = getch(); key != ERR; key = getch())
		take_key(s, key);
}

/* ---- intervals ---------------------------------------------------------- */

/* Draws, and again after each key, until the interval ends. */
static int show(struct screen *s, uint64_t until)
{
	bool more = true;

	while (more && !s->quit && !interval_told_to_end()) {
		if (!s->top->now.zone && top_read(s->top) != TOOL_OK)
			return TOOL_FAILED; /* of the next pool */
		top_sort(s->top);
		draw_all(s);
		more = interval_sleep(until, STDIN_FILENO);
		take_keys(s);
	}
	return TOOL_OK;
}

static int run(struct screen *s)
{
	struct top *top = s->top;
	uint64_t next = measure_now_ns() + top->asked.interval_ns;
	int status = TOOL_OK;

	for (uint64_t n = 0; top->asked.count == 0 || n < top->asked.count;
	     n++) {
		status = top_read(top);
		if (status == TOOL_OK)
			status = show(s, next);
		if (status != TOOL_OK || s->quit || interval_told_to_end())
			break;
		next = interval_next(next, measure_now_ns(),
				     top->asked.interval_ns);
	}
	return status;
}

static void set_up_colours(void)
{
	if (tool_no_colour() || !has_colors() || start_color() == ERR)
		return;
	use_default_colors();
	init_pair(PAIR_OUT, COLOR_YELLOW, -1);
	init_pair(PAIR_CACHED, COLOR_CYAN, -1);
	init_pair(PAIR_PENDING, COLOR_MAGENTA, -1);
	init_pair(PAIR_FREE, COLOR_GREEN, -1);
	init_pair(PAIR_GONE, COLOR_WHITE, COLOR_RED);
}

static bool can_address_cursor(void)
{
	char name[] = "cup";
	const char *sequence = tigetstr(name);

	return sequence && sequence != (char *)-1;
}

int top_screen(struct top *top)
{
	struct screen screen = { .top = top };
	SCREEN *terminal = NULL;
	int status;

	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		terminal = newterm(NULL, stdout, stdin);
	if (terminal && !can_address_cursor()) { /* as "dumb" */
		endwin();
		delscreen(terminal);
		terminal = NULL;
	}
	if (!terminal) {
		tool_error("top needs a terminal that TERM describes; use "
			   "--json or 'weir stat -i 1'");
		return TOOL_USAGE;
	}
	interval_begin(); /* after newterm(), which has handlers of its own */
	set_up_colours();
	cbreak();
	noecho();
	set_escdelay(25);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	status = run(&screen);
	endwin();
	delscreen(terminal);
	return status;
}

#endif
