#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# completion: bash completes the weir command's commands, each option that a
# command has, CPUs, and what there is of pools.
set -u
weir=$(realpath "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
failed=0 checks=0

fail() {
	echo "completion: $*"
	failed=1
}

# shellcheck source=../../tools/completion.bash
. "$root/tools/completion.bash"
complete -p weir >/dev/null || fail "nothing completes weir"

words() { # sorted, on one line
	tr -s ' ' '\n' | sed '/^$/d' | sort | paste -sd ' '
}
# completes WANTED WORD...: the last word, begun, becomes these, in any order.
completes() {
	local wanted=$1 got
	shift
	COMP_WORDS=("$weir" "$@") COMP_CWORD=$#
	COMPREPLY=()
	_weir
	checks=$((checks + 1))
	got=$(printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"} | words)
	wanted=$(words <<<"$wanted")
	[ "$got" = "$wanted" ] || fail "$* becomes: $got, not: $wanted"
}

completes 'demo doctor bench size watch-cpu ps stat zoneinfo top metrics help' ''
completes 'stat' st
completes 'stat' help st
completes 'zoneinfo' z
completes '--help' --h
completes '--json' ps --j
completes '' frobnicate ''
completes '' stat -i 1 -n ''
completes '' doctor --output = ''
# Each option that --help lists, and no other.
for command in demo doctor bench size watch-cpu ps stat zoneinfo top metrics; do
	options=$("$weir" $command --help | sed -n '/^  /p' |
		grep -oE -- '(^ +|, )--?[a-zA-Z?][a-z-]*=?' |
		grep -oE -- '-.*' | grep -vx -- '-?' | sort -u)
	completes "$(grep -- '^--' <<<"$options")" $command --
	completes "$options" $command -
done
cpus=$(head -n 1 /proc/interrupts | tr -d CPU)
completes "$cpus" watch-cpu ''
completes "$cpus" doctor ''
# Pools come and go beside this test: those of no process are none.
pools=$(_weir_pools true)
[ -z "$pools" ] || fail "pools of nobody: $pools"
cat_pools() {
	cat <<-'END'
		    PID  SIZE  PAGE       OUT  CACHED      FREE PENDING LISTS  CPUS  POOL (COMMAND)
		   4711    1M    4K         1       7       248       0 rseq      2  rx (load)
		   4711    1M    4K         1       7       248       0 rseq      2  \x1b[31mred (load)
		   4712    1M    4K         1       7       248       0 rseq      2  two words (x y)
	END
}
[ "$(_weir_pools cat_pools | words)" = '4711 load rx' ] ||
	fail "pools: $(_weir_pools cat_pools)"
[ $failed = 0 ] && echo "figures: $checks words completed"
exit $failed
