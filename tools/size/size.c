/* SPDX-License-Identifier: MIT */
/* weir size: the command line, and the answer as text and as JSON. */
#include "size/size.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <weir/weir.h>

#include "api/meta.h"  /* wi_live_is_page_size() */
#include "base/bits.h" /* wi_is_pow2(), wi_div_round_up() */
#include "common/json.h"
#include "common/table.h"
#include "common/tool.h"

#define NUMBER_MAX (UINT64_C(1) << 46)

/* "5000" are pages, "20M" are bytes; which page comes later, maybe. */
struct amount {
	uint64_t number;
	bool is_bytes;
};

struct options {
	struct size_question question;
	struct wi_topology topology;
	struct amount in_use, burst, reserve, max;
	const char *cpus;
	bool json, no_drains, wait;
};

enum {
	KEY_IN_USE = TOOL_KEY_FIRST,
	KEY_BURST,
	KEY_RESERVE,
	KEY_MAX,
	KEY_PAGE_SIZE,
	KEY_CPUS,
	KEY_QUIET,
	KEY_POLLING,
	KEY_THREADS,
	KEY_ORDERS,
	KEY_LIST_LIMIT,
	KEY_WAIT,
	KEY_NO_DRAINS,
	KEY_CHECKED,
};

/* ---- the command line --------------------------------------------------- */

/* "4096", "4K", "4KiB", "2M"; ends the program if it is none of these. */
static struct amount read_amount(struct argp_state *state, const char *option,
				 const char *arg)
{
	static const char units[] = "KMGT";
	struct amount amount = { 0, false };
	char *end;
	const char *unit;
	uint64_t number = strtoull(arg, &end, 10), scale = 1;

	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		scale = UINT64_C(1) << 10 * (unit - units + 1);
		end++;
		if (strcmp(end, "iB") == 0 || strcmp(end, "B") == 0)
			end += strlen(end);
	}
	if (arg[0] < '0' || arg[0] > '9' || *end || number > NUMBER_MAX / scale)
		argp_error(state,
			   "--%s takes a number up to 2^46, with K, M, G or T "
			   "for bytes, not '%s'",
			   option, arg);
	amount.number = number * scale;
	amount.is_bytes = unit != NULL;
	return amount;
}

static void read_page_size(struct argp_state *state, const char *arg,
			   struct size_question *q)
{
	q->page_size = read_amount(state, "page-size", arg).number;
	if (!wi_live_is_page_size(q->page_size))
		argp_error(state,
			   "--page-size takes a multiple of 64 from 64 to 1G, "
			   "not '%s'",
			   arg);
}

static void read_orders(struct argp_state *state, const char *arg,
			struct size_question *q)
{
	const char *why = "there is none";

	if (wi_cpuset_parse(&q->orders, arg, &why) != 0 ||
	    wi_cpuset_is_empty(&q->orders))
		argp_error(state, "--orders takes a list as 0-3,9: %s", why);
	if (wi_cpuset_next(&q->orders, WEIR_ORDER_MAX + 1) < WI_CPUS_MAX)
		argp_error(state, "--orders: the largest order is %d",
			   WEIR_ORDER_MAX);
}

/* A list of CPUs that are online, for one of the options. */
static void read_list(struct argp_state *state, const struct options *o,
		      const char *option, const char *arg,
		      struct wi_cpuset *set)
{
	const char *why;
	unsigned cpu;

	wi_cpuset_zero(set);
	if (!arg)
		return;
	if (wi_cpuset_parse(set, arg, &why) != 0)
		argp_error(state, "--%s: '%s' is no list of CPUs: %s", option,
			   arg, why);
	for (cpu = wi_cpuset_next(set, 0); cpu < WI_CPUS_MAX;
	     cpu = wi_cpuset_next(set, cpu + 1))
		if (!wi_cpuset_test(&o->topology.online, cpu))
			argp_error(state, "--%s: CPU %u is not online here",
				   option, cpu);
}

/*
 * Which CPUs allocate. A number means so many: those that --quiet and
 * --polling name, and others up to it.
 */
