#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# names: pools are found by the names that people gave, of any bytes, and by the
# name of the program; what another process chose as its name reaches no
# terminal as it is, and takes nothing away from what is printed as JSON.
set -u
weir=$(realpath "$1")
build=$(dirname "$weir")
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
failed=0 pids=()
end() {
	[ ${#pids[@]} = 0 ] || kill -9 "${pids[@]}" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$scratch"
}
trap end EXIT

fail() {
	echo "names: $*"
	failed=1
}
skip() {
	echo "skipped: names ($*)"
	exit 77
}

cat >"$scratch/named.c" <<'END'
/* named PROGRAM POOL...: has such pools, calls itself PROGRAM and computes. */
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <weir/weir.h>

int main(int argc, char **argv)
{
	struct weir_pool_opts opts = WEIR_POOL_OPTS_INIT;
	struct weir_pool *pool;

	alarm(100);
	opts.capacity = 1 << 20;
	for (int i = 2; i < argc; i++) {
		opts.name = argv[i];
		if (weir_pool_create(&pool, &opts) != 0)
			return fprintf(stderr, "%s\n", weir_last_error()), 1;
	}
	prctl(PR_SET_NAME, argv[1]);
	puts("ready");
	fflush(stdout);
	for (;;)
		;
}
END
command -v "${CC:-cc}" >/dev/null || skip "needs cc"
"${CC:-cc}" -O1 -I"$root/include" "$scratch/named.c" "$build/libweir.a" \
	-pthread -o "$scratch/named" 2>"$scratch/log" ||
	skip "this build's library takes other options: $(head -n 1 "$scratch/log")"
cpu=$(taskset -cp $$ | sed 's/.*: *//; s/.*[,-]//')

start() { # PROGRAM POOL...: its pid in $pid
	: >"$scratch/ready"
	taskset -c "$cpu" "$scratch/named" "$@" >"$scratch/ready" 2>&1 &
	pid=$!
	pids+=("$pid")
	for _ in $(seq 1500); do
		grep -q ready "$scratch/ready" && return
		sleep 0.02
	done
	fail "it does not start: $(cat "$scratch/ready")"
	exit 1
}
# finds NUMBER WHAT: ps lists so many pools, all of $pid.
finds() {
	local got
	got=$("$weir" ps "$2" 2>&1)
	[ "$(grep -c "^ *$pid " <<<"$got")" = "$1" ] &&
		[ "$(wc -l <<<"$got")" = $(($1 + 1)) ] ||
		fail "ps '$2': not $1 pools: $got"
}

# Not ASCII, control characters, not UTF-8, and text that looks like an escape.
u=$$
names=("größe$u" $'\33[31mred'$u $'\377\376'$u 'back\x5c'$u)
shown=("gr\\xc3\\xb6\\xc3\\x9fe$u" "\\x1b[31mred$u" "\\xff\\xfe$u"
	"back\\x5cx5c$u")
start $'\33[7m\377'"P$u" "${names[@]}"
for i in 0 1 2 3; do
	finds 1 "${names[i]}"
	finds 1 "${shown[i]}"
	finds 1 "$pid/${names[i]}"
	text=$("$weir" stat "${names[i]}" 2>&1) ||
		fail "stat '${shown[i]}': $text"
	grep -qF "pool ${shown[i]} of process $pid" <<<"$text" ||
		fail "stat shows another name than '${shown[i]}': $text"
done
# By the program's name, as the kernel has it and as a user knows it.
finds 4 $'\33[7m\377'"P$u"
finds 4 "\\x1b[7m\\xffP$u"
evil=$pid
start "fifteen-bytes-$u" one two
finds 2 "fifteen-bytes-$u"
finds 1 "$pid/one"
"$weir" ps "$pid/fifteen-bytes-$u" >/dev/null 2>&1 &&
	fail "a program's name is taken for that of a pool"

# All that there are, though descriptors for each would be too many.
many=()
for i in $(seq 30); do
	many+=("many$i-$u")
done
start "many-$u" "${many[@]}"
(ulimit -Sn 40 && finds 30 "many-$u"; exit $failed) || failed=1
text=$(ulimit -n 40 && "$weir" ps "many-$u" 2>&1) &&
	fail "not all pools, without a word: $text"
grep -q '^weir: cannot open all pools: Too many open files' <<<"$text" ||
	fail "it says: $text"
kill -9 "$pid"
wait "$pid" 2>/dev/null # without words

# Nothing that a terminal acts on, wherever names are printed.
for args in ps "zoneinfo $evil" "metrics $evil" "doctor $cpu" \
	"watch-cpu $cpu -n 1 -i 0.1"; do
	# shellcheck disable=SC2086
	text=$("$weir" $args 2>&1)
	LC_ALL=C grep -qP '[^\x20-\x7e\n\t]' <<<"$text" &&
		fail "$args: prints what is not printable: $(cat -v <<<"$text")"
done

# A CPU's crowd is named by doctor when it has a tick: it computes, all the time.
"$weir" ps --json >/dev/null 2>&1
if [ $? = 2 ]; then
	echo "skipped: names, as JSON (this build has no jansson)"
elif ! command -v jq >/dev/null; then
	echo "skipped: names, as JSON (apt-get install jq)"
else
	text=$("$weir" doctor "$cpu" | LC_ALL=C grep -a ' interrupts in 0.25 s')
	json=$("$weir" doctor --json "$cpu")
	jq -e '[.checks[].name] | index("tick") and index("tlb")' \
		>/dev/null <<<"$json" || fail "doctor loses checks: $json"
	[ -z "$text" ] || jq -e --arg name '\x1b[7m\xffP' '
		any(.checks[]; .name == "tick" and (.value | contains($name)))' \
		>/dev/null <<<"$json" ||
		fail "doctor names nobody who is runnable: $json"
	for command in ps zoneinfo metrics; do
		"$weir" $command --json "$evil" | jq -e . >/dev/null ||
			fail "$command --json: no JSON"
	done
	jq -e --arg name "${shown[0]}" 'any(.pools[]; .pool == $name)' \
		>/dev/null < <("$weir" ps --json "$evil") ||
		fail "ps --json: another name than '${shown[0]}'"
fi
[ $failed = 0 ] && echo "figures: ${#names[@]} pool names, 2 programs"
exit $failed
