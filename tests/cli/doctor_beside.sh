#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# doctor: what else interrupts CPUs that should be spared. Each statement is
# read from the machine: so it is shown machines made of files in which all is
# well, nothing is, and nothing can be read.
set -u
weir=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0 statements=0

fail() {
	echo "doctor: $*"
	failed=1
}

if ! unshare -m true 2>/dev/null; then
	echo "skipped: doctor of made machines (takes root)"
	exit 77
fi

# In a mount namespace: builds $1 as /sys and /proc, runs the rest there. The
# process itself stays visible, which sanitizers need.
cat >"$scratch/machine.sh" <<'EOF'
machine=$1 scratch=$2
shift 2
lines() { # FILE LINE...
	mkdir -p "${1%/*}"
	printf '%s\n' "${@:2}" >"$1"
}
put() { # FILE WORD...
	lines "$1" "${*:2}"
}
task() { # PID NAME FLAGS CPU ALLOWED [STATE]
	put /proc/$1/stat "$1 ($2) ${6-S} 0 0 0 0 -1 $3 0 0 0 0 0 0 0 0 0 0" \
		"0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 $4 0 0"
	lines /proc/$1/status "Name: $2" "Cpus_allowed_list:	$5"
	mkdir -p /proc/$1/task/$1
	cp /proc/$1/stat /proc/$1/status /proc/$1/task/$1/
}
counts() { # TICKS FLUSHES, both of CPU 3 alone
	lines /proc/interrupts.new \
		"           CPU0       CPU1       CPU2       CPU3" \
		" LOC:   9   9   7   $1   Local timer interrupts" \
		" RES:   9   9   7   5   Rescheduling interrupts" \
		" CAL:   9   9   7   $2   Function call interrupts" \
		" TLB:   9   9   7   $2   TLB shootdowns"
	mv /proc/interrupts.new /proc/interrupts
}
mkdir -p "$scratch/proc"
mount --make-rprivate / && mount --rbind /proc "$scratch/proc" &&
	mount -t tmpfs none /sys && mount -t tmpfs none /proc || exit 77
ln -s "$scratch/proc/self" "$scratch/proc/thread-self" /proc/
cpu=/sys/devices/system/cpu work=/sys/devices/virtual/workqueue
mm=/sys/kernel/mm
kernel=$((0x00200000)) bound=$((0x04200000))
put $cpu/possible 0-3
put $cpu/online 0-3

if [ "$machine" != hidden ]; then
	put $cpu/nohz_full 2-3
	put $work/cpumask 00000000,00000003
	put $work/writeback/cpumask 3
	put $mm/transparent_hugepage/enabled 'always [madvise] never'
	put $mm/ksm/run 0
	put /proc/cmdline quiet nohz_full=2-3 rcu_nocbs=2-3
	put /proc/irq/default_smp_affinity 3
	put /proc/irq/24/effective_affinity_list 0-1
	mkdir -p /proc/irq/24/eth0-rx-1
	put /proc/irq/25/effective_affinity_list 2 # nobody uses it
	put /proc/sys/kernel/ostype Linux
	put /proc/sys/kernel/watchdog 1
	put /proc/sys/kernel/watchdog_cpumask 0-1
	put /proc/sys/kernel/numa_balancing 0
	put /proc/sys/vm/overcommit_memory 0
	put /proc/sys/vm/stat_interval 120
	put /proc/sys/vm/compaction_proactiveness 0
	put /proc/sys/vm/compact_unevictable_allowed 0
	put $cpu/isolated ''
	put /sys/kernel/debug/rseq/debug 0
	put /sys/kernel/debug/sched/debug .
	task 2 kthreadd $kernel 0 0-1
	task 30 rcuop/2 $kernel 0 0-1
	task 31 rcuop/3 $kernel 0 0-1
	task 32 kworker/3:1 $bound 3 3
	task 33 "a (wild) name" 0 3 0-3
	counts 100 5
