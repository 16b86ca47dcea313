# SPDX-License-Identifier: MIT
# Completion of the weir command for bash: commands, their options as --help
# lists them, running pools, CPUs. Installed as
# share/bash-completion/completions/weir.

_weir_commands() {
	"$1" --help 2>/dev/null |
		sed -n '/^Commands:/,$s/^  \([a-z][a-z-]*\)  *[a-z].*/\1/p'
}

_weir_options() { # PROGRAM [COMMAND]
	"$@" --help 2>/dev/null |
		grep -oE -- '(^  |, )(-[a-zA-Z]|--[a-z][a-z-]*)=?|^ +--[a-z][a-z-]*=?' |
		grep -oE -- '-.*'
}

# Processes, pools and programs; those whose names need quotes are left out.
_weir_pools() {
	"$1" ps 2>/dev/null | awk 'NR > 1 && NF == 11 {
		program = substr($11, 2, length($11) - 2)
		print $1
		if ($10 ~ /^[A-Za-z0-9._-]+$/) print $10
		if (program ~ /^[A-Za-z0-9._-]+$/) print program
	}' | sort -u
}

_weir_cpus() {
	awk 'NR == 1 { gsub(/CPU/, ""); print; exit }' /proc/interrupts
}

_weir() {
	local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]}
	local before=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	COMPREPLY=()
	[ "$word" != = ] || word=''
	case $before,${COMP_WORDS[COMP_CWORD]} in
	=,* | *,=) # the argument of an option: perhaps a file
		compopt -o default 2>/dev/null
		return
		;;
	esac
	if [ -z "$command" ] || [ "$command" = help ]; then
		words=$(_weir_commands "$program")
		[ "$command" = help ] || words+=" help"
		case $word in
		-*) words=$(_weir_options "$program") ;;
		esac
	else
		case $word,$command in
		-*) words=$(_weir_options "$program" "$command") ;;
		*,ps | *,stat | *,zoneinfo | *,top | *,metrics)
			case $before in
			-i | -n | -c) ;;
			*) words=$(_weir_pools "$program") ;;
			esac
			;;
		*,watch-cpu | *,doctor)
			case $before in
			-i | -n | -c) ;;
			*) words=$(_weir_cpus) ;;
			esac
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
	case ${COMPREPLY-} in
	*=) compopt -o nospace 2>/dev/null ;;
	esac
}
complete -F _weir weir
