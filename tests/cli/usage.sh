#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# usage: help, version and wrong usage of the weir command and of its commands.
set -u
weir=$1
failed=0

# expect STATUS PATTERN ARGS...: the exit status, and a pattern in the output.
expect() {
	local status=$1 pattern=$2 output got
	shift 2
	output=$("$weir" "$@" 2>&1 </dev/null)
	got=$?
	if [ "$got" != "$status" ]; then
		echo "weir $*: exit status $got, not $status: $output"
		failed=1
	elif ! grep -qE -- "$pattern" <<<"$output"; then
		echo "weir $*: '$pattern' is not in: $output"
		failed=1
	fi
}

expect 0 '^Usage: weir' --help
expect 0 '^  demo' --help
expect 0 '^  doctor' --help
expect 0 '^  bench' --help
expect 0 '^  size' --help
expect 0 '^  watch-cpu' --help
expect 0 '^weir [0-9]+\.[0-9]+\.[0-9]+' --version
expect 0 '^Usage: weir' help
expect 0 '^Usage: weir \[' help help
expect 0 '^Usage: weir doctor' help doctor
expect 0 '^Usage: weir doctor' doctor --help
expect 0 '^Usage: weir bench' bench --help
expect 0 '^Usage: weir demo' demo --help
expect 0 '^Usage: weir size' size --help
expect 0 '^Usage: weir watch-cpu' watch-cpu --help
expect 0 '^Usage: weir ' -h
for command in demo doctor bench size watch-cpu ps stat zoneinfo top metrics; do
	expect 0 "^Usage: weir $command" "$command" -h
done
# A number of intervals is -n, and -c, in every command that has intervals.
for command in 'stat 1' 'top 1' 'watch-cpu 0'; do
	for option in -n -c --count; do
		# shellcheck disable=SC2086 # two words
		expect 2 "number from 1 to" $command $option 0
	done
done
for command in ps zoneinfo metrics; do
	expect 1 '(families|pools)": \[\]|built without JSON' \
		"$command" --json 999999999
done
for command in ps stat zoneinfo top metrics; do
	expect 0 "^  $command " --help
	expect 0 "^Usage: weir $command" help "$command"
	expect 0 'Exit status' "$command" --help
	expect 2 'one pool or process' "$command" 1 2
	expect 2 "weir $command: unrecognized option '--frob'" "$command" --frob
	expect 1 'there is no process 999999999; ' "$command" 999999999
	expect 1 'there is no process 99999999999999999999/x; ' "$command" \
		99999999999999999999/x
	expect 1 'there is no process 0; ' "$command" 0
done
for command in stat top; do
	expect 2 'seconds from 0.01' "$command" -i 0
	expect 2 'number from 1 to' "$command" -c 0
done
expect 0 'Exit status' doctor --help
expect 0 '^weir [0-9]' doctor --version

expect 2 'which command' # none
expect 2 "no command 'frobnicate'" frobnicate
expect 2 "no command 'frobnicate'" help frobnicate
expect 2 "weir: unrecognized option '--frob'" --frob
expect 2 "weir doctor: unrecognized option '--frob'" doctor --frob
expect 2 "weir bench: unrecognized option '--frob'" bench --frob
expect 2 'is no list of CPUs' doctor now
expect 2 'one list of CPUs' doctor 0 1
expect 2 'Too many arguments' bench now
expect 2 "number from .* not 'x'" bench --cpu x
expect 2 "number from .* not '-1'" bench --cpu=-1
expect 2 'may not run on CPU 8191' bench --cpu 8191
expect 2 'number from 1 to' bench --rounds 0
expect 2 'Say --in-use' size
expect 2 'Say --in-use' size --in-use 0
expect 2 'Too many arguments' size 9
for amount in x -1 5X 5KK 99999999999999999999 16777216T ''; do
	expect 2 "K, M, G or T for bytes, not '$amount'" size --in-use="$amount"
done
expect 1 'more than a pool may have' size --in-use 64T --burst 1
expect 2 'multiple of 64 from 64 to 1G' size --in-use 1 --page-size 100
expect 2 'multiple of 64 from 64 to 1G' size --in-use 1 --page-size 2G
expect 2 'no power of two' size --in-use 1 --page-size 2176 --orders 0,3
expect 2 'the largest order is 18' size --in-use 1 --orders 19
expect 2 'takes a list as 0-3,9' size --in-use 1 --orders ''
expect 2 'number from 0 to 511' size --in-use 1 --list-limit 512
expect 2 'number from 1 to' size --in-use 1 --cpus 0
expect 2 'number from 1 to' size --in-use 1 --cpus 8192
expect 2 'CPU 8191 is not online' size --in-use 1 --cpus 8191-8191
expect 2 'CPU 8191 is not online' size --in-use 1 --polling 8191
expect 2 'the list is empty' size --in-use 1 --cpus ' '
expect 2 'waits drains' size --in-use 1 --wait --no-drains
expect 2 'which CPUs' watch-cpu
expect 2 'which CPUs' watch-cpu ''
expect 2 "'x' is no list of CPUs" watch-cpu x
expect 2 "a range has no end" watch-cpu 1-
expect 2 'one list of CPUs' watch-cpu 0 1
expect 2 'CPU 8191 cannot exist here, the last is' watch-cpu 8191
expect 2 'number from 1 to' watch-cpu 0 -n 0
expect 2 'seconds from 0.01' watch-cpu 0 -i 0
expect 2 'seconds from 0.01' watch-cpu 0 -i nan
expect 2 'seconds from 0.01' watch-cpu 0 --interval=1s

# Nothing is lost without a word when nobody can take the output.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
lost() {
	[ $? = 1 ] && [ "$(grep -c '^weir: ' "$scratch/said")" = 1 ] &&
		grep -q 'cannot write the output: ' "$scratch/said" && return
	echo "weir $args: output is lost, and it says: $(cat "$scratch/said")"
	failed=1
}
for args in --help --version 'ps --help' doctor 'size --in-use 9' \
	'help top'; do
	# shellcheck disable=SC2086
	if [ -w /dev/full ]; then
		"$weir" $args >/dev/full 2>"$scratch/said"
		lost
	fi
	# shellcheck disable=SC2086
	"$weir" $args >&- 2>"$scratch/said"
	lost
done
# A reader that goes is noticed, not only with the next line.
timeout 30 "$weir" watch-cpu 0 -i 1000 2>/dev/null | head -n 1 >/dev/null
if [ "${PIPESTATUS[0]}" = 124 ]; then
	echo "weir watch-cpu: goes on although nobody reads"
	failed=1
fi

# No line is wider than a terminal.
for args in --help 'doctor --help' 'bench --help' 'demo --help' \
	'size --help' 'watch-cpu --help' 'ps --help' 'stat --help' \
	'zoneinfo --help' 'top --help' 'metrics --help' doctor; do
	# shellcheck disable=SC2086
	if "$weir" $args 2>&1 | expand | grep -nE '.{81}'; then
		echo "weir $args: that line has more than 80 columns"
		failed=1
	fi
done

exit $failed
