/* SPDX-License-Identifier: MIT */
#include "bench/run.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/tool.h"

#define PATIENCE_MS 120000 /* for one round of one row */
#define MAX_FIELDS 16
#define NOT_HERE 77 /* exit status of a worker whose library is missing */

static const struct question {
	const char *name, *about;
} questions[] = {
	{ "pair", "one page allocated and freed" },
	{ "bulk", "32 at once, and 262 144 pages allocated and freed" },
	{ "cross", "allocated on one CPU, freed on the other" },
	{ "rand", "65 536 pages held, a random one changed" },
	{ "zone", "the zone alone" },
	{ "churn", "half full, thousands of random pages changed at once" },
	{ "drain", "taking back the pages in another CPU's lists" },
	{ "disturb", "what the drained or watched CPU notices" },
	{ "empty", "allocations that fail though pages are free" },
	{ "create", "making a pool" },
	{ "touch", "1 GiB allocated, written and freed" },
	{ "limits", "lists whose limits are fixed, or follow demand" },
	{ "scale", "threads, from one to more than the CPUs" },
};

/*
 * Who is measured. A program is found beside this one; "" is this program
 * itself. A library is preloaded into it.
 */
static const struct impl {
	const char *name, *program, *argument;
	const char *library, *package;
	const char *setting; /* NAME=VALUE for its environment */
	const char *suffix;  /* of its rows' variants */
} known[] = {
	{ "floor", "", "floor", NULL, NULL, NULL, "" },
	{ "weir", "", "weir", NULL, NULL, NULL, "" },
	{ "weir", "bench_shared", NULL, NULL, NULL, NULL, "" },
	{ "baseline", "", "baseline", NULL, NULL, NULL, "" },
	{ "glibc", "bench_malloc", NULL, NULL, "libc6", NULL, "" },
	{ "jemalloc", "bench_malloc", NULL, "libjemalloc.so.2", "libjemalloc2",
	  NULL, "" },
	{ "jemalloc", "bench_malloc", NULL, "libjemalloc.so.2", "libjemalloc2",
	  "MALLOC_CONF=percpu_arena:percpu,dirty_decay_ms:-1,"
	  "muzzy_decay_ms:-1,lg_tcache_max:21",
	  ", tuned" },
	{ "mimalloc", "bench_malloc", NULL, "libmimalloc.so.2",
	  "libmimalloc2.0", NULL, "" },
	{ "gperftools", "bench_malloc", NULL, "libtcmalloc_minimal.so.4",
	  "libtcmalloc-minimal4", NULL, "" },
	{ "gperftools", "bench_malloc", NULL, "libtcmalloc_minimal.so.4",
	  "libtcmalloc-minimal4",
	  "TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES=1073741824", ", tuned" },
	{ "DPDK", "bench_dpdk", NULL, NULL, "libdpdk-dev", NULL, "" },
	{ "liburcu", "bench_urcu", NULL, NULL, "liburcu-dev", NULL, "" },
	{ "ck", "bench_ck", NULL, NULL, "libck-dev", NULL, "" },
};

#define NR_QUESTIONS (sizeof(questions) / sizeof(questions[0]))
#define NR_KNOWN (sizeof(known) / sizeof(known[0]))
#define NR_IMPLS (NR_KNOWN + BENCH_MALLOCS_MAX)

struct worker {
	pid_t pid; /* 0: not started */
	int to, from;
	size_t len; /* of what has come but makes no line yet */
	char buf[4096];
};

const char *bench_question_name(unsigned i)
{
	return i < NR_QUESTIONS ? questions[i].name : NULL;
}

const char *bench_question(const char *name)
{
	for (size_t i = 0; i < NR_QUESTIONS; i++)
		if (strcmp(questions[i].name, name) == 0)
			return questions[i].about;
	return NULL;
}

/* Is the word in the list, "a,b,c"? A list of NULL has all. */
static bool is_listed(const char *list, const char *word)
{
	size_t len = strlen(word);

	if (list == NULL)
		return true;
	for (const char *at = list; *at; at += strspn(at, ",")) {
		size_t n = strcspn(at, ",");

		if (n == len && strncmp(at, word, n) == 0)
			return true;
		at += n;
	}
	return false;
}

/* ---- who there is -------------------------------------------------------- */

/* Those known, and behind them the mallocs that the user names. */
static struct impl impls[NR_IMPLS];
static unsigned nr_impls;

static void know(void)
{
	if (nr_impls > 0)
		return;
	memcpy(impls, known, sizeof(known));
	nr_impls = NR_KNOWN;
}

