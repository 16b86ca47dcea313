#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench: measures everything it should; says so where it cannot. Times are
# not judged here; whole blocks that a churn loses are.
set -u
weir=$1
refuse=$(dirname "$weir")/rseq_refuse # runs a command without rseq
failed=0

fail() {
	echo "bench: $*"
	failed=1
}

# Without sequences there is nothing to measure against: it says so.
text=$("$refuse" "$weir" bench --impl floor \
	--rounds 1 2>&1)
grep -q "weir doctor" <<<"$text" || fail "without rseq: $text"

text=$("$weir" bench --only pairs 2>&1)
[ $? = 2 ] || fail "a question that does not exist: exit status is not 2"
grep -q "no question 'pairs'" <<<"$text" || fail "no such question: $text"

# A malloc that the user names: a library with none in it is refused, and so is
# a name that has rows already. Without its worker it says how to have one.
alone=$(mktemp -d)
trap 'rm -rf "$alone"' EXIT
cp "$weir" "$alone/weir"
no_malloc() { # program, NAME=PATH, exit status, what it says
	text=$("$1" bench --only pair --rounds 1 --malloc "$2" 2>&1)
	[ $? = "$3" ] || fail "--malloc $2: exit status is not $3: $text"
	grep -q -- "$4" <<<"$text" || fail "--malloc $2: $text"
}
no_malloc "$weir" mine 2 'NAME=PATH'
no_malloc "$weir" "mine=$alone/none" 2 'cannot be read'
no_malloc "$weir" "weir=$weir" 2 'rows of that name'
no_malloc "$alone/weir" "mine=$weir" 1 'make bench'
workers=$(dirname "$weir")
libc=$(ldd "$weir" 2>/dev/null | awk '$1 ~ /^libc\.so/ { print $3 }')
if grep -qE '__(asan|tsan)_init' "$weir" || ! [ -x "$workers/bench_malloc" ] ||
	! [ -r "$libc" ]; then
	echo "left out: bench --malloc (no worker that may be preloaded here)"
else
	libm=$(ldd "$weir" | awk '$1 ~ /^libm\.so/ { print $3 }')
	[ -z "$libm" ] ||
		no_malloc "$weir" "mine=$libm" 1 'no aligned_alloc'
	text=$("$weir" bench --only pair --rounds 1 --impl mine \
		--malloc "mine=$libc" 2>&1) || fail "--malloc: $text"
	grep -qE '^mine +batch 16 +[0-9]' <<<"$text" || fail "--malloc: $text"
fi

# Without workers it says once what is missing, and no package of what is there.
text=$("$alone/weir" bench --only create --rounds 1 2>&1)
[ "$(grep -c 'workers' <<<"$text")" = 1 ] || fail "without workers: $text"
grep -q "'make bench'" <<<"$text" || fail "without workers: $text"
grep -q 'libc6' <<<"$text" && fail "without workers: $text"

# Workers are not for people.
text=$("$weir" bench-worker 2>&1)
[ $? = 1 ] || fail "bench-worker alone: $text"

if ! "$weir" doctor >/dev/null; then
	echo "skipped: bench (no restartable sequences here)"
	[ $failed = 0 ] && exit 77
	exit 1
fi