fi
case $machine in
bad)
	put $cpu/nohz_full 2
	put $work/cpumask 00000000,0000000c
	put $work/writeback/cpumask 8
	put $mm/transparent_hugepage/enabled '[always] madvise never'
	put $mm/ksm/run 1
	put /proc/cmdline isolcpus=nohz,domain,3 nohz_full=2 rcu_nocbs=2
	put /sys/kernel/debug/rseq/debug 1
	put /proc/irq/default_smp_affinity c
	put /proc/irq/24/effective_affinity_list 3
	put /proc/sys/kernel/watchdog_cpumask 0-3
	put /proc/sys/kernel/numa_balancing 1
	put /proc/sys/vm/stat_interval 1
	put /proc/sys/vm/compaction_proactiveness 20
	put /proc/sys/vm/compact_unevictable_allowed 1
	task 40 khugepaged $kernel 0 0-3
	task 41 irqbalance 0 0 0-3
	task 42 "fir(s) t" 0 3 0-3 R
	task 43 second 0 3 0-3 R
	task 44 other 0 2 0-3 R
	;;
lacking) # the kernel has not got it, which is well
	rm $mm/ksm/run $mm/transparent_hugepage/enabled
	rm /proc/sys/kernel/watchdog /proc/sys/kernel/numa_balancing
	rm -r $work/writeback
	rm -r /proc/30 /proc/31
	;;
unsaid)
	put /proc/cmdline quiet
	put $cpu/nohz_full '(null)'
	put /proc/sys/kernel/watchdog 0
	put $mm/ksm/run 2
	put $work/writeback/cpumask f # but all work is elsewhere
	;;
isolcpus) # which Linux 6.12 and later list as isolated cpusets, too
	put /proc/cmdline isolcpus=managed_irq,domain,2-3
	put $cpu/isolated 2-3
	put /sys/fs/cgroup/cpuset.cpus.isolated 1-3
	;;
broken)
	put $work/cpumask 3z
	put $mm/transparent_hugepage/enabled sometimes
	put /proc/sys/kernel/watchdog_cpumask 9-1
	;;
esac
if [ "$machine" = bad ]; then
	(for ((n = 1; n < 20000; n++)); do # until it is killed
		counts $((100 + 10 * n)) $((5 + n))
		sleep 0.02
	done) &
	moving=$!
fi
"$@"
status=$?
[ "$machine" != bad ] || kill $moving
exit $status
EOF

