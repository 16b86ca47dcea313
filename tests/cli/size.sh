#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# size: the sum is the sum of its lines; and a pool of the size it names has
# the pages in use that it was asked for while all that may be out of reach is,
# and not one more; its metadata are what the kernel maps for it.
set -u
weir=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(dirname "$weir")
failed=0
sizes=0 pages=0 pools=0

fail() {
	echo "size: $*"
	failed=1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Text: the lines add up to what stands below them, pages and then bytes.
adds_up() { # option...
	local text
	text=$("$weir" size "$@") || fail "$*: exit status $?: $text"
	awk '/^ +-+$/ { dash++; sum[dash] = s; s = 0; want = 1; next }
		/^ +[0-9]+  / {
			if (want && $1 != sum[dash]) exit 1
			if (!want) s += $1
			want = 0
		}
		/^$/ { s = 0 }
		END { exit dash != 2 }' <<<"$text" ||
		fail "$*: the lines do not add up: $text"
	if expand <<<"$text" | grep -E '.{81}'; then
		fail "$*: that line has more than 80 columns"
	fi
	sizes=$((sizes + 1))
}
for in_use in 1 777 10000 3G; do
	for way in '' --no-drains --wait; do
		# shellcheck disable=SC2086
		adds_up --in-use "$in_use" --burst 3 --reserve 1M $way
		# shellcheck disable=SC2086
		adds_up --in-use "$in_use" --polling 0 --orders 0-3,9 \
			--threads 5 $way
	done
done
adds_up --in-use 64M --page-size 2M --checked
adds_up --in-use 5000 --page-size 2176 --checked
adds_up --in-use 500 --list-limit 0
adds_up --in-use 500 --list-limit 0 --max 64G
adds_up --in-use 500 --max 1

# Bytes are pages, rounded up.
[ "$("$weir" size --in-use 41K --list-limit 0 | awk '/^ /{print $1; exit}')" \
	= 11 ] || fail "41K are not 11 pages"
# Where lists would have to lie beyond all addresses that is said; a sanitizer,
# or the system, may have fewer of them.
text=$("$weir" size --in-use 64T 2>&1)
[ $? = 1 ] || fail "64T and lists: exit status is not 1: $text"
grep -qE 'list-limit|cannot be made here: .' <<<"$text" ||
	fail "64T and lists: $text"

if ! "$weir" size --in-use 1 --json >/dev/null 2>&1 ||
	! command -v jq >/dev/null; then
	echo "skipped: size, against pools (needs jq and jansson)"
	exit $failed
fi
value() { jq -r "$1" <<<"$json"; }

# A checked pool has a byte a page more, a larger one more bits.
json=$("$weir" size --in-use 100000 --list-limit 0 --json)
plain=$(value .metadata)
json=$("$weir" size --in-use 100000 --list-limit 0 --checked --json)
[ $(($(value .metadata) - plain)) -ge 98304 ] || fail "--checked: $json"

# What can grow has whole blocks, bits for all that it may have, and no more
# memory.
json=$("$weir" size --in-use 100000 --list-limit 0 --max 1T --json)
[ "$(value .pages)" = 100352 ] &&
	[ "$(value .growth)" = $(((1 << 40) - 100352 * 4096)) ] &&
	[ "$(value .bits)" -gt $((1 << 25)) ] &&
	[ "$(value .memory)" = $(($(value .capacity) + $(value .metadata))) ] ||
	fail "--max: $json"

if grep -qE '__(asan|tsan)_init' "$weir"; then
	echo "skipped: size, against pools (not with a sanitizer)"
	exit $failed
fi
if ! command -v "${CC:-cc}" >/dev/null || [ ! -e "$build/libweir.a" ]; then
	echo "skipped: size, against pools (needs cc and libweir.a)"
	exit $failed
fi
mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: *//' | tr , '\n' |
	awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
if [ "${#cpus[@]}" -lt 2 ]; then
	echo "skipped: size, against pools (needs two CPUs)"
	exit $failed
fi

cat >"$scratch/pool.c" <<'EOF'
/* pool CAPACITY PAGE_SIZE A B POLLING WAY: the two CPUs keep what they
 * may, then A allocates. Prints: pages it got, without waiting or, where WAY
 * is w, waiting; bytes that were mapped beside the pages. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weir/stat.h>
#include <weir/weir.h>

static struct weir_pool *pool;
static void *hand[511];

#define DIE(...) (fprintf(stderr, __VA_ARGS__), exit(1))

static void go(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		DIE("cannot go to CPU %u\n", cpu);
}

static unsigned long mapped(void)
{
	static char text[1 << 20];
	int fd = open("/proc/self/maps", O_RDONLY);
	unsigned long sum = 0, from, to;
	ssize_t n, len = 0;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = '\0';
	for (char *at = text; *at; at++) {
		if (sscanf(at, "%lx-%lx", &from, &to) != 2)
			DIE("maps: %s\n", at);
		sum += to - from;
		while (*at != '\n')
			at++;
	}
	return sum;
}

static struct weir_stat_cpu stat_of(unsigned cpu)
{
	struct weir_stat_cpu stat = WEIR_STAT_CPU_INIT;

	if (weir_stat_read_cpu(pool, 0, cpu, &stat) != 0)
		DIE("no statistics\n");
	return stat;
}

/* The list of this CPU is made full, however often it takes: a sequence that
 * is disturbed gives to the zone. */
static void fill(unsigned cpu)
{
	unsigned high = stat_of(cpu).list[0].high;

	for (unsigned tries = 0; tries < 1000; tries++) {
		unsigned count = stat_of(cpu).list[0].count;

		if (count == high)
			return;
		/* So many come from the zone directly, none into the list. */
		if (weir_alloc_bulk(pool, 0, hand, high, WEIR_NOWAIT) != 0)
			DIE("nothing to fill a list with\n");
		for (unsigned i = 0; i < high; i++)
			weir_free(pool, hand[i], 0);
	}
	DIE("CPU %u keeps %u, not %u\n", cpu, stat_of(cpu).list[0].count, high);
}

/* From another CPU: what `cpu` keeps is taken and waited for, in vain. */
static void park(unsigned cpu)
{
	struct weir_drain_opts opts = WEIR_DRAIN_OPTS_INIT;
	char list[16];

	snprintf(list, sizeof(list), "%u", cpu);
	opts.cpus = list;
	opts.wait_ns = 1000000;
	if (weir_drain(pool, &opts, NULL) != -EAGAIN)
		DIE("CPU %u was drained\n", cpu);
}

int main(int argc, char **argv)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	unsigned a = atoi(argv[3]), b = atoi(argv[4]);
	int may_wait = *argv[6] == 'w', drains = *argv[6] != 'u';
	unsigned long before, after, got = 0;

	opts.capacity = strtoull(argv[1], NULL, 10);
	opts.page_size = strtoull(argv[2], NULL, 10);
	opts.quiet_cpus = "";
	opts.polling_cpus = argv[5];
	opts.wait_ns = 100000000;
	/* The first one leaves the stack of a thread behind. */
	if (weir_pool_create(&pool, &opts) != 0 ||
	    weir_pool_destroy(pool, 0) != 0)
		DIE("%s\n", weir_last_error());
	mapped();
	before = mapped();
	if (weir_pool_create(&pool, &opts) != 0)
		DIE("%s\n", weir_last_error());
	after = mapped();
	if (drains && *argv[5] != '\0') {
		/* Only what polls is late. */
		if (stat_of(a).mode == WEIR_MODE_POLLING) {
			go(a);
			fill(a);
			go(b);
			park(a);
		}
		go(b);
		fill(b);
		go(a);
		park(b);
	}
	go(b);
	fill(b);
	go(a);
	while (weir_alloc(pool, 0, may_wait ? 0 : WEIR_NOWAIT))
		got++;
	printf("%lu %lu\n", got, after - before - (unsigned long)opts.capacity);
	return argc != 7;
}
EOF
if ! "${CC:-cc}" -O1 -I"$root/include" "$scratch/pool.c" "$build/libweir.a" \
	-pthread -o "$scratch/pool" 2>"$scratch/log"; then
	fail "the pool does not compile: $(cat "$scratch/log")"
	exit 1
