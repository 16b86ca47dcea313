#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# doctor: says what is there, and what to do where something is missing.
set -u
weir=$1
refuse=$(dirname "$weir")/rseq_refuse # runs a command without rseq
failed=0

fail() {
	echo "doctor: $*"
	failed=1
}

text=$("$weir" doctor)
status=$?
[ $status -le 1 ] || fail "exit status $status"
for title in kernel rseq CPUs 'set aside' THP hugetlb NUMA memlock mode; do
	grep -qE "^(ok|note|PROBLEM) +$title " <<<"$text" ||
		fail "no line '$title' in: $text"
done
if grep -q '^PROBLEM' <<<"$text"; then
	[ $status = 1 ] || fail "a problem, but exit status $status"
else
	[ $status = 0 ] || fail "no problem, but exit status $status"
fi

# Without restartable sequences it says so, and why, and what to do.
text=$("$refuse" "$weir" doctor)
status=$?
[ $status = 1 ] || fail "without rseq: exit status $status"
grep -q '^PROBLEM  rseq ' <<<"$text" || fail "without rseq: no problem"
grep -q 'refused: an old kernel, or a sandbox' <<<"$text" ||
	fail "without rseq: does not say why"
grep -q 'Use Linux 4.18 or later' <<<"$text" || fail "without rseq: no advice"
grep -q 'locked, for CPU' <<<"$text" || fail "without rseq: mode not locked"

# In a sandbox that shows neither /sys nor /proc it says what it cannot tell.
# shellcheck disable=SC2016 # the inner shell's
hidden='mount --make-rprivate / && mount -t tmpfs none /sys &&
	mount -t tmpfs none /proc || exit 77
"$0" doctor "$@"'
text=$(unshare -m bash -c "$hidden" "$weir" 2>&1)
hidden_status=$?
usual=$("$weir" doctor)
usual_status=$?
if [ $hidden_status = 77 ] || ! unshare -m true 2>/dev/null; then
	echo "skipped: without /sys and /proc (hiding them takes root)"
else
	[ $hidden_status = $usual_status ] ||
		grep -q 'LeakSanitizer has encountered' <<<"$text" || # needs /proc
		fail "without /sys: exit status $hidden_status: $text"
	for title in 'set aside' THP hugetlb; do
		grep -qE "^note +$title +cannot tell: /sys cannot" \
			<<<"$text" || fail "without /sys: $title: $text"
	done
	grep -q 'quiet_cpus' <<<"$text" || fail "without /sys: no advice"
	# The rest does not depend on it.
	for title in kernel rseq memlock; do
		grep -qxF "$(grep -E "^[A-Za-z]+ +$title " <<<"$usual")" \
			<<<"$text" || fail "without /sys: $title: $text"
	done
	for title in CPUs NUMA mode; do
		grep -qE "^[A-Za-z]+ +$title +[a-z]+" <<<"$text" ||
			fail "without /sys: no $title: $text"
	done
	"$refuse" unshare -m bash -c "$hidden" "$weir" >/dev/null 2>&1
	[ $? = 1 ] || fail "without /sys and rseq: exit status is not 1"
fi

# Where the C library registers none, weir does.
text=$(GLIBC_TUNABLES=glibc.pthread.rseq=0 "$weir" doctor)
if "$weir" doctor | grep -q '^ok .*registered by the C library'; then
	grep -q '^ok  *rseq  *registered by weir' <<<"$text" ||
		fail "a C library that registers none: $text"
fi

# The same facts as JSON.
json=$("$weir" doctor --json 2>&1)
status=$?
if grep -q 'built without JSON' <<<"$json"; then
	[ $status = 2 ] || fail "--json without JSON: exit status $status"
	echo "skipped: doctor --json (this build has no jansson)"
elif ! command -v jq >/dev/null; then
	echo "skipped: doctor --json (apt-get install jq)"
else
	jq -e '(.drains_work | type) == "boolean" and
		(.checks | length) >= 8 and
		all(.checks[]; (.name | test("^[a-z0-9_]+$")) and
			(.status | IN("ok", "note", "unknown", "problem")) and
			(.beside | type) == "boolean" and
			(.value | length) > 0 and (.advice | type) == "string")
		and (.cpus | length) >= 1 and
		all(.cpus[]; (.cpu | type) == "number" and
			(.mode | IN("ordinary", "quiet", "polling", "locked"))
			and (.reason | length) > 0)' >/dev/null <<<"$json" ||
		fail "the JSON is not what it should be: $json"
	jq -e '.checks | map(.name) | contains(["kernel", "rseq", "cpus",
		"isolation", "thp", "hugetlb", "nodes", "memlock"])' \
		>/dev/null <<<"$json" || fail "checks are missing: $json"
	json=$("$refuse" "$weir" doctor --json)
	[ $? = 1 ] || fail "JSON without rseq: exit status is not 1"
	jq -e '.drains_work == false and all(.cpus[]; .mode == "locked") and
		any(.checks[]; .name == "rseq" and .status == "problem" and
			(.advice | length) > 0)' >/dev/null <<<"$json" ||
		fail "JSON without rseq: $json"
fi

exit $failed
