#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# keeper.sh [TAUT]: removes the temporary files of a test, also of one that was killed.
#
# The test starts it with one end of a stream as stdin, and with a file without a name as file descriptor 3, in which it
# writes a path a line.  When the test ends, however it does, the stream ends, and all these paths are removed.  A path
# behind a "+" is a folder with state folders of real runs in it: programs that still use one of them are ended first,
# and TAUT puts back what they have left in force.
trap '' HUP INT TERM
cd /
taut=${1:-}
read -r _

users() { # FOLDER
	grep -lsz "^TAUT_STATE=$1" /proc/[0-9]*/environ | cut -d / -f 3
}

sed -n 's/^+//p' /proc/self/fd/3 | while read -r folder; do
	[ -d "$folder" ] || continue
	tries=300
	while pids=$(users "$folder") && [ -n "$pids" ] && [ $tries -gt 0 ]; do
		# shellcheck disable=SC2086
		[ $tries -eq 300 ] && kill $pids 2>/dev/null
		tries=$((tries - 1))
		sleep 0.1
	done
	[ -x "$taut" ] || continue
	find "$folder" -name 'journal-*.json' | while read -r journal; do
		TAUT_STATE=${journal%/*} "$taut" tune revert
		TAUT_STATE=${journal%/*} "$taut" lab clean
	done
done
sed 's/^+//' /proc/self/fd/3 | tr '\n' '\0' | xargs -0 -r rm -rf --
