# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of taut for bash: the program itself says what can follow (taut VERB --words).

_taut() {
	local line word words
	line=${COMP_LINE:0:COMP_POINT}
	# The word with its '=', at which bash parts words.
	word=${line##*[[:space:]]}
	if [ "$COMP_CWORD" -le 1 ]; then
		words=$("$1" --words 2>/dev/null)
	else
		words=$("$1" "${COMP_WORDS[1]}" --words 2>/dev/null)
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
	# What is free is a file most of the time; an experiment can be one.
	if [ "$COMP_CWORD" -le 1 ]; then
		return
	fi
	if [ "${#COMPREPLY[@]}" -eq 0 ] || { [ "${COMP_WORDS[1]}" = run ] && [ "${word#-}" = "$word" ]; }; then
		compopt -o filenames 2>/dev/null
		mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${word#--*=}")
	fi
	# Only what stands behind the last '=' is replaced.
	case $word in
	*=*) COMPREPLY=("${COMPREPLY[@]#"${word%=*}="}") ;;
	esac
	case ${COMPREPLY[0]-} in
	*=) compopt -o nospace 2>/dev/null ;;
	esac
}
complete -F _taut taut
