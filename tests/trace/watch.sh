#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# watch WEIR PROGRAM: does weir watch-cpu show which drains a pool's CPU had, as
# many as the program made, by the evidence that it saw?
set -u
weir=$1 program=$2
scratch=$(mktemp -d)
failed=0 nr_drains=0 pid=0 watch=0
finish() {
	[ $pid = 0 ] || kill -9 $pid 2>/dev/null
	[ $watch = 0 ] || kill -9 $watch 2>/dev/null
	rm -rf "$scratch"
}
trap finish EXIT
fail() {
	echo "watch: $*"
	failed=1
}

mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: *//' | tr , '\n' |
	awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
if [ "${#cpus[@]}" -lt 2 ]; then
	echo "skipped: this needs two CPUs"
	exit 77
fi
cpu=${cpus[-1]}
if ! "$weir" watch-cpu "$cpu" -n 1 -i 0.01 >/dev/null 2>&1; then
	echo "skipped: /proc/interrupts tells nothing here"
	exit 77
fi

# Waits for a line in a file.
await() {
	for _ in $(seq 400); do
		grep -q "$1" "$2" && return
		sleep 0.05
	done
	fail "$2 does not come to '$1': $(cat "$2")"
	exit 1
}
start_program() { # MODE
	mkfifo "$scratch/in"
	: >"$scratch/out"
	"$program" "$cpu" "${cpus[0]}" "$1" <"$scratch/in" >>"$scratch/out" 2>&1 &
	pid=$!
	exec 3>"$scratch/in"
	rm "$scratch/in"
	await 'ready\|skipped' "$scratch/out"
	if grep '^skipped' "$scratch/out"; then
		exit 77
	fi
}
start_watch() {
	: >"$scratch/text"
	"$weir" watch-cpu "${cpus[0]},$cpu" -i 1000 >"$scratch/text" 2>&1 3>&- &
	watch=$!
	await '^watching' "$scratch/text"
}
drain() { # N: sets $made
	: >"$scratch/out"
	echo "$1" >&3
	await membarrier "$scratch/out"
	made=$(tail -n 1 "$scratch/out")
}
end_watch() {
	kill -INT $watch
	wait $watch || fail "watch-cpu: exit status $?"
	watch=0
	sed -i "1,/^CPU $cpu,/d" "$scratch/text" # the last one's alone
	shown=$(tr -s '\n ' ' ' <"$scratch/text" |
		grep -o "\"drained\" of process $pid: [^\"T]*membarrier [0-9]*")
	[ "${shown#*: }" = "$made" ] ||
		fail "$1: made $made; shown: $(cat "$scratch/text")"
	nr_drains=$((nr_drains + $(grep -oE '[0-9]+' <<<"$made" |
		awk '{ n += $1 } END { print n }')))
}
number() { grep -oE "$1 [0-9]+" <<<"$made" | grep -oE '[0-9]+$'; }

# Drains of before do not count; a program that has ended does.
start_program ordinary
drain 7
start_watch
drain 40
kill -9 $pid
wait $pid 2>/dev/null
exec 3>&-
end_watch ordinary
[ "$(number membarrier)" -ge 30 ] || fail "few membarriers: $made"
calls=$(awk '$2 " " $3 == "function call," { print $4 + 0 }' "$scratch/text")
tr -s '\n ' ' ' <"$scratch/text" | grep -q \
	"membarrier are up to [0-9]* of the function calls" ||
	fail "does not say what interrupted: $(cat "$scratch/text")"

# A pool that was made meanwhile counts whole; quiet CPUs are not interrupted.
start_watch
start_program quiet
drain 40
end_watch quiet
[ "$(number membarrier)" = 0 ] || fail "a quiet CPU was interrupted: $made"
[ "$(number busy)" -ge 30 ] || fail "few were not busy: $made"
exec 3>&-
wait $pid
pid=0

[ $failed = 0 ] && echo "figures: $nr_drains drains shown as they were made," \
	"${calls:-0} function calls meanwhile"
exit $failed
