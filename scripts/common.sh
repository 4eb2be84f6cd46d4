# SPDX-License-Identifier: GPL-3.0-or-later
# What quickstart and check share: Debian packages, the build folder, and the owner of files.  POSIX sh, sourced.

PACKAGES_BUILD="gcc libc6-dev meson ninja-build pkg-config python3 libjansson-dev libyaml-dev libsqlite3-dev
 libgsl-dev libnl-3-dev libnl-route-3-dev zlib1g-dev libarchive-dev libcurl4-openssl-dev"
PACKAGES_RUN="runc crun stress-ng qemu-system-x86"
PACKAGES_CHECK="clang clang-format clang-tidy cppcheck libclang-rt-14-dev libcmocka-dev iptables iproute2 ethtool man-db groff
 sockperf iperf3 iputils-ping openssh-client busybox-static dropbear-bin mtools syslinux qemu-guest-agent
 libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients libdpdk-dev docker.io containerd podman netavark
 python3-jsonschema zsh fish"
PACKAGES_COVERAGE="gcovr"

say() {
	printf '%s\n' "$*" >&2
}

# Installs packages and starts none of their services, now or at the next boot: engines and libvirt are for the tests, which
# start their own.
install_quietly() { # PACKAGE…
	policy=/usr/sbin/policy-rc.d
	(
		if [ ! -e "$policy" ]; then
			trap 'rm -f "$policy"' EXIT
			trap 'exit 130' INT TERM
			printf '#!/bin/sh\nexit 101\n' >"$policy"
			chmod 755 "$policy"
		fi
		apt-get install -y --no-install-recommends "$@" || { apt-get update && apt-get install -y --no-install-recommends "$@"; }
	) || return 1
	[ -d /run/systemd/system ] || return 0
	dpkg -L "$@" | sed -n 's|^\(/usr\)\?/lib/systemd/system/\([^/@]*\.[a-z]*\)$|\2|p' | xargs -r systemctl disable 2>/dev/null || true
}

# Installs those of the named packages that are missing.
packages_need() {
	missing=
	for package in "$@"; do
		dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $package"
	done
	[ -z "$missing" ] && return 0
	if [ "$(id -u)" -ne 0 ]; then
		say "missing packages:$missing (try: sudo apt-get install$missing)"
		return 1
	fi
	say "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	# shellcheck disable=SC2086
	if install_quietly $missing >"$log" 2>&1; then
		rm -f "$log"
		return 0
	fi
	tail -n 20 "$log" >&2
	rm -f "$log"
	say "cannot install:$missing (try: sudo apt-get update, then again)"
	return 1
}

# Gives files that were made under sudo to the user who called it.
give_back() {
	if [ "$(id -u)" -eq 0 ] && [ -n "${SUDO_UID:-}" ] && [ "$SUDO_UID" != 0 ]; then
		chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$@"
	fi
}

# build_in FOLDER [meson options]: sets the folder up when that has not been done, and builds $TARGETS, or everything;
# prints only errors.  With ccache where it is installed, and behind what else is at work.
build_in() {
	folder=$1
	shift
	log=$(mktemp)
	cc=${CC:-gcc}
	command -v ccache >/dev/null && cc="ccache $cc"
	# shellcheck disable=SC2086
	if { [ -f "$folder/build.ninja" ] || CC=$cc meson setup "$folder" "$@"; } >"$log" 2>&1 &&
		nice ninja -C "$folder" ${TARGETS:-} >>"$log" 2>&1; then
		rm -f "$log"
		return 0
	fi
	grep -E 'error|warning|FAILED|ERROR' "$log" >&2 || tail -n 40 "$log" >&2
	rm -f "$log"
	return 1
}
