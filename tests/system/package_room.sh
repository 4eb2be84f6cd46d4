#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# package_room.sh FOLDER COMMAND…: runs a command as root in a copy of this machine's files that is thrown away.
#
# In a mount namespace of its own an overlay is laid over the root: what the command writes is in memory, and FOLDER/left names
# what of it has taut in its path; FOLDER/given is its /tmp/given.  Nothing else is changed.  /dev is a small file system of its
# own, on which the few devices that programs need are bound one by one: to remove or replace one of them there fails, for it
# is a mount point, and the machine's /dev is not reachable.
set -eu
folder=$1
shift
[ -n "${PACKAGE_ROOM:-}" ] || PACKAGE_ROOM=1 exec unshare --mount --propagation private --pid --fork "$0" "$folder" "$@"
mkdir -p "$folder/room"
mount -t tmpfs none "$folder/room"
mkdir "$folder/room/changed" "$folder/room/work" "$folder/room/root"
root=$folder/room/root
mount -t overlay none -o "lowerdir=/,upperdir=$folder/room/changed,workdir=$folder/room/work" "$root"
mount -t tmpfs -o mode=755 none "$root/dev"
for device in null zero full random urandom; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t proc -o ro none "$root/proc"
mount --bind /sys "$root/sys"
mount -o remount,bind,ro "$root/sys"
# What taut has on this machine is none of the package's: nothing of it may be put back or removed from here.
rm -rf "$root/var/lib/taut" "$root/var/cache/taut"
mount -t tmpfs none "$root/tmp"
mount -t tmpfs none "$root/run"
mkdir "$root/tmp/given"
mount --bind "$folder/given" "$root/tmp/given"
code=0
chroot "$root" "$@" || code=$?
# What has come since, but for what dpkg keeps for itself; a device is what is gone.
(cd "$folder/room/changed" && find . -mindepth 1 -not -type c -not -path './var/log/*' -path '*taut*' -print) >"$folder/left"
exit $code