fi

# What is out of reach by the sum, and is so in the pool but for SPARE lists'
# worth: a program cannot bring about all at once that a drain may meet.
a=${cpus[0]} b=${cpus[1]}
real() { # way polling spare in-use page-size
	local way=$1 polling=$2 spare=$3 in_use=$4 size=$5 option='' out got
	case $way in
	w) option=--wait ;;
	u) option=--no-drains ;;
	esac
	# shellcheck disable=SC2086
	json=$("$weir" size --in-use "$in_use" --page-size "$size" --quiet '' \
		--polling "$polling" --cpus "$a,$b" --json $option) ||
		fail "$*: exit status $?"
	out=$("$scratch/pool" "$(value .capacity)" "$size" "$a" "$b" \
		"$polling" "$way" 2>&1) || fail "$*: $out"
	got=${out% *}
	spare=$((spare * $(value '.terms[] | select(.name == "lists").each')))
	[ "$got" = $((in_use + spare)) ] ||
		fail "$*: $got pages in use, $spare to spare: $json"
	[ "${out#* }" = "$(value .metadata)" ] ||
		fail "$*: ${out#* } bytes beside the pages, not" \
			"$(value .metadata)"
	pages=$((pages + got)) pools=$((pools + 1))
}
# One list, of the other CPU.
real u '' 0 10000 4096
real u '' 0 300 4096
real u '' 0 20000 256
real u '' 0 10000 2176
real u '' 0 400 2097152
json=$("$weir" size --in-use 1 --json)
if [ "$(value .locked)" = true ]; then
	echo "skipped: size, against drains (no sequences here)"
else
	# A set taken of each and a list; no second set of the CPU in need.
	real n "$a,$b" 1 10000 4096
	real n "$a,$b" 1 300 4096
	# An ordinary CPU's set is taken for as long as a drain runs only.
	real n "$b" 2 10000 4096
	real n '' 2 10000 4096
	# Who waits collects the one set, and has the other taken.
	real w "$b" 1 10000 4096
	real w '' 0 10000 4096
	real w "$a,$b" 1 3000 4096
fi

[ $failed = 0 ] && echo "figures: $sizes sums, $pools pools, $pages pages" \
	"in use, metadata of each as mapped"
exit $failed
