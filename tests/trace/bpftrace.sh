#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bpftrace PROGRAM LIBRARY: does bpftrace, attached to the trace points of
# PROGRAM, count what the program itself says? Are those of LIBRARY the same,
# and those of weir-trace(7)? Do the scripts of examples/trace see what they
# should?
set -u
program=$1 library=$2
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
fail() {
	echo "bpftrace: $*"
	failed=1
}
skip() {
	echo "skipped: $*"
	exit 77
}

command -v bpftrace >/dev/null ||
	skip "bpftrace is missing (apt-get install bpftrace)"
command -v readelf >/dev/null || skip "readelf is missing"

# provider:name and the number of arguments, each once.
points() {
	readelf -nW "$1" | awk '/Provider: weir/ { on = 1 }
		on && /Name:/ { name = $2 }
		on && /Arguments:/ { print name, NF - 1; on = 0 }' | sort -u
}
points "$library" >"$scratch/points"
[ -s "$scratch/points" ] ||
	skip "built without trace points (apt-get install systemtap-sdt-dev)"
sed -n 's/^\.It Sy \([a-z_]*\) Ar /\1 /p' "$here/../../docs/man/weir-trace.7" |
	awk '{ print $1, NF - 1 }' | sort >"$scratch/manual"
diff "$scratch/manual" "$scratch/points" >"$scratch/diff" ||
	fail "weir-trace(7) and the library: $(cat "$scratch/diff")"
# The program has those of the objects that it needs.
points "$program" | comm -23 - "$scratch/points" >"$scratch/others"
[ ! -s "$scratch/others" ] ||
	fail "only in $program: $(cat "$scratch/others")"

# trace SCRIPT: the program's own lines in "own", those of the maps in "maps".
# bpftrace goes on after warnings, and prints nothing if it could not attach.
trace() {
	timeout 60 bpftrace -c "$program" "$1" "$program" \
		>"$scratch/out" 2>"$scratch/errors" </dev/null
}
bpftrace -e 'BEGIN { exit(); }' >"$scratch/out" 2>&1 </dev/null ||
	skip "bpftrace may not trace: $(tail -n 1 "$scratch/out")"
trace "$here/counts.bt" ||
	fail "exit status $?: $(cat "$scratch/out" "$scratch/errors")"
if grep -q '^skipped: ' "$scratch/out"; then
	skip "$(sed -n 's/^skipped: //p' "$scratch/out")"
fi
# Each line of the program's is there once more, from bpftrace, and no other.
grep '^@' "$scratch/out" | sort >"$scratch/lines"
uniq -c "$scratch/lines" | awk '$1 != 2' >"$scratch/odd"
[ ! -s "$scratch/odd" ] || fail "counted and traced differ: $(cat \
	"$scratch/odd" "$scratch/errors")"
[ "$(sort -u "$scratch/lines" | wc -l)" -ge 14 ] ||
	fail "too little was counted: $(cat "$scratch/lines")"

# drain by drain, refill by refill
value() { sed -n "s/^@$1: //p" "$scratch/lines" | head -n 1; }
scripts=0
for script in "$here"/../../examples/trace/*.bt; do
	trace "$script" || fail "$script: exit status $?: $(cat \
		"$scratch/out" "$scratch/errors")"
	case ${script##*/} in
	refills.bt)
		seen=$(sed -n 's/^@refills\[.*]: //p' "$scratch/out" |
			awk '{ n += $1 } END { print n + 0 }')
		[ "$seen" = "$(value refill)" ] ||
			fail "refills.bt: $seen of $(value refill)"
		;;
	drains.bt)
		seen=$(awk '/^@(progress|not_busy|membarrier|no_need)\[/ {
			n += $NF } END { print n + 0 }' \
			"$scratch/out")
		[ "$seen" -ge "$(value drained)" ] ||
			fail "drains.bt: $seen of $(value drained)"
		grep -q '^@drain_us:' "$scratch/out" ||
			fail "drains.bt: $(cat "$scratch/out")"
		;;
	failures.bt)
		for why in nowait empty pending; do
			grep -q ": $why, kind " "$scratch/out" ||
				fail "failures.bt: no $why: $(cat \
					"$scratch/out")"
		done
		;;
	*) fail "$script: nobody checks it" ;;
	esac
	scripts=$((scripts + 1))
done

[ $failed = 0 ] && echo "figures: $(wc -l <"$scratch/points") trace points," \
	"$(sort -u "$scratch/lines" | wc -l) counts as the program's own," \
	"$scripts scripts"
exit $failed