# examine MACHINE [CPULIST]: sets $text
examine() {
	local status
	machine=$1
	text=$(unshare -m bash "$scratch/machine.sh" "$1" "$scratch" \
		"$weir" doctor "${@:2}" 2>&1)
	status=$?
	if [ $status = 77 ]; then
		echo "skipped: doctor of made machines (nothing may be mounted)"
		exit 77
	fi
	[ $status -le 1 ] || fail "$machine: exit status $status: $text"
	# a line each, single blanks
	text=$(awk '/^[A-Za-z]/ && NR > 1 { print "" } { printf "%s ", $0 }
		END { print "" }' <<<"$text" | tr -s ' ')
}
says() { # LINE, its beginning
	statements=$((statements + 1))
	grep -qF -- "$1" <<<"$text" || fail "$machine: no '$1' in: $text"
}

examine good
says 'What else interrupts CPU 2-3, which weir cannot help:'
for line in 'nohz_full all of them' 'workqueues unbound work: on other CPUs' \
	'writeback writing back of files: on other CPUs' \
	'new interrupts interrupts of devices to come: on other CPUs' \
	'devices none of 2 interrupts goes there' \
	'watchdog lockup detectors: on other CPUs' 'vm.stat_interval 120 s' \
	'khugepaged works only where it is asked to' \
	'compaction off (/proc/sys/vm/compaction_proactiveness is 0)' \
	'locked pages off (/proc/sys/vm/compact_unevictable_allowed is 0)' \
	'ksm off (/sys/kernel/mm/ksm/run is 0)' \
	'NUMA balancing off (/proc/sys/kernel/numa_balancing is 0)' \
	'RCU callbacks run elsewhere' \
	'kernel threads those that can be moved are elsewhere' \
	'irqbalance does not run' 'tick stood still for 0.25 s' \
	'TLB flushes none in 0.25 s'; do
	says "ok $line"
done

examine bad 2-3
for line in 'nohz_full CPU 3: has a tick whenever it works Boot with' \
	'workqueues unbound work: on CPU 2-3, too (/sys/' \
	'writeback writing back of files: on CPU 3, too (/sys/' \
	'new interrupts interrupts of devices to come: on CPU 2-3, too' \
	'devices 1 interrupts go there: 24 (eth0-rx-1) to CPU 3 Write' \
	'watchdog lockup detectors: on CPU 2-3, too' \
	'vm.stat_interval 1 s: so often' 'khugepaged /sys' \
	'compaction /proc/sys/vm/compaction_proactiveness is 20: kcompactd' \
	'locked pages /proc/sys/vm/compact_unevictable_allowed is 1: comp' \
	'ksm /sys/kernel/mm/ksm/run is 1: ksmd' \
	'NUMA balancing /proc/sys/kernel/numa_balancing is 1: the kernel' \
	'RCU callbacks run on CPU 3 itself Boot' \
	'kernel threads 1 that can be moved may run there: khugepaged Bind' \
	'irqbalance runs (41), and knows of CPU 3 only if it was told Stop' \
	'tick CPU 3 had '; do
	says "note $line"
done
grep -qE 'runnable there: 2, (fir\(s\) t \(42\), second \(43\)|second \(43\), fir\(s\) t \(42\)) ' \
	<<<"$text" || fail "bad: who is runnable: $text"
says 'note isolcpus= the kernel was booted with it and has rejected it for CPU 3 '
says 'note rseq debugging on: '
grep -qE 'note TLB flushes [0-9]+ in 0.25 s, at CPU 3 The' <<<"$text" ||
	fail "bad: TLB flushes: $text"

examine hidden 2-3
for title in workqueues writeback 'new interrupts' devices \
	watchdog vm.stat_interval khugepaged compaction 'locked pages' ksm \
	'NUMA balancing' 'RCU callbacks' 'kernel threads' irqbalance tick \
	'TLB flushes'; do
	says "unknown $title unknown: "
done
says 'note nohz_full CPU 2-3: has a tick whenever it works This kernel has no'

examine lacking
says 'ok ksm this kernel has none (no /sys/kernel/mm/ksm/run)'
says 'ok khugepaged this kernel has none'
says 'ok watchdog this kernel has none'
says 'ok NUMA balancing this kernel has none'
says 'ok writeback this kernel has none'
says 'note RCU callbacks run on CPU 2-3 itself'

examine unsaid 3
says 'unknown RCU callbacks unknown: there are threads rcuo, but neither'
says 'ok watchdog off'
says 'ok writeback writing back of files: on other CPUs'
says 'ok ksm off (/sys/kernel/mm/ksm/run is 2)'
examine unsaid # nothing is set aside, so nothing is looked for
says 'ok interrupts none is set aside'
statements=$((statements + 1))
if grep -q '^What else' <<<"$text"; then
	fail "unsaid: looks for what nobody asked: $text"
fi

examine isolcpus
says 'ok set aside nohz_full 2-3; isolcpus 2-3; isolated cpuset 1 '
says 'ok rseq debugging off'
statements=$((statements + 1))
if grep -q 'isolcpus= ' <<<"$text"; then
	fail "isolcpus: is said to be rejected: $text"
fi

examine broken
says 'unknown workqueues unknown: /sys/devices/virtual/workqueue/cpumask: Inv'
says 'unknown khugepaged unknown: '
says 'unknown watchdog unknown: '

# Wrong lists.
for list in 2- 0-99999 x; do
	"$weir" doctor "$list" >/dev/null 2>&1
	[ $? = 2 ] || fail "doctor $list: not wrong usage"
	statements=$((statements + 1))
done

[ $failed = 0 ] && echo "figures: $statements statements of 7 made machines"
exit $failed