static void read_cpus(struct argp_state *state, struct options *o)
{
	const struct wi_cpuset *online = &o->topology.online;
	struct wi_cpuset *cpus = &o->question.cpus;
	struct wi_cpuset named, more;
	unsigned n;

	read_list(state, o, "quiet", o->question.quiet, &named);
	read_list(state, o, "polling", o->question.polling, &more);
	wi_cpuset_or(&named, &more);
	if (!o->cpus || strspn(o->cpus, "0123456789") != strlen(o->cpus)) {
		read_list(state, o, "cpus", o->cpus, cpus);
		if (!o->cpus)
			*cpus = *online;
		if (wi_cpuset_is_empty(cpus))
			argp_error(state, "--cpus: the list is empty");
		wi_cpuset_or(cpus, &named);
		return;
	}
	n = (unsigned)tool_number(state, "cpus", o->cpus, 1,
				  wi_cpuset_count(online));
	if (wi_cpuset_count(&named) > n)
		argp_error(state,
			   "--cpus=%u, but --quiet and --polling name "
			   "%u",
			   n, wi_cpuset_count(&named));
	*cpus = named;
	for (unsigned cpu = wi_cpuset_next(online, 0);
	     wi_cpuset_count(cpus) < n; cpu = wi_cpuset_next(online, cpu + 1))
		wi_cpuset_set(cpus, cpu);
}

static uint64_t in_pages(const struct amount *amount, uint64_t page_size)
{
	return amount->is_bytes ? wi_div_round_up(amount->number, page_size)
				: amount->number;
}

/* All was read: what depends on more than one option. */
static void conclude(struct argp_state *state, struct options *o)
{
	struct size_question *q = &o->question;

	if (o->in_use.number == 0)
		argp_error(state, "how many pages are in use at once? Say "
				  "--in-use; of a program that runs, the peak "
				  "in `weir stat` is it, or more");
	if (o->wait && o->no_drains)
		argp_error(state, "--wait and --no-drains: an allocation that "
				  "waits drains");
	if (!wi_is_pow2(q->page_size) &&
	    wi_cpuset_next(&q->orders, 1) < WI_CPUS_MAX)
		argp_error(state,
			   "--orders: pages of %" PRIu64 " bytes, no "
			   "power of two, have order 0 only",
			   q->page_size);
	q->need = o->wait	 ? SIZE_WAIT
		  : o->no_drains ? SIZE_UNDRAINED
				 : SIZE_NOWAIT;
	q->in_use = in_pages(&o->in_use, q->page_size);
	q->burst = in_pages(&o->burst, q->page_size);
	q->reserve = in_pages(&o->reserve, q->page_size);
	q->max = in_pages(&o->max, q->page_size);
	read_cpus(state, o);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	struct size_question *q = &o->question;

	switch (key) {
	case KEY_IN_USE:
		o->in_use = read_amount(state, "in-use", arg);
		return 0;
	case KEY_BURST:
		o->burst = read_amount(state, "burst", arg);
		return 0;
	case KEY_RESERVE:
		o->reserve = read_amount(state, "reserve", arg);
		return 0;
	case KEY_MAX:
		o->max = read_amount(state, "max", arg);
		return 0;
	case KEY_PAGE_SIZE:
		read_page_size(state, arg, q);
		return 0;
	case KEY_CPUS:
		o->cpus = arg;
		return 0;
	case KEY_QUIET:
		q->quiet = arg;
		return 0;
	case KEY_POLLING:
		q->polling = arg;
		return 0;
	case KEY_THREADS:
		q->threads = tool_number(state, "threads", arg, 0, 1 << 22);
		return 0;
	case KEY_ORDERS:
		read_orders(state, arg, q);
		return 0;
	case KEY_LIST_LIMIT:
		q->list_limit =
			(int)tool_number(state, "list-limit", arg, 0, 511);
		if (q->list_limit == 0)
			q->list_limit = -1; /* as the pool's option says it */
		return 0;
	case KEY_WAIT:
		o->wait = true;
		return 0;
	case KEY_NO_DRAINS:
		o->no_drains = true;
		return 0;
	case KEY_CHECKED:
		q->checked = true;
		return 0;
	case TOOL_KEY_JSON:
		tool_need_json();
		o->json = true;
		return 0;
	case ARGP_KEY_END:
		conclude(state, o);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "in-use", KEY_IN_USE, "N", 0,
	  "Pages that the program holds at once, at most the peak that `weir "
	  "stat` shows; 40M means bytes",
	  0 },
	{ "burst", KEY_BURST, "N", 0, "More of them, for a short time", 0 },
	{ "reserve", KEY_RESERVE, "N", 0,
	  "Pages to be free all the time, as in weir_maintain()", 0 },
	{ "max", KEY_MAX, "N", 0,
	  "Pages that the pool can grow to, as by weir_pool_grow(); default: "
	  "it cannot grow",
	  0 },
	{ "page-size", KEY_PAGE_SIZE, "SIZE", 0, "As 4K or 2M; default: 4K",
	  0 },
	{ "cpus", KEY_CPUS, "LIST", 0,
	  "CPUs that allocate or free, as 2-5,9; or how many, as 4; default: "
	  "all",
	  0 },
	{ "quiet", KEY_QUIET, "LIST", 0,
	  "Those that are quiet; default: those set aside", 0 },
	{ "polling", KEY_POLLING, "LIST", 0,
	  "Those that are polling; default: none", 0 },
	{ "threads", KEY_THREADS, "N", 0,
	  "Threads that have no CPU to themselves; default: 0", 0 },
	{ "orders", KEY_ORDERS, "LIST", 0,
	  "Orders that are allocated, as 0-3,9; default: 0", 0 },
	{ "list-limit", KEY_LIST_LIMIT, "N", 0,
	  "Runs a list may hold, 0 for no lists; default: the pool's", 0 },
	{ "wait", KEY_WAIT, NULL, 0,
	  "Allocations may wait; default: they must succeed at once", 0 },
	{ "no-drains", KEY_NO_DRAINS, NULL, 0, "Nothing ever drains the pool",
	  0 },
	{ "checked", KEY_CHECKED, NULL, 0,
	  "A checked pool, with a byte more for each page", 0 },
	TOOL_OPTION_JSON,
	{ NULL, 0, NULL, 0, NULL, 0 },
};