static bool is_known(const char *name)
{
	for (unsigned i = 0; i < nr_impls; i++)
		if (strcmp(impls[i].name, name) == 0)
			return true;
	return false;
}

/* Why a library cannot be measured under that name; NULL if it can. */
static const char *refuse_malloc(const char *name, const char *path)
{
	if (name == NULL || is_known(name))
		return "there are rows of that name already";
	if (path == NULL || access(path, R_OK) != 0)
		return "that file cannot be read";
	if (strpbrk(path, " :\t") != NULL)
		return "a path with a space or a colon cannot be preloaded";
	return NULL;
}

const char *bench_add_malloc(const char *text)
{
	const char *equals = strchr(text, '='), *why;
	char *name, *path;

	know();
	if (equals == NULL || equals == text || equals - text > 15 ||
	    strcspn(text, ", \t") < (size_t)(equals - text))
		return "give NAME=PATH, a name of at most 15 letters";
	if (nr_impls == NR_IMPLS)
		return "there are too many of them";
	name = strndup(text, (size_t)(equals - text));
	path = realpath(equals + 1, NULL);
	why = refuse_malloc(name, path);
	if (why != NULL) {
		free(name);
		free(path);
		return why;
	}
	impls[nr_impls++] = (struct impl){ .name = name,
					   .program = "bench_malloc",
					   .library = path,
					   .suffix = "" };
	return NULL;
}

bool bench_is_malloc(const char *name)
{
	know();
	for (unsigned i = 0; i < nr_impls; i++)
		if (strcmp(impls[i].name, name) == 0)
			return strcmp(impls[i].program, "bench_malloc") == 0;
	return false;
}

/* ---- one worker ---------------------------------------------------------- */

/* The program of an implementation; false: it was not built. */
static bool find_program(const struct impl *impl, char *path, size_t len)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return false;
	self[n] = '\0';
	if (impl->program[0] == '\0')
		snprintf(path, len, "%s", self);
	else
		snprintf(path, len, "%s/%s", dirname(self), impl->program);
	return access(path, X_OK) == 0;
}

/* A worker with a library looks whether it was preloaded, and else exits with
 * NOT_HERE; what the loader says of it is not for the user. */
static void preload(const char *library)
{
	setenv("LD_PRELOAD", library, 1);
	setenv("WEIR_BENCH_LIBRARY", library, 1);
	if (freopen("/dev/null", "w", stderr) == NULL)
		_exit(127);
}

static void become_worker(const struct impl *impl, char *const *more)
{
	char path[4096];
	char *argv[16];
	unsigned n = 0;

	if (!find_program(impl, path, sizeof(path)))
		_exit(127);
	if (impl->library)
		preload(impl->library);
	if (impl->setting)
		putenv((char *)impl->setting);
	argv[n++] = path;
	if (impl->argument) {
		argv[n++] = "bench-worker";
		argv[n++] = (char *)impl->argument;
	}
	while (*more)
		argv[n++] = *more++;
	argv[n] = NULL;
	execv(path, argv);
	_exit(127);
}

static bool start(struct worker *w, const struct impl *impl, char *const *more)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) != 0)
		return false;
	if (pipe2(from, O_CLOEXEC) != 0) {
		close(to[0]), close(to[1]);
		return false;
	}
	w->pid = fork();
	if (w->pid == 0) {
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		become_worker(impl, more);
	}
	close(to[0]);
	close(from[1]);
	w->to = to[1];
	w->from = from[0];
	w->len = 0;
	if (w->pid > 0)
		return true;
	w->pid = 0;
	close(w->to), close(w->from);
	return false;
}

