#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# watch-cpu: interrupts that were caused are shown, under their name, with the
# rate and a hint; a cut interval is shown as well; it ends as it was told.
set -u
weir=$1
failed=0

fail() {
	echo "watch-cpu: $*"
	failed=1
}

mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: *//' | tr , '\n' |
	awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
cpu=${cpus[-1]}

if ! "$weir" watch-cpu "$cpu" -n 1 -i 0.01 >/dev/null 2>&1; then
	text=$("$weir" watch-cpu "$cpu" -n 1 -i 0.01 2>&1)
	grep -q '^weir: /proc/interrupts ' <<<"$text" || fail "says: $text"
	echo "skipped: watch-cpu (/proc/interrupts tells nothing here)"
	[ $failed = 0 ] && exit 77
	exit 1
fi

# So many intervals as asked for; plain, and no wider than a terminal.
text=$("$weir" watch-cpu "$cpu" -n 3 -i 0.1 2>/dev/null) ||
	fail "exit status $?"
[ "$(grep -c "^CPU $cpu, [0-9]*\.[0-9]* s:" <<<"$text")" = 3 ] ||
	fail "not three intervals: $text"
if grep -q $'\33' <<<"$text"; then
	fail "colours in a pipe"
fi
# On a terminal there are colours, unless they are not wanted.
if command -v script >/dev/null; then
	command="'$weir' watch-cpu $cpu -n 1 -i 0.3"
	export TERM=xterm # a terminal that may have colours
	env -u NO_COLOR script -qec "$command" /dev/null </dev/null |
		grep -q $'\33\[' || fail "no colours on a terminal"
	NO_COLOR='' script -qec "$command" /dev/null </dev/null |
		grep -q $'\33\[' || fail "no colours, for an empty NO_COLOR"
	for wish in NO_COLOR=1 TERM=dumb TERM=; do
		if env "$wish" script -qec "$command" /dev/null </dev/null |
			grep -q $'\33\['; then
			fail "colours although $wish"
		fi
	done
fi
if [ -w /dev/full ]; then
	"$weir" watch-cpu "$cpu" -n 1 -i 0.01 >/dev/full 2>&1 &&
		fail "nobody takes the output: exit status 0"
fi

# The same as JSON, an object a line. On a busy machine an interval ends late,
# and the next one is shorter.
json=$("$weir" watch-cpu "$cpu" --json -n 2 -i 0.3 2>/dev/null)
status=$?
if [ $status = 2 ]; then
	echo "skipped: watch-cpu --json (this build has no jansson)"
elif ! command -v jq >/dev/null; then
	echo "skipped: watch-cpu --json (apt-get install jq)"
