#!/usr/bin/env bash
# Installs what some tests need beside Python: Chromium, Prometheus with promtool, systemd-analyze. Debian or Ubuntu, as root.
# What is there already stays as it is. What cannot be installed is named; its tests then skip and say so.
set -euo pipefail

cache="${XDG_CACHE_HOME:-$HOME/.cache}/pintally/engines"
updated=""

missing() { ! command -v "$1" >/dev/null; }

update_once() {
	[ -n "$updated" ] || apt-get update -qq
	updated=yes
}

# Unpacked, not installed: the package would start a service.
unpack_prometheus() {
	local part
	part="$(mktemp -d)"
	(cd "$part" && apt-get download -qq -o APT::Sandbox::User=root prometheus && dpkg -x prometheus_*.deb unpacked)
	mkdir -p "$cache"
	mv -T "$part/unpacked" "$cache/prometheus"
	rm -r "$part"
}

wanted=""
if missing chromium; then wanted="chromium"; fi
if { missing prometheus || missing promtool; } && [ ! -x "$cache/prometheus/usr/bin/promtool" ]; then
	wanted="$wanted prometheus"
fi
if missing systemd-analyze; then wanted="$wanted systemd"; fi
[ -n "$wanted" ] || exit 0

if [ "$(id -u)" != 0 ] || missing apt-get; then
	echo "not installed (needs root and apt-get), and their tests are skipped: $wanted" >&2
	exit 0
fi
for program in $wanted; do
	echo "installing $program"
	update_once
	case "$program" in
	chromium) DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium >/dev/null ;;
	prometheus) unpack_prometheus ;;
	systemd) DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends systemd >/dev/null ;;
	esac
done