/* Ends it; returns its exit status, or -1 where there is none. */
static int end(struct worker *w)
{
	int status;

	if (w->pid == 0)
		return -1;
	close(w->to);
	close(w->from);
	if (waitpid(w->pid, &status, 0) != w->pid)
		status = -1;
	w->pid = 0;
	return status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void kill_worker(struct worker *w)
{
	if (w->pid > 0)
		kill(w->pid, SIGKILL);
	end(w);
}

/* The next line of a worker, without its end; false: none came. */
static bool read_line(struct worker *w, char *line, size_t size)
{
	for (;;) {
		struct pollfd p = { .fd = w->from, .events = POLLIN };
		char *newline = memchr(w->buf, '\n', w->len);
		ssize_t n;

		if (newline) {
			size_t len = (size_t)(newline - w->buf);

			snprintf(line, size, "%.*s", (int)len, w->buf);
			w->len -= len + 1;
			memmove(w->buf, newline + 1, w->len);
			return true;
		}
		if (w->len == sizeof(w->buf) || poll(&p, 1, PATIENCE_MS) != 1)
			return false;
		n = read(w->from, w->buf + w->len, sizeof(w->buf) - w->len);
		if (n <= 0)
			return false;
		w->len += (size_t)n;
	}
}

static unsigned split(char *line, char *fields[MAX_FIELDS])
{
	unsigned n = 0;

	while (n < MAX_FIELDS) {
		fields[n++] = line;
		line += strcspn(line, "\t");
		if (*line == '\0')
			break;
		*line++ = '\0';
	}
	return n;
}

/* ---- what can be measured -------------------------------------------------
 */

static bool add_row(struct bench_report *report, unsigned worker, unsigned row,
		    char *line, const struct bench_choice *choice)
{
	char *field[MAX_FIELDS];
	struct bench_series *s;
	unsigned rounds;

	if (split(line, field) < 5)
		return false;
	if (!is_listed(choice->questions, field[0]))
		return true;
	rounds = (unsigned)strtoul(field[choice->quick ? 3 : 2], NULL, 10);
	if (choice->rounds && rounds > choice->rounds)
		rounds = choice->rounds;
	if (rounds == 0)
		return true;
	s = bench_series(report, rounds);
	if (s == NULL)
		return false;
	s->worker = worker;
	s->row = row;
	snprintf(s->bench, sizeof(s->bench), "%s", field[0]);
	snprintf(s->impl, sizeof(s->impl), "%s", impls[worker].name);
	snprintf(s->variant, sizeof(s->variant), "%s%s", field[1],
		 impls[worker].suffix);
	snprintf(s->floor, sizeof(s->floor), "%s", field[4]);
	return true;
}

static int list_rows(struct bench_report *report, unsigned worker,
		     const struct bench_choice *choice)
{
	char *more[] = { "--list", NULL };
	struct worker w = { 0 };
	char line[512];
	bool good = start(&w, &impls[worker], more);
	int status;

	for (unsigned row = 0; good && read_line(&w, line, sizeof(line)); row++)
		good = add_row(report, worker, row, line, choice);
	if (!good)
		kill_worker(&w);
	status = end(&w);
	if (status == 0 || status == NOT_HERE)
		return status;
	return tool_error("bench: the worker of %s does not say what it "
			  "measures",
			  impls[worker].name);
}

/* Named by --malloc. */
static bool is_users(const struct impl *impl)
{
	return impl->library != NULL && impl->package == NULL;
}

/* What is missing, and what to do about it. */
static int say_missing(const struct impl *impl, bool is_built)
{
	if (is_users(impl) && !is_built)
		return tool_error("bench: --malloc needs a worker that is not "
				  "built; 'make bench' in the source tree "
				  "builds it");
	if (is_users(impl))
		return tool_error("bench: %s cannot be preloaded, or defines "
				  "no aligned_alloc() and free()",
				  impl->library);
	if (impl->package != NULL && impl->suffix[0] == '\0')
		fprintf(stderr, "weir bench: without %s: install %s%s\n",
			impl->name, impl->package,
			is_built ? "" : ", then 'make bench'");
	return 0;
}

static int list_all(struct bench_report *report,
		    const struct bench_choice *choice)
{
	bool any_built = false, any_wanted = false;
	char path[4096];

	for (unsigned i = 0; i < nr_impls; i++)
		any_built |= impls[i].program[0] != '\0' &&
			     find_program(&impls[i], path, sizeof(path));
	for (unsigned i = 0; i < nr_impls; i++) {
		const struct impl *impl = &impls[i];
		bool is_built = find_program(impl, path, sizeof(path));
		int status = NOT_HERE;

		if (!is_listed(choice->impls, impl->name))
			continue;
		any_wanted |= !is_built && strcmp(impl->name, "weir") != 0;
		if (is_built)
			status = list_rows(report, i, choice);
		if (status == NOT_HERE && (any_built || is_users(impl)))
			status = say_missing(impl, is_built);
		if (status != 0 && status != NOT_HERE)
			return -1;
	}
	if (any_wanted && !any_built)
		fprintf(stderr,
			"weir bench: without other libraries: their workers "
			"are not built beside\n"
			"this program; 'make bench' in the source tree builds "
			"and runs them\n");
	return 0;
}

/* ---- turns -----------------------------------------------------------------
 */

/* What a worker said of one round. */
static void take_answer(struct bench_series *s, char *line)
{
	char *field[MAX_FIELDS];
	unsigned n = split(line, field);

	if (n < 3 || strcmp(field[0], "ns") != 0) {
		snprintf(s->why_not, sizeof(s->why_not), "%.255s",
			 strncmp(line, "no ", 3) == 0 ? line + 3
						      : "it makes no sense");
		return;
	}
	bench_sample(s, strtod(field[1], NULL), strtoull(field[2], NULL, 10));
	for (unsigned i = 3; i < n; i++) {
		char *equals = strchr(field[i], '=');

		if (equals == NULL)
			continue;
		*equals = '\0';
		bench_sample_extra(s, field[i], strtod(equals + 1, NULL));
	}
}

static void run_round(struct bench_series *s, struct worker *w, unsigned round)
{
	char line[512];
	int len = snprintf(line, sizeof(line), "run %u %u\n", s->row, round);

	if (w->pid == 0)
		snprintf(s->why_not, sizeof(s->why_not), "its worker is gone");
	else if (write(w->to, line, (size_t)len) == len &&
		 read_line(w, line, sizeof(line)))
		take_answer(s, line);
	else {
		kill_worker(w);
		snprintf(s->why_not, sizeof(s->why_not),
			 "its worker ended, or took longer than %d s",
			 PATIENCE_MS / 1000);
	}
}

static void show_progress(const char *question, unsigned round, unsigned rounds,
			  const char *impl)
{
	fprintf(stderr, "\r%-8s %3u %%  %-10s", question,
		rounds ? round * 100 / rounds : 100, impl);
}

static void ask(struct bench_report *report, const char *question,
		const struct bench_choice *choice, struct worker *workers)
{
	unsigned rounds = 0;

	for (unsigned i = 0; i < report->nr_series; i++)
		if (strcmp(report->series[i].bench, question) == 0 &&
		    report->series[i].rounds > rounds)
			rounds = report->series[i].rounds;
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < report->nr_series; i++) {
			struct bench_series *s = &report->series[i];

			if (strcmp(s->bench, question) != 0 ||
			    round >= s->rounds || s->why_not[0] != '\0')
				continue;
			if (choice->progress)
				show_progress(question, round, rounds, s->impl);
			run_round(s, &workers[s->worker], round);
		}
	}
}

