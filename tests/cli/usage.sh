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
expect 0 '^weir [0-9]+\.[0-9]+\.[0-9]+' --version
expect 0 '^Usage: weir' help
expect 0 '^Usage: weir doctor' help doctor
expect 0 '^Usage: weir doctor' doctor --help
expect 0 '^Usage: weir bench' bench --help
expect 0 '^Usage: weir demo' demo --help
expect 0 'Exit status' doctor --help
expect 0 '^weir [0-9]' doctor --version

expect 2 'which command' # none
expect 2 "no command 'frobnicate'" frobnicate
expect 2 "no command 'frobnicate'" help frobnicate
expect 2 "weir: unrecognized option '--frob'" --frob
expect 2 "weir doctor: unrecognized option '--frob'" doctor --frob
expect 2 "weir bench: unrecognized option '--frob'" bench --frob
expect 2 'Too many arguments' doctor now
expect 2 'Too many arguments' bench now
expect 2 "number from .* not 'x'" bench --cpu x
expect 2 "number from .* not '-1'" bench --cpu=-1
expect 2 'may not run on CPU 8191' bench --cpu 8191
expect 2 'number from 1 to' bench --rounds 0

# Nothing is lost when nobody can take the output.
if [ -w /dev/full ]; then
	if "$weir" doctor >/dev/full 2>/dev/null; then
		echo "weir doctor >/dev/full: exit status 0"
		failed=1
	fi
fi

# No line is wider than a terminal.
for args in --help 'doctor --help' 'bench --help' 'demo --help' doctor; do
	# shellcheck disable=SC2086
	if "$weir" $args 2>&1 | expand | grep -nE '.{81}'; then
		echo "weir $args: that line has more than 80 columns"
		failed=1
	fi
done

exit $failed