# Everything; but a sanitizer would take minutes for 64 GiB.
questions=$("$weir" bench --help | awk '/^Questions:/ { on = 1; next }
	!NF { on = 0 } on { print $1 }')
if grep -qE '__(asan|tsan)_init' "$weir"; then
	questions=$(grep -vxE 'churn|touch' <<<"$questions")
fi
quick() { # option...
	"$weir" bench --quick --impl weir,floor --rounds 1 \
		--only "$(paste -sd, <<<"$questions")" "$@"
}

# One run for the text and the JSON, if this build has it.
json=$("$weir" bench --quick --json --impl weir,floor --rounds 1 \
	--only zone 2>&1)
status=$?
file=$alone/json
if grep -q 'built without JSON' <<<"$json"; then
	text=$(quick 2>/dev/null)
else
	text=$(quick --output "$file" 2>/dev/null)
fi
text_status=$?
[ $text_status = 0 ] || fail "exit status $text_status: $text"
grep -qE '^[0-9]+ of [0-9]+ goals met on' <<<"$text" || fail "no sum: $text"
grep -qi 'missed' <<<"$text" && fail "a goal reads like a failure: $text"
if expand <<<"$text" | grep -E '.{81}'; then
	fail "that line has more than 80 columns"
fi

if grep -q 'built without JSON' <<<"$json"; then
	[ $status = 2 ] || fail "--json without JSON: exit status $status"
	echo "skipped: bench --json (this build has no jansson)"
elif ! command -v jq >/dev/null; then
	echo "skipped: bench --json (apt-get install jq)"
else
	[ $status = 0 ] || fail "--json: exit status $status: $json"
	jq -e '.results | length > 0' >/dev/null <<<"$json" ||
		fail "--json: $json"
	json=$(cat "$file")
	jq -e 'all(.results[]; has("lost_per_drain") | not)' >/dev/null \
		<<<"$json" || fail "one round tells what a drain costs: $json"
	# Each question has figures of weir, but what needs a second CPU.
	for question in $questions; do
		case $question in cross | drain | disturb | empty | limits | scale)
			continue ;;
		esac
		jq -e --arg q "$question" 'any(.results[]; .bench == $q and
			.impl == "weir" and .ns > 0)' >/dev/null <<<"$json" ||
			fail "nothing measured of $question"
	done
	jq -e '[.results[] | select(.impl == "weir")] |
		all(.[] | select(.bench == "churn"); .blocks_possible > 0 and
			(.kept_percent >= 95 or
			 (.variant | test("turnovers|packed") | not))) and
		all(.[] | select(.bench == "empty"); .failed_percent == 0) and
		all(.[] | select(.bench == "create");
			.metadata_bytes_per_page > 0.13) and
		all(.[] | select(.bench == "touch" and
			(.variant | test("cold"))); .faults > 0)' \
		>/dev/null <<<"$json" || fail "what else was seen: $json"
	jq -e 'all(.results[]; (.bench | length) > 0 and
			(.impl | IN("floor", "weir")) and
			.min <= .ns and .ns <= .max and .n > 0) and
		any(.results[]; .impl == "floor" and .bench == "pair") and
		all(.meta.commit, .meta.cpu, .meta.kernel; length > 0) and
		all(.goals[]; .met == (.value <= .at_most))' >/dev/null <<<"$json" ||
		fail "the JSON is not what it should be: $json"
fi

# Drains are asked of all ways. Where one cannot be measured there is a reason,
# and that is never a page that was lost.
if command -v jq >/dev/null && [ "$(nproc)" -ge 2 ] && [ $failed = 0 ]; then
	json=$("$weir" bench --quick --json --only drain,disturb --rounds 1 \
		--impl weir,baseline 2>&1)
	for way in ordinary polling quiet spinlock membarrier signal \
		'affinity hop'; do
		jq -e --arg way "$way" '
			[.results[], .not_measured[]] | any(.bench == "drain"
				and .variant == "50 pages, " + $way) and
			any(.bench == "disturb" and
				.variant == $way + ", 1000 Hz")' \
			>/dev/null <<<"$json" || fail "no drains of $way"
	done
	jq -e 'all(.not_measured[]; (.why | length) > 0 and
			(.why | test("lost|worker") | not)) and
		all(.results[] | select(.variant | startswith("50 pages, "));
			.pages > 40 and .pages < 80) and
		all(.results[] | select(.bench == "drain" and .impl == "weir" and
			(.variant | startswith("50 pages, quiet")));
			.by_membarrier == 0)' >/dev/null <<<"$json" ||
		fail "drains: $(jq -c '.not_measured,
			(.results[] | select(.variant |
			startswith("50 pages, ")))' <<<"$json")"
fi

exit $failed