else
	[ "$(wc -l <<<"$json")" = 2 ] || fail "not two lines: $json"
	# Ends stay in step: after a late one an interval is shorter.
	jq -se --argjson cpu "$cpu" 'length == 2 and
		([.[].seconds] | add) >= 0.59 and all(.[];
		.seconds > 0 and (.cpus | length) == 1 and
		all(.cpus[]; .cpu == $cpu and .quiet == (.rows == []) and
			.drains.by_membarrier >= 0 and
			.drains.by_membarrier == ([.pools[].by_membarrier] | add // 0) and
			all(.rows[]; .count > 0 and .per_second > 0 and
				(.name | length) > 0 and (.what | length) > 0
				and (.hint | length) > 0 and
				.tuning_step >= 0 and .tuning_step <= 10)))' \
		>/dev/null <<<"$json" || fail "the JSON: $json"
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A file in the place of the kernel's, that moves by known numbers, then not at
# all: each row under its name, from its CPU's column.
rows=0 status=-1
cat >"$scratch/fixture.sh" <<'EOF'
weir=$1 scratch=$2 a=$3 b=$4 what=$5
write() { # MOVED: how often the kernel has counted
	local m=$1
	cat >"$scratch/interrupts" <<END
            CPU$a       CPU$b
  24:   $((8 + m))   $((10 + 9 * m))  IO-APIC   5-edge      eth0-rx-1
  27:   5   $((10 + 11 * m))  GICv3  27 Level     arch_timer
 LOC:   100  $((2000 + 7 * m))   Local timer interrupts
 RES:   $((10 + 3 * m))   10   Rescheduling interrupts
 CAL:   3   $((4 + 5 * m))   Function call interrupts
 TLB:   3   $((4 + 2 * m))   TLB shootdowns
 NMI:   3   $((4 + 6 * m))   Non-maskable interrupts
 TRM:   3   4   Thermal event interrupts
 XYZ:   3   $((4 + 8 * m))   Wobbles of the bus
 ERR:   $((9 + 4 * m))
END
}
mount --make-rprivate / && write 0 &&
	mount --bind "$scratch/interrupts" /proc/interrupts || exit 77
: >"$scratch/seen" # nothing of the last one, while the next one starts
"$weir" watch-cpu "$a,$b" -i 1000 >"$scratch/seen" 2>/dev/null &
pid=$!
for _ in $(seq 200); do
	grep -q '^watching' "$scratch/seen" && break
	sleep 0.05
done
[ "$what" = still ] || write 1
kill -INT $pid
wait $pid
EOF
pretend() {
	unshare -m bash "$scratch/fixture.sh" "$weir" "$scratch" "${cpus[0]}" \
		"$cpu" "$1"
}
if [ "${#cpus[@]}" -lt 2 ]; then
	echo "skipped: watch-cpu, of known rows (needs two CPUs)"
elif ! unshare -m true 2>/dev/null; then
	echo "skipped: watch-cpu, of known rows (takes root)"
else
	pretend moves
	status=$?
fi
if [ $status = 77 ]; then
	echo "skipped: watch-cpu, of known rows (nothing may be mounted)"
elif [ $status != -1 ]; then
	[ $status = 0 ] || fail "known rows: exit status $status"
	got=$(awk '/^CPU/ { cpu = $2 + 0 }
		/^  [^ ]/ && $1 != "drains" { split($0, part, ","); gsub(/ +/, " ", part[1])
			print cpu part[1] part[2] }' "$scratch/seen")
	want="${cpus[0]} 24 device 1
${cpus[0]} RES reschedule 3
$cpu 24 device 9
$cpu 27 timer tick 11
$cpu LOC timer tick 7
$cpu CAL function call 5
$cpu TLB TLB shootdown 2
$cpu NMI NMI 6
$cpu XYZ other 8"
	[ "$got" = "$want" ] ||
		fail "known rows: $(diff <(echo "$want") <(echo "$got"))"
	grep -q '/s: IO-APIC 5-edge eth0-rx-1$' "$scratch/seen" ||
		fail "which device: $(cat "$scratch/seen")"
	grep -A3 '^  RES' "$scratch/seen" | tr -s '\n ' ' ' |
		grep -q 'tuning.md, step 2' ||
		fail "no step: $(cat "$scratch/seen")"
	# Two CPUs have a row of the device: its hint stands there once.
	[ "$(grep -c 'served by another CPU' "$scratch/seen")" = 1 ] ||
		fail "a hint twice: $(cat "$scratch/seen")"
	path=$(sed -n 's/^ *tuning\.md is //p' "$scratch/seen")
	[ -f "$path" ] || fail "tuning.md is not at '$path'"
	rows=$(wc -l <<<"$want")
	pretend still || fail "nothing moves: exit status is not 0"
	[ "$(grep -c ': quiet, nothing interrupted it$' "$scratch/seen")" \
		= 2 ] || fail "not quiet: $(cat "$scratch/seen")"
fi

if ! command -v "${CC:-cc}" >/dev/null || [ "${#cpus[@]}" -lt 2 ]; then
	echo "skipped: watch-cpu, of membarriers (needs cc and two CPUs)"
	exit $failed
fi
column=$(awk -v cpu="CPU$cpu" 'NR == 1 { for (i = 1; i <= NF; i++)
	if ($i == cpu) print i + 1 }' /proc/interrupts)
calls() {
	awk -v column="$column" '/Function call interrupts$/ {
		print $column }' /proc/interrupts
}

cat >"$scratch/barrier.c" <<'EOF'
/* barrier CPU OTHER N: a thread stays on CPU, and membarrier from OTHER
 * interrupts it N times, but when another program runs there. */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile int running, ended;

static void go(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		exit(1);
}

static void *stay(void *cpu)
{
	go((unsigned)atoi(cpu));
	for (running = 1; !ended;)
		;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 4 || syscall(SYS_membarrier,
			MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
		return 77;
	go((unsigned)atoi(argv[2]));
	pthread_create(&thread, NULL, stay, argv[1]);
	while (!running)
		;
	for (int n = atoi(argv[3]); n > 0; n--) {
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
		usleep(100);
	}
	ended = 1;
	return pthread_join(thread, NULL);
}
EOF
if ! "${CC:-cc}" -O1 "$scratch/barrier.c" -pthread -o "$scratch/barrier" \
	2>"$scratch/log"; then
	fail "the test's program does not compile: $(cat "$scratch/log")"
	exit 1
fi

# A long interval, cut by a signal: what came until then is there. That which
# the kernel counts on that CPU while the program runs is the least, and from
# before the command to after it the most.
seen=0 sum=0
for signal in INT TERM; do
	: >"$scratch/text"
	first=$(calls)
	"$weir" watch-cpu "$cpu" -i 1000 >"$scratch/text" 2>"$scratch/errors" &
	pid=$!
	for _ in $(seq 200); do
		grep -q '^watching' "$scratch/text" && break
		sleep 0.05
	done
	grep -q '^watching' "$scratch/text" || fail "it does not begin"
	moved=0
	for _ in $(seq 50); do
		was=$(calls)
		"$scratch/barrier" "$cpu" "${cpus[0]}" 100
		status=$?
		[ $status = 0 ] || break
		moved=$((moved + $(calls) - was))
		[ "$moved" -ge 200 ] && break
	done
	kill -s $signal $pid
	wait $pid
	ended=$?
	[ $ended = 0 ] || fail "after $signal: exit status $ended"
	[ ! -s "$scratch/errors" ] || fail "says: $(cat "$scratch/errors")"
	if [ $status = 77 ]; then
		echo "skipped: watch-cpu, of membarriers (there are none here)"
		exit $failed
	fi
	[ "$moved" -ge 200 ] || fail "only $moved interrupts were caused"
	shown=$(awk '$2 " " $3 == "function call," { print $4 + 0 }' \
		"$scratch/text")
	[ "${shown:-0}" -ge "$moved" ] ||
		fail "$moved calls, ${shown:-none} shown: $(cat "$scratch/text")"
	[ "${shown:-0}" -le $(($(calls) - first)) ] ||
		fail "$shown calls shown, $(($(calls) - first)) made"
	grep -A3 'function call, ' "$scratch/text" | grep -q 'membarrier' ||
		fail "no hint: $(cat "$scratch/text")"
	seen=$((seen + ${shown:-0})) sum=$((sum + moved))
done

[ $failed = 0 ] && echo "figures: $rows known rows, $sum interrupts" \
	"caused, $seen shown"
exit $failed
