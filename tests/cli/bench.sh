#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench: measures everything it should; says so where it cannot. Figures are
# not judged here.
set -u
weir=$1
failed=0

fail() {
	echo "bench: $*"
	failed=1
}

# Without sequences there is nothing to measure against: it says so.
text=$(GLIBC_TUNABLES=glibc.pthread.rseq=0 "$weir" bench --rounds 7 2>&1)
[ $? = 1 ] || fail "without rseq: exit status is not 1"
grep -q "weir doctor" <<<"$text" || fail "without rseq: $text"

if ! "$weir" doctor >/dev/null; then
	echo "skipped: bench (no restartable sequences here)"
	[ $failed = 0 ] && exit 77
	exit 1
fi

text=$("$weir" bench --rounds 7 2>&1)
status=$?
[ $status = 0 ] || fail "exit status $status: $text"
grep -qE '^[0-9]+ of [0-9]+ bars met$' <<<"$text" || fail "no sum: $text"
if expand <<<"$text" | grep -E '.{81}'; then
	fail "that line has more than 80 columns"
fi

json=$("$weir" bench --quick --json --rounds 7 2>&1)
status=$?
if grep -q 'built without JSON' <<<"$json"; then
	[ $status = 2 ] || fail "--json without JSON: exit status $status"
	echo "skipped: bench --json (this build has no jansson)"
elif ! command -v jq >/dev/null; then
	echo "skipped: bench --json (apt-get install jq)"
else
	[ $status = 0 ] || fail "--json: exit status $status: $json"
	names='create_64gib pair_batch pair_single pair_called pair_polling
		pair_quiet pair_burst bulk_tokens bulk_pages
		zone_claim_in_order zone_release_in_order zone_claim_half
		zone_release_shuffled'
	if [ "$(nproc)" -gt 1 ]; then
		names+=' drain_ordinary_p50 drain_polling_p50 drain_quiet_p50'
	fi
	json=${json#*"{"}
	json="{$json"
	for name in $names; do
		jq -e --arg n "$name" 'any(.ratios[]; .name == $n and
			.value > 0 and .bar > 0 and
			.met == (.value <= .bar))' >/dev/null <<<"$json" ||
			fail "no ratio $name"
	done
	jq -e 'all(.results[]; (.bench | length) > 0 and
			(.impl | IN("floor", "weir")) and
			.min <= .ns and .n > 0) and
		any(.results[]; .impl == "floor") and
		all(.meta.commit, .meta.cpu, .meta.kernel; length > 0) and
		.meta.rounds == 7' >/dev/null <<<"$json" ||
		fail "the JSON is not what it should be: $json"
fi

exit $failed
