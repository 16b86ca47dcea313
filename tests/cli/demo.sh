#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# demo: every way meets every owner; the table and the JSON say the same kind
# of thing. The machine may be loaded, so times and interrupts of the ways are
# not judged here; the demo's exit status judges weir's promises.
set -u
weir=$1
refuse=$(dirname "$weir")/rseq_refuse # runs a command without rseq
failed=0
skipped=

fail() {
	echo "demo: $*"
	failed=1
}

ways='none scheduled-work spinlock membarrier weir-ordinary weir-quiet weir-polling'
owners='allocating computing asleep'

text=$("$weir" demo --help) || fail "--help: exit status $?"
for option in --cpu --rescues --json; do
	grep -q -- "$option" <<<"$text" || fail "--help does not tell of $option"
done
"$weir" demo --rescues 1 >/dev/null 2>&1
[ $? = 2 ] || fail "--rescues 1: exit status is not 2"
"$weir" demo --cpu 8191 --rescues 20 >/dev/null 2>&1
[ $? = 2 ] || fail "--cpu 8191: exit status is not 2"

# A single CPU: nothing can be shown, which is said, and is no failure.
if command -v taskset >/dev/null; then
	first=$(taskset -cp $$ | sed 's/.*: *\([0-9]*\).*/\1/')
	if [ -z "$(cat /sys/devices/system/cpu/isolated 2>/dev/null)" ]; then
		text=$(taskset -c "$first" "$weir" demo) ||
			fail "one CPU: exit status $?"
		grep -q "Only CPU $first is allowed" <<<"$text" ||
			fail "one CPU: $text"
	fi
fi
if [ "$(nproc)" -lt 2 ]; then
	echo "skipped: demo (the rest needs two CPUs)"
	[ $failed = 0 ] && exit 77
	exit 1
fi

text=$("$weir" demo --rescues 30)
status=$?
[ $status = 0 ] || fail "exit status $status: $text"
for way in $ways; do
	for owner in $owners; do
		grep -qE "^$way +$owner " <<<"$text" ||
			fail "no row '$way $owner'"
	done
done
grep -q '^\* .*pages were rescued; none was ever in two hands' <<<"$text" ||
	fail "the oracle is silent"
if expand <<<"$text" | grep -E '.{81}'; then
	fail "that line has more than 80 columns"
fi

# Without restartable sequences: what is left runs, what is not is named.
text=$("$refuse" "$weir" demo --rescues 20)
status=$?
[ $status = 0 ] || fail "without rseq: exit status $status: $text"
grep -q '^weir-quiet .*not here: no restartable sequences' <<<"$text" ||
	fail "without rseq: $text"

json=$("$weir" demo --rescues 50 --json 2>/dev/null)
status=$?
if [ $status = 2 ]; then
	skipped='JSON: built without jansson'
elif ! command -v jq >/dev/null; then
	skipped='JSON: needs jq'
else
	[ $status = 0 ] || fail "--json: exit status $status"
	n=$(jq '.rescues | length' <<<"$json") || fail "--json is no JSON"
	[ "$n" = 21 ] || fail "--json has $n rows, not 21"
	for way in $ways; do
		for owner in $owners; do
			jq -e --arg w "$way" --arg o "$owner" '
				.rescues[]
				| select(.mechanism == $w and .owner == $o)
				| has("attempts") and has("rescued")
				and has("pages") and has("pending")
				and has("ns_p50") and has("ns_p99")
				and has("interrupts") and has("op_ns")
				and .rescued <= .attempts' \
				<<<"$json" >/dev/null ||
				fail "--json: no whole row '$way $owner'"
		done
	done
	jq -e '(.verdicts | length) > 0
	       and (.baseline_interrupts | type) == "number"' \
		<<<"$json" >/dev/null || fail "--json: verdicts, baseline"
	# What each way must manage, where it is here at all.
	jq -e '[.rescues[] | select(has("not_here") | not)
		| if .mechanism == "none" then .rescued == 0
		  elif .mechanism == "weir-polling" and .owner != "allocating"
		  then .rescued + .collected == .attempts and .pending > 0
		  else .rescued == .attempts end] | all' \
		<<<"$json" >/dev/null || fail "--json: who got pages: $json"
fi
[ -z "$skipped" ] || echo "skipped: demo, $skipped"
exit $failed
