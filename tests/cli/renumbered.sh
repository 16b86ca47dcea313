#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# renumbered: where a container counts its CPUs anew in /sys, as lxcfs does,
# CPUs are those of /proc/interrupts; and nothing is said of a CPU that was not
# read.
set -u
weir=$1
failed=0

fail() {
	echo "renumbered: $*"
	failed=1
}
skip() {
	echo "skipped: renumbered ($*)"
	exit 77
}

cpu=$(taskset -cp $$ | sed 's/.*: *//; s/.*[,-]//')
[ "$cpu" != 0 ] || skip "needs two CPUs"
unshare -m true 2>/dev/null || skip "takes root"
grep -q 'Rescheduling interrupts' /proc/interrupts ||
	skip "/proc/interrupts tells nothing here"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo 0 >"$scratch/list"
# Here the CPU is missing, there are the others.
awk -v cpu="CPU$cpu" 'NR == 1 { for (i = 1; i <= NF; i++)
		if ($i == cpu) gone = i
	sub(cpu, "") } NR > 1 && $(gone + 1) ~ /^[0-9]+$/ { $(gone + 1) = "" }
	{ print }' /proc/interrupts >"$scratch/interrupts"

cat >"$scratch/inside.sh" <<'END'
weir=$1 scratch=$2 cpu=$3 hide=$4
mount --make-rprivate / || exit 77
for file in online possible present; do
	mount --bind "$scratch/list" /sys/devices/system/cpu/$file || exit 77
done
[ "$hide" = no ] ||
	mount --bind "$scratch/interrupts" /proc/interrupts || exit 77
"$weir" watch-cpu "$cpu" -n 1 -i 0.05 >"$scratch/watch" 2>&1
echo $? >>"$scratch/watch"
"$weir" doctor "$cpu" >"$scratch/doctor" 2>&1
END
inside() {
	unshare -m bash "$scratch/inside.sh" "$weir" "$scratch" "$cpu" "$1"
	[ $? != 77 ] || skip "nothing may be mounted"
}

inside no
grep -q "^CPU $cpu, 0\.[0-9]* s:" "$scratch/watch" ||
	fail "watch-cpu: $(cat "$scratch/watch")"
grep -qE '^(ok|note) +tick' "$scratch/doctor" ||
	fail "doctor read no tick: $(cat "$scratch/doctor")"

inside yes
grep -q "^weir watch-cpu: CPU $cpu cannot exist here" "$scratch/watch" ||
	fail "watch-cpu, of a CPU that is nowhere: $(cat "$scratch/watch")"
grep -qE "^(unknown +tick|.*CPU $cpu cannot exist here)" "$scratch/doctor" ||
	fail "doctor, of a CPU that is nowhere: $(cat "$scratch/doctor")"
grep -qE '^ok +(tick|TLB)' "$scratch/doctor" &&
	fail "doctor speaks of what it did not read: $(cat "$scratch/doctor")"
[ $failed = 0 ] && echo "figures: 2 arrangements, of CPU $cpu"
exit $failed