/* Starts whoever has a row of that question. */
static bool start_workers(const struct bench_report *report,
			  const char *question,
			  const struct bench_choice *choice,
			  struct worker *workers)
{
	char cpus[32];
	char *more[] = { "--cpus", cpus, choice->quick ? "--quick" : NULL,
			 NULL };

	snprintf(cpus, sizeof(cpus), "%u,%d", choice->cpu, choice->other_cpu);
	for (unsigned i = 0; i < report->nr_series; i++) {
		const struct bench_series *s = &report->series[i];

		if (strcmp(s->bench, question) != 0 ||
		    workers[s->worker].pid != 0)
			continue;
		if (!start(&workers[s->worker], &impls[s->worker], more)) {
			tool_error("bench: cannot start a worker: %s",
				   strerror(errno));
			return false;
		}
	}
	return true;
}

int bench_run(struct bench_report *report, const struct bench_choice *choice)
{
	static struct worker workers[NR_IMPLS];
	int err;

	know();
	err = list_all(report, choice);
	signal(SIGPIPE, SIG_IGN);
	for (size_t q = 0; err == 0 && q < NR_QUESTIONS; q++) {
		if (!start_workers(report, questions[q].name, choice, workers))
			err = -1;
		else
			ask(report, questions[q].name, choice, workers);
		for (unsigned i = 0; i < nr_impls; i++)
			end(&workers[i]);
	}
	if (choice->progress)
		fprintf(stderr, "\r%32s\r", "");
	for (unsigned i = 0; i < report->nr_series; i++)
		bench_close(&report->series[i]);
	return err;
}

/* ---- of which package
 * -------------------------------------------------------- */

static void add_package(const struct impl *impl, char *text, size_t size)
{
	char command[256], version[64] = "";
	size_t len = strlen(text);
	FILE *f;

	snprintf(command, sizeof(command),
		 "dpkg-query -W -f '${Version}' %s 2>/dev/null", impl->package);
	f = popen(command, "re");
	if (f == NULL)
		return;
	if (fgets(version, sizeof(version), f) && len + 1 < size)
		snprintf(text + len, size - len, "%s%s %s", len ? ", " : "",
			 impl->package, version);
	pclose(f);
}

void bench_packages(const struct bench_report *report, char *text, size_t len)
{
	text[0] = '\0';
	for (unsigned i = 0; i < nr_impls; i++) {
		bool measured = false;

		for (unsigned j = 0; j < report->nr_series; j++)
			measured |= report->series[j].worker == i &&
				    report->series[j].nr > 0;
		if (measured && impls[i].package && impls[i].suffix[0] == '\0')
			add_package(&impls[i], text, len);
	}
}