/* ---- as text ------------------------------------------------------------ */

#define NUMBER_WIDTH 12

static void print_row(uint64_t number, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void print_row(uint64_t number, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("%*" PRIu64 "  ", NUMBER_WIDTH, number);
	table_text(NUMBER_WIDTH + 2, text);
}

static void print_premises(const struct size_question *q,
			   const struct size_answer *a)
{
	static const char *const need[] = {
		[SIZE_NOWAIT] = "Allocations must succeed at once, also while "
				"something drains.",
		[SIZE_UNDRAINED] = "Allocations must succeed at once; nothing "
				   "drains.",
		[SIZE_WAIT] = "Allocations may wait for a drain.",
	};
	char text[256];

	table_text(0, need[q->need]);
	snprintf(text, sizeof(text),
		 "%u of %u CPUs use the pool: %u quiet, %u polling, %u "
		 "%s. Pages of %" PRIu64 " bytes in %u zone%s.",
		 a->nr_cpus, a->nr_online, a->nr_quiet, a->nr_polling,
		 a->nr_cpus - a->nr_quiet - a->nr_polling,
		 a->locked ? "locked" : "ordinary", q->page_size, a->nr_zones,
		 a->nr_zones == 1 ? "" : "s");
	table_text(0, text);
	for (unsigned i = 0; i < a->nr_limits; i++)
		printf("A CPU's list of order %u holds %u run%s at most.\n",
		       a->limit[i].order, a->limit[i].runs,
		       a->limit[i].runs == 1 ? "" : "s");
	putchar('\n');
}

static void print_sum(const struct size_question *q,
		      const struct size_answer *a)
{
	for (unsigned i = 0; i < SIZE_TERMS; i++) {
		const struct size_term *t = &a->term[i];

		if (t->count > 1)
			print_row(t->pages, "%s: %" PRIu64 " x %" PRIu64,
				  t->what, t->count, t->each);
		else
			print_row(t->pages, "%s", t->what);
	}
	printf("%*s\n", NUMBER_WIDTH, "--------");
	print_row(a->sum, "pages");
	if (a->pages > a->sum)
		print_row(a->pages, q->max != 0
					    ? "pages, a multiple of 512"
					    : "pages, as the lists of a "
					      "smaller pool leave too little");
	putchar('\n');
}

static void print_memory(const struct size_question *q,
			 const struct size_answer *a)
{
	struct rlimit lock;

	print_row(a->capacity,
		  "bytes of pages: %" PRIu64 " x %" PRIu64
		  ", to be given as opts.capacity",
		  a->pages, q->page_size);
	if (a->growth != 0)
		print_row(a->growth,
			  "bytes of addresses beside them, which are no memory "
			  "before the pool grows: opts.max_capacity is the sum "
			  "of both");
	print_row(a->areas,
		  "bytes of lists: %u CPUs that can exist x %u zone%s x "
		  "%" PRIu64,
		  a->nr_possible, a->nr_zones, a->nr_zones == 1 ? "" : "s",
		  a->areas / a->nr_possible / a->nr_zones);
	print_row(a->bits, "bytes of bits and counts of the pages");
	print_row(
		a->metadata - a->areas - a->bits,
		"bytes of the pool itself%s, rounded up to the kernel's pages",
		q->checked ? ", with its checks, one for each page" : "");
	printf("%*s\n", NUMBER_WIDTH, "--------");
	print_row(a->capacity + a->growth + a->metadata,
		  "bytes of addresses, which ulimit -v counts; and of memory: "
		  "from the beginning with WEIR_POOL_PREFAULT or "
		  "WEIR_POOL_LOCK, else as they are used");
	if (getrlimit(RLIMIT_MEMLOCK, &lock) == 0 &&
	    lock.rlim_cur < a->capacity + a->metadata)
		table_text(0, "WEIR_POOL_LOCK needs a higher limit of locked "
			      "memory here, or CAP_IPC_LOCK: see ulimit -l.");
	if (wi_cpuset_next(&q->orders, 1) < WI_CPUS_MAX)
		table_text(0, "Pages are counted, not whether free ones lie "
			      "together: runs of larger orders may need more.");
}

/* ---- as JSON ------------------------------------------------------------ */

#ifdef WEIR_HAVE_JANSSON

static int print_json(const struct size_question *q,
		      const struct size_answer *a)
{
	json_t *terms = json_array(), *limits = json_array();

	for (unsigned i = 0; i < SIZE_TERMS; i++) {
		const struct size_term *t = &a->term[i];

		json_array_append_new(terms,
				      json_pack("{ss ss sI sI sI}", "name",
						t->name, "what", t->what,
						"count", (json_int_t)t->count,
						"each", (json_int_t)t->each,
						"pages", (json_int_t)t->pages));
	}
	for (unsigned i = 0; i < a->nr_limits; i++)
		json_array_append_new(limits,
				      json_pack("{si si}", "order",
						(int)a->limit[i].order, "runs",
						(int)a->limit[i].runs));
	return json_finish(json_pack(
		"{so so sb si si si si si sI sI sI sI sI sI sI sI sI sI}",
		"terms", terms, "limits", limits, "locked", a->locked, "cpus",
		(int)a->nr_cpus, "quiet", (int)a->nr_quiet, "polling",
		(int)a->nr_polling, "online", (int)a->nr_online, "zones",
		(int)a->nr_zones, "page_size", (json_int_t)q->page_size, "sum",
		(json_int_t)a->sum, "pages", (json_int_t)a->pages, "capacity",
		(json_int_t)a->capacity, "growth", (json_int_t)a->growth,
		"areas", (json_int_t)a->areas, "bits", (json_int_t)a->bits,
		"metadata", (json_int_t)a->metadata, "memory",
		(json_int_t)a->capacity + (json_int_t)a->metadata));
}

#else

static int print_json(const struct size_question *q,
		      const struct size_answer *a)
{
	(void)q, (void)a;
	return TOOL_FAILED; /* tool_need_json() came first */
}

#endif

/* ---- the command -------------------------------------------------------- */

int cmd_size(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "Calculate how many pages a pool needs, so that the "
		       "program "
		       "has those it uses although lists of CPUs keep some, "
		       "and how much memory that is. A pool of that size is "
		       "made here, unbacked, and asked: run it on the machine "
		       "that the program is for.\v"
		       "Exit status: 0; 1 when no such pool can be made; 2 for "
		       "wrong usage.",
	};
	static struct options o;
	struct size_answer answer = { 0 };

	o.question.page_size = 4096;
	wi_cpuset_set(&o.question.orders, 0);
	wi_topology_read(&o.topology, NULL);
	if (tool_parse(&argp, argc, argv, &o) != 0)
		return TOOL_USAGE;
	if (size_answer(&o.question, &answer) != TOOL_OK)
		return TOOL_FAILED;
	if (o.json)
		return print_json(&o.question, &answer);
	print_premises(&o.question, &answer);
	print_sum(&o.question, &answer);
	print_memory(&o.question, &answer);
	return TOOL_OK;
}
